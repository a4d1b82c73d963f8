/** The SQL of links: one default to a person and application, and which of them serves. */

import { type Selectable, sql } from 'kysely';
import { is_stale } from '../applications/table.ts';
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

/** Takes a link back to the moment of its proof, and to what its application has said of the user name since then. */
export async function dateLink(tx: Transaction, { id, application_id, subject }: Link, proved_at: Date): Promise<void> {
  await tx
    .updateTable('links')
    .set({
      verified_at: proved_at,
      stale_at: sql<Date | null>`(SELECT max(o.stale_at) FROM links o
        WHERE o.application_id = ${application_id} AND o.subject = ${subject} AND o.stale_at > ${proved_at})`,
    })
    .where('id', '=', id)
    .execute();
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
  if (!link.is_default) return link;
  const [next] = await listLinks(tx, account_id, link.application_id);
  if (next) await makeDefault(tx, next);
  return link;
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
