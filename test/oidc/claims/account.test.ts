/** Claims asked for by name (OpenID Connect Core 5.5): delivered where they were asked for, within what the client is registered for. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as oidc from 'openid-client';
import { demo_password, registerClient, startGapura, type TestGapura } from '../../support/gapura.ts';
import { newHttpVisitor } from '../../support/http.ts';
import { authorize, openParty, type TestParty } from '../../support/relying-party.ts';

let gapura: TestGapura;
/** Registered for everything about people. */
let wide: TestParty;
/** Registered for no more than who somebody is. */
let narrow: TestParty;
const visitor = () => newHttpVisitor(gapura.url);

beforeAll(async () => {
  gapura = await startGapura();
  const scope = 'openid profile email phone address organization role directorate linked_account';
  const of_agency = { agency_code: 'BPOM', directorate_required: true };
  wide = await openParty(
    gapura.config.issuer,
    await registerClient(gapura, 'luas', { ...of_agency, metadata: { scope } }),
    'openid',
  );
  const metadata = { scope: 'openid profile' };
  narrow = await openParty(gapura.config.issuer, await registerClient(gapura, 'sempit', { metadata }), 'openid');
});

afterAll(() => gapura.stop());

interface Wanted {
  userinfo?: Record<string, object | null>;
  id_token?: Record<string, object | null>;
}

/** Signs somebody in with a request for claims; gives both places where they may stand. */
async function tell(party: TestParty, claims: Wanted, { scope = 'openid', identifier = 'tono', more = {} } = {}) {
  const { address, checks } = await party.begin({ claims: JSON.stringify(claims), scope, ...more });
  const answers = { identifier, password: demo_password };
  const tokens = await party.redeem(await authorize(visitor(), address, party.redirect_uri, answers), checks);
  const id_token = tokens.claims() as Record<string, unknown>;
  const userinfo = await oidc.fetchUserInfo(party.configuration, tokens.access_token, String(id_token.sub));
  return { id_token, userinfo: userinfo as Record<string, unknown>, tokens };
}

test('with the scope openid alone stand where they were asked for, essential or not, and nowhere else', async () => {
  const { id_token, userinfo } = await tell(wide, {
    userinfo: { email: { essential: true }, phone_number: null, address: {} },
    id_token: { name: null, role: { essential: false } },
  });
  expect(userinfo).toMatchObject({ email: 'tono@contoh.example', phone_number: '+6281200000103' });
  expect(userinfo.address).toMatchObject({ locality: 'Surabaya', country: 'ID' });
  expect(id_token).toMatchObject({ name: 'Tono Contoh Prasetyo', role: [{ name: 'trader' }] });
  for (const claim of ['name', 'role', 'preferred_username', 'email_verified', 'organization'])
    expect(userinfo).not.toHaveProperty(claim);
  for (const claim of ['email', 'phone_number', 'address', 'preferred_username', 'organization'])
    expect(id_token).not.toHaveProperty(claim);
});

test('are told again after a refresh, in the same places', async () => {
  const { tokens } = await tell(wide, { userinfo: { email: null }, id_token: { name: null } });
  const again = await oidc.refreshTokenGrant(wide.configuration, tokens.refresh_token ?? '');
  expect(again.claims()).toMatchObject({ name: 'Tono Contoh Prasetyo' });
  const { sub } = again.claims() as { sub: string };
  expect(await oidc.fetchUserInfo(wide.configuration, again.access_token, sub)).toEqual({
    sub,
    email: 'tono@contoh.example',
  });
});

test('stand beside those that a scope brings', async () => {
  const { userinfo, id_token } = await tell(wide, { userinfo: { email: null } }, { scope: 'openid role directorate' });
  expect(Object.keys(userinfo).sort()).toEqual(['directorate', 'email', 'role', 'sub']);
  expect(id_token).toMatchObject({ directorate: { code: 'OT' } });
  expect(id_token).not.toHaveProperty('role');
});

test('of an agency are told with their scope, and not by their name alone', async () => {
  const directorate = { id_token: { directorate: null }, userinfo: { directorate: null } };
  const named = await tell(wide, directorate);
  const brought = await tell(wide, directorate, { scope: 'openid directorate' });
  for (const place of ['id_token', 'userinfo'] as const) {
    expect(named[place]).not.toHaveProperty('directorate');
    expect(brought[place]).toMatchObject({ directorate: { agency: 'BPOM', code: 'OT' } });
  }
});

test('are no way around the scopes of a registration', async () => {
  const asked = { name: null, email: { essential: true }, address: null, organization: null, role: null };
  const { id_token, userinfo } = await tell(narrow, { userinfo: asked, id_token: asked });
  expect(userinfo).toEqual({ sub: id_token.sub, name: 'Tono Contoh Prasetyo' });
  expect(id_token).toMatchObject({ name: 'Tono Contoh Prasetyo' });
  for (const claim of ['email', 'address', 'organization', 'role']) expect(id_token).not.toHaveProperty(claim);
});

describe('with a value', () => {
  test('are told where they have it, and left out without an error where they have not', async () => {
    const { userinfo } = await tell(wide, {
      userinfo: {
        email: { value: 'tono@contoh.example' },
        locale: { values: ['en', 'id'] },
        name: { value: 'Budi Contoh Santoso', essential: true },
        zoneinfo: { values: ['Asia/Makassar'] },
      },
    });
    expect(Object.keys(userinfo).sort()).toEqual(['email', 'locale', 'sub']);
  });

  test('are told by their scope whatever value was wanted', async () => {
    const { userinfo } = await tell(wide, { userinfo: { email: { value: 'x@y.example' } } }, { scope: 'openid email' });
    expect(userinfo).toMatchObject({ email: 'tono@contoh.example' });
  });
});

test.each([
  ['no JSON', '{'],
  ['a list', '[]'],
  ['neither place', '{"email":null}'],
  ['a text as a place', '{"userinfo":"email"}'],
  ['a text as a claim', '{"userinfo":{"email":"x"}}'],
])('%s is an error of the request', async (_what, claims) => {
  const { address } = await wide.begin({ claims });
  const returned = await authorize(visitor(), address, wide.redirect_uri);
  expect(returned.searchParams.get('error')).toBe('invalid_request');
});

test('that nobody has ever heard of, or that are no data of a person, change nothing', async () => {
  const odd = { given_name: null, __proto__: null, constructor: {}, 'https://x.example/y': null, password: null };
  const { userinfo, id_token } = await tell(wide, {
    userinfo: JSON.parse(JSON.stringify(odd)),
    id_token: { profile: null, picture: null, sid: null },
  });
  expect(Object.keys(userinfo)).toEqual(['sub']);
  expect(id_token).toMatchObject({ sid: expect.any(String) });
  expect(id_token).not.toHaveProperty('profile');
});

test('every claim of the discovery document is one that somebody gets', async () => {
  const { claims_supported } = wide.configuration.serverMetadata();
  const { userinfo, id_token } = await tell(
    wide,
    { id_token: { sid: null } },
    { scope: 'openid profile email phone address organization role directorate' },
  );
  // Tono has neither fax nor expiry, and no linked user name: theirs is in the tests of what has them.
  const not_his = ['fax_number', 'account_expires_at', 'linked_account'];
  const got = [...Object.keys(userinfo), ...Object.keys(id_token), ...not_his];
  expect((claims_supported as string[]).filter((claim) => !got.includes(claim))).toEqual([]);
});

test('a scope that is taken from a client leaves its tokens at their next use, and stays away after a refresh', async () => {
  const full = { metadata: { scope: 'openid profile email organization' } };
  const party = await openParty(
    gapura.config.issuer,
    await registerClient(gapura, 'dipersempit', full),
    full.metadata.scope,
  );
  const { tokens, userinfo } = await tell(party, { userinfo: { name: null } }, { scope: full.metadata.scope });
  expect(userinfo).toHaveProperty('email');
  await registerClient(gapura, 'dipersempit', { metadata: { scope: 'openid profile' } });
  const ask = (token: string) =>
    oidc.fetchUserInfo(party.configuration, token, String(tokens.claims()?.sub)) as Promise<Record<string, unknown>>;
  const renewed = await oidc.refreshTokenGrant(party.configuration, tokens.refresh_token ?? '');
  expect(renewed.scope).toBe('openid profile');
  for (const told of [await ask(tokens.access_token), await ask(renewed.access_token)]) {
    expect(told).toHaveProperty('name');
    for (const claim of ['email', 'organization']) expect(told).not.toHaveProperty(claim);
  }
});
