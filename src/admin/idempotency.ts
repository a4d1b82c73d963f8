/** Requests that are sent twice and done once: the answer to an `Idempotency-Key` is kept, sealed, and given again. */

import { sql } from 'kysely';
import type { Config } from '../config.ts';
import { deriveKey, deriveKeys, keyedDigest, open, type Secret, seal } from '../crypto.ts';
import type { Database, Transaction } from '../database.ts';

/** An answer as it was given: status, headers that matter, body. */
export interface KeptAnswer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

/** A request with its key: whose, and a digest of all that it asks. */
export interface KeyedRequest {
  actor: string;
  key: string;
  asked: string;
}

export type Claim =
  | { state: 'new' }
  | { state: 'done'; answer: KeptAnswer }
  /** The key was used for another request. */
  | { state: 'mismatch' };

const purpose = 'api answers';

/**
 * Takes a key in the transaction that does the work: of two requests at once the second waits for the first and gets its
 * answer; when the first is rolled back, the second does the work.
 */
export async function claimKey(tx: Transaction, config: Config, { actor, key, asked }: KeyedRequest): Promise<Claim> {
  const hash_key = deriveKey(config.secrets[0] as Secret, 'api keys');
  const key_hash = keyedDigest(hash_key, JSON.stringify([actor, key]));
  const asked_hash = keyedDigest(hash_key, asked);
  const taken = await tx
    .insertInto('api_answers')
    .values({ key_hash, asked_hash })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  if (taken.numInsertedOrUpdatedRows === 1n) return { state: 'new' };
  const kept = await tx.selectFrom('api_answers').selectAll().where('key_hash', '=', key_hash).executeTakeFirst();
  if (!kept?.answer || !kept.asked_hash.equals(asked_hash)) return { state: 'mismatch' };
  const text = open(deriveKeys(config.secrets, purpose), kept.answer, contextOf(key_hash));
  return { state: 'done', answer: JSON.parse(text) as KeptAnswer };
}

/** Keeps the answer beside its key. It may hold a secret that is shown once, so it is sealed. */
export async function keepAnswer(
  tx: Transaction,
  config: Config,
  { actor, key }: KeyedRequest,
  answer: KeptAnswer,
): Promise<void> {
  const key_hash = keyedDigest(deriveKey(config.secrets[0] as Secret, 'api keys'), JSON.stringify([actor, key]));
  const sealed = seal(deriveKey(config.secrets[0] as Secret, purpose), JSON.stringify(answer), contextOf(key_hash));
  await tx.updateTable('api_answers').set({ answer: sealed }).where('key_hash', '=', key_hash).execute();
}

// An answer that was moved to another row opens there no more.
function contextOf(key_hash: Buffer): string {
  return `api_answers.answer:${key_hash.toString('base64url')}`;
}

/** A duty: forgets answers after a day, a batch at a time; says how many. */
export async function purgeAnswers(db: Database, batch = 1000): Promise<number> {
  const { numAffectedRows = 0n } = await sql`DELETE FROM api_answers WHERE key_hash IN (
    SELECT key_hash FROM api_answers WHERE created_at < gapura_now() - interval '1 day' LIMIT ${batch})`.execute(db);
  return Number(numAffectedRows);
}
