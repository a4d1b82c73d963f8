/** The versions by which two people who change one entry learn of each other; the tables themselves count them. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { createAccount, endEverything, lockAccount } from '../../src/accounts/account.ts';
import { type Database, inTransaction } from '../../src/database.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let db: Database;
let account: string;

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  await sql`INSERT INTO agencies (code, name, name_en) VALUES ('BPOM', 'Nama', 'Name')`.execute(db);
  await sql`INSERT INTO directorates (agency_code, code, name) VALUES ('BPOM', 'OT', 'Nama')`.execute(db);
  await sql`INSERT INTO organisations (name, npwp) VALUES ('Nama', '0000001016000000')`.execute(db);
  await sql`INSERT INTO applications (id, agency_code, name, about, about_en, url)
    VALUES ('app', 'BPOM', 'Nama', 'Tentang', 'About', 'https://app.example')`.execute(db);
  account = (await createAccount(db, { username: 'budi', full_name: 'Budi' })).id;
});

afterAll(() => database.drop());

async function read(table: string): Promise<{ version: number; updated_at: Date }> {
  const { rows } = await sql<{ version: number; updated_at: Date }>`
    SELECT version, updated_at FROM ${sql.table(table)}`.execute(db);
  return rows[0] as (typeof rows)[0];
}

const write = (table: string, column: string, value: unknown) =>
  sql`UPDATE ${sql.table(table)} SET ${sql.ref(column)} = ${value}`.execute(db);

describe.each([
  ['agencies', 'name'],
  ['directorates', 'name'],
  ['organisations', 'name'],
  ['applications', 'name'],
  ['accounts', 'full_name'],
])('%s', (table, column) => {
  test('count a change, and when it was', async () => {
    const before = await read(table);
    await write(table, column, 'Baru');
    const after = await read(table);
    expect(after.version).toBe(before.version + 1);
    expect(after.updated_at.getTime()).toBeGreaterThan(before.updated_at.getTime());
  });

  test('count no change that is none', async () => {
    const before = await read(table);
    await write(table, column, 'Baru');
    expect(await read(table)).toEqual(before);
  });

  test('count each change once, and no version that somebody writes', async () => {
    const { version } = await read(table);
    await sql`UPDATE ${sql.table(table)} SET ${sql.ref(column)} = 'Lagi', version = 900`.execute(db);
    expect((await read(table)).version).toBe(version + 1);
  });
});

test('an account’s expiry and contacts count, its locks and generations do not', async () => {
  const { version } = await read('accounts');
  await inTransaction(db, (tx) => endEverything(tx, account, { because: 'uji' }));
  await lockAccount(db, account, 'locked', { because: 'uji' });
  expect((await read('accounts')).version).toBe(version);
  await write('accounts', 'expires_at', '2030-01-01');
  await write('accounts', 'mobile_number', '+6281200000101');
  expect((await read('accounts')).version).toBe(version + 2);
});

test.each([
  ['organisations_name', sql`SELECT FROM organisations ORDER BY lower(name), id LIMIT 20`],
  ['accounts_name', sql`SELECT FROM accounts ORDER BY lower(full_name), id LIMIT 20`],
  ['accounts_words', sql`SELECT FROM accounts WHERE to_tsvector('simple', full_name) @@ '''budi'':*'::tsquery`],
  ['account_identifiers_prefix', sql`SELECT FROM account_identifiers WHERE canonical LIKE 'bud%'`],
  ['memberships_directorate', sql`SELECT FROM memberships WHERE directorate_id = gen_random_uuid()`],
  [
    'audit_events_entry',
    sql`SELECT FROM audit_events WHERE detail ? 'resource' AND detail->>'resource' = 'agencies' AND detail->>'id' = 'BPOM'
      ORDER BY id DESC LIMIT 20`,
  ],
])('%s serves its list', async (index, query) => {
  const plan = await inTransaction(db, async (tx) => {
    // In a table of a few rows reading all of them would be cheaper.
    await sql`SET LOCAL enable_seqscan = off`.execute(tx);
    await sql`SET LOCAL enable_sort = off`.execute(tx);
    return (await sql<Record<string, string>>`EXPLAIN ${query}`.execute(tx)).rows;
  });
  expect(JSON.stringify(plan)).toContain(index);
});
