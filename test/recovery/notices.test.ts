/** The notices of a sign-in in a new browser and of a changed password: whom they reach, what they say, how often, and what their link can do. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createAccount, unlockAccount } from '../../src/accounts/account.ts';
import type { Secret } from '../../src/crypto.ts';
import { inTransaction } from '../../src/database.ts';
import { openLimits } from '../../src/limits/limits.ts';
import { tellOfBrowser } from '../../src/recovery/notices.ts';
import { openRecoveries, type RecoveryStore } from '../../src/recovery/recovery.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { demo_password, newSignedInVisitor, signIn, startGapura, type TestGapura } from '../support/gapura.ts';
import { newHttpVisitor } from '../support/http.ts';
import { listMails } from '../support/mails.ts';
import { findAccountId } from '../support/nodes.ts';

let gapura: TestGapura;
let store: RecoveryStore;
let budi: string;

beforeAll(async () => {
  gapura = await startGapura();
  const { db, config } = gapura;
  const limits = openLimits(config.secrets[0] as Secret);
  store = await openRecoveries({ db, jobs: gapura.gapura.jobs, limits }, config);
  budi = await findAccountId(gapura, 'budi');
  // The first time of all is told to nobody.
  for (const name of ['budi', 'sari', 'tono']) await newSignedInVisitor(gapura.url, name);
  expect(await listMails(gapura)).toEqual([]);
});

beforeEach(() => gapura.db.deleteFrom('limits').execute());

afterEach(async () => {
  await resetClock(gapura.db);
  await unlockAccount(gapura.db, budi, 'frozen', { because: 'uji' });
  for (const table of ['mails', 'proofs'] as const) await gapura.db.deleteFrom(table).execute();
});

afterAll(() => gapura?.stop());

const request = {
  address: '192.0.2.77',
  user_agent: 'Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0',
  request_id: 'r',
};
const tell = (changes: Partial<typeof request> = {}, account_id = budi) =>
  inTransaction(gapura.db, (tx) => tellOfBrowser(store)(tx, { account_id, request: { ...request, ...changes } }));

describe('a sign-in in a new browser', () => {
  test('is told to the person’s addresses, and to nobody else', async () => {
    await newSignedInVisitor(gapura.url, 'budi');
    const [mail, ...others] = await listMails(gapura);
    expect(others).toEqual([]);
    expect(mail).toMatchObject({ to: 'budi@contoh.example', template: 'new_browser' });
    expect(mail?.subject).toBe('Masuk ke akun Gapura Anda dari browser baru');
    await newSignedInVisitor(gapura.url, 'sari');
    // Her proven recovery address as well.
    expect(await listMails(gapura)).toHaveLength(3);
  });

  test('is not told when the browser signed the person in before', async () => {
    const visitor = await newSignedInVisitor(gapura.url, 'budi');
    for (const table of ['mails', 'limits'] as const) await gapura.db.deleteFrom(table).execute();
    await gapura.db.deleteFrom('oidc_sessions').execute();
    await signIn(visitor, await visitor.get('/portal'), 'budi');
    expect(await listMails(gapura)).toEqual([]);
  });

  test('is told once where twenty windows of it sign in at the same moment', async () => {
    await Promise.all(Array.from({ length: 20 }, () => tell()));
    expect(await listMails(gapura)).toHaveLength(1);
  });

  test('of a person without an address is told to nobody, and goes on', async () => {
    await createAccount(gapura.db, { username: 'sunyi', password: demo_password, full_name: 'Sunyi Contoh' });
    for (let times = 0; times < 2; times += 1) await newSignedInVisitor(gapura.url, 'sunyi');
    expect(await listMails(gapura)).toEqual([]);
  });
});

describe('the notice', () => {
  test('says when, with what device and in which network, in both forms', async () => {
    await tell();
    const [mail] = await listMails(gapura);
    for (const form of [mail?.text, mail?.html]) {
      expect(form).toMatch(/pukul \d\d\.\d\d WIB/);
      expect(form).toContain('Firefox di Linux, jaringan 192.0.2.0/24');
      expect(form).not.toContain('192.0.2.77');
    }
  });

  test('comes again after an hour, and at once for another device, network or person', async () => {
    await tell();
    await tell({ address: '192.0.2.9' });
    expect(await listMails(gapura)).toHaveLength(1);
    await tell({ address: '198.51.100.1' });
    await tell({ user_agent: 'Mozilla/5.0 (Windows NT 10.0) Firefox/140.0' });
    await tell({}, await findAccountId(gapura, 'tono'));
    expect(await listMails(gapura)).toHaveLength(4);
    await moveClock(gapura.db, 3601);
    await tell();
    expect(await listMails(gapura)).toHaveLength(5);
  });

  test('leads to the page that freezes the account, and to nothing else', async () => {
    await tell();
    const address = (await listMails(gapura)).at(-1)?.secret ?? '';
    const visitor = newHttpVisitor(gapura.url);
    const page = await visitor.get(address);
    expect(page.body).toContain('dari browser yang belum pernah dipakai akun ini');
    expect((await visitor.submit(page, {}, 'not-me')).body).toContain('Akun Anda dibekukan');
    const locks = gapura.db.selectFrom('account_locks').select('kind').where('account_id', '=', budi);
    expect(await locks.execute()).toEqual([{ kind: 'frozen' }]);
  });
});

describe('a changed password', () => {
  test('is told to every address, the recovery one as well, with the link that freezes', async () => {
    const visitor = await newSignedInVisitor(gapura.url, 'sari');
    await gapura.db.deleteFrom('mails').execute();
    const page = await visitor.get('/portal/credentials');
    const new_password = 'Kenari-Kuning-77!';
    await visitor.submit(
      page,
      { old_password: demo_password, new_password, confirm_password: new_password },
      'credentials',
    );
    const mails = await listMails(gapura);
    expect(mails.map(({ to, template }) => [to, template]).sort()).toEqual([
      ['sari.wulandari@surat.example', 'password_changed'],
      ['sari@contoh.example', 'password_changed'],
    ]);
    for (const { text, html, secret } of mails) {
      for (const form of [text, html]) expect(form).toMatch(/pukul \d\d\.\d\d WIB.*jaringan 127\.0\.0\.0\/24/s);
      expect((await newHttpVisitor(gapura.url).get(secret ?? '')).body).toContain(
        'Kata sandi akun Gapura Anda diubah.',
      );
    }
  });
});
