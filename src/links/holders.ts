/** The SQL of who holds a user name of an application: one person, or the people of one organisation. */

import { sql } from 'kysely';
import type { Database, Transaction } from '../database.ts';

/**
 * Takes a user name for a holder unless another has it; one statement, so that of several at once one comes first. It is free
 * again when its last link goes, however it goes (the trigger links_free_name).
 */
export async function takeName(
  tx: Transaction,
  application_id: string,
  subject: string,
  holder_id: string,
): Promise<boolean> {
  const { rows } = await sql<{ holder_id: string }>`
    INSERT INTO link_holders AS h (application_id, subject, holder_id) VALUES (${application_id}, ${subject}, ${holder_id})
    ON CONFLICT (application_id, subject) DO UPDATE SET holder_id = h.holder_id RETURNING h.holder_id`.execute(tx);
  return rows[0]?.holder_id === holder_id;
}

/** Gives a user name to a holder, whoever has it, and says who that was; the row stays locked. Those concerned have lined up. */
export async function giveName(
  tx: Transaction,
  application_id: string,
  subject: string,
  holder_id: string,
): Promise<string | undefined> {
  const held = await tx
    .selectFrom('link_holders')
    .select('holder_id')
    .where('application_id', '=', application_id)
    .where('subject', '=', subject)
    .forUpdate()
    .executeTakeFirst();
  await tx
    .insertInto('link_holders')
    .values({ application_id, subject, holder_id })
    .onConflict((conflict) => conflict.columns(['application_id', 'subject']).doUpdateSet({ holder_id }))
    .execute();
  return held?.holder_id;
}

/**
 * Writes anew who holds the names of an application whose policy of sharing has just changed: the person, or the organisation
 * for which they act. Where several would have to hold one name, nothing is written.
 * @returns the user names that stand in the way, a dozen at most
 */
export async function shareNames(
  tx: Transaction,
  application_id: string,
  sharing: 'one_person' | 'same_organisation',
): Promise<string[]> {
  // The same organisation as findOrganisationOf gives.
  const holder =
    sharing === 'one_person'
      ? sql`l.account_id`
      : sql`coalesce((SELECT o.id FROM account_organisations p JOIN organisations o ON o.id = p.organisation_id
          WHERE p.account_id = l.account_id ORDER BY p.created_at, o.npwp LIMIT 1), l.account_id)`;
  const { rows } = await sql<{ username: string }>`
    SELECT min(l.username) AS username FROM links l WHERE l.application_id = ${application_id}
    GROUP BY l.subject HAVING count(DISTINCT ${holder}) > 1 ORDER BY 1 LIMIT 12`.execute(tx);
  if (rows.length > 0) return rows.map(({ username }) => username);
  await sql`UPDATE link_holders SET holder_id = n.holder_id FROM (
      SELECT l.subject, min((${holder})::text)::uuid AS holder_id FROM links l
      WHERE l.application_id = ${application_id} GROUP BY l.subject) AS n
    WHERE link_holders.application_id = ${application_id} AND link_holders.subject = n.subject
      AND link_holders.holder_id <> n.holder_id`.execute(tx);
  return [];
}

/** The people who hold a user name. */
export async function listHolders(db: Database, application_id: string, subject: string): Promise<string[]> {
  const rows = await db
    .selectFrom('links')
    .select('account_id')
    .where('application_id', '=', application_id)
    .where('subject', '=', subject)
    .execute();
  return rows.map((row) => row.account_id);
}
