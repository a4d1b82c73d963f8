/** The pool, transactions, migrations, and the readable form of the schema. */

import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { CompiledQuery, Kysely, type Transaction as KyselyTransaction, PostgresDialect, sql } from 'kysely';
import pg from 'pg';
import { type Lane, type Lanes, type OpenLanes, openLanes } from './lines.ts';
import { openPool, type PoolLimits } from './pool.ts';
import { type Sent, sendBy } from './prepared.ts';
import type { Tables } from './tables.ts';

/** A handle that reads and writes on its own. */
export type Database = Kysely<Tables>;

/** A handle inside a transaction; a parameter of this type says "call me inside one". */
export type Transaction = KyselyTransaction<Tables>;

const migrations_folder = new URL('../db/migrations/', import.meta.url);
const migration_lock = 5_731_001;

const limits = {
  connectionTimeoutMillis: 5_000,
  statement_timeout: 15_000,
  lock_timeout: 5_000,
  idle_in_transaction_session_timeout: 30_000,
  keepAlive: true,
  keepAliveInitialDelayMillis: 10_000,
};

/**
 * Opens a pool. A statement ends after 15 s, a forgotten transaction after 30 s, waiting for a connection or a row after 5 s,
 * so that a slow database makes requests fail rather than pile up.
 */
export function openDatabase(
  url: string,
  {
    max = 12,
    application_name = 'gapura',
    ...pool_limits
  }: PoolLimits & { max?: number; application_name?: string } = {},
): Database {
  const connection = { connectionString: url, application_name, ...limits };
  return new OpenDatabase(openPool({ ...connection, max }, pool_limits), connection);
}

class OpenDatabase extends Kysely<Tables> implements Lanes {
  readonly #lanes: OpenLanes;

  constructor(pool: pg.Pool, connection: pg.ClientConfig) {
    super({ dialect: new PostgresDialect({ pool }) });
    this.#lanes = openLanes(connection, (statement) => sendAlone(pool, statement));
  }

  send<Row>(lane: Lane, statement: Sent): Promise<{ rows: Row[]; count: number }> {
    return this.#lanes.send(lane, statement);
  }

  override async destroy(): Promise<void> {
    // One that meets a lock in a line needs the pool still.
    await this.#lanes.end();
    await super.destroy();
  }
}

async function sendAlone(pool: pg.Pool, statement: Sent): Promise<pg.QueryResult> {
  const client = await pool.connect();
  try {
    const result = await sendBy(client, statement);
    client.release();
    return result;
  } catch (error) {
    // As the pool itself does: what failed in an unknown way is not used again.
    client.release(error instanceof pg.DatabaseError ? undefined : true);
    throw error;
  }
}

/** The lanes of an open database; inside a transaction all of them are that transaction. */
export function lanesOf(db: Database): Lanes {
  if (db instanceof OpenDatabase) return db;
  return {
    async send<Row>(_lane: Lane, { text, values }: Sent) {
      const { rows, numAffectedRows } = await db.executeQuery<Row>(CompiledQuery.raw(text, values));
      return { rows, count: Number(numAffectedRows ?? rows.length) };
    },
  };
}

/** Runs `work` in a transaction: committed when it returns, rolled back when it throws. */
export function inTransaction<T>(db: Database, work: (tx: Transaction) => Promise<T>): Promise<T> {
  return db.isTransaction ? work(db as Transaction) : db.transaction().execute(work);
}

/** Whether an error says that the database cannot be reached or is shutting down, rather than that a statement is wrong. */
export function isDatabaseGone(error: unknown): boolean {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  if (typeof code === 'string') {
    if (/^(08|57P0|53)/.test(code) || ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ENOTFOUND', 'ETIMEDOUT'].includes(code))
      return true;
    if (['25006', '25P03', '57014', '55P03', '40001', '40P01'].includes(code)) return true;
  }
  return (
    typeof message === 'string' &&
    /Connection terminated|timeout exceeded when trying to connect|client (has encountered a connection error|was closed)|Query read timeout/i.test(
      message,
    )
  );
}

/** Times in milliseconds. */
interface MigrateOptions {
  /** How long a migration may stand before a table: whoever comes after it waits behind it, readers too. */
  lock_ms?: number;
  /** The first pause in which those go on; each further one is twice as long, up to sixteen times this. */
  pause_ms?: number;
  /** Told what is waited for when it takes long. */
  tell?: (message: string) => void;
}

/**
 * Applies the migrations that are missing, in the order of their names, each in a transaction of its own. Many nodes may
 * start at once: an advisory lock lets one through, the others find nothing left to do. The previous release goes on meanwhile:
 * a table that somebody holds is not waited for in front of everybody else, but tried again until it is free.
 * @returns the names of the migrations applied now
 */
export async function migrate(
  db: Database,
  { lock_ms = 2000, pause_ms = 500, tell = () => undefined }: MigrateOptions = {},
): Promise<string[]> {
  const apply = (connection: Database, name: string) =>
    connection.transaction().execute(async (tx) => {
      await sql`SET LOCAL lock_timeout = ${sql.lit(lock_ms)}`.execute(tx);
      await sql.raw(readFileSync(new URL(name, migrations_folder), 'utf8')).execute(tx);
      await tx.insertInto('schema_migrations').values({ name }).execute();
    });
  const applyWhenFree = async (connection: Database, name: string) => {
    for (let tries = 1; ; tries += 1) {
      try {
        return await apply(connection, name);
      } catch (error) {
        if (!['55P03', '40P01'].includes((error as { code: string }).code)) throw error;
        if (tries > 2) tell(`${name} waits for a table that another transaction holds; tried ${tries} times.`);
        await sleep(pause_ms * 2 ** Math.min(tries - 1, 4));
      }
    }
  };
  return db.connection().execute(async (connection) => {
    // Waiting for another node, and a large migration, may take longer than a request may.
    await sql`SET statement_timeout = 0`.execute(connection);
    await sql`SET lock_timeout = 0`.execute(connection);
    await sql`SELECT pg_advisory_lock(${migration_lock})`.execute(connection);
    try {
      await sql`CREATE TABLE IF NOT EXISTS schema_migrations (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())`.execute(
        connection,
      );
      const applied: string[] = [];
      const done = new Set(await listApplied(connection));
      for (const name of listMigrations()) {
        if (done.has(name)) continue;
        await applyWhenFree(connection, name);
        applied.push(name);
      }
      return applied;
    } finally {
      await sql`SELECT pg_advisory_unlock(${migration_lock})`.execute(connection);
      await sql`RESET statement_timeout`.execute(connection);
      await sql`RESET lock_timeout`.execute(connection);
    }
  });
}

/** Whether every migration of this release is applied. A newer schema also counts: the older release keeps running on it. */
export async function isSchemaCurrent(db: Database): Promise<boolean> {
  const { rows } = await sql<{ found: boolean }>`SELECT to_regclass('schema_migrations') IS NOT NULL AS found`.execute(
    db,
  );
  if (!rows[0]?.found) return false;
  const done = new Set(await listApplied(db));
  return listMigrations().every((name) => done.has(name));
}

function listMigrations(): string[] {
  return readdirSync(migrations_folder)
    .filter((name) => /^\d{4}_[a-z0-9_]+\.sql$/.test(name))
    .sort();
}

async function listApplied(db: Database): Promise<string[]> {
  const rows = await db.selectFrom('schema_migrations').select('name').execute();
  return rows.map((row) => row.name);
}

/** The schema as it stands in the catalogue, as readable text: what db/schema.sql holds. */
export async function printSchema(db: Database): Promise<string> {
  const { rows: functions } = await sql<{ text: string }>`
    SELECT pg_get_functiondef(p.oid) AS text FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace ORDER BY p.proname`.execute(
    db,
  );
  const { rows: columns } = await sql<{ table_name: string; text: string }>`
    SELECT c.relname AS table_name, a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
      || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
      || CASE WHEN a.attidentity <> '' THEN ' GENERATED ALWAYS AS IDENTITY' ELSE '' END
      || coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '') AS text
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
    ORDER BY c.relname, a.attnum`.execute(db);
  const { rows: constraints } = await sql<{ table_name: string; text: string }>`
    SELECT conrelid::regclass::text AS table_name, 'CONSTRAINT ' || conname || ' ' || pg_get_constraintdef(oid) AS text
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid <> 0 AND contype NOT IN ('n', 't')
    ORDER BY 1, array_position(ARRAY['p', 'u', 'f', 'c']::"char"[], contype), conname`.execute(db);
  const { rows: others } = await sql<{ table_name: string; text: string }>`
    SELECT tablename AS table_name, indexdef AS text FROM pg_indexes i
    WHERE schemaname = 'public' AND NOT EXISTS (SELECT FROM pg_constraint WHERE conname = i.indexname)
    UNION ALL SELECT c.relname, pg_get_triggerdef(t.oid, true) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND c.relnamespace = 'public'::regnamespace
    ORDER BY 1, 2`.execute(db);
  const tables = [...new Set(columns.map((row) => row.table_name))].map((name) => {
    const own = (rows: { table_name: string; text: string }[]) =>
      rows.filter((row) => row.table_name === name).map((row) => row.text);
    const lines = [...own(columns), ...own(constraints)].map((line) => `  ${line}`);
    const after = own(others).map((line) => `${line};\n`);
    return `CREATE TABLE ${name} (\n${lines.join(',\n')}\n);\n${after.join('')}`;
  });
  const head =
    '-- The whole schema, printed from the catalogue by `npm run gapura -- schema`. Changes go into db/migrations.\n';
  return `${[head, ...functions.map((row) => `${row.text.trim()};\n`), ...tables].join('\n')}`;
}
