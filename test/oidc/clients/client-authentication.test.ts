/** How clients prove who they are where tokens are given and judged: by one way, the registered one, and not for ever by trying. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { numbersOf } from '../../../src/limits/table.ts';
import { registerClient, startGapura, type TestGapura } from '../../support/gapura.ts';

let gapura: TestGapura;
let client: Awaited<ReturnType<typeof registerClient>>;
let keys: CryptoKeyPair;

/** Every address where a client says who it is, with what it sends there besides. */
const addresses: [string, Record<string, string>][] = [
  ['/token', { grant_type: 'client_credentials' }],
  ['/par', { response_type: 'code' }],
  ['/introspection', { token: 'x' }],
  ['/revocation', { token: 'x' }],
];

beforeAll(async () => {
  gapura = await startGapura();
  const grant_types = ['authorization_code', 'client_credentials'];
  client = await registerClient(gapura, 'mandiri', { metadata: { grant_types } });
  await registerClient(gapura, 'terbuka', { metadata: { token_endpoint_auth_method: 'none' } });
  keys = (await generateKeyPair('PS256', { extractable: true })) as CryptoKeyPair;
  const jwks = { keys: [await exportJWK(keys.publicKey)] };
  await registerClient(gapura, 'berkunci', {
    metadata: { grant_types, token_endpoint_auth_method: 'private_key_jwt', jwks },
  });
  await registerClient(gapura, 'bertanda', {
    metadata: { grant_types, token_endpoint_auth_method: 'client_secret_jwt' },
  });
  await registerClient(gapura, 'di-badan', {
    metadata: { grant_types, token_endpoint_auth_method: 'client_secret_post' },
  });
});

afterEach(async () => {
  await gapura.db.deleteFrom('limits').execute();
});

afterAll(() => gapura.stop());

const basic = (id: string, secret: string) => ({
  authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`,
});

async function post(path: string, form: Record<string, string>, headers: Record<string, string> = {}) {
  const answer = await fetch(`${gapura.config.issuer}${path}`, {
    method: 'POST',
    headers,
    body: new URLSearchParams(form),
  });
  const text = await answer.text();
  return {
    status: answer.status,
    headers: answer.headers,
    body: (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>,
  };
}

const secretOf = (id: string) => `secret-of-${id}-which-is-long-enough`;

/** A client's own word, signed (RFC 7523 section 3). */
async function assert(id: string, key: CryptoKey | Uint8Array, alg: string) {
  const assertion = await new SignJWT({ iss: id, sub: id, aud: gapura.config.issuer, jti: crypto.randomUUID() })
    .setProtectedHeader({ alg })
    .setIssuedAt()
    .setExpirationTime('1 minute')
    .sign(key);
  return {
    client_assertion: assertion,
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
  };
}

const refused = { status: 401, body: { error: 'invalid_client' } };

describe.each(addresses)('%s', (path, form) => {
  test('refuses whoever sends nothing, or the name alone of a client that has a secret', async () => {
    expect(await post(path, form)).toMatchObject(refused);
    expect(await post(path, { ...form, client_id: client.client_id })).toMatchObject(refused);
    expect(await post(path, { ...form, client_id: 'tidak-ada' })).toMatchObject(refused);
  });

  test('refuses a wrong secret, and says how one is sent', async () => {
    const answer = await post(path, form, basic(client.client_id, 'salah'));
    expect(answer).toMatchObject(refused);
    expect(answer.headers.get('www-authenticate')).toMatch(/^Basic /);
    expect(JSON.stringify(answer.body)).not.toContain('salah');
  });

  test('refuses two ways in one request, even if both are right', async () => {
    const both = { ...form, client_id: client.client_id, client_secret: client.client_secret };
    const answer = await post(path, both, basic(client.client_id, client.client_secret));
    expect(answer).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
    const signed = { ...form, ...(await assert('berkunci', keys.privateKey, 'PS256')) };
    expect(await post(path, signed, basic(client.client_id, client.client_secret))).toMatchObject({ status: 400 });
    expect(await post(path, { ...signed, client_secret: 'x' })).toMatchObject({ status: 400 });
  });

  test('refuses one client’s proof under another’s name', async () => {
    const answer = await post(path, { ...form, client_id: 'di-badan' }, basic(client.client_id, client.client_secret));
    expect(answer).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
  });
});

describe('a proof', () => {
  const ask = (form: Record<string, string>, headers?: Record<string, string>) =>
    post('/token', { grant_type: 'client_credentials', ...form }, headers);

  test('of each kind opens', async () => {
    const secret = new TextEncoder().encode(secretOf('bertanda'));
    const ways: [Record<string, string>, Record<string, string>?][] = [
      [{}, basic(client.client_id, client.client_secret)],
      [{ client_id: 'di-badan', client_secret: secretOf('di-badan') }],
      [await assert('berkunci', keys.privateKey, 'PS256')],
      [await assert('bertanda', secret, 'HS256')],
    ];
    for (const [form, headers] of ways)
      expect(await ask(form, headers)).toMatchObject({ status: 200, body: { token_type: 'Bearer' } });
  });

  test('of another kind than the registered one does not', async () => {
    const secret = new TextEncoder().encode(secretOf('bertanda'));
    expect(await ask(await assert(client.client_id, secret, 'HS256'))).toMatchObject(refused);
    expect(await ask({}, basic('bertanda', secretOf('bertanda')))).toMatchObject(refused);
    expect(await ask({ client_id: 'terbuka' })).toMatchObject({ status: 400 });
    expect(await ask({}, basic('terbuka', secretOf('terbuka')))).toMatchObject(refused);
    const [header, payload] = (await assert('berkunci', keys.privateKey, 'PS256')).client_assertion.split('.');
    const none = Buffer.from(JSON.stringify({ alg: 'none' })).toString('base64url');
    for (const forged of [`${none}.${payload}.`, `${header}.${payload}.`])
      expect(
        await ask({ ...(await assert('berkunci', keys.privateKey, 'PS256')), client_assertion: forged }),
      ).toMatchObject(refused);
  });

  test('that is signed counts once', async () => {
    const signed = await assert('berkunci', keys.privateKey, 'PS256');
    expect((await ask(signed)).status).toBe(200);
    expect(await ask(signed)).toMatchObject(refused);
  });

  test('that fails again and again has to wait, and the right one never has', async () => {
    const wrong = (id: string, at: number) => ask({}, basic(id, `salah-${at}`));
    const statuses: number[] = [];
    const { free } = numbersOf('client_failure');
    for (let at = 0; at < free + 2; at++) statuses.push((await wrong(client.client_id, at)).status);
    expect(statuses.filter((status) => status === 401)).toHaveLength(free);
    const late = await wrong(client.client_id, free + 2);
    expect(late).toMatchObject({ status: 429, body: { error: 'invalid_client' } });
    expect(Number(late.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await ask({}, basic(client.client_id, client.client_secret))).status).toBe(200);
    // Another client's failures are its own.
    expect((await wrong('di-badan', 0)).status).toBe(401);
  });
});
