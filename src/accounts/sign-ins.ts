/** Which interaction ended in whose sign-in: one row for each, written once. */

import { sql } from 'kysely';
import type { Database, Transaction } from '../database.ts';
import { prepare } from '../statements.ts';

/** A sign-in that is done; its row stays for `seconds`. */
interface DoneSignIn {
  interaction_hash: Buffer;
  client_id: string;
  account_id: string;
  generation: number;
  amr: string[];
  seconds: number;
}

/** Writes down whose sign-in at an interaction was done; counts none where another was first. */
export const writeSignIn = prepare<DoneSignIn>('sign-in', 'write', (db, value) =>
  db
    .insertInto('sign_ins')
    .values({
      interaction_hash: value('interaction_hash'),
      client_id: value('client_id'),
      state: sql.lit('done'),
      account_id: value('account_id'),
      generation: value('generation'),
      amr: value('amr'),
      done_at: sql<Date>`gapura_now()`,
      expires_at: sql<Date>`gapura_now() + make_interval(secs => ${value('seconds')})`,
    })
    .onConflict((conflict) => conflict.doNothing()),
);

/** Who signed in at an interaction. */
export async function findSignIn(tx: Transaction, interaction_hash: Buffer): Promise<string | undefined> {
  const row = await tx
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
