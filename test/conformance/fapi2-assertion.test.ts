/** FAPI 2.0 Security Profile, as its conformance suite names it: how a client says who it is. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type FapiClient, makeKey, openFapiClient, type Spoilt, signJwt } from '../support/fapi-client.ts';
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
  await bank.authorize(budi);
});

afterAll(() => gapura?.stop());

const from_now = (seconds: number) => Math.floor(Date.now() / 1000) + seconds;

/** Neither a request is taken nor a code redeemed with such an assertion; the code is still good afterwards. */
async function expectRefused(assertion: Spoilt | false): Promise<void> {
  const { prepared, returned } = await bank.authorize(budi);
  const answers = [
    await bank.push(bank.prepare(), { assertion }),
    await bank.redeem(returned, prepared, { assertion }),
  ];
  for (const { status, body } of answers) {
    expect([400, 401]).toContain(status);
    expect(body).toEqual({
      error: expect.stringMatching(/^invalid_(client|request)$/),
      error_description: expect.anything(),
    });
  }
  expect((await bank.redeem(returned, prepared)).status).toBe(200);
}

async function expectAccepted(assertion: Spoilt): Promise<void> {
  const { prepared, returned } = await bank.authorize(budi);
  expect((await bank.push(bank.prepare(), { assertion })).status).toBe(201);
  expect((await bank.redeem(returned, prepared, { assertion })).status).toBe(200);
}

test('fapi2-security-profile-final-ensure-client-assertion-in-token-endpoint', async () => {
  await expectRefused(false);
  const { prepared, returned } = await bank.authorize(budi);
  const { status, body } = await bank.redeem(returned, prepared, { assertion: false }, { client_id: bank.id });
  expect([status, body.error]).toEqual([401, 'invalid_client']);
});

test('fapi2-security-profile-final-ensure-signed-client-assertion-with-RS256-fails', async () => {
  await expectRefused({ key: await makeKey('RS256') });
  await expectRefused({ header: { alg: 'RS256' } });
  await expectRefused({ header: { alg: 'none' }, text: (jwt) => jwt.replace(/[^.]+$/, '') });
});

test('fapi2-security-profile-final-ensure-client-assertion-with-exp-is-5-minutes-in-past-fails', async () => {
  await expectRefused({ claims: { iat: from_now(-360), exp: from_now(-300) } });
});

test('fapi2-security-profile-final-ensure-client-assertion-with-wrong-aud-fails', async () => {
  for (const aud of ['https://lain.contoh.example', `${gapura.config.issuer}/`, gapura.url, bank.id, undefined])
    await expectRefused({ claims: { aud } });
});

test('fapi2-security-profile-final-ensure-client-assertion-with-no-sub-fails', async () => {
  await expectRefused({ claims: { sub: undefined } });
  const { status, body } = await bank.push(bank.prepare(), { assertion: { claims: { sub: undefined } } });
  expect([status, body.error]).toEqual([401, 'invalid_client']);
});

test('fapi2-security-profile-final-par-ensure-jwt-client-assertions-nbf-8-seconds-in-the-future-is-accepted', async () => {
  await expectAccepted({ claims: { nbf: from_now(8), iat: from_now(8) } });
});

test('fapi2-security-profile-final-par-ensure-jwt-client-assertions-nbf-over-60-seconds-in-the-future-fails', async () => {
  await expectRefused({ claims: { nbf: from_now(65), exp: from_now(180) } });
});

test('an assertion made more than a minute from now is refused, one of ten seconds is not (clause 5.3.2.1)', async () => {
  await expectAccepted({ claims: { iat: from_now(10) } });
  await expectRefused({ claims: { iat: from_now(65), exp: from_now(180) } });
});

test('fapi2-security-profile-final-par-test-array-as-audience-fails', async () => {
  for (const aud of [[gapura.config.issuer], [gapura.config.issuer, `${gapura.config.issuer}/par`]])
    await expectRefused({ claims: { aud } });
});

test('fapi2-security-profile-final-par-test-par-endpoint-url-as-audience-fails', async () => {
  await expectRefused({ claims: { aud: `${gapura.config.issuer}/par` } });
});

test('fapi2-security-profile-final-par-test-token-endpoint-url-as-audience-fails', async () => {
  await expectRefused({ claims: { aud: `${gapura.config.issuer}/token` } });
});

test('an assertion counts once, and only by a key that the client registered', async () => {
  const jti = crypto.randomUUID();
  expect((await bank.push(bank.prepare(), { assertion: { claims: { jti } } })).status).toBe(201);
  expect((await bank.push(bank.prepare(), { assertion: { claims: { jti } } })).body.error).toBe('invalid_client');
  const stranger = await makeKey();
  await expectRefused({ key: stranger });
  // A key that is named or shown in the head is nobody's.
  await expectRefused({ key: stranger, header: { jwk: stranger.jwk, kid: undefined } });
  await expectRefused({ key: stranger, header: { jku: 'https://jahat.contoh.example/jwks', kid: 'jahat' } });
  await expectRefused({ key: other.key });
  await expectRefused({ claims: { iss: other.id } });
  // The public key is no secret (CVE-2015-9235).
  const claims = { iss: bank.id, sub: bank.id, aud: gapura.config.issuer, jti, exp: from_now(60) };
  await expectRefused({ text: () => signJwt({ alg: 'HS256', kid: 'tanda' }, claims, bank.key) });
});
