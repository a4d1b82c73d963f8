/** The console: who comes in, what it shows, and that its forms keep what was typed. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Browser, clickAndSettle, expectNoAxeViolations, expectQuiet, openBrowser } from '../support/browser.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { openConsole, problemsOf, submitWell } from '../support/desk.ts';
import { demo_password, newSignedInVisitor, signIn, startGapura, type TestGapura } from '../support/gapura.ts';
import { newHttpVisitor } from '../support/http.ts';

let gapura: TestGapura;
let browser: Browser;

beforeAll(async () => {
  [gapura, browser] = await Promise.all([startGapura(), openBrowser()]);
});

afterAll(async () => {
  await browser.close();
  await gapura.stop();
});

test('the administrator sees everything there is', async () => {
  const admin = await openConsole(gapura, 'admin');
  const home = await admin.get('/admin');
  expect(home.body).toContain('Kebijakan');
  const list = await admin.get('/admin/policies');
  expect(list.status).toBe(200);
  expect(list.body).toContain('session.idle');
});

test('Tono is told that the console is not for him, at every address of it', async () => {
  const tono = newHttpVisitor(gapura.url);
  const home = await signIn(tono, await tono.get('/admin'), 'tono');
  expect([home.status, home.body.includes('Konsol bukan untuk akun Anda')]).toEqual([403, true]);
  for (const address of [
    '/admin/policies',
    '/admin/policies/session.idle',
    '/admin/policies/session.idle/change',
    '/admin/nothing',
  ])
    expect([address, (await tono.get(address)).status]).toEqual([address, 403]);
  expect(
    (await tono.post('/admin/policies/session.idle/change', { value: '600', because: 'mencoba', version: '0' })).status,
  ).toBe(403);
});

test('a value is changed, told who did it, and put back', async () => {
  const admin = await openConsole(gapura, 'admin');
  const form = await admin.get('/admin/policies/mail.retention/change');
  expect(form.status).toBe(200);
  const refused = await admin.submit(form, { value: '1', because: 'Uji' });
  expect(refused.status).toBe(422);
  expect(problemsOf(refused)).toHaveLength(1);
  expect(refused.body).toContain('value="Uji"');
  const done = await submitWell(admin, refused, { value: '864000', because: 'Sepuluh hari cukup' });
  expect(done.url.pathname).toBe('/admin/policies/mail.retention');
  expect(done.body).toContain('864000');
  expect(done.body).toContain('admin');
  const again = await submitWell(admin, await admin.get('/admin/policies/mail.retention/default'), {});
  expect(again.body).toContain('2592000');
});

test('of two administrators who change one thing the second sees both versions', async () => {
  const [one, other] = [await openConsole(gapura, 'admin'), await openConsole(gapura, 'admin')];
  const [first, second] = [
    await one.get('/admin/policies/session.idle/change'),
    await other.get('/admin/policies/session.idle/change'),
  ];
  await submitWell(one, first, { value: '7200', because: 'Yang pertama' });
  const conflict = await other.submit(second, { value: '3600', because: 'Yang kedua' });
  expect(conflict.status).toBe(412);
  expect(conflict.body).toContain('7200');
  expect(conflict.body).toContain('3600');
  const saved = await submitWell(other, conflict, {});
  expect(saved.body).toContain('3600');
});

test('a session counts here only once the console itself has accepted it, which asks nobody twice', async () => {
  const admin = await newSignedInVisitor(gapura.url, 'admin');
  const first = await admin.get('/admin', { follow: false });
  expect([
    first.status,
    first.headers.get('location')?.startsWith(`${gapura.config.issuer}/auth?client_id=console`),
  ]).toEqual([303, true]);
  const home = await admin.get('/admin/policies');
  expect([home.status, home.url.pathname]).toEqual([200, '/admin/policies']);
  expect(home.trail.some((address) => address.includes('/interaction/'))).toBe(false);
  expect((await admin.get('/admin', { follow: false })).status).toBe(200);
});

test.each(['//evil.example', 'https://evil.example/', '/admin/../portal', '/admin/a/b/c/d', '/admin?x', 'x'])(
  'what comes back with the state %s leads home and nowhere else',
  async (state) => {
    const admin = await openConsole(gapura, 'admin');
    const { status, url } = await admin.get(`/admin/entry?${new URLSearchParams({ state })}`);
    expect([status, url.origin, url.pathname]).toEqual([200, gapura.url, '/admin']);
  },
);

test('a bent address of a list shows the list as it begins, and says so', async () => {
  const admin = await openConsole(gapura, 'admin');
  for (const query of ['sort=warna', 'cursor=x', 'active=maybe', 'size=0', 'lain=1', 'sort=name&sort=code']) {
    const page = await admin.get(`/admin/agencies?${query}`);
    expect([query, page.status, problemsOf(page).length, page.body.includes('BPOM')]).toEqual([query, 400, 1, true]);
  }
  const done = await admin.get('/admin/agencies?done=%3Cb%3E');
  expect([done.status, done.body.includes('<b>')]).toEqual([200, false]);
});

test('a form without its version overwrites nothing', async () => {
  const admin = await openConsole(gapura, 'admin');
  const form = await admin.get('/admin/agencies/BPOM/change');
  for (const version of ['', 'x', '-1', '99']) {
    const conflict = await admin.submit(form, { name: 'Badan Tertimpa', version });
    expect([version, conflict.status]).toEqual([version, 412]);
  }
  expect((await admin.get('/admin/agencies/BPOM')).body).not.toContain('Badan Tertimpa');
});

test('a form that came too late keeps what was typed, and one that is opened late asks for a sign-in first', async () => {
  const admin = await openConsole(gapura, 'admin');
  const form = await admin.get('/admin/policies/mail.retention/change');
  try {
    await moveClock(gapura.db, 3000);
    const late = await admin.submit(form, { value: '999000', because: 'Terlalu lama' });
    expect([late.status, problemsOf(late).length]).toEqual([422, 1]);
    expect(late.body).toContain('value="999000"');
    expect(late.body).toContain('value="Terlalu lama"');
    const asked = await admin.get('/admin/policies/mail.retention/change');
    expect(asked.url.pathname).toMatch(/^\/interaction\//);
    const back = await signIn(admin, asked, 'admin');
    expect([back.status, back.url.pathname]).toEqual([200, '/admin/policies/mail.retention/change']);
  } finally {
    await resetClock(gapura.db);
  }
});

test('without scripts, on a narrow screen, everything is there and nobody is shut out', async () => {
  const reader = await browser.newVisitor({ width: 320 });
  const { page } = reader;
  await page.goto(`${gapura.url}/admin`);
  await page.fill('[name=identifier]', 'admin');
  await page.fill('[name=password]', demo_password);
  await clickAndSettle(page, '#submit');
  const check = async () => {
    await expectNoAxeViolations(page);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    expect([page.url(), wide]).toEqual([page.url(), 0]);
  };
  const paths = [
    '',
    '/agencies',
    '/agencies/BPOM',
    '/agencies/BPOM/change',
    '/policies/mail.retention/change',
    '/audit',
  ];
  for (const path of [...paths, '/initial-access-tokens/creation', '/agencies?sort=warna']) {
    await page.goto(`${gapura.url}/admin${path}`);
    await check();
  }
  // A secret, once.
  await page.goto(`${gapura.url}/admin/initial-access-tokens/creation`);
  await page.fill('[name=days]', '7');
  await page.fill('[name=clients]', '1');
  await clickAndSettle(page, '#submit');
  expect(await page.locator('code.secret').count()).toBe(1);
  await check();
  // Somebody was first.
  await page.goto(`${gapura.url}/admin/agencies/BPOM/change`);
  await gapura.db.updateTable('agencies').set({ name_en: 'Changed meanwhile' }).where('code', '=', 'BPOM').execute();
  await page.fill('[name=name]', 'Badan Bersama');
  expect((await clickAndSettle(page, '#submit')).status()).toBe(412);
  await check();
  expectQuiet(page);

  const plain = await browser.newVisitor({ scripts: false, width: 320 });
  await plain.context.addCookies(await reader.context.cookies());
  await plain.page.goto(`${gapura.url}/admin/agencies/BPOM/change`);
  await plain.page.fill('[name=name]', 'Badan Tanpa Skrip');
  await plain.page.press('[name=name]', 'Enter');
  await plain.page.waitForURL('**/admin/agencies/BPOM?done=change');
  expect(await plain.page.textContent('h1')).toBe('Badan Tanpa Skrip');
  expectQuiet(plain.page);
  await Promise.all([reader.close(), plain.close()]);
});

test('a form that is too large comes back with words, and a page that is gone leads to its list', async () => {
  const admin = await openConsole(gapura, 'admin');
  const form = await admin.get('/admin/organisations/creation');
  const large = await admin.submit(form, { name: 'PT Contoh', address: 'x'.repeat(300_000) });
  expect([large.status, problemsOf(large).join()]).toEqual([413, expect.stringContaining('terlalu besar')]);
  expect(large.body).toContain('name="npwp"');
  const gone = await admin.get('/admin/clients/tidak-ada');
  expect([gone.status, gone.body.includes(`href="${gapura.url}/admin/clients"`)]).toEqual([404, true]);
});
