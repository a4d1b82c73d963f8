/** What the flows ask of the database: statements and round trips step by step, rows and write-ahead log for each flow. */

import { sql } from 'kysely';
import type { Database } from '../../src/database.ts';
import { askForItself, introspect, readUserinfo, redeem, refresh } from './calls.ts';
import { spreadOf } from './figures.ts';
import { clients } from './fill.ts';
import { authorize, newVisitor, type Site, type Step, signIn, spread, type Visitor } from './flows.ts';
import type { Recorded } from './gapura-process.ts';
import type { Found, Run } from './measure.ts';
import type { Bench } from './servers.ts';
import { signInAll, signInNew } from './sign-in.ts';
import { asService, asWeb, getApiTokens } from './tokens.ts';

/** One flow of each kind, alone, with the statements of each step; nobody has set a target for them, but others hang on them. */
export async function listStatements(run: Run): Promise<Found> {
  // What a process asks only once is asked by then.
  await listSteps(run);
  return { rows: [], tables: [{ head: ['step', 'statements', 'round trips', ''], rows: await listSteps(run) }] };
}

async function listSteps({ bench: { people }, ours }: Run): Promise<string[][]> {
  const rows: string[][] = [];
  const recordAs =
    (work: string): Step =>
    async (step, run) => {
      await ours.ask({ ask: 'record' });
      const result = await run();
      const { sent, trips } = await ours.ask<Recorded>({ ask: 'recorded' });
      rows.push([`${work}: ${step}`, String(sent.length), String(trips), sent.map(shorten).join(', ')]);
      return result;
    };
  const visitor = newVisitor(people[0] ?? '');
  const first = recordAs('password sign-in');
  const code = await signIn(ours, visitor, first);
  await first('token', () => redeem(ours, code));
  const again = recordAs('single sign-on');
  const second = await again('authorization', () => authorize(ours, visitor));
  const { access_token } = await again('token', () => redeem(ours, second));
  await again('userinfo', () => readUserinfo(ours, access_token));
  const web = asWeb(ours);
  const { refresh_token } = await redeem(web, await authorize(web, visitor));
  const alone = recordAs('application');
  await alone('refresh', () => refresh(web, refresh_token));
  await alone('client credentials', () => askForItself(asService(ours)));
  await alone('client credentials, JWT', () => askForItself(asService(ours, 'jwt')));
  const [api_token = ''] = await getApiTokens(ours, people, 1);
  await alone('introspection', () => introspect(ours, api_token, clients.api));
  return rows;
}

/** `select oidc_sessions (accounts)` of a whole statement: its verb, the table that it is about, and those of its inner parts. */
export function shorten(statement: string): string {
  const whole = statement.replace(/\s+/g, ' ').trim();
  let text = whole;
  for (let outer = ''; outer !== text; ) {
    outer = text;
    text = text.replace(/\([^()]*\)/g, '');
  }
  const [verb = text] = text.replace(/^with .*?\b(?=(?:select|insert|update|delete)\b)/i, '').split(' ');
  const all = listTables(whole);
  const [table = '', ...rest] = [...new Set([...listTables(text).filter((name) => all.includes(name)), ...all])];
  return `${verb} ${table}${rest.length > 0 ? ` (${rest.join(', ')})` : ''}`.trim().toLowerCase();
}

// Not "for update skip locked", "do update set", what stands before a dot ("extract(epoch from r.expires_at)"), nor functions.
function listTables(text: string): string[] {
  const named = text.matchAll(/\b(?:into|from|update|join) "?([a-z_]+)\b(?![.(]|"\.)/gi);
  return [...named].map(([, name = '']) => name.toLowerCase()).filter((name) => !no_tables.has(name));
}

const no_tables = new Set(['set', 'skip', 'lateral']);

/** What a sign-in and a single sign-on write: rows, and bytes of the write-ahead log. */
export async function weighWrites({ bench, ours, scale }: Run): Promise<Found> {
  const { people } = bench;
  const visitors = await signInAll(ours, people, scale.at_once.single_sign_on);
  const singleSignOn = async (at: number) => {
    const { access_token } = await redeem(ours, await authorize(ours, visitors[at % visitors.length] as Visitor));
    await readUserinfo(ours, access_token);
  };
  const works = [
    {
      work: 'password sign-in',
      times: Math.ceil(scale.flows.sign_in / 4),
      flow: (at: number) => signInNew(ours, people, at),
    },
    { work: 'single sign-on', times: Math.ceil(scale.flows.single_sign_on / 4), flow: singleSignOn },
  ];
  const rows: string[][] = [];
  // After a checkpoint each page goes into the log whole when it is first touched: how often is the operator's to say, and
  // would be a matter of chance in so short a time.
  await setWholePages(bench.db, 'off');
  try {
    for (const { work, times, flow } of works) rows.push([work, ...(await weigh(bench, ours, times, flow))]);
  } finally {
    await setWholePages(bench.db, 'on');
  }
  const head = ['writes of one', 'WAL bytes', 'inserted', 'updated', 'of it in place', 'deleted', ''];
  return { rows: [], tables: [{ head, rows }] };
}

async function weigh({ db }: Bench, site: Site, times: number, flow: (at: number) => Promise<void>) {
  const run = () => spread(times, 2, flow);
  await run();
  const logged: number[] = [];
  const before = await countRows(db, site);
  const repetitions = 3;
  for (let at = 0; at < repetitions; at++) {
    const from = await readLogPosition(db);
    await run();
    logged.push((await readLogPosition(db)) - from);
  }
  const after = await countRows(db, site);
  const each = (rows: number) => (rows / times / repetitions).toFixed(1);
  const grown = after.map((row, at) => {
    const known = before[at] as TableWrites;
    const less = (key: Exclude<keyof TableWrites, 'name'>) => row[key] - known[key];
    return {
      name: row.name,
      inserted: less('inserted'),
      updated: less('updated'),
      in_place: less('in_place'),
      deleted: less('deleted'),
    };
  });
  const sum = (key: Exclude<keyof TableWrites, 'name'>) => each(grown.reduce((all, row) => all + row[key], 0));
  const told = grown
    .filter((row) => row.inserted + row.updated + row.deleted >= times / 10)
    .map(({ name, inserted, updated, deleted }) => `${name} +${each(inserted)} ~${each(updated)} -${each(deleted)}`);
  const bytes = Math.round(spreadOf(logged).median / times);
  return [String(bytes), sum('inserted'), sum('updated'), sum('in_place'), sum('deleted'), told.join(', ')];
}

async function setWholePages(db: Database, value: 'on' | 'off'): Promise<void> {
  await sql`ALTER SYSTEM SET full_page_writes = ${sql.lit(value)}`.execute(db);
  await sql`SELECT pg_reload_conf()`.execute(db);
}

interface TableWrites {
  name: string;
  inserted: number;
  updated: number;
  /** Updates that no index heard of. */
  in_place: number;
  deleted: number;
}

/** PostgreSQL's own count. A connection tells of its rows now and then, but surely when it ends, so Gapura's are ended first. */
async function countRows(db: Database, { pool }: Site): Promise<TableWrites[]> {
  await sql`SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name <> 'bench' AND state = 'idle'`.execute(db);
  for (let is_back = false; !is_back; ) {
    const { statusCode, body } = await pool.request({ path: '/readyz', method: 'GET' });
    await body.dump();
    is_back = statusCode === 200;
  }
  const { rows } = await sql<TableWrites>`SELECT relname AS name, n_tup_ins::float8 AS inserted,
      n_tup_upd::float8 AS updated, n_tup_hot_upd::float8 AS in_place, n_tup_del::float8 AS deleted
    FROM pg_stat_user_tables WHERE schemaname = 'public' ORDER BY relname`.execute(db);
  return rows;
}

async function readLogPosition(db: Database): Promise<number> {
  const { rows } = await sql<{ at: number }>`SELECT (pg_current_wal_insert_lsn() - '0/0')::float8 AS at`.execute(db);
  return rows[0]?.at ?? 0;
}
