/** Organisations (one per NPWP), agencies with their directorates, and which organisation has a user in which directorate. */

import { type Insertable, type Selectable, sql } from 'kysely';
import { z } from 'zod';
import type { Database } from './database.ts';
import type { Agencies, Directorates, Organisations } from './tables.ts';

export type Agency = Selectable<Agencies>;
export type Directorate = Selectable<Directorates>;
export type Organisation = Selectable<Organisations>;

/**
 * An NPWP in its 16-digit form: 15 digits (old, in any mask) get a leading zero, 16 stay (domain 2.1, 2.2).
 * @returns undefined when it has another number of digits
 */
export function normaliseNpwp(typed: string): string | undefined {
  const digits = typed.replace(/[\s.-]/g, '');
  if (/^\d{15}$/.test(digits)) return `0${digits}`;
  return /^\d{16}$/.test(digits) ? digits : undefined;
}

/** Whether the check digit of a company's NPWP holds: Luhn over the first eight digits after the leading zero (domain 2.1). */
export function hasValidCheckDigit(npwp: string): boolean {
  if (!npwp.startsWith('0')) return true;
  const sum = [...npwp.slice(1, 9)]
    .map(Number)
    .map((digit, place) => (place % 2 === 0 ? digit : digit * 2))
    .reduce((total, product) => total + (product > 9 ? product - 9 : product), 0);
  return (10 - (sum % 10)) % 10 === Number(npwp[9]);
}

/** The shape of an organisation as it is written; lengths and patterns of domain 2.1 to 2.8. */
export const organisationSchema = z.object({
  name: z.string().trim().min(2).max(200),
  npwp: z.string().transform((typed, check) => {
    const npwp = normaliseNpwp(typed);
    if (!npwp) check.addIssue({ code: 'custom', message: 'errors.npwp' });
    return npwp ?? '';
  }),
  nitku: z
    .string()
    .regex(/^\d{22}$/)
    .nullish(),
  nib: z
    .string()
    .regex(/^\d{13}$/)
    .nullish(),
  edi_number: z
    .string()
    .toUpperCase()
    .regex(/^[A-Z0-9._-]{1,35}$/)
    .nullish(),
  srp: z
    .string()
    .toUpperCase()
    .regex(/^[0-9A-Z./-]{1,30}$/)
    .nullish(),
  address: z.string().max(300).nullish(),
  city: z.string().max(100).nullish(),
  postal_code: z
    .string()
    .regex(/^\d{5}$/)
    .nullish(),
  phone_number: z.string().max(30).nullish(),
  fax_number: z.string().max(30).nullish(),
  department: z.string().max(200).nullish(),
});

/** Writes an organisation by its NPWP: a new one is added, a known one brought up to date. */
export async function saveOrganisation(
  db: Database,
  organisation: z.input<typeof organisationSchema>,
): Promise<Organisation> {
  const values = Object.fromEntries(
    Object.entries(organisationSchema.parse(organisation)).filter(([, value]) => value !== undefined),
  ) as Insertable<Organisations>;
  return db
    .insertInto('organisations')
    .values(values)
    .onConflict((conflict) => conflict.column('npwp').doUpdateSet({ ...values, updated_at: sql`gapura_now()` }))
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** Writes an agency by its code. */
export async function saveAgency(db: Database, agency: Pick<Agency, 'code' | 'name' | 'name_en'>): Promise<void> {
  const { name, name_en } = agency;
  await db
    .insertInto('agencies')
    .values(agency)
    .onConflict((conflict) => conflict.column('code').doUpdateSet({ name, name_en }))
    .execute();
}

/** Writes a directorate by its agency and code. */
export async function saveDirectorate(
  db: Database,
  directorate: Pick<Directorate, 'agency_code' | 'code' | 'name'>,
): Promise<Directorate> {
  return db
    .insertInto('directorates')
    .values(directorate)
    .onConflict((conflict) => conflict.columns(['agency_code', 'code']).doUpdateSet({ name: directorate.name }))
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** Notes that an organisation has a user in a directorate. */
export async function addMembership(db: Database, organisation_id: string, directorate_id: string): Promise<void> {
  await db
    .insertInto('memberships')
    .values({ organisation_id, directorate_id })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** Notes that a person acts for an organisation. */
export async function addPerson(
  db: Database,
  account_id: string,
  organisation_id: string,
  position?: string,
): Promise<void> {
  await db
    .insertInto('account_organisations')
    .values({ account_id, organisation_id, position: position ?? null })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** The organisation a person acts for; the earliest where they have several. */
export async function findOrganisationOf(db: Database, account_id: string): Promise<Organisation | undefined> {
  return db
    .selectFrom('account_organisations as p')
    .innerJoin('organisations as o', 'o.id', 'p.organisation_id')
    .selectAll('o')
    .where('p.account_id', '=', account_id)
    .orderBy('p.created_at')
    .orderBy('o.npwp')
    .executeTakeFirst();
}

/** An agency by its code. */
export async function findAgency(db: Database, code: string): Promise<Agency | undefined> {
  return db.selectFrom('agencies').selectAll().where('code', '=', code).executeTakeFirst();
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
