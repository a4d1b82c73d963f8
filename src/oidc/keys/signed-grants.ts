/** What was granted on the word of a signing key, and ends with it when the key is in wrong hands. */

import { sql } from 'kysely';
import type { Transaction } from '../../database.ts';
import { endGrants } from '../records/write.ts';

/**
 * Ends what was granted since a key began to sign to clients that are answered with its algorithm, or for resource servers
 * whose tokens it signs: who knows what a forged one has told them. Sessions stay. A batch at a time, so that no statement
 * takes long.
 * @returns how many grants ended
 */
export async function endGrantsSigned(
  tx: Transaction,
  { alg, since }: { alg: string; since: Date },
  batch = 1000,
): Promise<number> {
  const clients = await tx
    .selectFrom('clients')
    .select('id')
    // A client that asks for nothing gets RS256; one that is given neither code nor token is never told anything by a signature.
    .where(sql<boolean>`coalesce(metadata->>'id_token_signed_response_alg', 'RS256') = ${alg}
      OR metadata->>'userinfo_signed_response_alg' = ${alg} OR metadata->>'introspection_signed_response_alg' = ${alg}
      OR metadata->>'authorization_signed_response_alg' = ${alg}`)
    .where(sql<boolean>`coalesce(metadata->'response_types', '["code"]') <> '["none"]'`)
    .execute();
  const ids = clients.map(({ id }) => id);
  for (let ended = 0; ; ) {
    const { rows } = await sql<{ grant_id: string }>`SELECT grant_id FROM oidc_records
      WHERE model = 'Grant' AND (client_id = ANY (${ids}) OR EXISTS (SELECT FROM resource_servers s
          WHERE s.token_format = 'jwt' AND s.signing_alg = ${alg} AND payload->'resources' ? s.identifier))
        AND (payload->>'iat')::bigint >= floor(extract(epoch FROM ${since}::timestamptz)) LIMIT ${batch}`.execute(tx);
    if (rows.length === 0) return ended;
    await endGrants(
      tx,
      rows.map((row) => row.grant_id),
    );
    ended += rows.length;
  }
}
