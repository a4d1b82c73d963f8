/** Applications of the agencies at the console and for programs: added, changed, switched off and on, with what proves a link. */

import { sql } from 'kysely';
import { z } from 'zod';
import {
  type Application,
  applicationSchema,
  changeApplication,
  createApplication,
  newApplicationSchema,
  type SavedApplication,
  sharings,
  updateApplication,
  weighApplication,
} from '../../applications/application.ts';
import type { Database, Transaction } from '../../database.ts';
import { showSettings } from '../../links/settings.ts';
import { moment } from '../fields.ts';
import type { Desk, Entry, Operation, Option, Outcome, Resource } from '../resource.ts';
import { activeFilter, leaveOutNone, listAgencyOptions, onlyAgency, ownAgencies } from './agencies.ts';
import { settings, sharing, trial, validity, verifier } from './application-links.ts';

function tell(saved: SavedApplication, id: string): Outcome {
  return saved.state === 'done' ? { state: 'done', id } : saved;
}

const place = async (_tx: Transaction, { agency_code }: Record<string, unknown>) => ({
  agency_code: agency_code as string,
});

const creation: Operation = {
  name: 'creation',
  kind: 'create',
  permission: 'applications:write',
  is_weighty: true,
  input: newApplicationSchema,
  begin: async (desk, _entry, { agency_code, client_id, name, url }) => ({
    agency_code: agency_code ?? onlyAgency(desk, 'applications:write'),
    client_id,
    name,
    url,
  }),
  place,
  async run(tx, { config }, input) {
    const values = input as z.output<typeof newApplicationSchema>;
    return tell(await createApplication(tx, values, { is_production: config.production }), values.id);
  },
};

const change: Operation = {
  name: 'change',
  kind: 'change',
  permission: 'applications:write',
  is_weighty: true,
  input: applicationSchema,
  begin: async (_desk, entry) =>
    Object.fromEntries(Object.keys(applicationSchema.shape).map((name) => [name, entry?.[name]])),
  place,
  async run(tx, { config }, input, entry) {
    const values = input as z.output<typeof applicationSchema>;
    const seen = entry as Entry & Application;
    return tell(await changeApplication(tx, seen, values, { is_production: config.production }), seen.id);
  },
};

const deactivation: Operation = {
  name: 'deactivation',
  kind: 'act',
  permission: 'applications:write',
  is_weighty: true,
  input: z.object({}),
  applies: ({ active }) => active === true,
  async warn({ db }, { id, client_id }) {
    const { links, people } = await weighApplication(db, id);
    return [
      ...leaveOutNone([{ key: 'admin.applications.warn_links', values: { links, people } }]),
      ...(client_id ? [{ key: 'admin.applications.warn_client', values: { client: String(client_id) } }] : []),
    ];
  },
  run: (tx, _desk, _input, entry) => switchTo(tx, entry as Entry & Application, false),
};

const activation: Operation = {
  name: 'activation',
  kind: 'act',
  permission: 'applications:write',
  input: z.object({}),
  applies: ({ active }) => active === false,
  run: (tx, _desk, _input, entry) => switchTo(tx, entry as Entry & Application, true),
};

async function switchTo(tx: Transaction, seen: Application, active: boolean): Promise<Outcome> {
  return tell(await updateApplication(tx, seen, { active }), seen.id);
}

export const applications: Resource = {
  name: 'applications',
  group: 'applications',
  permission: 'applications:read',
  id: /^[a-z0-9-]{2,40}$/,
  entry: z.object({
    id: z.string(),
    ...applicationSchema.shape,
    client_id: z.string().nullable(),
    active: z.boolean(),
    verifier: z.string().nullable(),
    settings: z.record(z.string(), z.unknown()),
    sharing: z.enum(sharings),
    proof_lasts: z.int().nullable().meta({ unit: 'words.days' }),
    version: z.int(),
    updated_at: moment(),
  }),
  select,
  // Its stored settings stay in the entry for the operations; nobody is told of them.
  read: (row) => ({ ...row, settings: showSettings(row.verifier, (row as Entry & Application).verifier_settings) }),
  within: ({ agencies }) => sql<boolean>`r.agency_code = ANY (${agencies})`,
  list: {
    columns: ['name', 'id', 'agency_code', 'verifier', 'client_id', 'active'],
    sorts: { name: { type: 'text', by: sql`lower(r.name)` }, id: 'text' },
    filters: {
      q: {
        schema: z.string().trim().min(1).max(100),
        where: (value: string) =>
          sql<boolean>`(strpos(lower(r.name), lower(${value})) > 0 OR strpos(r.id, lower(${value})) > 0)`,
      },
      agency_code: {
        schema: z.string().regex(/^[A-Z0-9-]{2,20}$/),
        where: (value: string) => sql<boolean>`r.agency_code = ${value}`,
        options: (desk) => listAgencyOptions(desk, 'applications:read'),
      },
      active: activeFilter,
    },
  },
  title: ({ name }) => String(name),
  operations: [creation, change, verifier, settings, trial, sharing, validity, deactivation, activation],
  options: { agencies: (desk) => listAgencyOptions(desk, 'applications:write'), clients: listClients },
};

function select(db: Database) {
  return db.selectFrom('applications as p').selectAll('p');
}

/** The clients that can stand behind an application: those of the agencies in reach that stand behind no other. */
async function listClients(desk: Desk, entry: Entry | undefined): Promise<Option[]> {
  const own = ownAgencies(desk, 'applications:write');
  const rows = await desk.db
    .selectFrom('clients as c')
    .select(['c.id', 'c.agency_code', sql<string>`coalesce(c.metadata->>'client_name', c.id)`.as('name')])
    .where('c.agency_code', 'is not', null)
    .$if(own !== undefined, (query) => query.where(sql<boolean>`c.agency_code = ANY (${own})`))
    .where(
      sql<boolean>`NOT EXISTS (SELECT FROM applications p WHERE p.client_id = c.id AND p.id <> ${entry?.id ?? ''})`,
    )
    .orderBy(sql`lower(coalesce(c.metadata->>'client_name', c.id))`)
    .limit(500)
    .execute();
  return rows.map(({ id, name, agency_code }) => ({ value: id, label: `${name} (${id}, ${agency_code})` }));
}
