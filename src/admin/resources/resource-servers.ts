/** APIs that take our access tokens: registered by an administrator, seen also by the officers of their agency. */

import { sql } from 'kysely';
import { z } from 'zod';
import type { Database } from '../../database.ts';
import {
  changeResourceServer,
  createResourceServer,
  longest_lifetimes,
  nameApi,
  newResourceServerSchema,
  type ResourceServer,
  removeResourceServer,
  resourceServerSchema,
  setResourceServerActive,
  signing_algorithms,
  token_formats,
} from '../../resource-servers/resource-server.ts';
import type { ApiScope } from '../../tables.ts';
import { moment } from '../fields.ts';
import type { Entry, Operation, Resource } from '../resource.ts';
import { activeFilter, listAgencyOptions } from './agencies.ts';
import {
  exchange,
  exchangeEnd,
  exchanges,
  grant,
  grantEnd,
  grants,
  listAllowedOptions,
  listOwnScopes,
  listPairedOptions,
  listTargetOptions,
  scope,
  scopeEnd,
  scopes,
} from './resource-server-access.ts';

const writing = { permission: 'resource-servers:write', is_weighty: true } as const;

const creation: Operation = {
  ...writing,
  name: 'creation',
  kind: 'create',
  input: newResourceServerSchema,
  begin: async () => ({
    token_format: token_formats[0],
    token_lifetime: longest_lifetimes.jwt,
    signing_alg: signing_algorithms[0],
  }),
  place: async (_tx, { agency_code }) => ({ agency_code: String(agency_code) }),
  run: (tx, { config }, input) => createResourceServer(tx, input as z.output<typeof newResourceServerSchema>, config),
};

const change: Operation = {
  ...writing,
  name: 'change',
  kind: 'change',
  input: resourceServerSchema,
  begin: async (_desk, entry) =>
    Object.fromEntries(Object.keys(resourceServerSchema.shape).map((field) => [field, entry?.[field]])),
  async run(tx, _desk, input, entry) {
    const { id, version } = entry as Entry & ResourceServer;
    const changed = await changeResourceServer(tx, { id, version }, input as z.output<typeof resourceServerSchema>);
    return changed.state === 'done' ? { state: 'done', id } : changed;
  },
};

function switching(name: 'activation' | 'deactivation', active: boolean): Operation {
  return {
    ...writing,
    name,
    kind: 'act',
    input: z.object({}),
    applies: (entry) => entry.active !== active,
    async run(tx, _desk, _input, entry) {
      const id = String(entry?.id);
      const switched = await setResourceServerActive(tx, id, active);
      return switched.state === 'done' ? { state: 'done', id } : switched;
    },
  };
}

const removal: Operation = {
  ...writing,
  name: 'removal',
  kind: 'remove',
  input: z.object({}),
  async run(tx, _desk, _input, entry) {
    const { id, identifier } = entry as Entry & ResourceServer;
    const removed = await removeResourceServer(tx, identifier);
    return removed.state === 'done' ? { state: 'done', id } : removed;
  },
};

export const resourceServers: Resource = {
  name: 'resource-servers',
  group: 'applications',
  permission: 'resource-servers:read',
  id: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
  entry: z.object({
    id: z.uuid(),
    identifier: z.string(),
    name: z.string(),
    name_en: z.string().nullable(),
    agency_code: z.string(),
    scopes: z.array(z.string()),
    token_format: z.enum(token_formats),
    token_lifetime: z.int().meta({ unit: 'words.seconds' }),
    signing_alg: z.enum(signing_algorithms),
    client_id: z.string().nullable(),
    allowed_clients: z.int(),
    exchange_pairs: z.int(),
    active: z.boolean(),
    version: z.int(),
    updated_at: moment(),
  }),
  select: (db: Database) =>
    db
      .selectFrom('resource_servers as s')
      .selectAll()
      .select([
        sql<number>`(SELECT count(*)::int FROM resource_grants g WHERE g.resource_server_id = s.id)`.as(
          'allowed_clients',
        ),
        sql<number>`(SELECT count(*)::int FROM token_exchanges x WHERE x.source_id = s.id)`.as('exchange_pairs'),
      ]),
  // The words of the scopes have a section of their own.
  read: (row) => ({ ...row, scopes: (row.scopes as ApiScope[]).map(({ name }) => name) }),
  within: ({ agencies }) => sql<boolean>`r.agency_code = ANY (${agencies})`,
  list: {
    columns: ['name', 'identifier', 'agency_code', 'token_format', 'active'],
    sorts: { name: { type: 'text', by: sql`lower(r.name)` }, identifier: 'text' },
    filters: {
      agency_code: {
        schema: z.string().max(20),
        where: (code: string) => sql<boolean>`r.agency_code = ${code}`,
        options: (desk) => listAgencyOptions(desk, 'resource-servers:read'),
      },
      active: activeFilter,
    },
  },
  title: (entry, language) => nameApi(entry as Entry & ResourceServer, language),
  operations: [
    creation,
    change,
    scope,
    scopeEnd,
    grant,
    grantEnd,
    exchange,
    exchangeEnd,
    switching('deactivation', false),
    switching('activation', true),
    removal,
  ],
  sections: [scopes, grants, exchanges],
  options: {
    agencies: (desk) => listAgencyOptions(desk, 'resource-servers:write'),
    own_scopes: listOwnScopes,
    allowed: listAllowedOptions,
    targets: listTargetOptions,
    paired: listPairedOptions,
  },
};
