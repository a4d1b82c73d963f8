// Logout tokens: what ends sessions, and everything that only looks like it (OIDC Back-Channel Logout 1.0 section 2.6).

import { beforeAll, describe, expect, test } from '@jest/globals';
import * as jose from 'jose';
import { nowSeconds } from '../../src/clock.ts';
import { LogoutTokenError, readLogoutToken } from '../../src/demo/logout-token.ts';

const issuer = 'http://localhost:4000/connect';
const client_id = 'e-bpom';
const event = 'http://schemas.openid.net/event/backchannel-logout';

let keys: jose.GenerateKeyPairResult;
let strangers: jose.GenerateKeyPairResult;

beforeAll(async () => {
  keys = await jose.generateKeyPair('ES256');
  strangers = await jose.generateKeyPair('ES256');
});

function rightClaims(): jose.JWTPayload {
  const iat = nowSeconds();
  return {
    iss: issuer,
    aud: client_id,
    iat,
    exp: iat + 120,
    jti: 'one',
    sub: 'budi',
    sid: 's1',
    events: { [event]: {} },
  };
}

function sign(
  claims: jose.JWTPayload,
  key: jose.CryptoKey | Uint8Array = keys.privateKey,
  header: jose.JWTHeaderParameters = { alg: 'ES256', typ: 'logout+jwt' },
): Promise<string> {
  return new jose.SignJWT(claims).setProtectedHeader(header).sign(key);
}

function read(token: string) {
  return readLogoutToken(token, { issuer, client_id, keys: async () => keys.publicKey });
}

test('reads the session and the subject of a right token', async () => {
  const claims = rightClaims();
  await expect(read(await sign(claims))).resolves.toEqual({
    jti: 'one',
    sid: 's1',
    subject: 'budi',
    issued_at: new Date((claims.iat as number) * 1000),
  });
});

test('a token may name only a session, or only a subject, and leave out its type', async () => {
  const { sub: _sub, ...session_only } = rightClaims();
  const { sid: _sid, ...subject_only } = rightClaims();
  await expect(read(await sign(session_only))).resolves.toMatchObject({ sid: 's1', subject: null });
  await expect(read(await sign(subject_only, undefined, { alg: 'ES256' }))).resolves.toMatchObject({
    sid: null,
    subject: 'budi',
  });
});

describe('refuses', () => {
  const wrongs: Record<string, (claims: jose.JWTPayload) => jose.JWTPayload> = {
    'another issuer': (claims) => ({ ...claims, iss: 'http://localhost:4001/connect' }),
    'another audience': (claims) => ({ ...claims, aud: 'portal-insw' }),
    'an expired token': (claims) => ({ ...claims, exp: nowSeconds() - 60 }),
    'an old token that expires late': (claims) => ({ ...claims, iat: nowSeconds() - 3600, exp: nowSeconds() + 3600 }),
    'a token from the future': (claims) => ({ ...claims, iat: nowSeconds() + 3600, exp: nowSeconds() + 7200 }),
    'no time of issue': ({ iat: _iat, ...claims }) => claims,
    'no expiry': ({ exp: _exp, ...claims }) => claims,
    'no jti': ({ jti: _jti, ...claims }) => claims,
    'no events': ({ events: _events, ...claims }) => claims,
    'another event': (claims) => ({ ...claims, events: { 'https://example.com/event': {} } }),
    'an event that is no object': (claims) => ({ ...claims, events: { [event]: 'yes' } }),
    'events that are a list': (claims) => ({ ...claims, events: [event] }),
    'a nonce, which makes it an ID token': (claims) => ({ ...claims, nonce: 'n' }),
    'neither session nor subject': ({ sid: _sid, sub: _sub, ...claims }) => claims,
    'a session that is no text': (claims) => ({ ...claims, sid: 7 }),
  };
  test.each(Object.keys(wrongs))('%s', async (name) => {
    const claims = wrongs[name]?.(rightClaims());
    await expect(read(await sign(claims as jose.JWTPayload))).rejects.toBeInstanceOf(LogoutTokenError);
  });

  test('a stranger’s signature', async () => {
    await expect(read(await sign(rightClaims(), strangers.privateKey))).rejects.toBeInstanceOf(LogoutTokenError);
  });

  test('no signature', async () => {
    const token = new jose.UnsecuredJWT(rightClaims()).encode();
    await expect(read(token)).rejects.toBeInstanceOf(LogoutTokenError);
  });

  test('a signature made with a shared secret', async () => {
    const token = await sign(rightClaims(), new TextEncoder().encode('a secret of the client, long enough'), {
      alg: 'HS256',
    });
    await expect(read(token)).rejects.toBeInstanceOf(LogoutTokenError);
  });

  test('the type of an access token', async () => {
    const token = await sign(rightClaims(), undefined, { alg: 'ES256', typ: 'at+jwt' });
    await expect(read(token)).rejects.toBeInstanceOf(LogoutTokenError);
  });

  test.each(['', 'x', 'a.b.c', '..', 'ey\0'])('what is no token: %j', async (text) => {
    await expect(read(text)).rejects.toBeInstanceOf(LogoutTokenError);
  });
});

test('a key source that cannot be reached is not the sender’s fault', async () => {
  const keySource = async () => {
    throw new TypeError('fetch failed');
  };
  const token = await sign(rightClaims());
  await expect(readLogoutToken(token, { issuer, client_id, keys: keySource })).rejects.toThrow('fetch failed');
});
