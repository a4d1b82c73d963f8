/** The chain of hashes over the audit: made by a worker over what is committed, and computed anew to see whether it holds. */

import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import { type Database, inTransaction, type Transaction } from '../database.ts';
import { digestPersonal } from './audit.ts';

const seal_lock = 5_731_002;
/** The most events under one seal. */
export const seal_size = 1000;

interface Position {
  xid: string;
  event_id: string;
}

interface EventRow {
  id: string;
  xid: string;
  at: string;
  kind: string;
  account_id: string | null;
  actor_id: string | null;
  client_id: string | null;
  detail: Record<string, unknown>;
  personal_digest: string | null;
}

const beginning: Position = { xid: '0', event_id: '0' };

/**
 * Chains the events that nothing can precede any more, so that no two requests wait for each other's link. The order is
 * (transaction, event): once every transaction below a number has ended, nothing with a lower one can appear (the numbers are
 * the cluster's, so a long transaction of any database there delays the sealing). One node seals
 * at a time; the others find the lock taken and leave. The seal of a moment kept elsewhere shows whether the end was cut off.
 * @returns how many events were sealed, at most `seal_size`
 * @throws Error when the database was restored into a cluster whose transaction numbers begin anew (pg_resetwal --next-transaction-id)
 */
export function sealAudit(db: Database): Promise<number> {
  return inTransaction(db, sealNext);
}

async function sealNext(tx: Transaction): Promise<number> {
  const { rows: locks } = await sql<{ taken: boolean; is_restored: boolean }>`
    SELECT pg_try_advisory_xact_lock(${seal_lock}) AS taken,
      coalesce((SELECT last_xid >= pg_snapshot_xmax(pg_current_snapshot()) FROM audit_seals ORDER BY id DESC LIMIT 1), false)
        AS is_restored`.execute(tx);
  if (!locks[0]?.taken) return 0;
  if (locks[0].is_restored) {
    throw new Error('The audit was sealed by a cluster whose transaction numbers are ahead: see pg_resetwal.');
  }
  const last = await tx
    .selectFrom('audit_seals')
    .select(['hash', 'last_xid as xid', 'last_event_id as event_id'])
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  const events = await listEvents(tx, last ?? beginning, sql`xid < pg_snapshot_xmin(pg_current_snapshot())`);
  const [first, end] = [events[0], events.at(-1)];
  if (!first || !end) return 0;
  await tx
    .insertInto('audit_seals')
    .values({
      first_xid: first.xid,
      last_xid: end.xid,
      last_event_id: end.id,
      events: events.length,
      hash: hashEvents(last?.hash ?? '', events),
    })
    .execute();
  return events.length;
}

/**
 * Computes the whole chain anew and compares: every sealed event, and each personal side that is not erased.
 * @returns `whole` with the events checked, or `broken` with the first seal that does not fit
 */
export async function verifyAudit(
  db: Database,
): Promise<{ state: 'whole'; events: number } | { state: 'broken'; seal_id: string }> {
  let position = beginning;
  let hash = '';
  let checked = 0;
  for (let seal_id = '0'; ; ) {
    const seal = await db
      .selectFrom('audit_seals')
      .selectAll()
      .where('id', '>', seal_id)
      .orderBy('id')
      .limit(1)
      .executeTakeFirst();
    if (!seal) return { state: 'whole', events: checked };
    const end = sql`(xid, id) <= (${seal.last_xid}::xid8, ${seal.last_event_id}::bigint)`;
    const events = await listEvents(db, position, end);
    hash = hashEvents(hash, events);
    const fits = hash === seal.hash && events.length === seal.events && events[0]?.xid === seal.first_xid;
    if (!fits || !(await isPersonalTrue(db, events))) return { state: 'broken', seal_id: seal.id };
    checked += events.length;
    seal_id = seal.id;
    position = { xid: seal.last_xid, event_id: seal.last_event_id };
  }
}

async function listEvents(db: Database, after: Position, end: ReturnType<typeof sql>): Promise<EventRow[]> {
  const { rows } = await sql<EventRow>`
    SELECT id::text, xid::text, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at,
      kind, account_id, actor_id, client_id, detail, personal_digest
    FROM audit_events
    WHERE (xid, id) > (${after.xid}::xid8, ${after.event_id}::bigint) AND ${end}
    ORDER BY audit_events.xid, audit_events.id LIMIT ${seal_size}`.execute(db);
  return rows;
}

function hashEvents(previous: string, events: EventRow[]): string {
  const hash = createHash('sha256').update(previous);
  for (const event of events) hash.update(`\n${writeEvent(event)}`);
  return hash.digest('base64url');
}

// An array in a fixed order, and the detail's fields sorted, so that the same event always gives the same line.
function writeEvent(event: EventRow): string {
  const { id, xid, at, kind, account_id, actor_id, client_id, personal_digest } = event;
  const detail = Object.entries(event.detail).sort(([one], [other]) => (one < other ? -1 : 1));
  return JSON.stringify([id, xid, at, kind, account_id, actor_id, client_id, detail, personal_digest]);
}

async function isPersonalTrue(db: Database, events: EventRow[]): Promise<boolean> {
  const digests = new Map(events.map((event) => [event.id, event.personal_digest]));
  const rows = await db
    .selectFrom('audit_personal')
    .selectAll()
    .where('event_id', 'in', [...digests.keys()])
    .execute();
  return rows.every((row) => digestPersonal(row) === digests.get(row.event_id));
}
