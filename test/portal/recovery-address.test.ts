/** Email Pemulihan (document A, part I): added after a fresh sign-in, proven by a code, told to the other addresses, removed. */

import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { type Browser, clickAndSettle, expectNoAxeViolations, expectQuiet, openBrowser } from '../support/browser.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { readText } from '../support/facts.ts';
import { newSignedInVisitor, signIn, startGapura, type TestGapura } from '../support/gapura.ts';
import type { Answer, HttpVisitor } from '../support/http.ts';
import { listMails, readSecret } from '../support/mails.ts';
import { findAccountId } from '../support/nodes.ts';
import { storm } from '../support/storm.ts';

const page_address = '/portal/credentials';
const mailbox = 'budi.pribadi@gmail.com';

let gapura: TestGapura;
let browser: Browser;
let budi: HttpVisitor;
let budi_id: string;

beforeAll(async () => {
  gapura = await startGapura();
  browser = await openBrowser();
  budi_id = await findAccountId(gapura, 'budi');
});

beforeEach(async () => {
  budi = await newSignedInVisitor(gapura.url, 'budi');
});

afterEach(async () => {
  const { db } = gapura;
  await resetClock(db);
  await db.deleteFrom('recovery_addresses').where('account_id', '=', budi_id).execute();
  for (const table of ['limits', 'mails', 'proofs'] as const) await db.deleteFrom(table).execute();
});

afterAll(async () => {
  await browser?.close();
  await gapura?.stop();
});

const add = async (typed: string, who = budi): Promise<Answer> =>
  who.submit(await who.get(`${page_address}/recovery`), { recovery_email: typed }, 'recovery');

/** What was sent, but for the notices of sign-ins in new browsers: each test is one. */
const listSent = async () => (await listMails(gapura)).filter(({ template }) => template !== 'new_browser');
const sectionOf = ({ body }: Answer) => readText(/<section[^>]*id="recovery".*?<\/section>/s.exec(body)?.[0] ?? '');
const idOf = ({ body }: Answer) => /id="verification-([0-9a-f-]{36})"/.exec(body)?.[1] ?? '';
const rows = () => gapura.db.selectFrom('recovery_addresses').selectAll().where('account_id', '=', budi_id).execute();

async function verify(page: Answer, code: string, who = budi): Promise<Answer> {
  return who.submit(page, { code }, `verification-${idOf(page)}`);
}

test('goes from Belum diatur over Menunggu verifikasi to Email terverifikasi, and back', async () => {
  expect(sectionOf(await budi.get(page_address))).toContain('Belum diatur');
  const pending = await add(mailbox);
  expect([pending.status, pending.url.pathname]).toEqual([200, page_address]);
  expect(sectionOf(pending)).toMatch(
    /budi\.pribadi@gmail\.com Menunggu verifikasi.*percobaan: 10 kali.*ulang: 10 kali/,
  );
  const [mail] = await listSent();
  expect([mail?.to, mail?.template]).toEqual([mailbox, 'recovery_address_code']);
  for (const form of [mail?.text, mail?.html]) expect(form).toMatch(/Berlaku sampai .* WIB/);
  const verified = await verify(pending, mail?.secret ?? '');
  expect(sectionOf(verified)).toMatch(
    /budi\.pribadi@gmail\.com Email terverifikasi.*Ditambahkan.*WIB.*Diverifikasi.*WIB/,
  );
  expect(verified.body).not.toContain('id="verification-');
  const link = /href="([^"]+\/removal)"/.exec(verified.body)?.[1] ?? '';
  const removed = await budi.submit(await budi.get(link), {}, 'removal');
  expect(sectionOf(removed)).toContain('Belum diatur');
  const told = (await listSent()).slice(1).map(({ to, template }) => [template, to]);
  expect(told.sort()).toEqual([
    ['recovery_address_added', 'budi@contoh.example'],
    ['recovery_address_removed', mailbox],
    ['recovery_address_removed', 'budi@contoh.example'],
  ]);
});

test('row 21: adding and removing ask a sign-in that is no older than five minutes', async () => {
  const form = await budi.get(`${page_address}/recovery`);
  const verified = await verify(await add(mailbox), await readSecret(gapura, mailbox));
  const removal = /href="([^"]+\/removal)"/.exec(verified.body)?.[1] ?? '';
  await moveClock(gapura.db, 400);
  for (const answer of [
    await budi.get(`${page_address}/recovery`),
    await budi.submit(form, { recovery_email: 'lain@gmail.com' }, 'recovery'),
    await budi.get(removal),
    await budi.post(removal, {}),
  ])
    expect(answer.body).toContain('name="identifier"');
  expect(await rows()).toHaveLength(1);
  const again = await signIn(budi, await budi.get(`${page_address}/recovery`), 'budi');
  expect(again.url.pathname).toBe(`${page_address}/recovery`);
});

test.each([
  ['', 'Isi alamat email'],
  ['budi', 'alamat email lengkap'],
  ['a@b@gmail.com', 'alamat email lengkap'],
  ['x@gmail.com,y@gmail.com', 'alamat email lengkap'],
  ['BUDI@contoh.example', 'berbeda dari email yang Anda pakai'],
  ['ｂudi@contoh.example', 'berbeda dari email yang Anda pakai'],
  ['lain@contoh.example', 'jangan memakai domain yang sama'],
  ['lain@kantor.contoh.example', 'jangan memakai domain yang sama'],
  [`${'a'.repeat(250)}@gmail.com`, ''],
])('refuses "%.40s" beside the field, filled again', async (typed, said) => {
  const refused = await add(typed);
  expect([refused.status, readText(refused.body)]).toEqual([422, expect.stringContaining(said)]);
  expect(refused.body).toContain('id="recovery_email-error"');
  expect(await rows()).toEqual([]);
});

test.each(['organisation', 'agency'])(
  'refuses the mail domains of the person’s %s, and what is below them',
  async (office) => {
    const mail_domains = ['kantor-uji.example'];
    const { db } = gapura;
    const [{ organisation_id }, role] = [
      await db
        .selectFrom('account_organisations')
        .selectAll()
        .where('account_id', '=', budi_id)
        .executeTakeFirstOrThrow(),
      { account_id: budi_id, role: 'officer', agency_code: 'BPOM' },
    ];
    if (office === 'agency') await db.insertInto('role_assignments').values(role).execute();
    if (office === 'agency')
      await db.updateTable('agencies').set({ mail_domains }).where('code', '=', 'BPOM').execute();
    else await db.updateTable('organisations').set({ mail_domains }).where('id', '=', organisation_id).execute();
    for (const typed of ['budi@kantor-uji.example', 'budi@surel.KANTOR-uji.example']) {
      const refused = await add(typed);
      expect([refused.status, readText(refused.body)]).toEqual([422, expect.stringContaining('domain yang sama')]);
    }
    // Whoever works elsewhere may have an address there.
    const tono = await newSignedInVisitor(gapura.url, 'tono');
    expect(sectionOf(await add('tono@kantor-uji.example', tono))).toContain('Menunggu verifikasi');
    await db.deleteFrom('recovery_addresses').where('canonical', '=', 'tono@kantor-uji.example').execute();
    expect(sectionOf(await add(mailbox))).toContain('Menunggu verifikasi');
    await db
      .deleteFrom('role_assignments')
      .where('account_id', '=', budi_id)
      .where('agency_code', '=', 'BPOM')
      .execute();
    for (const table of ['agencies', 'organisations'] as const)
      await db.updateTable(table).set({ mail_domains: [] }).execute();
  },
);

test('says what a second click found, and that the tries are over', async () => {
  const page = await add(mailbox);
  const code = await readSecret(gapura, mailbox);
  const answers = await Promise.all([verify(page, code), verify(page, code), verify(page, code)]);
  for (const answer of answers)
    expect([answer.status, sectionOf(answer)]).toEqual([200, expect.stringContaining('Email terverifikasi')]);
  const other = await add('budi.lain@gmail.com');
  for (let tries = 0; tries < 9; tries += 1) await verify(other, 'AAAACCCC');
  for (let tries = 0; tries < 2; tries += 1)
    expect(readText((await verify(other, 'AAAACCCC')).body)).toContain('Kode terlalu sering salah. Minta kode baru.');
});

test('gives the same answer for an address that is somebody else’s, whose owner alone is told', async () => {
  const shape = (answer: Answer) =>
    [answer.status, sectionOf(answer).replace(/\S+@\S+/g, 'ALAMAT'), answer.url.pathname] as const;
  const own = shape(await add(mailbox));
  const taken = await add('sari.wulandari@surat.example');
  const [, only] = sectionOf(taken).split('sari.wulandari@surat.example');
  expect(own[1]).toContain(only?.trim().split(' Hapus')[0]?.slice(0, 60) ?? '?');
  expect((await listSent()).map(({ template }) => template)).toEqual([
    'recovery_address_code',
    'recovery_address_taken',
  ]);
  expect((await listSent()).at(-1)?.secret).toBeUndefined();
});

test('counts wrong codes to ten, and sends another after a minute', async () => {
  let page = await add(mailbox);
  page = await verify(page, 'AAAACCCC');
  expect([page.status, sectionOf(page)]).toEqual([422, expect.stringContaining('Sisa percobaan: 9 kali')]);
  const soon = await budi.submit(page, {}, `resend-${idOf(page)}`);
  expect([soon.status, sectionOf(soon)]).toEqual([429, expect.stringMatching(/dalam (59|60) detik/)]);
  const older = await readSecret(gapura, mailbox);
  await moveClock(gapura.db, 61);
  page = await budi.submit(page, {}, `resend-${idOf(page)}`);
  expect(sectionOf(page)).toMatch(/percobaan: 9 kali.*ulang: 9 kali/);
  expect((await verify(page, older)).status).toBe(422);
  for (let tries = 0; tries < 8; tries += 1) page = await verify(page, 'AAAACCCC');
  expect((await verify(page, await readSecret(gapura, mailbox))).status).toBe(422);
  expect((await rows())[0]?.verified_at).toBeNull();
});

test('Tono reaches no address of Budi’s', async () => {
  const pending = await add(mailbox);
  const id = idOf(pending);
  const tono = await newSignedInVisitor(gapura.url, 'tono');
  const code = await readSecret(gapura, mailbox);
  await tono.post(`${page_address}/recovery/${id}/code`, { code });
  const statuses = [
    await tono.post(`${page_address}/recovery/${id}/resend`, {}),
    await tono.get(`${page_address}/recovery/${id}/removal`),
    await tono.post(`${page_address}/recovery/${id}/removal`, {}),
    await tono.post(`${page_address}/recovery/x/code`, { code }),
  ].map(({ status }) => status);
  expect(statuses).toEqual([404, 404, 404, 404]);
  expect(await rows()).toMatchObject([{ verified_at: null }]);
  expect((await verify(pending, code)).status).toBe(200);
});

test('holds two and no more, and of 20 at once no more either', async () => {
  const form = await budi.get(`${page_address}/recovery`);
  const cookie = budi.cookies
    .filter(({ path }) => path === '/')
    .map(({ name, value }) => `${name}=${value}`)
    .join('; ');
  expect(form.status).toBe(200);
  const answers = await storm(20, (at) => ({
    url: `${gapura.url}${page_address}/recovery`,
    headers: { cookie },
    body: `recovery_email=budi.${at}%40gmail.com`,
  }));
  expect(answers.filter(({ status }) => status >= 500)).toEqual([]);
  expect(await rows()).toHaveLength(2);
});

test.each([
  ['with scripts', { scripts: true }],
  ['without scripts, narrow', { scripts: false, width: 320 }],
])('in a browser, %s', async (_how, options) => {
  const { page } = await browser.newVisitor(options);
  expectQuiet(page);
  const look = async () => {
    if (options.scripts) await expectNoAxeViolations(page);
    expect(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth)).toBe(true);
  };
  await page.goto(`${gapura.url}${page_address}`);
  await page.fill('#identifier', 'budi');
  await page.fill('#password', 'Pintu-Terbuka-2026!');
  await clickAndSettle(page, '#submit');
  await page.click('#recovery a.button');
  await look();
  await page.fill('#recovery_email', mailbox);
  await clickAndSettle(page, '#submit');
  await look();
  await page.fill('[id^="code-"]:is(input)', await readSecret(gapura, mailbox));
  await page.keyboard.press('Enter');
  await page.waitForSelector('text=Email pemulihan Anda sudah terverifikasi');
  await look();
});
