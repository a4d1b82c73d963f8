/** A new password before anything opens: who meets the question, that nothing leads past it, and what its answer does. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { hashPassword } from '../../src/accounts/password.ts';
import { writePassword } from '../../src/accounts/password-store.ts';
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
import { type Answer, findForm, type HttpVisitor, newHttpVisitor } from '../support/http.ts';
import { followTo, openParty, type TestParty } from '../support/relying-party.ts';
import { storm } from '../support/storm.ts';

const new_password = 'Kenari-Kuning-77!';
const answer = { new_password, confirm_password: new_password };
const title = '<h1>Buat Kata Sandi Baru</h1>';

let gapura: TestGapura;
let party: TestParty;
let other: TestParty;
let browser: Browser;
let budi: string;
/** The latest event before a test; events are only added. */
let last_event: string;

beforeAll(async () => {
  gapura = await startGapura();
  party = await openParty(gapura.config.issuer, await registerClient(gapura, 'badan'));
  const asking = { agency_code: 'BPOM', directorate_required: true };
  other = await openParty(gapura.config.issuer, await registerClient(gapura, 'direktorat', asking));
  browser = await openBrowser();
  budi = (
    await gapura.db
      .selectFrom('account_identifiers')
      .select('account_id')
      .where('canonical', '=', 'budi')
      .executeTakeFirstOrThrow()
  ).account_id;
});

beforeEach(async () => {
  const latest = gapura.db.selectFrom('audit_events').select((eb) => eb.fn.max('id').as('id'));
  last_event = (await latest.executeTakeFirstOrThrow()).id ?? '0';
});

afterEach(async () => {
  const { db } = gapura;
  await resetClock(db);
  await writePassword(db, budi, await hashPassword(demo_password));
  for (const table of ['limits', 'password_history', 'mails'] as const) await db.deleteFrom(table).execute();
});

afterAll(async () => {
  await browser?.close();
  await gapura?.stop();
});

/** As the service desk gives one: it opens the question only, for a day. */
const makeTemporary = () =>
  gapura.db
    .updateTable('passwords')
    .set({ must_change: true, expires_at: sql<Date>`gapura_now() + interval '24 hours'` })
    .where('account_id', '=', budi)
    .execute();

/** One of the person's own, whose time is over in so many seconds. */
const expireIn = (seconds: number) =>
  gapura.db
    .updateTable('passwords')
    .set({ expires_at: sql<Date>`gapura_now() + make_interval(secs => ${seconds})` })
    .where('account_id', '=', budi)
    .execute();

const listChanges = () =>
  gapura.db
    .selectFrom('audit_events')
    .select(['account_id', 'detail'])
    .where('kind', '=', 'password_changed')
    .where('id', '>', last_event)
    .execute();

/** What was sent, but for the notices of sign-ins in new browsers: each visitor has one. */
const listMails = () =>
  gapura.db.selectFrom('mails').select(['to_address', 'template']).where('template', '<>', 'new_browser').execute();

/** From an application through the sign-in to what comes after it. */
async function begin(
  visitor = newHttpVisitor(gapura.url),
  at = party,
): Promise<{ visitor: HttpVisitor; page: Answer }> {
  const page = await visitor.get((await at.begin()).address);
  return { visitor, page: page.body.includes('name="identifier"') ? await signIn(visitor, page, 'budi') : page };
}

const send = (visitor: HttpVisitor, page: Answer, fields: Record<string, string> = answer) =>
  visitor.post(page.url, fields, { follow: false });

async function expectCode(visitor: HttpVisitor, sent: Answer, at = party): Promise<void> {
  const reached = await followTo(visitor, at.redirect_uri, sent);
  if (!('returned' in reached)) throw new Error(`not back at the application: ${readText(reached.page.body)}`);
  expect(reached.returned.searchParams.get('code')).toBeTruthy();
}

/** Whether the portal opens without a question on the way. */
const isSignedIn = async (visitor: HttpVisitor) => (await visitor.get('/portal')).url.pathname === '/portal';

describe('the question', () => {
  test('is asked of somebody with a temporary password, right after the sign-in, and says why', async () => {
    await makeTemporary();
    const { page } = await begin();
    expect([page.status, page.url.pathname]).toEqual([200, expect.stringMatching(/^\/interaction\//)]);
    expect(page.body).toContain(title);
    expect(page.body).toContain('Aplikasi badan');
    expect(readText(page.body)).toContain('bersifat sementara dan dibuat oleh orang lain');
    expect(readText(page.body)).toContain('Minimal 8 karakter');
    expect(Object.keys(findForm(page.body).fields)).toEqual(['username', 'new_password', 'confirm_password']);
  });

  test('is asked of somebody whose password has expired, from its very moment on', async () => {
    await expireIn(600);
    expect(await isSignedIn(await newSignedInVisitor(gapura.url, 'budi'))).toBe(true);
    await moveClock(gapura.db, 601);
    const { page } = await begin();
    expect(page.body).toContain(title);
    expect(readText(page.body)).toContain('Masa aktif kata sandi Anda telah berakhir.');
  });

  test('is asked of nobody else', async () => {
    await makeTemporary();
    await newSignedInVisitor(gapura.url, 'tono');
    await newSignedInVisitor(gapura.url, 'sari');
  });

  test('comes before the directorate', async () => {
    await makeTemporary();
    const { visitor, page } = await begin(undefined, other);
    expect(page.body).toContain(title);
    const reached = await followTo(visitor, other.redirect_uri, await send(visitor, page));
    expect('page' in reached && reached.page.body).toContain('name="directorate"');
  });

  test('is not even reached with a temporary password whose day is over', async () => {
    await makeTemporary();
    await moveClock(gapura.db, 24 * 3600 + 1);
    const { page } = await begin();
    expect(page.status).toBe(422);
    expect(readText(page.body)).toContain('Nama pengguna atau kata sandi salah.');
  });
});

describe('nothing leads past it', () => {
  test('not another tab, another application, the portal, the page before it, or asking without a page', async () => {
    await makeTemporary();
    const { visitor, page } = await begin();
    for (const address of ['/portal', '/portal/profile', '/portal/credentials', '/.well-known/change-password'])
      expect([address, (await visitor.get(address)).body.includes(title)]).toEqual([address, true]);
    for (const at of [party, other]) expect((await begin(visitor, at)).page.body).toContain(title);
    // The address at which the engine goes on, without an answer.
    const resume = page.url.href.replace('/interaction/', '/connect/auth/');
    expect((await visitor.get(resume)).body).toContain(title);
    const quiet = await visitor.get((await party.begin({ prompt: 'none' })).address, { follow: false });
    const told = new URL(quiet.headers.get('location') ?? '').searchParams;
    expect([told.get('error'), told.has('code')]).toEqual(['interaction_required', false]);
    expect(await isSignedIn(visitor)).toBe(false);
    expect((await visitor.get('/')).body).not.toContain('<strong>budi</strong>');
  });

  test('not a session that was let in before: its next page is the question', async () => {
    const visitor = await newSignedInVisitor(gapura.url, 'budi');
    await expireIn(60);
    expect(await isSignedIn(visitor)).toBe(true);
    await moveClock(gapura.db, 61);
    const page = await visitor.get('/portal/applications');
    expect(page.body).toContain(title);
    expect((await visitor.post('/portal/credentials', {}, { follow: false })).status).toBe(303);
    const done = await visitor.submit(page, answer, 'password');
    expect([done.status, done.url.pathname]).toEqual([200, '/portal/applications']);
  });

  test('not signing in once more', async () => {
    await makeTemporary();
    const { visitor } = await begin();
    const login = await visitor.get((await party.begin({ prompt: 'login' })).address);
    expect((await signIn(visitor, login, 'budi')).body).toContain(title);
  });

  test('not an answer that is refused', async () => {
    await makeTemporary();
    const { visitor, page } = await begin();
    const tries: [Record<string, string>, RegExp][] = [
      [{}, /Isi kata sandi baru/],
      [{ new_password }, /Ketik kata sandi baru sekali lagi/],
      [{ new_password, confirm_password: 'lain' }, /tidak sama/],
      [{ new_password: 'rahasia', confirm_password: 'rahasia' }, /terlalu pendek/],
      [{ new_password: demo_password, confirm_password: demo_password }, /sudah pernah digunakan/],
    ];
    for (const [fields, said] of tries) {
      const refused = await send(visitor, page, fields);
      expect([refused.status, readText(refused.body)]).toEqual([422, expect.stringMatching(said)]);
      expect(await isSignedIn(visitor)).toBe(false);
    }
    await expectCode(visitor, await send(visitor, page));
  });
});

describe('its answer', () => {
  test('goes on to the application in the same session, which stays; every other one ends', async () => {
    const elsewhere = await newSignedInVisitor(gapura.url, 'budi');
    await makeTemporary();
    const { visitor, page } = await begin();
    await expectCode(visitor, await send(visitor, page));
    expect([await isSignedIn(visitor), await isSignedIn(elsewhere)]).toEqual([true, false]);
    await expectCode(visitor, await visitor.get((await party.begin()).address, { follow: false }));
    const fresh = newHttpVisitor(gapura.url);
    const home = await signIn(fresh, await fresh.get('/portal'), 'budi', new_password);
    expect([home.status, home.url.pathname]).toEqual([200, '/portal']);
    const kept = await gapura.db
      .selectFrom('passwords')
      .select(['must_change', 'expires_at'])
      .where('account_id', '=', budi)
      .executeTakeFirst();
    expect(kept).toEqual({ must_change: false, expires_at: expect.any(Date) });
  });

  test('gives the application tokens that work', async () => {
    await makeTemporary();
    const { address, checks } = await party.begin();
    const visitor = newHttpVisitor(gapura.url);
    const page = await signIn(visitor, await visitor.get(address), 'budi');
    const reached = await followTo(visitor, party.redirect_uri, await send(visitor, page));
    if (!('returned' in reached)) throw new Error('not back at the application');
    const { access_token } = await party.redeem(reached.returned, checks);
    const { userinfo_endpoint = '' } = party.configuration.serverMetadata();
    const told = await fetch(userinfo_endpoint, { headers: { authorization: `Bearer ${access_token}` } });
    expect([told.status, ((await told.json()) as { sub: string }).sub]).toEqual([200, budi]);
  });

  test('is one event that says the change was asked for, and a mail', async () => {
    await makeTemporary();
    const { visitor, page } = await begin();
    await send(visitor, page);
    expect(await listChanges()).toEqual([{ account_id: budi, detail: { was_asked: true } }]);
    expect(await listMails()).toEqual([{ to_address: 'budi@contoh.example', template: 'password_changed' }]);
  });

  test('given in one tab answers the pages that are open in others, and their own input is not taken', async () => {
    await makeTemporary();
    const { visitor, page } = await begin();
    const second = (await begin(visitor)).page;
    const third = (await begin(visitor)).page;
    await expectCode(visitor, await send(visitor, page));
    await expectCode(visitor, await visitor.get(second.url, { follow: false }));
    const late = { new_password: 'Merpati-Hitam-88!', confirm_password: 'Merpati-Hitam-88!' };
    await expectCode(visitor, await send(visitor, third, late));
    expect(await isSignedIn(visitor)).toBe(true);
    const home = newHttpVisitor(gapura.url);
    expect((await signIn(home, await home.get('/portal'), 'budi', late.new_password)).status).toBe(422);
  });

  test('sent twenty times at once changes the password once', async () => {
    await makeTemporary();
    const { visitor, page } = await begin();
    const cookie = visitor.cookies
      .filter(({ path }) => path === '/' || path === page.url.pathname)
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ');
    const answers = await storm(20, (at) => {
      const password = `${new_password}${at}`;
      return {
        url: page.url.href,
        body: new URLSearchParams({ new_password: password, confirm_password: password }).toString(),
        headers: { cookie, origin: gapura.url },
      };
    });
    // Each went on, was told that it came too late, or was asked to come again when too many passwords were being hashed.
    expect(answers.map(({ status }) => status).filter((status) => ![303, 422, 503].includes(status))).toEqual([]);
    const { db } = gapura;
    const history = await db.selectFrom('password_history').select('id').where('account_id', '=', budi).execute();
    expect([history.length, (await listChanges()).length]).toEqual([1, 1]);
    expect(await listMails()).toHaveLength(1);
    await expectCode(visitor, await visitor.get(page.url, { follow: false }));
    expect(await isSignedIn(visitor)).toBe(true);
  });
});

test.each([true, false])('in a browser at 320 pixels (scripts: %s) it is met, answered and left', async (scripts) => {
  await makeTemporary();
  const { page, close } = await browser.newVisitor({ scripts, width: 320 });
  await page.goto(`${gapura.url}/portal`);
  await page.fill('#identifier', 'budi');
  await page.fill('#password', demo_password);
  await clickAndSettle(page, '#submit');
  expect(await page.textContent('h1')).toBe('Buat Kata Sandi Baru');
  if (scripts) await expectNoAxeViolations(page);
  await page.fill('#new_password', 'rahasia');
  await page.fill('#confirm_password', 'rahasia');
  await clickAndSettle(page, '#submit');
  if (scripts) await expectNoAxeViolations(page);
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(320);
  await page.fill('#new_password', new_password);
  await page.fill('#confirm_password', new_password);
  await clickAndSettle(page, '#submit');
  expect(new URL(page.url()).pathname).toBe('/portal');
  expectQuiet(page);
  await close();
});
