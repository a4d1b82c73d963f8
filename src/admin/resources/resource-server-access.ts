/** What is allowed at an API: its scopes, the clients that may ask for its tokens, the APIs to which it passes requests on. */

import { z } from 'zod';
import { allowExchange, endExchange, listExchanges } from '../../resource-servers/exchanges.ts';
import { allowClient, listAllowedClients, withdrawClient } from '../../resource-servers/grants.ts';
import {
  apiScopeSchema,
  endApiScope,
  findApiScopes,
  keepApiScope,
  listPairable,
} from '../../resource-servers/resource-server.ts';
import type { Desk, Entry, Operation, Option, Section } from '../resource.ts';

const writing = { kind: 'act', permission: 'resource-servers:write', is_weighty: true } as const;

const scopesOf = (entry: Entry | undefined) => (entry?.scopes ?? []) as string[];

export const scope: Operation = {
  ...writing,
  name: 'scope',
  input: apiScopeSchema,
  async run(tx, _desk, input, entry) {
    const id = String(entry?.id);
    const kept = await keepApiScope(tx, id, input as z.output<typeof apiScopeSchema>);
    return kept.state === 'done' ? { state: 'done', id } : kept;
  },
};

export const scopeEnd: Operation = {
  ...writing,
  name: 'scope-end',
  input: z.object({ ended_scope: z.string().max(60).meta({ options: 'own_scopes' }) }),
  applies: (entry) => scopesOf(entry).length > 0,
  async run(tx, _desk, { ended_scope }, entry) {
    const id = String(entry?.id);
    const ended = await endApiScope(tx, id, String(ended_scope));
    return ended.state === 'done' ? { state: 'done', id } : unknown('ended_scope');
  },
};

const grantSchema = z.object({
  allowed_client_id: z.string().trim().min(1, 'errors.field.required').max(200, 'errors.too_long'),
  granted_scopes: z.array(z.string().max(60)).max(50).default([]).meta({ options: 'own_scopes' }),
  for_people: z.boolean().default(false),
  for_itself: z.boolean().default(false),
});

export const grant: Operation = {
  ...writing,
  name: 'grant',
  input: grantSchema,
  async run(tx, _desk, input, entry) {
    const id = String(entry?.id);
    const { allowed_client_id, granted_scopes, for_people, for_itself } = input as z.output<typeof grantSchema>;
    if (!areOf(granted_scopes, entry)) return unknown('granted_scopes');
    const order = {
      client_id: allowed_client_id,
      scopes: [...new Set<string>(granted_scopes)],
      for_people,
      for_itself,
    };
    const allowed = await allowClient(tx, id, order);
    return allowed.state === 'done' ? { state: 'done', id } : allowed;
  },
};

export const grantEnd: Operation = {
  ...writing,
  name: 'grant-end',
  input: z.object({ ended_client_id: z.string().max(200).meta({ options: 'allowed' }) }),
  applies: ({ allowed_clients }) => Number(allowed_clients) > 0,
  async run(tx, _desk, { ended_client_id }, entry) {
    const id = String(entry?.id);
    if (await withdrawClient(tx, id, String(ended_client_id))) return { state: 'done', id };
    return unknown('ended_client_id');
  },
};

export const exchange: Operation = {
  ...writing,
  name: 'exchange',
  input: z.object({
    target_id: z.uuid('errors.resource-server.target_unknown').meta({ options: 'targets' }),
    passed_scopes: z.array(z.string().max(60)).min(1, 'errors.field.required').max(50).meta({ options: 'own_scopes' }),
  }),
  applies: (entry) => entry.client_id !== null && scopesOf(entry).length > 0,
  async run(tx, _desk, input, entry) {
    const id = String(entry?.id);
    const { target_id, passed_scopes } = input as { target_id: string; passed_scopes: string[] };
    const allowed = await allowExchange(tx, { source_id: id, target_id, scopes: [...new Set(passed_scopes)] });
    return allowed.state === 'done' ? { state: 'done', id } : allowed;
  },
};

export const exchangeEnd: Operation = {
  ...writing,
  name: 'exchange-end',
  input: z.object({
    ended_target_id: z.uuid('errors.resource-server.target_unknown').meta({ options: 'paired' }),
  }),
  applies: ({ exchange_pairs }) => Number(exchange_pairs) > 0,
  async run(tx, _desk, { ended_target_id }, entry) {
    const id = String(entry?.id);
    if (await endExchange(tx, id, String(ended_target_id))) return { state: 'done', id };
    return { state: 'refused', errors: { ended_target_id: 'errors.resource-server.target_unknown' } };
  },
};

export const scopes: Section = {
  name: 'scopes',
  permission: 'resource-servers:read',
  row: z.object({ name: z.string(), text_id: z.string(), text_en: z.string() }),
  list: async ({ db }, { id }) => (await findApiScopes(db, id)).map((one) => ({ ...one })),
};

export const grants: Section = {
  name: 'clients',
  permission: 'resource-servers:read',
  row: z.object({
    client_id: z.string(),
    scopes: z.array(z.string()),
    for_people: z.boolean(),
    for_itself: z.boolean(),
  }),
  list: async ({ db }, { id }) => (await listAllowedClients(db, id)).map((one) => ({ ...one })),
};

export const exchanges: Section = {
  name: 'exchanges',
  permission: 'resource-servers:read',
  row: z.object({ target: z.string(), scopes: z.array(z.string()) }),
  list: async ({ db }, { id }) => (await listExchanges(db, id)).map(({ target, scopes }) => ({ target, scopes })),
};

export async function listOwnScopes(_desk: Desk, entry: Entry | undefined): Promise<Option[]> {
  return scopesOf(entry).map((name) => ({ value: name, label: name }));
}

export async function listAllowedOptions({ db }: Desk, entry: Entry | undefined): Promise<Option[]> {
  const allowed = entry ? await listAllowedClients(db, entry.id) : [];
  return allowed.map(({ client_id }) => ({ value: client_id, label: client_id }));
}

/** The other APIs that have one of its scopes: only what both have can be passed on. */
export async function listTargetOptions({ db }: Desk, entry: Entry | undefined): Promise<Option[]> {
  const pairable = entry ? await listPairable(db, entry.id, scopesOf(entry)) : [];
  return pairable.map(({ id, identifier }) => ({ value: id, label: identifier }));
}

export async function listPairedOptions({ db }: Desk, entry: Entry | undefined): Promise<Option[]> {
  const paired = entry ? await listExchanges(db, entry.id) : [];
  return paired.map(({ target_id, target }) => ({ value: target_id, label: target }));
}

function areOf(names: string[], entry: Entry | undefined): boolean {
  return names.every((name) => scopesOf(entry).includes(name));
}

function unknown(field: string): { state: 'refused'; errors: Record<string, string> } {
  return { state: 'refused', errors: { [field]: 'errors.resource-server.not_there' } };
}
