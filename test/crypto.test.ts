/** Sealing, keyed hashes and the Secret that no output shows. */

import { format, inspect } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import {
  deriveKey,
  deriveKeys,
  digest,
  isSame,
  keyedDigest,
  keyedHash,
  open,
  randomToken,
  Secret,
  seal,
} from '../src/crypto.ts';

const value = 'rahasia-yang-tidak-boleh-tampak';
const old_secret = new Secret('an old secret of thirty-two characters');
const new_secret = new Secret('a new secret of thirty-two characters!');
const key = deriveKey(old_secret, 'test');
const context = 'client_secrets.sealed:e-bpom';

/** A sealed value with one of its four parts changed. */
function change(sealed: string, part: number, by: (text: string) => string): string {
  const parts = sealed.split('.');
  parts[part] = by(parts[part] as string);
  return parts.join('.');
}

describe('a Secret', () => {
  const secret = new Secret(value);
  const holder = { secret, list: [secret] };

  test.each([
    ['String', () => String(secret)],
    ['a template', () => `${secret}`],
    ['concatenation', () => `${''}${secret}`.concat(secret as unknown as string)],
    ['JSON', () => JSON.stringify(holder)],
    ['inspect', () => inspect(holder, { depth: 9, showHidden: true })],
    ['format', () => format('%s %o %O %j', secret, secret, secret, holder)],
    ['an error', () => inspect(new Error(`lost ${secret}`, { cause: holder }))],
    ['its own keys', () => JSON.stringify([Object.entries(secret), Reflect.ownKeys(secret).map(String)])],
    ['a copy', () => JSON.stringify({ ...secret })],
  ])('is not shown by %s', (_, print) => {
    expect(print()).not.toContain(value);
  });

  test('is not shown by the log', () => {
    const lines: string[] = [];
    const log = pino({ level: 'info' }, { write: (line: string) => lines.push(line) });
    log.info({ secret, holder }, 'with %s and %j', secret, holder);
    log.child({ secret }).error(new Error('no', { cause: secret }));
    expect(lines).toHaveLength(2);
    expect(lines.join()).not.toContain(value);
    expect(lines[0]).toContain('[redacted]');
  });

  test('is given out by reveal alone', () => expect(secret.reveal()).toBe(value));
});

describe('a sealed value', () => {
  const sealed = seal(key, value, context);

  test('opens in its place', () => {
    expect(open([key], sealed, context)).toBe(value);
    for (const text of ['', 'ä漢字🔐', 'x'.repeat(100_000)])
      expect(open([key], seal(key, text, context), context)).toBe(text);
  });

  test('does not open in another row, column or table', () => {
    for (const other of ['client_secrets.sealed:portal', 'client_secrets.hash:e-bpom', ''])
      expect(() => open([key], sealed, other)).toThrow();
  });

  test('tells nothing of the text, and the same text twice is not seen', () => {
    expect(sealed).not.toContain(value);
    expect(Buffer.from(sealed.split('.')[3] as string, 'base64url').toString('latin1')).not.toContain(value);
    expect(seal(key, value, context)).not.toBe(sealed);
  });

  const flip = (text: string) => {
    const bytes = Buffer.from(text, 'base64url');
    bytes[0] = (bytes[0] as number) ^ 1;
    return bytes.toString('base64url');
  };
  const cut = (bytes: number) => (text: string) =>
    Buffer.from(text, 'base64url').subarray(0, bytes).toString('base64url');
  test.each([
    ['with a changed text', change(sealed, 3, flip)],
    ['with a changed nonce', change(sealed, 2, flip)],
    ['with a shortened nonce', change(sealed, 2, cut(8))],
    ['with a shortened text', change(sealed, 3, cut(30))],
    ['with a tag of 12 bytes alone', change(sealed, 3, cut(12))],
    ['with a tag of 4 bytes alone', change(sealed, 3, cut(4))],
    ['without a body', change(sealed, 3, () => '')],
    ['of another version', change(sealed, 0, () => 'v2')],
    ['of an unknown key', change(sealed, 1, () => 'AAAAAAAA')],
    ['that is no sealed value at all', value],
    ['that is empty', ''],
  ])('does not open %s', (_, changed) => {
    expect(() => open([key], changed, context)).toThrow();
  });

  test('opens after a change of the secret as long as the old one is configured, and no longer', () => {
    const [current, former] = deriveKeys([new_secret, old_secret], 'test') as [Buffer, Buffer];
    expect(open([current, former], sealed, context)).toBe(value);
    expect(() => open([current], sealed, context)).toThrow(/no key fits/);
    expect(open([current, former], seal(current, value, context), context)).toBe(value);
  });

  test('does not open with the key of another purpose', () => {
    expect(() => open(deriveKeys([old_secret], 'other'), sealed, context)).toThrow(/no key fits/);
  });
});

test('a derived key has 32 bytes, is the same each time, and differs by secret and by purpose', () => {
  expect(key).toHaveLength(32);
  expect(deriveKey(old_secret, 'test')).toEqual(key);
  expect(deriveKey(new_secret, 'test')).not.toEqual(key);
  expect(deriveKey(old_secret, 'tes')).not.toEqual(key);
});

test('a keyed hash depends on key and text, as bytes and as text alike', () => {
  expect(keyedHash(key, 'a')).toBe(keyedDigest(key, 'a').toString('base64url'));
  expect(keyedHash(key, 'a')).not.toBe(keyedHash(key, 'b'));
  expect(keyedHash(key, 'a')).not.toBe(keyedHash(deriveKey(new_secret, 'test'), 'a'));
  expect(keyedHash(key, 'a')).not.toBe(digest('a'));
});

test('random values are long, fit into addresses and do not come twice', () => {
  const values = Array.from({ length: 1000 }, () => randomToken());
  expect(new Set(values).size).toBe(1000);
  for (const one of values) expect(one).toMatch(/^[\w-]{43}$/);
  expect(randomToken(16)).toMatch(/^[\w-]{22}$/);
});

test('a comparison holds for equal strings alone, whatever their lengths', () => {
  expect(isSame('kata', 'kata')).toBe(true);
  for (const other of ['katA', 'kat', 'kata ', '']) expect(isSame('kata', other)).toBe(false);
});
