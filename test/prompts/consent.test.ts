/** Persetujuan: what the page says, that nothing is told before it is allowed, and that nobody answers for another. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import * as oidc from 'openid-client';
import { giveConsent } from '../../src/consents.ts';
import { inTransaction } from '../../src/database.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { readText } from '../support/facts.ts';
import { demo_password, registerClient, signIn, startGapura, type TestGapura } from '../support/gapura.ts';
import { type Answer, findForm, type HttpVisitor, newHttpVisitor } from '../support/http.ts';
import { followTo, openParty, type TestParty } from '../support/relying-party.ts';
import { storm } from '../support/storm.ts';

let gapura: TestGapura;
/** An application of others. */
let outside: TestParty;
/** One of ours. */
let own: TestParty;
/** One that needs a directorate. */
let directing: TestParty;
let food: string;

const documents = {
  policy_uri: 'http://luar.localhost:4999/kebijakan',
  tos_uri: 'http://luar.localhost:4999/ketentuan',
};
const everything = 'openid profile email organization';

beforeAll(async () => {
  gapura = await startGapura();
  const open = async (id: string, registration: Parameters<typeof registerClient>[2]) =>
    openParty(gapura.config.issuer, await registerClient(gapura, id, registration), everything);
  outside = await open('luar', { first_party: false, agency_code: 'BPOM', metadata: documents });
  own = await open('sendiri', {});
  directing = await open('terarah', { first_party: false, agency_code: 'BPOM', directorate_required: true });
  const found = gapura.db.selectFrom('directorates').select('id').where('code', '=', 'PANGAN');
  food = (await found.executeTakeFirstOrThrow()).id;
});

afterEach(async () => {
  await resetClock(gapura.db);
  for (const table of ['consents', 'oidc_records', 'oidc_sessions', 'limits'] as const)
    await gapura.db.deleteFrom(table).execute();
  await gapura.db.updateTable('clients').set({ origin: 'console' }).where('id', '=', 'luar').execute();
});

afterAll(() => gapura.stop());

type Checks = Awaited<ReturnType<TestParty['begin']>>['checks'];

interface Reached {
  visitor: HttpVisitor;
  checks: Checks;
  page?: Answer;
  returned?: URL;
}

async function follow(party: TestParty, visitor: HttpVisitor, checks: Checks, first: Answer): Promise<Reached> {
  const reached = await followTo(visitor, party.redirect_uri, first);
  return { visitor, checks, ...('returned' in reached ? { returned: reached.returned } : { page: reached.page }) };
}

/** Signs in where that is asked, and gives what comes after it: a question, or the way back to the application. */
async function begin(
  party: TestParty,
  parameters: Record<string, string> = {},
  { visitor = newHttpVisitor(gapura.url), who = 'budi' } = {},
): Promise<Reached> {
  const { address, checks } = await party.begin(parameters);
  const reached = await follow(party, visitor, checks, await visitor.get(address, { follow: false }));
  if (!reached.page?.body.includes('name="identifier"')) return reached;
  const fields = { identifier: who, password: demo_password };
  return follow(party, visitor, checks, await visitor.post(reached.page.url, fields, { follow: false }));
}

const isAsked = ({ page }: Reached) => page?.body.includes('<h1>Persetujuan</h1>') === true;

/** Sends the page's form with the button Izinkan; `without` are boxes that are unticked first. */
async function allow(party: TestParty, reached: Reached, without: string[] = []): Promise<Reached> {
  if (!reached.page || !isAsked(reached)) throw new Error(`not asked: ${reached.page?.body ?? reached.returned}`);
  const fields = Object.entries(findForm(reached.page.body).fields).filter(([name]) => !without.includes(name));
  const sent = { ...Object.fromEntries(fields), allow: '1' };
  const answer = await reached.visitor.post(reached.page.url, sent, { follow: false });
  return follow(party, reached.visitor, reached.checks, answer);
}

async function deny(party: TestParty, { page, visitor, checks }: Reached): Promise<Reached> {
  if (!page) throw new Error('there is no page');
  return follow(party, visitor, checks, await visitor.post(page.url, { cancel: '1' }, { follow: false }));
}

async function redeem(party: TestParty, { returned, checks }: Reached) {
  if (!returned?.searchParams.has('code')) throw new Error(`no code: ${returned}`);
  return party.redeem(returned, checks);
}

const userinfo = async (party: TestParty, tokens: Awaited<ReturnType<TestParty['redeem']>>) =>
  oidc.fetchUserInfo(party.configuration, tokens.access_token, tokens.claims()?.sub ?? '');

const errorOf = ({ returned }: Reached) => returned?.searchParams.get('error');

const sorted = (scope: string | undefined) => scope?.split(' ').sort().join(' ');

async function listScopes(): Promise<string[]> {
  const rows = await gapura.db.selectFrom('consents').select('scopes').execute();
  return rows.map(({ scopes }) => [...scopes].sort().join(' '));
}

async function countRows(model: string, client_id = 'luar'): Promise<number> {
  const found = gapura.db.selectFrom('oidc_records').select('model').where('model', '=', model);
  return (await found.where('client_id', '=', client_id).execute()).length;
}

async function countAudit(kind: 'consent_given'): Promise<number> {
  return (await gapura.db.selectFrom('audit_events').select('id').where('kind', '=', kind).execute()).length;
}

describe('the question', () => {
  test('says who asks, what, of whom, for how long, where it goes, and where to read more', async () => {
    const { page } = await begin(outside);
    const words = readText(page?.body ?? '');
    expect(words).toMatch(/Aplikasi luar\s*Badan Pengawas Obat dan Makanan/);
    expect(words).toContain('Aplikasi luar meminta izin untuk mengetahui data Anda, Budi Contoh Santoso (budi).');
    for (const scope of ['bahwa Anda telah masuk', 'nama lengkap, nama pengguna', 'alamat email', 'NPWP, NIB'])
      expect(words).toContain(scope);
    expect(words).toMatch(/Izin ini kami ingat sampai Anda mencabutnya\..*paling lama 30 hari setiap kali masuk/);
    expect(words).toContain('Jawaban dikirim ke luar.localhost:4999.');
    expect(words).not.toMatch(/tidak hadir|Belum ada yang memeriksa|berjalan di perangkat|Sudah Anda izinkan/);
    for (const address of Object.values(documents)) expect(page?.body).toContain(`<a href="${address}">`);
    expect(page?.body).toMatch(/<button id="allow" type="submit" name="allow" value="1">Izinkan</);
    expect(page?.body).toMatch(/<button id="deny" type="submit" class="secondary" name="cancel"[^>]*>Tolak</);
    // What can be read of a person is not in the page that asks for it.
    expect(page?.body).not.toMatch(/@contoh\.example|PT Contoh/);
  });

  test('is asked in English too', async () => {
    const { page } = await begin(outside, { ui_locales: 'en' });
    expect(page?.body).toContain('<h1>Your consent</h1>');
    expect(readText(page?.body ?? '')).toMatch(/Indonesian Food and Drug Authority.*email address, and whether it is/);
  });

  test('names each claim that is asked for by name, but none that a scope brings', async () => {
    const claims = { userinfo: { email: null, phone_number: null }, id_token: { auth_time: null, nonsense: null } };
    const { page } = await begin(outside, { scope: 'openid email', claims: JSON.stringify(claims) });
    const items = [...(page?.body.matchAll(/<li>([^<]+)<\/li>/g) ?? [])].map(([, words]) => words);
    expect(items.slice(0, 3)).toEqual([
      'bahwa Anda telah masuk, dengan nomor pengenal akun Anda yang tetap',
      'alamat email, dan apakah sudah diverifikasi',
      'nomor telepon',
    ]);
    expect(page?.body).not.toContain('nonsense');
  });

  test('warns of an application that registered itself', async () => {
    await gapura.db.updateTable('clients').set({ origin: 'dynamic' }).where('id', '=', 'luar').execute();
    const words = readText((await begin(outside)).page?.body ?? '');
    expect(words).toContain('Belum ada yang memeriksa siapa pengelola aplikasi ini.');
    expect(words).toContain('nama Aplikasi luar dapat ditulis oleh siapa pun');
  });

  test('is not asked of our own applications, unless they ask for it', async () => {
    expect(errorOf(await begin(own))).toBeNull();
    const visitor = newHttpVisitor(gapura.url);
    const asked = await begin(own, { prompt: 'consent' }, { visitor });
    expect(isAsked(asked)).toBe(true);
    expect((await redeem(own, await allow(own, asked))).claims()?.sub).toBeTruthy();
    expect(await listScopes()).toEqual([]);
  });

  test('comes after the directorate, which is chosen once', async () => {
    const visitor = newHttpVisitor(gapura.url);
    const choice = await begin(directing, { scope: 'openid directorate' }, { visitor });
    expect(choice.page?.body).toContain('<h1>Pilih Direktorat</h1>');
    const chosen = await visitor.post(choice.page?.url ?? '', { directorate: food }, { follow: false });
    const asked = await follow(directing, visitor, choice.checks, chosen);
    expect(isAsked(asked)).toBe(true);
    expect(await countRows('Grant', 'terarah')).toBe(0);
    const { id_token } = await redeem(directing, await allow(directing, asked));
    expect(id_token).toBeTruthy();
    expect(await countRows('Grant', 'terarah')).toBe(1);
    const again = await begin(directing, { scope: 'openid directorate' }, { visitor });
    expect((await redeem(directing, again)).claims()?.directorate).toMatchObject({ code: 'PANGAN' });
  });
});

describe('the answer', () => {
  test('yes tells what was asked for, is remembered, and is not asked for again in another session either', async () => {
    const before = await countAudit('consent_given');
    const visitor = newHttpVisitor(gapura.url);
    const tokens = await redeem(outside, await allow(outside, await begin(outside, {}, { visitor })));
    expect(sorted(tokens.scope)).toBe(sorted(everything));
    expect(await userinfo(outside, tokens)).toMatchObject({ name: 'Budi Contoh Santoso', organization: {} });
    expect(await listScopes()).toEqual([sorted(everything)]);
    expect((await begin(outside, {}, { visitor })).returned?.searchParams.get('code')).toBeTruthy();
    expect((await begin(outside)).returned?.searchParams.get('code')).toBeTruthy();
    expect(await countAudit('consent_given')).toBe(before + 1);
    // Tono is somebody else.
    expect(isAsked(await begin(outside, {}, { visitor: newHttpVisitor(gapura.url), who: 'tono' }))).toBe(true);
  });

  test('no goes back with access_denied, and leaves nothing: no consent, no grant, no entry in the session', async () => {
    const visitor = newHttpVisitor(gapura.url);
    const denied = await deny(outside, await begin(outside, {}, { visitor }));
    expect(errorOf(denied)).toBe('access_denied');
    expect(await listScopes()).toEqual([]);
    expect(await countRows('Grant')).toBe(0);
    const sessions = await gapura.db.selectFrom('oidc_sessions').select('authorizations').execute();
    expect(sessions.flatMap(({ authorizations }) => Object.keys(authorizations))).not.toContain('luar');
    expect(isAsked(await begin(outside, {}, { visitor }))).toBe(true);
  });

  test('without a page nothing is told: prompt=none says consent_required until it was allowed', async () => {
    const visitor = newHttpVisitor(gapura.url);
    const asked = await begin(outside, {}, { visitor });
    expect(errorOf(await begin(outside, { prompt: 'none' }, { visitor }))).toBe('consent_required');
    await allow(outside, asked);
    const silent = await begin(outside, { prompt: 'none' }, { visitor });
    expect(sorted((await redeem(outside, silent)).scope)).toBe(sorted(everything));
  });

  test('is asked for anew for what is new alone, and a no to that leaves what was allowed', async () => {
    const visitor = newHttpVisitor(gapura.url);
    const scope = { scope: 'openid profile' };
    const first = await redeem(outside, await allow(outside, await begin(outside, scope, { visitor })));
    const more = await begin(outside, { scope: 'openid profile phone' }, { visitor });
    const words = readText(more.page?.body ?? '');
    expect(words).toMatch(/Yang baru diminta\s+nomor telepon.*Sudah Anda izinkan sebelumnya\s+bahwa Anda telah masuk/);
    expect(errorOf(await deny(outside, more))).toBe('access_denied');
    expect((await userinfo(outside, first)).name).toBe('Budi Contoh Santoso');
    expect(await listScopes()).toEqual(['openid profile']);
    const next = await begin(outside, { scope: 'openid profile phone' }, { visitor });
    expect(sorted((await redeem(outside, await allow(outside, next))).scope)).toBe('openid phone profile');
    // A request that asks for less gets less, though the grant holds more.
    const less = await redeem(outside, await begin(outside, { scope: 'openid' }, { visitor }));
    expect(less.scope).toBe('openid');
    expect(Object.keys(await userinfo(outside, less))).toEqual(['sub']);
  });

  test('reaches to claims asked for by name, which are told only once they were allowed', async () => {
    const visitor = newHttpVisitor(gapura.url);
    const claims = JSON.stringify({ userinfo: { email: null } });
    await allow(outside, await begin(outside, { scope: 'openid profile' }, { visitor }));
    const asked = await begin(outside, { scope: 'openid profile', claims }, { visitor });
    expect(readText(asked.page?.body ?? '')).toContain('Yang baru diminta');
    const told = await userinfo(outside, await redeem(outside, await allow(outside, asked)));
    expect(told.email).toBe('budi@contoh.example');
    const without = await redeem(outside, await begin(outside, { scope: 'openid profile' }, { visitor }));
    expect(await userinfo(outside, without)).not.toHaveProperty('email');
    expect(isAsked(await begin(outside, { scope: 'openid profile', claims }, { visitor }))).toBe(false);
  });

  test('that brings a claim by its scope is no question when the claim is asked for by name', async () => {
    const visitor = newHttpVisitor(gapura.url);
    await allow(outside, await begin(outside, {}, { visitor }));
    const claims = JSON.stringify({ userinfo: { email: { essential: true } } });
    const silent = await begin(outside, { scope: 'openid profile', claims }, { visitor });
    expect(await userinfo(outside, await redeem(outside, silent))).toMatchObject({ email: 'budi@contoh.example' });
  });

  test('with prompt=consent is asked for each time', async () => {
    const visitor = newHttpVisitor(gapura.url);
    await allow(outside, await begin(outside, {}, { visitor }));
    const asked = await begin(outside, { prompt: 'consent' }, { visitor });
    expect(readText(asked.page?.body ?? '')).not.toContain('Yang akan diketahui');
    expect(errorOf(await deny(outside, asked))).toBe('access_denied');
    expect((await begin(outside, {}, { visitor })).returned?.searchParams.get('code')).toBeTruthy();
  });

  test('may leave out what an application does while nobody is there; the last word counts', async () => {
    const visitor = newHttpVisitor(gapura.url);
    const offline = { scope: 'openid offline_access', prompt: 'consent' };
    const page = await begin(outside, offline, { visitor });
    expect(readText(page.page?.body ?? '')).toContain('juga saat Anda tidak hadir');
    const online = await redeem(outside, await allow(outside, page, ['offline_access']));
    expect(online.scope).toBe('openid');
    expect(await listScopes()).toEqual(['openid']);

    const always = await redeem(outside, await allow(outside, await begin(outside, offline, { visitor })));
    expect(sorted(always.scope)).toBe('offline_access openid');
    expect(await listScopes()).toEqual(['offline_access openid']);

    await allow(outside, await begin(outside, offline, { visitor }), ['offline_access']);
    expect(await listScopes()).toEqual(['openid']);
    const late = oidc.refreshTokenGrant(outside.configuration, always.refresh_token ?? '');
    await expect(late).rejects.toMatchObject({ error: 'invalid_grant' });
    expect(await countRows('Grant')).toBe(1);
  });

  test('outlives the grant that was made of it', async () => {
    const visitor = newHttpVisitor(gapura.url);
    await allow(outside, await begin(outside, {}, { visitor }));
    await gapura.db.deleteFrom('oidc_records').where('model', '=', 'Grant').execute();
    const silent = await begin(outside, { prompt: 'none' }, { visitor });
    expect(sorted((await redeem(outside, silent)).scope)).toBe(sorted(everything));
  });
});

describe('an application on the person’s own device', () => {
  test.each([
    ['an own scheme', 'example.pasar:/selesai', 'native'],
    ['loopback', 'http://127.0.0.1:4999/selesai', 'native'],
    ['loopback, as a web application without a secret', 'http://localhost:4999/selesai', 'web'],
  ])('at %s is asked about each time, whoever it belongs to', async (_what, redirect_uri, application_type) => {
    const party = await openNative(redirect_uri, application_type);
    const visitor = newHttpVisitor(gapura.url);
    for (let times = 0; times < 2; times++) {
      const asked = await begin(party, {}, { visitor });
      expect(readText(asked.page?.body ?? '')).toContain('Aplikasi ini berjalan di perangkat Anda.');
      expect((await allow(party, asked)).returned?.searchParams.get('code')).toBeTruthy();
    }
    expect(errorOf(await begin(party, { prompt: 'none' }, { visitor }))).toBe('consent_required');
  });

  test('at an https address that it has claimed is like any other', async () => {
    const party = await openNative('https://pasar.example/selesai', 'native');
    expect(isAsked(await begin(party))).toBe(false);
  });
});

async function openNative(redirect_uri: string, application_type: string): Promise<TestParty> {
  const metadata = { redirect_uris: [redirect_uri], application_type, token_endpoint_auth_method: 'none' };
  const client = await registerClient(gapura, 'pasar', { metadata });
  return { ...(await openParty(gapura.config.issuer, client)), ...(await beginAt(client, redirect_uri)) };
}

/** The same party with another address to return to. */
async function beginAt(client: Awaited<ReturnType<typeof registerClient>>, redirect_uri: string) {
  const { begin: start } = await openParty(gapura.config.issuer, { ...client, redirect_uri });
  return { begin: start, redirect_uri };
}

describe('nobody', () => {
  test('answers for another: who signs in within the same request is asked for themselves', async () => {
    const visitor = newHttpVisitor(gapura.url);
    await begin(own, {}, { visitor });
    const asked = await begin(outside, { max_age: '600' }, { visitor });
    const sent = await visitor.post(asked.page?.url ?? '', { allow: '1' }, { follow: false });
    // Before the answer is carried on, the sign-in has become too old, and Tono signs in at Budi's computer.
    await moveClock(gapura.db, 900);
    const login = await visitor.get(sent.headers.get('location') ?? '');
    expect(login.body).toContain('name="identifier"');
    let page = await signIn(visitor, login, 'tono');
    if (page.body.includes('id="forward"')) page = await visitor.submit(page);
    expect(page.body).toContain('Tono Contoh Prasetyo (tono)');
    const rows = await gapura.db.selectFrom('consents').select('account_id').execute();
    const budi = gapura.db.selectFrom('account_identifiers').select('account_id').where('canonical', '=', 'budi');
    expect(rows.filter(({ account_id }) => account_id !== null)).toHaveLength(1);
    expect(rows[0]?.account_id).toBe((await budi.executeTakeFirstOrThrow()).account_id);
  });

  test('gets more than one code: twenty answers, then twenty resumes, at once', async () => {
    const before = await countAudit('consent_given');
    const { visitor, page } = await begin(outside);
    const answers = await storm(20, () => request(visitor, page?.url.href ?? '', 'allow=1'));
    const ways = new Set(answers.map(({ headers }) => headers.location));
    expect([new Set(answers.map(({ status }) => status)), ways.size]).toEqual([new Set([303]), 1]);
    const [way = ''] = ways;
    const resumed = await storm(20, () => request(visitor, new URL(way, gapura.url).href));
    const codes = resumed.filter(({ headers }) => headers.location?.includes('code='));
    expect([codes.length, resumed.filter(({ status }) => status >= 500).length]).toEqual([1, 0]);
    expect([await countRows('AuthorizationCode'), await countRows('Grant')]).toEqual([1, 1]);
    expect([(await listScopes()).length, await countAudit('consent_given')]).toEqual([1, before + 1]);
  });

  test('is bound by another tab: one allows and one denies, each is answered as it was', async () => {
    const visitor = newHttpVisitor(gapura.url);
    const first = await begin(outside, {}, { visitor });
    const second = await begin(outside, {}, { visitor });
    expect(errorOf(await deny(outside, second))).toBe('access_denied');
    expect((await allow(outside, first)).returned?.searchParams.get('code')).toBeTruthy();
    expect(await listScopes()).toEqual([sorted(everything)]);
  });

  test('has allowed what the same page denied before it was carried on', async () => {
    const { visitor, page, checks } = await begin(outside);
    await visitor.post(page?.url ?? '', { allow: '1' }, { follow: false });
    expect(errorOf(await deny(outside, { visitor, page: page as Answer, checks }))).toBe('access_denied');
    expect(await listScopes()).toEqual([]);
  });
});

test('two tabs that allow different things at once are both remembered, with one grant', async () => {
  const visitor = newHttpVisitor(gapura.url);
  const tabs = [
    await begin(outside, { scope: 'openid profile' }, { visitor }),
    await begin(outside, { scope: 'openid phone' }, { visitor }),
  ];
  const sent = await Promise.all(
    tabs.map(({ page }) => visitor.post(page?.url ?? '', { allow: '1' }, { follow: false })),
  );
  const resumed = await storm(2, (at) => {
    const way = new URL(sent[at]?.headers.get('location') ?? '', gapura.url);
    return request(visitor, way.href);
  });
  const codes = resumed.map(({ headers }) => new URL(headers.location ?? ''));
  const tokens = await Promise.all(codes.map((code, at) => outside.redeem(code, tabs[at]?.checks as Checks)));
  expect(tokens.map(({ scope }) => sorted(scope))).toEqual(['openid profile', 'openid phone']);
  expect(await listScopes()).toEqual(['openid phone profile']);
  expect(await countRows('Grant')).toBe(1);
});

test('a withdrawal that is under way is waited for, and leaves no grant behind it', async () => {
  const visitor = newHttpVisitor(gapura.url);
  await begin(own, {}, { visitor });
  const found = gapura.db.selectFrom('account_identifiers').select('account_id').where('canonical', '=', 'budi');
  const { account_id } = await found.executeTakeFirstOrThrow();
  const given = { account_id, client_id: 'luar', scopes: everything.split(' '), claims: [], declined: [] };
  await inTransaction(gapura.db, (tx) => giveConsent(tx, { ...given, request: undefined }));
  const reached = await inTransaction(gapura.db, async (tx) => {
    await tx.deleteFrom('consents').execute();
    const opening = begin(outside, {}, { visitor });
    await waitForLock();
    return { opening };
  });
  expect(isAsked(await reached.opening)).toBe(true);
  expect(await countRows('Grant')).toBe(0);
  expect(await countRows('AuthorizationCode')).toBe(0);
});

/** Returns once a statement waits for somebody's lock on a consent. */
async function waitForLock(): Promise<void> {
  for (;;) {
    const { rows } = await sql`SELECT FROM pg_stat_activity WHERE datname = current_database()
      AND wait_event_type = 'Lock' AND query LIKE '%consents%for share%'`.execute(gapura.db);
    if (rows.length > 0) return;
  }
}

function request({ cookies }: HttpVisitor, address: string, body?: string) {
  const { pathname } = new URL(address);
  const fitting = cookies.filter(({ path }) => `${pathname}/`.startsWith(path.replace(/\/?$/, '/')));
  const headers = { cookie: fitting.map(({ name, value }) => `${name}=${value}`).join('; '), origin: gapura.url };
  return { url: address, headers, ...(body === undefined ? {} : { body }) };
}
