/** The keys that sign cookies, as koa and the engine ask for them: a key is turned into its working form once, not at each cookie. */

import { timingSafeEqual } from 'node:crypto';
import type Koa from 'koa';
import { keyedHash } from '../crypto.ts';

/** What signs (the first key) and what is compared with (all of them): HMAC-SHA256 in base64url. */
export function signCookies(keys: readonly Buffer[]): Exclude<Koa['keys'], string[]> {
  const [newest] = keys;
  if (!newest) throw new Error('cookies have no key');
  const index = (data: string, signature: string) => keys.findIndex((key) => isSigned(key, data, signature));
  const verify = (data: string, signature: string) => index(data, signature) >= 0;
  return { sign: (data: string) => keyedHash(newest, data), index, verify } as Exclude<Koa['keys'], string[]>;
}

function isSigned(key: Buffer, data: string, signature: string): boolean {
  const [one, other] = [Buffer.from(keyedHash(key, data)), Buffer.from(signature)];
  return one.length === other.length && timingSafeEqual(one, other);
}
