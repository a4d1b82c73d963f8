/** A client is registered from a preset, or changed: the engine's rules after ours, and what only an administrator gives. */

import type { Selectable } from 'kysely';
import type { z } from 'zod';
import { changeClient, createClient } from '../../clients/client.ts';
import { type ClientValues, clientSchema, readRegistration } from '../../clients/metadata.ts';
import { type ClientPreset, client_presets, presets } from '../../clients/presets.ts';
import { signsWithSecret, usesSecret } from '../../clients/secret-use.ts';
import { issueClientSecret } from '../../clients/secrets.ts';
import { reachesInterface } from '../../clients/trust.ts';
import type { Transaction } from '../../database.ts';
import { api_scopes } from '../../permissions.ts';
import type { Clients } from '../../tables.ts';
import { reachOfActor } from '../operation.ts';
import type { Desk, Entry, Operation, Outcome, Said } from '../resource.ts';

/** The fields that say where people, codes and news of them go, and by which keys it proves itself. */
const addresses = [
  'redirect_uris',
  'post_logout_redirect_uris',
  'backchannel_logout_uri',
  'jwks',
  'jwks_uri',
  'initiate_login_uri',
] as const;

const changeSchema = clientSchema.omit({ client_id: true });

/** Whether it is one that people here look after; the release's own change with the release. */
export function isOurs({ origin }: Entry): boolean {
  return origin !== 'own';
}

/** Whether it reaches the interface for programs, and whoever acts may not give that: to touch it would be to take it. */
export function isBeyond(entry: Entry, { actor }: Desk): boolean {
  const { api_role, metadata } = entry as unknown as Selectable<Clients>;
  return reachOfActor(actor, 'clients:trust') !== 'everything' && reachesInterface({ api_role, metadata });
}

/** Whether whoever acts may do anything to it. */
export function isInHand(entry: Entry, desk: Desk): boolean {
  return isOurs(entry) && !isBeyond(entry, desk);
}

/** Whether a secret opens it, or signs for it. */
export function hasSecret(metadata: Record<string, unknown>): boolean {
  return usesSecret(metadata) || signsWithSecret(metadata);
}

/** A client as its form begins: what it does not say stands there as what then holds. */
function valuesOf(entry: Entry | undefined): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(changeSchema.shape).map(([name, schema]) => {
      const read = (schema as z.ZodType).safeParse(entry?.[name] ?? undefined);
      return [name, read.success ? read.data : entry?.[name]];
    }),
  );
}

const placeOf = async (_tx: Transaction, { agency_code }: Record<string, unknown>) => ({
  agency_code: (agency_code ?? null) as string | null,
});

export const creation: Operation = {
  name: 'creation',
  kind: 'create',
  permission: 'clients:write',
  is_weighty: true,
  presets: client_presets,
  input: clientSchema,
  begin: async (desk, _entry, { preset, agency_code }) => ({
    ...valuesOf(undefined),
    ...presets[preset as ClientPreset],
    agency_code: agency_code ?? ownAgency(desk),
  }),
  place: placeOf,
  run: create,
};

export const change: Operation = {
  name: 'change',
  kind: 'change',
  permission: 'clients:write',
  is_weighty: true,
  input: changeSchema,
  applies: isInHand,
  begin: async (_desk, entry) => valuesOf(entry),
  warn: async (_desk, { pkce_required }) => (pkce_required === false ? ['admin.clients.warn_pkce'] : []),
  place: placeOf,
  four_eyes(entry, input) {
    const before = valuesOf(entry);
    return addresses.some((field) => differs(before[field], input[field])) ? 'four_eyes.client_address' : undefined;
  },
  async run(tx, desk, input, entry) {
    const id = String(entry?.id);
    const values = { ...input, client_id: id } as unknown as ClientValues;
    const untrusted = refuseTrust(desk, values, entry);
    if (untrusted) return { state: 'refused', errors: untrusted };
    const changed = await changeClient(tx, readRegistration(values), desk.engine.validateClient, entry?.version);
    if (changed.state === 'refused') return changed;
    return changed.state === 'kept' ? { state: 'done', id } : { state: 'conflict' };
  },
};

async function create(tx: Transaction, desk: Desk, input: Record<string, unknown>): Promise<Outcome> {
  const values = input as unknown as ClientValues;
  const untrusted = refuseTrust(desk, values, undefined);
  if (untrusted) return { state: 'refused', errors: untrusted };
  const created = await createClient(tx, readRegistration(values), desk.engine.validateClient);
  if (created.state === 'refused') return created;
  if (created.state !== 'kept') return { state: 'conflict' };
  const id = values.client_id;
  if (!hasSecret(values)) return { state: 'done', id };
  const issued = await issueClientSecret(tx, desk.clients, id, { by: desk.actor.account_id });
  if (issued.state !== 'issued') throw new Error(`a new client got no secret: ${issued.because}`);
  return { state: 'done', id, shown_once: { secret: issued.secret } };
}

/**
 * What only an administrator gives: no consent page, the interface for programs, and a way into private networks. What stands
 * already may stay.
 */
function refuseTrust(desk: Desk, values: ClientValues, entry: Entry | undefined): Record<string, Said> | undefined {
  if (reachOfActor(desk.actor, 'clients:trust') === 'everything') return undefined;
  const before = (entry?.scope ?? []) as string[];
  const known_hosts = (entry?.private_hosts ?? []) as string[];
  const asked = {
    first_party: values.first_party && entry?.first_party !== true,
    api_role: Boolean(values.api_role) && entry?.api_role !== values.api_role,
    scope: values.scope.some((scope) => api_scopes.includes(scope) && !before.includes(scope)),
    private_hosts: values.private_hosts.some((host) => !known_hosts.includes(host)),
  };
  const refused = Object.entries(asked).filter(([, is_asked]) => is_asked);
  if (refused.length === 0) return undefined;
  return Object.fromEntries(refused.map(([field]) => [field, 'errors.client.needs_administrator']));
}

/** The agency of an officer; an administrator chooses. */
function ownAgency({ actor }: Desk): string | null {
  const reach = reachOfActor(actor, 'clients:write');
  return reach && reach !== 'everything' ? (reach.agencies[0] ?? null) : null;
}

function differs(one: unknown, other: unknown): boolean {
  return JSON.stringify(one ?? null) !== JSON.stringify(other ?? null);
}
