/** The APIs that take our access tokens: registered, changed, switched off and removed, with what may be allowed there. */

import { type Selectable, sql } from 'kysely';
import { z } from 'zod';
import { client_scopes } from '../clients/choices.ts';
import type { Config } from '../config.ts';
import type { Database, Transaction } from '../database.ts';
import { optionalLine, words } from '../organisations/shapes.ts';
import type { ApiScope, ResourceServers } from '../tables.ts';
import { dropPassedScope } from './exchanges.ts';
import { dropGrantedScope } from './grants.ts';

export type ResourceServer = Selectable<ResourceServers>;

export const token_formats = ['jwt', 'opaque'] as const;

/** With which a JWT may be signed; the first unless it is chosen otherwise. */
export const signing_algorithms = ['ES256', 'PS256', 'EdDSA', 'RS256'] as const;

/** Seconds. A JWT cannot be taken back, so it is short. */
export const longest_lifetimes = { jwt: 300, opaque: 3600 } as const;

const shortest_lifetime = 30;
const most_scopes = 50;

/** What may change of an API; its identifier stands in tokens and consents. */
export const resourceServerSchema = z.object({
  name: words(200),
  name_en: optionalLine(200),
  token_format: z.enum(token_formats),
  token_lifetime: z
    .int()
    .min(shortest_lifetime, 'errors.resource-server.lifetime')
    .max(longest_lifetimes.opaque, 'errors.resource-server.lifetime')
    .meta({ unit: 'words.seconds' }),
  signing_alg: z.enum(signing_algorithms),
  client_id: optionalLine(200),
});

export const newResourceServerSchema = z.object({
  identifier: z.string().trim().min(1, 'errors.field.required').max(300, 'errors.too_long'),
  agency_code: z.string().max(20, 'errors.too_long').meta({ options: 'agencies' }),
  ...resourceServerSchema.shape,
});

/** One scope of an API, with what the consent page says of it. */
export const apiScopeSchema = z.object({
  scope_name: z.string().regex(/^[a-z][a-z0-9._:/-]{1,59}$/, 'errors.resource-server.scope'),
  text_id: words(120),
  text_en: words(120),
});

/** Why something about an API was not done, by field. */
export type Kept = { state: 'done' } | { state: 'refused'; errors: Record<string, string> } | { state: 'conflict' };

/** Ours already: an API that had it would give what belongs to somebody else. */
export function isReserved(scope: string): boolean {
  return scope.startsWith('admin:') || (client_scopes as readonly string[]).includes(scope);
}

/** Registers an API; of two with one identifier at once one comes first, and that of a removed one is never given again. */
export async function createResourceServer(
  tx: Transaction,
  input: z.output<typeof newResourceServerSchema>,
  config: Pick<Config, 'production' | 'url'>,
): Promise<{ state: 'done'; id: string } | Extract<Kept, { state: 'refused' }>> {
  const { identifier, agency_code } = input;
  const wrong = checkIdentifier(identifier, config);
  if (wrong) return { state: 'refused', errors: { identifier: wrong } };
  const errors = await findRefusals(tx, input);
  if (errors) return { state: 'refused', errors };
  const agency = await tx.selectFrom('agencies').select('code').where('code', '=', agency_code).executeTakeFirst();
  if (!agency) return { state: 'refused', errors: { agency_code: 'errors.agency.unknown' } };
  await lockIdentifier(tx, identifier);
  const removed = await tx
    .selectFrom('removed_resource_servers')
    .select('identifier')
    .where('identifier', '=', identifier)
    .executeTakeFirst();
  if (removed) return { state: 'refused', errors: { identifier: 'errors.resource-server.removed' } };
  const row = await tx
    .insertInto('resource_servers')
    .values({ ...input, name_en: input.name_en ?? null, client_id: input.client_id ?? null })
    .onConflict((conflict) => conflict.doNothing())
    .returning('id')
    .executeTakeFirst();
  return row
    ? { state: 'done', ...row }
    : { state: 'refused', errors: { identifier: 'errors.resource-server.identifier_taken' } };
}

/** Changes an API, unless somebody did since `version`; tokens that were issued stay as they are. */
export async function changeResourceServer(
  tx: Transaction,
  { id, version }: Pick<ResourceServer, 'id' | 'version'>,
  input: z.output<typeof resourceServerSchema>,
): Promise<Kept> {
  const errors = await findRefusals(tx, input);
  if (errors) return { state: 'refused', errors };
  const result = await tx
    .updateTable('resource_servers')
    .set({ ...input, name_en: input.name_en ?? null, client_id: input.client_id ?? null })
    .where('id', '=', id)
    .where('version', '=', version)
    .executeTakeFirst();
  return { state: result.numUpdatedRows === 1n ? 'done' : 'conflict' };
}

/** Switches an API on or off: off, nobody gets a token for it, and an opaque one says nothing any more. */
export async function setResourceServerActive(tx: Transaction, id: string, active: boolean): Promise<Kept> {
  const result = await tx
    .updateTable('resource_servers')
    .set({ active })
    .where('id', '=', id)
    .where('active', '<>', active)
    .executeTakeFirst();
  return { state: result.numUpdatedRows === 1n ? 'done' : 'conflict' };
}

/** Removes an API with everything that was allowed for it, its identifier for ever. */
export async function removeResourceServer(tx: Transaction, identifier: string): Promise<Kept> {
  await lockIdentifier(tx, identifier);
  const result = await tx.deleteFrom('resource_servers').where('identifier', '=', identifier).executeTakeFirst();
  if (result.numDeletedRows === 0n) return { state: 'conflict' };
  await tx.insertInto('removed_resource_servers').values({ identifier }).execute();
  return { state: 'done' };
}

/** Adds a scope, or says a known one in other words. */
export async function keepApiScope(
  tx: Transaction,
  id: string,
  { scope_name: name, text_id, text_en }: z.output<typeof apiScopeSchema>,
): Promise<Kept> {
  if (isReserved(name)) return { state: 'refused', errors: { scope_name: 'errors.resource-server.scope_reserved' } };
  const scopes = await lockScopes(tx, id);
  if (!scopes) return { state: 'conflict' };
  const at = scopes.findIndex((scope) => scope.name === name);
  const kept = at < 0 ? [...scopes, { name, text_id, text_en }] : scopes.with(at, { name, text_id, text_en });
  if (kept.length > most_scopes)
    return { state: 'refused', errors: { scope_name: 'errors.resource-server.too_many_scopes' } };
  await writeScopes(tx, id, kept);
  return { state: 'done' };
}

/** Takes a scope away, also from everybody who was allowed it. */
export async function endApiScope(tx: Transaction, id: string, name: string): Promise<Kept> {
  const scopes = await lockScopes(tx, id);
  if (!scopes?.some((scope) => scope.name === name)) return { state: 'conflict' };
  await writeScopes(
    tx,
    id,
    scopes.filter((scope) => scope.name !== name),
  );
  await dropGrantedScope(tx, id, name);
  await dropPassedScope(tx, id, name);
  return { state: 'done' };
}

/** Names and scopes of APIs, for the pages that tell a person of them. */
export async function listApis(
  db: Database,
  identifiers: string[],
): Promise<Pick<ResourceServer, 'identifier' | 'name' | 'name_en' | 'scopes'>[]> {
  if (identifiers.length === 0) return [];
  return db
    .selectFrom('resource_servers')
    .select(['identifier', 'name', 'name_en', 'scopes'])
    .where('identifier', 'in', identifiers)
    .orderBy(sql`lower(name)`)
    .execute();
}

/** The scopes of an API with their words. */
export async function findApiScopes(db: Database, id: string): Promise<ApiScope[]> {
  const row = await db.selectFrom('resource_servers').select('scopes').where('id', '=', id).executeTakeFirst();
  return row?.scopes ?? [];
}

/** The other APIs that have one of these scopes, by their identifiers. */
export async function listPairable(
  db: Database,
  id: string,
  names: string[],
): Promise<Pick<ResourceServer, 'id' | 'identifier'>[]> {
  return db
    .selectFrom('resource_servers')
    .select(['id', 'identifier'])
    .where('id', '<>', id)
    .where(sql<boolean>`EXISTS (
      SELECT FROM jsonb_array_elements(scopes) AS one WHERE one->>'name' = ANY (${names}::text[]))`)
    .orderBy('identifier')
    .execute();
}

/** What an API is called in a language. */
export function nameApi({ name, name_en }: Pick<ResourceServer, 'name' | 'name_en'>, language: string): string {
  return (language === 'en' ? name_en : null) ?? name;
}

// Compared as it is written, sign by sign, so what a parser would read in another way is refused (RFC 8707 section 2).
function checkIdentifier(identifier: string, { production, url }: Pick<Config, 'production' | 'url'>) {
  const address = URL.parse(identifier);
  const is_loopback = address !== null && ['localhost', '127.0.0.1', '[::1]'].includes(address.hostname);
  const is_secure = address?.protocol === 'https:' || (address?.protocol === 'http:' && is_loopback && !production);
  if (!address || !is_secure || /[\s\\#?]/.test(identifier) || address.username || address.password)
    return 'errors.resource-server.identifier';
  if (![identifier, `${identifier}/`].includes(address.href)) return 'errors.resource-server.identifier_written';
  // Our own interfaces take tokens without an audience, and no others.
  return address.origin === new URL(url).origin ? 'errors.resource-server.identifier_ours' : undefined;
}

async function findRefusals(
  tx: Transaction,
  { token_format, token_lifetime, client_id }: z.output<typeof resourceServerSchema>,
): Promise<Record<string, string> | undefined> {
  if (token_lifetime > longest_lifetimes[token_format])
    return { token_lifetime: 'errors.resource-server.lifetime_jwt' };
  if (!client_id) return undefined;
  const client = await tx
    .selectFrom('clients')
    .select(sql<string | null>`metadata->>'token_endpoint_auth_method'`.as('method'))
    .where('id', '=', client_id)
    .where('origin', 'in', ['console', 'submission'])
    .executeTakeFirst();
  if (!client) return { client_id: 'errors.resource-server.client_unknown' };
  // Anybody can call themselves by the name of a client that proves nothing.
  return client.method === 'none' ? { client_id: 'errors.resource-server.client_public' } : undefined;
}

async function lockScopes(tx: Transaction, id: string): Promise<ApiScope[] | undefined> {
  const query = tx.selectFrom('resource_servers').select('scopes').where('id', '=', id).forUpdate();
  return (await query.executeTakeFirst())?.scopes;
}

async function writeScopes(tx: Transaction, id: string, scopes: ApiScope[]): Promise<void> {
  await tx
    .updateTable('resource_servers')
    .set({ scopes: JSON.stringify(scopes) })
    .where('id', '=', id)
    .execute();
}

async function lockIdentifier(tx: Transaction, identifier: string): Promise<void> {
  await sql`SELECT pg_advisory_xact_lock(hashtextextended(${`resource server ${identifier}`}, 0))`.execute(tx);
}
