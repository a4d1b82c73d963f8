/** The page of an invitation: opened by anybody's mail scanner without harm, answered once, and told to nobody else. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createAccount } from '../../src/accounts/account.ts';
import { inviteAccount, openInvitations } from '../../src/accounts/invitation.ts';
import { open } from '../../src/crypto.ts';
import { inTransaction } from '../../src/database.ts';
import { mailKeys } from '../../src/delivery/outbox.ts';
import { type Browser, expectNoAxeViolations, expectQuiet, openBrowser } from '../support/browser.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { readText } from '../support/facts.ts';
import { signIn, startGapura, type TestGapura } from '../support/gapura.ts';
import { type Answer, findForm, type HttpVisitor, newHttpVisitor } from '../support/http.ts';
import { storm } from '../support/storm.ts';

let gapura: TestGapura;
let browser: Browser;
let visitor: HttpVisitor;
/** Somebody new, and the address in their mail. */
let guest: { id: string; username: string; address: string };
let last = 0;
const password = 'Kenari-Terbang-77!';
const right = { new_password: password, confirm_password: password };

beforeAll(async () => {
  gapura = await startGapura();
  browser = await openBrowser();
});

beforeEach(async () => {
  last += 1;
  const username = `tamu_${last}`;
  const email = `${username}@contoh.example`;
  const { id } = await createAccount(gapura.db, { username, email, full_name: `Orang Rahasia ${last}` });
  guest = { id, username, address: await invite(id) };
  visitor = newHttpVisitor(gapura.url);
});

afterEach(() => resetClock(gapura.db));

afterAll(async () => {
  await browser?.close();
  await gapura?.stop();
});

/** Invites, and reads the address out of the mail that waits. */
async function invite(account_id: string): Promise<string> {
  const { db, config } = gapura;
  const store = openInvitations(db, gapura.gapura.jobs, config);
  const outcome = await inTransaction(db, (tx) => inviteAccount(tx, store, { account_id }));
  if (outcome.state !== 'invited') throw new Error(outcome.because);
  const mails = db.selectFrom('mails').select(['id', 'secret']).where('account_id', '=', account_id);
  const { id, secret } = await mails.orderBy('created_at', 'desc').executeTakeFirstOrThrow();
  return open(mailKeys(config), secret ?? '', `mails.secret ${id}`);
}

const tokenOf = () => guest.address.split('/').at(-1) ?? '';
const accept = async (fields: Record<string, string> = right) =>
  visitor.submit(await visitor.get(guest.address), fields, 'invitation');

function expectOver({ status, body }: Answer) {
  expect([status, readText(/<h1>.*?<\/h1>/.exec(body)?.[0] ?? '')]).toEqual([410, 'Undangan tidak berlaku lagi']);
  expect(readText(body)).toContain('mintalah undangan baru kepada orang yang mengundang Anda');
  expect(body).not.toContain('type="password"');
}

describe('the page', () => {
  test('shows whose password it is by the user name alone, and the rules', async () => {
    const page = await visitor.get(guest.address);
    expect(page.status).toBe(200);
    expect(page.url.origin).toBe(gapura.url);
    expect(readText(page.body)).toContain(guest.username);
    expect(page.body).not.toMatch(/Orang Rahasia|contoh\.example/);
    expect(readText(page.body)).toContain('Minimal 8 karakter');
    expect(findForm(page.body, 'invitation')).toMatchObject({
      method: 'post',
      fields: { username: guest.username, new_password: '', confirm_password: '' },
    });
    expect(page.body.match(/autocomplete="new-password"/g)).toHaveLength(2);
  });

  test('is kept by nobody, and its address is told to nobody', async () => {
    const answers = [
      await visitor.get(guest.address),
      await accept({}),
      await accept(),
      await visitor.get(guest.address),
    ];
    for (const { headers } of answers) {
      expect(headers.get('cache-control')).toBe('no-store');
      expect(headers.get('referrer-policy')).toBe('no-referrer');
    }
    expect(JSON.stringify(gapura.log)).not.toContain(tokenOf());
    expect(gapura.log.filter(({ path }) => path === '/invitation/:token').length).toBeGreaterThanOrEqual(4);
  });

  test('takes nothing by being opened, however often and by whom', async () => {
    for (let times = 0; times < 3; times += 1) {
      expect((await newHttpVisitor(gapura.url).get(guest.address)).status).toBe(200);
      expect((await fetch(guest.address, { method: 'HEAD' })).status).toBe(200);
    }
    expect((await accept()).status).toBe(200);
  });

  test('is the same in English', async () => {
    const page = await visitor.get(`${guest.address}?lang=en`);
    expect(page.url.pathname).toBe(`/invitation/${tokenOf()}`);
    expect(page.body).toContain('<h1>Make your password</h1>');
  });
});

describe('an answer', () => {
  test('makes the password and leads to the sign-in, which it opens by name and by address', async () => {
    const done = await accept();
    expect(done.status).toBe(200);
    expect(readText(done.body)).toContain(`Kata sandi untuk ${guest.username} sudah tersimpan`);
    expect(done.body).toContain('<a class="button" href="/portal">Masuk</a>');
    // The link proves that a mail was read; who it is, the sign-in asks.
    expect((await visitor.get('/portal')).body).toContain('name="identifier"');
    for (const name of [guest.username, `${guest.username}@contoh.example`]) {
      const other = newHttpVisitor(gapura.url);
      expect((await signIn(other, await other.get('/portal'), name, password)).url.pathname).toBe('/portal');
    }
  });

  test.each([
    ['nothing', {}, 'Isi kata sandi baru'],
    ['no second one', { new_password: password }, 'sekali lagi'],
    ['two that differ', { ...right, confirm_password: 'lain' }, 'tidak sama'],
    ['one that is too short', { new_password: 'Ab1!', confirm_password: 'Ab1!' }, 'terlalu pendek'],
    ['the product’s name', { new_password: 'Gapura-2026!', confirm_password: 'Gapura-2026!' }, 'nama Gapura'],
    ['one without end', { new_password: 'x'.repeat(1025), confirm_password: 'x' }, 'terlalu panjang'],
    ['a NUL', { new_password: `${password}\0`, confirm_password: password }, ''],
  ])(
    'with %s is refused beside its field, filled with nothing, and the link still stands',
    async (_what, fields, said) => {
      const refused = await accept(fields as Record<string, string>);
      expect(refused.status).toBe(422);
      expect(readText(/<[^>]+id="problems".*?<\/div>/s.exec(refused.body)?.[0] ?? '')).toContain(said);
      expect(refused.body).toContain('aria-invalid="true"');
      expect(refused.body).not.toContain(password);
      expect(findForm(refused.body, 'invitation').fields).toMatchObject({ new_password: '', confirm_password: '' });
      expect((await visitor.submit(refused, right, 'invitation')).status).toBe(200);
    },
  );

  test('after one that was taken is over', async () => {
    const page = await visitor.get(guest.address);
    await accept();
    expectOver(await visitor.submit(page, right, 'invitation'));
    expectOver(await visitor.get(guest.address));
  });

  test('sent 20 times at once is taken once', async () => {
    const body = new URLSearchParams(right).toString();
    const answers = await storm(20, () => ({ url: guest.address, body }));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array(19).fill(410)]);
    const rows = gapura.db.selectFrom('passwords').select('account_id').where('account_id', '=', guest.id);
    expect(await rows.execute()).toHaveLength(1);
  });

  test('from another site is not taken', async () => {
    const headers = { origin: 'https://jahat.example' };
    expect((await visitor.post(guest.address, right, { headers })).status).toBe(403);
    expect((await accept()).status).toBe(200);
  });

  test('to a link that is too late, was replaced, or never was, is one and the same page', async () => {
    const replaced = guest.address;
    guest.address = await invite(guest.id);
    const never = ['x', 'A'.repeat(43), '%F0%9F%94%91', '__proto__', 'a'.repeat(2000)];
    for (const address of [replaced, ...never.map((token) => `${gapura.url}/invitation/${token}`)]) {
      expectOver(await visitor.get(address));
      expectOver(await visitor.post(address, right));
    }
    await moveClock(gapura.db, 8 * 86_400);
    expectOver(await visitor.get(guest.address));
    expectOver(await visitor.post(guest.address, right));
  });

  test('may be odd: twice a field, another type, too much', async () => {
    const send = (body: string, type = 'application/x-www-form-urlencoded') =>
      fetch(guest.address, { method: 'POST', body, headers: { 'content-type': type, origin: gapura.url } });
    const fields = new URLSearchParams(right).toString();
    expect((await send(`${fields}&${fields}`)).status).toBe(422);
    expect((await send(JSON.stringify(right), 'application/json')).status).toBe(415);
    expect((await send(`new_password=${'x'.repeat(40_000)}`)).status).toBe(413);
    expect((await accept()).status).toBe(200);
  });
});

test.each([
  ['with scripts', { scripts: true }],
  ['without scripts, narrow', { scripts: false, width: 320 }],
])('in a browser, %s, the whole way by keyboard', async (_how, options) => {
  const { page } = await browser.newVisitor(options);
  const check = async () => (options.scripts ? expectNoAxeViolations(page) : undefined);
  await page.goto(guest.address);
  expectQuiet(page);
  await check();
  expect(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth)).toBe(true);
  await page.locator('#new_password').press('Enter');
  await page.waitForSelector('#problems');
  await check();
  await page.locator('#new_password').focus();
  await page.keyboard.type(password);
  await page.locator('#confirm_password').focus();
  await page.keyboard.type(password);
  await page.keyboard.press('Enter');
  await page.waitForSelector('text=Kata sandi Anda sudah dibuat');
  await check();
});
