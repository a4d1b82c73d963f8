/** Four eyes: a change that one person asks for waits, sealed, until another approves or refuses it. */

import { randomUUID } from 'node:crypto';
import { type Selectable, sql } from 'kysely';
import { type AuditRequest, record } from './audit/audit.ts';
import type { Config } from './config.ts';
import { deriveKeys, open, seal } from './crypto.ts';
import type { Database, Transaction } from './database.ts';
import { policy } from './policy/policy.ts';
import type { Approvals } from './tables.ts';

/** What somebody wants done, and why. */
export interface AskedChange {
  resource: string;
  /** Null where it would make something new. */
  entry_id: string | null;
  /** Of the entry as it was looked at; whoever carries the change out holds it against the entry of then. */
  entry_version: number | null;
  operation: string;
  /** JSON; it may hold secrets. */
  input: Record<string, unknown>;
  /** The names of what it changes or fills, for everybody who sees the approval. */
  fields: string[];
  asked_by: string;
  because: string;
  request?: AuditRequest;
}

/** An approval as people see it, without what was typed. */
export type Approval = Omit<Selectable<Approvals>, 'input'> & {
  state: 'waiting' | 'approved' | 'refused' | 'withdrawn' | 'expired';
  asked_by_name: string;
  decided_by_name: string | null;
};

export type ApprovalOutcome =
  /** The caller carries `input` out in the same transaction; what was asked is gone from the table. */
  | { state: 'approved'; approval: Approval; input: Record<string, unknown> }
  | { state: 'turned_down'; approval: Approval }
  | {
      state: 'refused';
      /** `own`: whoever asked may not decide. `foreign`: only whoever asked may take it back. */
      because: 'unknown' | 'decided' | 'expired' | 'own' | 'foreign';
    };

type Keys = Pick<Config, 'secrets'>;

/** Writes down what somebody wants done; it happens only when somebody else decides so in time (policy). Gives its id. */
export async function askApproval(tx: Transaction, config: Keys, change: AskedChange): Promise<string> {
  const { input, request, ...columns } = change;
  const id = randomUUID();
  await tx
    .insertInto('approvals')
    .values({
      id,
      ...columns,
      input: seal(keysOf(config)[0] as Buffer, JSON.stringify(input), contextOf(id)),
      expires_at: sql<Date>`gapura_now() + make_interval(days => ${policy('four_eyes.lifetime')})`,
    })
    .execute();
  const { resource, operation, entry_id, asked_by } = change;
  await record(tx, {
    kind: 'approval_asked',
    actor_id: asked_by,
    detail: { approval: id, resource, operation, entry: entry_id },
    request,
  });
  return id;
}

/**
 * Decides what waits: once, in time, and never by whoever asked, who may only withdraw it. Of several who decide at once one
 * does, and the others are told that it is decided. Whether `by` may do so at all is the caller's to check.
 * @throws Error when what was sealed does not open: its secret was taken out of the settings
 */
export async function decideApproval(
  tx: Transaction,
  config: Keys,
  id: string,
  decided: {
    by: string;
    decision: 'approved' | 'refused' | 'withdrawn';
    because?: string | null;
    request?: AuditRequest;
  },
): Promise<ApprovalOutcome> {
  const { by, decision, because = null, request } = decided;
  if (!isId(id)) return { state: 'refused', because: 'unknown' };
  const row = await tx
    .updateTable('approvals as a')
    // The row as it was, for what the update erases.
    .from('approvals as before')
    .set({ decision, decided_by: by, decided_at: sql`gapura_now()`, decision_because: because, input: null })
    .whereRef('before.id', '=', 'a.id')
    .where('a.id', '=', id)
    .where('a.decision', 'is', null)
    .where('a.expires_at', '>', sql<Date>`gapura_now()`)
    .where('a.asked_by', decision === 'withdrawn' ? '=' : '<>', by)
    .returning('before.input')
    .executeTakeFirst();
  const approval = await findApproval(tx, id);
  if (!row || !approval) return { state: 'refused', because: explain(approval, by) };
  const { resource, operation, entry_id } = approval;
  await record(tx, {
    kind: 'approval_decided',
    actor_id: by,
    detail: { approval: id, resource, operation, entry: entry_id, decision },
    request,
  });
  if (decision !== 'approved') return { state: 'turned_down', approval };
  return { state: 'approved', approval, input: JSON.parse(open(keysOf(config), row.input ?? '', contextOf(id))) };
}

function explain(approval: Approval | undefined, by: string) {
  if (!approval) return 'unknown';
  if (approval.state !== 'waiting') return approval.state === 'expired' ? 'expired' : 'decided';
  return approval.asked_by === by ? 'own' : 'foreign';
}

/** Those that wait, or those that are over, the latest first. */
export async function listApprovals(
  db: Database,
  { waiting, limit = 50, offset = 0 }: { waiting: boolean; limit?: number; offset?: number },
): Promise<Approval[]> {
  return select(db)
    .where(waiting ? is_waiting : sql<boolean>`NOT ${is_waiting}`)
    .orderBy('a.asked_at', 'desc')
    .orderBy('a.id')
    .limit(limit)
    .offset(offset)
    .execute();
}

/**
 * What was typed, as long as it waits. Whoever is told of it must be somebody who could do it: the caller's to check.
 * @throws Error when what was sealed does not open: its secret was taken out of the settings
 */
export async function readAsked(db: Database, config: Keys, id: string): Promise<Record<string, unknown> | undefined> {
  if (!isId(id)) return undefined;
  const row = await db
    .selectFrom('approvals as a')
    .select('a.input')
    .where('a.id', '=', id)
    .where(is_waiting)
    .executeTakeFirst();
  return row?.input ? JSON.parse(open(keysOf(config), row.input, contextOf(id))) : undefined;
}

/** An approval by its id; what is no id finds none. */
export async function findApproval(db: Database, id: string): Promise<Approval | undefined> {
  return isId(id) ? select(db).where('a.id', '=', id).executeTakeFirst() : undefined;
}

/** Erases what was typed where nobody decided in time; a worker's duty. */
export async function forgetExpired(db: Database): Promise<void> {
  await db
    .updateTable('approvals')
    .set({ input: null })
    .where('input', 'is not', null)
    .where('expires_at', '<=', sql<Date>`gapura_now()`)
    .execute();
}

const is_waiting = sql<boolean>`(a.decision IS NULL AND a.expires_at > gapura_now())`;

function select(db: Database) {
  return db
    .selectFrom('approvals as a')
    .innerJoin('accounts as asker', 'asker.id', 'a.asked_by')
    .leftJoin('accounts as decider', 'decider.id', 'a.decided_by')
    .select([
      'a.id',
      'a.resource',
      'a.entry_id',
      'a.entry_version',
      'a.operation',
      'a.fields',
      'a.asked_by',
      'a.asked_at',
      'a.because',
      'a.expires_at',
      'a.decision',
      'a.decided_by',
      'a.decided_at',
      'a.decision_because',
      'asker.full_name as asked_by_name',
      'decider.full_name as decided_by_name',
      sql<Approval['state']>`coalesce(a.decision, CASE WHEN ${is_waiting} THEN 'waiting' ELSE 'expired' END)`.as(
        'state',
      ),
    ]);
}

function isId(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);
}

function keysOf({ secrets }: Keys): Buffer[] {
  return deriveKeys(secrets, 'approvals');
}

function contextOf(id: string): string {
  return `approvals.input:${id}`;
}
