/** Signing in by password: what is decided, what it costs, what is written down, and what stands nowhere. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import argon2 from 'argon2';
import { Kysely, PostgresDialect, sql } from 'kysely';
import pg from 'pg';
import { createAccount, endEverything, lockAccount } from '../src/accounts/account.ts';
import { forgetBrowsers, purgeBrowsers } from '../src/accounts/browsers.ts';
import { countHashes, hashPassword, prepareHashing, verifyPassword } from '../src/accounts/password.ts';
import { writePassword } from '../src/accounts/password-store.ts';
import { purgeSignIns } from '../src/accounts/sign-ins.ts';
import type { AuditRequest } from '../src/audit/audit.ts';
import { now, nowSeconds } from '../src/clock.ts';
import { randomToken, Secret } from '../src/crypto.ts';
import { type Database, inTransaction, openDatabase } from '../src/database.ts';
import { openLimits } from '../src/limits/limits.ts';
import { policy } from '../src/policy/policy.ts';
import { openSignIns, type PasswordTry, type SignInOutcome, type SignInStore, submitPassword } from '../src/sign-in.ts';
import type { Tables } from '../src/tables.ts';
import { moveClock, resetClock } from './support/clock.ts';
import { createTestDatabase, type TestDatabase } from './support/postgres.ts';

let database: TestDatabase;
let db: Database;
let counted: Database;
let other_node: Database;
let store: SignInStore;
let budi: string;
const statements: string[] = [];
const secret = new Secret('a secret of the tests, long enough');
const password = 'Pintu-Terbuka-2026!';

/** Whom was told of a browser, and with which request. */
const told: { account_id: string; request: AuditRequest }[] = [];
const openStore = (on: Database) =>
  openSignIns(
    { db: on, limits: openLimits(secret), tellOfBrowser: async (_, news) => void told.push(news) },
    { secrets: [secret] },
  );

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  other_node = openDatabase(database.url, { max: 5 });
  counted = new Kysely<Tables>({
    dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: database.url, max: 1 }) }),
    log: (event) => void statements.push(event.query.sql),
  });
  store = openStore(db);
  await prepareHashing();
  budi = (await createAccount(db, { username: 'budi', password, full_name: 'Budi Contoh Santoso' })).id;
});

beforeEach(async () => {
  await db.deleteFrom('limits').execute();
  statements.length = 0;
  told.length = 0;
});

afterEach(() => resetClock(db));

afterAll(async () => {
  await counted.destroy();
  await other_node.destroy();
  await database.drop();
});

const attempt = (identifier: string, typed = password, rest: Partial<PasswordTry> = {}): PasswordTry => ({
  interaction: randomToken(),
  client_id: 'e-bpom',
  identifier,
  password: typed,
  browser: undefined,
  request: { address: '192.0.2.1', user_agent: 'Mozilla/5.0', request_id: 'r-1' },
  ...rest,
});
const submit = (identifier: string, typed?: string, rest?: Partial<PasswordTry>) =>
  submitPassword(store, attempt(identifier, typed, rest));
const done = (outcome: SignInOutcome) => {
  if (outcome.state !== 'done') throw new Error(`not signed in: ${JSON.stringify(outcome)}`);
  return outcome;
};
const storedHash = async (account_id: string) =>
  (await db.selectFrom('passwords').select('hash').where('account_id', '=', account_id).executeTakeFirstOrThrow()).hash;
const lastAudit = () =>
  db
    .selectFrom('audit_events as e')
    .leftJoin('audit_personal as p', 'p.event_id', 'e.id')
    .select(['e.kind', 'e.account_id', 'e.client_id', 'e.detail', 'p.address', 'p.request_id'])
    .orderBy('e.id', 'desc')
    .limit(1)
    .executeTakeFirstOrThrow();

/** What a try costs: its outcome, the hashes made and the statements sent. */
async function cost(identifier: string, typed: string) {
  const before = countHashes().made;
  statements.length = 0;
  const outcome = await submitPassword(openStore(counted), attempt(identifier, typed));
  return { outcome, hashes: countHashes().made - before, statements: [...statements] };
}

/** Begins a try, holds it after it has read the account and before it hashes, does `meanwhile`, and lets it go on. */
async function during(begin: () => Promise<SignInOutcome>, meanwhile: () => Promise<unknown>): Promise<SignInOutcome> {
  let running: Promise<SignInOutcome> | undefined;
  await other_node.transaction().execute(async (tx) => {
    await sql`LOCK TABLE limits IN EXCLUSIVE MODE`.execute(tx);
    running = begin();
    const isHeld = async () =>
      (await sql`SELECT FROM pg_locks WHERE relation = 'limits'::regclass AND NOT granted`.execute(tx)).rows.length > 0;
    while (!(await isHeld()));
    await meanwhile();
  });
  return running as Promise<SignInOutcome>;
}

describe('the right password', () => {
  test('signs in, with the generation that was read together with its hash', async () => {
    const { login, browser } = done(await submit('budi'));
    expect(login).toEqual({
      accountId: budi,
      generation: 1,
      ts: expect.any(Number),
      amr: ['pwd'],
      acr: 'urn:gapura:acr:password',
    });
    expect(Math.abs(login.ts - nowSeconds())).toBeLessThan(3);
    expect(browser).toMatch(/^[\w-]{43}$/);
  });

  test.each(['BUDI', ' Budi ', 'ｂｕｄｉ'])('signs in whoever typed the name as "%s"', async (typed) => {
    expect(done(await submit(typed)).login.accountId).toBe(budi);
  });

  test('signs in whichever way a keyboard composes its letters', async () => {
    const composed = 'Caf\u00e9-B\u00fcro-2026';
    await createAccount(db, { username: 'unicode', password: composed, full_name: 'Unicode' });
    expect((await submit('unicode', composed.normalize('NFD'))).state).toBe('done');
    expect((await submit('unicode', composed)).state).toBe('done');
  });

  test('is written down: the sign-in with its interaction and client, the browser, and the audit row', async () => {
    await submit('budi', password, { client_id: 'portal-insw' });
    const row = await db
      .selectFrom('sign_ins')
      .selectAll()
      .where('client_id', '=', 'portal-insw')
      .executeTakeFirstOrThrow();
    expect(row).toMatchObject({ state: 'done', account_id: budi, generation: 1, amr: ['pwd'] });
    expect(Math.abs((Number(row.expires_at) - Number(row.done_at)) / 1000 - policy('interaction.memory'))).toBeLessThan(
      2,
    );
    const audit = {
      kind: 'sign_in',
      account_id: budi,
      client_id: 'portal-insw',
      detail: { amr: 'pwd' },
      address: '192.0.2.1',
      request_id: 'r-1',
    };
    expect(await lastAudit()).toEqual(audit);
  });

  test('of an account that was reset meanwhile gives the old generation, which opens nothing', async () => {
    const { id } = await createAccount(db, { username: 'reset', password, full_name: 'Reset' });
    const outcome = await during(
      () => submit('reset'),
      () => inTransaction(db, (tx) => endEverything(tx, id, { because: 'test' })),
    );
    expect(done(outcome).login.generation).toBe(1);
    expect(done(await submit('reset')).login.generation).toBe(2);
  });
});

describe('a double click on the button', () => {
  test('gives both the same answer and is one sign-in, one audit row', async () => {
    const { id } = await createAccount(db, { username: 'ganda', password, full_name: 'Ganda' });
    const interaction = randomToken();
    const outcomes = await Promise.all([
      submit('ganda', password, { interaction }),
      submit('ganda', password, { interaction }),
    ]);
    for (const outcome of outcomes) expect(done(outcome).login).toMatchObject({ accountId: id, generation: 1 });
    const audit = await db
      .selectFrom('audit_events')
      .select('kind')
      .where('account_id', '=', id)
      .where('kind', '=', 'sign_in')
      .execute();
    expect(audit).toHaveLength(1);
    expect(await db.selectFrom('sign_ins').select('state').where('account_id', '=', id).execute()).toHaveLength(1);
  });

  test('leaves a browser that is known, whichever answer comes last', async () => {
    await createAccount(db, { username: 'ganda-dua', password, full_name: 'Ganda' });
    const interaction = randomToken();
    const outcomes = await Promise.all([
      submit('ganda-dua', password, { interaction }),
      submit('ganda-dua', password, { interaction }),
    ]);
    // Strangers fill the lanes that are not the browser's own.
    for (let at = 0; at < 6; at += 1)
      await submit('ganda-dua', 'salah', { request: { ...attempt('').request, address: `198.51.100.${at}` } });
    expect((await submit('ganda-dua')).state).toBe('unchecked');
    for (const outcome of outcomes)
      expect((await submit('ganda-dua', password, { browser: done(outcome).browser })).state).toBe('done');
  });

  test('by two people in one interaction signs nobody in without an audit row', async () => {
    const people = await Promise.all(
      ['satu', 'dua'].map((name) => createAccount(db, { username: name, password, full_name: name })),
    );
    const interaction = randomToken();
    const outcomes = [await submit('satu', password, { interaction }), await submit('dua', password, { interaction })];
    for (const [at, { id }] of people.entries()) {
      const rows = await db
        .selectFrom('audit_events')
        .select('id')
        .where('account_id', '=', id)
        .where('kind', '=', 'sign_in')
        .execute();
      expect(rows).toHaveLength(outcomes[at]?.state === 'done' ? 1 : 0);
    }
  });
});

describe('a browser that is not known', () => {
  test('is told of, once, but not at a person’s very first sign-in nor when it is known', async () => {
    const { id } = await createAccount(db, { username: 'peramban', password, full_name: 'Peramban' });
    const { browser } = done(await submit('peramban'));
    expect(told).toEqual([]);
    await submit('peramban', 'salah');
    await submit('peramban', password, { browser });
    expect(told).toEqual([]);
    const { browser: second } = done(await submit('peramban'));
    expect(told).toEqual([{ account_id: id, request: attempt('').request }]);
    await submit('peramban', password, { browser: second });
    expect(told).toHaveLength(1);
  });

  test('is told of also when every browser was forgotten meanwhile', async () => {
    const { id } = await createAccount(db, { username: 'terlupa', password, full_name: 'Terlupa' });
    await submit('terlupa');
    await inTransaction(db, (tx) => forgetBrowsers(tx, id));
    await submit('terlupa');
    expect(told).toHaveLength(1);
  });

  test('is told of once by twenty clicks on one page', async () => {
    await createAccount(db, { username: 'berkali', password, full_name: 'Berkali' });
    await submit('berkali');
    const interaction = randomToken();
    await Promise.all(Array.from({ length: 20 }, () => submit('berkali', password, { interaction })));
    expect(told).toHaveLength(1);
  });

  test('leaves no sign-in behind when nobody could be told of it', async () => {
    const { id } = await createAccount(db, { username: 'gagal', password, full_name: 'Gagal' });
    await submit('gagal');
    const failing = { ...store, tellOfBrowser: () => Promise.reject(new Error('no mail')) };
    await expect(submitPassword(failing, attempt('gagal'))).rejects.toThrow('no mail');
    expect(await db.selectFrom('sign_ins').select('state').where('account_id', '=', id).execute()).toHaveLength(1);
  });
});

describe('the wrong password', () => {
  test('and a name that nobody has are told and cost the same: one hash, the same statements', async () => {
    const wrong = await cost('budi', 'salah');
    const unknown = await cost('tidak-ada', 'salah');
    expect(unknown).toEqual(wrong);
    expect(wrong).toMatchObject({ outcome: { state: 'refused', because: 'bad_credentials' }, hashes: 1 });
    expect(wrong.statements.length).toBeGreaterThan(4);
  });

  test('of an account without a password costs and tells the same', async () => {
    await createAccount(db, { username: 'kosong', full_name: 'Kosong' });
    expect(await cost('kosong', 'nobody has this password')).toEqual(await cost('tidak-ada-dua', 'salah'));
  });

  test('is written down, without the name of anybody who does not exist', async () => {
    await submit('budi', 'salah');
    const common = { kind: 'sign_in_refused', client_id: 'e-bpom', address: '192.0.2.1', request_id: 'r-1' };
    expect(await lastAudit()).toEqual({
      ...common,
      account_id: budi,
      detail: { because: 'bad_credentials', known: true },
    });
    await submit('tidak-ada', 'salah');
    expect(await lastAudit()).toEqual({
      ...common,
      account_id: null,
      detail: { because: 'bad_credentials', known: false },
    });
  });
});

describe('a closed account', () => {
  test.each(['locked', 'disabled', 'frozen', 'dormant', 'revoked', 'expired'] as const)(
    'that is %s says so after the right password alone',
    async (why) => {
      const username = `orang-${why}`;
      const expires_at = why === 'expired' ? new Date(now().getTime() - 1000) : null;
      const { id } = await createAccount(db, { username, password, full_name: 'Orang', expires_at });
      if (why !== 'expired') await lockAccount(db, id, why, { because: 'test' });
      const unknown = await cost('tidak-ada', 'salah');
      expect(await cost(username, 'salah')).toEqual(unknown);
      const told = await cost(username, password);
      expect(told).toMatchObject({ outcome: { state: 'refused', because: why }, hashes: 1 });
      expect(await lastAudit()).toMatchObject({ kind: 'sign_in_refused', account_id: id, detail: { because: why } });
      expect(await db.selectFrom('sign_ins').select('state').where('account_id', '=', id).execute()).toEqual([]);
    },
  );
});

describe('a hash of smaller parameters', () => {
  const makeOld = () => argon2.hash(password, { type: argon2.argon2id, memoryCost: 4096, timeCost: 2, parallelism: 1 });
  let id: string;

  beforeEach(async () => {
    const username = `lama-${randomToken(6)}`;
    id = (await createAccount(db, { username, full_name: 'Lama' })).id;
    await writePassword(db, id, await makeOld());
  });

  const nameOf = async () =>
    (
      await db
        .selectFrom('account_identifiers')
        .select('canonical')
        .where('account_id', '=', id)
        .executeTakeFirstOrThrow()
    ).canonical;

  test('is replaced at the next sign-in by one of today’s, which still fits, and then never again', async () => {
    const old = await storedHash(id);
    await submit(await nameOf());
    const hash = await storedHash(id);
    expect(hash).not.toBe(old);
    expect(await verifyPassword(hash, password)).toEqual({ fits: true, is_old: false });
    const { made } = countHashes();
    await submit(await nameOf());
    expect(await storedHash(id)).toBe(hash);
    expect(countHashes().made).toBe(made + 1);
  });

  test('is not replaced by a wrong password', async () => {
    const old = await storedHash(id);
    await submit(await nameOf(), 'salah');
    expect(await storedHash(id)).toBe(old);
  });

  test('of a password that is changed meanwhile does not come back', async () => {
    const name = await nameOf();
    const changed = await hashPassword('Kata-Sandi-Baru-2026!');
    const outcome = await during(
      () => submit(name),
      () => writePassword(db, id, changed),
    );
    expect(outcome.state).toBe('done');
    expect(await storedHash(id)).toBe(changed);
  });
});

describe('what is typed', () => {
  /** Every row of every table, as PostgreSQL prints it. */
  async function dump(): Promise<string> {
    const { rows: tables } = await sql<{ name: string }>`
      SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')`.execute(db);
    const texts = await Promise.all(
      tables.map(({ name }) => sql<{ text: string }>`SELECT t::text AS text FROM ${sql.raw(name)} t`.execute(db)),
    );
    return texts.flatMap(({ rows }) => rows.map(({ text }) => text)).join('\n');
  }

  const isIn = (text: string, value: string) => {
    const forms = [
      value,
      ...(['hex', 'base64', 'base64url'] as const).map((form) => Buffer.from(value).toString(form).replace(/=+$/, '')),
    ];
    return forms.some((form) => text.toLowerCase().includes(form.toLowerCase()));
  };

  test('stands in no row of any table: not the name, not the password, not the browser, not the interaction', async () => {
    const name = 'kanari-nama-7391';
    const typed = 'Kanari-Sandi-7391!';
    const known = await createAccount(db, { username: 'kanari', password: typed, full_name: 'Burung Kenari' });
    const interaction = randomToken();
    await submit(name, 'Kanari-Sandi-7392!');
    await submit('Kanari-Sandi-7393!', 'x');
    await submit('budi', 'Kanari-Sandi-7394!');
    const { browser } = done(await submit('kanari', typed, { interaction }));
    await lockAccount(db, known.id, 'locked', { because: 'test' });
    await submit('kanari', typed, { browser });

    const text = await dump();
    expect(isIn(text, 'Burung Kenari')).toBe(true);
    const typed_values = [
      name,
      typed,
      'Kanari-Sandi-7392!',
      'Kanari-Sandi-7393!',
      'Kanari-Sandi-7394!',
      browser,
      interaction,
    ];
    expect(typed_values.filter((value) => isIn(text, value))).toEqual([]);
  });
});

describe('the purge', () => {
  test('forgets sign-ins after their memory and browsers a year after their last use', async () => {
    const { browser } = done(await submit('budi'));
    const count = async () => ({
      sign_ins: (await db.selectFrom('sign_ins').select('state').execute()).length,
      browsers: (await db.selectFrom('browsers').select('account_id').where('account_id', '=', budi).execute()).length,
    });
    const before = await count();
    expect(await purgeSignIns(db)).toBe(0);
    await moveClock(db, policy('interaction.memory') + 10);
    await purgeSignIns(db);
    expect(await purgeBrowsers(db)).toBe(0);
    expect(await count()).toEqual({ sign_ins: 0, browsers: before.browsers });
    await submit('budi', password, { browser });
    await moveClock(db, policy('browsers.memory') + 20);
    await purgeSignIns(db);
    await purgeBrowsers(db);
    expect(await count()).toEqual({ sign_ins: 0, browsers: 1 });
  });
});
