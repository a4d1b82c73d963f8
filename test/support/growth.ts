/** Tables as they are after years: many rows, and what the lists of the console read of them, by PostgreSQL's own account. */

import { Kysely, PostgresDialect, sql } from 'kysely';
import pg from 'pg';
import { countEntries, type ListQuery, listEntries, most_counted, readListQuery } from '../../src/admin/listing.ts';
import type { Resource } from '../../src/admin/resource.ts';
import type { Database } from '../../src/database.ts';
import type { Reach } from '../../src/permissions.ts';
import type { Tables } from '../../src/tables.ts';

/** How PostgreSQL carried a statement out. */
export interface Plan {
  /** What was asked for, in a few words. */
  what: string;
  /** Pages of 8 KB that it looked at, in memory or on the disk. */
  blocks: number;
  indexes: string[];
  /** Tables that it read from one end to the other, unless it stopped early. */
  scanned: string[];
  /** Whether it put rows in order itself. */
  sorts: boolean;
}

interface PlanNode {
  'Node Type': string;
  'Relation Name'?: string;
  'Index Name'?: string;
  'Actual Rows': number;
  'Shared Hit Blocks'?: number;
  'Shared Read Blocks'?: number;
  Plans?: PlanNode[];
}

const batch = 100_000;

async function inBatches(count: number, add: (from: number, to: number) => Promise<unknown>): Promise<void> {
  for (let from = 1; from <= count; from += batch) await add(from, Math.min(from + batch - 1, count));
}

/** Organisations by the number; their names share words and a tenth of them a name. */
export async function growOrganisations(db: Database, count: number): Promise<void> {
  await inBatches(count, (from, to) =>
    sql`INSERT INTO organisations (name, npwp, active)
      SELECT CASE WHEN n % 10 = 0 THEN 'PT Kembar' ELSE 'PT ' || md5(n::text) || ' Massal ' || n END,
        '09' || lpad(n::text, 14, '0'), n % 100 <> 0
      FROM generate_series(${from}::int, ${to}::int) n`.execute(db),
  );
  await sql`ANALYZE organisations`.execute(db);
}

/** Accounts by the number, each with a name to sign in with and an address, some of an organisation. */
export async function growAccounts(db: Database, count: number): Promise<void> {
  await inBatches(count, async (from, to) => {
    await sql`INSERT INTO accounts (id, full_name, email, email_verified, created_at)
      SELECT md5('a' || n)::uuid, CASE WHEN n % 10 = 0 THEN 'Budi Kembar' ELSE 'Orang ' || md5(n::text) END,
        'massal' || n || '@contoh.example', true, gapura_now() - make_interval(secs => n)
      FROM generate_series(${from}::int, ${to}::int) n`.execute(db);
    await sql`INSERT INTO account_identifiers (canonical, account_id, kind, value)
      SELECT 'massal' || n, md5('a' || n)::uuid, 'username', 'massal' || n
      FROM generate_series(${from}::int, ${to}::int) n`.execute(db);
  });
  await sql`INSERT INTO account_organisations (account_id, organisation_id)
    SELECT a.id, o.id FROM (SELECT id, row_number() OVER () AS n FROM accounts LIMIT 1000) a
    JOIN (SELECT id, row_number() OVER () AS n FROM organisations LIMIT 1000) o USING (n)
    ON CONFLICT DO NOTHING`.execute(db);
  await sql`ANALYZE`.execute(db);
}

/** Has the accounts of `growAccounts` from the one number to the other make a password. */
export async function growPasswords(db: Database, from: number, to: number): Promise<void> {
  await sql`INSERT INTO passwords (account_id, hash) SELECT md5('a' || n)::uuid, 'x'
    FROM generate_series(${from}::int, ${to}::int) n ON CONFLICT DO NOTHING`.execute(db);
  await sql`VACUUM ANALYZE accounts`.execute(db);
}

/** A connection whose statements can be asked how they were carried out. */
export function openRecorded(url: string): { db: Database; explain: typeof explain; close(): Promise<void> } {
  const pool = new pg.Pool({ connectionString: url, max: 2 });
  let sent: { sql: string; parameters: readonly unknown[] }[] = [];
  const db = new Kysely<Tables>({
    dialect: new PostgresDialect({ pool }),
    log: ({ level, query }) => void (level === 'query' && sent.push(query)),
  });
  async function explain(what: string, work: (db: Database) => Promise<unknown>): Promise<Plan> {
    sent = [];
    await work(db);
    const [statement] = sent;
    if (!statement || sent.length > 1) throw new Error(`${what}: ${sent.length} statements instead of one`);
    const { rows } = await pool.query(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${statement.sql}`, [
      ...statement.parameters,
    ]);
    const root = rows[0]['QUERY PLAN'][0].Plan as PlanNode;
    const nodes = listNodes(root);
    return {
      what,
      blocks: (root['Shared Hit Blocks'] ?? 0) + (root['Shared Read Blocks'] ?? 0),
      indexes: [...new Set(nodes.flatMap((node) => node['Index Name'] ?? []))],
      scanned: nodes
        .filter((node) => node['Node Type'] === 'Seq Scan' && node['Actual Rows'] > 2000)
        .map((node) => String(node['Relation Name'])),
      sorts: nodes.some((node) => node['Node Type'] === 'Sort' && node['Actual Rows'] > 1000),
    };
  }
  return { db, explain, close: () => db.destroy() };
}

function listNodes(node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(listNodes)];
}

/** Every way to look at a list: each sort, its first page, its middle and back from there; each search, and its count. */
export async function planLists(
  { explain, db }: ReturnType<typeof openRecorded>,
  resource: Resource,
  searches: string[],
  reach: Reach = 'everything',
): Promise<Plan[]> {
  const plans: Plan[] = [];
  const ask = async (what: string, query: ListQuery, is_rare = false) => {
    plans.push(await explain(`${resource.name} ${what}`, (one) => listEntries(one, resource, reach, query, is_rare)));
  };
  const read = (sent: Record<string, string>) => readQuery(resource, sent);
  for (const [name, sort] of Object.entries(resource.list.sorts)) {
    const by = typeof sort === 'string' ? sql.ref(`r.${name}`) : sort.by;
    const from = resource.select(db).as('r') as never;
    const middle = (await (db.selectFrom(from) as ReturnType<typeof db.selectFrom<'organisations'>>)
      .select([sql<string>`(${by})::text`.as('value'), sql<string>`r.id::text`.as('id')])
      .orderBy(by)
      .offset(sql.lit(await half(db, resource)) as never)
      .limit(1)
      .executeTakeFirstOrThrow()) as { value: string; id: string };
    for (const sign of ['', '-']) {
      const query = read({ sort: `${sign}${name}` });
      await ask(`by ${sign}${name}`, query);
      await ask(`by ${sign}${name}, onwards from the middle`, { ...query, cursor: { ...middle, is_backward: false } });
      await ask(`by ${sign}${name}, back from the middle`, { ...query, cursor: { ...middle, is_backward: true } });
    }
  }
  plans.push(await explain(`${resource.name} counted`, (one) => countEntries(one, resource, reach, {})));
  for (const q of searches) plans.push(...(await planFiltered({ explain, db }, resource, { q }, reach)));
  return plans;
}

/** A narrowed list as `listCounted` asks for it: its page, and its count. */
export async function planFiltered(
  { explain, db }: Pick<ReturnType<typeof openRecorded>, 'explain' | 'db'>,
  resource: Resource,
  sent: Record<string, string>,
  reach: Reach = 'everything',
): Promise<Plan[]> {
  const query = readQuery(resource, sent);
  const is_rare = (await countEntries(db, resource, reach, query.filters)) <= most_counted;
  const what = `for "${Object.values(sent).join(', ')}"`;
  return [
    await explain(`${resource.name} searched ${what}`, (one) => listEntries(one, resource, reach, query, is_rare)),
    await explain(`${resource.name} counted ${what}`, (one) => countEntries(one, resource, reach, query.filters)),
  ];
}

function readQuery(resource: Resource, sent: Record<string, string>): ListQuery {
  const asked = readListQuery(resource, sent);
  if (asked.state === 'refused') throw new Error(`${resource.name}: ${JSON.stringify(asked.errors)}`);
  return asked.query;
}

async function half(db: Database, { name }: Resource): Promise<number> {
  const { rows } = await sql<{ half: number }>`SELECT (count(*) / 2)::int AS half FROM ${sql.table(name)}`.execute(db);
  return rows[0]?.half ?? 0;
}
