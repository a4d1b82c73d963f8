/** Government agencies: named by their code, which never changes, since clients, links and claims know them by it. */

import { type Selectable, sql } from 'kysely';
import { z } from 'zod';
import type { Database, Transaction } from '../database.ts';
import type { Agencies } from '../tables.ts';
import { mailDomains } from './mail-domains.ts';
import { code, words } from './shapes.ts';

export type Agency = Selectable<Agencies>;

/** What describes an agency and may change. */
export const agencySchema = z.object({ name: words(200), name_en: words(200), mail_domains: mailDomains });

export const newAgencySchema = z.object({
  code: code(/^[A-Z0-9-]{2,20}$/, 'errors.agency.code'),
  ...agencySchema.shape,
});

/** Adds an agency that is missing; one that is there keeps what officers made of it. */
export async function saveAgency(db: Database, agency: Pick<Agency, 'code' | 'name' | 'name_en'>): Promise<void> {
  await db
    .insertInto('agencies')
    .values(agency)
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** Adds an agency; of two with one code at once one comes first. */
export async function createAgency(
  tx: Transaction,
  agency: z.output<typeof newAgencySchema>,
): Promise<{ state: 'done'; agency: Agency } | { state: 'refused'; errors: { code: string } }> {
  const created = await tx
    .insertInto('agencies')
    .values(agency)
    .onConflict((conflict) => conflict.doNothing())
    .returningAll()
    .executeTakeFirst();
  return created
    ? { state: 'done', agency: created }
    : { state: 'refused', errors: { code: 'errors.agency.code_taken' } };
}

/** Changes an agency, unless somebody did since `version`. */
export async function changeAgency(
  tx: Transaction,
  { code, version }: Pick<Agency, 'code' | 'version'>,
  change: z.output<typeof agencySchema>,
): Promise<{ state: 'done' } | { state: 'conflict' }> {
  const result = await tx
    .updateTable('agencies')
    .set(change)
    .where('code', '=', code)
    .where('version', '=', version)
    .executeTakeFirst();
  return { state: result.numUpdatedRows === 1n ? 'done' : 'conflict' };
}

/** Switches an agency on or off: off, nobody is offered any of its directorates. */
export async function setAgencyActive(
  tx: Transaction,
  code: string,
  active: boolean,
): Promise<{ state: 'done' } | { state: 'conflict' }> {
  const result = await tx
    .updateTable('agencies')
    .set({ active })
    .where('code', '=', code)
    .where('active', '<>', active)
    .executeTakeFirst();
  return { state: result.numUpdatedRows === 1n ? 'done' : 'conflict' };
}

/** An agency by its code. */
export async function findAgency(db: Database, code: string): Promise<Agency | undefined> {
  return db.selectFrom('agencies').selectAll().where('code', '=', code).executeTakeFirst();
}

/** All agencies by name. */
export async function listAgencies(db: Database): Promise<Agency[]> {
  return db.selectFrom('agencies').selectAll().orderBy('name').execute();
}

/** What hangs on an agency, counted. */
export async function weighAgency(
  db: Database,
  code: string,
): Promise<{ applications: number; clients: number; directorates: number; people: number }> {
  const { rows } = await sql<{ applications: number; clients: number; directorates: number; people: number }>`SELECT
    (SELECT count(*)::int FROM applications WHERE agency_code = ${code} AND active) AS applications,
    (SELECT count(*)::int FROM clients WHERE agency_code = ${code} AND directorate_required AND active) AS clients,
    (SELECT count(*)::int FROM directorates WHERE agency_code = ${code} AND active) AS directorates,
    (SELECT count(DISTINCT p.account_id)::int FROM directorates d JOIN memberships m ON m.directorate_id = d.id
      JOIN account_organisations p ON p.organisation_id = m.organisation_id
      WHERE d.agency_code = ${code} AND d.active) AS people`.execute(db);
  return rows[0] as (typeof rows)[0];
}
