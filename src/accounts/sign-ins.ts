/** Which interaction ended in whose sign-in: one row for each, written once. */

import { sql } from 'kysely';
import { type EventValues, eventSteps } from '../audit/audit.ts';
import type { Database } from '../database.ts';
import { prepare } from '../statements.ts';
import { insertBrowser } from './browsers.ts';

/** A sign-in that is done, with the browser it was done in and its event; its row stays for `seconds`. */
interface DoneSignIn extends EventValues {
  interaction_hash: Buffer;
  client_id: string;
  account_id: string;
  generation: number;
  amr: string[];
  seconds: number;
  browser_hash: Buffer;
}

/**
 * Writes down whose sign-in at an interaction was done, in which browser, and that it was: all of it or, where another was
 * first, nothing. Gives a row when it was written.
 */
export const writeSignIn = prepare<DoneSignIn>(
  'sign-in',
  'write',
  (_db, value) => sql`
    WITH done AS (
      INSERT INTO sign_ins (interaction_hash, client_id, state, account_id, generation, amr, done_at, expires_at)
      VALUES (${value('interaction_hash')}, ${value('client_id')}, 'done', ${value('account_id')}, ${value('generation')},
        ${value('amr')}, gapura_now(), gapura_now() + make_interval(secs => ${value('seconds')}))
      ON CONFLICT DO NOTHING RETURNING 1),
    browser AS (${insertBrowser(value, sql`FROM done`)}),
    ${eventSteps(value, sql`FROM done`)}
    SELECT FROM done`,
);

/** Who signed in at an interaction. */
export async function findSignIn(db: Database, interaction_hash: Buffer): Promise<string | undefined> {
  const row = await db
    .selectFrom('sign_ins')
    .select('account_id')
    .where('interaction_hash', '=', interaction_hash)
    .executeTakeFirst();
  return row?.account_id ?? undefined;
}

/** A duty: deletes up to `batch` sign-ins whose time is over; says how many. */
export async function purgeSignIns(db: Database, batch = 1000): Promise<number> {
  const { numAffectedRows = 0n } = await sql`DELETE FROM sign_ins WHERE interaction_hash = ANY (ARRAY(
    SELECT interaction_hash FROM sign_ins WHERE expires_at < gapura_now() LIMIT ${batch}))`.execute(db);
  return Number(numAffectedRows);
}
