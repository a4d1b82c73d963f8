/** Proof that a code comes back to who asked for it (RFC 7636): who may go without, and what nobody can leave out. */

import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { ClientRegistration } from '../../src/clients/client.ts';
import { newSignedInVisitor, registerClient, startGapura, type TestGapura } from '../support/gapura.ts';
import type { HttpVisitor } from '../support/http.ts';
import { setTestPolicy } from '../support/policy.ts';
import { followTo } from '../support/relying-party.ts';

let gapura: TestGapura;
let budi: HttpVisitor;

const verifier = 'pembukti-yang-cukup-panjang-untuk-sebuah-permintaan';
const challenge = createHash('sha256').update(verifier).digest('base64url');

type TestClient = Awaited<ReturnType<typeof registerClient>>;

beforeAll(async () => {
  gapura = await startGapura();
  budi = await newSignedInVisitor(gapura.url, 'budi');
});

afterAll(() => gapura.stop());

const register = (id: string, more: Partial<ClientRegistration> = {}) => registerClient(gapura, id, more);

/** What comes back to the client after an authorization request. */
async function ask({ client_id, redirect_uri }: TestClient, parameters: Record<string, string> = {}) {
  const query = new URLSearchParams({
    client_id,
    redirect_uri,
    response_type: 'code',
    scope: 'openid',
    state: 'keadaan',
    ...parameters,
  });
  const first = await budi.get(`/connect/auth?${query}`, { follow: false });
  const reached = await followTo(budi, redirect_uri, first);
  if (!('returned' in reached)) throw new Error(`a page: ${reached.page.status}`);
  return Object.fromEntries(reached.returned.searchParams);
}

/** The token endpoint's answer to a code, with or without a verifier. */
async function redeem({ client_id, client_secret, redirect_uri }: TestClient, code = '', code_verifier?: string) {
  const answer = await fetch(`${gapura.config.issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${client_id}:${client_secret}`).toString('base64')}` },
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      code,
      redirect_uri,
      ...(code_verifier === undefined ? {} : { code_verifier }),
    }),
  });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

const refusal = { error: 'invalid_request', state: 'keadaan' };

describe('an old client that keeps a secret and is registered so', () => {
  let old: TestClient;

  beforeAll(async () => {
    old = await register('lama', { pkce_required: false });
  });

  test('gets a code without a challenge, and tokens for it', async () => {
    const { code } = await ask(old);
    expect(await redeem(old, code)).toMatchObject({ status: 200, body: { id_token: expect.any(String) } });
  });

  test('is held to a challenge once it sends one', async () => {
    const sent = { code_challenge: challenge, code_challenge_method: 'S256' };
    for (const wrong of [undefined, '', 'x'.repeat(43)]) {
      const { code } = await ask(old, sent);
      expect(await redeem(old, code, wrong)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
    }
    const { code } = await ask(old, sent);
    expect((await redeem(old, code, verifier)).status).toBe(200);
  });

  test('cannot show a verifier for a challenge that was taken out of its request (RFC 9700 section 4.8.2)', async () => {
    const { code } = await ask(old);
    expect(await redeem(old, code, verifier)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
  });

  test.each([
    ['plain', { code_challenge: verifier, code_challenge_method: 'plain' }],
    ['no method, which would mean plain', { code_challenge: verifier }],
    ['a method alone', { code_challenge_method: 'S256' }],
    ['a challenge that is none', { code_challenge: 'x', code_challenge_method: 'S256' }],
  ])('is refused %s', async (_what, sent) => {
    expect(await ask(old, sent as Record<string, string>)).toMatchObject(refusal);
  });
});

describe('without a challenge nothing is given to', () => {
  test('a client of which nobody said otherwise', async () => {
    expect(await ask(await register('biasa'))).toMatchObject(refusal);
  });

  test.each<[string, Partial<ClientRegistration>]>([
    ['keeps no secret', { metadata: { token_endpoint_auth_method: 'none' } }],
    ['is held to FAPI 2.0', { fapi: true }],
  ])('one that %s, whatever its row says', async (_what, more) => {
    const client = await register(`tetap-${more.fapi ? 'fapi' : 'terbuka'}`, { ...more, pkce_required: false });
    expect(await ask(client)).toMatchObject({ state: 'keadaan', error: expect.stringMatching(/^invalid_/) });
  });
});

test('a client that registered itself follows the policy, from the next request on', async () => {
  const client = await register('pendatang');
  await gapura.db
    .updateTable('clients')
    .set({ origin: 'dynamic', first_party: false })
    .where('id', '=', 'pendatang')
    .execute();
  const quiet = { prompt: 'none' };
  expect(await ask(client, quiet)).toMatchObject(refusal);
  await setTestPolicy(gapura.db, 'clients.dynamic_pkce', false);
  expect(await ask(client, quiet)).toMatchObject({ error: 'consent_required' });
  await setTestPolicy(gapura.db, 'clients.dynamic_pkce', true);
  expect(await ask(client, quiet)).toMatchObject(refusal);
});
