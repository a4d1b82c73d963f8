/** Pasted keys: public ones of sizes that hold, and nothing that was meant for nobody's eyes. */

import { describe, expect, test } from '@jest/globals';
import { exportJWK, generateKeyPair, type JWK } from 'jose';
import { checkPublicKeys, hasKeyFor } from '../../src/clients/public-keys.ts';

async function makePair(alg: string, options = {}): Promise<{ open: JWK; secret: JWK }> {
  const pair = await generateKeyPair(alg, { extractable: true, ...options });
  return { open: await exportJWK(pair.publicKey), secret: await exportJWK(pair.privateKey) };
}

const ec = await makePair('ES256');
const rsa = await makePair('PS256');
const edwards = await makePair('EdDSA');
const agreement = await makePair('ECDH-ES', { crv: 'X25519' });

const check = (...keys: unknown[]) => checkPublicKeys({ keys })?.replace('errors.client.', '');

describe('a set of keys', () => {
  test('of every supported type is fine', () => {
    expect(check(ec.open, rsa.open, edwards.open, agreement.open)).toBeUndefined();
    expect(check({ ...ec.open, kid: 'a', use: 'sig', alg: 'ES256' }, { ...ec.open, kid: 'b' })).toBeUndefined();
  });

  test.each([
    ['elliptic', ec],
    ['RSA', rsa],
    ['Edwards', edwards],
    ['agreement', agreement],
  ])('with a private %s key is refused by that word', (_type, { open, secret }) => {
    expect(check(secret)).toBe('jwks_private');
    expect(check(open, { ...open, kid: 'x', d: '' })).toBe('jwks_private');
  });

  test('with a shared secret is refused as private, too', () => {
    expect(check({ kty: 'oct', k: 'c2VjcmV0' })).toBe('jwks_private');
    expect(check({ kty: 'oct' })).toBe('jwks_type');
  });

  test('that is none', () => {
    for (const odd of [undefined, null, 'x', [], {}, { keys: 'x' }, { keys: [7] }, { keys: [[]] }, ec.open])
      expect(checkPublicKeys(odd)).toBe('errors.client.jwks_shape');
    expect(check({ ...ec.open, x: undefined })).toBe('jwks_shape');
    expect(check({ ...ec.open, x: 7 })).toBe('jwks_shape');
    expect(check({ ...ec.open, crv: 'secp256k1' })).toBe('jwks_type');
    expect(check({ kty: 'constructor' })).toBe('jwks_type');
  });

  test('has one to twenty of them, each with a name of its own', () => {
    expect(check()).toBe('jwks_count');
    expect(check(...Array.from({ length: 21 }, () => ec.open))).toBe('jwks_count');
    expect(check({ ...ec.open, kid: 'a' }, { ...rsa.open, kid: 'a' })).toBe('jwks_kid');
    expect(check({ ...ec.open, note: 'x'.repeat(40_000) })).toBe('jwks_shape');
  });

  test('counts the bits of an RSA key, not its zeros', () => {
    const small = Buffer.concat([Buffer.alloc(200), Buffer.alloc(128, 0xff)]).toString('base64url');
    expect(check({ kty: 'RSA', e: 'AQAB', n: small })).toBe('jwks_small');
    expect(check({ kty: 'RSA', e: 'AQAB', n: Buffer.alloc(300).toString('base64url') })).toBe('jwks_small');
  });
});

test('a key fits the algorithms of its type, its use and its own word', () => {
  const fits = (key: JWK, algorithm: string) => hasKeyFor({ keys: [key] }, algorithm);
  expect(fits(ec.open, 'ES256')).toBe(true);
  expect(fits(ec.open, 'ES384')).toBe(false);
  expect(fits(ec.open, 'ECDH-ES')).toBe(true);
  expect(fits(rsa.open, 'PS256')).toBe(true);
  expect(fits(rsa.open, 'RSA-OAEP-256')).toBe(true);
  expect(fits(rsa.open, 'ES256')).toBe(false);
  expect(fits({ ...edwards.open, alg: 'EdDSA' }, 'Ed25519')).toBe(true);
  expect(fits(agreement.open, 'ECDH-ES+A256KW')).toBe(true);
  expect(fits(agreement.open, 'EdDSA')).toBe(false);
  expect(fits({ ...ec.open, use: 'enc' }, 'ES256')).toBe(false);
  expect(fits({ ...rsa.open, alg: 'RS256' }, 'PS256')).toBe(false);
  expect(hasKeyFor(undefined, 'ES256')).toBe(false);
});
