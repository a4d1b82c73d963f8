/** What switching a client off, or removing it, breaks: for the page that asks once more. */

import { sql } from 'kysely';
import type { Database } from '../database.ts';

/** Numbers of today. */
export interface Impact {
  /** People who opened it within the last 30 days and did not sign out of it: their tokens end. */
  people: number;
  /** Applications in people's table that have it as their client, by name. */
  applications: { id: string; name: string }[];
  /** Proven user names of those applications, of which the client would be told nothing more. */
  links: number;
  /** Secrets that would open it still. */
  secrets: number;
}

/** Counts what hangs on a client; undefined for one that is not there. Read by a person now and then, never by a request of theirs. */
export async function describeImpact(db: Database, id: string): Promise<Impact | undefined> {
  const client = await db.selectFrom('clients').select('id').where('id', '=', id).executeTakeFirst();
  if (!client) return undefined;
  // A grant is made when somebody opens the client, and ends when they sign out of it.
  const { rows } = await sql<{ people: number; links: number; secrets: number }>`SELECT
    (SELECT count(DISTINCT account_id) FROM oidc_records WHERE model = 'Grant' AND client_id = ${id}
      AND expires_at > gapura_now()
      AND (payload->>'iat')::bigint > extract(epoch FROM gapura_now() - interval '30 days'))::int AS people,
    (SELECT count(*) FROM links l JOIN applications a ON a.id = l.application_id WHERE a.client_id = ${id})::int AS links,
    (SELECT count(*) FROM client_secrets WHERE client_id = ${id}
      AND (expires_at IS NULL OR expires_at > gapura_now()))::int AS secrets`.execute(db);
  const applications = await db
    .selectFrom('applications')
    .select(['id', 'name'])
    .where('client_id', '=', id)
    .orderBy('name')
    .execute();
  return { people: 0, links: 0, secrets: 0, ...rows[0], applications };
}
