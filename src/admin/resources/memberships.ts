/** Memberships at the console and for programs: which organisation has a user in which directorate of whose agency. */

import { sql } from 'kysely';
import { z } from 'zod';
import { countGrantsIn, endGrantsIn } from '../../oidc/records/directorate-grants.ts';
import { addMembership, findDirectorate, removeMembership, weighDirectorate } from '../../organisations/directorate.ts';
import { findOrganisation } from '../../organisations/organisation.ts';
import { normaliseNpwp } from '../../organisations/shapes.ts';
import { moment } from '../fields.ts';
import type { Entry, Operation, Resource } from '../resource.ts';
import { leaveOutNone, listAgencyOptions } from './agencies.ts';
import { listDirectorateOptions } from './directorates.ts';

interface Membership {
  organisation_id: string;
  directorate_id: string;
}

/** People know an organisation by its NPWP, programs by its id: both say which. */
const organisationName = z.string().trim().max(60, 'errors.too_long');

const creationSchema = z.object({
  organisation_id: organisationName,
  directorate_id: z.uuid('errors.directorate').meta({ options: 'directorates' }),
});

const creation: Operation = {
  name: 'creation',
  kind: 'create',
  permission: 'memberships:write',
  input: creationSchema,
  begin: async (_desk, _entry, { organisation_id, directorate_id }) => ({ organisation_id, directorate_id }),
  async place(tx, { directorate_id }) {
    return { agency_code: (await findDirectorate(tx, String(directorate_id)))?.agency_code ?? null };
  },
  async run(tx, _desk, input) {
    const { organisation_id, directorate_id } = input as z.output<typeof creationSchema>;
    const [organisation, directorate] = [
      await findOrganisation(tx, organisation_id),
      await findDirectorate(tx, directorate_id),
    ];
    if (!organisation || !directorate) {
      const errors = {
        ...(organisation ? {} : { organisation_id: 'errors.organisation.unknown' }),
        ...(directorate ? {} : { directorate_id: 'errors.directorate' }),
      };
      return { state: 'refused', errors };
    }
    if (!(await addMembership(tx, organisation.id, directorate.id)))
      return { state: 'refused', errors: { directorate_id: 'errors.membership_there' } };
    return { state: 'done', id: `${organisation.id}.${directorate.id}` };
  },
};

const removal: Operation = {
  name: 'removal',
  kind: 'remove',
  permission: 'memberships:write',
  input: z.object({}),
  async warn({ db }, entry) {
    const { organisation_id, directorate_id } = entry as Entry & Membership;
    const { people } = await weighDirectorate(db, directorate_id, organisation_id);
    const chosen = await countGrantsIn(db, { directorate_id, organisation_id });
    return leaveOutNone([
      { key: 'admin.memberships.warn_people', values: { people } },
      { key: 'admin.directorates.warn_chosen', values: { chosen } },
    ]);
  },
  async run(tx, _desk, _input, entry) {
    const { id, organisation_id, directorate_id } = entry as Entry & Membership;
    // Before the membership goes, for the grants are found through it.
    await endGrantsIn(tx, { directorate_id, organisation_id });
    return (await removeMembership(tx, organisation_id, directorate_id))
      ? { state: 'done', id }
      : { state: 'conflict' };
  },
};

const uuid = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';

export const memberships: Resource = {
  name: 'memberships',
  group: 'people',
  permission: 'memberships:read',
  id: new RegExp(`^${uuid}\\.${uuid}$`),
  entry: z.object({
    id: z.string(),
    organisation_id: z.uuid().meta({ label: 'admin.memberships.id_of_organisation' }),
    organisation_name: z.string(),
    npwp: z.string(),
    agency_code: z.string(),
    directorate_id: z.uuid().meta({ label: 'admin.memberships.id_of_directorate' }),
    directorate_code: z.string(),
    directorate_name: z.string(),
    created_at: moment(),
  }),
  select: (db) =>
    db
      .selectFrom('memberships as m')
      .innerJoin('organisations as o', 'o.id', 'm.organisation_id')
      .innerJoin('directorates as d', 'd.id', 'm.directorate_id')
      .select([
        // The words of the index memberships_id.
        sql<string>`m.organisation_id::text || '.' || m.directorate_id::text`.as('id'),
        'm.organisation_id',
        'o.name as organisation_name',
        'o.npwp',
        'd.agency_code',
        'm.directorate_id',
        'd.code as directorate_code',
        'd.name as directorate_name',
        'm.created_at',
      ]),
  within: ({ agencies, organisations }) =>
    sql<boolean>`(r.agency_code = ANY (${agencies}) OR r.organisation_id = ANY (${organisations}::uuid[]))`,
  list: {
    columns: ['organisation_name', 'npwp', 'agency_code', 'directorate_name', 'created_at'],
    sorts: { organisation_name: { type: 'text', by: sql`lower(r.organisation_name)` } },
    filters: {
      organisation_id: {
        schema: organisationName.regex(new RegExp(`^(${uuid}|[\\d\\s.-]{15,30})$`)),
        where(value: string) {
          const npwp = normaliseNpwp(value);
          if (npwp) return sql<boolean>`r.npwp = ${npwp}`;
          return value.length === 36 ? sql<boolean>`r.organisation_id = ${value}` : sql<boolean>`false`;
        },
      },
      directorate_id: {
        schema: z.uuid(),
        where: (value: string) => sql<boolean>`r.directorate_id = ${value}`,
        options: (desk) => listDirectorateOptions(desk, 'memberships:read'),
      },
      agency_code: {
        schema: z.string().max(20),
        where: (value: string) => sql<boolean>`r.agency_code = ${value}`,
        options: (desk) => listAgencyOptions(desk, 'memberships:read'),
      },
    },
  },
  title: ({ organisation_name, directorate_name }) => `${organisation_name}, ${directorate_name}`,
  operations: [creation, removal],
  options: { directorates: (desk) => listDirectorateOptions(desk, 'memberships:write') },
};
