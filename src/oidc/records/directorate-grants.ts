/** Grants that carry a directorate: how many stand, and their end when the directorate closes to those who chose it. */

import { sql } from 'kysely';
import type { Database, Transaction } from '../../database.ts';
import { endGrants } from './write.ts';

/** A directorate, all of an agency's, or one only for the people of one organisation. */
export type Chosen =
  | { agency_code: string }
  | { directorate_id: string }
  | { directorate_id: string; organisation_id: string };

/** How many live grants carry it. */
export async function countGrantsIn(db: Database, chosen: Chosen): Promise<number> {
  const { rows } = await sql<{ count: number }>`SELECT count(*)::int AS count FROM (${grantsIn(chosen)})`.execute(db);
  return rows[0]?.count ?? 0;
}

/**
 * Ends the grants that carry it, with their codes and tokens: a token, and whatever it is renewed into, would go on telling
 * the directorate. The next authorization asks the person anew.
 */
export async function endGrantsIn(tx: Transaction, chosen: Chosen): Promise<void> {
  const { rows } = await grantsIn(chosen).execute(tx);
  for (let at = 0; at < rows.length; at += batch) {
    await endGrants(
      tx,
      rows.slice(at, at + batch).map(({ grant_id }) => grant_id),
    );
  }
}

const batch = 1000;

// Through the people who could choose it, for grants are found by their person.
function grantsIn(chosen: Chosen) {
  const where =
    'agency_code' in chosen ? sql`d.agency_code = ${chosen.agency_code}` : sql`d.id = ${chosen.directorate_id}`;
  const whose = 'organisation_id' in chosen ? sql`p.organisation_id = ${chosen.organisation_id}` : sql`true`;
  return sql<{ grant_id: string }>`SELECT DISTINCT r.grant_id
    FROM directorates d
    JOIN memberships m ON m.directorate_id = d.id
    JOIN account_organisations p ON p.organisation_id = m.organisation_id
    JOIN oidc_records r ON r.account_id = p.account_id AND r.model = 'Grant'
      AND r.payload->'directorate'->>'id' = d.id::text AND r.expires_at > gapura_now()
    WHERE ${where} AND ${whose}`;
}
