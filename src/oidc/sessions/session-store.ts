/** Sessions in PostgreSQL: merged entry by entry, ended in one transaction with all that hangs on them. */

import { sql } from 'kysely';
import type { AuditRequest } from '../../audit/audit.ts';
import { type Database, inTransaction, type Transaction } from '../../database.ts';
import { prepare } from '../../statements.ts';
import type { Authorization } from '../../tables.ts';
import { expiry } from '../records/records.ts';
import type { EndedSession, RecordStore } from '../records/store.ts';
import { endGrant, endGrants } from '../records/write.ts';
import { grantOf, inherited, seenFrom, sessionIsOver } from './session-change.ts';

/** The name of the session with this hash of its cookie's id. */
export async function findUid(db: Database, id_hash: Buffer): Promise<string | undefined> {
  const row = await db.selectFrom('oidc_sessions').select('uid').where('id_hash', '=', id_hash).executeTakeFirst();
  return row?.uid;
}

/** A session's row; it lives for `seconds`. */
interface NewSession {
  uid: string;
  id_hash: Buffer;
  account_id: string | null;
  generation: number | null;
  payload: string;
  authorizations: string;
  seconds: number;
  remembered: boolean;
  user_agent: string | null;
  network: string | null;
}

/** Writes a session that has no row yet. */
export const insertSession = prepare<NewSession>('new session', 'write', (db, value) =>
  db.insertInto('oidc_sessions').values({
    uid: value('uid'),
    id_hash: value('id_hash'),
    account_id: value('account_id'),
    generation: value('generation'),
    payload: value('payload'),
    authorizations: value('authorizations'),
    expires_at: expiry(value('seconds')),
    remembered: value('remembered'),
    user_agent: value('user_agent'),
    network: value('network'),
  }),
);

interface SessionChange {
  uid: string;
  id_hash: Buffer;
  accountId: string | undefined;
  generation: number | undefined;
  authorizations: Record<string, Authorization>;
  renewed: boolean | undefined;
  remembered: boolean;
  kept: Record<string, unknown>;
  ttl: number;
}

/**
 * Merges what this request owns into the session's row: the marks of its own client's entry, while that entry still holds
 * this request's grant; who signed in, only if it signed somebody in; the state of a sign-out, only on the sign-out's own
 * routes; the cookie's id, only if it was renewed. Six applications opened at once would otherwise overwrite each other's
 * entries. A session that ended meanwhile is not restored, and what was granted under it ends with it.
 */
export async function updateSession(store: RecordStore, change: SessionChange): Promise<void> {
  const { uid, id_hash, accountId, generation, authorizations, renewed, remembered, kept, ttl } = change;
  const request = store.request();
  const { state, ...login } = kept;
  const client_id = request?.client_id;
  const entry = client_id === undefined ? undefined : authorizations[client_id];
  const owns_state = request?.ends_session || state !== undefined;
  const patch = { ...(request?.signs_in ? login : {}), ...(owns_state && state !== undefined ? { state } : {}) };
  const result = await store.db
    .updateTable('oidc_sessions')
    .set({
      ...(renewed ? { id_hash } : {}),
      ...(request?.signs_in
        ? { account_id: accountId ?? null, generation: inherited(accountId, generation), remembered }
        : {}),
      ...seenFrom(request),
      payload: sql`${owns_state ? sql`payload - 'state'` : sql`payload`} || ${JSON.stringify(patch)}::jsonb`,
      ...(client_id !== undefined && entry?.grantId
        ? {
            authorizations: sql`CASE WHEN ${grantOf(client_id)} = ${entry.grantId}
              THEN authorizations || ${JSON.stringify({ [client_id]: entry })}::jsonb ELSE authorizations END`,
          }
        : {}),
      ...(client_id !== undefined && !entry && request?.leaves_client
        ? { authorizations: sql`authorizations - ${client_id}::text` }
        : {}),
      expires_at: expiry(ttl),
      seen_at: sql`gapura_now()`,
    })
    .where('uid', '=', uid)
    .executeTakeFirst();
  if (result.numUpdatedRows === 1n) return;
  if (entry?.grantId && !entry.persistsLogout) await endGrant(store.db, entry.grantId);
  throw sessionIsOver();
}

/**
 * Lifts a session to the generation that its person's account was just raised to, in the same transaction. Only from the
 * number right before: a session that something else ended stays ended.
 * @returns whether there was such a session
 */
export async function liftSession(
  tx: Transaction,
  { uid, account_id, generation }: { uid: string; account_id: string; generation: number },
): Promise<boolean> {
  const result = await tx
    .updateTable('oidc_sessions')
    .set({ generation })
    .where('uid', '=', uid)
    .where('account_id', '=', account_id)
    .where('generation', '=', generation - 1)
    .where('expires_at', '>', sql<Date>`gapura_now()`)
    .executeTakeFirst();
  return result.numUpdatedRows === 1n;
}

/**
 * Puts a new grant into a client's entry of a session's row, if the entry still holds the grant that this request began
 * with (`from`; undefined: none). Of tabs that open an application in the same instant one comes first; the others are
 * given its entry, so that all of them work with one grant.
 * @returns the entry as it stands now, the caller's or another's; undefined when the session or the entry's grant is gone
 */
export async function claimEntry(
  db: Database,
  uid: string,
  client_id: string,
  from: string | undefined,
  entry: { sid: string; grantId: string },
): Promise<Authorization | undefined> {
  const claimed = await db
    .updateTable('oidc_sessions')
    .set({
      authorizations: sql`authorizations || jsonb_build_object(${client_id}::text,
        coalesce(authorizations -> ${client_id}::text, '{}') || ${JSON.stringify(entry)}::jsonb)`,
    })
    .where('uid', '=', uid)
    .where(sql<boolean>`${grantOf(client_id)} IS NOT DISTINCT FROM ${from ?? null}::text`)
    .executeTakeFirst();
  if (claimed.numUpdatedRows === 1n) return entry;
  const row = await db.selectFrom('oidc_sessions').select('authorizations').where('uid', '=', uid).executeTakeFirst();
  const held = row?.authorizations[client_id];
  return held?.grantId ? held : undefined;
}

/**
 * Ends a session in one transaction: the row, the grants it held with their codes and tokens (those meant to outlive it
 * stay), and whatever `sessionEnded` adds. Reads the applications from the row it deletes, so that one opened a moment
 * before is told, and one that comes a moment later finds no session.
 * @param owner whose it must be, where a person ends it by its name, and what the audit is told of the request
 * @returns whether there was a session to end
 */
export async function endSession(
  store: RecordStore,
  uid: string,
  because: EndedSession['because'],
  owner?: { account_id: string; request: AuditRequest },
): Promise<boolean> {
  return inTransaction(store.db, async (tx) => {
    const row = await tx
      .deleteFrom('oidc_sessions')
      .where('uid', '=', uid)
      .$if(owner !== undefined, (query) => query.where('account_id', '=', owner?.account_id ?? null))
      .returning(['uid', 'account_id', 'authorizations'])
      .executeTakeFirst();
    if (!row) return false;
    const grants = Object.values(row.authorizations)
      .filter((entry) => entry.grantId && !entry.persistsLogout)
      .map((entry) => entry.grantId as string);
    await endGrants(tx, grants);
    await store.sessionEnded(tx, { ...row, because, sent_by: owner?.request ?? store.request()?.sent_by });
    return true;
  });
}

/** Deletes up to `batch` sessions whose time is over. */
export async function purgeSessions(db: Database, batch = 1000): Promise<number> {
  const { numAffectedRows = 0n } = await sql`DELETE FROM oidc_sessions WHERE uid = ANY (ARRAY(
    SELECT uid FROM oidc_sessions WHERE expires_at < gapura_now() - interval '1 minute'
    ORDER BY expires_at LIMIT ${batch} FOR UPDATE SKIP LOCKED))`.execute(db);
  return Number(numAffectedRows);
}
