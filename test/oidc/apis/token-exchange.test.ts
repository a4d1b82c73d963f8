/** Token exchange (RFC 8693) over HTTP: between registered pairs alone, never for more, never for longer, never for nobody. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt, exportJWK, generateKeyPair, SignJWT } from 'jose';
import * as oidc from 'openid-client';
import { endEverything, lockAccount, unlockAccount } from '../../../src/accounts/account.ts';
import { nowSeconds } from '../../../src/clock.ts';
import { inTransaction } from '../../../src/database.ts';
import { endExchange } from '../../../src/resource-servers/exchanges.ts';
import { withdrawClient } from '../../../src/resource-servers/grants.ts';
import { setResourceServerActive } from '../../../src/resource-servers/resource-server.ts';
import { moveClock, resetClock } from '../../support/clock.ts';
import { demo_password, registerClient, startGapura, type TestGapura } from '../../support/gapura.ts';
import { type HttpVisitor, newHttpVisitor } from '../../support/http.ts';
import { findAccountId } from '../../support/nodes.ts';
import { authorize, openParty, type TestParty } from '../../support/relying-party.ts';
import { allowAt, pairApis, registerApi, type TestApi } from '../../support/resource-servers.ts';

const grant_type = 'urn:ietf:params:oauth:grant-type:token-exchange';
const access_token_type = 'urn:ietf:params:oauth:token-type:access_token';
const deed = { because: 'test' };

let gapura: TestGapura;
/** `order` takes orders and asks `stock` (JWT) and `archive` (opaque); `opaque_order` is its twin with opaque tokens. */
let order: TestApi;
let opaque_order: TestApi;
let stock: TestApi;
let archive: TestApi;
let party: TestParty;

const service = { grant_types: [grant_type], redirect_uris: [], response_types: [] };

beforeAll(async () => {
  gapura = await startGapura();
  await registerClient(gapura, 'layanan-pesan', { metadata: service });
  await registerClient(gapura, 'layanan-stok', { metadata: service });
  order = await registerApi(gapura, 'pesan', { client_id: 'layanan-pesan' });
  opaque_order = await registerApi(gapura, 'pesan-buram', { client_id: 'layanan-pesan', token_format: 'opaque' });
  stock = await registerApi(gapura, 'stok', { client_id: 'layanan-stok' });
  archive = await registerApi(gapura, 'arsip', { client_id: 'layanan-stok', token_format: 'opaque' });
  for (const source of [order, opaque_order])
    for (const target of [stock, archive]) await pairApis(gapura, source, target);
  party = await openShop('toko');
});

afterAll(() => gapura.stop());

/** An application that people use, allowed at both kinds of order API. */
async function openShop(id: string, more: Parameters<typeof registerClient>[2] = {}): Promise<TestParty> {
  const client = await registerClient(gapura, id, more);
  for (const api of [order, opaque_order]) await allowAt(gapura, api, { client_id: id });
  return openParty(gapura.config.issuer, client, 'openid stok:baca stok:tulis');
}

async function getTokens(
  from: TestParty,
  api: TestApi | undefined,
  who = 'budi',
  visitor = newHttpVisitor(gapura.url),
) {
  const resource = api?.identifier ?? '';
  const { address, checks } = await from.begin({ resource });
  const answers = { identifier: who, password: demo_password };
  const returned = await authorize(visitor, address, from.redirect_uri, answers);
  return oidc.authorizationCodeGrant(from.configuration, returned, checks, { resource });
}

const post = async (path: string, client_id: string, form: Record<string, string>, headers = {}) => {
  const basic = Buffer.from(`${client_id}:secret-of-${client_id}-which-is-long-enough`).toString('base64');
  const response = await fetch(`${gapura.config.issuer}${path}`, {
    method: 'POST',
    headers: { authorization: `Basic ${basic}`, ...headers },
    body: new URLSearchParams(form),
  });
  // biome-ignore lint/suspicious/noExplicitAny: each test knows what it asked for
  return { status: response.status, body: (await response.json()) as any };
};

/** Asks as the order service. */
const exchange = (subject_token: string, target: TestApi, more: Record<string, string> = {}, headers = {}) =>
  post('/token', 'layanan-pesan', formOf(subject_token, target, more), headers);

const formOf = (subject_token: string, target: TestApi, more: Record<string, string> = {}) => ({
  grant_type,
  subject_token,
  subject_token_type: access_token_type,
  resource: target.identifier,
  ...more,
});

const introspect = async (client_id: string, token: string) =>
  (await post('/introspection', client_id, { token })).body;

const refused = (answer: Awaited<ReturnType<typeof post>>) => [answer.status, answer.body.error];

describe('the pair of an order service and a stock service', () => {
  test('changes a JWT for a JWT: the same person, less time, who acts; and the audit says so', async () => {
    const { access_token } = await getTokens(party, order);
    const brought = decodeJwt(access_token);
    expect(JSON.stringify(brought)).not.toContain(await findAccountId(gapura, 'tono'));
    const { status, body } = await exchange(access_token, stock);
    expect([status, Object.keys(body).toSorted()]).toEqual([
      200,
      ['access_token', 'expires_in', 'issued_token_type', 'scope', 'token_type'],
    ]);
    expect(body).toMatchObject({ issued_token_type: access_token_type, token_type: 'Bearer', scope: 'stok:baca' });
    const payload = decodeJwt(body.access_token);
    expect(payload).toMatchObject({
      aud: stock.identifier,
      sub: brought.sub,
      client_id: 'layanan-pesan',
      scope: 'stok:baca',
      act: { sub: 'layanan-pesan' },
      auth_time: brought.auth_time,
      acr: brought.acr,
      amr: brought.amr,
    });
    expect(payload.exp).toBeLessThanOrEqual(brought.exp ?? 0);
    const row = await gapura.db
      .selectFrom('audit_events')
      .selectAll()
      .where('kind', '=', 'token_exchanged')
      .orderBy('id', 'desc')
      .executeTakeFirst();
    expect(row).toMatchObject({
      account_id: await findAccountId(gapura, 'budi'),
      client_id: 'layanan-pesan',
      detail: { source: order.identifier, target: stock.identifier, scopes: 'stok:baca', of: 'toko' },
    });
  });

  test('changes an opaque token for an opaque one, which the stock service asks about', async () => {
    const { access_token } = await getTokens(party, opaque_order);
    const { body } = await exchange(access_token, archive);
    const told = await introspect('layanan-stok', body.access_token);
    const before = await introspect('layanan-pesan', access_token);
    expect(told).toMatchObject({
      active: true,
      aud: archive.identifier,
      client_id: 'layanan-pesan',
      sub: before.sub,
      scope: 'stok:baca',
      act: { sub: 'layanan-pesan' },
      auth_time: before.auth_time,
    });
    expect(told.exp).toBeLessThanOrEqual(before.exp);
    expect(await introspect('layanan-pesan', body.access_token)).toEqual({ active: false });
  });

  test('keeps the subject that a pairwise client knows', async () => {
    const shop = await openShop('toko-berpasangan', { metadata: { subject_type: 'pairwise' } });
    for (const [source, target] of [
      [order, stock],
      [opaque_order, archive],
    ] as const) {
      const tokens = await getTokens(shop, source);
      const sub = tokens.claims()?.sub;
      expect(sub).not.toBe(await findAccountId(gapura, 'budi'));
      const { body } = await exchange(tokens.access_token, target);
      const told =
        target === stock ? decodeJwt(body.access_token) : await introspect('layanan-stok', body.access_token);
      expect(told.sub).toBe(sub);
      expect(JSON.stringify(told)).not.toContain(await findAccountId(gapura, 'budi'));
    }
  });

  test('never lives longer than the token that was brought', async () => {
    const { access_token } = await getTokens(party, order);
    const { exp = 0 } = decodeJwt(access_token);
    await moveClock(gapura.db, 250);
    try {
      const { body } = await exchange(access_token, archive);
      expect(body.expires_in).toBeLessThanOrEqual(50);
      expect((await introspect('layanan-stok', body.access_token)).exp).toBeLessThanOrEqual(exp);
      await moveClock(gapura.db, 301);
      expect(refused(await exchange(access_token, archive))).toEqual([400, 'invalid_request']);
    } finally {
      await resetClock(gapura.db);
    }
  });

  test('goes on from service to service, and every one of them is told', async () => {
    const last = await registerApi(gapura, 'gudang', { token_format: 'opaque', client_id: 'layanan-stok' });
    await pairApis(gapura, stock, last);
    const { access_token } = await getTokens(party, order);
    const { body } = await exchange(access_token, stock);
    const next = await post('/token', 'layanan-stok', formOf(body.access_token, last));
    expect((await introspect('layanan-stok', next.body.access_token)).act).toEqual({
      sub: 'layanan-stok',
      act: { sub: 'layanan-pesan' },
    });
  });
});

test('a ring of services comes to an end', async () => {
  const one = await registerApi(gapura, 'cincin-satu', { client_id: 'layanan-pesan' });
  const other = await registerApi(gapura, 'cincin-dua', { client_id: 'layanan-stok' });
  await allowAt(gapura, one, { client_id: 'toko' });
  await pairApis(gapura, one, other);
  await pairApis(gapura, other, one);
  let { access_token } = await getTokens(party, one);
  const answers: (number | string)[] = [];
  for (const at of [0, 1, 2, 3, 4, 5]) {
    const [client_id, target] = at % 2 === 0 ? (['layanan-pesan', other] as const) : (['layanan-stok', one] as const);
    const { status, body } = await post('/token', client_id, formOf(access_token, target));
    answers.push(body.error ?? status);
    access_token = body.access_token ?? '';
  }
  expect(answers).toEqual([200, 200, 200, 200, 200, 'invalid_target']);
});

describe('what was brought ends what came of it', () => {
  const ends: [string, string, (party_id: string, visitor: HttpVisitor) => Promise<unknown>][] = [
    ['the person signs out', 'keluar', (_id, visitor) => signOut(visitor)],
    ['the person ends everything', 'akhir', async () => endBudi()],
    ['its client is withdrawn', 'tarik', async (id) => withdraw(id)],
  ];

  test.each(ends)('when %s', async (_words, word, end) => {
    const shop = await openShop(`toko-${word}`);
    const visitor = newHttpVisitor(gapura.url);
    const [jwt, opaque] = [
      await getTokens(shop, order, 'budi', visitor),
      await getTokens(shop, opaque_order, 'budi', visitor),
    ];
    const { body } = await exchange(opaque.access_token, archive);
    expect((await introspect('layanan-stok', body.access_token)).active).toBe(true);
    await end(`toko-${word}`, visitor);
    expect(await introspect('layanan-stok', body.access_token)).toEqual({ active: false });
    for (const { access_token } of [jwt, opaque])
      expect(refused(await exchange(access_token, archive))).toEqual([400, 'invalid_request']);
  });

  test('when the account is locked, and not before', async () => {
    const { access_token } = await getTokens(party, order, 'sari');
    const sari = await findAccountId(gapura, 'sari');
    const { body } = await exchange(access_token, archive);
    await lockAccount(gapura.db, sari, 'disabled', deed);
    expect(await introspect('layanan-stok', body.access_token)).toEqual({ active: false });
    expect(refused(await exchange(access_token, stock))).toEqual([400, 'invalid_request']);
    await unlockAccount(gapura.db, sari, 'disabled', deed);
  });

  test('when the pair is ended, or the API that passes it on is switched off', async () => {
    const source = await registerApi(gapura, 'sementara', { client_id: 'layanan-pesan', token_format: 'opaque' });
    const target = await registerApi(gapura, 'seberang', { client_id: 'layanan-stok', token_format: 'opaque' });
    await allowAt(gapura, source, { client_id: 'toko' });
    await pairApis(gapura, source, target);
    const { access_token } = await getTokens(party, source);
    const { body } = await exchange(access_token, target);
    const isActive = async () => (await introspect('layanan-stok', body.access_token)).active;
    const setActive = (active: boolean) =>
      inTransaction(gapura.db, (tx) => setResourceServerActive(tx, source.id, active));
    expect(await isActive()).toBe(true);
    await setActive(false);
    expect([await isActive(), ...refused(await exchange(access_token, target))]).toEqual([
      false,
      400,
      'invalid_request',
    ]);
    await setActive(true);
    expect(await isActive()).toBe(true);
    await inTransaction(gapura.db, (tx) => endExchange(tx, source.id, target.id));
    expect([await isActive(), ...refused(await exchange(access_token, target))]).toEqual([
      false,
      400,
      'invalid_target',
    ]);
  });

  const endBudi = async () => {
    const id = await findAccountId(gapura, 'budi');
    await inTransaction(gapura.db, (tx) => endEverything(tx, id, deed));
  };
  const withdraw = async (id: string) => {
    for (const api of [order, opaque_order]) await inTransaction(gapura.db, (tx) => withdrawClient(tx, api.id, id));
  };
  async function signOut(visitor: HttpVisitor): Promise<void> {
    const asked = await visitor.get('/connect/session/end');
    await visitor.submit(asked, { logout: 'yes' });
  }
});

describe('nobody gets more', () => {
  let token: string;
  beforeAll(async () => {
    token = (await getTokens(party, order)).access_token;
  });

  test('than the token that was brought has, than the pair passes on, or than is asked for', async () => {
    expect(refused(await exchange(token, stock, { scope: 'stok:tulis' }))).toEqual([400, 'invalid_scope']);
    expect(refused(await exchange(token, stock, { scope: 'stok:baca openid' }))).toEqual([400, 'invalid_scope']);
    const wide = await registerApi(gapura, 'luas', { client_id: 'layanan-stok' });
    await pairApis(gapura, order, wide, ['stok:baca', 'stok:tulis']);
    expect((await exchange(token, wide)).body.scope).toBe('stok:baca stok:tulis');
    expect((await exchange(token, wide, { scope: 'stok:tulis' })).body.scope).toBe('stok:tulis');
    await allowAt(gapura, order, { client_id: 'toko', scopes: ['stok:baca'] });
    const narrow = (await getTokens(party, order)).access_token;
    expect((await exchange(narrow, wide)).body.scope).toBe('stok:baca');
    expect(refused(await exchange(narrow, wide, { scope: 'stok:tulis' }))).toEqual([400, 'invalid_scope']);
    await allowAt(gapura, order, { client_id: 'toko' });
  });

  test('for an API that is not paired with the one it was sent to', async () => {
    const alone = await registerApi(gapura, 'sendiri', { client_id: 'layanan-stok' });
    expect(refused(await exchange(token, alone))).toEqual([400, 'invalid_target']);
    expect(refused(await exchange(token, order))).toEqual([400, 'invalid_target']);
    expect(refused(await exchange(token, { id: '', identifier: 'https://a.example\0' }))).toEqual([
      400,
      'invalid_target',
    ]);
    expect(refused(await exchange(token, stock, { audience: archive.identifier }))).toEqual([400, 'invalid_target']);
    expect((await exchange(token, stock, { audience: stock.identifier })).status).toBe(200);
  });

  test('with a token that was sent to somebody else', async () => {
    // Another service that may exchange, at an API of its own: the token in its hands was never meant for it.
    const answer = await post('/token', 'layanan-stok', formOf(token, archive));
    expect(refused(answer)).toEqual([400, 'invalid_request']);
    const plain = await getTokens(party, undefined);
    expect(refused(await exchange(plain.access_token, stock))).toEqual([400, 'invalid_request']);
    expect(refused(await exchange(plain.refresh_token ?? '', stock))).toEqual([400, 'invalid_request']);
    expect(refused(await exchange(plain.id_token ?? '', stock))).toEqual([400, 'invalid_request']);
  });

  test('with a client that was not registered for it, or proves nothing', async () => {
    const client = await registerClient(gapura, 'tono-saja');
    const answer = await post('/token', client.client_id, formOf(token, stock));
    expect([answer.status, answer.body.access_token]).toEqual([400, undefined]);
    await registerClient(gapura, 'terbuka', { metadata: { ...service, token_endpoint_auth_method: 'none' } });
    const open = await fetch(`${gapura.config.issuer}/token`, {
      method: 'POST',
      body: new URLSearchParams({ client_id: 'terbuka', ...formOf(token, stock) }),
    });
    expect([open.status, ((await open.json()) as { error: string }).error]).toEqual([400, 'unauthorized_client']);
  });

  test('with a token of a client that acts for itself', async () => {
    await registerClient(gapura, 'mesin', {
      metadata: { grant_types: ['client_credentials'], redirect_uris: [], response_types: [] },
    });
    for (const api of [order, opaque_order]) {
      await allowAt(gapura, api, { client_id: 'mesin' });
      const form = { grant_type: 'client_credentials', resource: api.identifier, scope: 'stok:baca' };
      const { access_token } = (await post('/token', 'mesin', form)).body;
      expect(refused(await exchange(access_token, stock))).toEqual([400, 'invalid_request']);
    }
  });

  test('with a token that somebody made or bent', async () => {
    const { privateKey } = await generateKeyPair('ES256');
    const forge = (claims: object) =>
      new SignJWT({ ...decodeJwt(token), ...claims })
        .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt' })
        .sign(privateKey);
    const [head = '', body = '', signature = ''] = token.split('.');
    const bent = Buffer.from(JSON.stringify({ ...decodeJwt(token), scope: 'stok:tulis' })).toString('base64url');
    const none = Buffer.from(JSON.stringify({ alg: 'none', typ: 'at+jwt' })).toString('base64url');
    const forged = [
      await forge({}),
      `${head}.${bent}.${signature}`,
      `${none}.${body}.`,
      `${head}.${body}`,
      'x.y.z',
      'x'.repeat(43),
      '.',
      '\0',
      'é'.repeat(1000),
    ];
    for (const one of forged)
      expect([one.slice(0, 20), ...refused(await exchange(one, stock))]).toEqual([
        one.slice(0, 20),
        400,
        'invalid_request',
      ]);
  });

  test.each([
    { subject_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' },
    { subject_token_type: '' },
    { subject_token: '' },
    { requested_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' },
    { requested_token_type: 'urn:ietf:params:oauth:token-type:id_token' },
    { actor_token: 'x' },
    { actor_token_type: access_token_type },
  ])('by asking with %j', async (more) => {
    expect(refused(await exchange(token, stock, more as Record<string, string>))).toEqual([400, 'invalid_request']);
  });

  test('by naming things twice, or no target', async () => {
    const form = new URLSearchParams(formOf(token, stock));
    const send = async (twice: [string, string]) => {
      const body = new URLSearchParams([...form, twice]);
      const basic = Buffer.from('layanan-pesan:secret-of-layanan-pesan-which-is-long-enough').toString('base64');
      const headers = { authorization: `Basic ${basic}` };
      const response = await fetch(`${gapura.config.issuer}/token`, { method: 'POST', headers, body });
      return [response.status, ((await response.json()) as { error: string }).error];
    };
    expect(await send(['subject_token', token])).toEqual([400, 'invalid_request']);
    expect(await send(['resource', archive.identifier])).toEqual([400, 'invalid_target']);
    expect(refused(await exchange(token, { id: '', identifier: '' }))).toEqual([400, 'invalid_target']);
  });
});

describe('a token that is bound to a key', () => {
  const makeProof = async (keys: CryptoKeyPair) =>
    new SignJWT({ htm: 'POST', htu: `${gapura.config.issuer}/token` })
      .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: await exportJWK(keys.publicKey) })
      .setIssuedAt(nowSeconds())
      .setJti(crypto.randomUUID())
      .sign(keys.privateKey);

  test('is changed only by whoever proves that key, once for each proof; the new one is bound to it', async () => {
    const shop = await openShop('toko-terikat', { metadata: { dpop_bound_access_tokens: true } });
    const keys = await oidc.randomDPoPKeyPair('ES256', { extractable: true });
    const resource = order.identifier;
    const { address, checks } = await shop.begin({ resource });
    const answers = { identifier: 'budi', password: demo_password };
    const returned = await authorize(newHttpVisitor(gapura.url), address, shop.redirect_uri, answers);
    const DPoP = oidc.getDPoPHandle(shop.configuration, keys);
    const { access_token } = await oidc.authorizationCodeGrant(
      shop.configuration,
      returned,
      checks,
      { resource },
      { DPoP },
    );

    expect(refused(await exchange(access_token, stock))).toEqual([400, 'invalid_request']);
    const stranger = { dpop: await makeProof(await generateKeyPair('ES256')) };
    expect(refused(await exchange(access_token, stock, {}, stranger))).toEqual([400, 'invalid_request']);
    const own = { dpop: await makeProof(keys) };
    const { status, body } = await exchange(access_token, stock, {}, own);
    expect([status, body.token_type]).toEqual([200, 'DPoP']);
    expect(decodeJwt(body.access_token).cnf).toEqual(decodeJwt(access_token).cnf);
    expect(refused(await exchange(access_token, stock, {}, own))).toEqual([400, 'invalid_grant']);
  });

  test('can come of one that is bound to none', async () => {
    const { access_token } = await getTokens(party, order);
    const proof = { dpop: await makeProof(await generateKeyPair('ES256')) };
    const { body } = await exchange(access_token, stock, {}, proof);
    expect(decodeJwt(body.access_token).cnf).toEqual({ jkt: expect.any(String) });
  });
});
