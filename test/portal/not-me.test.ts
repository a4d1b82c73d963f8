/** "Bukan saya": the link in a notice can only freeze the account, by its button, once, for seven days. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { unlockAccount } from '../../src/accounts/account.ts';
import type { Secret } from '../../src/crypto.ts';
import { inTransaction } from '../../src/database.ts';
import { openLimits } from '../../src/limits/limits.ts';
import { tellEverywhere } from '../../src/recovery/notices.ts';
import { openRecoveries, type RecoveryStore } from '../../src/recovery/recovery.ts';
import { type Browser, expectNoAxeViolations, expectQuiet, openBrowser } from '../support/browser.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { readText } from '../support/facts.ts';
import { newSignedInVisitor, startGapura, type TestGapura } from '../support/gapura.ts';
import { type Answer, newHttpVisitor } from '../support/http.ts';
import { listMails } from '../support/mails.ts';
import { findAccountId } from '../support/nodes.ts';
import { storm } from '../support/storm.ts';

let gapura: TestGapura;
let browser: Browser;
let store: RecoveryStore;
let budi: string;
let address: string;

beforeAll(async () => {
  gapura = await startGapura();
  browser = await openBrowser();
  const { db, config } = gapura;
  const limits = openLimits(config.secrets[0] as Secret);
  store = await openRecoveries({ db, jobs: gapura.gapura.jobs, limits }, config);
  budi = await findAccountId(gapura, 'budi');
});

beforeEach(async () => {
  const request = {
    address: '2001:db8:1:2::7',
    user_agent: 'Mozilla/5.0 (Windows NT 10.0) Firefox/140.0',
    request_id: 'r',
  };
  await inTransaction(gapura.db, (tx) => tellEverywhere(tx, store, 'recovery_used', { account_id: budi, request }));
  address = (await listMails(gapura)).at(-1)?.secret ?? '';
});

afterEach(async () => {
  await resetClock(gapura.db);
  await unlockAccount(gapura.db, budi, 'frozen', { because: 'uji' });
  for (const table of ['mails', 'proofs'] as const) await gapura.db.deleteFrom(table).execute();
});

afterAll(async () => {
  await browser?.close();
  await gapura?.stop();
});

const locks = () => gapura.db.selectFrom('account_locks').select('kind').where('account_id', '=', budi).execute();
const title = ({ body }: Answer) => readText(/<h1>.*?<\/h1>/s.exec(body)?.[0] ?? '');
const press = async () => {
  const visitor = newHttpVisitor(gapura.url);
  return visitor.submit(await visitor.get(address), {}, 'not-me');
};

test('the notice names device and network in both forms', async () => {
  const [mail] = await listMails(gapura);
  for (const form of [mail?.text, mail?.html]) expect(form).toMatch(/Firefox di Windows.*2001:db8:1::\/48/);
});

test('row 30: opened by scanners it does nothing, however often', async () => {
  for (let times = 0; times < 3; times += 1) {
    expect((await newHttpVisitor(gapura.url).get(address)).status).toBe(200);
    expect((await fetch(address, { method: 'HEAD' })).status).toBe(200);
  }
  expect(await locks()).toEqual([]);
  expect(title(await press())).toBe('Akun Anda dibekukan');
});

test('freezes the account, ends its sessions, signs nobody in, and tells the audit', async () => {
  const session = await newSignedInVisitor(gapura.url, 'budi');
  const visitor = newHttpVisitor(gapura.url);
  const done = await visitor.submit(await visitor.get(address), {}, 'not-me');
  expect([done.status, done.headers.get('referrer-policy')]).toEqual([200, 'no-referrer']);
  expect(await locks()).toEqual([{ kind: 'frozen' }]);
  expect((await session.get('/portal', { follow: false })).status).toBe(303);
  expect((await visitor.get('/portal')).body).toContain('name="identifier"');
  const events = gapura.db.selectFrom('audit_events').select(['kind', 'detail']).where('account_id', '=', budi);
  expect(await events.execute()).toContainEqual({ kind: 'disowned', detail: { told: 'recovery_used' } });
  const told = (await listMails(gapura)).filter(({ template }) => template === 'account_frozen');
  expect(told.map(({ to, secret }) => [to, secret])).toEqual([['budi@contoh.example', undefined]]);
  expect(told[0]?.text).toMatch(/dibekukan.*jaringan 127\.0\.0\.0\/24/s);
});

describe('is over', () => {
  test('after it was used, after seven days, and for what nobody was sent', async () => {
    await press();
    const again = await newHttpVisitor(gapura.url).get(address);
    expect([again.status, title(again)]).toEqual([410, 'Tautan ini tidak berlaku lagi']);
    for (const token of ['x', 'A'.repeat(43), '__proto__', '%F0%9F%94%91', 'a'.repeat(2000)]) {
      expect((await newHttpVisitor(gapura.url).get(`/notices/${token}`)).status).toBe(410);
      expect((await newHttpVisitor(gapura.url).post(`/notices/${token}`, {})).status).toBe(410);
    }
  });

  test('when its time is', async () => {
    await moveClock(gapura.db, 7 * 86_400 + 60);
    expect((await newHttpVisitor(gapura.url).post(address, {})).status).toBe(410);
    expect(await locks()).toEqual([]);
  });
});

test('pressed 20 times at once it is taken once', async () => {
  const answers = await storm(20, () => ({ url: address, body: '' }));
  expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array(19).fill(410)]);
});

test('its token is in no log', async () => {
  await press();
  expect(JSON.stringify(gapura.log)).not.toContain(address.split('/').at(-1));
});

test('the page is whole in a browser, narrow', async () => {
  const { page } = await browser.newVisitor({ width: 320 });
  expectQuiet(page);
  await page.goto(address);
  await expectNoAxeViolations(page);
  expect(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth)).toBe(true);
});
