/** Trials of clients: which administrator tries which client, from which browser session; each is used once. */

import { randomUUID } from 'node:crypto';
import { type Insertable, type Selectable, sql } from 'kysely';
import type { Config } from './config.ts';
import { deriveKeys, keyedDigest, open, randomToken, seal } from './crypto.ts';
import type { Database, Transaction } from './database.ts';
import type { Trials } from './tables.ts';

/** What reads and writes trials: the database, the keys that hash and seal, and where the engine answers a trial. */
export interface TrialStore {
  db: Database;
  hash_keys: Buffer[];
  seal_keys: Buffer[];
  /** The redirect address of every trial; it is registered for no client. */
  address: string;
}

/** What a trial asks for, in the words of an authorization request (OpenID Connect Core 3.1.2.1). */
export interface TrialRequest {
  scope: string;
  /** The claims parameter (section 5.5). */
  claims?: { id_token?: Record<string, unknown>; userinfo?: Record<string, unknown> };
  prompt?: string;
  acr_values?: string;
  resource?: string;
}

/** Whose trial it is: nobody else, and no other browser, can go on with it. */
export interface TrialOwner {
  account_id: string;
  session_uid: string;
}

/** A trial that goes on. */
export interface Trial extends TrialOwner {
  id: string;
  client_id: string;
  grant_id: string | undefined;
}

/** A trial at its end, with what redeems its code. */
export interface SpentTrial extends Trial {
  request: TrialRequest;
  nonce: string;
  verifier: string;
}

/** Seconds from its beginning in which a trial must be finished; what is granted for it lives no longer. */
export const trial_lifetime = 600;

export function openTrials(db: Database, config: Pick<Config, 'secrets' | 'url'>): TrialStore {
  return {
    db,
    hash_keys: deriveKeys(config.secrets, 'trials'),
    seal_keys: deriveKeys(config.secrets, 'trials sealed'),
    address: `${config.url}/admin/trials/callback`,
  };
}

/** Writes a trial; the secret, the nonce and the code verifier are made here, and the secret is stored nowhere. */
export async function addTrial(
  tx: Transaction,
  { hash_keys, seal_keys }: TrialStore,
  { account_id, session_uid, client_id, request }: TrialOwner & { client_id: string; request: TrialRequest },
): Promise<{ secret: string; nonce: string; verifier: string }> {
  const [id, secret, nonce, verifier] = [randomUUID(), randomToken(), randomToken(16), randomToken()];
  const row: Insertable<Trials> = {
    id,
    secret_hash: keyedDigest(hash_keys[0] as Buffer, secret),
    client_id,
    account_id,
    session_uid,
    request: JSON.stringify(request),
    nonce,
    sealed_verifier: seal(seal_keys[0] as Buffer, verifier, sealedIn(id)),
    expires_at: sql<Date>`gapura_now() + make_interval(secs => ${trial_lifetime})` as unknown as Date,
  };
  await tx.insertInto('trials').values(row).execute();
  return { secret, nonce, verifier };
}

/** The trial that a secret names, while it goes on. */
export async function findTrial({ db, hash_keys }: TrialStore, secret: string): Promise<Trial | undefined> {
  const row = await db
    .selectFrom('trials')
    .select(['id', 'client_id', 'account_id', 'session_uid', 'grant_id'])
    .where('secret_hash', 'in', hashes(hash_keys, secret))
    .where(goes_on)
    .executeTakeFirst();
  return row && { ...row, grant_id: row.grant_id ?? undefined };
}

/**
 * Gives a trial the grant made for it, if it still has the one that this request began with (`from`; undefined: none).
 * @returns the grant it has now, the caller's or another tab's; undefined when the trial is over
 */
export async function claimTrialGrant(
  db: Database,
  id: string,
  from: string | undefined,
  grant_id: string,
): Promise<string | undefined> {
  const claimed = await db
    .updateTable('trials')
    .set({ grant_id })
    .where('id', '=', id)
    .where(sql<boolean>`grant_id IS NOT DISTINCT FROM ${from ?? null}::text`)
    .where(goes_on)
    .executeTakeFirst();
  if (claimed.numUpdatedRows === 1n) return grant_id;
  const row = await db.selectFrom('trials').select('grant_id').where('id', '=', id).where(goes_on).executeTakeFirst();
  return row?.grant_id ?? undefined;
}

/** Ends the trial that a secret names, once, and only for the person and the session that began it. */
export async function spendTrial(
  { db, hash_keys, seal_keys }: TrialStore,
  secret: string,
  { account_id, session_uid }: TrialOwner,
): Promise<SpentTrial | undefined> {
  const row = await db
    .updateTable('trials')
    .set({ spent_at: sql<Date>`gapura_now()` })
    .where('secret_hash', 'in', hashes(hash_keys, secret))
    .where('account_id', '=', account_id)
    .where('session_uid', '=', session_uid)
    .where(goes_on)
    .returningAll()
    .executeTakeFirst();
  return row && openTrial(row, seal_keys);
}

function openTrial(row: Selectable<Trials>, seal_keys: Buffer[]): SpentTrial {
  const { id, client_id, account_id, session_uid, grant_id, request, nonce, sealed_verifier } = row;
  const verifier = open(seal_keys, sealed_verifier, sealedIn(id));
  const asked = request as unknown as TrialRequest;
  return { id, client_id, account_id, session_uid, grant_id: grant_id ?? undefined, request: asked, nonce, verifier };
}

/** Deletes up to `batch` trials whose time is over, and gives the grants that they had. */
export async function deleteTrials(tx: Transaction, batch: number): Promise<{ deleted: number; grant_ids: string[] }> {
  const { rows } = await sql<{ grant_id: string | null }>`DELETE FROM trials WHERE id = ANY (ARRAY(
    SELECT id FROM trials WHERE expires_at < gapura_now() ORDER BY expires_at LIMIT ${batch} FOR UPDATE SKIP LOCKED))
    RETURNING grant_id`.execute(tx);
  return { deleted: rows.length, grant_ids: rows.flatMap((row) => row.grant_id ?? []) };
}

const goes_on = sql<boolean>`spent_at IS NULL AND expires_at > gapura_now()`;

function hashes(keys: Buffer[], secret: string): Buffer[] {
  return keys.map((key) => keyedDigest(key, secret));
}

function sealedIn(id: string): string {
  return `trials.sealed_verifier:${id}`;
}
