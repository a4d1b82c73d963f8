/** How far ahead a client's clock may be: ten seconds are nothing, a minute is the end. */

import { expect, test } from '@jest/globals';
import type { KoaContextWithOIDC } from 'oidc-provider';
import { nowSeconds } from '../../../src/clock.ts';
import { isFromFuture, needsNonce } from '../../../src/oidc/clients/clock-skew.ts';

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A request with such a header; without one the engine reads an empty text. */
const carrying = (dpop: string) => ({ get: () => dpop }) as unknown as KoaContextWithOIDC;
const dated = (iat: unknown) => carrying(`${encode({ alg: 'ES256' })}.${encode({ iat })}.AAAA`);

test('a minute ahead is believed, more is not, and the past is no concern of it', () => {
  for (const seconds of [-100_000, 0, 10, 58])
    expect([seconds, isFromFuture(nowSeconds() + seconds)]).toEqual([seconds, false]);
  for (const seconds of [62, 3600]) expect([seconds, isFromFuture(nowSeconds() + seconds)]).toEqual([seconds, true]);
});

test('what is no time is no time of the future', () => {
  for (const iat of [undefined, null, 'besok', String(nowSeconds() + 3600), {}, Number.NaN])
    expect(isFromFuture(iat)).toBe(false);
});

test('a proof from the future needs a nonce, any other does not', () => {
  expect(needsNonce(dated(nowSeconds() + 62))).toBe(true);
  expect(needsNonce(dated(nowSeconds() + 10))).toBe(false);
  expect(needsNonce(dated(nowSeconds() - 3600))).toBe(false);
});

test('what is no proof is left to the engine to refuse', () => {
  for (const text of ['', 'a.b.c', 'x', `${encode({})}.bnVsbA.x`, '\0', 'a'.repeat(100_000)])
    expect(needsNonce(carrying(text))).toBe(false);
});
