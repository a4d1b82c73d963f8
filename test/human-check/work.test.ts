/** The proof of work: good for one challenge, refused in any other form than a number. */

import { createHash, randomBytes } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { randomToken } from '../../src/crypto.ts';
import { challengeOf, isWorkDone } from '../../src/human-check/work.ts';
import { doWork } from '../support/human-check.ts';

const key = randomBytes(32);
const challenge = challengeOf(key, 'one check');
const work = doWork({ challenge, bits: 8 });

test('a number that was looked for is found, and no smaller one is as good', () => {
  expect(isWorkDone(challenge, 8, work)).toBe(true);
  for (let at = 0; at < Number(work); at += 1) expect(isWorkDone(challenge, 8, String(at))).toBe(false);
});

test('it is what the words say: SHA-256 over the number and the challenge repeated', () => {
  const message = Buffer.from(challenge.repeat(400)).subarray(0, 16_384);
  message.writeUInt32BE(Number(work));
  expect(createHash('sha256').update(message).digest()[0]).toBe(0);
});

test('it is good for its own check alone, and for no more bits than it has', () => {
  const others = Array.from({ length: 20 }, () => challengeOf(key, randomToken()));
  expect(others.filter((other) => isWorkDone(other, 8, work)).length).toBeLessThan(3);
  expect(isWorkDone(challengeOf(randomBytes(32), 'one check'), 20, work)).toBe(false);
  expect(isWorkDone(challenge, 32, work)).toBe(false);
});

test.each(['', ' ', '-1', '1e3', '0x10', '1.5', 'NaN', '4294967296', '99999999999', `${work} `, `+${work}`, '\0', '١'])(
  '%j is no number',
  (odd) => {
    expect(isWorkDone(challenge, 1, odd)).toBe(false);
  },
);
