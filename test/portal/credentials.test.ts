/** Ubah Kata Sandi: what a change asks for and brings about, what it refuses, and that of many at once one counts. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { endEverything, lockAccount, unlockAccount } from '../../src/accounts/account.ts';
import { hashPassword } from '../../src/accounts/password.ts';
import { changePassword } from '../../src/accounts/password-change.ts';
import { writePassword } from '../../src/accounts/password-store.ts';
import { inTransaction } from '../../src/database.ts';
import { openLimits } from '../../src/limits/limits.ts';
import { liftSession } from '../../src/oidc/sessions/session-store.ts';
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
import { copyVisitor, keepCookies } from '../support/nodes.ts';
import { setTestPolicy } from '../support/policy.ts';
import { authorize, followTo, openParty, type TestParty } from '../support/relying-party.ts';
import { type StormAnswer, storm } from '../support/storm.ts';

/** Found nowhere afterwards, as little as the old one. */
const new_password = 'Kenari-Kuning-77!';
const address = '/portal/credentials';

let gapura: TestGapura;
let party: TestParty;
let browser: Browser;
let ids: { budi: string; tono: string; petugas: string };
let budi: HttpVisitor;
/** The latest event before a test; events are only added. */
let last_event: string;

beforeAll(async () => {
  gapura = await startGapura();
  party = await openParty(gapura.config.issuer, await registerClient(gapura, 'badan'), 'openid');
  browser = await openBrowser();
  const rows = await gapura.db.selectFrom('account_identifiers').select(['account_id', 'value']).execute();
  ids = Object.fromEntries(rows.map(({ account_id, value }) => [value, account_id])) as typeof ids;
});

beforeEach(async () => {
  const { db } = gapura;
  const { id } = await db
    .selectFrom('audit_events')
    .select((eb) => eb.fn.max('id').as('id'))
    .executeTakeFirstOrThrow();
  last_event = id ?? '0';
  budi = await newSignedInVisitor(gapura.url, 'budi');
});

afterEach(async () => {
  const { db } = gapura;
  await resetClock(db);
  const hash = await hashPassword(demo_password);
  for (const id of [ids.budi, ids.tono]) await writePassword(db, id, hash);
  for (const table of ['limits', 'password_history', 'mails'] as const) await db.deleteFrom(table).execute();
});

afterAll(async () => {
  await browser?.close();
  await gapura?.stop();
});

/** Sends the form of the page that a person opens first. */
async function change(visitor: HttpVisitor, fields: Record<string, string> = {}): Promise<Answer> {
  const page = await visitor.get(address);
  const filled = { old_password: demo_password, new_password, confirm_password: new_password, ...fields };
  return visitor.submit(page, filled, 'credentials');
}

const auditOf = (kind: string) =>
  gapura.db
    .selectFrom('audit_events')
    .select(['account_id', 'detail'])
    .where('kind', '=', kind)
    .where('id', '>', last_event)
    .execute();

async function canSignIn(identifier: string, password: string): Promise<boolean> {
  const visitor = newHttpVisitor(gapura.url);
  return (await signIn(visitor, await visitor.get('/portal'), identifier, password)).url.pathname === '/portal';
}

/** The mails that a change sends; each sign-in of these tests is one in a new browser, and has its own. */
const listMailIds = () => gapura.db.selectFrom('mails').select('id').where('template', '<>', 'new_browser').execute();

const isSignedIn = async (visitor: HttpVisitor) => (await visitor.get('/portal', { follow: false })).status === 200;

const rowOf = (account_id: string) =>
  gapura.db.selectFrom('passwords').selectAll().where('account_id', '=', account_id).executeTakeFirstOrThrow();

const errorOf = ({ body }: Answer, field: string) =>
  readText(new RegExp(`<p class="field-error" id="${field}-error">(.*?)</p>`, 's').exec(body)?.[1] ?? '');

describe('the page', () => {
  test('has the three fields of document B, the rules of the person, and Simpan', async () => {
    const { status, body } = await budi.get(address);
    expect(status).toBe(200);
    expect(body).toContain('<h1>Ubah Kata Sandi</h1>');
    const inputs = [...body.matchAll(/<input id="(\w+)"[^>]*type="password"[^>]*autocomplete="([\w-]+)"/g)];
    expect(inputs.map(([, id, autocomplete]) => [id, autocomplete])).toEqual([
      ['old_password', 'current-password'],
      ['new_password', 'new-password'],
      ['confirm_password', 'new-password'],
    ]);
    expect(body).toMatch(/<input id="new_password"[^>]*aria-describedby="new_password-rules"/);
    expect(body).toMatch(/<button id="submit" type="submit">Simpan<\/button>/);
    const rules = /<div class="rules".*?<\/div>/s.exec(body)?.[0] ?? '';
    expect(readText(rules)).toMatch(/Minimal 8 karakter.*huruf kecil.*huruf besar.*angka.*simbol: ! @ # \$ % \^ & \*/);
    expect(body).toContain('Kami tidak pernah meminta kata sandi Anda.');
  });

  test('tells an officer an officer’s rules', async () => {
    const { body } = await (await newSignedInVisitor(gapura.url, 'petugas')).get(address);
    expect(readText(body)).toContain('Minimal 15 karakter');
    expect(readText(body)).not.toContain('huruf besar');
  });

  test('is where /.well-known/change-password leads, by way of the sign-in', async () => {
    const visitor = newHttpVisitor(gapura.url);
    const reached = await signIn(visitor, await visitor.get('/.well-known/change-password'), 'budi');
    expect([reached.status, reached.url.pathname]).toEqual([200, address]);
  });
});

describe('a change', () => {
  test('makes the new password count and the old one not, and says so', async () => {
    const done = await change(budi);
    expect([done.status, done.url.pathname + done.url.search]).toEqual([200, `${address}?done=changed`]);
    expect(done.body).toContain('Kata sandi berhasil diubah. Semua sesi lain telah dikeluarkan.');
    expect([await canSignIn('budi', demo_password), await canSignIn('budi', new_password)]).toEqual([false, true]);
    expect(await canSignIn('tono', demo_password)).toBe(true);
  });

  test('ends every other session with its tokens, while the one that made it goes on, also at other applications', async () => {
    const elsewhere = await newSignedInVisitor(gapura.url, 'budi');
    const tono = await newSignedInVisitor(gapura.url, 'tono');
    const begun = await party.begin();
    const tokens = await party.redeem(await authorize(elsewhere, begun.address, party.redirect_uri), begun.checks);
    await change(budi);
    expect([await isSignedIn(budi), await isSignedIn(elsewhere), await isSignedIn(tono)]).toEqual([true, false, true]);
    const again = await party.begin();
    expect((await authorize(budi, again.address, party.redirect_uri)).searchParams.has('code')).toBe(true);
    const { token_endpoint = '' } = party.configuration.serverMetadata();
    const refreshed = await fetch(token_endpoint, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa('badan:secret-of-badan-which-is-long-enough')}` },
      body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: tokens.refresh_token ?? '' }),
    });
    expect([refreshed.status, ((await refreshed.json()) as { error: string }).error]).toEqual([400, 'invalid_grant']);
  });

  test('goes on in the session at an application that was opened before', async () => {
    const first = await party.begin();
    await authorize(budi, first.address, party.redirect_uri);
    await change(budi);
    const second = await party.begin();
    const returned = await authorize(budi, second.address, party.redirect_uri);
    expect((await party.redeem(returned, second.checks)).claims()?.sub).toBe(ids.budi);
  });

  test('ends the new password after the days that the policy of the person’s roles gives, and sets none for 0', async () => {
    const { db } = gapura;
    const days = async (account_id: string) => {
      const { changed_at, expires_at } = await rowOf(account_id);
      return expires_at && (Number(expires_at) - Number(changed_at)) / 86_400_000;
    };
    expect(await days(ids.budi)).toBeNull();
    await setTestPolicy(db, 'password.trader_days', 30);
    await change(budi);
    expect(await days(ids.budi)).toBe(30);
    const long_password = 'kuda baterai senja kertas';
    const officer = await newSignedInVisitor(gapura.url, 'petugas');
    expect((await change(officer, { new_password: long_password, confirm_password: long_password })).status).toBe(200);
    expect(await days(ids.petugas)).toBe(90);
    await setTestPolicy(db, 'password.trader_days', 0);
    const other = 'Kenari-Hijau-78!';
    await change(budi, { old_password: new_password, new_password: other, confirm_password: other });
    expect(await days(ids.budi)).toBeNull();
    await writePassword(db, ids.petugas, await hashPassword(demo_password));
    await setTestPolicy(db, 'password.trader_days', 90);
  });

  test('is one event, and a mail to every address of the person with the time in their zone', async () => {
    await gapura.db
      .insertInto('account_identifiers')
      .values({
        account_id: ids.budi,
        kind: 'email',
        value: 'Budi.Lama@contoh.example',
        canonical: 'budi.lama@contoh.example',
      })
      .execute();
    await gapura.db.updateTable('accounts').set({ time_zone: 'Asia/Jayapura' }).where('id', '=', ids.budi).execute();
    await change(budi);
    expect(await auditOf('password_changed')).toEqual([{ account_id: ids.budi, detail: { was_asked: false } }]);
    const mails = await gapura.db
      .selectFrom('mails')
      .where('template', '<>', 'new_browser')
      .select(['account_id', 'to_address', 'template', 'values'])
      .orderBy('to_address')
      .execute();
    expect(
      mails.map(({ account_id, to_address, template }) => [account_id, to_address.toLowerCase(), template]),
    ).toEqual([
      [ids.budi, 'budi.lama@contoh.example', 'password_changed'],
      [ids.budi, 'budi@contoh.example', 'password_changed'],
    ]);
    expect(mails[0]?.values).toMatchObject({ name: 'Budi Contoh Santoso', time: expect.stringMatching(/ WIT$/) });
    await gapura.db.deleteFrom('account_identifiers').where('canonical', '=', 'budi.lama@contoh.example').execute();
    await gapura.db.updateTable('accounts').set({ time_zone: 'Asia/Jakarta' }).where('id', '=', ids.budi).execute();
  });

  test('leaves neither password in any table nor in the log', async () => {
    await change(budi);
    await change(budi, { old_password: new_password, new_password: 'lemah', confirm_password: 'lemah' });
    const { rows } = await sql<{ name: string }>`
      SELECT quote_ident(schemaname) || '.' || quote_ident(relname) AS name FROM pg_stat_user_tables`.execute(
      gapura.db,
    );
    for (const { name } of rows) {
      const found = await sql`SELECT FROM ${sql.raw(name)} AS t
        WHERE t::text LIKE ${`%${new_password}%`} OR t::text LIKE ${`%${demo_password}%`}`.execute(gapura.db);
      expect([name, found.rows.length]).toEqual([name, 0]);
    }
    const log = JSON.stringify(gapura.log);
    expect([log.includes(new_password), log.includes(demo_password)]).toEqual([false, false]);
  });

  test('takes letters however they were composed', async () => {
    const composed = 'Kolibrí-Ñandú-77!';
    const sent = { new_password: composed.normalize('NFC'), confirm_password: composed.normalize('NFD') };
    expect((await change(budi, sent)).url.search).toBe('?done=changed');
    expect(await canSignIn('budi', composed.normalize('NFD'))).toBe(true);
  });
});

describe('what is refused', () => {
  test.each([
    [{ old_password: 'salah' }, 'old_password', 'Kata sandi lama salah.'],
    [{ old_password: '' }, 'old_password', 'Isi kata sandi lama Anda.'],
    [{ new_password: '' }, 'new_password', 'Isi kata sandi baru.'],
    [{ confirm_password: '' }, 'confirm_password', 'Ketik kata sandi baru sekali lagi.'],
    [{ confirm_password: `${new_password}?` }, 'confirm_password', 'Konfirmasi kata sandi tidak sama.'],
    [{ new_password: 'Zx7!kvq', confirm_password: 'Zx7!kvq' }, 'new_password', 'Kata sandi ini terlalu pendek.'],
    [
      { new_password: 'rahasia', confirm_password: 'rahasia' },
      'new_password',
      /terlalu pendek.*huruf besar.*angka.*simbol.*mudah ditebak/,
    ],
    [{ new_password: 'Santoso-77!', confirm_password: 'Santoso-77!' }, 'new_password', /^Jangan memakai nama Anda/],
    [
      { new_password: demo_password, confirm_password: demo_password },
      'new_password',
      'Kata sandi ini sudah pernah digunakan.',
    ],
    [{ new_password: 'x'.repeat(1025) }, 'new_password', 'Kata sandi ini terlalu panjang.'],
    [{ old_password: 'x'.repeat(1025) }, 'old_password', 'Isian ini terlalu panjang.'],
  ])('%o is told beside its field, and no password is shown again', async (fields, field, said) => {
    const before = await rowOf(ids.budi);
    const page = await change(budi, fields as Record<string, string>);
    expect([page.status, page.url.pathname]).toEqual([422, address]);
    expect(errorOf(page, field)).toMatch(said);
    expect(page.body).toContain(`<a href="#${field}">`);
    for (const [input] of page.body.matchAll(/<input\b[^>]*type="password"[^>]*>/g))
      expect(input).not.toMatch(/\svalue=/);
    for (const typed of Object.values(fields)) if (typed.length > 8) expect(page.body).not.toContain(typed);
    expect(await rowOf(ids.budi)).toEqual(before);
    expect(await isSignedIn(budi)).toBe(true);
  });

  test('the rules that were broken are marked in the list', async () => {
    const { body } = await change(budi, { new_password: 'zx7kkvqw', confirm_password: 'zx7kkvqw' });
    const marked = [...body.matchAll(/<li class="broken"[^>]*>(.*?)<\/li>/gs)].map(([, item = '']) => readText(item));
    expect(marked).toEqual([
      'Terdapat minimal satu huruf besar (belum terpenuhi)',
      'Terdapat salah satu simbol: ! @ # $ % ^ & * (belum terpenuhi)',
    ]);
  });

  test('an old password that is wrong counts as a failed try, and after ten of them a wait is told', async () => {
    for (let tries = 0; tries < 10; tries += 1)
      expect((await change(budi, { old_password: 'salah' })).status).toBe(422);
    const waiting = await change(budi);
    expect([waiting.status, Number(waiting.headers.get('retry-after'))]).toEqual([429, expect.any(Number)]);
    expect(waiting.body).toMatch(/Terlalu banyak percobaan\. Silakan coba lagi dalam \d+ (detik|menit)\./);
    expect(await auditOf('password_change_refused')).toHaveLength(10);
    // Nobody else waits for it, and the person neither once it is over; what was right forgets what was wrong.
    expect((await change(await newSignedInVisitor(gapura.url, 'tono'))).url.search).toBe('?done=changed');
    await moveClock(gapura.db, 61);
    expect((await change(budi)).url.search).toBe('?done=changed');
    expect((await change(budi, { old_password: 'salah' })).status).toBe(422);
  });

  test('a form of somebody who is no longer the one signed in', async () => {
    const page = await budi.get(address);
    const tono = await newSignedInVisitor(gapura.url, 'tono');
    const { fields } = findForm(page.body, 'credentials');
    const sent = { ...fields, old_password: demo_password, new_password, confirm_password: new_password };
    const refused = await tono.post(address, sent);
    expect([refused.status, readText(refused.body)]).toEqual([
      422,
      expect.stringContaining('sekarang masuk orang lain'),
    ]);
    expect(await canSignIn('tono', demo_password)).toBe(true);
  });

  test('a form of nobody', async () => {
    const sent = { old_password: demo_password, new_password, confirm_password: new_password };
    const { status, headers } = await newHttpVisitor(gapura.url).post(address, sent, { follow: false });
    expect([status, headers.get('location')]).toEqual([303, expect.stringContaining('/connect/auth?')]);
    expect(await canSignIn('budi', demo_password)).toBe(true);
  });

  test('a form from another site, or one that is none', async () => {
    const sent = { old_password: demo_password, new_password, confirm_password: new_password };
    const foreign = { follow: false, headers: { origin: 'https://jahat.example' } };
    expect((await budi.post(address, sent, foreign)).status).toBe(403);
    for (const odd of [
      'old_password=%00',
      'new_password=a&new_password=b',
      'old_password=%ff',
      'confirm_password[]=x',
      '',
    ])
      expect([odd, (await budi.post(address, new URLSearchParams(odd), { follow: false })).status]).toEqual([odd, 422]);
    expect((await budi.post(address, { old_password: 'x'.repeat(40_000) }, { follow: false })).status).toBe(413);
    expect(await canSignIn('budi', demo_password)).toBe(true);
  });
});

describe('at the same instant', () => {
  const cookieOf = ({ cookies }: HttpVisitor) =>
    cookies
      .filter(({ path }) => path === '/')
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ');

  test('fifty changes are one: in the answers, the rows, the audit and the mails', async () => {
    const sessions = [budi, await newSignedInVisitor(gapura.url, 'budi')];
    const answers = await storm(50, (at) => {
      const password = `${new_password}${at}`;
      const fields = { old_password: demo_password, new_password: password, confirm_password: password };
      return {
        url: `${gapura.url}${address}`,
        body: new URLSearchParams(fields).toString(),
        headers: { cookie: cookieOf(sessions[at % 2] as HttpVisitor), origin: gapura.url },
      };
    });
    const winners = answers.flatMap(({ status, headers }, at) =>
      status === 303 && headers.location === `${address}?done=changed` ? [at] : [],
    );
    expect(winners).toHaveLength(1);
    // The others: too late, too often, or in a session that the winner ended.
    const others = answers.filter((_answer, at) => at !== winners[0]).map(({ status }) => status);
    expect(others.filter((status) => ![303, 422, 429].includes(status))).toEqual([]);
    expect(await canSignIn('budi', `${new_password}${winners[0]}`)).toBe(true);
    const winner = sessions[(winners[0] as number) % 2] as HttpVisitor;
    expect(await isSignedIn(copyVisitor(gapura.url, winner))).toBe(false);
    keepCookies(winner, [answers[winners[0] as number] as StormAnswer]);
    expect(await isSignedIn(winner)).toBe(true);
    expect(await isSignedIn(sessions[((winners[0] as number) + 1) % 2] as HttpVisitor)).toBe(false);
    const rows = gapura.db.selectFrom('password_history').select('id').where('account_id', '=', ids.budi).execute();
    expect([(await rows).length, (await auditOf('password_changed')).length]).toEqual([1, 1]);
    expect(await listMailIds()).toHaveLength(1);
  });

  const attempt = async (session_uid: string) =>
    changePassword(
      {
        db: gapura.db,
        limits: openLimits(gapura.config.secrets[0] as (typeof gapura.config.secrets)[0]),
        keepSession: liftSession,
        tellOfPassword: async () => {},
      },
      {
        account_id: ids.budi,
        session_uid,
        old_password: demo_password,
        new_password,
        request: { address: '127.0.0.1', user_agent: undefined, request_id: 'r1' },
      },
    );

  const latestSession = async () => {
    const found = gapura.db.selectFrom('oidc_sessions').select('uid').where('account_id', '=', ids.budi);
    return (await found.orderBy('created_at', 'desc').executeTakeFirstOrThrow()).uid;
  };

  test.each([
    ['revoked', () => inTransaction(gapura.db, (tx) => endEverything(tx, ids.budi, { because: 'a test' }))],
    ['locked', () => lockAccount(gapura.db, ids.budi, 'frozen', { because: 'a test' })],
    ['signed out', () => gapura.db.deleteFrom('oidc_sessions').execute()],
  ])('a session that was %s a moment before brings nothing back', async (_what, end) => {
    const session_uid = await latestSession();
    const before = await rowOf(ids.budi);
    await end();
    expect(await attempt(session_uid)).toEqual({ state: 'refused', because: 'session_over' });
    expect(await isSignedIn(budi)).toBe(false);
    expect(await rowOf(ids.budi)).toEqual(before);
    expect([await auditOf('password_changed'), await listMailIds()]).toEqual([[], []]);
    await unlockAccount(gapura.db, ids.budi, 'frozen', { because: 'a test' });
  });

  test('another’s session is lifted by nobody', async () => {
    await newSignedInVisitor(gapura.url, 'tono');
    const { uid } = await gapura.db
      .selectFrom('oidc_sessions')
      .select('uid')
      .where('account_id', '=', ids.tono)
      .executeTakeFirstOrThrow();
    expect(await attempt(uid)).toEqual({ state: 'refused', because: 'session_over' });
  });

  test('a prompt left open in another tab is answered in the session that goes on', async () => {
    const client = await registerClient(gapura, 'direktorat', { agency_code: 'BPOM', directorate_required: true });
    const other = await openParty(gapura.config.issuer, client);
    const visitor = newHttpVisitor(gapura.url);
    const { address: begin } = await other.begin();
    const choice = await signIn(visitor, await visitor.get(begin), 'budi');
    expect(choice.body).toContain('name="directorate"');
    expect((await change(visitor)).url.search).toBe('?done=changed');
    const directorate = /<option value="([^"]{36})"/.exec(choice.body)?.[1] ?? '';
    const reached = await followTo(
      visitor,
      other.redirect_uri,
      await visitor.post(choice.url, { directorate }, { follow: false }),
    );
    expect('returned' in reached && reached.returned.searchParams.has('code')).toBe(true);
    expect(await isSignedIn(visitor)).toBe(true);
  });
});

describe('in a browser', () => {
  const type = async (page: Awaited<ReturnType<Browser['newVisitor']>>['page'], fields: Record<string, string>) => {
    for (const [id, value] of Object.entries(fields)) await page.fill(`#${id}`, value);
  };

  const enter = async (options: Parameters<Browser['newVisitor']>[0]) => {
    const visitor = await browser.newVisitor(options);
    await visitor.page.goto(`${gapura.url}${address}`);
    await type(visitor.page, { identifier: 'budi', password: demo_password });
    await clickAndSettle(visitor.page, '#submit');
    return visitor;
  };

  test('the rules are ticked while one types, and everything is reached by keyboard at 320 pixels', async () => {
    const { page, close } = await enter({ width: 320 });
    await expectNoAxeViolations(page);
    const met = () => page.locator('.rules .met').allTextContents();
    expect(await met()).toEqual([]);
    await page.focus('#new_password');
    await page.keyboard.type('kenari');
    expect((await met()).map((text) => text.trim())).toEqual(['Terdapat minimal satu huruf kecil (terpenuhi)']);
    await page.keyboard.type('-Kuning-77!');
    expect(await met()).toHaveLength(5);
    await type(page, { old_password: 'salah', confirm_password: 'kenari-Kuning-77!' });
    await page.focus('#confirm_password');
    await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
    expect(await page.textContent('#old_password-error')).toContain('Kata sandi lama salah.');
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('problems');
    await expectNoAxeViolations(page);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(320);
    await type(page, {
      old_password: demo_password,
      new_password: 'kenari-Kuning-77!',
      confirm_password: 'kenari-Kuning-77!',
    });
    await clickAndSettle(page, '#submit');
    expect(await page.textContent('[role="status"]')).toContain('Kata sandi berhasil diubah.');
    await expectNoAxeViolations(page);
    expectQuiet(page);
    await close();
  });

  test('without scripts it is the same form', async () => {
    const { page, close } = await enter({ scripts: false });
    await type(page, { old_password: demo_password, new_password, confirm_password: new_password });
    await clickAndSettle(page, '#submit');
    expect(await page.textContent('[role="status"]')).toContain('Kata sandi berhasil diubah.');
    expectQuiet(page);
    await close();
  });
});
