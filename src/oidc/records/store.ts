/** The engine's records in PostgreSQL: hashed ids, single use by conditional statements, standing in every read. */

import type { Adapter, AdapterPayload } from 'oidc-provider';
import { type AuditRequest, record } from '../../audit/audit.ts';
import type { ClientStore } from '../../clients/client.ts';
import type { Config } from '../../config.ts';
import { deriveKey, keyedDigest, type Secret } from '../../crypto.ts';
import { type Database, inTransaction, type Transaction } from '../../database.ts';
import type { Authorization } from '../../tables.ts';
import type { RequestOfEngine } from '../internals.ts';
import { findRecord } from './one-read.ts';
import { forgetCookie, spent, writable } from './records.ts';
import { reusedFamily } from './refresh.ts';
import { spendLater, spendNow, writeLater } from './spend-later.ts';
import { deleteRecord, endGrants, endTokens, finishInteraction, writeRecord } from './write.ts';

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
      const row = {
        id_hash: hash(id),
        model,
        // An interaction belongs to nobody yet; its session is checked on its own.
        account_id: model === 'Interaction' ? null : (payload.accountId ?? null),
        client_id: payload.clientId ?? (payload.params?.client_id as string | undefined) ?? null,
        grant_id: model === 'Grant' ? id : model === 'Interaction' ? null : (payload.grantId ?? null),
        user_code_hash: payload.userCode ? keyedDigest(store.id_key, `user code\0${payload.userCode}`) : null,
        generation: generation ?? null,
        payload: writable(kept),
        seconds: ttl as number,
      };
      if (!writeLater(row) && !(await writeRecord(db, row))) throw spent(model);
    },

    find: (id) => findRecord(db, model, id, hash(id)),

    async findByUserCode() {
      return undefined;
    },

    async findByUid() {
      return undefined;
    },

    async consume(id) {
      const spending = { model, id_hash: hash(id) };
      if (!spendLater(spending) && !(await spendNow(db, spending))) throw spent(model);
    },

    async destroy(id) {
      if (model === 'Interaction') return finishInteraction(db, hash(id));
      if (is_refresh && reusedFamily()) return endFamily(store);
      if (model === 'Grant' && (store.request()?.signs_out || reusedFamily())) return;
      await deleteRecord(db, hash(id));
    },

    async revokeByGrantId(grantId) {
      // The engine calls this once per model at the same time; the first deletes for all of them.
      // At a sign-out the session's own transaction does it: one that fails must leave all as it was. A family's end is one too.
      if (model !== 'AccessToken' || store.request()?.signs_out || reusedFamily()) return;
      await endTokens(db, grantId);
    },
  };
}

/** Ends all that came of a sign-in whose refresh token two hands have, and writes that down once. */
async function endFamily({ db, request }: RecordStore): Promise<void> {
  const { grant_id, ...whose } = reusedFamily() ?? {};
  if (grant_id === undefined) return;
  const sent_by = request()?.sent_by;
  await inTransaction(db, async (tx) => {
    if ((await endGrants(tx, [grant_id])) > 0) await record(tx, { kind: 'refresh_reused', ...whose, request: sent_by });
  });
}
