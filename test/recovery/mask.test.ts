/** Masks of addresses: what they show, what they never do, and that those of nobody look like those of somebody. */

import { randomBytes } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { maskAddress, masksOfNobody } from '../../src/recovery/mask.ts';

test.each([
  ['pra.setyo.utama@gmail.com', 'pra********@gmail.com'],
  ['sari@GMAIL.com', 'sar********@gmail.com'],
  ['abc@yahoo.co.id', 'ab********@yahoo.co.id'],
  ['ab@outlook.com', 'a********@outlook.com'],
  ['a@icloud.com', '********@icloud.com'],
  ['budi@perusahaan.example', 'bud********@********'],
  ['"a@b"@gmail.com', '"a@********@gmail.com'],
])('%s is shown as %s', (address, mask) => {
  expect(maskAddress(address)).toBe(mask);
});

test('of nobody: always the same of one name and key, and spread as people’s are', () => {
  const key = randomBytes(32);
  const names = Array.from({ length: 400 }, (_, at) => `pengguna.${at}.${randomBytes(3).toString('hex')}`);
  const masks = names.flatMap((name) => masksOfNobody(key, name, 1));
  expect(masks).toHaveLength(400);
  expect(names.flatMap((name) => masksOfNobody(key, name, 1))).toEqual(masks);
  for (const mask of masks) expect(mask).toMatch(/^[a-z0-9]{3}\*{8}@(\*{8}|[a-z.]+\.[a-z]+)$/);
  const share = (end: string) => masks.filter((mask) => mask.endsWith(`@${end}`)).length / masks.length;
  expect(share('gmail.com')).toBeGreaterThan(0.4);
  expect(share('gmail.com')).toBeLessThan(0.75);
  expect(share('********')).toBeGreaterThan(0);
  expect(masks).not.toEqual(names.flatMap((name) => masksOfNobody(randomBytes(32), name, 1)));
});

test('of nobody: now and then two, where people may have two, so that two tell nothing', () => {
  const key = randomBytes(32);
  const names = Array.from({ length: 400 }, (_, at) => `pengguna.${at}`);
  const masks = names.map((name) => masksOfNobody(key, name, 2));
  const pairs = masks.filter(({ length }) => length === 2);
  expect(pairs.length / names.length).toBeGreaterThan(0.1);
  expect(pairs.length / names.length).toBeLessThan(0.4);
  for (const [one, other] of pairs) expect(one).not.toBe(other);
  // The first stays what it is, whatever the policy.
  expect(masks.map(([one]) => one)).toEqual(names.map((name) => masksOfNobody(key, name, 1)[0]));
});
