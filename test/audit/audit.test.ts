/** Audit: what is committed is sealed once and in one order; a change breaks the chain, erasing personal things does not. */

import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { erasePersonal, purgePersonal, record } from '../../src/audit/audit.ts';
import { sealAudit, verifyAudit } from '../../src/audit/seals.ts';
import { type Database, inTransaction, type Transaction } from '../../src/database.ts';
import { moveClock } from '../support/clock.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let db: Database;

beforeEach(async () => {
  database = await createTestDatabase();
  db = database.db;
});

afterEach(async () => {
  await database.drop();
});

const request = { address: '192.0.2.1', user_agent: 'Mozilla/5.0', request_id: 'r-1' };

const write = (account_id: string | null = null) =>
  inTransaction(db, (tx) => record(tx, { kind: 'sign_in', account_id, detail: { b: 1, a: 'x' }, request }));

// Tampering as someone with the rights of the owner could.
const tamper = async (statement: ReturnType<typeof sql>) => {
  await inTransaction(db, async (tx) => {
    await sql`SET LOCAL session_replication_role = replica`.execute(tx);
    await statement.execute(tx);
  });
};

// Transaction numbers are the cluster's: another test's open transaction holds the sealing back for a moment.
const sealUntil = async (events: number) => {
  let sealed = 0;
  while (sealed < events) {
    sealed += await sealAudit(db);
    if (sealed < events) await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return sealed;
};

/** A transaction that stays open until told. */
async function openTransaction(): Promise<{ tx: Transaction; commit(): Promise<void>; rollback(): Promise<void> }> {
  const { promise: end, resolve, reject } = Promise.withResolvers<void>();
  const started = Promise.withResolvers<Transaction>();
  const done = db.transaction().execute(async (tx) => {
    started.resolve(tx);
    await end;
  });
  const tx = await started.promise;
  return {
    tx,
    commit: () => {
      resolve();
      return done;
    },
    rollback: () => {
      reject(new Error('rolled back'));
      return done.catch(() => undefined);
    },
  };
}

test('transactions that commit out of order are sealed exactly once, each when nothing can precede it any more', async () => {
  const [first, second, third] = [await openTransaction(), await openTransaction(), await openTransaction()];
  await record(first.tx, { kind: 'sign_in', detail: { n: 1 } });
  await record(second.tx, { kind: 'sign_in', detail: { n: 2 } });
  await record(third.tx, { kind: 'sign_in', detail: { n: 3 } });
  await record(first.tx, { kind: 'sign_out', detail: { n: 4 } });
  await third.commit();
  expect(await sealAudit(db)).toBe(0);
  await first.commit();
  expect(await sealUntil(2)).toBe(2);
  await second.rollback();
  expect(await sealUntil(1)).toBe(1);
  expect(await sealAudit(db)).toBe(0);
  expect(await verifyAudit(db)).toEqual({ state: 'whole', events: 3 });
});

test('many writers and two sealers at once leave every event in the chain once', async () => {
  const writers = Array.from({ length: 60 }, () => write());
  const sealers = Array.from({ length: 10 }, () => sealAudit(db));
  const [, sealed] = await Promise.all([Promise.all(writers), Promise.all(sealers)]);
  await sealUntil(60 - sealed.reduce((sum, events) => sum + events, 0));
  const seals = await db.selectFrom('audit_seals').select('events').execute();
  expect(seals.reduce((sum, seal) => sum + seal.events, 0)).toBe(60);
  expect(await verifyAudit(db)).toEqual({ state: 'whole', events: 60 });
});

test('more events than a batch are sealed in several', async () => {
  await sql`INSERT INTO audit_events (kind) SELECT 'sign_in' FROM generate_series(1, 2300)`.execute(db);
  expect(await sealUntil(2300)).toBe(2300);
  expect(await db.selectFrom('audit_seals').select('events').orderBy('id').execute()).toEqual([
    { events: 1000 },
    { events: 1000 },
    { events: 300 },
  ]);
  expect(await verifyAudit(db)).toEqual({ state: 'whole', events: 2300 });
});

test.each([
  [
    'a changed field',
    sql`UPDATE audit_events SET detail = '{"a":"y","b":1}' WHERE id = (SELECT min(id) FROM audit_events)`,
  ],
  ['a moved time', sql`UPDATE audit_events SET at = at + interval '1 microsecond'`],
  ['a removed event', sql`DELETE FROM audit_events WHERE id = (SELECT max(id) FROM audit_events)`],
  [
    'an event pushed in',
    sql`INSERT INTO audit_events (xid, kind) SELECT xid, 'sign_in' FROM audit_events ORDER BY xid LIMIT 1`,
  ],
  ['a changed personal side', sql`UPDATE audit_personal SET address = '192.0.2.99'`],
  ['a changed seal', sql`UPDATE audit_seals SET hash = 'x'`],
])('%s breaks the chain', async (_, statement) => {
  await write(randomUUID());
  await write(randomUUID());
  await sealUntil(2);
  expect((await verifyAudit(db)).state).toBe('whole');
  await tamper(statement);
  // Under the first seal, or the second where another test's transaction came between the two.
  expect((await verifyAudit(db)).state).toBe('broken');
});

test('erasing the personal side of one account leaves the chain whole and the others as they were', async () => {
  const [gone, stays] = [randomUUID(), randomUUID()];
  await write(gone);
  await write(stays);
  await sealUntil(2);
  await inTransaction(db, (tx) => erasePersonal(tx, gone));
  const left = await db.selectFrom('audit_personal').select(['address', 'user_agent', 'request_id']).execute();
  expect(left).toEqual([request]);
  expect(await verifyAudit(db)).toEqual({ state: 'whole', events: 2 });
});

test('the personal side ends with its time', async () => {
  await write();
  await moveClock(db, 1000);
  await write();
  expect(await purgePersonal(db, 500)).toBe(1);
  expect(await purgePersonal(db, 500)).toBe(0);
});

test('events and seals can only be added', async () => {
  await write();
  await sealUntil(1);
  for (const statement of [
    sql`UPDATE audit_events SET kind = 'sign_out'`,
    sql`DELETE FROM audit_events`,
    sql`TRUNCATE audit_seals`,
  ]) {
    await expect(statement.execute(db)).rejects.toThrow(/only added/);
  }
});

test('an event is part of its transaction, and the same address twice is not seen in the digests', async () => {
  await expect(
    inTransaction(db, async (tx) => {
      await record(tx, { kind: 'sign_in', request });
      throw new Error('no');
    }),
  ).rejects.toThrow('no');
  expect(await db.selectFrom('audit_events').selectAll().execute()).toEqual([]);
  await write();
  await write();
  const rows = await db.selectFrom('audit_events').select('personal_digest').execute();
  expect(new Set(rows.map((row) => row.personal_digest)).size).toBe(2);
});

test('a database moved to a cluster with lower transaction numbers is noticed, not silently left unsealed', async () => {
  await write();
  await sealUntil(1);
  await tamper(sql`UPDATE audit_seals SET last_xid = '9000000000'`);
  await expect(sealAudit(db)).rejects.toThrow(/transaction numbers/);
});
