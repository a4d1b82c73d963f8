/** FAPI 2.0 Security Profile, as its conformance suite names it: what a client pushes, and what of it counts. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { moveClock, resetClock } from '../support/clock.ts';
import { type FapiClient, openFapiClient } from '../support/fapi-client.ts';
import { type HttpVisitor, newHttpVisitor } from '../support/http.ts';
import { followTo } from '../support/relying-party.ts';
import { openSuite, type Suite } from './suite.ts';

let gapura: Suite;
let bank: FapiClient;
let other: FapiClient;
/** Signed in, and asked no more. */
let budi: HttpVisitor;

beforeAll(async () => {
  gapura = await openSuite();
  bank = await openFapiClient(gapura, 'bank');
  other = await openFapiClient(gapura, 'bank-lain');
  budi = newHttpVisitor(gapura.url);
  for (const client of [bank, other]) await client.authorize(budi);
});

afterAll(() => gapura?.stop());

const errorOf = (returned: URL) => returned.searchParams.get('error');

/** Opens an address that must lead back to no application, and gives the status of the page. */
async function expectPage(address: string): Promise<number> {
  const reached = await followTo(budi, bank.redirect_uri, await budi.get(address, { follow: false }));
  if (!('page' in reached)) throw new Error(`led on to ${reached.returned}`);
  expect(reached.page.headers.get('content-type')).toContain('text/html');
  return reached.page.status;
}

/** What a refused push is told. */
async function expectRefusal(more: Record<string, string>, error: string | RegExp): Promise<void> {
  const { status, body } = await bank.push(bank.prepare(more));
  expect({ more, status, error: body.error }).toEqual({ more, status: 400, error: expect.stringMatching(error) });
  expect(body).not.toHaveProperty('request_uri');
}

/** Authorizes and redeems with `more` over the usual parameters, to the claims of the ID token. */
async function expectTokens(more: Record<string, string>) {
  const { prepared, returned } = await bank.authorize(budi, more);
  const { status, body } = await bank.redeem(returned, prepared);
  expect({ status, error: body.error }).toEqual({ status: 200 });
  return { returned, prepared, claims: decodeJwt(body.id_token), body };
}

test('fapi2-security-profile-final-discovery-end-point-verification', async () => {
  const issuer = gapura.config.issuer;
  const answer = await fetch(`${issuer}/.well-known/openid-configuration`);
  expect(answer.headers.get('content-type')).toContain('application/json');
  const metadata = (await answer.json()) as Record<string, unknown>;
  const holds = (...values: string[]) => expect.arrayContaining(values);
  expect(metadata).toMatchObject({
    issuer,
    authorization_endpoint: `${issuer}/auth`,
    token_endpoint: `${issuer}/token`,
    pushed_authorization_request_endpoint: `${issuer}/par`,
    userinfo_endpoint: `${issuer}/userinfo`,
    jwks_uri: `${issuer}/jwks`,
    authorization_response_iss_parameter_supported: true,
    claims_parameter_supported: true,
    code_challenge_methods_supported: ['S256'],
    dpop_signing_alg_values_supported: holds('ES256'),
    grant_types_supported: holds('authorization_code', 'refresh_token'),
    id_token_signing_alg_values_supported: holds('ES256'),
    response_types_supported: holds('code'),
    scopes_supported: holds('openid'),
    token_endpoint_auth_methods_supported: holds('private_key_jwt'),
    token_endpoint_auth_signing_alg_values_supported: holds('ES256', 'PS256'),
  });
  // Clause 5.4.1: neither of the two may sign a proof.
  const weak = /^(none|RS\d+|HS\d+)$/;
  expect((metadata.dpop_signing_alg_values_supported as string[]).filter((alg) => weak.test(alg))).toEqual([]);
});

test('fapi2-security-profile-final-happy-flow', async () => {
  for (const client of [bank, other]) {
    const visitor = newHttpVisitor(gapura.url);
    const { prepared, returned } = await client.authorize(visitor);
    expect(Object.fromEntries(returned.searchParams)).toEqual({
      code: expect.any(String),
      state: prepared.parameters.state,
      iss: gapura.config.issuer,
    });
    const { status, headers, body } = await client.redeem(returned, prepared);
    expect(status).toBe(200);
    expect(headers.get('cache-control')).toContain('no-store');
    expect(body).toMatchObject({ token_type: 'DPoP', scope: 'openid profile', expires_in: expect.any(Number) });
    expect(body.access_token.length).toBeGreaterThanOrEqual(22);
    expect(decodeProtectedHeader(body.id_token)).toMatchObject({ alg: 'ES256', kid: expect.any(String) });
    const claims = decodeJwt(body.id_token);
    const { nonce } = prepared.parameters;
    expect(claims).toMatchObject({ iss: gapura.config.issuer, aud: client.id, nonce, auth_time: expect.any(Number) });
    const told = await client.callResource(body.access_token);
    expect([told.status, told.body]).toEqual([
      200,
      expect.objectContaining({ sub: claims.sub, name: expect.anything() }),
    ]);
  }
});

test('fapi2-security-profile-final-user-rejects-authentication', async () => {
  const rejected = { error: 'access_denied', iss: gapura.config.issuer };
  const stranger = newHttpVisitor(gapura.url);
  const prepared = bank.prepare();
  const page = await stranger.get(await bank.begin(prepared));
  const first = await stranger.post(page.url, { cancel: '1' }, { follow: false });
  const answers = [await followTo(stranger, bank.redirect_uri, first)];
  // And one who is signed in already and is asked for more than before.
  const asked = bank.prepare({ scope: 'openid profile email', state: prepared.parameters.state ?? '' });
  const consent = await budi.get(await bank.begin(asked));
  expect(consent.body).toContain('id="deny"');
  const second = await budi.post(consent.url, { cancel: '1' }, { follow: false });
  answers.push(await followTo(budi, bank.redirect_uri, second));
  for (const answer of answers) {
    if (!('returned' in answer)) throw new Error('not led back');
    const { searchParams } = answer.returned;
    expect(Object.fromEntries(searchParams)).toMatchObject({ ...rejected, state: prepared.parameters.state });
    expect(searchParams.has('code')).toBe(false);
  }
});

test('fapi2-security-profile-final-ensure-authorization-request-without-state-success', async () => {
  const { returned } = await expectTokens({ state: '' });
  expect(returned.searchParams.has('state')).toBe(false);
});

test('fapi2-security-profile-final-ensure-authorization-request-without-nonce-success', async () => {
  const { claims } = await expectTokens({ nonce: '' });
  expect(claims).not.toHaveProperty('nonce');
});

test('fapi2-security-profile-final-ensure-authorization-request-with-64-char-nonce-success', async () => {
  const nonce = 'n'.repeat(64);
  expect((await expectTokens({ nonce })).claims.nonce).toBe(nonce);
});

test('fapi2-security-profile-final-ensure-other-scope-order-succeeds', async () => {
  const { body } = await expectTokens({ scope: 'profile openid' });
  expect(body.scope.split(' ').sort()).toEqual(['openid', 'profile']);
});

test('fapi2-security-profile-final-test-claims-parameter-identity-claims', async () => {
  const claims = { id_token: { name: { essential: true } }, userinfo: { name: null } };
  const { claims: told, body } = await expectTokens({ claims: JSON.stringify(claims) });
  expect(told.name).toEqual(expect.any(String));
  expect((await bank.callResource(body.access_token)).body.name).toBe(told.name);
});

test('fapi2-security-profile-final-ensure-different-nonce-inside-and-outside-request-object', async () => {
  const prepared = bank.prepare();
  const returned = await bank.visit(budi, `${await bank.begin(prepared)}&nonce=di-luar`);
  const { body } = await bank.redeem(returned, prepared);
  expect(decodeJwt(body.id_token).nonce).toBe(prepared.parameters.nonce);
});

test('fapi2-security-profile-final-ensure-different-state-inside-and-outside-request-object', async () => {
  const prepared = bank.prepare();
  const returned = await bank.visit(budi, `${await bank.begin(prepared)}&state=di-luar`);
  expect([returned.searchParams.get('state'), errorOf(returned)]).toEqual([prepared.parameters.state, null]);
});

test('fapi2-security-profile-final-state-only-outside-request-object-not-used', async () => {
  const prepared = bank.prepare({ state: '' });
  const returned = await bank.visit(budi, `${await bank.begin(prepared)}&state=di-luar`);
  expect([returned.searchParams.has('state'), errorOf(returned)]).toEqual([false, null]);
});

test('fapi2-security-profile-final-ensure-authorization-request-with-long-nonce', async () => {
  const nonce = 'n'.repeat(384);
  expect((await expectTokens({ nonce })).claims.nonce).toBe(nonce);
});

test('fapi2-security-profile-final-ensure-authorization-request-with-long-state', async () => {
  const state = 's'.repeat(1024);
  expect((await expectTokens({ state })).returned.searchParams.get('state')).toBe(state);
});

test('fapi2-security-profile-final-ensure-request-object-without-redirect-uri-fails', async () => {
  await expectRefusal({ redirect_uri: '' }, 'invalid_request');
});

test('fapi2-security-profile-final-ensure-redirect-uri-in-authorization-request', async () => {
  const prepared = bank.prepare({ redirect_uri: '' });
  const { status, body } = await bank.push(prepared);
  expect([status, body.error]).toEqual([400, 'invalid_request']);
  const outside = new URLSearchParams({ ...prepared.parameters, redirect_uri: bank.redirect_uri });
  expect(errorOf(await bank.visit(budi, `${gapura.config.issuer}/auth?${outside}`))).toBe('invalid_request');
});

test('fapi2-security-profile-final-plain-fapi-tolerate-unregistered-redirect-uri', async () => {
  for (const redirect_uri of [`${bank.redirect_uri}/`, other.redirect_uri, 'https://jahat.contoh.example/'])
    await expectRefusal({ redirect_uri }, /^invalid_re(quest|direct_uri)$/);
});

test('fapi2-security-profile-final-ensure-unsigned-authorization-request-without-using-par-fails', async () => {
  const { parameters } = bank.prepare();
  const returned = await bank.visit(budi, `${gapura.config.issuer}/auth?${new URLSearchParams(parameters)}`);
  expect([errorOf(returned), returned.searchParams.has('code')]).toEqual(['invalid_request', false]);
});

test('fapi2-security-profile-final-ensure-response-type-code-idtoken-fails', async () => {
  await expectRefusal(
    { response_type: 'code id_token' },
    /^(unsupported_response_type|unauthorized_client|invalid_request)$/,
  );
});

test('fapi2-security-profile-final-ensure-response-type-token-fails', async () => {
  await expectRefusal({ response_type: 'token' }, 'unsupported_response_type');
});

test('fapi2-security-profile-final-par-ensure-reused-request-uri-prior-to-auth-completion-succeeds', async () => {
  const visitor = newHttpVisitor(gapura.url);
  const prepared = bank.prepare();
  const address = await bank.begin(prepared);
  for (let reloads = 0; reloads < 2; reloads++)
    expect((await visitor.get(address)).body).toContain('name="identifier"');
  const returned = await bank.visit(visitor, address);
  expect((await bank.redeem(returned, prepared)).status).toBe(200);
});

test('fapi2-security-profile-final-par-attempt-reuse-request_uri', async () => {
  const address = await bank.begin(bank.prepare());
  expect((await bank.visit(budi, address)).searchParams.has('code')).toBe(true);
  expect(await expectPage(address)).toBe(400);
});

test('fapi2-security-profile-final-par-attempt-to-use-expired-request_uri', async () => {
  const pushed = await bank.push(bank.prepare());
  const lifetime = Number(pushed.body.expires_in);
  expect(lifetime).toBeGreaterThan(4);
  expect(lifetime).toBeLessThan(600);
  await moveClock(gapura.db, lifetime + 1, gapura.nodes);
  try {
    expect(await expectPage(bank.addressOf(pushed.body.request_uri))).toBe(400);
  } finally {
    await resetClock(gapura.db, gapura.nodes);
  }
});

test('fapi2-security-profile-final-par-attempt-to-use-request_uri-for-different-client', async () => {
  const { body } = await bank.push(bank.prepare());
  expect(await expectPage(bank.addressOf(body.request_uri, { client_id: other.id }))).toBe(400);
  // It was no good to the other, and is still good for its own.
  expect((await bank.visit(budi, bank.addressOf(body.request_uri))).searchParams.has('code')).toBe(true);
});

test('fapi2-security-profile-final-par-authorization-request-containing-request_uri-form-param', async () => {
  const { body } = await bank.push(bank.prepare());
  await expectRefusal({ request_uri: body.request_uri }, /^(invalid_request|request_uri_not_supported)$/);
});

test('fapi2-security-profile-final-par-attempt-invalid-http-method', async () => {
  for (const method of ['GET', 'PUT', 'PATCH', 'DELETE']) {
    const { status, body } = await bank.push(bank.prepare(), { method });
    expect([method, [404, 405].includes(status)]).toEqual([method, true]);
    expect(body).not.toHaveProperty('request_uri');
  }
});

test('fapi2-security-profile-final-par-ensure-pkce-required', async () => {
  await expectRefusal({ code_challenge: '', code_challenge_method: '' }, 'invalid_request');
});

test('fapi2-security-profile-final-par-plain-pkce-rejected', async () => {
  await expectRefusal({ code_challenge_method: 'plain' }, 'invalid_request');
  await expectRefusal({ code_challenge_method: '' }, 'invalid_request');
});

test('fapi2-security-profile-final-par-without-duplicate-parameters', async () => {
  const prepared = bank.prepare();
  const address = new URL(await bank.begin(prepared));
  expect([...address.searchParams.keys()].sort()).toEqual(['client_id', 'request_uri']);
  expect((await bank.redeem(await bank.visit(budi, address.href), prepared)).status).toBe(200);
});
