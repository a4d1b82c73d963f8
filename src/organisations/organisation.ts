/** Organisations: companies and public bodies, one for each NPWP, and the people who act for them. */

import { type Insertable, type Selectable, sql } from 'kysely';
import { z } from 'zod';
import type { Database, Transaction } from '../database.ts';
import { policy } from '../policy/policy.ts';
import { prepare } from '../statements.ts';
import type { Organisations } from '../tables.ts';
import { mailDomains } from './mail-domains.ts';
import {
  ediNumberShape,
  hasValidCheckDigit,
  isPlaceholder,
  nibShape,
  nitkuShape,
  normaliseNpwp,
  npwpShape,
  optionalLine,
  postalCodeShape,
  srpShape,
  time_zones,
  words,
} from './shapes.ts';

export type Organisation = Selectable<Organisations>;

/** What describes an organisation. What can be told from one field alone is told here, the rest by `judge`. */
export const organisationSchema = z.object({
  name: words(200),
  // Of a person who trades in the own name it is the NIK.
  npwp: npwpShape.meta({ group: 'numbers', personal: true }),
  nitku: nitkuShape.meta({ group: 'numbers', personal: true }),
  nib: nibShape.meta({ group: 'numbers' }),
  edi_number: ediNumberShape.meta({ group: 'numbers' }),
  srp: srpShape.meta({ group: 'numbers' }),
  department: optionalLine(200).meta({ group: 'contact' }),
  address: optionalLine(300).meta({ group: 'contact', personal: true }),
  city: optionalLine(100).meta({ group: 'contact' }),
  postal_code: postalCodeShape.meta({ group: 'contact' }),
  time_zone: z.enum(time_zones).optional().meta({ group: 'contact', options: 'time_zones' }),
  phone_number: optionalLine(30).meta({ group: 'contact', personal: true }),
  fax_number: optionalLine(30).meta({ group: 'contact', personal: true }),
  mail_domains: mailDomains.meta({ group: 'contact' }),
});

type Values = z.output<typeof organisationSchema>;

/** Whether the rules of a real installation hold; elsewhere the placeholder NPWP of document D is an organisation too. */
export interface OrganisationRules {
  is_production: boolean;
}

export type SavedOrganisation =
  | { state: 'done'; organisation: Organisation }
  /** By field, the keys of the messages. */
  | { state: 'refused'; errors: Record<string, string> }
  | { state: 'conflict' };

/** Whether the check digit of `o.npwp` fails, which lists and answers say of an organisation that stands all the same. */
export const is_npwp_doubtful = sql<boolean>`(o.npwp LIKE '0%' AND substr(o.npwp, 10, 1)::int <> (10 - (${sql.raw(
  [2, 3, 4, 5, 6, 7, 8, 9]
    .map((place) => `substr(o.npwp, ${place}, 1)::int`)
    .map((digit, place) => (place % 2 === 0 ? digit : `substr('0246813579', ${digit} + 1, 1)::int`))
    .join(' + '),
)}) % 10) % 10)`;

/** What is wrong with its numbers; an NPWP that stands already is not judged again, or nothing else could be changed. */
function judge(
  { npwp, nitku }: Pick<Organisation, 'npwp' | 'nitku'>,
  { is_production }: OrganisationRules,
  present?: Organisation,
): Record<string, string> {
  const errors: Record<string, string> = {};
  if (npwp !== present?.npwp) {
    if (is_production && isPlaceholder(npwp)) errors.npwp = 'errors.organisation.npwp_placeholder';
    else if (!hasValidCheckDigit(npwp) && policy('organisations.npwp_check') === 'error')
      errors.npwp = 'errors.organisation.npwp_check';
  }
  if (nitku && !nitku.startsWith(npwp)) errors.nitku = 'errors.organisation.nitku_npwp';
  return errors;
}

const taken: SavedOrganisation = { state: 'refused', errors: { npwp: 'errors.organisation.npwp_taken' } };

/** Adds an organisation; of two with one NPWP at once one comes first. */
export async function createOrganisation(
  tx: Transaction,
  values: Values,
  rules: OrganisationRules,
): Promise<SavedOrganisation> {
  const errors = judge({ npwp: values.npwp, nitku: values.nitku ?? null }, rules);
  if (Object.keys(errors).length > 0) return { state: 'refused', errors };
  const organisation = await tx
    .insertInto('organisations')
    .values(writable(values))
    .onConflict((conflict) => conflict.column('npwp').doNothing())
    .returningAll()
    .executeTakeFirst();
  return organisation ? { state: 'done', organisation } : taken;
}

/** Changes an organisation, unless somebody did since `version`; what is not told stays as it was. */
export async function changeOrganisation(
  tx: Transaction,
  { id, version }: Pick<Organisation, 'id' | 'version'>,
  values: Values,
  rules: OrganisationRules,
): Promise<SavedOrganisation> {
  const present = await tx.selectFrom('organisations').selectAll().where('id', '=', id).executeTakeFirst();
  if (!present) return { state: 'conflict' };
  const change = writable(values);
  const errors = judge({ ...present, ...change }, rules, present);
  if (Object.keys(errors).length > 0) return { state: 'refused', errors };
  // The NPWP may be taken in this very instant; without the savepoint that would spoil the caller's transaction.
  await sql`SAVEPOINT organisation`.execute(tx);
  try {
    const organisation = await tx
      .updateTable('organisations')
      .set(change)
      .where('id', '=', id)
      .where('version', '=', version)
      .returningAll()
      .executeTakeFirst();
    return organisation ? { state: 'done', organisation } : { state: 'conflict' };
  } catch (error) {
    if ((error as { code?: unknown }).code !== unique_violation) throw error;
    await sql`ROLLBACK TO SAVEPOINT organisation`.execute(tx);
    return taken;
  }
}

const unique_violation = '23505';

/** Switches an organisation on or off: off, its people choose no directorate, and claims tell that it is not active. */
export async function setOrganisationActive(
  tx: Transaction,
  id: string,
  active: boolean,
): Promise<{ state: 'done' } | { state: 'conflict' }> {
  const result = await tx
    .updateTable('organisations')
    .set({ active })
    .where('id', '=', id)
    .where('active', '<>', active)
    .executeTakeFirst();
  return { state: result.numUpdatedRows === 1n ? 'done' : 'conflict' };
}

/** Writes an organisation by its NPWP: a new one is added, a known one brought up to date. */
export async function saveOrganisation(
  db: Database,
  organisation: z.input<typeof organisationSchema>,
): Promise<Organisation> {
  const values = writable(organisationSchema.parse(organisation));
  return db
    .insertInto('organisations')
    .values(values)
    .onConflict((conflict) => conflict.column('npwp').doUpdateSet(values))
    .returningAll()
    .executeTakeFirstOrThrow();
}

function writable(values: Values) {
  const told = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(told) as Insertable<Organisations>;
}

/** An organisation by its NPWP in any mask, or by its id. */
export async function findOrganisation(db: Database, named: string): Promise<Organisation | undefined> {
  const npwp = normaliseNpwp(named);
  const is_id = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(named);
  if (!npwp && !is_id) return undefined;
  return db
    .selectFrom('organisations')
    .selectAll()
    .where(npwp ? 'npwp' : 'id', '=', npwp ?? named)
    .executeTakeFirst();
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

/** The organisation a person acts for, and as what; the earliest where they have several. */
export async function findOrganisationOf(
  db: Database,
  account_id: string,
): Promise<(Organisation & { position: string | null }) | undefined> {
  return (await readOrganisationOf(db, { account_id })).rows[0];
}

const readOrganisationOf = prepare<{ account_id: string }, Organisation & { position: string | null }>(
  'organisation of a person',
  'read',
  (db, value) =>
    db
      .selectFrom('account_organisations as p')
      .innerJoin('organisations as o', 'o.id', 'p.organisation_id')
      .selectAll('o')
      .select('p.position')
      .where('p.account_id', '=', value('account_id'))
      .orderBy('p.created_at')
      .orderBy('o.npwp')
      .limit(sql.lit(1)),
);

/** What hangs on an organisation, counted. */
export async function weighOrganisation(db: Database, id: string): Promise<{ people: number; directorates: number }> {
  const { rows } = await sql<{ people: number; directorates: number }>`SELECT
    (SELECT count(*)::int FROM account_organisations WHERE organisation_id = ${id}) AS people,
    (SELECT count(*)::int FROM memberships WHERE organisation_id = ${id}) AS directorates`.execute(db);
  return rows[0] as (typeof rows)[0];
}
