/** Sesi Aktif, on two server processes: a person sees their sessions and ends them, at once, and nobody else's. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import * as oidc from 'openid-client';
import { clickAndSettle, expectNoAxeViolations, expectQuiet, openBrowser } from '../support/browser.ts';
import { readText } from '../support/facts.ts';
import { demo_password, newSignedInVisitor, startNodes, type TestNodes } from '../support/gapura.ts';
import { findForm, type HttpVisitor, newHttpVisitor } from '../support/http.ts';
import {
  type App,
  askNode,
  closeListeners,
  copyVisitor,
  count,
  findAccountId,
  listSessions,
  openApp,
  openAs,
  openListeningApp,
  requestTo,
  signedInAt,
  until,
} from '../support/nodes.ts';
import type { Server } from '../support/server.ts';
import { storm } from '../support/storm.ts';

const chrome =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36';
const firefox = 'Mozilla/5.0 (Android 15; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0';

let gapura: TestNodes;
let worker: Server;

beforeAll(async () => {
  gapura = await startNodes({ private_hosts: ['127.0.0.1'] });
  worker = await gapura.startWork();
});

beforeEach(async () => {
  for (const table of ['oidc_sessions', 'limits'] as const) await gapura.db.deleteFrom(table).execute();
});

afterEach(closeListeners);

afterAll(async () => {
  await worker?.stop();
  await gapura?.stop();
});

/** A visitor who signed in with a browser that calls itself so, on the page where "Ingat perangkat ini" can be ticked. */
async function signInWith(user_agent: string, identifier = 'budi', fields: Record<string, string> = {}) {
  const visitor = newHttpVisitor(gapura.url);
  const page = await visitor.get('/portal');
  const filled = { ...findForm(page.body).fields, identifier, password: demo_password, ...fields };
  const home = await visitor.post(page.url, filled, { headers: { 'user-agent': user_agent } });
  expect(home.url.pathname).toBe('/portal');
  return visitor;
}

async function open(app: App, visitor: HttpVisitor) {
  const { returned, checks } = await openAs(app, visitor, 'budi');
  return app.redeem(returned, checks);
}

/** The sections of the page as texts, one for each session. */
async function readSessions(visitor: HttpVisitor, query = ''): Promise<string[]> {
  const { status, body } = await visitor.get(`/portal/sessions${query}`);
  expect(status).toBe(200);
  return body.split('<section class="card link"').slice(1).map(readText);
}

const isAlive = async (app: App, token: string | undefined) =>
  (await oidc.tokenIntrospection(app.configuration, token ?? '')).active;

async function listEnds(identifier = 'budi') {
  return gapura.db
    .selectFrom('audit_events as e')
    .leftJoin('audit_personal as p', 'p.event_id', 'e.id')
    .select(['e.detail', 'p.address', 'p.user_agent'])
    .where('e.kind', '=', 'session_ended')
    .where('e.account_id', '=', await findAccountId(gapura, identifier))
    .orderBy('e.id')
    .execute();
}

describe('the page', () => {
  test('shows each session: device, network, times in the zone, applications; this one first and marked', async () => {
    const app = await openApp(gapura, 'terbuka');
    const here = await signInWith(chrome);
    await open(app, here);
    await signInWith(firefox, 'budi', { remember: '1' });
    await signInWith('curl/8.5.0');
    const [own = '', ...others] = await readSessions(here);
    expect(own).toMatch(/Chrome di Windows Sesi ini .*127\.0\.0\.0\/24.*Dimulai \d+ .* WIB.*Terakhir dipakai .* WIB/);
    expect(own).toMatch(/Aplikasi yang dibuka Aplikasi terbuka .*Keluar/);
    expect(own).not.toMatch(/Perangkat diingat|Akhiri/);
    expect(others).toHaveLength(2);
    const phone = others.find((text) => text.includes('Firefox di Android'));
    expect(phone).toMatch(/Perangkat diingat.*Akhiri Sesi/);
    expect(phone).not.toMatch(/Sesi ini|Aplikasi terbuka/);
    expect(others.find((text) => text.includes('perangkat yang tidak dikenal'))).not.toMatch(/Perangkat diingat|curl/);
    const english = (await readSessions(here, '?lang=en')).join(' ');
    expect(english).toMatch(/Chrome on Windows This session .*Remembered device/);
    const { body } = await here.get('/portal/sessions');
    expect(body).toMatch(/<a href="\/portal\/sessions" aria-current="page">/);
  });

  test('shows nobody else’s sessions, none that is over, and is for whoever signed in', async () => {
    const budi = await signInWith(chrome);
    await signInWith(firefox, 'tono');
    expect(await readSessions(budi)).toHaveLength(1);
    const gone = await signInWith('curl/8.5.0');
    await gapura.db
      .updateTable('oidc_sessions')
      .set({ expires_at: sql<Date>`gapura_now() - interval '1 second'` })
      .where('user_agent', 'like', 'curl%')
      .execute();
    expect(await readSessions(budi)).toHaveLength(1);
    expect((await gone.get('/portal/sessions')).body).toContain('name="identifier"');
    const stranger = newHttpVisitor(gapura.url);
    const asked = await stranger.get('/portal/sessions');
    const entered = await stranger.submit(asked, { identifier: 'budi', password: demo_password });
    expect(entered.url.pathname).toBe('/portal/sessions');
  });

  test('holds no cookie’s value, and what it holds opens nothing', async () => {
    const budi = await signInWith(chrome);
    await signInWith(firefox);
    const { body } = await budi.get('/portal/sessions');
    const cookie = budi.cookies.find(({ name }) => name === 'gapura_session');
    expect(body).not.toContain(cookie?.value);
    const uid = /sessions\/([\w-]{21,})\/removal/.exec(body)?.[1] ?? '';
    const thief = copyVisitor(gapura.url, budi);
    for (const one of thief.cookies) if (one.name === 'gapura_session') one.value = uid;
    expect(await signedInAt(gapura, thief)).toEqual([false, false]);
  });

  test('keeps of what a browser calls itself so much and no more', async () => {
    const budi = await signInWith(`${chrome} ${'x'.repeat(3000)}`);
    const [session] = await listSessions(gapura, 'budi');
    expect(session?.user_agent).toHaveLength(300);
    expect(await readSessions(budi)).toEqual([expect.stringContaining('Chrome di Windows')]);
    const odd = await signInWith('<script>alert(1)</script>');
    expect((await odd.get('/portal/sessions')).body).not.toContain('alert(1)');
  });

  test('says the same to an officer at the account’s page, and not to whoever sees a part of it', async () => {
    await signInWith(chrome);
    const account = `/admin/accounts/${await findAccountId(gapura, 'budi')}`;
    const admin = await newSignedInVisitor(gapura.url, 'admin');
    expect(readText((await admin.get(account)).body)).toMatch(/Chrome di Windows.*127\.0\.0\.0\/24/);
    const sari = await newSignedInVisitor(gapura.url, 'sari');
    const page = readText((await sari.get(account)).body);
    expect(page).toContain('Aplikasi yang dibuka');
    expect(page).not.toMatch(/Chrome di Windows|127\.0\.0\.0/);
  });
});

describe('the end of a session', () => {
  test('comes at once on both nodes, ends its tokens, and its applications are told; the others live', async () => {
    const { app, listener } = await openListeningApp(gapura, 'diberitahu');
    const [here, there] = [await signInWith(chrome), await signInWith(firefox)];
    const [kept, lost] = [await open(app, here), await open(app, there)];
    const ends = (await listEnds()).length;
    const page = await here.get('/portal/sessions');
    const done = await here.submit(page, {}, 'removal-1');
    expect([done.status, done.url.pathname + done.url.search]).toEqual([200, '/portal/sessions?done=ended']);
    expect(readText(done.body)).toContain('Sesi diakhiri.');
    expect(await signedInAt(gapura, there)).toEqual([false, false]);
    expect(await signedInAt(gapura, here)).toEqual([true, true]);
    expect([await isAlive(app, lost.access_token), await isAlive(app, kept.access_token)]).toEqual([false, true]);
    await expect(oidc.refreshTokenGrant(app.configuration, lost.refresh_token ?? '')).rejects.toMatchObject({
      error: 'invalid_grant',
    });
    await until(() => listener.heard.length > 0);
    const { sid } = JSON.parse(Buffer.from(listener.heard[0]?.token.split('.')[1] ?? '', 'base64url').toString());
    expect(sid).toBe(lost.claims()?.sid);
    expect((await listEnds()).slice(ends)).toEqual([
      { detail: { applications: 2, because: 'owner' }, address: '127.0.0.1', user_agent: expect.any(String) },
    ]);
  });

  test('of all others leaves this one; asked for again it changes nothing', async () => {
    const [here, ...others] = [await signInWith(chrome), await signInWith(firefox), await signInWith('curl/8.5.0')];
    const page = await here.get('/portal/sessions');
    const ends = (await listEnds()).length;
    const done = await here.submit(page, {}, 'others');
    expect(readText(done.body)).toContain('Semua sesi lain diakhiri.');
    for (const other of others) expect(await signedInAt(gapura, other)).toEqual([false, false]);
    expect(await signedInAt(gapura, here)).toEqual([true, true]);
    expect(done.body).not.toContain('id="others"');
    expect((await here.submit(page, {}, 'others')).status).toBe(200);
    expect((await listEnds()).length).toBe(ends + 2);
  });

  test('of all ends this one too: the browser keeps neither cookie nor pages', async () => {
    const [here, there] = [await signInWith(chrome), await signInWith(firefox)];
    const copied = copyVisitor(gapura.url, here);
    const answer = await here.post('/portal/sessions/all/removal', {}, { follow: false });
    expect(answer.headers.get('clear-site-data')).toBe('"cache", "storage"');
    expect(here.cookies.map(({ name }) => name)).not.toContain('gapura_session');
    const end = await here.get(answer.headers.get('location') ?? '');
    expect([end.status, end.url.pathname]).toEqual([200, '/connect/session/end/success']);
    for (const one of [here, there, copied]) expect(await signedInAt(gapura, one)).toEqual([false, false]);
    expect(await listSessions(gapura, 'budi')).toEqual([]);
  });

  test('of the one that asks is a sign-out', async () => {
    const budi = await signInWith(chrome);
    const [session] = await listSessions(gapura, 'budi');
    const copied = copyVisitor(gapura.url, budi);
    const end = await budi.post(`/portal/sessions/${session?.uid}/removal`, {});
    expect([end.status, end.url.pathname]).toEqual([200, '/connect/session/end/success']);
    expect(await signedInAt(gapura, copied)).toEqual([false, false]);
  });

  test('asked for 20 times at once happens once', async () => {
    const [here, there] = [await signInWith(chrome), await signInWith(firefox)];
    const ends = (await listEnds()).length;
    const { action } = findForm((await here.get('/portal/sessions')).body, 'removal-1');
    const headers = { origin: gapura.url };
    const answers = await storm(20, (at) => requestTo(gapura, at, action, { visitor: here, form: {}, headers }));
    expect(count(gapura, answers)).toEqual({ 303: 1, 404: 19 });
    expect((await listEnds()).length).toBe(ends + 1);
    expect(await signedInAt(gapura, there)).toEqual([false, false]);
  });

  test('of another person’s, of none, and of nonsense is not found; Budi’s session lives', async () => {
    const budi = await signInWith(chrome);
    const tono = await signInWith(firefox, 'tono');
    const [session] = await listSessions(gapura, 'budi');
    const uids = [session?.uid ?? '', 'a'.repeat(21), 'x', '%27', '%00', 'others%00', 'a'.repeat(4000)];
    for (const uid of uids) {
      const { status } = await tono.post(`/portal/sessions/${uid}/removal`, {}, { follow: false });
      expect([uid, [400, 404].includes(status)]).toEqual([uid, true]);
    }
    await tono.post('/portal/sessions/others/removal', {});
    await tono.post('/portal/sessions/all/removal', {});
    expect(await signedInAt(gapura, budi)).toEqual([true, true]);
    expect(await signedInAt(gapura, tono)).toEqual([false, false]);
  });

  test('cannot be asked for from another site, nor by somebody who is signed out, nor by a link', async () => {
    const budi = await signInWith(chrome);
    const [session] = await listSessions(gapura, 'budi');
    for (const name of [session?.uid, 'others', 'all']) {
      const address = `/portal/sessions/${name}/removal`;
      const foreign = await askNode(gapura, 0, address, {
        visitor: budi,
        form: {},
        headers: { origin: 'https://jahat.example' },
      });
      expect(foreign.status).toBe(403);
      const stranger = await newHttpVisitor(gapura.url).post(address, {}, { follow: false });
      expect([stranger.status, stranger.headers.get('location')]).toEqual([
        303,
        expect.stringContaining('/connect/auth'),
      ]);
      expect((await budi.get(address)).status).toBe(405);
    }
    expect(await signedInAt(gapura, budi)).toEqual([true, true]);
  });
});

test.each([
  ['with scripts', { scripts: true }],
  ['without scripts, on a small screen', { scripts: false, width: 320 }],
])('in a browser %s sessions are read and ended', async (_name, options) => {
  const other = await signInWith(firefox);
  const browser = await openBrowser();
  try {
    const { page, close } = await browser.newVisitor(options);
    await page.goto(`${gapura.url}/portal/sessions`);
    await page.fill('#identifier', 'budi');
    await page.fill('#password', demo_password);
    await page.check('#remember');
    if (options.scripts) await expectNoAxeViolations(page);
    await clickAndSettle(page, '#submit');
    if (options.scripts) await expectNoAxeViolations(page);
    const wide = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
    expect(wide).toBeLessThanOrEqual(0);
    await clickAndSettle(page, '#removal-1 button');
    expect(await page.locator('[role=status]').innerText()).toContain('Sesi diakhiri.');
    expect(await signedInAt(gapura, other)).toEqual([false, false]);
    await clickAndSettle(page, '#all button');
    expect(page.url()).toContain('/connect/session/end/success');
    expectQuiet(page);
    await close();
  } finally {
    await browser.close();
  }
});
