/** Statements that are written once and prepared by name: in a lane of their own, in a transaction, over a changed table, after a cut. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { type Database, inTransaction, openDatabase } from '../src/database.ts';
import { prepare } from '../src/statements.ts';
import { createTestDatabase, type TestDatabase } from './support/postgres.ts';

let database: TestDatabase;
let db: Database;

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  await sql`CREATE TABLE gates (name text PRIMARY KEY, open boolean NOT NULL)`.execute(db);
  await sql`INSERT INTO gates VALUES ('timur', true), ('barat', false)`.execute(db);
});

afterAll(() => database?.drop());

interface Gate {
  name: string;
  open: boolean;
}

const find = prepare<{ name: string }, Gate>(
  'gate',
  'read',
  (_db, value) => sql`SELECT * FROM gates WHERE name = ${value('name')}`,
);
const close = prepare<{ name: string }>(
  'close gate',
  'write',
  (_db, value) => sql`UPDATE gates SET open = false WHERE name = ${value('name')} AND open`,
);
const add = prepare<Gate>(
  'add gate',
  'relaxed',
  (_db, value) => sql`INSERT INTO gates (open, name) VALUES (${value('open')}, ${value('name')})`,
);

test('each value stands in its place, whatever it holds', async () => {
  await add(db, { name: "'; DROP TABLE gates; --", open: true });
  expect((await find(db, { name: "'; DROP TABLE gates; --" })).rows).toEqual([
    { name: "'; DROP TABLE gates; --", open: true },
  ]);
  expect((await find(db, { name: 'utara' })).rows).toEqual([]);
});

test('what is asked at once is answered each for itself, and an error is one asker’s own', async () => {
  const asked = [find(db, { name: 'timur' }), find(db, { name: 'a\0b' }), find(db, { name: 'barat' })];
  const [east, broken, west] = await Promise.allSettled(asked);
  expect(east).toMatchObject({ value: { rows: [{ name: 'timur' }], count: 1 } });
  expect(broken).toMatchObject({ status: 'rejected', reason: { code: '22021' } });
  expect(west).toMatchObject({ value: { rows: [{ name: 'barat' }] } });
  await expect(add(db, { name: 'barat', open: true })).rejects.toMatchObject({ code: '23505' });
});

test('of many at once that change one row, one did', async () => {
  await add(db, { name: 'tengah', open: true });
  const counts = await Promise.all(Array.from({ length: 20 }, () => close(db, { name: 'tengah' })));
  expect(counts.filter(({ count }) => count === 1)).toHaveLength(1);
});

test('in a transaction it is part of that, and undone with it', async () => {
  const undone = inTransaction(db, async (tx) => {
    await add(tx, { name: 'selatan', open: true });
    expect((await find(tx, { name: 'selatan' })).rows).toHaveLength(1);
    expect((await find(db, { name: 'selatan' })).rows).toHaveLength(0);
    expect((await close(tx, { name: 'selatan' })).count).toBe(1);
    throw new Error('undone');
  });
  await expect(undone).rejects.toThrow('undone');
  expect((await find(db, { name: 'selatan' })).rows).toHaveLength(0);
});

test('a table that the next release has changed is read all the same', async () => {
  expect((await find(db, { name: 'timur' })).rows).toHaveLength(1);
  await sql`ALTER TABLE gates ADD COLUMN width integer NOT NULL DEFAULT 4`.execute(db);
  const both = await Promise.all([find(db, { name: 'timur' }), find(db, { name: 'barat' })]);
  expect(both.map(({ rows }) => rows)).toEqual([
    [{ name: 'timur', open: true, width: 4 }],
    [expect.objectContaining({ name: 'barat', width: 4 })],
  ]);
});

test('after the connections were cut the next ones are answered', async () => {
  await sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()`.execute(db);
  const isAnswered = async () => (await find(db, { name: 'timur' }).catch(() => undefined))?.rows.length === 1;
  const began = performance.now();
  while (!(await isAnswered())) expect(performance.now() - began).toBeLessThan(5000);
  await add(db, { name: 'baru', open: true });
  expect((await find(db, { name: 'baru' })).rows).toHaveLength(1);
});

test('a value that was written into a statement is found out at once', async () => {
  const odd = prepare('odd', 'read', () => sql`SELECT ${'me'}`);
  await expect(odd(db, {})).rejects.toThrow('made once');
});

describe('on a server whose commits wait for the disk', () => {
  let durable: Database;
  let durable_url: string;

  beforeAll(() => {
    const url = new URL(database.url);
    url.searchParams.set('options', '-c synchronous_commit=on');
    durable_url = url.href;
    durable = openDatabase(durable_url, { max: 4 });
  });

  afterAll(() => durable?.destroy());

  /** Writes under a name, and says how far the log was then, before the commit. */
  const addAndLook = (lane: 'write' | 'relaxed') =>
    prepare<{ name: string }, { end: string }>(
      `add and look, ${lane}`,
      lane,
      (_db, value) => sql`INSERT INTO gates (open, name) VALUES (true, ${value('name')})
        RETURNING pg_current_wal_insert_lsn()::text AS end`,
    );
  const addKept = addAndLook('write');
  const isOnDisk = async (ends: (string | undefined)[]) => {
    const { rows } = await sql<{ is_flushed: boolean }>`
      SELECT bool_and(pg_current_wal_flush_lsn() > one::pg_lsn) AS is_flushed FROM unnest(${ends}::text[]) one`.execute(
      durable,
    );
    return rows[0]?.is_flushed;
  };

  test('a write that was answered is there, alone and in a crowd', async () => {
    for (let turn = 0; turn < 10; turn++) {
      const alone = await addKept(durable, { name: `lone ${turn}` });
      expect(await isOnDisk([alone.rows[0]?.end])).toBe(true);
      const crowd = Array.from({ length: 8 }, (_, at) => addKept(durable, { name: `crowd ${turn} ${at}` }));
      const answers = await Promise.all(crowd);
      expect(await isOnDisk(answers.map(({ rows }) => rows[0]?.end))).toBe(true);
    }
  });

  test('an error in a crowd is one writer’s own, and the others’ writes stand', async () => {
    await addKept(durable, { name: 'taken' });
    const names = ['first', 'taken', 'second'];
    const [first, taken, second] = await Promise.allSettled(names.map((name) => addKept(durable, { name })));
    expect(taken).toMatchObject({ status: 'rejected', reason: { code: '23505' } });
    expect([first?.status, second?.status]).toEqual(['fulfilled', 'fulfilled']);
    expect((await find(durable, { name: 'second' })).rows).toHaveLength(1);
  });

  test('a writer that meets a lock waits for itself; the others go on', async () => {
    await addKept(durable, { name: 'locked' });
    let isAsked = false;
    const both = inTransaction(db, async (tx) => {
      await sql`SELECT FROM gates WHERE name = 'locked' FOR UPDATE`.execute(tx);
      const closing = close(durable, { name: 'locked' }).finally(() => {
        isAsked = true;
      });
      // Behind it in the same line.
      await addKept(durable, { name: 'behind' });
      expect(isAsked).toBe(false);
      return { closing };
    });
    expect((await (await both).closing).count).toBe(1);
  });

  test('how commits are kept is what the database says', async () => {
    const setTo = async (value: string) => {
      // In a database of its own, as `ALTER SYSTEM` would for all of them.
      await sql`ALTER DATABASE ${sql.id(new URL(database.url).pathname.slice(1))} SET synchronous_commit = ${sql.lit(value)}`.execute(
        db,
      );
    };
    await setTo('on');
    const own = openDatabase(database.url, { max: 2 });
    try {
      const { rows } = await addKept(own, { name: 'as the database says' });
      expect(await isOnDisk([rows[0]?.end])).toBe(true);
    } finally {
      await own.destroy();
    }
  });

  test('a lane says only so much itself: reads and what a crash may take along are not waited for', async () => {
    const setting = (lane: 'read' | 'relaxed' | 'write') =>
      prepare<object, { now: string }>(
        `setting ${lane}`,
        lane,
        () => sql`SELECT current_setting('synchronous_commit') AS now`,
      )(durable, {});
    for (const lane of ['read', 'relaxed', 'write'] as const)
      expect((await setting(lane)).rows).toEqual([{ now: 'off' }]);
    const { rows } = await sql<{ now: string }>`SELECT current_setting('synchronous_commit') AS now`.execute(durable);
    expect(rows).toEqual([{ now: 'on' }]);
  });

  test('many that meet a lock hold up the others for a moment only', async () => {
    const names = Array.from({ length: 40 }, (_, at) => `held ${at}`);
    await Promise.all(names.map((name) => addKept(durable, { name })));
    const wide = openDatabase(durable_url, { max: 50 });
    try {
      const { all } = await inTransaction(db, async (tx) => {
        await sql`SELECT FROM gates WHERE name LIKE 'held %' FOR UPDATE`.execute(tx);
        let closed = 0;
        const all = names.map(async (name) => {
          await close(wide, { name });
          closed += 1;
        });
        await addKept(wide, { name: 'not held' });
        expect(closed).toBe(0);
        return { all };
      });
      await Promise.all(all);
    } finally {
      await wide.destroy();
    }
    const { rows } = await sql<{ count: number }>`
      SELECT count(*)::int AS count FROM gates WHERE name LIKE 'held %' AND NOT open`.execute(db);
    expect(rows).toEqual([{ count: 40 }]);
  });

  test('the end waits for what is under way, and says how it went', async () => {
    const own = openDatabase(durable_url, { max: 4 });
    const before = addKept(own, { name: 'before the line is open' });
    const ended = own.destroy();
    expect((await before).count).toBe(1);
    await ended;
    await expect(addKept(own, { name: 'too late' })).rejects.toThrow('closed');
    expect((await find(durable, { name: 'too late' })).rows).toEqual([]);
  });
});
