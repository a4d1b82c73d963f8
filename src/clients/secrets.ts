/** The secrets of clients: two at a time so that an application can change over, kept as keyed hashes, shown once, announced before they end. */

import { createHmac } from 'node:crypto';
import { sql } from 'kysely';
import { nowSeconds } from '../clock.ts';
import { isSame, keyedHash, randomToken, seal } from '../crypto.ts';
import { type Database, inTransaction, type Transaction } from '../database.ts';
import type { ClientStore } from './client.ts';
import type { SecretHash } from './engine-client.ts';
import { signsWithSecret, usesSecret } from './secret-use.ts';

/** So many of a client's secrets are valid at a time: the one in use, and the one that replaces it. */
const most_secrets = 2;

/** Of a secret in use, the last use is noted this often; nothing is written in between. */
const noted_every = 3600;

/** A secret as it may be told: never the secret, nor what it is compared with. */
export interface ClientSecret {
  id: string;
  created_at: Date;
  expires_at: Date | null;
  /** To the hour; null for one that was never used. */
  last_used_at: Date | null;
  issued_by: string | null;
  is_live: boolean;
}

export type Issued =
  /** The secret itself exists only here. */
  | { state: 'issued'; id: string; secret: string }
  | { state: 'refused'; because: 'unknown' | 'no_secret' | 'too_many' | 'already_over' };

/** Gives a client one more secret, unless it has two that are valid, or says who it is in another way. */
export async function issueClientSecret(
  tx: Transaction,
  store: ClientStore,
  client_id: string,
  { expires_at, by }: { expires_at?: Date | null; by: string | null },
): Promise<Issued> {
  // Until the end of the transaction; of many at once each counts what those before it left.
  const client = await lockClient(tx, client_id);
  if (!client) return { state: 'refused', because: 'unknown' };
  if (!usesSecret(client.metadata) && !signsWithSecret(client.metadata))
    return { state: 'refused', because: 'no_secret' };
  const found = await tx
    .selectFrom('client_secrets')
    .select([
      sql<number>`(count(*) FILTER (WHERE ${is_live}))::int`.as('live'),
      sql<boolean>`coalesce(${expires_at ?? null}::timestamptz <= gapura_now(), false)`.as('is_over'),
    ])
    .where('client_id', '=', client_id)
    .executeTakeFirstOrThrow();
  if (found.is_over) return { state: 'refused', because: 'already_over' };
  if (found.live >= most_secrets) return { state: 'refused', because: 'too_many' };
  // By the first word whoever searches code for secrets that were left in it knows what they found, and whose it is.
  const secret = `gapura_secret_${randomToken()}`;
  const id = await insertSecret(tx, store, client_id, client.metadata, secret, {
    expires_at: expires_at ?? null,
    issued_by: by,
  });
  return { state: 'issued', id, secret };
}

/**
 * Gives a client a secret that is known already: the demonstration's, or a dynamic client's. Those given earlier stay valid.
 * @throws Error for a client that does not exist
 */
export async function addClientSecret(store: ClientStore, client_id: string, secret: string): Promise<void> {
  await inTransaction(store.db, async (tx) => {
    const client = await lockClient(tx, client_id);
    if (!client) throw new Error(`there is no client ${client_id}`);
    const known = await tx
      .selectFrom('client_secrets')
      .select('id')
      .where('client_id', '=', client_id)
      .where('hash', '=', keyedHash(store.hash_keys[0] as Buffer, secret))
      .executeTakeFirst();
    if (!known)
      await insertSecret(tx, store, client_id, client.metadata, secret, { expires_at: null, issued_by: null });
  });
}

/** Ends a secret, at once or at a time that is not later than its own. @returns whether the client had such a one */
export async function endClientSecret(tx: Transaction, client_id: string, id: string, at?: Date): Promise<boolean> {
  if (!/^[0-9a-f-]{36}$/.test(id)) return false;
  if (!at) {
    const { numDeletedRows } = await tx
      .deleteFrom('client_secrets')
      .where('client_id', '=', client_id)
      .where('id', '=', id)
      .executeTakeFirst();
    return numDeletedRows === 1n;
  }
  const { numUpdatedRows } = await tx
    .updateTable('client_secrets')
    .set({ expires_at: sql<Date>`least(expires_at, ${at}::timestamptz)` })
    .where('client_id', '=', client_id)
    .where('id', '=', id)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

/** Ends all of a client's secrets, for one that changes them itself. */
export async function endClientSecrets(tx: Transaction, client_id: string): Promise<void> {
  await tx.deleteFrom('client_secrets').where('client_id', '=', client_id).execute();
}

/** The secrets of a client, the newest first; those that have ended are among them until they are removed. */
export async function listClientSecrets(db: Database, client_id: string): Promise<ClientSecret[]> {
  return db
    .selectFrom('client_secrets')
    .select(['id', 'created_at', 'expires_at', 'last_used_at', 'issued_by', is_live.as('is_live')])
    .where('client_id', '=', client_id)
    .orderBy('created_at', 'desc')
    .orderBy('id')
    .execute();
}

/** Which of a client's secrets this is; `hashes` is what `findClientMetadata` gave the engine as `secret_hashes`. */
export function findClientSecret(
  { hash_keys }: Pick<ClientStore, 'hash_keys'>,
  hashes: unknown,
  secret: string,
): SecretHash | undefined {
  const candidates = hash_keys.map((key) => keyedHash(key, secret));
  const known = Array.isArray(hashes) ? (hashes as SecretHash[]) : [];
  return known.find(
    ({ hash, expires_at }) =>
      (expires_at === null || expires_at > nowSeconds()) && candidates.some((candidate) => isSame(candidate, hash)),
  );
}

/** Whether `secret` is one of a client's. */
export function isClientSecret(store: Pick<ClientStore, 'hash_keys'>, hashes: unknown, secret: string): boolean {
  return findClientSecret(store, hashes, secret) !== undefined;
}

/** Notes that a secret was used; one statement an hour, and none in between. */
export async function noteSecretUse({ db }: Pick<ClientStore, 'db'>, secret: SecretHash): Promise<void> {
  const { id, last_used_at } = secret;
  if (last_used_at !== null && nowSeconds() - last_used_at < noted_every) return;
  await db
    .updateTable('client_secrets')
    .set({ last_used_at: sql`gapura_now()` })
    .where('id', '=', id)
    .where(sql<boolean>`coalesce(last_used_at < gapura_now() - make_interval(secs => ${noted_every / 2}), true)`)
    .execute();
  // The client it belongs to is kept, and asks again at its next use.
  secret.last_used_at = nowSeconds();
}

/** With which of these secrets an assertion was signed (HS256; RFC 7523 section 3); the engine has verified that one fits. */
export function findSigningSecret(secrets: readonly string[], assertion: string): string | undefined {
  const [head, body, signature = ''] = assertion.split('.');
  return secrets.find((secret) =>
    isSame(createHmac('sha256', secret).update(`${head}.${body}`).digest('base64url'), signature),
  );
}

/** A secret that is about to end, and whose client it opens. */
export interface EndingSecret {
  id: string;
  expires_at: Date | null;
  client_id: string;
  metadata: Record<string, unknown>;
  agency_code: string | null;
}

/** The valid secrets of active clients that end within so many days and whose end was not announced, the next first. */
export async function listEndingSecrets(db: Database, days: number, limit = 500): Promise<EndingSecret[]> {
  return db
    .selectFrom('client_secrets as s')
    .innerJoin('clients as c', 'c.id', 's.client_id')
    .select(['s.id', 's.expires_at', 's.client_id', 'c.metadata', 'c.agency_code'])
    .where('s.warned_at', 'is', null)
    .where('s.expires_at', '<=', sql<Date>`gapura_now() + make_interval(days => ${days})`)
    .where('s.expires_at', '>', sql<Date>`gapura_now()`)
    .where('c.active', '=', true)
    .orderBy('s.expires_at')
    .limit(limit)
    .execute();
}

/** Notes that a secret's end is being announced. @returns whether nobody else did */
export async function claimWarning(tx: Transaction, id: string): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('client_secrets')
    .set({ warned_at: sql`gapura_now()` })
    .where('id', '=', id)
    .where('warned_at', 'is', null)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

const is_live = sql<boolean>`(expires_at IS NULL OR expires_at > gapura_now())`;

function lockClient(tx: Transaction, id: string) {
  return tx.selectFrom('clients').select('metadata').where('id', '=', id).forUpdate().executeTakeFirst();
}

async function insertSecret(
  tx: Transaction,
  { hash_keys, seal_keys }: ClientStore,
  client_id: string,
  metadata: Record<string, unknown>,
  secret: string,
  more: { expires_at: Date | null; issued_by: string | null },
): Promise<string> {
  const sealed = signsWithSecret(metadata)
    ? seal(seal_keys[0] as Buffer, secret, `client_secrets.sealed:${client_id}`)
    : null;
  const { id } = await tx
    .insertInto('client_secrets')
    .values({ client_id, hash: keyedHash(hash_keys[0] as Buffer, secret), sealed, ...more })
    .returning('id')
    .executeTakeFirstOrThrow();
  return id;
}
