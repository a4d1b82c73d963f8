/** Izin Aplikasi: a person sees what they allowed and what access is held, and ends it at once, for them and nobody else. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import * as oidc from 'openid-client';
import { listConsents } from '../../src/consents.ts';
import { type Browser, clickAndSettle, expectNoAxeViolations, expectQuiet, openBrowser } from '../support/browser.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { readText } from '../support/facts.ts';
import {
  demo_password,
  newSignedInVisitor,
  registerClient,
  signIn,
  startGapura,
  type TestGapura,
} from '../support/gapura.ts';
import { findForm, type HttpVisitor, newHttpVisitor } from '../support/http.ts';
import { followTo, openParty, type TestParty } from '../support/relying-party.ts';

let gapura: TestGapura;
let browser: Browser;
let outside: TestParty;
let other: TestParty;
let own: TestParty;
let budi: HttpVisitor;
let tono: HttpVisitor;

beforeAll(async () => {
  gapura = await startGapura();
  browser = await openBrowser();
  const open = async (id: string, registration: Parameters<typeof registerClient>[2]) =>
    openParty(gapura.config.issuer, await registerClient(gapura, id, registration), 'openid profile');
  outside = await open('luar', { first_party: false, agency_code: 'BPOM' });
  other = await open('lain', { first_party: false });
  own = await open('sendiri', {});
});

beforeEach(async () => {
  budi = await newSignedInVisitor(gapura.url, 'budi');
  tono = await newSignedInVisitor(gapura.url, 'tono');
});

afterEach(async () => {
  await resetClock(gapura.db);
  for (const table of ['consents', 'limits', 'oidc_sessions', 'oidc_records'] as const)
    await gapura.db.deleteFrom(table).execute();
});

afterAll(async () => {
  await browser?.close();
  await gapura?.stop();
});

/** Opens an application, allowing what it asks for; gives its tokens. */
async function open(party: TestParty, visitor: HttpVisitor, parameters: Record<string, string> = {}) {
  const { address, checks } = await party.begin(parameters);
  let reached = await followTo(visitor, party.redirect_uri, await visitor.get(address, { follow: false }));
  if ('page' in reached) {
    const { body, url } = reached.page;
    const sent = await visitor.post(url, { ...findForm(body).fields, allow: '1' }, { follow: false });
    reached = await followTo(visitor, party.redirect_uri, sent);
  }
  if (!('returned' in reached)) throw new Error(`not back at the application: ${reached.page.body}`);
  return party.redeem(reached.returned, checks);
}

async function asksFor(party: TestParty, visitor: HttpVisitor): Promise<boolean> {
  const { body } = await visitor.get((await party.begin()).address, { follow: true }).catch(() => ({ body: '' }));
  return body.includes('<h1>Persetujuan</h1>');
}

async function accountOf(username: string): Promise<string> {
  const found = gapura.db.selectFrom('account_identifiers').select('account_id').where('canonical', '=', username);
  return (await found.executeTakeFirstOrThrow()).account_id;
}

async function consentOf(username: string, client_id = 'luar'): Promise<string> {
  const consents = await listConsents(gapura.db, await accountOf(username));
  const found = consents.find((consent) => consent.client_id === client_id);
  if (!found) throw new Error(`${username} allowed ${client_id} nothing`);
  return found.id;
}

const removal = async (username: string, client_id?: string) =>
  `/portal/consents/${await consentOf(username, client_id)}/removal`;

async function worksStill(party: TestParty, tokens: Awaited<ReturnType<typeof open>>): Promise<boolean[]> {
  const { access_token, refresh_token = '' } = tokens;
  const worked = async (asked: Promise<unknown>) =>
    asked.then(
      () => true,
      () => false,
    );
  return [
    await worked(oidc.fetchUserInfo(party.configuration, access_token, tokens.claims()?.sub ?? '')),
    (await oidc.tokenIntrospection(party.configuration, access_token)).active,
    await worked(oidc.refreshTokenGrant(party.configuration, refresh_token)),
  ];
}

async function countAudit(kind: 'consent_withdrawn' | 'grants_ended'): Promise<number> {
  return (await gapura.db.selectFrom('audit_events').select('id').where('kind', '=', kind).execute()).length;
}

describe('the page', () => {
  test('says what to expect while nothing is allowed', async () => {
    const { status, body } = await budi.get('/portal/consents');
    expect(status).toBe(200);
    expect(body).toContain('<h1>Izin Aplikasi</h1>');
    expect(body).toMatch(/<a href="\/portal\/consents" aria-current="page">Izin Aplikasi/);
    expect(readText(body)).toContain('Belum ada izin');
    expect(body).not.toContain('<form');
  });

  test('tells of each application who it is, what it may know and since when; of what is over nothing', async () => {
    await open(outside, budi);
    await open(own, budi);
    await moveClock(gapura.db, 3 * 24 * 3600);
    await open(other, await newSignedInVisitor(gapura.url, 'budi'), { scope: 'openid email' });
    await moveClock(gapura.db, 5 * 24 * 3600);
    const visitor = await newSignedInVisitor(gapura.url, 'budi');
    await open(other, visitor, { scope: 'openid phone' });
    const { body } = await visitor.get('/portal/consents');
    const [, first = '', second = '', ...more] = body.split('<section').map(readText);
    expect(more).toEqual([]);
    expect(first).toMatch(/Aplikasi lain .*alamat email, .*nomor telepon, .*Diizinkan sejak .* Terakhir berubah /);
    expect(second).toMatch(/Aplikasi luar Badan Pengawas Obat dan Makanan .*nama lengkap, .*Diizinkan sejak /);
    expect(second).not.toMatch(/alamat email|Terakhir berubah/);
    const english = readText((await visitor.get('/portal/consents?lang=en')).body);
    expect(english).toMatch(/Application access .*Indonesian Food and Drug Authority .*full name, .*Withdraw/);
  });

  test('is for whoever signed in, and shows nobody else’s', async () => {
    await open(outside, budi);
    expect(readText((await tono.get('/portal/consents')).body)).toContain('Belum ada izin');
    const stranger = newHttpVisitor(gapura.url);
    const asked = await stranger.get('/portal/consents');
    expect(asked.body).toContain('name="identifier"');
    expect((await signIn(stranger, asked, 'budi', demo_password)).url.pathname).toBe('/portal/consents');
  });
});

describe('a withdrawal', () => {
  test('ends every token of that application at once, in each session, and it must ask again', async () => {
    const here = await open(outside, budi);
    const elsewhere = await open(outside, await newSignedInVisitor(gapura.url, 'budi'), {
      scope: 'openid profile offline_access',
      prompt: 'consent',
    });
    for (const tokens of [here, elsewhere]) expect(await worksStill(outside, tokens)).toEqual([true, true, true]);
    const before = await countAudit('consent_withdrawn');
    const done = await budi.submit(await budi.get('/portal/consents'));
    expect([done.status, done.url.pathname + done.url.search]).toEqual([200, '/portal/consents?done=removed']);
    expect(readText(done.body)).toMatch(/Izin dicabut\..*Belum ada izin/);
    for (const tokens of [here, elsewhere]) expect(await worksStill(outside, tokens)).toEqual([false, false, false]);
    const rows = gapura.db.selectFrom('oidc_records').select('model').where('grant_id', 'is not', null);
    expect(await rows.where('client_id', '=', 'luar').execute()).toEqual([]);
    expect(await countAudit('consent_withdrawn')).toBe(before + 1);
    expect(await asksFor(outside, budi)).toBe(true);
    expect(await worksStill(outside, await open(outside, budi))).toEqual([true, true, true]);
  });

  test('touches no other application, no other person, and no session', async () => {
    const kept = [await open(other, budi), await open(own, budi)] as const;
    const of_tono = await open(outside, tono);
    await open(outside, budi);
    expect((await budi.post(await removal('budi'), {})).status).toBe(200);
    expect(await worksStill(other, kept[0])).toEqual([true, true, true]);
    expect(await worksStill(own, kept[1])).toEqual([true, true, true]);
    expect(await worksStill(outside, of_tono)).toEqual([true, true, true]);
    expect((await budi.get('/portal')).status).toBe(200);
  });

  test('of another person’s, of none, and a second time, is not found', async () => {
    const tokens = await open(outside, budi);
    const address = await removal('budi');
    expect((await tono.post(address, {})).status).toBe(404);
    for (const id of ['00000000-0000-4000-8000-000000000000', 'x', '%27', 'a'.repeat(300)])
      expect([id, (await budi.post(`/portal/consents/${id}/removal`, {})).status]).toEqual([id, 404]);
    expect(await worksStill(outside, tokens)).toEqual([true, true, true]);
    expect((await budi.post(address, {})).status).toBe(200);
    expect((await budi.post(address, {})).status).toBe(404);
  });

  test('cannot be sent from another site, nor by somebody who is signed out', async () => {
    const tokens = await open(outside, budi);
    const address = await removal('budi');
    const foreign = { headers: { origin: 'https://jahat.example' } };
    expect((await budi.post(address, {}, foreign)).status).toBe(403);
    const stranger = await newHttpVisitor(gapura.url).post(address, {}, { follow: false });
    expect([stranger.status, stranger.headers.get('location')]).toEqual([
      303,
      expect.stringContaining('/connect/auth'),
    ]);
    expect((await budi.get(address)).status).toBe(405);
    expect(await worksStill(outside, tokens)).toEqual([true, true, true]);
  });
});

describe('access', () => {
  const offline = { scope: 'openid profile offline_access', prompt: 'consent' };
  const read = async (visitor: HttpVisitor, query = '') =>
    (await visitor.get(`/portal/consents${query}`)).body.split('<section').slice(1).map(readText);

  test('is told with the last use, and whether it goes on while the person is away', async () => {
    await open(outside, budi, offline);
    await open(other, budi);
    expect((await read(budi)).map((text) => text.includes('Punya akses saat Anda tidak ada'))).toEqual([false, true]);
    await moveClock(gapura.db, 8 * 24 * 3600);
    const later = await newSignedInVisitor(gapura.url, 'budi');
    const [lain = '', luar = ''] = await read(later);
    expect(lain).toMatch(/Aplikasi lain .*Saat ini tidak memegang akses\./);
    expect(luar).toMatch(/Aplikasi luar .*Punya akses saat Anda tidak ada.*Terakhir dipakai \d+ /);
    expect((await read(later, '?lang=en')).join(' ')).toMatch(/Has access while you are away.*Last used/);
  });

  test('of an application that need not ask is told apart, and ended at once; another person’s and the session stay', async () => {
    const [tokens, of_tono] = [await open(own, budi), await open(own, tono)];
    const page = await budi.get('/portal/consents');
    expect(readText(page.body)).toMatch(/Aplikasi yang tidak perlu bertanya.*Aplikasi sendiri .*Punya akses sejak/);
    expect(readText(page.body)).not.toMatch(/Gapura Boleh mengetahui/);
    const before = await countAudit('grants_ended');
    const done = await budi.submit(page);
    expect(readText(done.body)).toContain('Akses diakhiri.');
    expect(done.body).not.toContain('Aplikasi sendiri');
    expect(await worksStill(own, tokens)).toEqual([false, false, false]);
    expect(await worksStill(own, of_tono)).toEqual([true, true, true]);
    expect(await countAudit('grants_ended')).toBe(before + 1);
    expect((await budi.get('/portal')).url.pathname).toBe('/portal');
    expect(await worksStill(own, await open(own, budi))).toEqual([true, true, true]);
  });

  test('that this person has not given, and that of our own surfaces, is not found', async () => {
    const tokens = await open(own, budi);
    for (const id of ['sendiri', 'portal', 'tidak-ada', '%27', 'a'.repeat(3000)])
      expect([id, (await tono.post(`/portal/grants/${id}/removal`, {})).status]).toEqual([id, 404]);
    expect((await budi.post('/portal/grants/portal/removal', {})).status).toBe(404);
    expect(
      (await budi.post('/portal/grants/sendiri/removal', {}, { headers: { origin: 'https://jahat.example' } })).status,
    ).toBe(403);
    expect(await worksStill(own, tokens)).toEqual([true, true, true]);
  });

  test('of all ends with one button, whatever kind it is; sessions go on', async () => {
    const held = [await open(outside, budi, offline), await open(other, budi), await open(own, budi)] as const;
    const of_tono = await open(outside, tono);
    const done = await budi.submit(await budi.get('/portal/consents'), {}, 'all');
    expect(readText(done.body)).toMatch(/Semua izin dicabut.*Belum ada izin/);
    for (const [at, party] of [outside, other, own].entries())
      expect(await worksStill(party, held[at] as (typeof held)[0])).toEqual([false, false, false]);
    expect(await worksStill(outside, of_tono)).toEqual([true, true, true]);
    expect(await asksFor(outside, budi)).toBe(true);
  });
});

test.each([
  ['with scripts', { scripts: true }],
  ['without scripts, on a small screen', { scripts: false, width: 320 }],
])('in a browser %s a consent is read and withdrawn', async (_name, options) => {
  await open(outside, budi);
  const { page, close } = await browser.newVisitor(options);
  await page.goto(`${gapura.url}/portal/consents`);
  await page.fill('#identifier', 'budi');
  await page.fill('#password', demo_password);
  await clickAndSettle(page, '#submit');
  if (options.scripts) await expectNoAxeViolations(page);
  await clickAndSettle(page, 'section button');
  expect(await page.locator('[role=status]').innerText()).toContain('Izin dicabut.');
  if (options.scripts) await expectNoAxeViolations(page);
  expectQuiet(page);
  await close();
});
