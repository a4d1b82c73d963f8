/** Codes on which devices wait: found by what a person types, opened by one of them, decided once, and not asked for too often. */

import { sql } from 'kysely';
import { type Adapter, type AdapterPayload, errors, Provider } from 'oidc-provider';
import { nowSeconds } from '../../clock.ts';
import { keyedDigest } from '../../crypto.ts';
import { codeIsUsed } from '../internals-device.ts';
import { type RecordStore, recordAdapter } from '../records/store.ts';
import { changeRecord } from '../records/write.ts';

/** What the engine adds to a code as a person comes by. */
interface DevicePayload extends AdapterPayload {
  generation?: number;
}

/** A device that asks sooner than these many seconds after its last try is told to slow down; it was asked to wait 5 (RFC 8628, section 3.2). */
const least_pause = 4;

/** The engine's adapter for device codes (RFC 8628). */
export function deviceAdapter(store: RecordStore): Adapter {
  const { db } = store;
  const hash = (id: string) => readHandle(id) ?? keyedDigest(store.id_key, `DeviceCode\0${id}`);
  const codes = recordAdapter(store, 'DeviceCode', hash);

  return {
    ...codes,

    async upsert(id, payload, ttl) {
      const { inFlight, accountId, error } = payload as DevicePayload;
      if (inFlight || accountId || error) return decide(store, hash(id), payload as DevicePayload);
      await codes.upsert(id, payload, ttl);
    },

    async find(id) {
      const code = await codes.find(id);
      const is_waiting = code && !code.consumed && !code.accountId && !code.error && (code.exp ?? 0) > nowSeconds();
      if (is_waiting && Provider.ctx?.oidc.route === 'token') await pace(store, hash(id));
      return code;
    },

    async findByUserCode(userCode) {
      const row = await db
        .selectFrom('oidc_records')
        .select('id_hash')
        .where('user_code_hash', '=', keyedDigest(store.id_key, `user code\0${userCode}`))
        .where('model', '=', 'DeviceCode')
        .executeTakeFirst();
      const code = row && (await codes.find(handle + row.id_hash.toString('base64url')));
      return code && { ...code, userCode };
    },
  };
}

// What a person types leads to a row. The device's own code stands nowhere, so the engine is given the row's name in its
// place; it counts only where a person decides, and a device that sent it would find nothing.
const handle = 'row.';

function readHandle(id: string): Buffer | undefined {
  const { route } = Provider.ctx?.oidc ?? {};
  const is_person = route === 'code_verification' || route === 'device_resume';
  return is_person && id.startsWith(handle) ? Buffer.from(id.slice(handle.length), 'base64url') : undefined;
}

/**
 * Writes that somebody opened a code, or what they decided. One person opens it and the same one decides: whoever comes
 * second, at once or later, is told that it is used (GHSA-cq3f-vc6p-68fh: a code approved by another than who opened it).
 * @throws AlreadyUsedError (the engine's)
 */
async function decide({ db }: RecordStore, id_hash: Buffer, payload: DevicePayload): Promise<void> {
  const { jti: _jti, exp: _exp, userCode: _userCode, generation, ...kept } = payload;
  const { inFlight, accountId, error, grantId } = kept;
  const is_decided = Boolean(accountId ?? error);
  const change = {
    payload: sql<string>`payload || ${JSON.stringify(kept)}::jsonb`,
    ...(accountId ? { account_id: accountId } : {}),
    ...(grantId ? { grant_id: grantId } : {}),
    ...(generation === undefined ? {} : { generation }),
  };
  const is_open = sql<boolean>`account_id IS NULL AND NOT payload ? 'error'
    AND (payload ? 'inFlight') = ${Boolean(inFlight && is_decided)}`;
  if (!(await changeRecord(db, id_hash, change, is_open))) throw codeIsUsed();
}

/** @throws SlowDown (RFC 8628, section 3.5) */
async function pace({ db }: RecordStore, id_hash: Buffer): Promise<void> {
  const now = sql`extract(epoch FROM gapura_now())`;
  const change = { payload: sql<string>`payload || jsonb_build_object('asked_at', ${now})` };
  const has_waited = sql<boolean>`coalesce((payload->>'asked_at')::numeric, 0) <= ${now} - ${least_pause}::int`;
  if (!(await changeRecord(db, id_hash, change, has_waited))) throw new errors.SlowDown();
}
