/** Directorates at the console and for programs; an officer writes those of the own agency alone. */

import { sql } from 'kysely';
import { z } from 'zod';
import { countGrantsIn, endGrantsIn } from '../../oidc/records/directorate-grants.ts';
import {
  changeDirectorate,
  createDirectorate,
  type Directorate,
  directorateSchema,
  listDirectorates,
  nameDirectorate,
  newDirectorateSchema,
  setDirectorateActive,
  weighDirectorate,
} from '../../organisations/directorate.ts';
import { isWithin, type Permission, reachOf } from '../../permissions.ts';
import { moment } from '../fields.ts';
import type { Desk, Entry, Operation, Option, Resource } from '../resource.ts';
import { activeFilter, leaveOutNone, listAgencyOptions, onlyAgency, ownAgencies } from './agencies.ts';

/** The directorates to choose from: those of the agencies to which somebody's permission reaches. */
export async function listDirectorateOptions(desk: Desk, permission: Permission): Promise<Option[]> {
  const found = await listDirectorates(desk.db, ownAgencies(desk, permission));
  return found.map((directorate) => ({
    value: directorate.id,
    label: `${directorate.agency_code}: ${nameDirectorate(directorate, desk.language)}`,
  }));
}

/** Whether somebody may write it, so that nobody is offered what would be refused. */
function isOwn(entry: Entry, { actor }: Desk): boolean {
  return isWithin(reachOf(actor.roles, 'directorates:write'), { agency_code: entry.agency_code });
}

const creation: Operation = {
  name: 'creation',
  kind: 'create',
  permission: 'directorates:write',
  input: newDirectorateSchema,
  begin: async (desk, _entry, { agency_code }) => ({
    agency_code: agency_code ?? onlyAgency(desk, 'directorates:write'),
  }),
  place: async (_tx, { agency_code }) => ({ agency_code: String(agency_code) }),
  async run(tx, _desk, input) {
    const created = await createDirectorate(tx, input as z.output<typeof newDirectorateSchema>);
    return created.state === 'done' ? { state: 'done', id: created.directorate.id } : created;
  },
};

const change: Operation = {
  name: 'change',
  kind: 'change',
  permission: 'directorates:write',
  input: directorateSchema,
  applies: isOwn,
  begin: async (_desk, entry) => ({ name: entry?.name, name_en: entry?.name_en }),
  async run(tx, _desk, input, entry) {
    const { id, version } = entry as Entry & Directorate;
    const changed = await changeDirectorate(tx, { id, version }, input as z.output<typeof directorateSchema>);
    return changed.state === 'done' ? { state: 'done', id } : changed;
  },
};

const deactivation: Operation = {
  name: 'deactivation',
  kind: 'act',
  permission: 'directorates:write',
  input: z.object({}),
  is_weighty: true,
  applies: (entry, desk) => entry.active === true && isOwn(entry, desk),
  async warn({ db }, { id }) {
    const { organisations, people } = await weighDirectorate(db, id);
    const chosen = await countGrantsIn(db, { directorate_id: id });
    return leaveOutNone([
      { key: 'admin.directorates.warn_organisations', values: { organisations, people } },
      { key: 'admin.directorates.warn_chosen', values: { chosen } },
    ]);
  },
  async run(tx, _desk, _input, entry) {
    const { id } = entry as Entry;
    const switched = await setDirectorateActive(tx, id, false);
    if (switched.state !== 'done') return switched;
    await endGrantsIn(tx, { directorate_id: id });
    return { state: 'done', id };
  },
};

const activation: Operation = {
  name: 'activation',
  kind: 'act',
  permission: 'directorates:write',
  input: z.object({}),
  applies: (entry, desk) => entry.active === false && isOwn(entry, desk),
  async run(tx, _desk, _input, entry) {
    const { id } = entry as Entry;
    const switched = await setDirectorateActive(tx, id, true);
    return switched.state === 'done' ? { state: 'done', id } : switched;
  },
};

export const directorates: Resource = {
  name: 'directorates',
  group: 'system',
  permission: 'directorates:read',
  id: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
  entry: z.object({
    id: z.uuid(),
    agency_code: z.string(),
    code: z.string(),
    name: z.string(),
    name_en: z.string().nullable(),
    active: z.boolean(),
    version: z.int(),
    updated_at: moment(),
  }),
  select: (db) => db.selectFrom('directorates as d').selectAll(),
  within: ({ agencies }) => sql<boolean>`r.agency_code = ANY (${agencies})`,
  list: {
    columns: ['name', 'agency_code', 'code', 'active'],
    sorts: { name: { type: 'text', by: sql`lower(r.name)` }, agency_code: 'text', code: 'text' },
    filters: {
      agency_code: {
        schema: z.string().max(20),
        where: (value: string) => sql<boolean>`r.agency_code = ${value}`,
        options: (desk) => listAgencyOptions(desk, 'directorates:read'),
      },
      active: activeFilter,
    },
  },
  title: (entry, language) => nameDirectorate(entry as Entry & Directorate, language),
  operations: [creation, change, deactivation, activation],
  options: { agencies: (desk) => listAgencyOptions(desk, 'directorates:write') },
};
