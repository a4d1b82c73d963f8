/** What an authorization request may be and how its answer may travel: signed requests, signed answers, an ID token beside the code. */

import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  compactDecrypt,
  createRemoteJWKSet,
  exportJWK,
  generateKeyPair,
  type JWK,
  jwtVerify,
  SignJWT,
  UnsecuredJWT,
} from 'jose';
import { createClient } from '../../src/clients/client.ts';
import { type ClientInput, clientSchema, flatten, readRegistration } from '../../src/clients/metadata.ts';
import { inTransaction } from '../../src/database.ts';
import { newSignedInVisitor, startGapura, type TestGapura } from '../support/gapura.ts';
import { findForm, type HttpVisitor } from '../support/http.ts';
import { followTo } from '../support/relying-party.ts';

let gapura: TestGapura;
let budi: HttpVisitor;
const private_keys = new Map<string, CryptoKey>();
const public_keys: JWK[] = [];
const redirect_uri = 'https://jawaban.contoh.example/kembali';
const code_verifier = 'pembukti-yang-cukup-panjang-untuk-sebuah-permintaan';

beforeAll(async () => {
  gapura = await startGapura();
  budi = await newSignedInVisitor(gapura.url, 'budi');
  for (const alg of ['PS256', 'ES256', 'EdDSA', 'RS256', 'ECDH-ES']) {
    const pair = await generateKeyPair(alg, { extractable: true });
    private_keys.set(alg, pair.privateKey);
    const use = alg === 'ECDH-ES' ? 'enc' : 'sig';
    public_keys.push({ ...(await exportJWK(pair.publicKey)), kid: alg, use, ...(use === 'sig' ? { alg } : {}) });
  }
});

afterAll(() => gapura.stop());

/** Registers what a form would send, as one of our own so that nobody is asked for consent. */
async function register(client_id: string, more: Partial<ClientInput> = {}): Promise<void> {
  const input = { client_id, client_name: client_id, redirect_uris: [redirect_uri], first_party: true, ...more };
  const registration = readRegistration(clientSchema.parse(input));
  const validate = (metadata: Record<string, unknown>) =>
    gapura.gapura.engine.provider.Client.validate(metadata as { client_id: string });
  const outcome = await inTransaction(gapura.db, (tx) => createClient(tx, registration, validate));
  expect(outcome).toEqual({ state: 'kept', version: 1 });
}

/** The parameters of a usual request. */
const usual = (client_id: string, more: Record<string, string> = {}) => ({
  client_id,
  redirect_uri,
  response_type: 'code',
  scope: 'openid',
  state: 'keadaan',
  nonce: 'sekali-pakai',
  code_challenge: createHash('sha256').update(code_verifier).digest('base64url'),
  code_challenge_method: 'S256',
  ...more,
});

/** Sends a request; gives where the browser was sent, or the page it was shown. */
async function send(parameters: Record<string, string>) {
  const first = await budi.get(`/connect/auth?${new URLSearchParams(parameters)}`, { follow: false });
  return followTo(budi, redirect_uri, first);
}

/** The answer in the address, behind `?` or `#`. */
async function ask(parameters: Record<string, string>): Promise<Record<string, string>> {
  const reached = await send(parameters);
  if (!('returned' in reached)) throw new Error(`a page: ${reached.page.status} ${reached.page.body.slice(0, 500)}`);
  const { search, hash } = reached.returned;
  expect(search === '' || hash === '').toBe(true);
  return Object.fromEntries(new URLSearchParams(hash === '' ? search : hash.slice(1)));
}

/** The answer in a form that sends itself, and where our policy lets it lead. */
async function askForm(parameters: Record<string, string>) {
  const reached = await send(parameters);
  if (!('page' in reached)) throw new Error(`no page: ${reached.returned}`);
  const { action, fields } = findForm(reached.page.body);
  return { action, fields, policy: reached.page.headers.get('content-security-policy') ?? '' };
}

/** What we signed, verified with our published keys. */
async function open(token = '', audience = '') {
  const keys = createRemoteJWKSet(new URL(`${gapura.config.issuer}/jwks`));
  return (await jwtVerify(token, keys, { issuer: gapura.config.issuer, audience })).payload;
}

describe('an ID token beside the code', () => {
  beforeAll(async () => {
    await register('biasa');
    await register('hibrida', { response_types: ['code', 'code id_token'], scope: ['openid', 'profile'] });
  });

  test('comes behind the # to a client that is registered for it, and is of that code', async () => {
    const { code = '', id_token, state } = await ask(usual('hibrida', { response_type: 'code id_token' }));
    expect(state).toBe('keadaan');
    const claims = await open(id_token, 'hibrida');
    const half = createHash('sha256').update(code).digest().subarray(0, 16).toString('base64url');
    expect(claims).toMatchObject({ nonce: 'sekali-pakai', c_hash: half });
    expect(claims).not.toHaveProperty('name');
  });

  test('comes in a form too, and never behind the ?', async () => {
    const asked = usual('hibrida', { response_type: 'code id_token' });
    const { action, fields, policy } = await askForm({ ...asked, response_mode: 'form_post' });
    expect(action).toBe(redirect_uri);
    expect(Object.keys(fields).sort()).toEqual(['code', 'id_token', 'state']);
    expect(policy).toContain(new URL(redirect_uri).origin);
    const reached = await send({ ...asked, response_mode: 'query' });
    const { search = '', hash = '' } = 'returned' in reached ? reached.returned : {};
    expect(search + hash).toContain('error=invalid_request');
    expect(search + hash).not.toMatch(/id_token=|code=/);
  });

  test('wants a nonce, and PKCE as always', async () => {
    const { nonce: _nonce, ...without } = usual('hibrida', { response_type: 'code id_token' });
    expect(await ask(without)).toMatchObject({ error: 'invalid_request', state: 'keadaan' });
    const { code_challenge: _challenge, code_challenge_method: _method, ...bare } = { ...without, nonce: 'n' };
    expect(await ask(bare)).toMatchObject({ error: 'invalid_request' });
  });

  test('is refused to all others', async () => {
    expect(await ask(usual('biasa', { response_type: 'code id_token' }))).toMatchObject({ error: 'invalid_request' });
  });

  test.each(['id_token', 'token', 'code token', 'id_token token', 'code id_token token'])(
    'is the most that there is: %s is nobody’s',
    async (response_type) => {
      for (const client of ['biasa', 'hibrida']) {
        const answer = await ask(usual(client, { response_type }));
        expect(answer).toMatchObject({ error: 'unsupported_response_type' });
        expect(answer).not.toHaveProperty('access_token');
      }
    },
  );

  test('asks nobody for the standard’s word of it: the form does not know it, the engine does', async () => {
    const row = await gapura.db.selectFrom('clients').selectAll().where('id', '=', 'hibrida').executeTakeFirstOrThrow();
    expect(row.metadata.grant_types).toEqual(['authorization_code', 'implicit']);
    expect(clientSchema.parse(flatten(row)).grant_types).toEqual(['authorization_code']);
    expect(readRegistration(clientSchema.parse(flatten(row))).metadata).toEqual(row.metadata);
  });
});

describe('a signed answer (JARM)', () => {
  beforeAll(async () => {
    await register('bertanda', { authorization_signed_response_alg: 'ES256' });
    await register('rahasia', {
      jwks: { keys: public_keys },
      authorization_signed_response_alg: 'ES256',
      authorization_encrypted_response_alg: 'ECDH-ES',
      authorization_encrypted_response_enc: 'A256GCM',
    });
    await register('hanya-formulir', { response_modes: ['form_post.jwt'] });
  });

  test.each(['jwt', 'query.jwt', 'fragment.jwt'])('comes by %s, says to whom, and ends', async (response_mode) => {
    const { response, ...beside } = await ask(usual('bertanda', { response_mode }));
    expect(beside).toEqual({});
    const claims = await open(response, 'bertanda');
    expect(claims).toMatchObject({ code: expect.any(String), state: 'keadaan', exp: expect.any(Number) });
  });

  test('comes by form_post.jwt, in a page that may lead there', async () => {
    const { action, fields, policy } = await askForm(usual('bertanda', { response_mode: 'form_post.jwt' }));
    expect([action, Object.keys(fields)]).toEqual([redirect_uri, ['response']]);
    expect(policy).toContain(new URL(redirect_uri).origin);
    expect(await open(fields.response, 'bertanda')).toHaveProperty('code');
  });

  test('is signed also when it is a refusal', async () => {
    const { response } = await ask(usual('bertanda', { response_mode: 'query.jwt', prompt: 'none', max_age: '0' }));
    const claims = await open(response, 'bertanda');
    expect(claims).toMatchObject({ error: expect.any(String), state: 'keadaan' });
    expect(claims).not.toHaveProperty('code');
  });

  test('can be encrypted to the client', async () => {
    const { response = '' } = await ask(usual('rahasia', { response_mode: 'jwt' }));
    const { plaintext } = await compactDecrypt(response, private_keys.get('ECDH-ES') as CryptoKey);
    expect(await open(new TextDecoder().decode(plaintext), 'rahasia')).toHaveProperty('code');
  });

  test('is the only one for a client that allows no other', async () => {
    expect(await ask(usual('hanya-formulir'))).toMatchObject({ error: 'invalid_request' });
    const { fields } = await askForm(usual('hanya-formulir', { response_mode: 'form_post.jwt' }));
    expect(await open(fields.response, 'hanya-formulir')).toHaveProperty('code');
  });
});

describe('a signed request (JAR)', () => {
  beforeAll(async () => {
    const jwks = { keys: public_keys };
    await register('boleh', { jwks });
    await register('wajib', { jwks, require_signed_request_object: true, request_object_signing_alg: 'PS256' });
  });

  /** A request object of a client, signed by one of its keys. */
  const sign = (client: string, alg: string, more: Record<string, unknown> = {}) =>
    new SignJWT({ ...usual(client), iss: client, aud: gapura.config.issuer, ...more })
      .setProtectedHeader({ alg, kid: alg })
      .sign(private_keys.get(alg) as CryptoKey);

  /** What comes back of a request that is only its object. */
  async function pass(client_id: string, request: string, more: Record<string, string> = {}) {
    const beside = { scope: 'openid', response_type: 'code', redirect_uri };
    const reached = await send({ client_id, request, ...beside, ...more });
    if (!('returned' in reached)) return { page: reached.page.status };
    return Object.fromEntries(reached.returned.searchParams);
  }

  test.each(['PS256', 'ES256', 'EdDSA', 'RS256'])('is read when it is signed by %s', async (alg) => {
    expect(await pass('boleh', await sign('boleh', alg))).toMatchObject({ code: expect.any(String), state: 'keadaan' });
  });

  test('counts alone: what stands beside it in the address is not read', async () => {
    const answer = await pass('boleh', await sign('boleh', 'PS256'), { state: 'palsu', prompt: 'login' });
    expect(answer).toMatchObject({ code: expect.any(String), state: 'keadaan' });
  });

  test('is refused without a signature', async () => {
    const plain = new UnsecuredJWT({ ...usual('boleh'), iss: 'boleh', aud: gapura.config.issuer });
    expect(await pass('boleh', plain.encode())).toMatchObject({ error: 'invalid_request_object' });
  });

  test('is refused with a signature that is not the client’s', async () => {
    const [header, , signature] = (await sign('boleh', 'ES256')).split('.');
    const payload = JSON.stringify({ ...usual('boleh'), iss: 'boleh', aud: gapura.config.issuer, prompt: 'none' });
    const forged = [header, Buffer.from(payload).toString('base64url'), signature].join('.');
    expect(await pass('boleh', forged)).toMatchObject({ error: 'invalid_request_object' });
    expect(await pass('boleh', 'bukan.sebuah.jwt')).toMatchObject({ error: 'invalid_request_object' });
  });

  test.each([{ aud: 'https://lain.contoh.example' }, { exp: 1 }, { iss: 'biasa' }, { client_id: 'biasa' }])(
    'is refused when it is somebody else’s or over: %j',
    async (more) => {
      const answer = await pass('boleh', await sign('boleh', 'ES256', more));
      expect(answer).toMatchObject({ error: 'invalid_request_object' });
    },
  );

  test('is all that a client is heard by that must sign, and only by its algorithm', async () => {
    expect(await ask(usual('wajib'))).toMatchObject({ error: 'invalid_request' });
    expect(await pass('wajib', await sign('wajib', 'ES256'))).toMatchObject({ error: 'invalid_request_object' });
    expect(await pass('wajib', await sign('wajib', 'PS256'))).toMatchObject({ code: expect.any(String) });
  });
});
