/** The columns of a client that are written as they were registered, and whether writing them would change anything. */

import { type Insertable, sql } from 'kysely';
import type { Clients } from '../tables.ts';
import type { ClientRegistration } from './client.ts';

export function columnsOf(registration: ClientRegistration) {
  return {
    metadata: JSON.stringify(registration.metadata),
    agency_code: registration.agency_code ?? null,
    first_party: registration.first_party ?? false,
    directorate_required: registration.directorate_required ?? false,
    link_required: registration.link_required ?? false,
    form_action_origins: registration.form_action_origins ?? [],
    api_role: registration.api_role ?? null,
    fapi: registration.fapi ?? false,
    pkce_required: registration.pkce_required ?? true,
    refresh_rotation: registration.refresh_rotation ?? 'rotate',
    refresh_grace: registration.refresh_grace ?? 0,
    claim_shape: registration.claim_shape ?? 'standard',
    private_hosts: registration.private_hosts ?? [],
  } satisfies Partial<Insertable<Clients>>;
}

/** What every change of a client writes beside it. */
export const bumped = { version: sql<number>`clients.version + 1`, updated_at: sql<Date>`gapura_now()` };

const own_columns = [...Object.keys(columnsOf({ id: '', metadata: {} })), 'origin'];

/** Whether an upsert changes anything: writing what stands already is no new version. */
export const is_changed = sql<boolean>`(${sql.join(own_columns.map((name) => sql.ref(`clients.${name}`)))})
  IS DISTINCT FROM (${sql.join(own_columns.map((name) => sql.ref(`excluded.${name}`)))})`;
