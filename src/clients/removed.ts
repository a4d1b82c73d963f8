/** The ids of clients that were removed, under which nobody is registered again. */

import { sql } from 'kysely';
import type { Transaction } from '../database.ts';

/** Makes whoever registers or removes a client under this id wait for the end of the transaction. */
export async function lockClientId(tx: Transaction, id: string): Promise<void> {
  await sql`SELECT pg_advisory_xact_lock(hashtextextended(${`client id ${id}`}, 0))`.execute(tx);
}

/** Whether a client with this id was removed; asked under the lock, it stays so. */
export async function wasRemoved(tx: Transaction, id: string): Promise<boolean> {
  const row = await tx.selectFrom('removed_clients').select('client_id').where('client_id', '=', id).executeTakeFirst();
  return row !== undefined;
}

/** Keeps the id of a client that is being removed. */
export async function keepRemoved(tx: Transaction, id: string): Promise<void> {
  await tx
    .insertInto('removed_clients')
    .values({ client_id: id })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}
