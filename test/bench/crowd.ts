/** A crowd: one person's rows, as real flows have left them, many times over with names and ids of their own. */

import { sql } from 'kysely';
import pg from 'pg';
import type { Database } from '../../src/database.ts';

/** A row that is copied, and its place among those of its table. */
interface Template {
  row: Record<string, unknown>;
  at: number;
}

/** One table of a person's rows: which of them are taken, and which columns each copy has of its own, as SQL over its number `n`. */
interface Copied {
  table: string;
  where: string;
  own?: (template: Template) => Record<string, string>;
}

const uuid = (kind: string) => `md5('${kind}' || n)::uuid`;
const bytes = (kind: string, at: number) => `sha256(convert_to('${kind}' || n || ':${at}', 'UTF8'))`;
/** In the week to come: a crowd came one by one, and so its rows end. */
const later = `gapura_now() + interval '1 day' + make_interval(secs => n % 604800)`;
const earlier = `gapura_now() - make_interval(secs => n % 604800)`;

const identifiers: Record<string, string> = {
  username: `'massal' || n`,
  email: `'massal' || n || '@contoh.example'`,
  mobile: `'+62813' || lpad(n::text, 8, '0')`,
};

const copied: Copied[] = [
  {
    table: 'accounts',
    where: 'id = $account',
    own: () => ({
      full_name: `'Orang ' || md5(n::text)`,
      email: `'massal' || n || '@contoh.example'`,
      mobile_number: `'+62813' || lpad(n::text, 8, '0')`,
      created_at: `gapura_now() - make_interval(secs => n)`,
    }),
  },
  {
    table: 'account_identifiers',
    where: 'account_id = $account',
    own: ({ row }) => ({ canonical: identifiers[String(row.kind)] ?? `'massal-' || n` }),
  },
  { table: 'passwords', where: 'account_id = $account' },
  {
    table: 'account_organisations',
    where: 'account_id = $account',
    own: () => ({ organisation_id: uuid('organisation') }),
  },
  {
    table: 'role_assignments',
    where: 'account_id = $account',
    own: () => ({ id: uuid('role'), organisation_id: uuid('organisation') }),
  },
  { table: 'browsers', where: 'account_id = $account' },
  { table: 'audit_events', where: 'account_id = $account' },
  {
    table: 'sign_ins',
    where: 'account_id = $account',
    own: ({ at }) => ({ interaction_hash: bytes('sign-in', at), expires_at: later }),
  },
  {
    table: 'links',
    where: 'account_id = $account',
    own: ({ at }) => ({ id: `md5('link' || n || ':${at}')::uuid`, subject: `'massal-' || n || ':${at}'` }),
  },
  {
    table: 'link_holders',
    where: 'holder_id = $account',
    own: ({ at }) => ({ subject: `'massal-' || n || ':${at}'` }),
  },
  {
    table: 'oidc_sessions',
    where: 'account_id = $account',
    own: ({ at }) => ({
      uid: `md5('session' || n || ':${at}')`,
      id_hash: bytes('session', at),
      expires_at: later,
    }),
  },
  {
    table: 'oidc_records',
    where: `account_id = $account AND model IN ('Grant', 'AccessToken', 'RefreshToken')`,
    own: ({ row, at }) => ({
      id_hash: bytes('record', at),
      grant_id: `md5('grant' || n || '${row.client_id}')`,
      expires_at: later,
    }),
  },
  // What is left of the pages on which they signed in, remembered for a week.
  {
    table: 'oidc_records',
    where: `model = 'Interaction'`,
    own: ({ at }) => ({ id_hash: bytes('interaction', at), expires_at: earlier }),
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
    own: () => ({
      id: uuid('organisation'),
      name: `'PT ' || md5(n::text) || ' Massal ' || n`,
      npwp: `'09' || lpad(n::text, 14, '0')`,
    }),
  };
  const all = [organisations, ...copied];
  const indexes = await dropIndexes(db, [...new Set(all.map(({ table }) => table))]);
  await inLoads(db, all, (connection, one) => copy(connection, one, account_id, count));
  await inLoads(db, indexes, (connection, index) => sql.raw(index).execute(connection));
  for (const last of ['VACUUM (ANALYZE)', 'CHECKPOINT'])
    await inLoads(db, [last], (connection, text) => sql.raw(text).execute(connection));
}

/** Tokens and sessions whose time is over, as the flows leave them behind: `count` for each that the person has. */
export async function growExpired(db: Database, account_id: string, count: number, name: string): Promise<void> {
  const expires_at = `gapura_now() - interval '2 minutes' - make_interval(secs => n % 3600)`;
  const expired: Copied[] = [
    {
      table: 'oidc_records',
      where: `account_id = $account AND model IN ('AccessToken', 'RefreshToken')`,
      own: ({ at }) => ({ id_hash: bytes(`expired ${name}`, at), grant_id: `md5('grant' || n)`, expires_at }),
    },
    {
      table: 'oidc_sessions',
      where: 'account_id = $account',
      own: ({ at }) => ({
        uid: `md5('expired ${name}' || n || ':${at}')`,
        id_hash: bytes(`expired ${name}`, at),
        expires_at,
      }),
    },
  ];
  await inLoads(db, expired, (connection, one) => copy(connection, one, account_id, count));
}

/** Does each of them, one connection after the other free, as a load of old rows is done: without limits, nothing checked twice. */
async function inLoads<T>(db: Database, each: T[], load: (connection: Database, one: T) => Promise<unknown>) {
  const left = [...each];
  const connections = 2;
  const loadNext = () =>
    db.connection().execute(async (connection) => {
      await sql`SET session_replication_role = replica`.execute(connection);
      await sql`SET statement_timeout = 0`.execute(connection);
      await sql`SET lock_timeout = 0`.execute(connection);
      await sql`SET maintenance_work_mem = '1GB'`.execute(connection);
      try {
        for (let one = left.shift(); one !== undefined; one = left.shift()) await load(connection, one);
      } finally {
        await sql`RESET ALL`.execute(connection);
      }
    });
  await Promise.all(Array.from({ length: connections }, loadNext));
}

const batch = 50_000;

/** Writes each row as many times over; what is the same in all copies is written as a literal, for a million of them take minutes. */
async function copy(
  db: Database,
  { table, where, own = () => ({}) }: Copied,
  account_id: string,
  count: number,
): Promise<void> {
  const { rows: columns } = await sql<{ name: string; type: string }>`
    SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute
    WHERE attrelid = ${table}::regclass AND attnum > 0 AND NOT attisdropped AND attidentity = '' AND attgenerated = ''
    ORDER BY attnum`.execute(db);
  const { rows: templates } = await sql<Record<string, string | null>>`
    SELECT ${sql.join(columns.map(({ name }) => sql`${sql.ref(name)}::text AS ${sql.ref(name)}`))}
    FROM ${sql.table(table)} WHERE ${sql.raw(where.replaceAll('$account', `'${account_id}'`))}`.execute(db);
  const names = columns.map(({ name }) => pg.escapeIdentifier(name)).join(', ');
  for (const [index, row] of templates.entries()) {
    const owned = own({ row, at: index + 1 });
    const values = columns.map(({ name, type }) => owned[name] ?? writeValue(row[name] ?? null, type, account_id));
    for (let from = 1; from <= count; from += batch)
      await sql
        .raw(
          `INSERT INTO ${table} (${names}) SELECT ${values.join(', ')}
            FROM generate_series(${from}, ${Math.min(from + batch - 1, count)}) n`,
        )
        .execute(db);
  }
}

/** The same for everybody, but for the account whose it is. */
function writeValue(text: string | null, type: string, account_id: string): string {
  if (text === null) return 'NULL';
  const literal = pg.escapeLiteral(text);
  if (!text.includes(account_id)) return `${literal}::${type}`;
  return `replace(${literal}, '${account_id}', ${uuid('account')}::text)::${type}`;
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
