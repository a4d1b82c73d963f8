/** Which client may ask for tokens for which API, with which scopes, for itself or for people; and who may ask what a token says. */

import { sql } from 'kysely';
import type { Database, Transaction } from '../database.ts';
import type { ResourceServer } from './resource-server.ts';

/** As much of an API as a token for it needs. */
export interface TokenTarget
  extends Pick<ResourceServer, 'identifier' | 'token_format' | 'token_lifetime' | 'signing_alg'> {
  /** Those that the token may carry. */
  scopes: string[];
  /** The API may change its tokens for others (RFC 8693). */
  is_passed_on: boolean;
}

/** What a client is allowed at an API. */
export interface ApiGrant {
  client_id: string;
  scopes: string[];
  for_itself: boolean;
  for_people: boolean;
}

/** Lets a client ask for tokens for an API, in place of what it was allowed before. */
export async function allowClient(
  tx: Transaction,
  resource_server_id: string,
  { client_id, scopes, for_itself, for_people }: ApiGrant,
): Promise<{ state: 'done' } | { state: 'refused'; errors: Record<string, string> }> {
  if (!for_itself && !for_people)
    return { state: 'refused', errors: { for_people: 'errors.resource-server.for_whom' } };
  const client = await tx
    .selectFrom('clients')
    .select('id')
    .where('id', '=', client_id)
    .where('origin', '<>', 'own')
    .executeTakeFirst();
  if (!client) return { state: 'refused', errors: { allowed_client_id: 'errors.resource-server.client_unknown' } };
  await tx
    .insertInto('resource_grants')
    .values({ resource_server_id, client_id, scopes, for_itself, for_people })
    .onConflict((conflict) =>
      conflict.columns(['resource_server_id', 'client_id']).doUpdateSet({ scopes, for_itself, for_people }),
    )
    .execute();
  return { state: 'done' };
}

/** Takes back what a client was allowed; the API hears of no token of it from then on. */
export async function withdrawClient(tx: Transaction, resource_server_id: string, client_id: string): Promise<boolean> {
  const result = await tx
    .deleteFrom('resource_grants')
    .where('resource_server_id', '=', resource_server_id)
    .where('client_id', '=', client_id)
    .executeTakeFirst();
  return result.numDeletedRows === 1n;
}

/** The clients that may ask for tokens for an API, by their ids. */
export async function listAllowedClients(db: Database, resource_server_id: string): Promise<ApiGrant[]> {
  return db
    .selectFrom('resource_grants')
    .select(['client_id', 'scopes', 'for_itself', 'for_people'])
    .where('resource_server_id', '=', resource_server_id)
    .orderBy('client_id')
    .execute();
}

/** Takes a scope of an API from everybody who was allowed it. */
export async function dropGrantedScope(tx: Transaction, resource_server_id: string, scope: string): Promise<void> {
  await tx
    .updateTable('resource_grants')
    .set({ scopes: sql`array_remove(scopes, ${scope})` })
    .where('resource_server_id', '=', resource_server_id)
    .execute();
}

/** An API as this client may ask for tokens for it; undefined when it is unknown, switched off, or not for this client. */
export async function findTarget(
  db: Database,
  identifier: string,
  { client_id, purpose }: { client_id: string; purpose: 'for_itself' | 'for_people' },
): Promise<TokenTarget | undefined> {
  return db
    .selectFrom('resource_servers as s')
    .innerJoin('resource_grants as g', 'g.resource_server_id', 's.id')
    .select((eb) => [
      's.identifier',
      's.token_format',
      's.token_lifetime',
      's.signing_alg',
      'g.scopes',
      eb
        .exists(eb.selectFrom('token_exchanges as x').whereRef('x.source_id', '=', 's.id'))
        .$castTo<boolean>()
        .as('is_passed_on'),
    ])
    .where('s.identifier', '=', identifier)
    .where('s.active', '=', true)
    .where('g.client_id', '=', client_id)
    .where(`g.${purpose}`, '=', true)
    .executeTakeFirst();
}

/** A token as the API knows it to which it is addressed. */
export interface AddressedToken {
  audience: string;
  client_id: string;
  /** The client that got it in exchange for another (RFC 8693 section 4.1). */
  actor: string | undefined;
}

/**
 * An API (alias `s`) to which a token is addressed, where this client acts for it and the token's client may still have one:
 * what was taken back ends at once wherever it is looked at. Behind an exchange that is the API where the token came from,
 * unless that may have got it by an exchange itself.
 */
export function servedBy(client_id: string, { audience, client_id: of, actor }: AddressedToken) {
  return sql<boolean>`s.identifier = ${audience} AND s.client_id = ${client_id} AND s.active
    AND EXISTS (SELECT FROM clients c WHERE c.id = ${of} AND c.active)
    AND CASE WHEN ${actor ?? null}::text IS NULL THEN EXISTS (
      SELECT FROM resource_grants g WHERE g.resource_server_id = s.id AND g.client_id = ${of})
    ELSE EXISTS (
      SELECT FROM token_exchanges b JOIN resource_servers o ON o.id = b.source_id AND o.active
      WHERE b.target_id = s.id AND o.client_id = ${actor ?? null}
        AND (EXISTS (SELECT FROM resource_grants g WHERE g.resource_server_id = o.id AND g.client_id = ${of})
          OR EXISTS (SELECT FROM token_exchanges e WHERE e.target_id = o.id))) END`;
}

/** Whether a client asks for an API to which a token is addressed (RFC 7662 section 4). */
export async function servesToken(db: Database, client_id: string, token: AddressedToken): Promise<boolean> {
  const { rows } = await sql`SELECT FROM resource_servers s WHERE ${servedBy(client_id, token)}`.execute(db);
  return rows.length > 0;
}
