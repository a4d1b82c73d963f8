/** Directorates of the agencies, and memberships: which organisation has a user in which directorate (document D, screen D5). */

import { type Insertable, type Selectable, sql } from 'kysely';
import { z } from 'zod';
import type { Database, Transaction } from '../database.ts';
import type { Directorates } from '../tables.ts';
import { code, optionalLine, words } from './shapes.ts';

export type Directorate = Selectable<Directorates>;

/** What describes a directorate and may change; its agency and code stand in links and claims. */
export const directorateSchema = z.object({ name: words(200), name_en: optionalLine(200) });

export const newDirectorateSchema = z.object({
  agency_code: z.string().max(20, 'errors.too_long').meta({ options: 'agencies' }),
  code: code(/^[A-Z0-9-]{2,20}$/, 'errors.agency.code'),
  ...directorateSchema.shape,
});

/** Writes a directorate by its agency and code; what is not told stays as it was. */
export async function saveDirectorate(db: Database, directorate: Insertable<Directorates>): Promise<Directorate> {
  return db
    .insertInto('directorates')
    .values(directorate)
    .onConflict((conflict) => conflict.columns(['agency_code', 'code']).doUpdateSet(directorate))
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** Adds a directorate to an agency; of two with one code at once one comes first. */
export async function createDirectorate(
  tx: Transaction,
  { agency_code, ...directorate }: z.output<typeof newDirectorateSchema>,
): Promise<
  { state: 'done'; directorate: Directorate } | { state: 'refused'; errors: { agency_code: string } | { code: string } }
> {
  const agency = await tx.selectFrom('agencies').select('code').where('code', '=', agency_code).executeTakeFirst();
  if (!agency) return { state: 'refused', errors: { agency_code: 'errors.agency.unknown' } };
  const created = await tx
    .insertInto('directorates')
    .values({ agency_code, ...directorate })
    .onConflict((conflict) => conflict.doNothing())
    .returningAll()
    .executeTakeFirst();
  return created
    ? { state: 'done', directorate: created }
    : { state: 'refused', errors: { code: 'errors.directorate.code_taken' } };
}

/** Changes a directorate, unless somebody did since `version`. */
export async function changeDirectorate(
  tx: Transaction,
  { id, version }: Pick<Directorate, 'id' | 'version'>,
  change: z.output<typeof directorateSchema>,
): Promise<{ state: 'done' } | { state: 'conflict' }> {
  const result = await tx
    .updateTable('directorates')
    .set(change)
    .where('id', '=', id)
    .where('version', '=', version)
    .executeTakeFirst();
  return { state: result.numUpdatedRows === 1n ? 'done' : 'conflict' };
}

/** Switches a directorate on or off: off, nobody is offered it, and memberships wait for it to come back. */
export async function setDirectorateActive(
  tx: Transaction,
  id: string,
  active: boolean,
): Promise<{ state: 'done' } | { state: 'conflict' }> {
  const result = await tx
    .updateTable('directorates')
    .set({ active })
    .where('id', '=', id)
    .where('active', '<>', active)
    .executeTakeFirst();
  return { state: result.numUpdatedRows === 1n ? 'done' : 'conflict' };
}

export async function findDirectorate(db: Database, id: string): Promise<Directorate | undefined> {
  return db.selectFrom('directorates').selectAll().where('id', '=', id).executeTakeFirst();
}

/** The directorates of some agencies, or of all, by agency and name. */
export async function listDirectorates(db: Database, agency_codes?: string[]): Promise<Directorate[]> {
  return db
    .selectFrom('directorates')
    .selectAll()
    .$if(agency_codes !== undefined, (query) => query.where(sql<boolean>`agency_code = ANY (${agency_codes})`))
    .orderBy('agency_code')
    .orderBy('name')
    .execute();
}

/** What a directorate is called in a language. */
export function nameDirectorate({ name, name_en }: Pick<Directorate, 'name' | 'name_en'>, language: string): string {
  return (language === 'en' ? name_en : null) ?? name;
}

/**
 * Notes that an organisation has a user in a directorate.
 * @returns whether that is new
 */
export async function addMembership(db: Database, organisation_id: string, directorate_id: string): Promise<boolean> {
  const result = await db
    .insertInto('memberships')
    .values({ organisation_id, directorate_id })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return result.numInsertedOrUpdatedRows === 1n;
}

/**
 * Notes that an organisation has no user in a directorate any more: its people are asked anew for whom they act.
 * @returns whether it had
 */
export async function removeMembership(
  tx: Transaction,
  organisation_id: string,
  directorate_id: string,
): Promise<boolean> {
  const result = await tx
    .deleteFrom('memberships')
    .where('organisation_id', '=', organisation_id)
    .where('directorate_id', '=', directorate_id)
    .executeTakeFirst();
  return result.numDeletedRows === 1n;
}

/**
 * The directorates of an agency in which a person's organisation has a user (document D, screen D5): what the person may
 * choose, by name. Only active directorates of active organisations.
 */
export async function listDirectoratesOf(
  db: Database,
  account_id: string,
  agency_code: string,
): Promise<Directorate[]> {
  return db
    .selectFrom('account_organisations as p')
    .innerJoin('organisations as o', 'o.id', 'p.organisation_id')
    .innerJoin('memberships as m', 'm.organisation_id', 'p.organisation_id')
    .innerJoin('directorates as d', 'd.id', 'm.directorate_id')
    .innerJoin('agencies as a', 'a.code', 'd.agency_code')
    .selectAll('d')
    .distinct()
    .where('p.account_id', '=', account_id)
    .where('d.agency_code', '=', agency_code)
    .where('d.active', '=', true)
    .where('a.active', '=', true)
    .where('o.active', '=', true)
    .orderBy('d.name')
    .execute();
}

/** What hangs on a directorate, or on one organisation's membership in it, counted. */
export async function weighDirectorate(
  db: Database,
  id: string,
  organisation_id?: string,
): Promise<{ organisations: number; people: number }> {
  const { rows } = await sql<{ organisations: number; people: number }>`
    SELECT count(DISTINCT m.organisation_id)::int AS organisations, count(DISTINCT p.account_id)::int AS people
    FROM memberships m LEFT JOIN account_organisations p ON p.organisation_id = m.organisation_id
    WHERE m.directorate_id = ${id}
      AND (${organisation_id ?? null}::uuid IS NULL OR m.organisation_id = ${organisation_id ?? null})`.execute(db);
  return rows[0] as (typeof rows)[0];
}
