/** The SQL of links, of who holds a user name, and of requests for a held one. */

import { type Selectable, sql } from 'kysely';
import { is_stale } from '../applications.ts';
import type { Database, Transaction } from '../database.ts';
import type { Links } from '../tables.ts';

export type Link = Selectable<Links>;

/** A link as its person sees it. */
export type ShownLink = Link & { is_stale: boolean };

/** What a verifier found out about a user name. */
export interface ProvenName {
  subject: string;
  username: string;
  display_name: string | null;
  directorate: string | null;
}

/** One after the other per person and application: which link is the default is decided on what stands. */
export async function lineUp(tx: Transaction, account_id: string, application_id: string): Promise<void> {
  await sql`SELECT pg_advisory_xact_lock(hashtextextended(${`links ${account_id} ${application_id}`}, 0))`.execute(tx);
}

/** Takes a user name for a holder unless another has it; one statement, so that of several at once one comes first. */
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

/**
 * Gives a user name free when no link of it is left. The row is locked first, and only the next statement looks: a link that
 * somebody who shares the name is just making, or removing, is seen as it ends.
 */
export async function freeName(tx: Transaction, application_id: string, subject: string): Promise<void> {
  const held = sql`FROM link_holders h WHERE h.application_id = ${application_id} AND h.subject = ${subject}`;
  await sql`SELECT ${held} FOR UPDATE`.execute(tx);
  await sql`DELETE ${held}
    AND NOT EXISTS (SELECT FROM links l WHERE l.application_id = h.application_id AND l.subject = h.subject)`.execute(
    tx,
  );
}

/** Writes a link; one that stood is proven anew. The first of a person at an application is the default. */
export async function writeLink(
  tx: Transaction,
  account_id: string,
  application_id: string,
  name: ProvenName,
): Promise<Link & { is_new: boolean }> {
  const { subject, ...told } = name;
  const row = await tx
    .insertInto('links')
    .values({
      account_id,
      application_id,
      subject,
      ...told,
      is_default: sql<boolean>`NOT EXISTS (SELECT FROM links d
        WHERE d.account_id = ${account_id} AND d.application_id = ${application_id} AND d.is_default)`,
    })
    .onConflict((conflict) =>
      conflict
        .columns(['account_id', 'application_id', 'subject'])
        .doUpdateSet({ ...told, verified_at: sql`gapura_now()`, stale_at: null }),
    )
    .returningAll()
    .returning(sql<boolean>`created_at = verified_at`.as('is_new'))
    .executeTakeFirstOrThrow();
  return row;
}

/** The links of a person at an application, the default first. */
export async function listLinks(db: Database, account_id: string, application_id: string): Promise<ShownLink[]> {
  return db
    .selectFrom('links as l')
    .innerJoin('applications as p', 'p.id', 'l.application_id')
    .selectAll('l')
    .select(is_stale.as('is_stale'))
    .where('l.account_id', '=', account_id)
    .where('l.application_id', '=', application_id)
    .orderBy('l.is_default', 'desc')
    .orderBy('l.created_at')
    .execute();
}

/** A link, if it is this person's. */
export async function findLink(
  db: Database,
  account_id: string,
  id: string,
): Promise<(ShownLink & { application_name: string }) | undefined> {
  return db
    .selectFrom('links as l')
    .innerJoin('applications as p', 'p.id', 'l.application_id')
    .selectAll('l')
    .select([is_stale.as('is_stale'), 'p.name as application_name'])
    .where('l.account_id', '=', account_id)
    .where('l.id', '=', id)
    .executeTakeFirst();
}

/**
 * The link that an application is told of: a proven one of the chosen directorate, else one that belongs to none; where no
 * directorate is chosen, the default. A stale link serves nobody until it is proven again.
 */
export async function findServingLink(
  db: Database,
  account_id: string,
  application_id: string,
  directorate: string | undefined,
): Promise<Link | undefined> {
  return db
    .selectFrom('links as l')
    .innerJoin('applications as p', 'p.id', 'l.application_id')
    .selectAll('l')
    .where('l.account_id', '=', account_id)
    .where('l.application_id', '=', application_id)
    .where('p.active', '=', true)
    .where(sql<boolean>`NOT ${is_stale}`)
    .$if(directorate !== undefined, (query) =>
      query
        .where((eb) => eb.or([eb('l.directorate', '=', directorate ?? ''), eb('l.directorate', 'is', null)]))
        .orderBy('l.directorate', (order) => order.asc().nullsLast()),
    )
    .orderBy('l.is_default', 'desc')
    .orderBy('l.created_at')
    .executeTakeFirst();
}

/** Names a link; null takes the name away. */
export async function labelLink(
  tx: Transaction,
  account_id: string,
  id: string,
  label: string | null,
): Promise<Link | undefined> {
  return tx
    .updateTable('links')
    .set({ label })
    .where('id', '=', id)
    .where('account_id', '=', account_id)
    .returningAll()
    .executeTakeFirst();
}

/** Makes a link the default of its application; the caller has lined up. */
export async function makeDefault(tx: Transaction, link: Link): Promise<void> {
  const { account_id, application_id } = link;
  const own = () =>
    tx.updateTable('links').where('account_id', '=', account_id).where('application_id', '=', application_id);
  await own().set({ is_default: false }).where('is_default', '=', true).execute();
  await own().set({ is_default: true }).where('id', '=', link.id).execute();
}

/** Deletes a link; where it was the default, the oldest that is left becomes it. The caller has lined up. */
export async function deleteLink(tx: Transaction, account_id: string, id: string): Promise<Link | undefined> {
  const link = await tx
    .deleteFrom('links')
    .where('id', '=', id)
    .where('account_id', '=', account_id)
    .returningAll()
    .executeTakeFirst();
  if (!link) return undefined;
  await freeName(tx, link.application_id, link.subject);
  if (!link.is_default) return link;
  const [next] = await listLinks(tx, account_id, link.application_id);
  if (next) await makeDefault(tx, next);
  return link;
}

/** Notes that somebody proved a name that another holds; asking again while a request waits adds none. */
export async function addRequest(
  tx: Transaction,
  account_id: string,
  application_id: string,
  { subject, username }: ProvenName,
): Promise<boolean> {
  const result = await tx
    .insertInto('link_requests')
    .values({ account_id, application_id, subject, username })
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

/** Marks every link of a user name as to be proven again. */
export async function markStale(tx: Transaction, application_id: string, subject: string): Promise<string[]> {
  const rows = await tx
    .updateTable('links')
    .set({ stale_at: sql`gapura_now()` })
    .where('application_id', '=', application_id)
    .where('subject', '=', subject)
    .where('stale_at', 'is', null)
    .returning('account_id')
    .execute();
  return rows.map((row) => row.account_id);
}
