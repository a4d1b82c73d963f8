/** FAPI 2.0 Security Profile, as its conformance suite names it: codes and refresh tokens, bound to client, key and verifier. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { moveClock, resetClock } from '../support/clock.ts';
import { type FapiAnswer, type FapiClient, makeKey, openFapiClient } from '../support/fapi-client.ts';
import { type HttpVisitor, newHttpVisitor } from '../support/http.ts';
import { openSuite, type Suite } from './suite.ts';

let gapura: Suite;
let bank: FapiClient;
let other: FapiClient;
let budi: HttpVisitor;

beforeAll(async () => {
  gapura = await openSuite();
  bank = await openFapiClient(gapura, 'bank');
  other = await openFapiClient(gapura, 'bank-lain');
  budi = newHttpVisitor(gapura.url);
  for (const client of [bank, other]) await client.authorize(budi);
});

afterAll(() => gapura?.stop());

function expectRefusal({ status, body }: FapiAnswer, ...errors: string[]): void {
  expect([400, 401]).toContain(status);
  expect(errors).toContain(body.error);
  expect(body).not.toHaveProperty('access_token');
}

const refresh = (client: FapiClient, refresh_token: string, sending?: Parameters<FapiClient['send']>[2]) =>
  client.send('/token', { grant_type: 'refresh_token', refresh_token }, sending);

test('fapi2-security-profile-final-ensure-client-id-in-token-endpoint', async () => {
  const { prepared, returned } = await bank.authorize(budi);
  const mismatched = await bank.redeem(returned, prepared, {}, { client_id: other.id });
  expectRefusal(mismatched, 'invalid_request', 'invalid_client');
});

test('fapi2-security-profile-final-ensure-holder-of-key-required', async () => {
  const { prepared, returned } = await bank.authorize(budi);
  expectRefusal(
    await bank.redeem(returned, prepared, { proof: false }),
    'invalid_grant',
    'invalid_request',
    'invalid_dpop_proof',
  );
  const asked = bank.prepare();
  const unbound = await bank.visit(budi, await bank.begin(asked, { proof: false }));
  expectRefusal(
    await bank.redeem(unbound, asked, { proof: false }),
    'invalid_grant',
    'invalid_request',
    'invalid_dpop_proof',
  );
  expect((await bank.redeem(unbound, asked)).body.token_type).toBe('DPoP');
});

test('fapi2-security-profile-final-ensure-authorization-code-is-bound-to-client', async () => {
  const { prepared, returned } = await bank.authorize(budi);
  expectRefusal(await other.redeem(returned, prepared), 'invalid_grant');
  const redirect_uri = bank.redirect_uri;
  const stolen = { proof: { key: bank.proof_key } };
  expectRefusal(await other.redeem(returned, prepared, stolen, { redirect_uri }), 'invalid_grant');
  expect((await bank.redeem(returned, prepared)).status).toBe(200);
});

test('fapi2-security-profile-final-attempt-reuse-authorization-code-after-one-second', async () => {
  const { prepared, returned } = await bank.authorize(budi);
  const { body } = await bank.redeem(returned, prepared);
  expect((await bank.callResource(body.access_token)).status).toBe(200);
  await moveClock(gapura.db, 1, gapura.nodes);
  try {
    expectRefusal(await bank.redeem(returned, prepared), 'invalid_grant');
    expect((await bank.callResource(body.access_token)).status).toBe(401);
    expectRefusal(await refresh(bank, body.refresh_token), 'invalid_grant');
  } finally {
    await resetClock(gapura.db, gapura.nodes);
  }
});

test('fapi2-security-profile-final-ensure-token-endpoint-fails-with-expired-auth-code', async () => {
  const { prepared, returned } = await bank.authorize(budi);
  await moveClock(gapura.db, 61, gapura.nodes);
  try {
    expectRefusal(await bank.redeem(returned, prepared), 'invalid_grant');
  } finally {
    await resetClock(gapura.db, gapura.nodes);
  }
});

test('fapi2-security-profile-final-ensure-pkce-code-verifier-required', async () => {
  const { prepared, returned } = await bank.authorize(budi);
  expectRefusal(await bank.redeem(returned, prepared, {}, { code_verifier: '' }), 'invalid_grant', 'invalid_request');
});

test('fapi2-security-profile-final-incorrect-pkce-code-verifier-rejected', async () => {
  const { prepared, returned } = await bank.authorize(budi);
  for (const code_verifier of [bank.prepare().verifier, prepared.parameters.code_challenge ?? '', 'pendek'])
    expectRefusal(await bank.redeem(returned, prepared, {}, { code_verifier }), 'invalid_grant', 'invalid_request');
  // Nobody who only guesses can spend it.
  expect((await bank.redeem(returned, prepared)).status).toBe(200);
});

test('fapi2-security-profile-final-refresh-token', async () => {
  const first = await bank.getTokens(budi);
  const { sub } = decodeJwt(first.id_token);
  for (let times = 0; times < 2; times++) {
    const { status, body } = await refresh(bank, first.refresh_token);
    expect([status, body.token_type]).toEqual([200, 'DPoP']);
    // It does not rotate (5.3.2.1): a client whose answer was lost asks again.
    expect(body.refresh_token).toBe(first.refresh_token);
    expect(body.access_token).not.toBe(first.access_token);
    expect(decodeJwt(body.id_token)).toMatchObject({ sub, aud: bank.id, iss: gapura.config.issuer });
    expect((await bank.callResource(body.access_token)).body.sub).toBe(sub);
  }
  expectRefusal(await refresh(other, first.refresh_token), 'invalid_grant');
  const key = bank.proof_key;
  expectRefusal(await refresh(other, first.refresh_token, { proof: { key } }), 'invalid_grant');
  // The client proves itself by its assertion, so it may change the key (RFC 9449 section 5); what it gets is bound to that one.
  const changed = await makeKey();
  const { body: moved } = await refresh(bank, first.refresh_token, { proof: { key: changed } });
  expect((await bank.callResource(moved.access_token)).status).toBe(401);
  expect((await bank.callResource(moved.access_token, { proof: { key: changed } })).status).toBe(200);
  expectRefusal(await refresh(bank, first.refresh_token, { proof: false }), 'invalid_grant', 'invalid_request');
  expectRefusal(await refresh(bank, first.refresh_token, { assertion: false }), 'invalid_client', 'invalid_request');
  expectRefusal(
    await bank.send('/token', {
      grant_type: 'refresh_token',
      refresh_token: first.refresh_token,
      scope: 'openid email',
    }),
    'invalid_scope',
  );
  // None of these harmed the one whose it is.
  expect((await refresh(bank, first.refresh_token)).status).toBe(200);
});
