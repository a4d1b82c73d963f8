/** Notices that an application sends by itself: a user's password or account changed there, so its links must be proven again. */

import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import { sql } from 'kysely';
import { z } from 'zod';
import { type Application, findApplication } from '../applications.ts';
import { record } from '../audit.ts';
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

const jwksSchema = z.looseObject({ keys: z.array(z.looseObject({ kty: z.string() })).max(50) });

/**
 * Takes a Security Event Token (RFC 8417) of an application: signed by its key, issued by its address for us, at most five
 * minutes old, once. Unknown events are taken and change nothing.
 */
export async function receiveNotice(store: NoticeStore, application_id: string, token: string): Promise<NoticeOutcome> {
  const application = await findApplication(store.db, application_id);
  const settings = httpSettings.safeParse(application?.verifier_settings);
  if (!application || !settings.data?.notices_jwks_uri) return { state: 'refused', err: 'authentication_failed' };

  let keys: JSONWebKeySet;
  try {
    keys = await readKeys(store, settings.data.notices_jwks_uri, settings.data.private_hosts);
  } catch (error) {
    if (error instanceof OutboundError || error instanceof SyntaxError || error instanceof TypeError)
      return { state: 'unavailable' };
    throw error;
  }
  const notice = await verify(token, keys, application, store.audience);
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

async function readKeys({ call }: NoticeStore, uri: string, accept_private: string[]): Promise<JSONWebKeySet> {
  const { status, body } = await call(uri, { timeout_ms: 3000, max_bytes: 65_536, accept_private });
  const read = status === 200 ? jwksSchema.safeParse(JSON.parse(body.toString('utf8'))) : undefined;
  // An application that is out of order for a moment must send its notice again, not give it up.
  if (!read?.success) throw new TypeError('no set of keys');
  return read.data as JSONWebKeySet;
}

type Refusal = Extract<NoticeOutcome, { state: 'refused' }>['err'];

async function verify(
  token: string,
  keys: JSONWebKeySet,
  application: Application,
  audience: string,
): Promise<z.output<typeof noticeSchema> | Refusal> {
  try {
    const { payload } = await jwtVerify(token, createLocalJWKSet(keys), {
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
    const { code, claim } = error as { code?: string; claim?: string };
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

/** Forgets notices that are too old to be sent again. */
export async function purgeNotices(db: Database): Promise<number> {
  const result = await db
    .deleteFrom('link_notices')
    .where('received_at', '<', sql<Date>`gapura_now() - interval '1 day'`)
    .executeTakeFirst();
  return Number(result.numDeletedRows);
}
