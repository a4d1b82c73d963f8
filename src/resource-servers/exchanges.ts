/** Which API may change tokens that were sent to it for tokens of which other (RFC 8693), and with which scopes. */

import { sql } from 'kysely';
import type { Database, Transaction } from '../database.ts';
import type { ApiScope } from '../tables.ts';
import { type AddressedToken, servedBy, type TokenTarget } from './grants.ts';

/** A pair as the console shows it: where tokens go on to. */
export interface ShownExchange {
  target_id: string;
  target: string;
  scopes: string[];
}

/**
 * Lets an API pass on requests to another, in place of what it was allowed before. Only scopes that both have: what a person
 * allowed at the first is then all that it can be used for at the second.
 */
export async function allowExchange(
  tx: Transaction,
  { source_id, target_id, scopes }: { source_id: string; target_id: string; scopes: string[] },
): Promise<{ state: 'done' } | { state: 'refused'; errors: Record<string, string> }> {
  const refuse = (field: string, key: string) => ({ state: 'refused' as const, errors: { [field]: key } });
  if (source_id === target_id) return refuse('target_id', 'errors.resource-server.target_same');
  const rows = await tx
    .selectFrom('resource_servers')
    .select(['id', 'scopes', 'client_id'])
    .where('id', 'in', [source_id, target_id])
    .forShare()
    .execute();
  const [source, target] = [source_id, target_id].map((id) => rows.find((row) => row.id === id));
  if (!source || !target) return refuse('target_id', 'errors.resource-server.target_unknown');
  if (!source.client_id) return refuse('form', 'errors.resource-server.needs_client');
  const has = (held: ApiScope[], name: string) => held.some((scope) => scope.name === name);
  if (!scopes.every((name) => has(source.scopes, name) && has(target.scopes, name)))
    return refuse('passed_scopes', 'errors.resource-server.scope_not_both');
  await tx
    .insertInto('token_exchanges')
    .values({ source_id, target_id, scopes })
    .onConflict((conflict) => conflict.columns(['source_id', 'target_id']).doUpdateSet({ scopes }))
    .execute();
  return { state: 'done' };
}

/** Ends a pair; tokens that came of it say nothing any more where the API asks. */
export async function endExchange(tx: Transaction, source_id: string, target_id: string): Promise<boolean> {
  const result = await tx
    .deleteFrom('token_exchanges')
    .where('source_id', '=', source_id)
    .where('target_id', '=', target_id)
    .executeTakeFirst();
  return result.numDeletedRows === 1n;
}

/** Where the tokens of an API go on to. */
export async function listExchanges(db: Database, source_id: string): Promise<ShownExchange[]> {
  return db
    .selectFrom('token_exchanges as x')
    .innerJoin('resource_servers as t', 't.id', 'x.target_id')
    .select(['x.target_id', 't.identifier as target', 'x.scopes'])
    .where('x.source_id', '=', source_id)
    .orderBy('t.identifier')
    .execute();
}

/** Takes a scope of an API out of every pair in which it stands. */
export async function dropPassedScope(tx: Transaction, id: string, scope: string): Promise<void> {
  await tx
    .updateTable('token_exchanges')
    .set({ scopes: sql`array_remove(scopes, ${scope})` })
    .where((eb) => eb.or([eb('source_id', '=', id), eb('target_id', '=', id)]))
    .execute();
}

/**
 * What a client may change a token for: the API it was sent to must be its own, the other one must be paired with that, and
 * whoever brought the token must still be allowed there. `foreign` when the token is none of the client's business.
 */
export async function findExchange(
  db: Database,
  client_id: string,
  brought: AddressedToken,
  target: string,
): Promise<TokenTarget | 'foreign' | undefined> {
  const { rows } = await sql<{ [K in keyof TokenTarget]: TokenTarget[K] | null }>`
    SELECT t.identifier, t.token_format, t.token_lifetime, t.signing_alg, x.scopes,
      EXISTS (SELECT FROM token_exchanges n WHERE n.source_id = t.id) AS is_passed_on
    FROM resource_servers s
    LEFT JOIN (token_exchanges x JOIN resource_servers t ON t.id = x.target_id AND t.active AND t.identifier = ${target})
      ON x.source_id = s.id
    WHERE ${servedBy(client_id, brought)}`.execute(db);
  const [row] = rows;
  if (!row) return 'foreign';
  return row.identifier === null ? undefined : (row as TokenTarget);
}
