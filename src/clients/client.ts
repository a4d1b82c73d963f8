/** The relying applications of the engine: their metadata, ours beside it, and their secrets. */

import { sql } from 'kysely';
import { nowSeconds } from '../clock.ts';
import type { Config } from '../config.ts';
import { deriveKeys, isSame, keyedHash, open, randomToken, seal } from '../crypto.ts';
import { type Database, inTransaction } from '../database.ts';

/** A client as it is registered: its metadata in the words of OpenID Connect Dynamic Registration, and what we add. */
export interface ClientRegistration {
  id: string;
  metadata: Record<string, unknown>;
  agency_code?: string;
  /** First-party clients are not asked for consent. */
  first_party?: boolean;
  /** The client must know for which directorate of its agency the person acts. */
  directorate_required?: boolean;
  link_required?: boolean;
  /** Origins that its own redirects lead to after the engine's (DESIGN: pages), for the form-action of our pages. */
  form_action_origins?: string[];
}

/** Our own columns as the engine's client carries them beside the standard metadata. */
export const ownMetadata = [
  'agency',
  'agency_name',
  'agency_name_en',
  'first_party',
  'directorate_required',
  'link_required',
  'form_action_origins',
  'secret_hashes',
] as const;

interface SecretHash {
  hash: string;
  /** Seconds since the epoch, or null. */
  expires_at: number | null;
}

/** What reads and writes clients: the database and the keys that hash and seal their secrets. */
export interface ClientStore {
  db: Database;
  hash_keys: Buffer[];
  seal_keys: Buffer[];
}

export function openClients(db: Database, config: Pick<Config, 'secrets'>): ClientStore {
  return {
    db,
    hash_keys: deriveKeys(config.secrets, 'client secrets'),
    seal_keys: deriveKeys(config.secrets, 'client secrets sealed'),
  };
}

/**
 * Writes a client; a known one is replaced, its secrets stay. `validate` is the engine's own check of the metadata; only
 * our own clients, whose metadata is code, come without it.
 * @throws what `validate` throws (an OAuth error whose description names the field)
 */
export async function saveClient(
  { db }: ClientStore,
  registration: ClientRegistration,
  validate?: (metadata: Record<string, unknown>) => Promise<void>,
): Promise<void> {
  const { id, metadata } = registration;
  const stand_in = usesSecret(metadata) || signsWithSecret(metadata) ? { client_secret: randomToken() } : {};
  await validate?.({ ...metadata, client_id: id, ...stand_in });
  const columns = {
    metadata: JSON.stringify(metadata),
    agency_code: registration.agency_code ?? null,
    first_party: registration.first_party ?? false,
    directorate_required: registration.directorate_required ?? false,
    link_required: registration.link_required ?? false,
    form_action_origins: registration.form_action_origins ?? [],
  };
  await db
    .insertInto('clients')
    .values({ id, ...columns })
    .onConflict((conflict) =>
      conflict
        .column('id')
        .doUpdateSet({ ...columns, version: sql`clients.version + 1`, updated_at: sql`gapura_now()` })
        .where(is_changed),
    )
    .execute();
}

const own_columns = [
  'metadata',
  'agency_code',
  'first_party',
  'directorate_required',
  'link_required',
  'form_action_origins',
];

// Writing what stands already is no new version.
const is_changed = sql<boolean>`(${sql.join(own_columns.map((name) => sql.ref(`clients.${name}`)))})
  IS DISTINCT FROM (${sql.join(own_columns.map((name) => sql.ref(`excluded.${name}`)))})`;

/**
 * Gives a client one more secret, kept as a keyed hash; sealed where the client signs with it (client_secret_jwt, HS256).
 * Secrets given earlier stay valid, so that an application can change over.
 */
export async function addClientSecret(store: ClientStore, client_id: string, secret: string): Promise<void> {
  const { db, hash_keys, seal_keys } = store;
  const hash = keyedHash(hash_keys[0] as Buffer, secret);
  await inTransaction(db, async (tx) => {
    const client = await tx
      .selectFrom('clients')
      .select('metadata')
      .where('id', '=', client_id)
      .forUpdate()
      .executeTakeFirstOrThrow();
    const known = await tx
      .selectFrom('client_secrets')
      .select('id')
      .where('client_id', '=', client_id)
      .where('hash', '=', hash)
      .executeTakeFirst();
    if (known) return;
    const sealed = signsWithSecret(client.metadata)
      ? seal(seal_keys[0] as Buffer, secret, `client_secrets.sealed:${client_id}`)
      : null;
    await tx.insertInto('client_secrets').values({ client_id, hash, sealed }).execute();
  });
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
    .select((eb) => [
      'c.metadata',
      'a.name as agency_name',
      'a.name_en as agency_name_en',
      'c.agency_code',
      'c.first_party',
      'c.directorate_required',
      'c.link_required',
      'c.form_action_origins',
      eb
        .selectFrom('client_secrets as s')
        .whereRef('s.client_id', '=', 'c.id')
        .where(sql<boolean>`s.expires_at IS NULL OR s.expires_at > gapura_now()`)
        .select(
          sql<
            (SecretHash & { sealed: string | null })[]
          >`coalesce(json_agg(json_build_object('hash', s.hash, 'sealed', s.sealed,
            'expires_at', floor(extract(epoch FROM s.expires_at))) ORDER BY s.created_at DESC), '[]')`.as('secrets'),
        )
        .as('secrets'),
    ])
    .where('c.id', '=', id)
    .where('c.active', '=', true)
    .executeTakeFirst();
  if (!row) return undefined;
  const secrets = row.secrets ?? [];
  const sealed = secrets.find((secret) => secret.sealed)?.sealed;
  return {
    ...row.metadata,
    client_id: id,
    // The engine wants a secret to be there. Where only its hash is kept, this stand-in is one nobody can know.
    ...(sealed ? { client_secret: open(seal_keys, sealed, `client_secrets.sealed:${id}`) } : {}),
    ...(!sealed && usesSecret(row.metadata)
      ? { client_secret: keyedHash(hash_keys[0] as Buffer, `stand-in ${id}`) }
      : {}),
    agency: row.agency_code ?? undefined,
    agency_name: row.agency_name ?? undefined,
    agency_name_en: row.agency_name_en ?? undefined,
    first_party: row.first_party,
    directorate_required: row.directorate_required,
    link_required: row.link_required,
    form_action_origins: row.form_action_origins,
    secret_hashes: secrets.map(({ hash, expires_at }) => ({ hash, expires_at })),
  };
}

/** Whether `secret` is one of a client's; `hashes` is what `findClientMetadata` gave the engine as `secret_hashes`. */
export function isClientSecret({ hash_keys }: ClientStore, hashes: unknown, secret: string): boolean {
  const candidates = hash_keys.map((key) => keyedHash(key, secret));
  return (
    Array.isArray(hashes) &&
    (hashes as SecretHash[]).some(
      ({ hash, expires_at }) =>
        (expires_at === null || expires_at > nowSeconds()) && candidates.some((candidate) => isSame(candidate, hash)),
    )
  );
}

function usesSecret(metadata: Record<string, unknown>): boolean {
  const method = metadata.token_endpoint_auth_method ?? 'client_secret_basic';
  return typeof method === 'string' && method.startsWith('client_secret_');
}

function signsWithSecret(metadata: Record<string, unknown>): boolean {
  return (
    metadata.token_endpoint_auth_method === 'client_secret_jwt' ||
    Object.entries(metadata).some(
      ([key, value]) => /_(signed_response|signing)_alg$/.test(key) && /^HS/.test(String(value)),
    )
  );
}
