/** Notices that an application sends by itself: a user's password or account changed there, so its links must be proven again. */

import { createRemoteJWKSet, customFetch, jwtVerify } from 'jose';
import { sql } from 'kysely';
import { z } from 'zod';
import { type Application, findApplication } from '../applications/application.ts';
import { record } from '../audit/audit.ts';
import { now } from '../clock.ts';
import { type Database, inTransaction, type Transaction } from '../database.ts';
import { OutboundError } from '../outbound.ts';
import type { VerifierTools } from './link.ts';
import { markStale } from './store.ts';
import { httpSettings } from './verifiers/http.ts';

/** What reading a notice needs; `audience` is our issuer. */
export interface NoticeStore {
  db: Database;
  audience: string;
  call: VerifierTools['call'];
}

/** The error codes of RFC 8935 section 2.4; `unavailable` asks the application to send it again. */
export type NoticeOutcome =
  | { state: 'taken'; marked: number }
  | {
      state: 'refused';
      err: 'invalid_request' | 'invalid_key' | 'invalid_issuer' | 'invalid_audience' | 'authentication_failed';
    }
  | { state: 'unavailable' };

// What each of these means for a link is the same: what was proven may no longer hold (OpenID CAEP and RISC event types).
const events = [
  'https://schemas.openid.net/secevent/caep/event-type/credential-change',
  'https://schemas.openid.net/secevent/risc/event-type/account-disabled',
  'https://schemas.openid.net/secevent/risc/event-type/account-purged',
];

const noticeSchema = z.object({
  jti: z
    .string()
    .min(8)
    .max(200)
    .refine((text) => !text.includes('\0')),
  sub_id: z.object({
    format: z.literal('opaque'),
    id: z
      .string()
      .min(1)
      .max(200)
      .refine((text) => !text.includes('\0')),
  }),
  events: z.record(z.string(), z.unknown()),
});

/**
 * Takes a Security Event Token (RFC 8417) of an application: signed by its key, issued by its address for us, at most five
 * minutes old, once. Unknown events are taken and change nothing.
 */
export async function receiveNotice(store: NoticeStore, application_id: string, token: string): Promise<NoticeOutcome> {
  const application = await findApplication(store.db, application_id);
  const settings = httpSettings.safeParse(application?.verifier_settings);
  if (!application || !settings.data?.notices_jwks_uri) return { state: 'refused', err: 'authentication_failed' };

  const keys = keysOf(store, application.id, settings.data.notices_jwks_uri, settings.data.private_hosts);
  const notice = await verify(token, keys, application, store.audience);
  if (notice === 'unavailable') return { state: 'unavailable' };
  if (typeof notice === 'string') return { state: 'refused', err: notice };
  return inTransaction(store.db, async (tx) => {
    if (!(await takeNotice(tx, application.id, notice.jti))) return { state: 'taken', marked: 0 };
    if (!events.some((event) => Object.hasOwn(notice.events, event))) return { state: 'taken', marked: 0 };
    const accounts = await markStale(tx, application.id, notice.sub_id.id);
    for (const account_id of accounts)
      await record(tx, { kind: 'link_stale', account_id, detail: { application: application.id } });
    return { state: 'taken', marked: accounts.length };
  });
}

type Keys = ReturnType<typeof createRemoteJWKSet>;

const known_keys = new Map<string, Keys>();

/**
 * The keys of an application, read from it when they are needed and at most every half minute again: whoever sends us
 * forgeries cannot make us flood it.
 */
function keysOf({ call }: NoticeStore, application_id: string, uri: string, accept_private: string[]): Keys {
  const name = JSON.stringify([application_id, uri, accept_private]);
  const known = known_keys.get(name);
  if (known) return known;
  const keys = createRemoteJWKSet(new URL(uri), {
    cooldownDuration: 30_000,
    cacheMaxAge: 300_000,
    [customFetch]: async (url) => {
      const { status, body } = await call(url, { timeout_ms: 3000, max_bytes: 65_536, accept_private });
      return new Response(new Uint8Array(body), { status });
    },
  });
  known_keys.set(name, keys);
  return keys;
}

type Refusal = Extract<NoticeOutcome, { state: 'refused' }>['err'];

async function verify(
  token: string,
  keys: Keys,
  application: Application,
  audience: string,
): Promise<z.output<typeof noticeSchema> | Refusal | 'unavailable'> {
  try {
    const { payload } = await jwtVerify(token, keys, {
      issuer: application.url,
      audience,
      typ: 'secevent+jwt',
      algorithms: ['ES256', 'EdDSA', 'PS256', 'RS256'],
      maxTokenAge: 300,
      clockTolerance: 15,
      currentDate: now(),
    });
    const read = noticeSchema.safeParse(payload);
    return read.success ? read.data : 'invalid_request';
  } catch (error) {
    // An application that is out of order for a moment must send its notice again, not give it up.
    if (error instanceof OutboundError) return 'unavailable';
    const { code, claim } = error as { code?: string; claim?: string };
    if (code && ['ERR_JOSE_GENERIC', 'ERR_JWKS_INVALID', 'ERR_JWKS_TIMEOUT'].includes(code)) return 'unavailable';
    if (claim === 'iss') return 'invalid_issuer';
    if (claim === 'aud') return 'invalid_audience';
    const is_key_wrong = code === 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' || code?.startsWith('ERR_JWKS');
    return is_key_wrong ? 'invalid_key' : 'invalid_request';
  }
}

/** Takes a notice once. */
export async function takeNotice(tx: Transaction, application_id: string, jti: string): Promise<boolean> {
  const result = await tx
    .insertInto('link_notices')
    .values({ application_id, jti })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return result.numInsertedOrUpdatedRows === 1n;
}

/** Forgets up to `batch` notices that are too old to be sent again. */
export async function purgeNotices(db: Database, batch = 1000): Promise<number> {
  const { numAffectedRows = 0n } = await sql`DELETE FROM link_notices WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM link_notices WHERE received_at < gapura_now() - interval '1 day' LIMIT ${batch}))`.execute(db);
  return Number(numAffectedRows);
}
