/** Agencies at the console and for programs: added, renamed, switched off and on. */

import { sql } from 'kysely';
import { z } from 'zod';
import { countGrantsIn, endGrantsIn } from '../../oidc/records/directorate-grants.ts';
import {
  type Agency,
  agencySchema,
  changeAgency,
  createAgency,
  listAgencies,
  newAgencySchema,
  setAgencyActive,
  weighAgency,
} from '../../organisations/agency.ts';
import { listDirectorates } from '../../organisations/directorate.ts';
import { type Permission, reachOf } from '../../permissions.ts';
import { moment } from '../fields.ts';
import type { Desk, Entry, Filter, Operation, Option, Resource } from '../resource.ts';

/** The codes of the agencies to which somebody's permission is confined; undefined for all, as an organisation's own are. */
export function ownAgencies({ actor }: Desk, permission: Permission): string[] | undefined {
  const reach = reachOf(actor.roles, permission);
  if (reach === undefined) return [];
  return reach === 'everything' || reach.organisations.length > 0 ? undefined : reach.agencies;
}

/** The agencies to choose from: those to which somebody's permission reaches. */
export async function listAgencyOptions(desk: Desk, permission: Permission): Promise<Option[]> {
  const own = ownAgencies(desk, permission);
  return (await listAgencies(desk.db))
    .filter(({ code }) => own === undefined || own.includes(code))
    .map((agency) => ({ value: agency.code, label: nameAgency(agency, desk.language) }));
}

/** The one agency to which somebody's permission is confined; whoever reaches several chooses. */
export function onlyAgency(desk: Desk, permission: Permission): string | undefined {
  const [own, ...others] = ownAgencies(desk, permission) ?? [];
  return others.length === 0 ? own : undefined;
}

/** Shows what is switched on, or what is off. */
export const activeFilter: Filter = {
  schema: z.enum(['true', 'false']),
  where: (value: 'true' | 'false') => sql<boolean>`r.active = ${value === 'true'}`,
};

/** The sentences that count something: what concerns nobody need not be read. */
export function leaveOutNone<Counted extends { values: Record<string, number> }>(sentences: Counted[]): Counted[] {
  return sentences.filter(({ values }) => Object.values(values).some((count) => count > 0));
}

function nameAgency({ name, name_en }: Pick<Agency, 'name' | 'name_en'>, language: string): string {
  return language === 'en' ? name_en : name;
}

const creation: Operation = {
  name: 'creation',
  kind: 'create',
  permission: 'agencies:write',
  input: newAgencySchema,
  place: async () => ({}),
  async run(tx, _desk, input) {
    const created = await createAgency(tx, input as z.output<typeof newAgencySchema>);
    return created.state === 'done' ? { state: 'done', id: created.agency.code } : created;
  },
};

const change: Operation = {
  name: 'change',
  kind: 'change',
  permission: 'agencies:write',
  input: agencySchema,
  begin: async (_desk, entry) => ({ name: entry?.name, name_en: entry?.name_en, mail_domains: entry?.mail_domains }),
  async run(tx, _desk, input, entry) {
    const { code, version } = entry as Entry & Agency;
    const changed = await changeAgency(tx, { code, version }, input as z.output<typeof agencySchema>);
    return changed.state === 'done' ? { state: 'done', id: code } : changed;
  },
};

const deactivation: Operation = {
  name: 'deactivation',
  kind: 'act',
  permission: 'agencies:write',
  input: z.object({}),
  is_weighty: true,
  applies: ({ active }) => active === true,
  async warn({ db }, { id }) {
    const { applications, clients, directorates, people } = await weighAgency(db, id);
    const chosen = await countGrantsIn(db, { agency_code: id });
    return leaveOutNone([
      { key: 'admin.agencies.warn_directorates', values: { directorates, people } },
      { key: 'admin.agencies.warn_clients', values: { clients } },
      { key: 'admin.agencies.warn_applications', values: { applications } },
      { key: 'admin.directorates.warn_chosen', values: { chosen } },
    ]);
  },
  async run(tx, _desk, _input, entry) {
    const { id } = entry as Entry;
    const switched = await setAgencyActive(tx, id, false);
    if (switched.state !== 'done') return switched;
    await endGrantsIn(tx, { agency_code: id });
    return { state: 'done', id };
  },
};

const activation: Operation = {
  name: 'activation',
  kind: 'act',
  permission: 'agencies:write',
  input: z.object({}),
  applies: ({ active }) => active === false,
  async run(tx, _desk, _input, entry) {
    const { id } = entry as Entry;
    const switched = await setAgencyActive(tx, id, true);
    return switched.state === 'done' ? { state: 'done', id } : switched;
  },
};

export const agencies: Resource = {
  name: 'agencies',
  group: 'system',
  permission: 'agencies:read',
  id: /^[A-Z0-9-]{2,20}$/,
  entry: z.object({
    id: z.string(),
    code: z.string(),
    name: z.string(),
    name_en: z.string(),
    mail_domains: z.array(z.string()),
    active: z.boolean(),
    version: z.int(),
    updated_at: moment(),
  }),
  select: (db) => db.selectFrom('agencies as a').selectAll().select('a.code as id'),
  list: {
    columns: ['name', 'code', 'active'],
    sorts: { name: { type: 'text', by: sql`lower(r.name)` }, code: 'text' },
    filters: { active: activeFilter },
  },
  title: (entry, language) => nameAgency(entry as Entry & Agency, language),
  operations: [creation, change, deactivation, activation],
  sections: [
    {
      name: 'directorates',
      permission: 'directorates:read',
      row: z.object({
        id: z.string(),
        code: z.string(),
        name: z.string(),
        name_en: z.string().nullable(),
        active: z.boolean(),
      }),
      list: ({ db }, { id }) => listDirectorates(db, [id]),
    },
  ],
};
