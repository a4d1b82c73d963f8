/** The SQL of requests for a user name that another holds: made by a proof, decided once by an officer. */

import { type Selectable, sql } from 'kysely';
import type { Database, Transaction } from '../database.ts';
import type { LinkRequests } from '../tables.ts';
import type { ProvenName } from './store.ts';

export type LinkRequest = Selectable<LinkRequests>;

export type Decision = 'granted' | 'refused';

/** Notes that somebody proved a name that another holds; asking again while a request waits adds none. */
export async function addRequest(
  tx: Transaction,
  account_id: string,
  application_id: string,
  name: ProvenName,
): Promise<boolean> {
  const result = await tx
    .insertInto('link_requests')
    .values({ account_id, application_id, ...name })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return result.numInsertedOrUpdatedRows === 1n;
}

/** Takes a person's own request back: the name is theirs now, and nobody need decide. */
export async function dropRequest(
  tx: Transaction,
  account_id: string,
  application_id: string,
  subject: string,
): Promise<void> {
  await tx
    .deleteFrom('link_requests')
    .where('account_id', '=', account_id)
    .where('application_id', '=', application_id)
    .where('subject', '=', subject)
    .where('decision', 'is', null)
    .execute();
}

/** A person's requests at an application that wait for an officer. */
export async function listRequests(
  db: Database,
  account_id: string,
  application_id: string,
): Promise<{ username: string; proved_at: Date }[]> {
  return db
    .selectFrom('link_requests')
    .select(['username', 'proved_at'])
    .where('account_id', '=', account_id)
    .where('application_id', '=', application_id)
    .where('decision', 'is', null)
    .orderBy('proved_at')
    .execute();
}

/** What was decided in the last thirty days of a person's requests at an application, the latest first, once for each name. */
export async function listDecided(
  db: Database,
  account_id: string,
  application_id: string,
): Promise<{ username: string; decision: Decision; decided_at: Date; because: string | null }[]> {
  const { rows } = await sql<{ username: string; decision: Decision; decided_at: Date; because: string | null }>`
    SELECT username, decision, decided_at, because FROM (
      SELECT DISTINCT ON (subject) username, decision, coalesce(decided_at, proved_at) AS decided_at, because
      FROM link_requests WHERE account_id = ${account_id} AND application_id = ${application_id}
      ORDER BY subject, decision IS NULL DESC, decided_at DESC) AS latest
    WHERE decision IS NOT NULL AND decided_at > gapura_now() - interval '30 days'
    ORDER BY decided_at DESC`.execute(db);
  return rows;
}

/** A request, whatever became of it. */
export async function findRequest(db: Database, id: string): Promise<LinkRequest | undefined> {
  return db.selectFrom('link_requests').selectAll().where('id', '=', id).executeTakeFirst();
}

/** Decides a request that waits; of several officers at once one does. */
export async function decideRequest(
  tx: Transaction,
  id: string,
  { decision, by, because }: { decision: Decision; by: string; because: string },
): Promise<boolean> {
  const result = await tx
    .updateTable('link_requests')
    .set({ decision, decided_by: by, decided_at: sql`gapura_now()`, because: because || null })
    .where('id', '=', id)
    .where('decision', 'is', null)
    .executeTakeFirst();
  return result.numUpdatedRows === 1n;
}
