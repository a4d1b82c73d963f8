/** The audit: what happened, written in the caller's transaction; the personal side erasable. */

import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { digest } from '../crypto.ts';
import type { Database, Transaction } from '../database.ts';
import { prepare } from '../statements.ts';

export const audit_kinds = [
  'sign_in',
  'sign_in_refused',
  'directorate_chosen',
  'sign_out',
  'session_ended',
  // A refresh token was used again after it had been replaced: somebody else has it.
  'refresh_reused',
  'account_created',
  'account_invited',
  'account_locked',
  'account_unlocked',
  'account_revoked',
  'role_given',
  'role_taken',
  'password_changed',
  'password_change_refused',
  'password_reset',
  'recovery_begun',
  'recovery_code_sent',
  'recovery_refused',
  'recovery_verified',
  'recovery_signed_in',
  'recovery_address_added',
  'recovery_address_verified',
  'recovery_address_refused',
  'recovery_address_removed',
  'disowned',
  'invitation_accepted',
  'invitation_refused',
  'link_added',
  'link_changed',
  'link_removed',
  'link_refused',
  'link_requested',
  'link_stale',
  'link_transfer_decided',
  'consent_given',
  'consent_withdrawn',
  'grants_ended',
  'token_exchanged',
  'client_registered',
  'client_registration_changed',
  'client_registration_removed',
  'client_tried',
  'client_submitted',
  'client_secret_made',
  'signing_key_turned',
  // Something done through the console or its interface; `detail` tells resource, id, operation and changes.
  'operation',
  'approval_asked',
  'approval_decided',
] as const;

export type AuditKind = (typeof audit_kinds)[number];

/** Where a request came from; the personal side of an event. */
export interface AuditRequest {
  address: string;
  user_agent: string | undefined;
  request_id: string;
}

export interface AuditEvent {
  kind: AuditKind;
  /** Whose account it concerns. */
  account_id?: string | null | undefined;
  /** Who did it, where that is another person. */
  actor_id?: string | null | undefined;
  client_id?: string | null | undefined;
  /** What else must be known for ever: nothing personal and nothing secret, for it is never erased. */
  detail?: Record<string, unknown>;
  request?: AuditRequest | undefined;
}

/** Writes an event in the caller's transaction: what is rolled back has not happened. */
export async function record(tx: Transaction, event: AuditEvent): Promise<void> {
  const values = eventValues(event);
  await (event.request ? writeWithPersonal(tx, values) : writeEvent(tx, values));
}

/** An event as the values of `eventSteps`. */
export function eventValues(event: AuditEvent): EventValues {
  const { request } = event;
  const personal = request && {
    salt: randomBytes(16).toString('base64url'),
    address: request.address,
    user_agent: request.user_agent?.slice(0, 500) ?? null,
    request_id: request.request_id,
  };
  return {
    kind: event.kind,
    account_id: event.account_id ?? null,
    actor_id: event.actor_id ?? null,
    client_id: event.client_id ?? null,
    detail: JSON.stringify(event.detail ?? {}),
    personal_digest: personal ? digestPersonal(personal) : null,
    ...(personal ?? { salt: '', address: null, user_agent: null, request_id: null }),
  };
}

/** The columns of an event and of its personal side. */
export interface EventValues extends Personal {
  kind: AuditKind;
  account_id: string | null;
  actor_id: string | null;
  client_id: string | null;
  detail: string;
  personal_digest: string | null;
}

type ValueOf = <Key extends keyof EventValues>(key: Key) => EventValues[Key];

const insertEvent = (value: ValueOf, from = sql``) => sql`
  INSERT INTO audit_events (kind, account_id, actor_id, client_id, detail, personal_digest)
  SELECT ${value('kind')}::text, ${value('account_id')}::uuid, ${value('actor_id')}::uuid, ${value('client_id')}::text,
    ${value('detail')}::jsonb, ${value('personal_digest')}::text ${from}`;

const insertPersonal = (value: ValueOf) => sql`
  INSERT INTO audit_personal (event_id, salt, address, user_agent, request_id)
  SELECT id, ${value('salt')}::text, ${value('address')}::text, ${value('user_agent')}::text,
    ${value('request_id')}::text FROM event`;

/** The steps of a WITH that write an event of a request; `from` says after which other step, and whether at all. */
export const eventSteps = (value: ValueOf, from?: ReturnType<typeof sql>) =>
  sql`event AS (${insertEvent(value, from)} RETURNING id), personal AS (${insertPersonal(value)})`;

const writeEvent = prepare<EventValues>('event', 'write', (_db, value) => insertEvent(value));

const writeWithPersonal = prepare<EventValues>(
  'event with its personal side',
  'write',
  (_db, value) => sql`WITH ${eventSteps(value)} SELECT`,
);

/** Erases the personal side of everything that concerns an account; the events and their chain stay whole. */
export async function erasePersonal(tx: Transaction, account_id: string): Promise<void> {
  await sql`DELETE FROM audit_personal p USING audit_events e
    WHERE e.id = p.event_id AND e.account_id = ${account_id}`.execute(tx);
}

/**
 * Erases the personal side of events older than `seconds`, of up to `batch` of them; a worker's duty. Numbers follow time but
 * for those of one moment, so only the lowest that are left are looked at, and no index of times is needed.
 * @returns how many were erased
 */
export async function purgePersonal(db: Database, seconds: number, batch = 1000): Promise<number> {
  const { numAffectedRows = 0n } = await sql`
    DELETE FROM audit_personal WHERE event_id IN (
      SELECT e.id FROM (SELECT event_id FROM audit_personal ORDER BY event_id LIMIT ${batch}) lowest
      JOIN audit_events e ON e.id = lowest.event_id
      WHERE e.at < gapura_now() - make_interval(secs => ${seconds}::float8))`.execute(db);
  return Number(numAffectedRows);
}

/** The personal side as it is digested. */
interface Personal {
  salt: string;
  address: string | null;
  user_agent: string | null;
  request_id: string | null;
}

// The salt keeps the digest from telling the address to whoever tries all of them once the row is gone.
export function digestPersonal({ salt, address, user_agent, request_id }: Personal): string {
  return digest(JSON.stringify([salt, address, user_agent, request_id]));
}
