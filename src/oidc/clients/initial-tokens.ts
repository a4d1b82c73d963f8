/** The tokens that clients register themselves with (RFC 7591 section 3): issued by an administrator, good for some clients. */

import { type Selectable, sql } from 'kysely';
import type { AdapterPayload } from 'oidc-provider';
import { keyedDigest, randomToken } from '../../crypto.ts';
import type { Database, Transaction } from '../../database.ts';
import type { InitialAccessTokens } from '../../tables.ts';
import { epochExpiry, expiry } from '../records/records.ts';
import type { RecordStore } from '../records/store.ts';

/** How many clients a token registers if nobody says otherwise. */
export const clients_per_token = 10;

/** The name under which each token carries our rules; the token of the client that it brings inherits them. */
export const registration_rules = 'self_registered';

/** A token as it is listed: who issued it and what is left of it. */
export type InitialAccessToken = Omit<Selectable<InitialAccessTokens>, 'token_hash'>;

/**
 * Issues a token; the caller writes the audit.
 * @param order `by` whom (null for a program that acts for itself), `expires_in` seconds, for how many `clients`
 * @returns its id in the list, and the token, which is shown once and stands nowhere
 */
export async function issueInitialAccessToken(
  tx: Transaction,
  { id_key }: Pick<RecordStore, 'id_key'>,
  { by, expires_in, clients = clients_per_token }: { by: string | null; expires_in: number; clients?: number },
): Promise<{ id: string; token: string; expires_at: Date }> {
  const token = randomToken();
  const row = await tx
    .insertInto('initial_access_tokens')
    .values({ token_hash: hash(id_key, token), issued_by: by, expires_at: expiry(expires_in), clients_left: clients })
    .returning(['id', 'expires_at'])
    .executeTakeFirstOrThrow();
  return { ...row, token };
}

/** Every token that was not taken back, the newest first; those that are over stay for a month. */
export async function listInitialAccessTokens(db: Database): Promise<InitialAccessToken[]> {
  return db
    .selectFrom('initial_access_tokens')
    .select(['id', 'issued_by', 'issued_at', 'expires_at', 'clients_left'])
    .orderBy('issued_at', 'desc')
    .orderBy('id')
    .execute();
}

/** Takes a token back: it registers nothing any more, the clients it has brought stay. False when it was gone. */
export async function endInitialAccessToken(tx: Transaction, id: string): Promise<boolean> {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)) return false;
  const result = await tx.deleteFrom('initial_access_tokens').where('id', '=', id).executeTakeFirst();
  return result.numDeletedRows === 1n;
}

/** Takes one client off what a token is good for; undefined when none is left, it is over or was taken back. */
export async function spendInitialAccessToken(
  tx: Transaction,
  { id_key }: Pick<RecordStore, 'id_key'>,
  token: string,
): Promise<string | undefined> {
  const row = await tx
    .updateTable('initial_access_tokens')
    .set({ clients_left: sql`clients_left - 1` })
    .where('token_hash', '=', hash(id_key, token))
    .where('clients_left', '>', 0)
    .where('expires_at', '>', sql<Date>`gapura_now()`)
    .returning('id')
    .executeTakeFirst();
  return row?.id;
}

/** A token as the engine reads it (its adapter's InitialAccessToken model). One that is used up is as good as none. */
export async function findInitialAccessToken(
  { db, id_key }: Pick<RecordStore, 'db' | 'id_key'>,
  token: string,
): Promise<AdapterPayload | undefined> {
  const row = await db
    .selectFrom('initial_access_tokens')
    .select(sql<number>`ceil(extract(epoch FROM expires_at - gapura_now()))::int`.as('seconds_left'))
    .where('token_hash', '=', hash(id_key, token))
    .where('clients_left', '>', 0)
    .executeTakeFirst();
  return row && { jti: token, exp: epochExpiry(row.seconds_left), policies: [registration_rules] };
}

/** Deletes tokens that have been over for a month; a worker's duty. */
export async function purgeInitialAccessTokens(db: Database): Promise<void> {
  await db
    .deleteFrom('initial_access_tokens')
    .where('expires_at', '<', sql<Date>`gapura_now() - interval '30 days'`)
    .execute();
}

function hash(id_key: Buffer, token: string): Buffer {
  return keyedDigest(id_key, `InitialAccessToken\0${token}`);
}
