/** A crowd: one person's rows, as real flows have left them, many times over with names and ids of their own. */

import { sql } from 'kysely';
import type { Database } from '../../src/database.ts';

/** One table of a person's rows: which of them are taken, and which columns each copy has of its own, as SQL over its number `n`. */
interface Copied {
  table: string;
  where: string;
  own?: Record<string, string>;
}

const uuid = (kind: string) => `md5('${kind}' || n)::uuid`;
const bytes = (kind: string) => `'\\x' || encode(sha256(convert_to('${kind}' || n || ':' || t.at, 'UTF8')), 'hex')`;
/** In the week to come: a crowd came one by one, and so its rows end. */
const later = `gapura_now() + interval '1 day' + make_interval(secs => n % 604800)`;
const earlier = `gapura_now() - make_interval(secs => n % 604800)`;

const copied: Copied[] = [
  {
    table: 'accounts',
    where: 'id = $account',
    own: {
      full_name: `'Orang ' || md5(n::text)`,
      email: `'massal' || n || '@contoh.example'`,
      mobile_number: `'+62813' || lpad(n::text, 8, '0')`,
      created_at: `gapura_now() - make_interval(secs => n)`,
    },
  },
  {
    table: 'account_identifiers',
    where: 'account_id = $account',
    own: {
      canonical: `CASE t.row->>'kind' WHEN 'username' THEN 'massal' || n
        WHEN 'email' THEN 'massal' || n || '@contoh.example' ELSE '+62813' || lpad(n::text, 8, '0') END`,
    },
  },
  { table: 'passwords', where: 'account_id = $account' },
  { table: 'account_organisations', where: 'account_id = $account', own: { organisation_id: uuid('organisation') } },
  {
    table: 'role_assignments',
    where: 'account_id = $account',
    own: { id: uuid('role'), organisation_id: uuid('organisation') },
  },
  { table: 'browsers', where: 'account_id = $account' },
  { table: 'audit_events', where: 'account_id = $account' },
  { table: 'sign_ins', where: 'account_id = $account', own: { interaction_hash: bytes('sign-in'), expires_at: later } },
  {
    table: 'links',
    where: 'account_id = $account',
    own: { id: `md5('link' || n || ':' || t.at)::uuid`, subject: `'massal-' || n || ':' || t.at` },
  },
  {
    table: 'link_holders',
    where: 'holder_id = $account',
    own: { subject: `'massal-' || n || ':' || t.at` },
  },
  {
    table: 'oidc_sessions',
    where: 'account_id = $account',
    own: { uid: `md5('session' || n || ':' || t.at)`, id_hash: bytes('session'), expires_at: later },
  },
  {
    table: 'oidc_records',
    where: `account_id = $account AND model IN ('Grant', 'AccessToken', 'RefreshToken')`,
    own: { id_hash: bytes('record'), grant_id: `md5('grant' || n || (t.row->>'client_id'))`, expires_at: later },
  },
  // What is left of the pages on which they signed in, remembered for a week.
  {
    table: 'oidc_records',
    where: `model = 'Interaction'`,
    own: { id_hash: bytes('interaction'), expires_at: earlier },
  },
];

/** Makes `count` people after the one with this account; their company is each one's own, of the number of the account. */
export async function growCrowd(
  db: Database,
  account_id: string,
  organisation_id: string,
  count: number,
): Promise<void> {
  const organisations: Copied = {
    table: 'organisations',
    where: `id = '${organisation_id}'`,
    own: {
      id: uuid('organisation'),
      name: `'PT ' || md5(n::text) || ' Massal ' || n`,
      npwp: `'09' || lpad(n::text, 14, '0')`,
    },
  };
  const all = [organisations, ...copied];
  await db.connection().execute(async (connection) => {
    // As a load of old rows is done: no index but the keys', nothing checked twice.
    await sql`SET session_replication_role = replica`.execute(connection);
    await sql`SET statement_timeout = 0`.execute(connection);
    await sql`SET maintenance_work_mem = '1GB'`.execute(connection);
    try {
      const indexes = await dropIndexes(connection, [...new Set(all.map(({ table }) => table))]);
      for (const one of all) await copy(connection, one, account_id, count);
      for (const index of indexes) await sql.raw(index).execute(connection);
      await sql`VACUUM (ANALYZE)`.execute(connection);
      await sql`CHECKPOINT`.execute(connection);
    } finally {
      await sql`RESET ALL`.execute(connection);
    }
  });
}

/** Tokens and sessions whose time is over, as the flows leave them behind: `count` for each that the person has. */
export async function growExpired(db: Database, account_id: string, count: number, name: string): Promise<void> {
  const expires_at = `gapura_now() - interval '2 minutes' - make_interval(secs => n % 3600)`;
  const expired: Copied[] = [
    {
      table: 'oidc_records',
      where: `account_id = $account AND model IN ('AccessToken', 'RefreshToken')`,
      own: { id_hash: bytes(`expired ${name}`), grant_id: `md5('grant' || n)`, expires_at },
    },
    {
      table: 'oidc_sessions',
      where: 'account_id = $account',
      own: { uid: `md5('expired ${name}' || n || ':' || t.at)`, id_hash: bytes(`expired ${name}`), expires_at },
    },
  ];
  await db.connection().execute(async (connection) => {
    await sql`SET statement_timeout = 0`.execute(connection);
    for (const one of expired) await copy(connection, one, account_id, count);
    await sql`RESET statement_timeout`.execute(connection);
  });
}

const batch = 50_000;

async function copy(
  db: Database,
  { table, where, own = {} }: Copied,
  account_id: string,
  count: number,
): Promise<void> {
  const columns = Object.entries(own).map(([column, value]) => `'${column}', ${value}`);
  const row = `replace(t.text, '${account_id}', ${uuid('account')}::text)::jsonb || jsonb_build_object(${columns})`;
  // Put aside first: what is copied may look like a row to be copied.
  await sql
    .raw(
      `CREATE TEMPORARY TABLE template AS
        SELECT to_jsonb(o) AS row, to_jsonb(o)::text AS text, row_number() OVER () AS at FROM ${table} o
        WHERE ${where.replaceAll('$account', `'${account_id}'`)}`,
    )
    .execute(db);
  for (let from = 1; from <= count; from += batch)
    await sql
      .raw(
        `INSERT INTO ${table} OVERRIDING USER VALUE SELECT r.* FROM template t,
          generate_series(${from}, ${Math.min(from + batch - 1, count)}) n,
          LATERAL jsonb_populate_record(NULL::${table}, ${row}) r`,
      )
      .execute(db);
  await sql`DROP TABLE template`.execute(db);
}

/** Drops the indexes that no constraint needs; gives the statements that make them again. */
async function dropIndexes(db: Database, tables: string[]): Promise<string[]> {
  const { rows } = await sql<{ name: string; definition: string }>`
    SELECT i.indexname AS name, i.indexdef AS definition FROM pg_indexes i
    WHERE i.schemaname = 'public' AND i.tablename = ANY (${tables})
      AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = format('%I', i.indexname)::regclass)`.execute(db);
  for (const { name } of rows) await sql`DROP INDEX ${sql.id(name)}`.execute(db);
  return rows.map(({ definition }) => definition);
}
