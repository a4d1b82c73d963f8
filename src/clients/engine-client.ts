/** A client as the engine reads it at every request: its metadata, ours beside it, and what its secrets are compared with. */

import { sql } from 'kysely';
import { keyedHash, open } from '../crypto.ts';
import type { ClientStore } from './client.ts';
import { usesSecret } from './secret-use.ts';

/** What we add, as the engine's client carries it beside the standard metadata. */
export const ownMetadata = [
  'agency',
  'agency_name',
  'agency_name_en',
  'first_party',
  'directorate_required',
  'link_required',
  'form_action_origins',
  'api_role',
  'fapi',
  'pkce_required',
  'refresh_rotation',
  'claim_shape',
  'private_hosts',
  'origin',
  'logo',
  'secret_hashes',
  'older_secrets',
] as const;

/** Names in a language, which the engine would leave out (OpenID Connect Dynamic Registration 2.1). */
export const spokenMetadata = ['client_name#id', 'client_name#en'] as const;

/** One of a client's secrets as the engine's client carries it; times are seconds since the epoch. */
export interface SecretHash {
  id: string;
  hash: string;
  expires_at: number | null;
  /** Until then, by the database's clock, from when it was read. */
  seconds_left: number | null;
  last_used_at: number | null;
}

/** A client as the engine reads it (its adapter's Client model); undefined when unknown or switched off. */
export async function findClientMetadata(
  { db, hash_keys, seal_keys }: ClientStore,
  id: string,
): Promise<Record<string, unknown> | undefined> {
  // PostgreSQL keeps no NUL in text; no client has one in its name.
  if (id.includes('\0')) return undefined;
  const row = await db
    .selectFrom('clients as c')
    .leftJoin('agencies as a', 'a.code', 'c.agency_code')
    .leftJoin('client_logos as l', 'l.client_id', 'c.id')
    .select((eb) => [
      'c.metadata',
      'a.name as agency_name',
      'a.name_en as agency_name_en',
      'c.agency_code',
      'c.first_party',
      'c.directorate_required',
      'c.link_required',
      'c.form_action_origins',
      'c.api_role',
      'c.fapi',
      'c.pkce_required',
      'c.refresh_rotation',
      'c.claim_shape',
      'c.private_hosts',
      'c.origin',
      'l.type as logo_type',
      'l.digest as logo_digest',
      eb
        .selectFrom('client_secrets as s')
        .whereRef('s.client_id', '=', 'c.id')
        .where(sql<boolean>`s.expires_at IS NULL OR s.expires_at > gapura_now()`)
        .select(
          sql<
            (SecretHash & { sealed: string | null })[]
          >`coalesce(json_agg(json_build_object('id', s.id, 'hash', s.hash, 'sealed', s.sealed,
            'expires_at', floor(extract(epoch FROM s.expires_at)),
            'seconds_left', ceil(extract(epoch FROM s.expires_at - gapura_now())),
            'last_used_at', floor(extract(epoch FROM s.last_used_at))) ORDER BY s.created_at DESC, s.id), '[]')`.as(
            'secrets',
          ),
        )
        .as('secrets'),
    ])
    .where('c.id', '=', id)
    .where('c.active', '=', true)
    .executeTakeFirst();
  if (!row) return undefined;
  const secrets = row.secrets ?? [];
  const [newest, ...older] = secrets.flatMap(({ sealed }) =>
    sealed ? [open(seal_keys, sealed, `client_secrets.sealed:${id}`)] : [],
  );
  return {
    ...row.metadata,
    client_id: id,
    // The engine wants a secret to be there. Where only its hash is kept, this stand-in is one nobody can know.
    ...(newest === undefined ? {} : { client_secret: newest }),
    ...(newest === undefined && usesSecret(row.metadata)
      ? { client_secret: keyedHash(hash_keys[0] as Buffer, `stand-in ${id}`) }
      : {}),
    agency: row.agency_code ?? undefined,
    agency_name: row.agency_name ?? undefined,
    agency_name_en: row.agency_name_en ?? undefined,
    first_party: row.first_party,
    directorate_required: row.directorate_required,
    link_required: row.link_required,
    form_action_origins: row.form_action_origins,
    api_role: row.api_role ?? undefined,
    fapi: row.fapi,
    pkce_required: row.pkce_required,
    refresh_rotation: row.refresh_rotation,
    claim_shape: row.claim_shape,
    private_hosts: row.private_hosts,
    origin: row.origin,
    logo: row.logo_digest && row.logo_type ? logoAddress(id, row.logo_type, row.logo_digest) : undefined,
    secret_hashes: secrets.map(({ sealed: _sealed, ...told }) => told),
    // Those that a client still signs with while it changes over to the newest.
    older_secrets: older.length > 0 ? older : undefined,
  };
}

/** Where a client's logo is found; with another content it has another address. */
export function logoAddress(client_id: string, type: string, digest: string): string {
  return `/assets/logos/${encodeURIComponent(client_id)}/${digest}.${type.replace('image/', '')}`;
}

/** The role with which an active client uses the interface for itself, and its agency; undefined when it may not. */
export async function findApiRole(
  { db }: ClientStore,
  id: string,
): Promise<{ role: 'administrator' | 'agency_officer'; agency_code: string | null } | undefined> {
  const row = await db
    .selectFrom('clients')
    .select(['api_role as role', 'agency_code'])
    .where('id', '=', id)
    .where('active', '=', true)
    .executeTakeFirst();
  return row?.role ? { role: row.role, agency_code: row.agency_code } : undefined;
}
