/** Organisations at the console and for programs: found by NPWP or name, added, changed, switched off and on. */

import { sql } from 'kysely';
import { z } from 'zod';
import {
  changeOrganisation,
  createOrganisation,
  is_npwp_doubtful,
  type Organisation,
  organisationSchema,
  type SavedOrganisation,
  setOrganisationActive,
  weighOrganisation,
} from '../../organisations/organisation.ts';
import { hasValidCheckDigit, time_zones } from '../../organisations/shapes.ts';
import { moment } from '../fields.ts';
import type { Entry, Filter, Operation, Outcome, Resource } from '../resource.ts';
import { activeFilter, leaveOutNone, ownAgencies } from './agencies.ts';

/**
 * What was typed to find a name: each word as the beginning of one of the name's words. Letters and digits alone, so that
 * nothing of it is read as an operator.
 */
export function prefixQuery(typed: string): string {
  const words = typed.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  return words.map((word) => `'${word}':*`).join(' & ');
}

// As the index organisations_words has them.
const words_of_name = sql`to_tsvector('simple', regexp_replace(r.name, '[^[:alnum:]]+', ' ', 'g'))`;

/** How an NPWP begins, in any mask and with or without the leading zero of the 16-digit form; or words of the name. */
const search: Filter = {
  schema: z.string().trim().min(1).max(200),
  where(typed: string) {
    const words = prefixQuery(typed);
    const by_name = words === '' ? sql`false` : sql`${words_of_name} @@ ${words}::tsquery`;
    const digits = typed.replace(/[\s.-]/g, '');
    if (!/^\d{1,16}$/.test(digits)) return sql<boolean>`${by_name}`;
    // As a range, which the unique index serves in any collation.
    const begins = (prefix: string) => sql`r.npwp BETWEEN ${prefix.padEnd(16, '0')} AND ${prefix.padEnd(16, '9')}`;
    if (digits.length === 16) return sql<boolean>`(${begins(digits)} OR ${by_name})`;
    return sql<boolean>`(${begins(digits)} OR ${begins(`0${digits}`)} OR ${by_name})`;
  },
};

function tell(saved: SavedOrganisation): Outcome {
  return saved.state === 'done' ? { state: 'done', id: saved.organisation.id } : saved;
}

const creation: Operation = {
  name: 'creation',
  kind: 'create',
  permission: 'organisations:write',
  input: organisationSchema,
  begin: async () => ({ time_zone: time_zones[0] }),
  place: async () => ({}),
  async run(tx, { config }, input) {
    const values = input as z.output<typeof organisationSchema>;
    return tell(await createOrganisation(tx, values, { is_production: config.production }));
  },
};

const change: Operation = {
  name: 'change',
  kind: 'change',
  permission: 'organisations:write',
  input: organisationSchema,
  begin: async (_desk, entry) =>
    Object.fromEntries(Object.keys(organisationSchema.shape).map((name) => [name, entry?.[name]])),
  async warn(_desk, { npwp }) {
    return hasValidCheckDigit(String(npwp)) ? [] : ['admin.organisations.warn_npwp'];
  },
  async run(tx, { config }, input, entry) {
    const values = input as z.output<typeof organisationSchema>;
    const rules = { is_production: config.production };
    return tell(await changeOrganisation(tx, entry as Entry & Organisation, values, rules));
  },
};

const deactivation: Operation = {
  name: 'deactivation',
  kind: 'act',
  permission: 'organisations:write',
  input: z.object({}),
  applies: ({ active }) => active === true,
  async warn({ db }, { id }) {
    const { people, directorates } = await weighOrganisation(db, id);
    return leaveOutNone([
      { key: 'admin.organisations.warn_people', values: { people } },
      { key: 'admin.organisations.warn_directorates', values: { directorates } },
      { key: 'admin.organisations.warn_tokens', values: { people } },
    ]);
  },
  async run(tx, _desk, _input, entry) {
    const { id } = entry as Entry;
    const switched = await setOrganisationActive(tx, id, false);
    return switched.state === 'done' ? { state: 'done', id } : switched;
  },
};

const activation: Operation = {
  name: 'activation',
  kind: 'act',
  permission: 'organisations:write',
  input: z.object({}),
  applies: ({ active }) => active === false,
  async run(tx, _desk, _input, entry) {
    const { id } = entry as Entry;
    const switched = await setOrganisationActive(tx, id, true);
    return switched.state === 'done' ? { state: 'done', id } : switched;
  },
};

const text = z.string().nullable();

export const organisations: Resource = {
  name: 'organisations',
  group: 'people',
  permission: 'organisations:read',
  id: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
  entry: z.object({
    id: z.uuid(),
    name: z.string(),
    npwp: z.string(),
    is_npwp_doubtful: z.boolean(),
    nitku: text,
    nib: text,
    edi_number: text,
    srp: text,
    department: text,
    address: text,
    city: text,
    postal_code: text,
    time_zone: z.string(),
    phone_number: text,
    fax_number: text,
    mail_domains: z.array(z.string()),
    active: z.boolean(),
    version: z.int(),
    created_at: moment(),
    updated_at: moment(),
  }),
  select: (db) => db.selectFrom('organisations as o').selectAll().select(is_npwp_doubtful.as('is_npwp_doubtful')),
  within: (reach) => sql<boolean>`r.id = ANY (${reach.organisations}::uuid[])`,
  list: {
    columns: ['name', 'npwp', 'city', 'active'],
    sorts: { name: { type: 'text', by: sql`lower(r.name)` }, npwp: 'text' },
    filters: { q: search, active: activeFilter },
  },
  title: ({ name }) => String(name),
  operations: [creation, change, deactivation, activation],
  sections: [
    {
      name: 'memberships',
      permission: 'memberships:read',
      row: z.object({ agency_code: z.string(), code: z.string(), name: z.string(), created_at: moment() }),
      list: (desk, { id }) => {
        const own = ownAgencies(desk, 'memberships:read');
        return desk.db
          .selectFrom('memberships as m')
          .innerJoin('directorates as d', 'd.id', 'm.directorate_id')
          .select(['d.agency_code', 'd.code', 'd.name', 'm.created_at'])
          .where('m.organisation_id', '=', id)
          .$if(own !== undefined, (query) => query.where(sql<boolean>`d.agency_code = ANY (${own})`))
          .orderBy('d.agency_code')
          .orderBy('d.name')
          .execute();
      },
    },
  ],
  options: { time_zones: async () => time_zones.map((zone) => ({ value: zone, label: nameZone(zone) })) },
};

/** The zone's city, and the letters that people write behind a time. */
function nameZone(zone: (typeof time_zones)[number]): string {
  const letters = { 'Asia/Jakarta': 'WIB', 'Asia/Pontianak': 'WIB', 'Asia/Makassar': 'WITA', 'Asia/Jayapura': 'WIT' };
  return `${letters[zone]} (${zone.slice('Asia/'.length)})`;
}
