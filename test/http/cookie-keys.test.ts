/** Cookies signed by the newest key and known by each of them. */

import { expect, test } from '@jest/globals';
import { deriveKey, Secret } from '../../src/crypto.ts';
import { signCookies } from '../../src/http/cookie-keys.ts';

const [newest, older, gone] = ['satu', 'dua', 'tiga'].map((secret) => deriveKey(new Secret(secret), 'cookies')) as [
  Buffer,
  Buffer,
  Buffer,
];
const keys = signCookies([newest, older]);

test('what the newest key signed is the first’s, what an older one signed is told by its place, so that it is signed anew', () => {
  expect(keys.index('sesi=a', keys.sign('sesi=a'))).toBe(0);
  expect(keys.index('sesi=a', signCookies([older]).sign('sesi=a'))).toBe(1);
});

test.each([
  ['another value', keys.sign('sesi=b')],
  ['a key that is gone', signCookies([gone]).sign('sesi=a')],
  ['nobody', ''],
  ['half of it', keys.sign('sesi=a').slice(0, 20)],
  ['more than all of it', `${keys.sign('sesi=a')}A`],
  ['letters of many bytes', 'é'.repeat(43)],
])('what was signed for %s is nobody’s', (_what, signature) => {
  expect(keys.index('sesi=a', signature)).toBe(-1);
  expect(keys.verify('sesi=a', signature)).toBe(false);
});

test('without a key nothing is signed', () => {
  expect(() => signCookies([])).toThrow('no key');
});
