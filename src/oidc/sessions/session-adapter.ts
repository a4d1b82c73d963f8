/** The engine's adapter for sessions: read with what is asked next, written only where more changed than the time of its last use. */

import type { Adapter } from 'oidc-provider';
import { keyedDigest } from '../../crypto.ts';
import { findSessionByCookie, takeAhead } from '../records/one-read.ts';
import type { RecordStore } from '../records/store.ts';
import { changesAnything, seenFrom } from './session-change.ts';
import { isUnseen } from './session-life.ts';
import { readSession, type SessionPayload } from './session-read.ts';
import { endSession, findUid, insertSession, updateSession } from './session-store.ts';

/** The engine's adapter for sessions. */
export function sessionAdapter(store: RecordStore): Adapter {
  const { db } = store;
  const hash = (id: string) => keyedDigest(store.id_key, `Session\0${id}`);

  return {
    async upsert(id, payload, ttl) {
      const {
        uid,
        accountId,
        generation,
        authorizations = {},
        stored,
        opened,
        unseen,
        renewed,
        remembered = false,
        transient: _transient,
        password_due: _password_due,
        exp: _exp,
        jti: _jti,
        kind: _kind,
        ...kept
      } = payload as SessionPayload;
      if (!stored) {
        await insertSession(db, {
          uid: uid as string,
          id_hash: hash(id),
          account_id: accountId ?? null,
          generation: generation ?? null,
          payload: JSON.stringify(kept),
          authorizations: JSON.stringify(authorizations),
          seconds: ttl as number,
          remembered,
          ...{ user_agent: null, network: null, ...seenFrom(store.request()) },
        });
        return;
      }
      const session = { loginTs: kept.loginTs as number | undefined, remembered, unseen };
      if (!isUnseen(session) && !renewed && !changesAnything(store.request(), authorizations, opened, kept)) return;
      await updateSession(store, {
        uid: uid as string,
        id_hash: hash(id),
        accountId,
        generation,
        authorizations,
        renewed,
        remembered,
        kept,
        ttl: ttl as number,
      });
    },

    async find(id) {
      const session = await findSessionByCookie(db, hash(id));
      return session && { ...session, jti: id };
    },

    async findByUid(uid) {
      const ahead = takeAhead('Session', uid);
      return ahead ? ahead.payload : readSession(db, uid);
    },

    async destroy(id) {
      const uid = await findUid(db, hash(id));
      if (uid !== undefined) await endSession(store, uid, 'sign_out');
    },

    async consume() {},
    async revokeByGrantId() {},
    async findByUserCode() {
      return undefined;
    },
  };
}
