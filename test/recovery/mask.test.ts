/** Masks of addresses: what they show, what they never do, and that those of nobody look like those of somebody. */

import { randomBytes } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { maskAddress, maskOfNobody } from '../../src/recovery/mask.ts';

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
  const masks = names.map((name) => maskOfNobody(key, name));
  expect(names.map((name) => maskOfNobody(key, name))).toEqual(masks);
  for (const mask of masks) expect(mask).toMatch(/^[a-z0-9]{3}\*{8}@(\*{8}|[a-z.]+\.[a-z]+)$/);
  const share = (end: string) => masks.filter((mask) => mask.endsWith(`@${end}`)).length / masks.length;
  expect(share('gmail.com')).toBeGreaterThan(0.4);
  expect(share('gmail.com')).toBeLessThan(0.75);
  expect(share('********')).toBeGreaterThan(0);
  expect(masks).not.toEqual(names.map((name) => maskOfNobody(randomBytes(32), name)));
});
