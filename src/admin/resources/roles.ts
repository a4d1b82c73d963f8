/** Roles at the console and for programs: who holds which, where; given and taken within what the table of gifts allows. */

import { sql } from 'kysely';
import { z } from 'zod';
import { canonicalise } from '../../accounts/identifiers.ts';
import type { Database, Transaction } from '../../database.ts';
import { translator } from '../../i18n/messages.ts';
import { findAgency } from '../../organisations/agency.ts';
import { addPerson, findOrganisation } from '../../organisations/organisation.ts';
import {
  findMisplaced,
  grantRole,
  listGivable,
  mayGive,
  type RoleAssignment,
  roles as role_names,
  role_places,
  takeRole,
} from '../../permissions.ts';
import { moment } from '../fields.ts';
import { organisationFilter, uuid } from '../filters.ts';
import { reachOfActor } from '../operation.ts';
import type { Desk, Entry, Operation, Resource, Said } from '../resource.ts';
import { noteRole, tellPerson } from './account-letters.ts';
import { isKeptFrom, isReached } from './account-rules.ts';
import { listAgencyOptions } from './agencies.ts';

const creationSchema = z.object({
  account: z
    .string()
    .trim()
    .min(1, 'errors.field.required')
    .max(200, 'errors.too_long')
    .regex(/^\P{Cc}*$/u, 'errors.field.unreadable')
    .meta({ personal: true }),
  role: z.enum(role_names).meta({ options: 'roles' }),
  agency_code: z.string().trim().max(20, 'errors.too_long').nullish().meta({ options: 'agencies' }),
  organisation_id: z.string().trim().max(60, 'errors.too_long').nullish(),
  level: z.int().min(1).max(9).default(1),
});

type Creation = z.output<typeof creationSchema>;

/** The person whom any of their names means, and the place, as far as they are there. */
async function readCreation(tx: Transaction, { account, agency_code, organisation_id }: Creation) {
  const person = await tx
    .selectFrom('account_identifiers')
    .select('account_id')
    .where('canonical', '=', canonicalise(account))
    .executeTakeFirst();
  const organisation = organisation_id ? await findOrganisation(tx, organisation_id) : undefined;
  return {
    account_id: person?.account_id,
    agency: agency_code ? await findAgency(tx, agency_code) : undefined,
    organisation,
    at: { agency_code: agency_code || null, organisation_id: organisation?.id ?? null },
  };
}

async function judgeCreation(tx: Transaction, desk: Desk, input: unknown): Promise<Record<string, Said> | undefined> {
  const values = input as Creation;
  const { account_id, agency, organisation, at } = await readCreation(tx, values);
  if (values.agency_code && !agency) return { agency_code: 'errors.agency.unknown' };
  if (values.organisation_id && !organisation) return { organisation_id: 'errors.organisation.unknown' };
  const misplaced = findMisplaced(values.role, at);
  if (misplaced) return { [misplaced]: `errors.role.${misplaced}_${role_places[values.role]}` };
  if (!mayGive(desk.actor.roles, { role: values.role, ...at })) return { role: 'errors.role.not_yours' };
  if (!account_id || !(await isReached(tx, desk, account_id, at))) return { account: 'errors.role.account_unknown' };
  return (await isKeptFrom(tx, desk, account_id)) ? { account: 'errors.account.staff' } : undefined;
}

const creation: Operation = {
  name: 'creation',
  kind: 'create',
  permission: 'roles:write',
  input: creationSchema,
  is_weighty: true,
  async begin(desk, _entry, { account }) {
    const reach = reachOfActor(desk.actor, 'roles:write');
    const own = reach === undefined || reach === 'everything' ? undefined : reach;
    const organisation = own?.organisations[0] && (await findOrganisation(desk.db, own.organisations[0]));
    const [role] = listGivable(desk.actor.roles);
    return {
      account,
      level: 1,
      ...(own ? { role, agency_code: own.agencies[0], organisation_id: organisation ? organisation.npwp : null } : {}),
    };
  },
  async place(tx, { agency_code, organisation_id }) {
    const organisation = organisation_id ? await findOrganisation(tx, String(organisation_id)) : undefined;
    return { agency_code: String(agency_code ?? ''), organisation_id: organisation?.id ?? null };
  },
  judge: judgeCreation,
  four_eyes: () => 'four_eyes.role',
  async run(tx, desk, input) {
    const values = input as Creation;
    const { account_id, at } = await readCreation(tx, values);
    if (!account_id) return { state: 'refused', errors: { account: 'errors.role.account_unknown' } };
    if (at.organisation_id) await addPerson(tx, account_id, at.organisation_id);
    const id = await grantRole(tx, account_id, values.role, {
      ...(at.agency_code ? { agency_code: at.agency_code } : {}),
      ...(at.organisation_id ? { organisation_id: at.organisation_id } : {}),
      level: values.level,
      ...(desk.actor.account_id ? { granted_by: desk.actor.account_id } : {}),
    });
    if (!id) return { state: 'refused', errors: { role: 'errors.role.stands' } };
    const assignment = { account_id, role: values.role, ...at };
    await noteRole(tx, desk, 'role_given', assignment);
    await tellPerson(tx, desk, account_id, { template: 'role_given', assignment });
    return { state: 'done', id, detail: { person: account_id, role: values.role, ...at, level: values.level } };
  },
};

const removal: Operation = {
  name: 'removal',
  kind: 'remove',
  permission: 'roles:write',
  input: z.object({}),
  is_weighty: true,
  applies: (entry, desk) => mayGive(desk.actor.roles, entry as Entry & RoleAssignment),
  async judge(tx, desk, _input, entry) {
    const { account_id, role } = entry as Entry & RoleAssignment;
    // By a slip nobody gives up what only somebody else could give back.
    if (role === 'administrator' && account_id === desk.actor.account_id) return { form: 'errors.role.own' };
    return (await isKeptFrom(tx, desk, account_id)) ? { form: 'errors.account.staff' } : undefined;
  },
  four_eyes: () => 'four_eyes.role',
  async run(tx, desk, _input, entry) {
    const assignment = entry as Entry & RoleAssignment;
    const taken = await takeRole(tx, assignment);
    if (taken === 'gone') return { state: 'conflict' };
    if (taken === 'last_administrator')
      return { state: 'refused', errors: { form: 'errors.account.last_administrator' } };
    const { id, account_id, role, agency_code, organisation_id } = assignment;
    await noteRole(tx, desk, 'role_taken', assignment);
    await tellPerson(tx, desk, account_id, { template: 'role_taken', assignment });
    return { state: 'done', id, detail: { person: account_id, role, agency_code, organisation_id } };
  },
};

function select(db: Database) {
  const named = (what: string, from: string, which: string) =>
    sql<string | null>`(SELECT ${sql.raw(what)} FROM ${sql.table(from)} x WHERE ${sql.raw(which)} LIMIT 1)`;
  return db
    .selectFrom('role_assignments as g')
    .selectAll('g')
    .select([
      named('x.value', 'account_identifiers', `x.account_id = g.account_id AND x.kind = 'username'`).as('username'),
      named('x.full_name', 'accounts', 'x.id = g.account_id').as('full_name'),
      named('x.name', 'organisations', 'x.id = g.organisation_id').as('organisation_name'),
      named('x.full_name', 'accounts', 'x.id = g.granted_by').as('granted_by_name'),
    ]);
}

const text = z.string().nullable();

export const roles: Resource = {
  name: 'roles',
  group: 'people',
  permission: 'roles:read',
  id: uuid,
  entry: z.object({
    id: z.uuid(),
    account_id: z.uuid(),
    username: text,
    full_name: text,
    role: z.enum(role_names),
    agency_code: text,
    organisation_id: z.uuid().nullable(),
    organisation_name: text,
    level: z.int(),
    granted_by_name: text,
    granted_at: moment(),
  }),
  select,
  within: ({ agencies, organisations }) =>
    sql<boolean>`(r.agency_code = ANY (${agencies}) OR r.organisation_id = ANY (${organisations}::uuid[]))`,
  list: {
    columns: ['full_name', 'username', 'role', 'agency_code', 'organisation_name', 'granted_at'],
    sorts: { granted_at: 'timestamptz' },
    is_latest_first: true,
    filters: {
      account: {
        schema: z
          .string()
          .trim()
          .min(1)
          .max(200)
          .regex(/^\P{Cc}*$/u),
        where: (value: string) => sql<boolean>`r.account_id =
          (SELECT i.account_id FROM account_identifiers i WHERE i.canonical = ${canonicalise(value)})`,
      },
      role: { schema: z.enum(role_names), where: (value: string) => sql<boolean>`r.role = ${value}` },
      agency_code: {
        schema: z.string().regex(/^[A-Z0-9-]{1,20}$/),
        where: (value: string) => sql<boolean>`r.agency_code = ${value}`,
        options: (desk) => listAgencyOptions(desk, 'roles:read'),
      },
      organisation_id: organisationFilter({
        npwp: (npwp) => sql`r.organisation_id = (SELECT o.id FROM organisations o WHERE o.npwp = ${npwp})`,
        id: (id) => sql`r.organisation_id = ${id}::uuid`,
      }),
    },
  },
  title: ({ full_name, role }, language) => `${full_name}: ${translator(language)(`words.role_${role}`)}`,
  operations: [creation, removal],
  options: {
    agencies: (desk) => listAgencyOptions(desk, 'roles:write'),
    roles: async ({ actor, language }) =>
      listGivable(actor.roles).map((role) => ({ value: role, label: translator(language)(`words.role_${role}`) })),
  },
};
