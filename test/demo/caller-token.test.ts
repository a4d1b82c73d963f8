// Who may ask e-BPOM's verification endpoint: Gapura alone, each question once, for this endpoint and this body.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import * as jose from 'jose';
import { nowSeconds } from '../../src/clock.ts';
import { moveProcessClock } from '../support/clock.ts';
import { openScene, own_password, type Scene } from './e-bpom-scene.ts';
import { signQuestion } from './gapura-stand-in.ts';

const password = own_password;
const right = { username: 'user_bpom', password };

let scene: Scene;

beforeAll(async () => {
  scene = await openScene();
});

beforeEach(() => scene.db.query('DELETE FROM e_bpom_failures').then(() => undefined));

afterEach(() => moveProcessClock(0));

afterAll(() => scene?.close());

describe('answered 401, without a look at the password:', () => {
  const refused = { status: 401, body: { error: 'invalid_token' } };

  afterEach(async () => {
    // A question that got through to the passwords would have counted or cleared a try.
    expect((await scene.db.query('SELECT FROM e_bpom_failures')).rowCount).toBe(0);
  });

  test.each<[string, Record<string, unknown>]>([
    ['another audience', { aud: 'e-bpom' }],
    ['the endpoint of somebody else', { aud: 'http://localhost:1/gapura/verification' }],
    ['one audience among several', { aud: ['ENDPOINT', 'http://localhost:1/'] }],
    ['another issuer', { iss: 'http://localhost:1/connect' }],
    ['another body', { body_sha256: 'x' }],
    ['no body', { body_sha256: undefined }],
    ['no jti', { jti: undefined }],
    ['no end', { exp: undefined }],
  ])('a token for or with %s', async (_what, claims) => {
    const { aud } = claims;
    const filled = Array.isArray(aud) ? { aud: [scene.endpoint, ...aud.slice(1)] } : claims;
    expect(await scene.ask({ ...right, password: 'wrong' }, { claims: filled as jose.JWTPayload })).toMatchObject(
      refused,
    );
  });

  test('a token that lives longer than a minute, is older, or is from the future', async () => {
    const now = nowSeconds();
    for (const [iat, exp] of [
      [now, now + 61],
      [now - 75, now - 15],
      [now - 300, now + 60],
      [now + 30, now + 60],
    ])
      expect(
        await scene.ask({ ...right, password: 'wrong' }, { claims: { iat, exp } as jose.JWTPayload }),
      ).toMatchObject(refused);
  });

  test('a token signed with another key, with none, or with the public key as a secret', async () => {
    const { privateKey } = await jose.generateKeyPair('ES256');
    expect(await scene.ask(right, { key: privateKey })).toMatchObject(refused);
    const { body, token } = await signQuestion(scene.gapura, scene.endpoint, right);
    const [, payload] = token.split('.');
    const header = (fields: object) => Buffer.from(JSON.stringify(fields)).toString('base64url');
    for (const forged of [
      `${header({ alg: 'none' })}.${payload}.`,
      `${header({ alg: 'HS256', kid: 'one' })}.${payload}.AAAA`,
    ])
      expect(await scene.post({ body, token: forged })).toMatchObject(refused);
  });

  test('no token at all, or what is none', async () => {
    const { body } = await signQuestion(scene.gapura, scene.endpoint, right);
    const bare = await scene.post({ body });
    expect(bare).toMatchObject(refused);
    expect(bare.headers.get('www-authenticate')).toContain('Bearer');
    expect(await scene.post({ body, token: 'x' })).toMatchObject(refused);
    expect(await scene.post({ body }, { authorization: 'Basic dXNlcjpwYXNz' })).toMatchObject(refused);
  });

  test('a token whose body was exchanged', async () => {
    const { token } = await signQuestion(scene.gapura, scene.endpoint, right);
    const body = JSON.stringify({ ...right, username: 'user_bpom_ot' });
    expect(await scene.post({ body, token })).toMatchObject(refused);
  });

  test('a question that was asked before, even when both come at once', async () => {
    const question = await signQuestion(scene.gapura, scene.endpoint, right);
    const statuses = await Promise.all([scene.post(question), scene.post(question), scene.post(question)]);
    expect(statuses.map(({ status }) => status).sort()).toEqual([200, 401, 401]);
    moveProcessClock(55);
    expect(await scene.post(question)).toMatchObject(refused);
    // Until the token is too old by itself, and the jti may be forgotten.
    moveProcessClock(200);
    expect(await scene.post(question)).toMatchObject(refused);
    expect((await scene.ask(right)).status).toBe(200);
    expect((await scene.db.query('SELECT FROM e_bpom_requests')).rowCount).toBe(1);
  });
});
