/** Tokens for registered APIs over HTTP: who gets one, what it says, where it counts, and what a person was told before. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose';
import * as oidc from 'openid-client';
import { lockAccount, unlockAccount } from '../../../src/accounts/account.ts';
import { client_scopes } from '../../../src/clients/choices.ts';
import { inTransaction } from '../../../src/database.ts';
import { withdrawClient } from '../../../src/resource-servers/grants.ts';
import {
  endApiScope,
  isReserved,
  longest_lifetimes,
  setResourceServerActive,
} from '../../../src/resource-servers/resource-server.ts';
import {
  demo_password,
  newSignedInVisitor,
  registerClient,
  startGapura,
  type TestGapura,
} from '../../support/gapura.ts';
import { type HttpVisitor, newHttpVisitor } from '../../support/http.ts';
import { findAccountId } from '../../support/nodes.ts';
import { authorize, followTo, openParty, type TestParty } from '../../support/relying-party.ts';
import { allowAt, registerApi, type TestApi } from '../../support/resource-servers.ts';
import { listStatements } from '../../support/statements.ts';
import { storm } from '../../support/storm.ts';

const deed = { because: 'test' };

let gapura: TestGapura;
let stock: TestApi;
let opaque: TestApi;

beforeAll(async () => {
  gapura = await startGapura();
  await registerClient(gapura, 'layanan-stok');
  await registerClient(gapura, 'layanan-lain');
  stock = await registerApi(gapura, 'stok', { client_id: 'layanan-stok' });
  opaque = await registerApi(gapura, 'arsip', { client_id: 'layanan-stok', token_format: 'opaque' });
});

afterAll(() => gapura.stop());

const post = async (path: string, client_id: string, form: Record<string, string> | [string, string][]) => {
  const basic = Buffer.from(`${client_id}:secret-of-${client_id}-which-is-long-enough`).toString('base64');
  const response = await fetch(`${gapura.config.issuer}${path}`, {
    method: 'POST',
    headers: { authorization: `Basic ${basic}` },
    body: new URLSearchParams(form),
  });
  // biome-ignore lint/suspicious/noExplicitAny: each test knows what it asked for
  return { status: response.status, body: (await response.json()) as any };
};

const introspect = (client_id: string, token: string) => post('/introspection', client_id, { token });

/** A client that people come to, allowed at both APIs. */
async function openClient(id: string, more: Parameters<typeof registerClient>[2] = {}) {
  const client = await registerClient(gapura, id, more);
  await allowAt(gapura, stock, { client_id: id });
  await allowAt(gapura, opaque, { client_id: id });
  return { client, party: await openParty(gapura.config.issuer, client, 'openid stok:baca') };
}

async function getCode(party: TestParty, visitor: HttpVisitor, parameters: Record<string, string>) {
  const { address, checks } = await party.begin(parameters);
  const answers = { identifier: 'budi', password: demo_password };
  return { returned: await authorize(visitor, address, party.redirect_uri, answers), checks };
}

/** Signs Budi in for an API and gives what the token endpoint answers. */
async function getTokens(party: TestParty, resource: string, scope = 'openid stok:baca') {
  const visitor = newHttpVisitor(gapura.url);
  const { returned, checks } = await getCode(party, visitor, { resource, scope });
  return oidc.authorizationCodeGrant(party.configuration, returned, checks, { resource });
}

const ask = (path: string, token: string) =>
  fetch(`${gapura.url}${path}`, { headers: { authorization: `Bearer ${token}` } });

test('no scope of ours can be an API’s, and a token that cannot be taken back lives five minutes', () => {
  expect(client_scopes.filter((scope) => !isReserved(scope))).toEqual([]);
  expect(isReserved('admin:anything')).toBe(true);
  expect(longest_lifetimes).toEqual({ jwt: 300, opaque: 3600 });
});

describe('a JWT access token', () => {
  test('that is stored nowhere costs its code all the same: of 20 at once one gets it, and a wrong try spends it too', async () => {
    const { party, client } = await openClient('toko-ramai');
    const scope = 'openid stok:baca';
    const getForm = async () => {
      const visitor = newHttpVisitor(gapura.url);
      const { returned, checks } = await getCode(party, visitor, { resource: stock.identifier, scope });
      const form = {
        grant_type: 'authorization_code',
        code: returned.searchParams.get('code') ?? '',
        redirect_uri: party.redirect_uri,
        code_verifier: checks.pkceCodeVerifier ?? '',
      };
      return { ...form, resource: stock.identifier };
    };
    const form = await getForm();
    const basic = Buffer.from(`${client.client_id}:${client.client_secret}`).toString('base64');
    const answers = await storm(20, () => ({
      url: `${gapura.config.issuer}/token`,
      headers: { authorization: `Basic ${basic}` },
      body: `${new URLSearchParams(form)}`,
    }));
    const won = answers.filter(({ status }) => status === 200);
    expect(won).toHaveLength(1);
    const told = answers
      .filter(({ status }) => status !== 200)
      .map(({ status, body }) => [status, JSON.parse(body).error]);
    expect(told).toEqual(Array(19).fill([400, 'invalid_grant']));
    expect(answers.filter(({ body }) => body.includes('access_token'))).toEqual(won);

    const other = await getForm();
    const wrong = await post('/token', client.client_id, { ...other, resource: 'https://lain.example/api' });
    expect(wrong).toMatchObject({ status: 400, body: { error: 'invalid_target' } });
    expect(await post('/token', client.client_id, other)).toMatchObject({ body: { error: 'invalid_grant' } });
  });

  test('says what RFC 9068 wants, to one audience, for five minutes, and is no key to anything of ours', async () => {
    const { party, client } = await openClient('toko');
    const { access_token, expires_in, scope } = await getTokens(party, stock.identifier, 'openid profile stok:baca');
    expect([expires_in, scope]).toEqual([300, 'stok:baca']);
    const keys = createRemoteJWKSet(new URL(`${gapura.config.issuer}/jwks`));
    const { payload, protectedHeader } = await jwtVerify(access_token, keys, { issuer: gapura.config.issuer });
    expect(protectedHeader).toMatchObject({ typ: 'at+jwt', alg: 'ES256' });
    expect(payload).toEqual({
      iss: gapura.config.issuer,
      aud: stock.identifier,
      sub: expect.any(String),
      client_id: client.client_id,
      iat: expect.any(Number),
      exp: (payload.iat ?? 0) + 300,
      jti: expect.any(String),
      scope: 'stok:baca',
      auth_time: expect.any(Number),
      acr: 'urn:gapura:acr:password',
      amr: ['pwd'],
    });
    expect((await ask('/connect/userinfo', access_token)).status).toBe(401);
    expect((await ask('/api/v1/agencies', access_token)).status).toBe(401);
  });

  test.each(['EdDSA', 'RS256', 'PS256'] as const)('is signed with %s where the API wants that', async (signing_alg) => {
    const api = await registerApi(gapura, `alg-${signing_alg.toLowerCase()}`, { signing_alg });
    const { party } = await openClient(`alg-${signing_alg.toLowerCase()}`);
    await allowAt(gapura, api, { client_id: `alg-${signing_alg.toLowerCase()}` });
    const { access_token } = await getTokens(party, api.identifier);
    expect(decodeProtectedHeader(access_token).alg).toBe(signing_alg);
  });

  test('is told the pairwise subject that its client knows', async () => {
    const { party } = await openClient('berpasangan', { metadata: { subject_type: 'pairwise' } });
    const tokens = await getTokens(party, stock.identifier);
    expect(decodeJwt(tokens.access_token).sub).toBe(tokens.claims()?.sub);
    expect(decodeJwt(tokens.access_token).sub).not.toBe(await findAccountId(gapura, 'budi'));
  });

  test('stays bound to the key that was proven for it', async () => {
    const { party } = await openClient('terikat', { metadata: { dpop_bound_access_tokens: true } });
    const visitor = newHttpVisitor(gapura.url);
    const DPoP = oidc.getDPoPHandle(party.configuration, await oidc.randomDPoPKeyPair());
    const { returned, checks } = await getCode(party, visitor, { resource: stock.identifier });
    const more = { resource: stock.identifier };
    const tokens = await oidc.authorizationCodeGrant(party.configuration, returned, checks, more, { DPoP });
    expect(tokens.token_type).toBe('dpop');
    expect(decodeJwt(tokens.access_token).cnf).toEqual({ jkt: expect.any(String) });
  });
});

describe('a client gets no token', () => {
  const expectTarget = async (resource: string, id = 'asing') => {
    const client = await registerClient(gapura, id);
    const party = await openParty(gapura.config.issuer, client, 'openid stok:baca');
    const { returned } = await getCode(party, newHttpVisitor(gapura.url), { resource });
    expect(returned.searchParams.get('error')).toBe('invalid_target');
    const own = await post('/token', id, { grant_type: 'client_credentials', resource });
    expect([400, own.body.access_token]).toEqual([own.status, undefined]);
  };

  test('for an API at which it is not allowed, as Tono’s own application', () => expectTarget(stock.identifier));

  test.each([
    ['an address that nobody registered', 'https://tidak-ada.example.go.id'],
    ['no address at all', 'bukan alamat'],
    ['an address with a fragment', 'https://stok.example.go.id/v1#a'],
    ['an address without end', `https://stok.example.go.id/${'a'.repeat(1000)}`],
  ])('for %s', (_words, resource) => expectTarget(resource));

  test('for an address with a NUL, over which nothing fails', async () => {
    await openClient('nol', {
      metadata: { grant_types: ['client_credentials'], redirect_uris: [], response_types: [] },
    });
    const resource = `${stock.identifier}\0`;
    const { status, body } = await post('/token', 'nol', { grant_type: 'client_credentials', resource });
    expect([status, body.error]).toEqual([400, 'invalid_target']);
  });

  test('for one that is switched off, and gets one again when it is on', async () => {
    const api = await registerApi(gapura, 'mati');
    const { party } = await openClient('mati');
    await allowAt(gapura, api, { client_id: 'mati' });
    await inTransaction(gapura.db, (tx) => setResourceServerActive(tx, api.id, false));
    await expect(getTokens(party, api.identifier)).rejects.toMatchObject({ error: 'invalid_target' });
    await inTransaction(gapura.db, (tx) => setResourceServerActive(tx, api.id, true));
    expect((await getTokens(party, api.identifier)).scope).toBe('stok:baca');
  });

  test('in people’s names where it is allowed for itself alone', async () => {
    const { party } = await openClient('mesin-saja');
    await allowAt(gapura, stock, { client_id: 'mesin-saja', for_people: false });
    await expect(getTokens(party, stock.identifier)).rejects.toMatchObject({ error: 'invalid_target' });
  });

  test('with more scopes than it is allowed', async () => {
    const { party } = await openClient('sempit');
    await allowAt(gapura, stock, { client_id: 'sempit', scopes: ['stok:baca'] });
    const tokens = await getTokens(party, stock.identifier, 'openid stok:baca stok:tulis');
    expect(tokens.scope).toBe('stok:baca');
  });
});

test('whoever asks for an API alone gets its token without naming it again, and the portal shows the access', async () => {
  const { party } = await openClient('tanpa-openid');
  const visitor = await newSignedInVisitor(gapura.url, 'budi');
  const { address, checks } = await party.begin({ resource: stock.identifier, scope: 'stok:baca', nonce: '' });
  const returned = await authorize(visitor, address, party.redirect_uri);
  const { pkceCodeVerifier = '', expectedState = '' } = checks;
  const tokens = await oidc.authorizationCodeGrant(party.configuration, returned, { pkceCodeVerifier, expectedState });
  expect([decodeJwt(tokens.access_token).aud, tokens.scope, tokens.id_token]).toEqual([
    stock.identifier,
    'stok:baca',
    undefined,
  ]);
  const again = await oidc.refreshTokenGrant(party.configuration, tokens.refresh_token ?? '');
  expect(decodeJwt(again.access_token).aud).toBe(stock.identifier);
  expect((await visitor.get('/portal/consents')).status).toBe(200);
});

describe('a resource that is asked for later', () => {
  test('must be one that the code was for', async () => {
    const { party } = await openClient('kemudian');
    const { returned, checks } = await getCode(party, newHttpVisitor(gapura.url), { resource: stock.identifier });
    const wide = { resource: opaque.identifier };
    await expect(oidc.authorizationCodeGrant(party.configuration, returned, checks, wide)).rejects.toMatchObject({
      error: 'invalid_target',
    });
  });

  test('widens nothing at a refresh, neither the API nor the scopes', async () => {
    const { party } = await openClient('penyegar');
    const { refresh_token = '' } = await getTokens(party, stock.identifier);
    const refresh = (more: Record<string, string>) => oidc.refreshTokenGrant(party.configuration, refresh_token, more);
    await expect(refresh({ scope: 'openid stok:baca stok:tulis' })).rejects.toMatchObject({ error: 'invalid_scope' });
    const narrow = await refresh({ resource: stock.identifier });
    expect([narrow.scope, decodeJwt(narrow.access_token).aud]).toEqual(['stok:baca', stock.identifier]);
    await expect(
      oidc.refreshTokenGrant(party.configuration, narrow.refresh_token ?? refresh_token, {
        resource: opaque.identifier,
      }),
    ).rejects.toMatchObject({ error: 'invalid_target' });
  });

  test('is refused once the client was withdrawn', async () => {
    const { party } = await openClient('ditarik');
    const { refresh_token = '' } = await getTokens(party, stock.identifier);
    await inTransaction(gapura.db, (tx) => withdrawClient(tx, stock.id, 'ditarik'));
    await expect(
      oidc.refreshTokenGrant(party.configuration, refresh_token, { resource: stock.identifier }),
    ).rejects.toMatchObject({ error: 'invalid_target' });
  });

  test('brings no scope that the API has no more', async () => {
    const api = await registerApi(gapura, 'menyusut', { scopes: ['a:satu', 'a:dua'] });
    const { party } = await openClient('menyusut');
    await allowAt(gapura, api, { client_id: 'menyusut', scopes: ['a:satu', 'a:dua'] });
    const { refresh_token = '' } = await getTokens(party, api.identifier, 'openid a:satu a:dua');
    await inTransaction(gapura.db, (tx) => endApiScope(tx, api.id, 'a:dua'));
    const later = await oidc.refreshTokenGrant(party.configuration, refresh_token, { resource: api.identifier });
    expect(later.scope).toBe('a:satu');
  });
});

describe('a client for itself', () => {
  const open = (id: string) =>
    openClient(id, { metadata: { grant_types: ['client_credentials'], redirect_uris: [], response_types: [] } });
  const get = (id: string, form: Record<string, string>) =>
    post('/token', id, { grant_type: 'client_credentials', scope: 'stok:baca stok:tulis', ...form });

  test('gets a token for the API with what it is allowed there', async () => {
    await open('mesin');
    await allowAt(gapura, stock, { client_id: 'mesin', scopes: ['stok:baca'], for_people: false });
    const { status, body } = await get('mesin', { resource: stock.identifier });
    expect([status, body.scope, body.expires_in]).toEqual([200, 'stok:baca', 300]);
    const payload = decodeJwt(body.access_token);
    expect(payload).toMatchObject({ aud: stock.identifier, sub: 'mesin', client_id: 'mesin' });
    expect(Object.keys(payload)).not.toContain('auth_time');
    expect((await get('mesin', { resource: stock.identifier, scope: 'stok:tulis' })).body.error).toBe('invalid_scope');
  });

  test('gets none where it may ask for people alone, and no API’s scope without the API', async () => {
    await open('mesin-orang');
    await allowAt(gapura, stock, { client_id: 'mesin-orang', for_itself: false });
    expect((await get('mesin-orang', { resource: stock.identifier })).body.error).toBe('invalid_target');
    const { status, body } = await get('mesin-orang', {});
    expect([status, body.scope]).toEqual([200, undefined]);
  });

  test('asks for one API at a time', async () => {
    await open('mesin-dua');
    const { body } = await post('/token', 'mesin-dua', [
      ['grant_type', 'client_credentials'],
      ['resource', stock.identifier],
      ['resource', opaque.identifier],
    ]);
    expect(body.error).toBe('invalid_target');
  });
});

describe('an opaque token for an API', () => {
  const open = async (id: string) => getTokens((await openClient(id)).party, opaque.identifier);

  test('is asked about by the API’s client and by its own, and by nobody else', async () => {
    const { access_token, expires_in } = await open('arsip-satu');
    expect([/^[\w-]{43}$/.test(access_token), expires_in]).toEqual([true, 1800]);
    const told = {
      active: true,
      aud: opaque.identifier,
      client_id: 'arsip-satu',
      scope: 'stok:baca',
      iss: gapura.config.issuer,
      acr: 'urn:gapura:acr:password',
      auth_time: expect.any(Number),
      token_type: 'Bearer',
    };
    expect((await introspect('layanan-stok', access_token)).body).toMatchObject(told);
    expect((await introspect('arsip-satu', access_token)).body).toMatchObject(told);
    expect((await introspect('layanan-lain', access_token)).body).toEqual({ active: false });
    expect((await ask('/connect/userinfo', access_token)).status).toBe(403);
    expect((await ask('/api/v1/agencies', access_token)).status).toBe(401);
  });

  test('is told as a JWT to an API that wants that (RFC 9701)', async () => {
    await registerClient(gapura, 'layanan-jwt', { metadata: { introspection_signed_response_alg: 'ES256' } });
    const api = await registerApi(gapura, 'arsip-jwt', { client_id: 'layanan-jwt', token_format: 'opaque' });
    const { party } = await openClient('arsip-jwt');
    await allowAt(gapura, api, { client_id: 'arsip-jwt' });
    const { access_token } = await getTokens(party, api.identifier);
    const basic = Buffer.from('layanan-jwt:secret-of-layanan-jwt-which-is-long-enough').toString('base64');
    const response = await fetch(`${gapura.config.issuer}/introspection`, {
      method: 'POST',
      headers: { authorization: `Basic ${basic}`, accept: 'application/token-introspection+jwt' },
      body: new URLSearchParams({ token: access_token }),
    });
    const jwt = await response.text();
    expect(decodeProtectedHeader(jwt).typ).toBe('token-introspection+jwt');
    expect(decodeJwt(jwt)).toMatchObject({
      aud: 'layanan-jwt',
      token_introspection: { active: true, aud: api.identifier },
    });
  });

  test.each([
    ['withdrawn', (id: string) => inTransaction(gapura.db, (tx) => withdrawClient(tx, opaque.id, id))],
    [
      'switched off',
      (id: string) => gapura.db.updateTable('clients').set({ active: false }).where('id', '=', id).execute(),
    ],
  ])('says nothing any more once its client is %s', async (word, end) => {
    const id = `arsip-${word.replace(' ', '-')}`;
    const { access_token } = await open(id);
    expect((await introspect('layanan-stok', access_token)).body.active).toBe(true);
    await end(id);
    expect((await introspect('layanan-stok', access_token)).body).toEqual({ active: false });
  });

  test('of a locked account says nothing', async () => {
    const { access_token } = await open('arsip-terkunci');
    const id = await findAccountId(gapura, 'budi');
    await lockAccount(gapura.db, id, 'locked', deed);
    expect((await introspect('layanan-stok', access_token)).body).toEqual({ active: false });
    await unlockAccount(gapura.db, id, 'locked', deed);
  });
});

test('whoever names no API is not charged for those that do', async () => {
  const { party, client } = await openClient('tanpa-api');
  const visitor = newHttpVisitor(gapura.url);
  const statements = await listStatements(async () => {
    const { returned, checks } = await getCode(party, visitor, {});
    const { access_token } = await party.redeem(returned, checks);
    expect((await ask('/connect/userinfo', access_token)).status).toBe(200);
    expect((await introspect(client.client_id, access_token)).body.active).toBe(true);
    expect((await introspect('layanan-stok', access_token)).body).toEqual({ active: false });
  });
  expect(statements.filter((text) => /resource_servers|resource_grants|token_exchanges/.test(text))).toEqual([]);
});

describe('a person who is asked', () => {
  test('reads which API is meant and what for, is asked again for more, and withdraws all of it', async () => {
    const { party } = await openClient('luar', { first_party: false });
    const sari = await newSignedInVisitor(gapura.url, 'sari');
    const begin = async (scope: string) => {
      const { address, checks } = await party.begin({ resource: opaque.identifier, scope });
      return { page: await sari.get(address), checks };
    };
    const { page, checks } = await begin('openid stok:baca');
    expect(page.body).toContain('Memakai API arsip atas nama Anda');
    expect(page.body).toContain('memakai stok:baca');
    expect(page.body).not.toContain('memakai stok:tulis');
    const allowed = await sari.post(page.url, { allow: '1' }, { follow: false });
    const reached = await followTo(sari, party.redirect_uri, allowed);
    const returned = (reached as { returned: URL }).returned;
    const more = { resource: opaque.identifier };
    const tokens = await oidc.authorizationCodeGrant(party.configuration, returned, checks, more);
    expect(tokens.scope).toBe('stok:baca');

    // Known already: no page.
    const again = await party.begin(more);
    expect((await authorize(sari, again.address, party.redirect_uri)).searchParams.get('code')).not.toBeNull();
    const wider = await begin('openid stok:baca stok:tulis');
    expect(wider.page.body).toMatch(
      /Yang baru diminta[\s\S]*memakai stok:tulis[\s\S]*Sudah Anda izinkan sebelumnya[\s\S]*memakai stok:baca/,
    );

    const shown = await sari.get('/portal/consents');
    expect(shown.body).toContain('Memakai API arsip atas nama Anda');
    expect((await introspect('layanan-stok', tokens.access_token)).body.active).toBe(true);
    const [, id = ''] = /action="\/portal\/consents\/([\w-]+)\/removal"/.exec(shown.body) ?? [];
    await sari.submit(shown, {}, `removal-${id}`);
    expect((await introspect('layanan-stok', tokens.access_token)).body).toEqual({ active: false });
  });

  test('is asked for an API whose scopes nobody asks for, since it learns who they are', async () => {
    const { party } = await openClient('luar-polos', { first_party: false });
    const sari = await newSignedInVisitor(gapura.url, 'sari');
    const { address } = await party.begin({ resource: stock.identifier, scope: 'openid' });
    expect((await sari.get(address)).body).toContain('Memakai API stok atas nama Anda');
  });
});
