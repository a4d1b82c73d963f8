/** The engine's records and sessions in PostgreSQL: hashed ids, single use by conditional statements, standing in every read. */

import { sql } from 'kysely';
import { type Adapter, type AdapterPayload, errors } from 'oidc-provider';
import type { AuditRequest } from '../audit.ts';
import { type ClientStore, findClientMetadata } from '../clients.ts';
import { nowSeconds } from '../clock.ts';
import type { Config } from '../config.ts';
import { deriveKey, keyedDigest, type Secret } from '../crypto.ts';
import { type Database, inTransaction, type Transaction } from '../database.ts';
import { policy } from '../policy.ts';
import type { Authorization } from '../tables.ts';
import type { RequestOfEngine } from './internals.ts';

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
  because: 'sign_out' | 'session_ended';
  /** Who asked for it; undefined when a duty ended it. */
  sent_by: AuditRequest | undefined;
}

/** The key that turns an id of the engine into what is stored. */
export function recordKey(config: Pick<Config, 'secrets'>): Buffer {
  return deriveKey(config.secrets[0] as Secret, 'engine record ids');
}

/** The engine's adapter for one of its models. */
export function createAdapter(store: RecordStore, model: string): Adapter {
  if (model === 'Session') return sessionAdapter(store);
  if (model === 'Client') return clientAdapter(store);
  return recordAdapter(store, model);
}

// What may still be used: the generation is the account's (DESIGN: every account has a generation), and the account is
// neither locked nor past its expiry. Part of each read, so that no cache and no second statement can miss it.
const standing = sql<boolean>`(r.account_id IS NULL OR EXISTS (
  SELECT FROM accounts a WHERE a.id = r.account_id AND a.generation = r.generation
    AND (a.expires_at IS NULL OR a.expires_at > gapura_now())
    AND NOT EXISTS (SELECT FROM account_locks l WHERE l.account_id = a.id)))`;

// By the database's clock, given back by this node's: a node whose clock is off kills no code (DESIGN 1.9).
const seconds_left = sql<number>`ceil(extract(epoch FROM r.expires_at - gapura_now()))::int`;

const expiry = (seconds: number) => sql<Date>`gapura_now() + make_interval(secs => ${seconds})`;

function recordAdapter(store: RecordStore, model: string): Adapter {
  const { db } = store;
  const hash = (id: string) => keyedDigest(store.id_key, `${model}\0${id}`);

  return {
    async upsert(id, payload, ttl) {
      const { jti: _jti, generation, ...kept } = payload as AdapterPayload & { generation?: number };
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
        .where('r.id_hash', '=', hash(id))
        .where(standing)
        .executeTakeFirst();
      if (!row || (model === 'Interaction' && row.consumed_at)) return undefined;
      return {
        ...row.payload,
        jti: id,
        exp: nowSeconds() + row.seconds_left,
        ...(row.generation === null ? {} : { generation: row.generation }),
        ...(row.consumed_at ? { consumed: Math.floor(row.consumed_at.getTime() / 1000) } : {}),
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
        .updateTable('oidc_records')
        .set({ consumed_at: sql`gapura_now()` })
        .where('id_hash', '=', hash(id))
        .where('consumed_at', 'is', null)
        .executeTakeFirst();
      if (result.numUpdatedRows !== 1n) throw spent(model);
    },

    async destroy(id) {
      if (model === 'Interaction') return finishInteraction(db, hash(id));
      await db.deleteFrom('oidc_records').where('id_hash', '=', hash(id)).execute();
    },

    async revokeByGrantId(grantId) {
      // The engine calls this once per model at the same time; the first deletes for all of them.
      if (model !== 'AccessToken') return;
      await db.deleteFrom('oidc_records').where('grant_id', '=', grantId).where('model', '<>', 'Grant').execute();
    },
  };
}

/** A client can post a NUL, and jsonb keeps none: that is the client's mistake and not ours. */
function writable(payload: object): string {
  const text = JSON.stringify(payload);
  if (text.includes('\\u0000')) throw new errors.InvalidRequest('a parameter contains a NUL character');
  return text;
}

/** The error of the one who came second, by what was used twice. */
function spent(model: string): Error {
  if (model === 'Interaction') return new errors.SessionNotFound('interaction is finished');
  if (model === 'PushedAuthorizationRequest')
    return new errors.InvalidRequestUri('request_uri is invalid, expired, or was already used');
  return new errors.InvalidGrant('already used');
}

/** The engine notes the session's cookie in an interaction and never reads it; no column may hold it. */
function forgetCookie(payload: AdapterPayload): void {
  if (payload.session)
    payload.session = { ...payload.session, cookie: undefined } as NonNullable<AdapterPayload['session']>;
}

/** An interaction resumes once. The emptied row stays a while, so that its page can say so and lead back. */
async function finishInteraction(db: Database, id_hash: Buffer): Promise<void> {
  const result = await db
    .updateTable('oidc_records')
    .set({ consumed_at: sql`gapura_now()`, payload: '{}' })
    .where('id_hash', '=', id_hash)
    .where('consumed_at', 'is', null)
    .where('expires_at', '>', sql<Date>`gapura_now()`)
    .executeTakeFirst();
  if (result.numUpdatedRows !== 1n) throw spent('Interaction');
}

function clientAdapter({ clients }: RecordStore): Adapter {
  const refuse = async () => {
    throw new Error('clients are written by clients.ts');
  };
  return {
    find: async (id) => {
      const metadata = await findClientMetadata(clients, id);
      return metadata && (JSON.parse(JSON.stringify(metadata)) as AdapterPayload);
    },
    upsert: refuse,
    consume: refuse,
    destroy: refuse,
    findByUid: refuse,
    findByUserCode: refuse,
    revokeByGrantId: refuse,
  };
}

interface SessionPayload extends AdapterPayload {
  /** Set by `find`: the session has a row. Never stored. */
  stored?: boolean;
  /** Set when the engine gave the session a new cookie id. Never stored. */
  renewed?: boolean;
  generation?: number;
  authorizations?: Record<string, Authorization>;
}

function sessionAdapter(store: RecordStore): Adapter {
  const { db } = store;
  const hash = (id: string) => keyedDigest(store.id_key, `Session\0${id}`);

  const read = async (column: 'uid' | 'id_hash', value: string | Buffer): Promise<SessionPayload | undefined> => {
    const row = await db
      .selectFrom('oidc_sessions as r')
      .select([
        'r.uid',
        'r.account_id',
        'r.generation',
        'r.payload',
        'r.authorizations',
        seconds_left.as('seconds_left'),
      ])
      .where(`r.${column}`, '=', value)
      .where(standing)
      .executeTakeFirst();
    if (!row) return undefined;
    return {
      ...row.payload,
      kind: 'Session',
      uid: row.uid,
      ...(row.account_id ? { accountId: row.account_id } : {}),
      ...(row.generation === null ? {} : { generation: row.generation }),
      authorizations: row.authorizations,
      exp: nowSeconds() + row.seconds_left,
      stored: true,
    };
  };

  return {
    async upsert(id, payload, ttl) {
      const {
        uid,
        accountId,
        generation,
        authorizations = {},
        stored,
        renewed,
        exp: _exp,
        jti: _jti,
        kind: _kind,
        ...kept
      } = payload as SessionPayload;
      if (!stored) {
        await db
          .insertInto('oidc_sessions')
          .values({
            uid: uid as string,
            id_hash: hash(id),
            account_id: accountId ?? null,
            generation: generation ?? null,
            payload: JSON.stringify(kept),
            authorizations: JSON.stringify(authorizations),
            expires_at: expiry(ttl as number),
          })
          .execute();
        return;
      }
      await updateSession(store, {
        uid: uid as string,
        id_hash: hash(id),
        accountId,
        generation,
        authorizations,
        renewed,
        kept,
        ttl: ttl as number,
      });
    },

    async find(id) {
      const session = await read('id_hash', hash(id));
      return session && { ...session, jti: id };
    },

    findByUid: (uid) => read('uid', uid),

    async destroy(id) {
      const row = await db.selectFrom('oidc_sessions').select('uid').where('id_hash', '=', hash(id)).executeTakeFirst();
      if (row) await endSession(store, row.uid, 'sign_out');
    },

    async consume() {},
    async revokeByGrantId() {},
    async findByUserCode() {
      return undefined;
    },
  };
}

interface SessionChange {
  uid: string;
  id_hash: Buffer;
  accountId: string | undefined;
  generation: number | undefined;
  authorizations: Record<string, Authorization>;
  renewed: boolean | undefined;
  kept: Record<string, unknown>;
  ttl: number;
}

/**
 * Merges what this request owns into the session's row: the entry of its own client; who signed in, only if it signed
 * somebody in; the state of a sign-out, only on the sign-out's own routes; the cookie's id, only if it was renewed. Six
 * applications opened at once would otherwise overwrite each other's entries. A session that ended meanwhile is not restored.
 */
async function updateSession(store: RecordStore, change: SessionChange): Promise<void> {
  const { uid, id_hash, accountId, generation, authorizations, renewed, kept, ttl } = change;
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
      ...(request?.signs_in ? { account_id: accountId ?? null, generation: generation ?? null } : {}),
      payload: sql`${owns_state ? sql`payload - 'state'` : sql`payload`} || ${JSON.stringify(patch)}::jsonb`,
      ...(client_id !== undefined && entry
        ? { authorizations: sql`authorizations || ${JSON.stringify({ [client_id]: entry })}::jsonb` }
        : {}),
      ...(client_id !== undefined && !entry && request?.leaves_client
        ? { authorizations: sql`authorizations - ${client_id}::text` }
        : {}),
      expires_at: expiry(ttl),
    })
    .where('uid', '=', uid)
    .executeTakeFirst();
  if (result.numUpdatedRows !== 1n)
    throw Object.assign(new errors.SessionNotFound('session has ended'), { allow_redirect: false });
}

/**
 * Ends a session in one transaction: the row, the grants it held with their codes and tokens (those meant to outlive it
 * stay), and whatever `sessionEnded` adds. Reads the applications from the row it deletes, so that one opened a moment
 * before is told, and one that comes a moment later finds no session.
 * @returns whether there was a session to end
 */
export async function endSession(store: RecordStore, uid: string, because: EndedSession['because']): Promise<boolean> {
  return inTransaction(store.db, async (tx) => {
    const row = await tx
      .deleteFrom('oidc_sessions')
      .where('uid', '=', uid)
      .returning(['uid', 'account_id', 'authorizations'])
      .executeTakeFirst();
    if (!row) return false;
    const grants = Object.values(row.authorizations)
      .filter((entry) => entry.grantId && !entry.persistsLogout)
      .map((entry) => entry.grantId as string);
    if (grants.length > 0) await tx.deleteFrom('oidc_records').where('grant_id', 'in', grants).execute();
    await store.sessionEnded(tx, { ...row, because, sent_by: store.request()?.sent_by });
    return true;
  });
}

/** Ends a grant: its codes and tokens, and the grant itself. */
export async function endGrant(db: Database, grant_id: string): Promise<void> {
  await db.deleteFrom('oidc_records').where('grant_id', '=', grant_id).execute();
}

/**
 * The sessions whose account was closed, revoked or ran out within the last day and which are still there: what the
 * sweep ends. (They open nothing any more; the sweep tells the applications and frees the rows.)
 */
export async function listDeadSessions(db: Database, limit = 200): Promise<string[]> {
  const rows = await db
    .selectFrom('accounts as a')
    .innerJoin('oidc_sessions as r', 'r.account_id', 'a.id')
    .select('r.uid')
    .where(sql<boolean>`(a.revoked_at > gapura_now() - interval '1 day' AND r.generation IS DISTINCT FROM a.generation)
      OR (a.expires_at BETWEEN gapura_now() - interval '1 day' AND gapura_now())`)
    .limit(limit)
    .execute();
  return rows.map((row) => row.uid);
}

/** Why an interaction's page is no longer valid, and whose client it served; undefined for one never heard of. */
export async function findPastInteraction(
  store: RecordStore,
  uid: string,
): Promise<{ because: 'finished' | 'expired' | 'elsewhere'; client_id: string } | undefined> {
  const row = await store.db
    .selectFrom('oidc_records as r')
    .select(['r.client_id', 'r.consumed_at', seconds_left.as('seconds_left')])
    .where('r.id_hash', '=', keyedDigest(store.id_key, `Interaction\0${uid}`))
    .executeTakeFirst();
  if (!row?.client_id) return undefined;
  const because = row.consumed_at ? 'finished' : row.seconds_left <= 0 ? 'expired' : 'elsewhere';
  return { because, client_id: row.client_id };
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
  const records = await sql`DELETE FROM oidc_records WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM oidc_records WHERE expires_at < gapura_now() - interval '1 minute'
      AND (model <> 'Interaction' OR expires_at < gapura_now() - ${memory})
    ORDER BY expires_at LIMIT ${batch} FOR UPDATE SKIP LOCKED))`.execute(db);
  const sessions = await sql`DELETE FROM oidc_sessions WHERE uid = ANY (ARRAY(
    SELECT uid FROM oidc_sessions WHERE expires_at < gapura_now() - interval '1 minute'
    ORDER BY expires_at LIMIT ${batch} FOR UPDATE SKIP LOCKED))`.execute(db);
  return Number(records.numAffectedRows ?? 0n) + Number(sessions.numAffectedRows ?? 0n);
}
