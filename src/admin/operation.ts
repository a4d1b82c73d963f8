/** What is done through the console and the interface alike: allowed, in reach, of the right version and shape, seen by a second person, noted. */

import { sql } from 'kysely';
import type { z } from 'zod';
import { askApproval } from '../approvals.ts';
import { record } from '../audit/audit.ts';
import { nowSeconds } from '../clock.ts';
import { type Database, inTransaction, type Transaction } from '../database.ts';
import type { TrialOutcome } from '../oidc/trial/trial.ts';
import { isWithin, type Permission, type Reach, reachOf } from '../permissions.ts';
import { policy } from '../policy/policy.ts';
import { compare, listChanges, readBefore } from './comparison.ts';
import { findEntry } from './listing.ts';
import type { Actor, Desk, Entry, Operation, Resource, Said } from './resource.ts';

/** What somebody wants done. */
export interface Order {
  resource: Resource;
  operation: Operation;
  /** Of the entry; none to create one. */
  id?: string | undefined;
  input: Record<string, unknown>;
  /** The version the person saw; without it whatever stands is meant. */
  version?: number | undefined;
  /** Why, where a second person will read it. */
  because?: string;
  /** A second person has agreed. */
  is_approved?: boolean;
}

export type Carried =
  | {
      state: 'done';
      id: string;
      shown_once?: Record<string, string>;
      go_to?: string;
      trial?: TrialOutcome;
      detail?: Record<string, unknown>;
    }
  | { state: 'waiting'; approval_id: string }
  | { state: 'refused'; errors: Record<string, Said> }
  /** Somebody changed it meanwhile: as it stands now. */
  | { state: 'conflict'; entry: Entry }
  | { state: 'inapplicable'; entry: Entry }
  | { state: 'not_found' }
  | { state: 'forbidden' }
  | { state: 'stale_sign_in'; max_age: number };

/** How far somebody's permission reaches, cut by the scopes of a token; undefined for not at all. */
export function reachOfActor(actor: Actor, permission: Permission): Reach | undefined {
  if (actor.scopes && !isInScope(actor.scopes, permission)) return undefined;
  return reachOf(actor.roles, permission);
}

/** The scopes of the interface: two wide ones, and each permission by its own name. */
export function isInScope(scopes: readonly string[], permission: Permission): boolean {
  const wide = permission.endsWith(':read') ? ['admin:read', 'admin:write'] : ['admin:write'];
  return scopes.includes(permission) || wide.some((scope) => scopes.includes(scope));
}

/** Whether the person signed in lately enough for an operation; a client that acts for itself has nobody to ask. */
export function mustSignInAgain({ actor }: Desk, operation: Operation, grace = 0): boolean {
  if (!operation.is_weighty || actor.account_id === null) return false;
  return actor.signed_in_at === null || nowSeconds() - actor.signed_in_at > policy('session.console_fresh') + grace;
}

/** What an operation asks, for this entry. */
export function inputOf(operation: Operation, entry: Entry | undefined): z.ZodObject {
  return (entry && operation.inputOf?.(entry)) ?? operation.input;
}

/** Whether it may wait for a second person as the policies stand, whatever is typed into it. */
export function mayWait(operation: Operation, entry: Entry | undefined): boolean {
  const typed = Object.fromEntries(Object.keys(inputOf(operation, entry).shape).map((name) => [name, '?']));
  const key = operation.four_eyes?.(entry, typed);
  return key !== undefined && policy(key);
}

/** Carries an order out in a transaction of its own; whatever does not end well leaves nothing behind. */
export async function carryOut(desk: Desk, order: Order): Promise<Carried> {
  return undoable(desk.db, async (tx, undo) => {
    const carried = await perform(tx, desk, order);
    return carried.state === 'done' || carried.state === 'waiting' ? carried : undo(carried);
  });
}

class Undone extends Error {
  outcome: unknown;

  constructor(outcome: unknown) {
    super('undone');
    this.outcome = outcome;
  }
}

/** Runs `work` in a transaction that `undo` rolls back without failing: its argument is the outcome. */
export async function undoable<T>(
  db: Database,
  work: (tx: Transaction, undo: (outcome: T) => never) => Promise<T>,
): Promise<T> {
  try {
    return await inTransaction(db, (tx) =>
      work(tx, (outcome) => {
        throw new Undone(outcome);
      }),
    );
  } catch (error) {
    if (error instanceof Undone) return error.outcome as T;
    throw error;
  }
}

/** Carries an order out in the caller's transaction, which must be rolled back unless it is done or waiting. */
export async function perform(tx: Transaction, outer: Desk, order: Order): Promise<Carried> {
  const desk: Desk = { ...outer, db: tx };
  const { resource, operation, id } = order;
  const reach = reachOfActor(desk.actor, operation.permission);
  if (!reach) return { state: 'forbidden' };

  let entry: Entry | undefined;
  if (operation.kind !== 'create') {
    if (id === undefined || !resource.id.test(id)) return { state: 'not_found' };
    // One at a time for each entry: of two who saw the same version the second finds another.
    await sql`SELECT pg_advisory_xact_lock(hashtextextended(${`desk ${resource.name} ${id}`}, 0))`.execute(tx);
    entry = await findEntry(tx, resource, reach, id);
    if (!entry) return { state: 'not_found' };
    if (order.version !== undefined && entry.version !== order.version) return { state: 'conflict', entry };
    if (operation.applies && !operation.applies(entry, desk)) return { state: 'inapplicable', entry };
  }
  // Not for a second person's eyes only: the approver was asked at the approval.
  const grace = desk.actor.client_id === null ? typing_time : 0;
  if (!order.is_approved && mustSignInAgain(desk, operation, grace))
    return { state: 'stale_sign_in', max_age: policy('session.console_fresh') };

  const schema = inputOf(operation, entry);
  const read = schema.safeParse(order.input);
  if (!read.success) return { state: 'refused', errors: explain(schema, order.input, read.error.issues) };
  const input = read.data as Record<string, unknown>;
  if (operation.place || operation.kind === 'create') {
    const place = (await operation.place?.(tx, input, entry)) ?? {};
    if (reach !== 'everything' && !isWithin(reach, place)) return { state: 'forbidden' };
  }

  const against = await operation.judge?.(tx, desk, input, entry);
  if (against) return { state: 'refused', errors: against };
  const key = operation.four_eyes?.(entry, input);
  if (key && policy(key) && !order.is_approved) return wait(tx, desk, order, schema, input, entry);
  const before = await readBefore(desk, operation, entry);
  const outcome = await operation.run(tx, desk, input, entry);
  if (outcome.state === 'conflict') {
    return { state: 'conflict', entry: (id && (await findEntry(tx, resource, reach, id))) || (entry as Entry) };
  }
  if (outcome.state === 'refused') return outcome;
  await record(tx, {
    kind: 'operation',
    account_id: resource.name === 'accounts' ? outcome.id : null,
    actor_id: desk.actor.account_id,
    client_id: desk.actor.client_id,
    detail: {
      resource: resource.name,
      id: outcome.id,
      operation: operation.name,
      ...(before ? { changes: compare(schema, before, input) } : {}),
      ...outcome.detail,
    },
    request: desk.request,
  });
  return outcome;
}

// Whoever opened a form in time may take this long to fill it; programs fill none.
const typing_time = 1800;

async function wait(
  tx: Transaction,
  desk: Desk,
  order: Order,
  schema: z.ZodObject,
  input: Record<string, unknown>,
  entry: Entry | undefined,
): Promise<Carried> {
  if (!desk.actor.account_id) return { state: 'refused', errors: { form: 'errors.admin.needs_person' } };
  // Where the operation itself asks for a reason, that is the one.
  const because = String(order.because || input.because || '').trim();
  if (!because) return { state: 'refused', errors: { approval_reason: 'errors.approval.reason' } };
  if (because.length > 500) return { state: 'refused', errors: { approval_reason: 'errors.too_long' } };
  const changes = listChanges(schema, await readBefore(desk, order.operation, entry), input);
  const approval_id = await askApproval(tx, desk.config, {
    resource: order.resource.name,
    entry_id: entry?.id ?? null,
    operation: order.operation.name,
    input,
    fields: changes.map(({ field }) => field.name),
    entry_version: entry?.version ?? null,
    asked_by: desk.actor.account_id,
    because,
  });
  return { state: 'waiting', approval_id };
}

interface Issue {
  code?: string | undefined;
  path: PropertyKey[];
  message: string;
}

/** What a schema found wrong, by field, as message keys. */
function explain(schema: z.ZodObject, sent: Record<string, unknown>, issues: Issue[]): Record<string, Said> {
  const errors: Record<string, Said> = {};
  for (const { path, message, code } of issues) {
    const name = String(path[0] ?? 'form');
    const is_field = Object.hasOwn(schema.shape, name);
    if (code === 'unrecognized_keys') {
      errors.form = 'errors.field.unknown';
      continue;
    }
    const is_missing = sent[name] === undefined || sent[name] === '';
    const said = /^[a-z_]+(\.[a-z_-]+)+$/.test(message)
      ? message
      : is_missing
        ? 'errors.field.required'
        : 'errors.field.invalid';
    errors[is_field ? name : 'form'] ??= said;
  }
  return errors;
}
