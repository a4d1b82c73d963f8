/** Client applications: found by name, registered from a preset, changed with the engine's own rules, tried, switched off and removed. */

import { sql } from 'kysely';
import { z } from 'zod';
import { logoAddress } from '../../clients/engine-client.ts';
import { clientSchema, flatten } from '../../clients/metadata.ts';
import { listClientSecrets } from '../../clients/secrets.ts';
import { listSnippets } from '../../clients/snippets.ts';
import type { Database } from '../../database.ts';
import { moment } from '../fields.ts';
import type { Entry, Resource } from '../resource.ts';
import { activeFilter, listAgencyOptions } from './agencies.ts';
import { logo } from './client-logo.ts';
import { change, creation, isBeyond, isOurs } from './client-registration.ts';
import { listLiveSecrets, secret, secretEnd } from './client-secrets.ts';
import { disabling, enabling, removal } from './client-switches.ts';
import { trial } from './client-trial.ts';

const origins = ['own', 'console', 'dynamic', 'submission'] as const;

// What a client does not say of itself is told as null, so that every answer has every field.
const told = Object.fromEntries(
  Object.entries(clientSchema.omit({ client_id: true }).shape).map(([field, schema]) => [
    field,
    (schema as z.ZodType).nullable(),
  ]),
);

export const clients: Resource = {
  name: 'clients',
  group: 'applications',
  permission: 'clients:read',
  id: /^[\w.~-]{1,200}$/,
  entry: z.object({
    id: z.string(),
    origin: z.enum(origins),
    active: z.boolean(),
    disabled_at: moment().nullable(),
    disabled_because: z.string().nullable(),
    created_at: moment(),
    updated_at: moment(),
    version: z.int(),
    logo: z.string().nullish().meta({ group: 'what' }),
    ...told,
  }),
  select,
  read: readRow,
  within: ({ agencies }) => sql<boolean>`r.agency_code = ANY(${agencies})`,
  list: {
    columns: ['client_name', 'id', 'agency_code', 'origin', 'active', 'updated_at'],
    sorts: {
      client_name: { type: 'text', by: sql`r.sort_name` },
      id: 'text',
      updated_at: 'timestamptz',
    },
    filters: {
      q: {
        schema: z.string().trim().min(1).max(100),
        where: (typed: string) =>
          sql<boolean>`(r.sort_name LIKE ${`${escapeLike(typed.toLowerCase())}%`} OR r.id = ${typed})`,
      },
      agency_code: {
        schema: z.string().max(20),
        where: (code: string) => sql<boolean>`r.agency_code = ${code}`,
        options: (desk) => listAgencyOptions(desk, 'clients:read'),
      },
      origin: { schema: z.enum(origins), where: (origin: string) => sql<boolean>`r.origin = ${origin}` },
      active: activeFilter,
    },
  },
  title: ({ client_name, id }) => String(client_name ?? id),
  describe: (entry, desk) => (isOurs(entry) && isBeyond(entry, desk) ? 'admin.clients.beyond' : undefined),
  picture: ({ logo: address }) => (typeof address === 'string' ? address : undefined),
  options: { agencies: (desk) => listAgencyOptions(desk, 'clients:write'), live_secrets: listLiveSecrets },
  operations: [creation, change, trial, secret, secretEnd, logo, disabling, enabling, removal],
  sections: [
    {
      name: 'secrets',
      permission: 'clients:read',
      row: z.object({
        id: z.string(),
        created_at: moment(),
        expires_at: moment().nullable(),
        last_used_at: moment().nullable(),
        is_live: z.boolean(),
      }),
      list: async ({ db }, { id }) => (await listClientSecrets(db, id)).map((one) => ({ ...one })),
    },
    {
      name: 'snippets',
      permission: 'clients:read',
      row: z.object({ name: z.string(), title: z.string(), file: z.string(), text: z.string() }),
      view: 'snippets',
      list: async ({ config }, { id, metadata }) =>
        listSnippets({ client_id: id, metadata: metadata as Record<string, unknown> }, config.issuer).map((one) => ({
          ...one,
        })),
    },
  ],
};

function select(db: Database) {
  return db
    .selectFrom('clients as c')
    .selectAll('c')
    .select(sql<string>`lower(coalesce(c.metadata->>'client_name', c.id))`.as('sort_name'))
    .select((eb) =>
      eb
        .selectFrom('client_logos as l')
        .whereRef('l.client_id', '=', 'c.id')
        .select(sql<string[]>`ARRAY[l.type, l.digest]`.as('picture'))
        .as('picture'),
    );
}

/** What is in the metadata, field by field; the whole of it goes along for the settings to copy. */
function readRow(row: Entry): Entry {
  const [type, digest] = (row.picture ?? []) as string[];
  return {
    ...row,
    ...flatten(row as unknown as Parameters<typeof flatten>[0]),
    logo: type && digest ? logoAddress(row.id, type, digest) : null,
  };
}

function escapeLike(text: string): string {
  return text.replace(/[\\%_]/g, '\\$&');
}
