/** The engine's records in PostgreSQL: hashed ids, single use by conditional statements, standing in every read. */

import { type RawBuilder, sql, type UpdateObject } from 'kysely';
import type { Adapter, AdapterPayload } from 'oidc-provider';
import { type AuditRequest, record } from '../../audit/audit.ts';
import type { ClientStore } from '../../clients/client.ts';
import type { Config } from '../../config.ts';
import { deriveKey, keyedDigest, type Secret } from '../../crypto.ts';
import { type Database, inTransaction, type Transaction } from '../../database.ts';
import { policy } from '../../policy/policy.ts';
import type { Authorization, Tables } from '../../tables.ts';
import type { RequestOfEngine } from '../internals.ts';
import { epochExpiry, expiry, forgetCookie, seconds_left, spent, standing, writable } from './records.ts';
import { isReused, may_renew, reusedFamily } from './refresh.ts';

/** What the records need: the database, the key that hashes their ids, and the engine's request in progress. */
export interface RecordStore {
  db: Database;
  id_key: Buffer;
  clients: ClientStore;
  /** The engine's context of the request that is being answered; undefined outside one. */
  request: () => RequestOfEngine | undefined;
  /** What must happen in the transaction that ends a session: notices to the applications, the audit row. */
  sessionEnded: (tx: Transaction, ended: EndedSession) => Promise<void>;
}

/** A session that was just deleted, with the applications it had opened. */
export interface EndedSession {
  uid: string;
  account_id: string | null;
  authorizations: Record<string, Authorization>;
  because: 'sign_out' | 'session_ended' | 'owner';
  /** Who asked for it; undefined when a duty ended it. */
  sent_by: AuditRequest | undefined;
}

/** The key that turns an id of the engine into what is stored. */
export function recordKey(config: Pick<Config, 'secrets'>): Buffer {
  return deriveKey(config.secrets[0] as Secret, 'engine record ids');
}

/** The engine's adapter for a model whose records are found by their id alone. */
export function recordAdapter(
  store: RecordStore,
  model: string,
  hash = (id: string) => keyedDigest(store.id_key, `${model}\0${id}`),
): Adapter {
  const { db } = store;
  const is_refresh = model === 'RefreshToken';

  return {
    async upsert(id, payload, ttl) {
      const {
        jti: _jti,
        userCode: _userCode,
        generation,
        ...kept
      } = payload as AdapterPayload & { generation?: number };
      if (model === 'Interaction') forgetCookie(kept);
      const columns = {
        // An interaction belongs to nobody yet; its session is checked on its own.
        account_id: model === 'Interaction' ? null : (payload.accountId ?? null),
        client_id: payload.clientId ?? (payload.params?.client_id as string | undefined) ?? null,
        grant_id: model === 'Grant' ? id : model === 'Interaction' ? null : (payload.grantId ?? null),
        user_code_hash: payload.userCode ? keyedDigest(store.id_key, `user code\0${payload.userCode}`) : null,
        generation: generation ?? null,
        payload: writable(kept),
        expires_at: expiry(ttl as number),
      };
      const result = await db
        .insertInto('oidc_records')
        .values({ id_hash: hash(id), model, ...columns })
        .onConflict((conflict) =>
          conflict.column('id_hash').doUpdateSet(columns).where('oidc_records.consumed_at', 'is', null),
        )
        .executeTakeFirst();
      if (result.numInsertedOrUpdatedRows !== 1n) throw spent(model);
    },

    async find(id) {
      const row = await db
        .selectFrom('oidc_records as r')
        .select(['r.payload', 'r.generation', 'r.consumed_at', seconds_left.as('seconds_left')])
        .select((is_refresh ? isReused() : sql<boolean>`r.consumed_at IS NOT NULL`).as('is_spent'))
        .where('r.id_hash', '=', hash(id))
        .where(standing)
        .executeTakeFirst();
      // The engine would take an expired interaction for some seconds more, and refuse only what comes of it.
      if (!row || (model === 'Interaction' && (row.consumed_at || row.seconds_left <= 0))) return undefined;
      return {
        ...row.payload,
        jti: id,
        exp: epochExpiry(row.seconds_left),
        ...(row.generation === null ? {} : { generation: row.generation }),
        ...(row.consumed_at && row.is_spent ? { consumed: Math.floor(row.consumed_at.getTime() / 1000) } : {}),
      };
    },

    async findByUserCode() {
      return undefined;
    },

    async findByUid() {
      return undefined;
    },

    async consume(id) {
      const result = await db
        .updateTable('oidc_records as r')
        .set({ consumed_at: sql`coalesce(r.consumed_at, gapura_now())` })
        .where('r.id_hash', '=', hash(id))
        .where(is_refresh ? may_renew : sql<boolean>`r.consumed_at IS NULL`)
        .executeTakeFirst();
      if (result.numUpdatedRows !== 1n) throw spent(model);
    },

    async destroy(id) {
      if (model === 'Interaction') return finishInteraction(db, hash(id));
      if (is_refresh && reusedFamily()) return endFamily(store);
      if (model === 'Grant' && (store.request()?.signs_out || reusedFamily())) return;
      await db.deleteFrom('oidc_records').where('id_hash', '=', hash(id)).execute();
    },

    async revokeByGrantId(grantId) {
      // The engine calls this once per model at the same time; the first deletes for all of them.
      // At a sign-out the session's own transaction does it: one that fails must leave all as it was. A family's end is one too.
      if (model !== 'AccessToken' || store.request()?.signs_out || reusedFamily()) return;
      await db.deleteFrom('oidc_records').where('grant_id', '=', grantId).where('model', '<>', 'Grant').execute();
    },
  };
}

/** Changes a record that was neither spent nor is over, if it still is as `where` says (columns of `oidc_records`); false when not. */
export async function changeRecord(
  db: Database,
  id_hash: Buffer,
  change: UpdateObject<Tables, 'oidc_records'>,
  where: RawBuilder<boolean>,
): Promise<boolean> {
  const result = await db
    .updateTable('oidc_records')
    .set(change)
    .where('id_hash', '=', id_hash)
    .where('consumed_at', 'is', null)
    .where('expires_at', '>', sql<Date>`gapura_now()`)
    .where(where)
    .executeTakeFirst();
  return result.numUpdatedRows === 1n;
}

/** An interaction resumes once. The emptied row stays a while, so that its page can say so and lead back. */
async function finishInteraction(db: Database, id_hash: Buffer): Promise<void> {
  const change = { consumed_at: sql<Date>`gapura_now()`, payload: '{}' };
  if (!(await changeRecord(db, id_hash, change, sql`true`))) throw spent('Interaction');
}

/** Ends all that came of a sign-in whose refresh token two hands have, and writes that down once. */
async function endFamily({ db, request }: RecordStore): Promise<void> {
  const { grant_id, ...whose } = reusedFamily() ?? {};
  if (grant_id === undefined) return;
  const sent_by = request()?.sent_by;
  await inTransaction(db, async (tx) => {
    const { numDeletedRows } = await tx.deleteFrom('oidc_records').where('grant_id', '=', grant_id).executeTakeFirst();
    if (numDeletedRows > 0n) await record(tx, { kind: 'refresh_reused', ...whose, request: sent_by });
  });
}

/** Ends a grant: its codes and tokens, and the grant itself. */
export async function endGrant(db: Database, grant_id: string): Promise<void> {
  await endGrants(db, [grant_id]);
}

/** Ends several grants. */
export async function endGrants(db: Database, grant_ids: string[]): Promise<void> {
  if (grant_ids.length > 0) await db.deleteFrom('oidc_records').where('grant_id', 'in', grant_ids).execute();
}

/** Ends all that a client was granted, a batch at a time so that no statement takes long, and the tokens it got for itself. */
export async function endGrantsOfClient(db: Database, client_id: string, batch = 1000): Promise<void> {
  for (let ended = 1n; ended > 0n; ) {
    const { numAffectedRows = 0n } = await sql`DELETE FROM oidc_records WHERE grant_id IN (
      SELECT grant_id FROM oidc_records WHERE model = 'Grant' AND client_id = ${client_id} LIMIT ${batch})`.execute(db);
    ended = numAffectedRows;
  }
  // These live for minutes and are found by that: an index by client would cost every token that is issued.
  await sql`DELETE FROM oidc_records WHERE model = 'ClientCredentials' AND client_id = ${client_id}
    AND expires_at < gapura_now() + interval '1 hour'`.execute(db);
}

/** Ends all that a client was granted by a person, in whatever session, and what outlived its session. */
export async function endGrantsOf(db: Database, account_id: string, client_id: string): Promise<void> {
  const grants = db
    .selectFrom('oidc_records')
    .select('grant_id')
    .where('model', '=', 'Grant')
    .where('account_id', '=', account_id)
    .where('client_id', '=', client_id);
  await db.deleteFrom('oidc_records').where('grant_id', 'in', grants).execute();
}

/** Ends the tokens that may change a client (RFC 7592), or the one that is spent on it; false when that was gone. */
export async function endRegistrationTokens(
  tx: Transaction,
  store: RecordStore,
  client_id: string,
  token?: string,
): Promise<boolean> {
  const id_hash = keyedDigest(store.id_key, `RegistrationAccessToken\0${token}`);
  const result = await tx
    .deleteFrom('oidc_records')
    .where('model', '=', 'RegistrationAccessToken')
    .where('client_id', '=', client_id)
    .$if(token !== undefined, (query) => query.where('id_hash', '=', id_hash))
    .executeTakeFirst();
  return result.numDeletedRows > 0n;
}

/** Notes that a token identifier was used; false when it was used before (RFC 7523 section 3, RFC 9449 section 11.1). */
export async function insertReplayMarker(store: RecordStore, id: string, expiresIn: number): Promise<boolean> {
  const result = await store.db
    .insertInto('oidc_records')
    .values({
      id_hash: keyedDigest(store.id_key, `ReplayDetection\0${id}`),
      model: 'ReplayDetection',
      payload: '{}',
      expires_at: expiry(Math.max(expiresIn, 1)),
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return result.numInsertedOrUpdatedRows === 1n;
}

/** Deletes up to `batch` records whose time is over; interactions stay long enough to lead a late visitor back. */
export async function purgeRecords(db: Database, batch = 1000): Promise<number> {
  const memory = sql`make_interval(secs => ${policy('interaction.memory')})`;
  const { numAffectedRows = 0n } = await sql`DELETE FROM oidc_records WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM oidc_records WHERE expires_at < gapura_now() - interval '1 minute'
      AND (model <> 'Interaction' OR expires_at < gapura_now() - ${memory})
    ORDER BY expires_at LIMIT ${batch} FOR UPDATE SKIP LOCKED))`.execute(db);
  return Number(numAffectedRows);
}
