/** The statements of the limits: each pays, settles or looks at its counters at once. */

import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../database.ts';
import { prepare, type Statement } from '../statements.ts';
import { type Limit, type LimitName, limits } from './table.ts';

/** So many tries that no counter bounds them. */
export const unbounded = 2_147_483_647;

type Value = (key: string) => unknown;

// Of many tries at once exactly the free ones pass: the row's lock lines them up, and each of them sees the wait that the
// one before has set. A refused try changes nothing, so hammering does not prolong the wait.
function spend(name: LimitName, value: Value, at: number): RawBuilder<unknown> {
  const limit: Limit = limits[name];
  const free = sql.lit(limit.free);
  const is_over = sql`l.expires_at <= gapura_now()`;
  const count = sql`CASE WHEN ${is_over} THEN 1 ELSE l.count + 1 END`;
  const wait = (tries: ReturnType<typeof sql>) => sql`CASE WHEN ${tries} < ${free} THEN interval '0'
    ELSE make_interval(secs => least(${sql.lit(limit.longest_wait)}::float8,
      ${sql.lit(limit.first_wait)}::float8 * 2.0 ^ least(${tries} - ${free}, 30))) END`;
  // Not "now" while there is no wait: a try that began a moment earlier and waited for the row would find itself too early.
  const free_at = (tries: ReturnType<typeof sql>) =>
    sql`CASE WHEN ${tries} < ${free} THEN '-infinity' ELSE gapura_now() + ${wait(tries)} END`;
  const forget = sql`make_interval(secs => ${sql.lit(limit.forget)}::float8)`;
  const expires_at =
    limit.forget_from === 'last'
      ? sql`gapura_now() + ${forget}`
      : sql`CASE WHEN ${is_over} THEN gapura_now() + ${forget}
          ELSE greatest(l.expires_at, gapura_now() + ${wait(count)}) END`;
  // Only once the one before it was paid; so the rows are locked in this order too.
  const is_turn = at === 0 ? sql`true` : sql`EXISTS (SELECT FROM ${sql.ref(`paid${at - 1}`)})`;
  return sql`
    INSERT INTO limits AS l (name, key_hash, count, free_at, expires_at)
    SELECT ${sql.lit(name)}, ${value(`key${at}`)}::bytea, 1, ${free_at(sql`1`)}, gapura_now() + ${forget} WHERE ${is_turn}
    ON CONFLICT (name, key_hash) DO UPDATE
    SET count = ${count}, free_at = ${free_at(count)}, expires_at = ${expires_at}
    WHERE l.free_at <= gapura_now() AND (l.count < ${value(`most${at}`)}::int OR ${is_over})
    RETURNING l.count`;
}

interface ToPay {
  limit: LimitName;
  key_hash: Buffer;
  most: number;
}

type Values = Record<string, unknown>;

const payments = new Map<string, Statement<Values, Record<string, number | null>>>();

/** Pays counters one after the other as long as each allows it; gives what each counts now, null from the first that does not. */
export async function payLanes(db: Database, lanes: ToPay[]): Promise<(number | null)[]> {
  if (lanes.length === 0) return [];
  const names = lanes.map(({ limit }) => limit);
  const statement = remembered(payments, `pay ${names}`, (name) =>
    prepare(name, 'write', (_db, value) => {
      const steps = names.map((limit, at) => sql`${sql.ref(`paid${at}`)} AS (${spend(limit, value, at)})`);
      const counts = names.map((_, at) => sql`(SELECT count FROM ${sql.ref(`paid${at}`)}) AS ${sql.ref(`count${at}`)}`);
      return sql`WITH ${sql.join(steps)} SELECT ${sql.join(counts)}`;
    }),
  );
  const values = lanes.flatMap(({ key_hash, most }, at) => [
    [`key${at}`, key_hash],
    [`most${at}`, most],
  ]);
  const [row] = (await statement(db, Object.fromEntries(values))).rows;
  return lanes.map((_, at) => row?.[`count${at}`] ?? null);
}

interface ToSettle {
  limit: LimitName;
  key_hash: Buffer;
  is_shared: boolean;
  tries: number;
}

const settlements = new Map<string, Statement<Values, unknown>>();

/** Takes one try back from what is shared, and forgets the others. */
export async function settleLanes(db: Database, lanes: ToSettle[]): Promise<void> {
  const kinds = lanes.map(({ limit, is_shared }) => ({ limit, is_shared }));
  const key = kinds.map(({ limit, is_shared }) => `${is_shared ? 'less' : 'no'} ${limit}`).join(', ');
  const statement = remembered(settlements, `settle ${key}`, (name) =>
    prepare(name, 'relaxed', (_db, value) => {
      const steps = kinds.map(
        (kind, at) => sql`${sql.ref(`settled${at}`)} AS (${settle(kind, value, at)} RETURNING 1)`,
      );
      return sql`WITH ${sql.join(steps)} SELECT`;
    }),
  );
  const values = lanes.flatMap(({ key_hash, tries }, at) => [
    [`key${at}`, key_hash],
    [`tries${at}`, tries],
  ]);
  await statement(db, Object.fromEntries(values));
}

// The wait that this very try has set is lifted with it, and so is any that free tries have set: people who sign in well
// at the same moment behind one address must not shut it for each other. A wait that another's failure has set stays.
function settle({ limit, is_shared }: Pick<ToSettle, 'limit' | 'is_shared'>, value: Value, at: number) {
  // In the order in which tries pay, or two would each hold what the other waits for.
  const is_turn = at === 0 ? sql`true` : sql`(SELECT count(*) FROM ${sql.ref(`settled${at - 1}`)}) >= 0`;
  const is_it = sql`name = ${sql.lit(limit)} AND key_hash = ${value(`key${at}`)}::bytea AND ${is_turn}`;
  const tries = sql`${value(`tries${at}`)}::int`;
  if (!is_shared) return sql`DELETE FROM limits WHERE ${is_it} AND ${tries} IS NOT NULL`;
  return sql`UPDATE limits SET count = greatest(count - 1, 0),
      free_at = CASE WHEN count = ${tries} OR count <= ${sql.lit(limits[limit].free)} THEN '-infinity' ELSE free_at END
    WHERE ${is_it} AND expires_at > gapura_now()`;
}

/** What stands on a counter that is not forgotten. */
export const look = prepare<{ name: LimitName; key_hash: Buffer }, { count: number; seconds: number }>(
  'look at limit',
  'read',
  (_db, value) => sql`
    SELECT count, ceil(extract(epoch FROM greatest(free_at, gapura_now()) - gapura_now()))::int AS seconds
    FROM limits WHERE name = ${value('name')} AND key_hash = ${value('key_hash')} AND expires_at > gapura_now()`,
);

function remembered<T>(known: Map<string, T>, name: string, make: (name: string) => T): T {
  const made = known.get(name) ?? make(name);
  known.set(name, made);
  return made;
}

/** Deletes up to `batch` counters that are forgotten; a worker's duty. Gives how many they were. */
export async function purgeLimits(db: Database, batch = 1000): Promise<number> {
  const { numAffectedRows = 0n } = await sql`DELETE FROM limits WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM limits WHERE expires_at <= gapura_now() LIMIT ${batch} FOR UPDATE SKIP LOCKED))`.execute(db);
  return Number(numAffectedRows);
}
