/** The code by mail in place of a picture: sent to a proven address, said of every name, good once in the browser that asked. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { createAccount, lockAccount } from '../../src/accounts/account.ts';
import { randomToken, Secret } from '../../src/crypto.ts';
import { type Database, openDatabase } from '../../src/database.ts';
import { writeMail } from '../../src/delivery/outbox.ts';
import { answerCheck, type Check, findCheck, issueCheck } from '../../src/human-check/human-check.ts';
import { type CheckStore, type CodeOrder, openChecks, sendCode } from '../../src/human-check/mail-code.ts';
import { type Jobs, openJobs } from '../../src/jobs.ts';
import { openLimits } from '../../src/limits/limits.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { doWork, lettersOf, readMailedCode } from '../support/human-check.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { listStatements } from '../support/statements.ts';

let database: TestDatabase;
let db: Database;
let other_node: Database;
let jobs: Jobs;
let store: CheckStore;
let budi: string;
const secret = new Secret('a secret of the tests, long enough');
const config = { secrets: [secret], support_name: 'Meja Layanan', support_email: 'layanan@gapura.example' };
const browser = randomToken();
const password = 'Pintu-Terbuka-2026!';

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  other_node = openDatabase(database.url, { max: 10 });
  jobs = await openJobs({ database_url: new Secret(database.url) });
  store = openChecks(db, openLimits(secret), jobs, config);
  const budi_email = 'budi@contoh.example';
  budi = (await createAccount(db, { username: 'budi', password, full_name: 'Budi', email: budi_email })).id;
  await createAccount(db, { username: 'tono', password, full_name: 'Tono', email: 'tono@contoh.example' });
  await createAccount(db, { username: 'sari', password, full_name: 'Sari' });
  await db.updateTable('accounts').set({ email_verified: true }).where('email', '=', budi_email).execute();
});

afterEach(async () => {
  await resetClock(db);
  for (const table of ['limits', 'human_checks', 'proofs', 'mails'] as const) await db.deleteFrom(table).execute();
});

afterAll(async () => {
  await jobs.stop();
  await other_node.destroy();
  await database.drop();
});

const ask = () => issueCheck(db, store.keys, browser);
const send = (check: Check, canonical = 'budi', more: Partial<CodeOrder> = {}) =>
  sendCode(store, { id: check.id, browser, canonical, address: '192.0.2.1', ...more });
const answer = (check: Check, typed: string, on = db, from: string | undefined = browser) =>
  answerCheck(on, store.keys, { id: check.id, browser: from, typed, work: '' });
const mails = () => db.selectFrom('mails').selectAll().orderBy('created_at').execute();

async function order(canonical = 'budi'): Promise<{ check: Check; code: string }> {
  const check = await ask();
  expect(await send(check, canonical)).toEqual({ state: 'sent' });
  return { check, code: (await readMailedCode(db, config)) ?? '' };
}

describe('the code', () => {
  test('goes to the proven address in the reader’s language, and works once', async () => {
    const { check, code } = await order();
    expect(code).toMatch(/^[A-Z3-9]{4} [A-Z3-9]{4}$/);
    expect(await mails()).toMatchObject([{ to_address: 'budi@contoh.example', language: 'id', account_id: budi }]);
    expect((await findCheck(db, store.keys, check.id, browser))?.way).toBe('mail');
    expect(await answer(check, code.toLowerCase())).toEqual({ state: 'right' });
    expect(await answer(check, code)).toEqual({ state: 'over' });
  });

  test('is counted: a wrong one leaves the check open, and after ten no code is looked at', async () => {
    const { check, code } = await order();
    for (let at = 0; at < 10; at += 1) expect(await answer(check, 'AAAA AAAA')).toEqual({ state: 'wrong' });
    expect(await answer(check, code)).toEqual({ state: 'over' });
  });

  test('sent again takes the place of the older one, and gives no tries back', async () => {
    const { check, code } = await order();
    expect(await answer(check, 'AAAA AAAA')).toEqual({ state: 'wrong' });
    expect(await send(check)).toEqual({ state: 'sent' });
    const { attempts } = await db
      .selectFrom('proofs')
      .select('attempts')
      .where('voided_at', 'is', null)
      .executeTakeFirstOrThrow();
    expect(attempts).toBe(1);
    expect(await answer(check, code)).toEqual({ state: 'wrong' });
    expect(await answer(check, (await readMailedCode(db, config)) ?? '')).toEqual({ state: 'right' });
  });

  test('is good for its own check and browser alone, for ten minutes', async () => {
    const { check, code } = await order();
    const other = await ask();
    expect(await answer(other, code)).toEqual({ state: 'wrong' });
    for (const from of [undefined, randomToken()])
      expect((await answer(check, code, db, from ?? '')).state).toBe('over');
    await moveClock(db, 601);
    expect(await answer(check, code)).toEqual({ state: 'over' });
  });

  test('lasts as long as it says although its check is older', async () => {
    const check = await ask();
    await moveClock(db, 590);
    expect(await send(check)).toEqual({ state: 'sent' });
    await moveClock(db, 1180);
    expect(await answer(check, (await readMailedCode(db, config)) ?? '')).toEqual({ state: 'right' });
  });

  test('of a check that was answered in the meantime is good for nothing', async () => {
    const { check, code } = await order();
    expect(await answerCheck(db, store.keys, { id: check.id, browser, typed: '', work: doWork(check) })).toEqual({
      state: 'right',
    });
    expect(await answer(check, code)).toEqual({ state: 'over' });
    expect(await send(check)).toEqual({ state: 'over' });
  });

  test('cannot be asked for by another browser, nor for a check that is none', async () => {
    const check = await ask();
    expect(await send(check, 'budi', { browser: randomToken() })).toEqual({ state: 'over' });
    expect(await send({ ...check, id: randomToken(18) })).toEqual({ state: 'over' });
    expect(await mails()).toEqual([]);
  });

  test('brought thirty times at once on two nodes counts once', async () => {
    const { check, code } = await order();
    const tries = Array.from({ length: 30 }, (_, at) => answer(check, code, at % 2 ? db : other_node));
    const states = (await Promise.all(tries)).map(({ state }) => state);
    expect(states.filter((state) => state === 'right')).toHaveLength(1);
    expect(states.filter((state) => state === 'over')).toHaveLength(29);
  });

  test('asked for in a person’s name elsewhere leaves the one that they wait for as it is', async () => {
    const { check, code } = await order();
    const stranger = randomToken();
    const foreign = await issueCheck(db, store.keys, stranger);
    expect(await send(foreign, 'budi', { browser: stranger, address: '192.0.2.2' })).toEqual({ state: 'sent' });
    expect(await answer(check, code)).toEqual({ state: 'right' });
  });

  test('stands in no table in clear', async () => {
    const { check, code } = await order();
    const shown: string[] = [];
    for (const table of ['proofs', 'mails', 'human_checks', 'limits', 'jobs.job', 'audit_events']) {
      const { rows } = await sql<{ row: string }>`SELECT t::text AS row FROM ${sql.raw(table)} t`.execute(db);
      shown.push(...rows.map(({ row }) => row));
    }
    expect(shown.length).toBeGreaterThan(3);
    for (const held of [code, code.replace(' ', ''), check.id]) expect(shown.join()).not.toContain(held);
  });
});

describe('a name', () => {
  test.each(['tidak-ada', 'tono', 'sari', '\u{1f511}', 'x'.repeat(254)])(
    'such as "%s", without a proven address, is told the same for the same statements, and no code fits',
    async (canonical) => {
      const [known, other] = [await ask(), await ask()];
      const told: unknown[] = [];
      // What a decoy is noted by are two columns more, in the same statements.
      const observe = async (check: Check, name: string) =>
        (await listStatements(async () => void told.push(await send(check, name)))).map((text) => text.slice(0, 60));
      const statements = [await observe(known, 'budi'), await observe(other, canonical)];
      expect(statements[0]?.length).toBeGreaterThan(6);
      expect(statements[1]).toEqual(statements[0]);
      expect(told).toEqual([{ state: 'sent' }, { state: 'sent' }]);
      expect(await findCheck(db, store.keys, other.id, browser)).toMatchObject({ way: 'mail' });
      const [, decoy] = await mails();
      expect(decoy).toMatchObject({ to_address: 'nobody@decoy.invalid', secret: null, because: 'decoy' });
      for (const typed of ['AAAA AAAA', lettersOf(config, other.id), '-'])
        expect(await answer(other, typed)).toEqual({ state: 'wrong' });
    },
  );

  test('that is locked is written to as before: what a stranger is told does not change', async () => {
    await lockAccount(db, budi, 'locked', { because: 'test' });
    expect((await order()).code).not.toBe('');
    await sql`DELETE FROM account_locks`.execute(db);
  });

  test('gets five codes and then waits, known or not, from wherever they are asked for', async () => {
    for (const canonical of ['budi', 'tidak-ada']) {
      const outcomes = [];
      for (let at = 0; at < 6; at += 1) outcomes.push(await send(await ask(), canonical, { address: `192.0.2.${at}` }));
      expect(outcomes.slice(0, 5)).toEqual(Array(5).fill({ state: 'sent' }));
      expect(outcomes[5]).toEqual({ state: 'waiting', retry_after: expect.any(Number) });
    }
    expect(await mails()).toHaveLength(10);
  });

  test('among many that one address writes to ends that address’s mails', async () => {
    const outcomes = [];
    for (let at = 0; at < 21; at += 1) outcomes.push((await send(await ask(), `nama-${at}`)).state);
    expect(outcomes).toEqual([...Array(20).fill('sent'), 'waiting']);
  });
});

test('the mail says what the code is for, that it is no password, and whom to ask, in both languages', () => {
  for (const language of ['id', 'en'] as const) {
    const mail = writeMail(
      { language, template: 'human_check', values: { name: 'Budi', support: 'Meja' } },
      'K7MQ 4RTX',
    );
    for (const part of ['K7MQ 4RTX', 'Budi', 'Meja', '10', language === 'id' ? 'bukan kata sandi' : 'no password']) {
      expect(mail.text).toContain(part);
      expect(mail.html).toContain(part);
    }
    expect(mail.subject).not.toContain('K7MQ');
  }
});
