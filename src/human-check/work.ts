/** The proof of work: a number that a browser finds by trying, and that is checked with one hash. */

import { createHash } from 'node:crypto';
import { keyedHash } from '../crypto.ts';

/**
 * How much is hashed at each try. With little, what a browser spends on asking for a hash would outweigh the hash itself, and
 * whoever hashes without a browser would have it a hundred times cheaper.
 */
const size = 16_384;

/** What the number is looked for over: of one check, and nothing that could be worked on before the check was asked. */
export function challengeOf(key: Buffer, id: string): string {
  return keyedHash(key, `work ${id}`);
}

/**
 * Whether `work`, a decimal number below 2^32, solves a challenge: SHA-256 over the number (four bytes, the highest first) and
 * the challenge repeated up to 16 KiB begins with at least `bits` zero bits. The browser's half is views/assets/human-check.js.
 */
export function isWorkDone(challenge: string, bits: number, work: string): boolean {
  if (!/^\d{1,10}$/.test(work) || Number(work) > 0xffff_ffff) return false;
  const message = Buffer.alloc(size, challenge);
  message.writeUInt32BE(Number(work), 0);
  return createHash('sha256').update(message).digest().readUInt32BE(0) < 2 ** (32 - bits);
}
