/** Trying a client: the whole way for each kind of it, nobody on it but who began it, and nothing left of it. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { exportJWK, generateKeyPair } from 'jose';
import * as oidc from 'openid-client';
import { disableClient } from '../../../src/clients/client.ts';
import { type Database, inTransaction } from '../../../src/database.ts';
import { beginTrial, finishTrial, purgeTrials, type TrialOutcome } from '../../../src/oidc/trial/trial.ts';
import type { TrialRequest } from '../../../src/trials.ts';
import { from_here } from '../../support/application.ts';
import { moveClock, resetClock } from '../../support/clock.ts';
import {
  demo_password,
  newSignedInVisitor,
  registerClient,
  startGapura,
  type TestGapura,
} from '../../support/gapura.ts';
import { findForm, type HttpVisitor, newHttpVisitor } from '../../support/http.ts';
import { copyVisitor, listAudit, listSessions } from '../../support/nodes.ts';
import { authorize, followTo, openParty, type TestParty } from '../../support/relying-party.ts';

interface Owner {
  account_id: string;
  session_uid: string;
}

let gapura: TestGapura;
let db: Database;
let callback: string;
let visitor: HttpVisitor;
let owner: Owner;
let party: TestParty;
const food = 'Inspeksi dan Sertifikasi Produk Pangan';
const medicine = 'Inspeksi dan Sertifikasi Obat Tradisional';

beforeAll(async () => {
  gapura = await startGapura();
  db = gapura.db;
  callback = `${gapura.url}/admin/trials/callback`;
  ({ visitor, owner } = await openSession('admin'));
  party = await openParty(gapura.config.issuer, await registerClient(gapura, 'coba'), 'openid profile email');
});

afterEach(() => resetClock(db));

afterAll(() => gapura.stop());

/** Somebody signed in, and the session that this is. */
async function openSession(identifier: string): Promise<{ visitor: HttpVisitor; owner: Owner }> {
  const before = (await listSessions(gapura, identifier)).map(({ uid }) => uid);
  const signed_in = await newSignedInVisitor(gapura.url, identifier);
  const session = (await listSessions(gapura, identifier)).find(({ uid }) => !before.includes(uid));
  return {
    visitor: signed_in,
    owner: { account_id: session?.account_id ?? '', session_uid: session?.uid ?? '' },
  };
}

const begin = (client_id: string, request: TrialRequest = { scope: 'openid profile' }, who = owner) =>
  beginTrial(gapura.gapura.engine, { client_id, ...who, by: from_here, ...request });

const finish = (answer: Record<string, unknown>, who = owner) => finishTrial(gapura.gapura.engine, { answer, ...who });

/** Begins a trial that goes through the engine. */
async function addressOf(...trial: Parameters<typeof begin>): Promise<string> {
  const begun = await begin(...trial);
  if (begun.state !== 'begun') throw new Error(`not begun: ${JSON.stringify(begun)}`);
  return begun.address;
}

/** Goes the whole way as the administrator's browser does, up to our callback. */
async function follow(
  address: string,
  { answers = {}, who = visitor }: { answers?: Parameters<typeof authorize>[3]; who?: HttpVisitor } = {},
): Promise<Record<string, string>> {
  return Object.fromEntries((await authorize(who, address, callback, answers)).searchParams);
}

/** Tries a client from beginning to end. */
async function tryOut(client_id: string, request?: TrialRequest) {
  return done(await finish(await follow(await addressOf(client_id, request))));
}

function done(outcome: TrialOutcome): Extract<TrialOutcome, { state: 'done' }> {
  if (outcome.state !== 'done') throw new Error(`not done: ${JSON.stringify(outcome)}`);
  return outcome;
}

/** What the engine still keeps of a client that could open anything. */
async function listLiving(client_id: string): Promise<string[]> {
  const rows = await db
    .selectFrom('oidc_records')
    .select('model')
    .where('client_id', '=', client_id)
    .where('model', 'in', ['Grant', 'AuthorizationCode', 'AccessToken', 'RefreshToken', 'ClientCredentials'])
    .execute();
  return rows.map(({ model }) => model);
}

const entryOf = async (client_id: string, { session_uid } = owner) =>
  (
    await db
      .selectFrom('oidc_sessions')
      .select('authorizations')
      .where('uid', '=', session_uid)
      .executeTakeFirstOrThrow()
  ).authorizations[client_id];

describe('a trial of', () => {
  test('a web application shows its tokens claim by claim, and never the tokens', async () => {
    await registerClient(gapura, 'web');
    const outcome = await tryOut('web', { scope: 'openid profile' });
    expect(outcome.tokens.map(({ kind, format, verified }) => [kind, format, verified])).toEqual([
      ['access_token', 'opaque', true],
      ['id_token', 'signed', true],
      ['refresh_token', 'opaque', true],
    ]);
    const [access, id, refresh] = outcome.tokens;
    expect(access).toMatchObject({
      header: undefined,
      claims: { client_id: 'web', sub: owner.account_id, scope: 'openid profile', token_type: 'Bearer' },
    });
    expect(id).toMatchObject({
      header: { alg: 'RS256' },
      claims: { iss: gapura.config.issuer, aud: 'web', sub: owner.account_id, acr: 'urn:gapura:acr:password' },
    });
    expect(Math.abs((access?.lifetime ?? 0) - 900)).toBeLessThan(5);
    expect(Math.abs((id?.lifetime ?? 0) - 3600)).toBeLessThan(5);
    expect(refresh?.claims).toMatchObject({ client_id: 'web' });
    expect(outcome.userinfo).toMatchObject({ verified: true, claims: { preferred_username: 'admin' } });
    const shown = JSON.stringify(outcome, (key, value) => (key === 'kid' ? undefined : value));
    expect(shown).not.toMatch(/eyJ|"[\w-]{43}"/);
    expect(await listLiving('web')).toEqual([]);
  });

  test('a single page application works without its origin', async () => {
    await registerClient(gapura, 'laman', {
      metadata: { token_endpoint_auth_method: 'none', grant_types: ['authorization_code'] },
    });
    const address = await addressOf('laman');
    const reached = await followTo(visitor, callback, await visitor.get(address, { follow: false }));
    // A program that cannot prove itself is asked about, also in a trial.
    const answered = 'page' in reached ? await allow(reached.page.url) : reached.returned;
    const outcome = done(await finish(Object.fromEntries(answered.searchParams)));
    expect(outcome.tokens.map(({ kind }) => kind)).toEqual(['access_token', 'id_token']);
    expect(await listLiving('laman')).toEqual([]);
  });

  test('one of the FAPI 2.0 profile (pushed and signed requests, private_key_jwt, bound tokens) works with a key of the trial', async () => {
    const { publicKey } = await generateKeyPair('ES256');
    await registerClient(gapura, 'ketat', {
      fapi: true,
      metadata: {
        token_endpoint_auth_method: 'private_key_jwt',
        jwks: { keys: [{ ...(await exportJWK(publicKey)), alg: 'ES256', use: 'sig' }] },
        require_pushed_authorization_requests: true,
        require_signed_request_object: true,
        dpop_bound_access_tokens: true,
        id_token_signed_response_alg: 'ES256',
      },
    });
    const outcome = await tryOut('ketat', { scope: 'openid profile' });
    expect(outcome.tokens[0]).toMatchObject({
      claims: { token_type: 'DPoP', cnf: { jkt: expect.any(String) } },
      verified: true,
    });
    expect(outcome.tokens[1]).toMatchObject({ header: { alg: 'ES256' }, verified: true });
    expect(outcome.userinfo?.claims).toMatchObject({ preferred_username: 'admin' });
    expect(await listLiving('ketat')).toEqual([]);
  });

  test('a service gives a token for nobody at once', async () => {
    await registerClient(gapura, 'layanan-mesin', {
      metadata: {
        grant_types: ['client_credentials'],
        response_types: [],
        redirect_uris: [],
        dpop_bound_access_tokens: true,
      },
    });
    const outcome = await begin('layanan-mesin', { scope: '' });
    expect(outcome).toMatchObject({
      state: 'done',
      tokens: [{ kind: 'access_token', verified: true, claims: { client_id: 'layanan-mesin', token_type: 'DPoP' } }],
      userinfo: undefined,
    });
    expect(JSON.stringify(outcome)).not.toContain(owner.account_id);
    expect(await listLiving('layanan-mesin')).toEqual([]);
  });

  test('one that takes its answers by form_post is answered so', async () => {
    await registerClient(gapura, 'formulir', { metadata: { response_modes: ['form_post'] } });
    const page = await visitor.get(await addressOf('formulir'));
    const { action, fields } = findForm(page.body, callback);
    expect(action).toBe(callback);
    expect(done(await finish(fields)).tokens).toHaveLength(3);
  });

  test('one that is told in an encrypted ID token and a signed userinfo shows of each what can be read', async () => {
    const { publicKey } = await generateKeyPair('RSA-OAEP-256');
    await registerClient(gapura, 'tersandi', {
      metadata: {
        jwks: { keys: [{ ...(await exportJWK(publicKey)), alg: 'RSA-OAEP-256', use: 'enc' }] },
        id_token_encrypted_response_alg: 'RSA-OAEP-256',
        userinfo_signed_response_alg: 'ES256',
        subject_type: 'pairwise',
      },
    });
    const { tokens, userinfo, missing } = await tryOut('tersandi', { scope: 'openid profile email' });
    expect(tokens[1]).toMatchObject({ format: 'encrypted', header: { alg: 'RSA-OAEP-256' }, verified: false });
    expect(tokens[1]?.claims).toBeUndefined();
    expect(userinfo).toMatchObject({
      format: 'signed',
      header: { alg: 'ES256' },
      claims: { preferred_username: 'admin', aud: 'tersandi' },
      verified: true,
    });
    // A client that must not know whom it sees is shown its own name of the person everywhere.
    expect(tokens[0]?.claims?.sub).toBe(userinfo?.claims?.sub);
    expect(JSON.stringify([tokens, userinfo])).not.toContain(owner.account_id);
    expect(missing).toContainEqual({ scope: 'profile', claim: 'fax_number', because: 'empty' });
  });

  test('a third party asks for consent, and what was not allowed is told', async () => {
    await registerClient(gapura, 'pihak-ketiga', { first_party: false });
    const address = await addressOf('pihak-ketiga', { scope: 'openid offline_access', prompt: 'consent' });
    const page = await visitor.get(address);
    expect(page.url.pathname).toContain('/interaction/');
    const reached = await followTo(visitor, callback, await visitor.post(page.url, { allow: '1' }, { follow: false }));
    if (!('returned' in reached)) throw new Error(`not allowed: ${reached.page.body}`);
    const { scope, missing } = done(await finish(Object.fromEntries(reached.returned.searchParams)));
    expect(scope).toBe('openid');
    expect(missing).toEqual([{ scope: 'offline_access', because: 'not_granted' }]);
  });

  test.each([
    ['a client that there is not', 'tidak-ada', {}, 'unknown'],
    ['a client with no flow of ours', 'portal', {}, 'no_code'],
    ['a client that our address cannot answer', 'pecahan', { response_modes: ['fragment'] }, 'response_mode'],
  ])('%s is not begun', async (_what, id, metadata, because) => {
    if (Object.keys(metadata).length > 0) await registerClient(gapura, id, { metadata });
    expect(await begin(id)).toEqual({ state: 'untriable', because });
  });

  test('a client whose registration the engine no longer takes is refused', async () => {
    await registerClient(gapura, 'usang');
    const metadata = JSON.stringify({ redirect_uris: ['x'] });
    await db.updateTable('clients').set({ metadata }).where('id', '=', 'usang').execute();
    expect(await begin('usang')).toMatchObject({ state: 'refused', error: expect.stringMatching(/^invalid_/) });
  });

  test('what nothing can store is refused', async () => {
    for (const scope of ['openid\0', 'openid \ud800']) {
      expect(await begin('coba', { scope })).toMatchObject({ state: 'refused', error: 'invalid_request' });
    }
    expect(await begin('co\0ba')).toMatchObject({ state: 'untriable' });
  });
});

/** Allows what the consent page asks, and follows to the callback. */
async function allow(page: URL): Promise<URL> {
  const fields = findForm((await visitor.get(page)).body).fields;
  const reached = await followTo(
    visitor,
    callback,
    await visitor.post(page, { ...fields, allow: '1' }, { follow: false }),
  );
  if ('page' in reached) throw new Error(`not allowed: ${reached.page.status} ${reached.page.url}`);
  return reached.returned;
}

describe('the questions on the way', () => {
  test('are asked as of everybody', async () => {
    await registerClient(gapura, 'bidang', { agency_code: 'BPOM', directorate_required: true });
    const budi = await openSession('budi');
    const address = await addressOf('bidang', { scope: 'openid profile directorate' }, budi.owner);
    const page = await budi.visitor.get(address);
    expect(page.body).toContain('name="directorate"');
    const answer = await follow(address, { answers: { directorate: food }, who: budi.visitor });
    const { tokens, userinfo } = done(await finish(answer, budi.owner));
    expect(tokens[1]?.claims).toMatchObject({ directorate: { code: 'PANGAN' } });
    expect(userinfo?.claims).toMatchObject({ directorate: { code: 'PANGAN' } });
    expect(await listLiving('bidang')).toEqual([]);
    expect(await entryOf('bidang', budi.owner)).toBeUndefined();
  });

  test('may be asked again by prompt=login, and by acr_values', async () => {
    const request = { scope: 'openid', prompt: 'login', acr_values: 'urn:gapura:acr:multi-factor' };
    const address = await addressOf('coba', request);
    const answer = await follow(address, { answers: { identifier: 'admin', password: demo_password } });
    expect(done(await finish(answer)).missing).toEqual([{ claim: 'acr', because: 'not_reached' }]);
  });

  test('that are cancelled are a refusal', async () => {
    const page = await visitor.get(await addressOf('coba', { scope: 'openid', prompt: 'login' }));
    const reached = await followTo(visitor, callback, await visitor.post(page.url, { cancel: '1' }, { follow: false }));
    if (!('returned' in reached)) throw new Error('no answer');
    expect(await finish(Object.fromEntries(reached.returned.searchParams))).toMatchObject({
      state: 'refused',
      error: 'access_denied',
    });
  });

  test('answered by somebody else end the way', async () => {
    await registerClient(gapura, 'ganti');
    const mine = await openSession('admin');
    const page = await mine.visitor.get(await addressOf('ganti', { scope: 'openid', prompt: 'login' }, mine.owner));
    const other = await mine.visitor.submit(page, { identifier: 'tono', password: demo_password });
    const end = await mine.visitor.submit(other);
    expect(end.trail.some((address) => address.startsWith(callback))).toBe(false);
    expect(end.status).toBe(400);
    expect(await listLiving('ganti')).not.toContain('AuthorizationCode');
  });
});

describe('what is missing is told with its reason', () => {
  test('by scope and claim', async () => {
    await registerClient(gapura, 'semua', { agency_code: 'BPOM' });
    const scope = 'openid profile email organization directorate linked_account offline_access ramalan';
    const claims = { userinfo: { address: null, ramalan: null, email: null }, id_token: { auth_time: null } };
    const { missing, scope: granted } = await tryOut('semua', { scope, claims });
    expect(granted.split(' ').sort()).toEqual(
      'directorate email linked_account openid organization profile'.split(' '),
    );
    expect(missing).toEqual(
      expect.arrayContaining([
        { scope: 'offline_access', because: 'no_consent_asked' },
        { scope: 'ramalan', because: 'unknown' },
        { scope: 'organization', claim: 'organization', because: 'empty' },
        { scope: 'profile', claim: 'fax_number', because: 'empty' },
        { scope: 'directorate', claim: 'directorate', because: 'no_directorate' },
        { scope: 'linked_account', claim: 'linked_account', because: 'no_application' },
        { claim: 'address', because: 'empty' },
        { claim: 'ramalan', because: 'unknown' },
      ]),
    );
    expect(missing.map(({ claim }) => claim)).not.toContain('email');
    expect(missing.map(({ claim }) => claim)).not.toContain('auth_time');
  });

  test('by name, for a client that is not registered for the scope', async () => {
    await registerClient(gapura, 'sempit', { metadata: { scope: 'openid profile' } });
    const claims = { userinfo: { address: null, name: null, profile: null } };
    const { missing } = await tryOut('sempit', { scope: 'openid', claims });
    expect(missing).toEqual([
      { claim: 'address', because: 'no_scope' },
      { claim: 'profile', because: 'no_scope' },
    ]);
  });

  test('down to the parts of a claim', async () => {
    const sari = await openSession('sari');
    await db.updateTable('organisations').set({ nib: null }).execute();
    const address = await addressOf('coba', { scope: 'openid organization' }, sari.owner);
    const { missing } = done(await finish(await follow(address, { who: sari.visitor }), sari.owner));
    expect(missing).toContainEqual({ scope: 'organization', claim: 'organization.nib', because: 'empty' });
    expect(missing).not.toContainEqual(expect.objectContaining({ claim: 'organization.npwp' }));
  });

  test('without openid there is nothing to look into', async () => {
    const { missing, userinfo, tokens } = await tryOut('coba', { scope: 'profile' });
    expect(userinfo).toBeUndefined();
    expect(tokens.map(({ kind }) => kind)).not.toContain('id_token');
    expect(missing).toEqual([{ scope: 'profile', because: 'no_openid' }]);
  });

  test('a scope beyond the registration is refused by the engine, and named', async () => {
    await registerClient(gapura, 'sempit', { metadata: { scope: 'openid profile' } });
    const outcome = await finish(await follow(await addressOf('sempit', { scope: 'openid email' })));
    expect(outcome).toMatchObject({
      state: 'refused',
      error: 'invalid_scope',
      missing: [{ scope: 'email', because: 'not_allowed' }],
    });
  });
});

const headingOf = (page: string) => /<h1[^>]*>(.*?)<\/h1>/s.exec(page)?.[1];

describe('nobody else', () => {
  test.each([
    ['a stranger who is signed in', async () => (await openSession('tono')).visitor],
    ['a stranger who is not', async () => newHttpVisitor(gapura.url)],
    ['the same person in another browser', async () => (await openSession('admin')).visitor],
  ])('gets further than the page of an unregistered address: %s', async (_who, open) => {
    const address = await addressOf('coba');
    const answer = await (await open()).get(address, { follow: false });
    expect(answer.status).toBe(400);
    expect(answer.headers.get('location')).toBeNull();
    // It is what they would see of any other address.
    const query = new URLSearchParams({ client_id: 'coba', response_type: 'code', redirect_uri: `${callback}/x` });
    const usual = await newHttpVisitor(gapura.url).get(`/connect/auth?${query}`);
    expect(headingOf(answer.body)).toBe(headingOf(usual.body));
    // And it stays the owner's.
    expect(done(await finish(await follow(address))).tokens).toHaveLength(3);
  });

  test('can use the address without the trial, not even its owner, nor for another client', async () => {
    await registerClient(gapura, 'lain');
    const { state = '' } = await follow(await addressOf('coba'));
    const asked = { response_type: 'code', redirect_uri: callback, scope: 'openid', state };
    const pkce = { code_challenge: 'x'.repeat(43), code_challenge_method: 'S256' };
    for (const client_id of ['coba', 'lain']) {
      const query = new URLSearchParams({ client_id, ...asked, ...pkce });
      const answer = await visitor.get(`/connect/auth?${query}`, { follow: false });
      expect([answer.status, answer.headers.get('location')]).toEqual([400, null]);
    }
    const other = new URL(await addressOf('coba'));
    other.searchParams.set('client_id', 'lain');
    const answer = await visitor.get(other, { follow: false });
    expect([answer.status, answer.headers.get('location')]).toEqual([400, null]);
  });

  test('can push a request with the address', async () => {
    const { client_id, client_secret } = await registerClient(gapura, 'pendorong');
    const body = new URLSearchParams({ response_type: 'code', redirect_uri: callback, scope: 'openid', client_id });
    body.set('trial', JSON.stringify({ client_id, ...owner }));
    const authorization = `Basic ${Buffer.from(`${client_id}:${client_secret}`).toString('base64')}`;
    const answer = await fetch(`${gapura.url}/connect/par`, { method: 'POST', body, headers: { authorization } });
    expect(await answer.json()).toMatchObject({ error: 'invalid_request' });
  });

  test('can end a trial, and it goes on for its owner', async () => {
    const answer = await follow(await addressOf('coba'));
    const tono = await openSession('tono');
    const again = await openSession('admin');
    for (const who of [tono.owner, again.owner, { ...owner, session_uid: tono.owner.session_uid }]) {
      expect(await finish(answer, who)).toEqual({ state: 'over' });
    }
    expect(done(await finish(answer)).tokens).toHaveLength(3);
  });

  test('redeems a code of another request with a trial', async () => {
    const { address, checks } = await party.begin();
    const real = await authorize(visitor, address, party.redirect_uri);
    const answer = await follow(await addressOf('coba'));
    const stolen = { ...answer, code: real.searchParams.get('code') };
    expect(await finish(stolen)).toMatchObject({ state: 'refused', error: 'invalid_grant' });
    expect((await party.redeem(real, checks)).access_token).toBeTruthy();
  });

  test('redeems the code of a trial at the token endpoint, the client itself neither', async () => {
    const { code = '', state = '' } = await follow(await addressOf('coba'));
    const form = { redirect_uri: callback, code_verifier: 'x'.repeat(43) };
    await expect(
      oidc.genericGrantRequest(party.configuration, 'authorization_code', { code, ...form }),
    ).rejects.toMatchObject({ error: 'invalid_grant' });
    expect(done(await finish({ code, state })).tokens).toHaveLength(3);
  });
});

describe('a trial ends', () => {
  test('at its first callback; of twenty at once one gets the outcome', async () => {
    const answer = await follow(await addressOf('coba'));
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => finish(answer)));
    expect(outcomes.map(({ state }) => state).sort()).toEqual(['done', ...Array(19).fill('over')]);
    expect(await finish(answer)).toEqual({ state: 'over' });
  });

  test('with its time: neither its address nor its callback is taken', async () => {
    const first = await addressOf('coba');
    const answer = await follow(await addressOf('coba'));
    await moveClock(db, 601);
    const late = await visitor.get(first, { follow: false });
    expect([late.status, late.headers.get('location')]).toEqual([400, null]);
    expect(await finish(answer)).toEqual({ state: 'over' });
  });

  test('for its address too, once it is spent', async () => {
    const address = await addressOf('coba', { scope: 'openid', prompt: 'login' });
    const page = await visitor.get(address);
    const cancelled = await visitor.post(page.url, { cancel: '1' }, { follow: false });
    const reached = await followTo(visitor, callback, cancelled);
    if (!('returned' in reached)) throw new Error('no answer');
    await finish(Object.fromEntries(reached.returned.searchParams));
    const again = await visitor.get(address, { follow: false });
    expect([again.status, again.headers.get('location')]).toEqual([400, null]);
  });

  test('where nobody came back from it, the duty takes what was granted', async () => {
    await registerClient(gapura, 'ditinggal');
    await follow(await addressOf('ditinggal'));
    expect(await listLiving('ditinggal')).toEqual(expect.arrayContaining(['Grant', 'AuthorizationCode']));
    await moveClock(db, 601);
    expect(await purgeTrials(db)).toBeGreaterThan(0);
    expect(await listLiving('ditinggal')).toEqual([]);
    expect(await db.selectFrom('trials').select('id').execute()).toEqual([]);
  });

  test.each([[undefined], [['a', 'b']], ['x'.repeat(10_000)], ['\0'], [{}]])(
    'with nothing for the state %p',
    async (state) => {
      expect(await finish({ state, code: 'x' })).toEqual({ state: 'over' });
    },
  );

  test('refused when the session ended, the client was disabled, or the answer is empty', async () => {
    const mine = await openSession('admin');
    const one = await follow(await addressOf('coba', undefined, mine.owner), { who: mine.visitor });
    await db.deleteFrom('oidc_sessions').where('uid', '=', mine.owner.session_uid).execute();
    expect(await finish(one, mine.owner)).toMatchObject({ state: 'refused', error: 'invalid_grant' });

    await registerClient(gapura, 'mati');
    const two = await follow(await addressOf('mati'));
    const by = { by: null, because: 'uji' };
    await inTransaction(db, (tx) => disableClient(tx, 'mati', by, async () => undefined));
    expect(await finish(two)).toMatchObject({ state: 'refused', error: 'invalid_client' });
    expect(await listLiving('mati')).toEqual([]);

    const { state } = await follow(await addressOf('coba'));
    expect(await finish({ state })).toMatchObject({ state: 'refused', error: 'invalid_request' });
  });
});

describe("the administrator's own use of the client", () => {
  test('does not begin with a trial: the session has no entry of it', async () => {
    await registerClient(gapura, 'belum');
    const answer = await follow(await addressOf('belum'));
    expect(await entryOf('belum')).toBeUndefined();
    await finish(answer);
    expect(await entryOf('belum')).toBeUndefined();
  });

  test('goes on as it was: grant, entry, tokens', async () => {
    await registerClient(gapura, 'sendiri', { agency_code: 'BPOM', directorate_required: true });
    const own = await openParty(
      gapura.config.issuer,
      {
        client_id: 'sendiri',
        client_secret: 'secret-of-sendiri-which-is-long-enough',
        redirect_uri: 'http://sendiri.localhost:4999/callback',
      },
      'openid directorate',
    );
    const budi = await openSession('budi');
    const { address, checks } = await own.begin();
    const returned = await authorize(budi.visitor, address, own.redirect_uri, { directorate: food });
    const tokens = await own.redeem(returned, checks);
    const before = await entryOf('sendiri', budi.owner);
    const living = await listLiving('sendiri');

    // Another directorate and more scopes, which would replace the grant of a real request.
    const trial = await addressOf('sendiri', { scope: 'openid profile email directorate' }, budi.owner);
    const answer = await follow(trial, { who: budi.visitor, answers: { directorate: medicine } });
    const outcome = done(await finish(answer, budi.owner));
    expect(outcome.tokens[1]?.claims).toMatchObject({ directorate: { code: 'OT' } });

    expect(await entryOf('sendiri', budi.owner)).toEqual(before);
    expect(await listLiving('sendiri')).toEqual(living);
    expect(await oidc.tokenIntrospection(own.configuration, tokens.access_token)).toMatchObject({
      active: true,
      scope: 'openid directorate',
      directorate: { code: 'PANGAN' },
    });
    expect((await oidc.refreshTokenGrant(own.configuration, tokens.refresh_token ?? '')).access_token).toBeTruthy();
    const again = await own.begin({ prompt: 'none' });
    const silent = await own.redeem(await authorize(budi.visitor, again.address, own.redirect_uri), again.checks);
    expect(silent.claims()).toMatchObject({ directorate: { code: 'PANGAN' } });
  });

  test('a trial that many tabs open at once has one grant, and one code', async () => {
    await registerClient(gapura, 'dua-tab');
    const address = await addressOf('dua-tab');
    const tabs = Array.from({ length: 8 }, () => copyVisitor(gapura.url, visitor));
    const answers = await Promise.all(tabs.map((tab) => tab.get(address, { follow: false })));
    expect(answers.every(({ status }) => status < 500)).toBe(true);
    const codes = answers.filter(({ headers }) => headers.get('location')?.startsWith(`${callback}?code=`));
    expect(codes).toHaveLength(1);
    expect((await listLiving('dua-tab')).sort()).toEqual(['AuthorizationCode', 'Grant']);
    const returned = new URL(codes[0]?.headers.get('location') ?? '');
    expect(done(await finish(Object.fromEntries(returned.searchParams))).tokens).toHaveLength(3);
    expect(await listLiving('dua-tab')).toEqual([]);
  });
});

test('no row holds the secret or the code verifier, no log line the secret or the code', async () => {
  const answer = await follow(await addressOf('coba'));
  const rows = await inTransaction(db, (tx) => tx.selectFrom('trials').selectAll().execute());
  expect(rows.length).toBeGreaterThan(0);
  expect(JSON.stringify(rows)).not.toContain(answer.state);
  expect(rows.every(({ sealed_verifier }) => sealed_verifier.startsWith('v1.'))).toBe(true);
  await finish(answer);
  for (const secret of [answer.state, answer.code]) expect(JSON.stringify(gapura.log)).not.toContain(secret);
});

test('each trial stands in the audit with who tried what', async () => {
  await registerClient(gapura, 'tercatat');
  await tryOut('tercatat', { scope: 'openid profile nomor-0812' });
  expect(await listAudit(gapura, 'tercatat', 'client_tried')).toMatchObject([
    { account_id: owner.account_id, detail: { scope: 'openid profile' } },
  ]);
});
