/** The database: transactions, migrations by many nodes at once, and connections that come back. */

import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import {
  type Database,
  inTransaction,
  isDatabaseGone,
  isSchemaCurrent,
  migrate,
  openDatabase,
  printSchema,
} from '../src/database.ts';
import { createTestDatabase, type TestDatabase } from './support/postgres.ts';

const opened: TestDatabase[] = [];
const handles: Database[] = [];
const open = async (migrated: boolean) => {
  const database = await createTestDatabase({ migrated });
  opened.push(database);
  return database;
};
const openNode = (url: string) => {
  const db = openDatabase(url, { max: 2 });
  handles.push(db);
  return db;
};

/** A database as it was before the migration of that name, which changes a table that every request writes. */
async function undoPurges(db: Database): Promise<void> {
  await sql`DROP INDEX oidc_records_over, oidc_records_interactions, browsers_seen`.execute(db);
  await sql`CREATE INDEX oidc_records_expiry ON oidc_records (expires_at)`.execute(db);
  await db.deleteFrom('schema_migrations').where('name', '=', '0028_purges.sql').execute();
}

afterEach(async () => {
  for (const db of handles.splice(0)) await db.destroy();
  for (const database of opened.splice(0)) await database.drop();
});

test('no statement of a request is compiled, or shared among processes: to begin with that takes longer than all of it', async () => {
  const { db } = await open(false);
  const { rows } = await sql`SELECT current_setting('jit') AS jit,
    current_setting('max_parallel_workers_per_gather') AS parallel`.execute(db);
  expect(rows).toEqual([{ jit: 'off', parallel: '0' }]);
});

describe('migrations', () => {
  test('bring an empty database to the schema of this release, and find nothing to do the second time', async () => {
    const { db } = await open(false);
    expect(await isSchemaCurrent(db)).toBe(false);
    const applied = await migrate(db);
    expect(applied[0]).toBe('0001_foundation.sql');
    expect(applied).toEqual([...applied].sort());
    expect(await isSchemaCurrent(db)).toBe(true);
    const schema = await printSchema(db);
    expect(await migrate(db)).toEqual([]);
    expect(await printSchema(db)).toBe(schema);
  });

  test('run by ten nodes at once are applied once, and all ten find the schema current', async () => {
    const { db, url } = await open(false);
    const nodes = Array.from({ length: 10 }, () => openNode(url));
    const outcomes = await Promise.all(nodes.map((node) => migrate(node)));
    expect(outcomes.filter((applied) => applied.length > 0)).toHaveLength(1);
    expect(await Promise.all(nodes.map(isSchemaCurrent))).toEqual(Array(10).fill(true));
    const rows = await db.selectFrom('schema_migrations').select('name').orderBy('name').execute();
    expect(rows.map(({ name }) => name)).toEqual(outcomes.flat());
  });

  test('leave no lock behind, so that the next node is let through', async () => {
    const { db, url } = await open(false);
    await migrate(openNode(url));
    await migrate(db);
    const { rows } =
      await sql`SELECT FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`.execute(
        db,
      );
    expect(rows).toEqual([]);
  });

  test('that need a table somebody holds let everybody else go on, and go through when it is free', async () => {
    const { db, url } = await open(true);
    await undoPurges(db);
    const told = Promise.withResolvers<string>();
    const reader = await openNode(url).startTransaction().execute();
    await sql`SELECT FROM oidc_records`.execute(reader);
    const migrating = migrate(openNode(url), { lock_ms: 30, pause_ms: 5, tell: told.resolve });
    expect(await told.promise).toMatch(/^0028_purges\.sql waits/);
    const write = sql`INSERT INTO oidc_records (id_hash, model, payload, expires_at)
      VALUES ('', 'AccessToken', '{}', gapura_now())`;
    await write.execute(db);
    expect(await isSchemaCurrent(db)).toBe(false);
    await reader.commit().execute();
    expect(await migrating).toEqual(['0028_purges.sql']);
    expect(await isSchemaCurrent(db)).toBe(true);
  });

  test('that are missing make the schema old; those of a newer release do not', async () => {
    const { db } = await open(true);
    await db.insertInto('schema_migrations').values({ name: '9999_of_the_next_release.sql' }).execute();
    expect(await isSchemaCurrent(db)).toBe(true);
    await db.deleteFrom('schema_migrations').where('name', '=', '0001_foundation.sql').execute();
    expect(await isSchemaCurrent(db)).toBe(false);
  });

  test('that break are undone whole, and those before them stay', async () => {
    const { db, url } = await open(false);
    const folder = mkdtempSync(join(tmpdir(), 'gapura-migrations-'));
    try {
      for (const path of ['src', 'db', 'package.json'])
        cpSync(new URL(`../${path}`, import.meta.url), join(folder, path), { recursive: true });
      symlinkSync(fileURLToPath(new URL('../node_modules', import.meta.url)), join(folder, 'node_modules'));
      writeFileSync(join(folder, 'db/migrations/9998_good.sql'), 'CREATE TABLE good (id integer);');
      writeFileSync(
        join(folder, 'db/migrations/9999_broken.sql'),
        'CREATE TABLE half (id integer);\nSELECT no_such_function();',
      );
      const program = `
        const { migrate, openDatabase } = await import(process.argv[1]);
        const db = openDatabase(process.argv[2]);
        await migrate(db).then(() => console.log('applied'), (error) => console.log(error.message));
        await db.destroy();`;
      const { stdout } = await promisify(execFile)(
        process.execPath,
        ['--input-type=module', '-e', program, join(folder, 'src/database.ts'), url],
        {
          env: { PATH: '' },
        },
      );
      expect(stdout).toMatch(/no_such_function/);
    } finally {
      rmSync(folder, { recursive: true });
    }
    const { rows } = await sql<{ good: boolean; half: boolean }>`
      SELECT to_regclass('good') IS NOT NULL AS good, to_regclass('half') IS NOT NULL AS half`.execute(db);
    expect(rows).toEqual([{ good: true, half: false }]);
    const names = (await db.selectFrom('schema_migrations').select('name').execute()).map(({ name }) => name);
    expect(names).toContain('9998_good.sql');
    expect(names).not.toContain('9999_broken.sql');
    expect(await migrate(db)).toEqual([]);
  });
});

describe('a transaction', () => {
  const write = (db: Database, code: string) =>
    db.insertInto('agencies').values({ code, name: code, name_en: code }).execute();
  const codes = async (db: Database) =>
    (await db.selectFrom('agencies').select('code').orderBy('code').execute()).map(({ code }) => code);

  test('is kept when its work returns and undone when it throws', async () => {
    const { db } = await open(true);
    expect((await inTransaction(db, (tx) => write(tx, 'KEPT')))[0]?.numInsertedOrUpdatedRows).toBe(1n);
    await expect(
      inTransaction(db, async (tx) => {
        await write(tx, 'UNDONE');
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    expect(await codes(db)).toEqual(['KEPT']);
  });

  test('inside another is part of it', async () => {
    const { db } = await open(true);
    const outer = inTransaction(db, async (tx) => {
      await inTransaction(tx, (inner) => write(inner, 'INNER'));
      expect(await codes(db)).toEqual([]);
      throw new Error('no');
    });
    await expect(outer).rejects.toThrow('no');
    expect(await codes(db)).toEqual([]);
  });
});

describe('a database that is gone', () => {
  test('is told from a statement that is wrong', async () => {
    const { db } = await open(true);
    const nowhere = openNode('postgres://nobody@127.0.0.1:1/nowhere');
    expect(await sql`SELECT 1`.execute(nowhere).catch(isDatabaseGone)).toBe(true);
    expect(await sql`SELECT * FROM no_such_table`.execute(db).catch(isDatabaseGone)).toBe(false);
    expect(await sql`SELECT pg_terminate_backend(pg_backend_pid())`.execute(db).catch(isDatabaseGone)).toBe(true);
    expect(isDatabaseGone(new Error('no'))).toBe(false);
  });

  const cut = async (url: string) => {
    await sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE application_name = 'test' AND datname = current_database()`.execute(openNode(url));
  };
  /** Until the database has no connection of the pool left, and the pool has heard of it. */
  const untilCut = async (url: string) => {
    const watch = openNode(url);
    const count = async () =>
      (
        await sql`SELECT FROM pg_stat_activity WHERE application_name = 'test' AND datname = current_database()`.execute(
          watch,
        )
      ).rows.length;
    while ((await count()) > 0);
    await count();
  };

  test('costs nothing but the idle connections it cut: the pool makes new ones', async () => {
    const { db, url } = await open(true);
    await Promise.all(Array.from({ length: 5 }, () => sql`SELECT pg_sleep(0.02)`.execute(db)));
    await cut(url);
    await untilCut(url);
    expect(await isSchemaCurrent(db)).toBe(true);
  });

  test('fails the transaction it cut between two statements, and not the whole process', async () => {
    const { db, url } = await open(true);
    const work = inTransaction(db, async (tx) => {
      await sql`SELECT 1`.execute(tx);
      await cut(url);
      await untilCut(url);
      await sql`SELECT 1`.execute(tx);
    });
    await expect(work).rejects.toThrow();
    expect(await isSchemaCurrent(db)).toBe(true);
  });
});
