/** The browsers in which a person has signed in before, where strangers' failures do not slow them down. */

import { sql } from 'kysely';
import type { Config } from '../config.ts';
import { deriveKey, keyedDigest, type Secret } from '../crypto.ts';
import type { Database, Transaction } from '../database.ts';
import { policy } from '../policy/policy.ts';
import { prepare } from '../statements.ts';

/** The key under which they are known. */
export function browserKey({ secrets }: Pick<Config, 'secrets'>): Buffer {
  return deriveKey(secrets[0] as Secret, 'sign-ins');
}

/** What is stored of the value that a browser holds. */
export function hashBrowser(key: Buffer, browser: string): Buffer {
  return keyedDigest(key, `browser\0${browser}`);
}

/** Notes that a person has proven in a browser who they are. */
export async function rememberBrowser(tx: Transaction, account_id: string, browser_hash: Buffer): Promise<void> {
  await writeBrowser(tx, { account_id, browser_hash });
}

interface BrowserValues {
  account_id: string;
  browser_hash: Buffer;
}

/** The statement that notes a browser; `from` says after which step of a WITH, and whether at all. They are kept for months: a day is exact enough. */
export const insertBrowser = (
  value: <Key extends keyof BrowserValues>(key: Key) => BrowserValues[Key],
  from = sql``,
) => sql`
  INSERT INTO browsers (account_id, browser_hash) SELECT ${value('account_id')}::uuid, ${value('browser_hash')}::bytea ${from}
  ON CONFLICT (account_id, browser_hash) DO UPDATE SET last_seen_at = gapura_now()
  WHERE browsers.last_seen_at < gapura_now() - interval '1 day'`;

const writeBrowser = prepare<BrowserValues>('browser', 'write', (_db, value) => insertBrowser(value));

/** Forgets every browser of a person: whoever sat there may have been somebody else. */
export async function forgetBrowsers(tx: Transaction, account_id: string): Promise<void> {
  await tx.deleteFrom('browsers').where('account_id', '=', account_id).execute();
}

/** A duty: deletes up to `batch` browsers that nobody has used for as long as policy says; says how many. */
export async function purgeBrowsers(db: Database, batch = 1000): Promise<number> {
  const { numAffectedRows = 0n } = await sql`DELETE FROM browsers WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM browsers WHERE last_seen_at < gapura_now() - make_interval(secs => ${policy('browsers.memory')})
    ORDER BY last_seen_at LIMIT ${batch} FOR UPDATE SKIP LOCKED))`.execute(db);
  return Number(numAffectedRows);
}
