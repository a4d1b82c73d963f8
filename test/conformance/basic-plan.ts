/** The modules of the Basic plan, which the Form Post Basic plan runs once more with its own way of answering. */

import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify, UnsecuredJWT } from 'jose';
import * as oidc from 'openid-client';
import { moveClock, resetClock } from '../support/clock.ts';
import { newHttpVisitor } from '../support/http.ts';
import {
  answerOf,
  askForTokens,
  authorize,
  discover,
  isErrorPage,
  openStaticParty,
  openSuite,
  opensUserinfo,
  type Parameters,
  type Party,
  type Person,
  readUserinfo,
  redeem,
  type Suite,
  signInAt,
} from './suite.ts';

/** Every claim of a scope that Gapura holds, for a person whose profile is full. */
const claims_of = {
  profile: ['name', 'preferred_username', 'locale', 'zoneinfo', 'updated_at'],
  email: ['email', 'email_verified'],
  address: ['address'],
  phone: ['phone_number', 'phone_number_verified'],
};

/** Declares the plan's tests in the calling file. */
export function testBasicPlan(mode: 'query' | 'form_post'): void {
  let suite: Suite;
  let party: Party;
  let second: Party;

  beforeAll(async () => {
    suite = await openSuite();
    const grant_types = ['authorization_code', 'refresh_token'];
    party = await openStaticParty(suite, 'suite-one', { metadata: { grant_types } });
    second = await openStaticParty(suite, 'suite-two', { metadata: { grant_types } });
  });

  afterEach(() => resetClock(suite.db, suite.nodes));

  afterAll(() => suite?.stop());

  const way: Parameters = mode === 'query' ? {} : { response_mode: mode };
  const ask = (parameters: Parameters = {}, person: Person = {}, asking = party) =>
    authorize(asking, { ...way, ...parameters }, person);
  const enter = (parameters: Parameters = {}, person: Person = {}, asking = party) =>
    signInAt(asking, { ...way, ...parameters }, person);
  const move = (seconds: number) => moveClock(suite.db, seconds, suite.nodes);

  /** A request that differs from the usual one in what must make no difference. */
  async function expectUsual(parameters: Parameters): Promise<void> {
    const { visit, claims } = await enter(parameters);
    expect(visit.asked).toEqual(['login', 'consent'].slice(0, visit.asked.length));
    expect(visit.mode).toBe(mode);
    expect(claims.sub).toBeTruthy();
  }

  test('oidcc-server', async () => {
    const visit = await ask();
    expect(visit.asked).toEqual(['login', 'consent']);
    expect(visit.mode).toBe(mode);
    const { code = '', state, iss, ...others } = answerOf(visit);
    expect(others).toEqual({});
    expect([state, iss]).toEqual([visit.checks.expectedState, suite.issuer]);
    const { status, headers, body } = await askForTokens(party, {
      grant_type: 'authorization_code',
      code,
      redirect_uri: party.redirect_uri,
    });
    expect(status).toBe(200);
    expect(headers.get('content-type')).toMatch(/^application\/json/);
    expect(headers.get('cache-control')).toContain('no-store');
    expect(body).toMatchObject({ token_type: 'Bearer', expires_in: expect.any(Number), scope: 'openid' });
    const keys = createRemoteJWKSet(new URL(`${suite.issuer}/jwks`));
    const { payload } = await jwtVerify(String(body.id_token), keys, {
      issuer: suite.issuer,
      audience: party.client_id,
    });
    expect(payload).toMatchObject({
      sub: expect.stringMatching(/^[\x21-\x7e]{1,255}$/),
      nonce: visit.checks.expectedNonce,
      iat: expect.any(Number),
      exp: expect.any(Number),
    });
    const userinfo = await readUserinfo(party, { access_token: String(body.access_token) }, payload.sub as string);
    expect(userinfo.sub).toBe(payload.sub);
    expect(Math.min(...suite.proxy.sent)).toBeGreaterThan(0);
  });

  test('oidcc-response-type-missing', async () => {
    const { error, state } = answerOf(await ask({ response_type: undefined, state: 'keadaan' }));
    expect(['invalid_request', 'unsupported_response_type']).toContain(error);
    expect(state).toBe('keadaan');
  });

  test('oidcc-idtoken-signature', async () => {
    const { tokens } = await enter();
    const { alg, kid } = decodeProtectedHeader(tokens.id_token as string);
    expect(alg).toBe('RS256');
    const { keys } = (await (await fetch(`${suite.issuer}/jwks`)).json()) as { keys: Record<string, unknown>[] };
    expect(keys.filter((key) => key.kid === kid)).toMatchObject([{ kty: 'RSA', use: 'sig' }]);
    await jwtVerify(tokens.id_token as string, createRemoteJWKSet(new URL(`${suite.issuer}/jwks`)));
  });

  test('oidcc-userinfo-get', async () => {
    const { tokens, claims } = await enter();
    const answer = await fetch(`${suite.issuer}/userinfo`, {
      headers: { authorization: `Bearer ${tokens.access_token}` },
    });
    expect(answer.headers.get('content-type')).toMatch(/^application\/json/);
    expect(await answer.json()).toEqual({ sub: claims.sub });
  });

  test('oidcc-userinfo-post-header', async () => {
    const { tokens, claims } = await enter();
    const headers = { authorization: `Bearer ${tokens.access_token}` };
    const answer = await fetch(`${suite.issuer}/userinfo`, { method: 'POST', headers });
    expect(await answer.json()).toEqual({ sub: claims.sub });
  });

  test('oidcc-userinfo-post-body', async () => {
    const { tokens, claims } = await enter();
    const body = new URLSearchParams({ access_token: tokens.access_token });
    const answer = await fetch(`${suite.issuer}/userinfo`, { method: 'POST', body });
    expect(await answer.json()).toEqual({ sub: claims.sub });
  });

  test('oidcc-ensure-request-without-nonce-succeeds-for-code-flow', async () => {
    const { claims } = await enter({ nonce: undefined });
    expect(claims).not.toHaveProperty('nonce');
  });

  /** With an access token, scopes bring their claims to userinfo and not into the ID token (OpenID Connect Core 5.4). */
  async function expectClaims(...scopes: (keyof typeof claims_of)[]): Promise<void> {
    const { tokens, claims } = await enter({ scope: ['openid', ...scopes].join(' ') });
    const userinfo = await readUserinfo(party, tokens, claims.sub);
    const wanted = scopes.flatMap((scope) => claims_of[scope]);
    expect(Object.keys(userinfo)).toEqual(expect.arrayContaining(wanted));
    for (const [scope, names] of Object.entries(claims_of)) {
      if (!scopes.includes(scope as keyof typeof claims_of))
        for (const name of names) expect(userinfo).not.toHaveProperty(name);
    }
    for (const name of wanted) expect(claims).not.toHaveProperty(name);
  }

  test('oidcc-scope-profile', () => expectClaims('profile'));

  test('oidcc-scope-email', () => expectClaims('email'));

  test('oidcc-scope-address', async () => {
    await expectClaims('address');
    const { tokens, claims } = await enter({ scope: 'openid address' });
    expect((await readUserinfo(party, tokens, claims.sub)).address).toEqual({
      formatted: expect.any(String),
      street_address: expect.any(String),
      locality: expect.any(String),
      postal_code: expect.any(String),
      country: 'ID',
    });
  });

  test('oidcc-scope-phone', () => expectClaims('phone'));

  test('oidcc-scope-all', () => expectClaims('profile', 'email', 'address', 'phone'));

  test('oidcc-alternate-happy-flow', async () => {
    const { tokens, claims } = await enter({ scope: 'profile openid', nonce: 'a' }, { backwards: true });
    expect(claims.nonce).toBe('a');
    expect(await readUserinfo(party, tokens, claims.sub)).toMatchObject({ preferred_username: 'budi' });
  });

  test('oidcc-display-page', () => expectUsual({ display: 'page' }));

  test('oidcc-display-popup', () => expectUsual({ display: 'popup' }));

  test('oidcc-prompt-login', async () => {
    const first = await enter();
    await move(5);
    const { visitor } = first.visit;
    const second = await enter({ prompt: 'login' }, { visitor });
    expect(second.visit.asked).toEqual(['login']);
    expect(second.claims.sub).toBe(first.claims.sub);
    const [before, after] = [first, second].map(({ claims }) => Number(claims.auth_time));
    expect(Number(after) - Number(before)).toBeGreaterThanOrEqual(4);
  });

  test('oidcc-prompt-none-not-logged-in', async () => {
    const visit = await ask({ prompt: 'none' });
    const { error, state, code } = answerOf(visit);
    expect([error, state, code]).toEqual(['login_required', visit.checks.expectedState, undefined]);
    expect(visit.mode).toBe(mode);
  });

  test('oidcc-prompt-none-logged-in', async () => {
    const first = await enter();
    await move(5);
    const again = await enter({ prompt: 'none' }, { visitor: first.visit.visitor });
    expect(again.visit.asked).toEqual([]);
    expect([again.claims.sub, again.claims.auth_time]).toEqual([first.claims.sub, first.claims.auth_time]);
  });

  test('oidcc-max-age-1', async () => {
    const first = await enter();
    await move(5);
    const again = await enter({ max_age: '1' }, { visitor: first.visit.visitor });
    expect(again.visit.asked).toEqual(['login']);
    expect(again.claims.sub).toBe(first.claims.sub);
    expect(Number(again.claims.auth_time) - Number(first.claims.auth_time)).toBeGreaterThanOrEqual(4);
  });

  test('oidcc-max-age-10000', async () => {
    const first = await enter({ max_age: '10000' });
    await move(5);
    const again = await enter({ max_age: '10000' }, { visitor: first.visit.visitor });
    expect(again.visit.asked).toEqual([]);
    expect(again.claims.auth_time).toEqual(expect.any(Number));
    expect(again.claims.auth_time).toBe(first.claims.auth_time);
  });

  test('oidcc-ensure-request-with-unknown-parameter-succeeds', () => expectUsual({ tambahan: 'foobar' }));

  test('oidcc-id-token-hint', async () => {
    const { visit, tokens, claims } = await enter();
    const parameters = { prompt: 'none', id_token_hint: tokens.id_token };
    const again = await enter(parameters, { visitor: visit.visitor });
    expect([again.visit.asked, again.claims.sub]).toEqual([[], claims.sub]);
  });

  test('oidcc-login-hint', () => expectUsual({ login_hint: 'budi' }));

  test('oidcc-ui-locales', () => expectUsual({ ui_locales: 'se id en' }));

  test('oidcc-claims-locales', () => expectUsual({ claims_locales: 'se id' }));

  test('oidcc-ensure-request-with-acr-values-succeeds', async () => {
    const { acr_values_supported: known } = (await discover(suite)) as { acr_values_supported: string[] };
    const { claims } = await enter({ acr_values: `1 2 ${known[0]}` });
    expect(known).toContain(claims.acr);
  });

  test('oidcc-codereuse', async () => {
    const { visit } = await enter();
    await expect(redeem(party, visit)).rejects.toMatchObject({ status: 400, error: 'invalid_grant' });
  });

  test('oidcc-codereuse-30seconds', async () => {
    const { visit, tokens } = await enter();
    expect(await opensUserinfo(party, tokens.access_token)).toBe(true);
    await move(30);
    await expect(redeem(party, visit)).rejects.toMatchObject({ status: 400, error: 'invalid_grant' });
    expect(await opensUserinfo(party, tokens.access_token)).toBe(false);
  });

  test('oidcc-ensure-registered-redirect-uri', async () => {
    const visit = await ask({ redirect_uri: `${party.redirect_uri}/lain` });
    expect(isErrorPage(visit)).toBe(true);
    expect(visit.asked).toEqual([]);
  });

  test('oidcc-ensure-post-request-succeeds', async () => {
    const { visit, claims } = await enter({}, { posts: true });
    expect(visit.asked).toContain('login');
    expect(claims.sub).toBeTruthy();
    // Somebody who is signed in is known however the request comes.
    const again = await enter({ prompt: 'none' }, { visitor: visit.visitor, posts: true });
    expect(again.claims.sub).toBe(claims.sub);
  });

  test('oidcc-server-client-secret-post', async () => {
    const poster = await openStaticParty(
      suite,
      'suite-post',
      { metadata: { token_endpoint_auth_method: 'client_secret_post', grant_types: ['authorization_code'] } },
      oidc.ClientSecretPost,
    );
    const { tokens, claims } = await enter({}, {}, poster);
    expect((await readUserinfo(poster, tokens, claims.sub)).sub).toBe(claims.sub);
  });

  test('oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported', async () => {
    expect(await discover(suite)).toMatchObject({ request_uri_parameter_supported: false });
    const { error, code } = answerOf(await ask({ request_uri: 'https://suite.contoh.example/permintaan' }));
    expect([error, code]).toEqual(['request_uri_not_supported', undefined]);
  });

  test('oidcc-claims-essential', async () => {
    const { tokens, claims } = await enter({ claims: JSON.stringify({ userinfo: { name: { essential: true } } }) });
    expect(await readUserinfo(party, tokens, claims.sub)).toHaveProperty('name');
  });

  test('oidcc-refresh-token', async () => {
    const { tokens, claims } = await enter({ scope: 'openid offline_access', prompt: 'consent' });
    const token = tokens.refresh_token as string;
    const foreign = oidc.refreshTokenGrant(second.configuration, token);
    await expect(foreign).rejects.toMatchObject({ status: 400, error: 'invalid_grant' });
    await move(5);
    const refreshed = await oidc.refreshTokenGrant(party.configuration, token);
    expect(refreshed.access_token).not.toBe(tokens.access_token);
    expect(await opensUserinfo(party, refreshed.access_token)).toBe(true);
    const renewed = refreshed.claims();
    if (renewed) {
      const { iss, sub, aud, auth_time } = claims;
      expect(renewed).toMatchObject({ iss, sub, aud, ...(auth_time === undefined ? {} : { auth_time }) });
      expect(renewed.iat).toBeGreaterThan(claims.iat);
    }
  });

  test('oidcc-ensure-request-with-valid-pkce-succeeds', async () => {
    const pkceCodeVerifier = oidc.randomPKCECodeVerifier();
    const code_challenge = await oidc.calculatePKCECodeChallenge(pkceCodeVerifier);
    const challenge = { code_challenge, code_challenge_method: 'S256' };
    const tokens = await redeem(party, await ask(challenge), { pkceCodeVerifier });
    expect(tokens.claims()?.sub).toBeTruthy();
    const wrong = redeem(party, await ask(challenge), { pkceCodeVerifier: oidc.randomPKCECodeVerifier() });
    await expect(wrong).rejects.toMatchObject({ error: 'invalid_grant' });
  });

  test('what the suite skips is not on offer: unsigned ID tokens and unsigned request objects', async () => {
    const offered = (await discover(suite)) as Record<string, string[]>;
    expect(offered.id_token_signing_alg_values_supported).not.toContain('none');
    expect(offered.request_object_signing_alg_values_supported).not.toContain('none');
    const unsigned = new UnsecuredJWT({
      client_id: party.client_id,
      redirect_uri: party.redirect_uri,
      response_type: 'code',
      scope: 'openid',
    }).encode();
    const { error, code } = answerOf(await ask({ request: unsigned }));
    expect([error, code]).toEqual(['invalid_request_object', undefined]);
  });

  test('a browser that holds nothing of a first visit is asked as at first', async () => {
    await enter();
    const { visit } = await enter({}, { visitor: newHttpVisitor(suite.url) });
    expect(visit.asked).toEqual(['login']);
  });
}
