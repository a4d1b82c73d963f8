/** Registered APIs for tests: with scopes, their own client, and who may ask for their tokens. */

import { inTransaction } from '../../src/database.ts';
import { allowExchange } from '../../src/resource-servers/exchanges.ts';
import { type ApiGrant, allowClient } from '../../src/resource-servers/grants.ts';
import { createResourceServer, keepApiScope, type ResourceServer } from '../../src/resource-servers/resource-server.ts';
import type { TestGapura } from './gapura.ts';

export interface TestApi {
  id: string;
  identifier: string;
}

/** Throws what was refused. */
function done<T extends { state: string }>(kept: T): Extract<T, { state: 'done' }> {
  if (kept.state !== 'done') throw new Error(`not kept: ${JSON.stringify(kept)}`);
  return kept as Extract<T, { state: 'done' }>;
}

/** Registers an API of BPOM at an address of its own. */
export async function registerApi(
  { db, config }: Pick<TestGapura, 'db' | 'config'>,
  name: string,
  {
    scopes = ['stok:baca', 'stok:tulis'],
    ...rest
  }: Partial<Omit<ResourceServer, 'scopes'>> & { scopes?: string[] } = {},
): Promise<TestApi> {
  const identifier = `https://${name}.example.go.id/v1`;
  const id = await inTransaction(db, async (tx) => {
    const token_format = rest.token_format ?? 'jwt';
    const input = {
      identifier,
      name: `API ${name}`,
      name_en: `The ${name} API`,
      agency_code: 'BPOM',
      token_format,
      token_lifetime: token_format === 'jwt' ? 300 : 1800,
      signing_alg: 'ES256' as const,
      client_id: null,
      ...rest,
    };
    const made = done(await createResourceServer(tx, input, config));
    for (const scope of scopes)
      done(
        await keepApiScope(tx, made.id, { scope_name: scope, text_id: `memakai ${scope}`, text_en: `use ${scope}` }),
      );
    return made.id;
  });
  return { id, identifier };
}

/** Lets a client ask for tokens for an API. */
export async function allowAt(
  { db }: Pick<TestGapura, 'db'>,
  api: TestApi,
  grant: Partial<ApiGrant> & { client_id: string },
) {
  const order = { scopes: ['stok:baca', 'stok:tulis'], for_people: true, for_itself: true, ...grant };
  done(await inTransaction(db, (tx) => allowClient(tx, api.id, order)));
}

/** Lets an API change its tokens for those of another. */
export async function pairApis(
  { db }: Pick<TestGapura, 'db'>,
  source: TestApi,
  target: TestApi,
  scopes = ['stok:baca'],
) {
  done(await inTransaction(db, (tx) => allowExchange(tx, { source_id: source.id, target_id: target.id, scopes })));
}
