/** What applications hold of a person at this moment: access that works in a session, or while nobody is there. */

import { sql } from 'kysely';
import type { Database } from '../../database.ts';
import { nameIn } from '../sessions/session-list.ts';
import { standing } from './records.ts';

/** The access of one application, over all sessions of its person. */
export interface Access {
  client_id: string;
  client_name: string;
  agency_name: string | null;
  agency_name_en: string | null;
  /** It asks for no consent, so ending its access is all that a person can do. */
  first_party: boolean;
  scopes: string[];
  since: Date;
  /** When it was opened last, or got a token. */
  used_at: Date;
  /** It may go on when the person has signed out. */
  is_away: boolean;
}

/**
 * A person's applications with access, by name; our own surfaces are none. A grant whose session is over and which holds
 * nothing that outlives it opens nothing any more, and is no access.
 */
export async function listAccess(db: Database, account_id: string, language: string): Promise<Access[]> {
  const { rows } = await sql<Access>`
    SELECT c.id AS client_id, ${nameIn(language)} AS client_name, a.name AS agency_name, a.name_en AS agency_name_en,
      c.first_party,
      coalesce(string_to_array(string_agg(r.payload -> 'openid' ->> 'scope', ' '), ' '), '{}') AS scopes,
      to_timestamp(min((r.payload ->> 'iat')::float8)) AS since,
      to_timestamp(max(greatest(held.newest, opened.at))) AS used_at, bool_or(held.is_away) AS is_away
    FROM oidc_records AS r
    JOIN clients AS c ON c.id = r.client_id AND c.origin <> 'own'
    LEFT JOIN agencies AS a ON a.code = c.agency_code
    CROSS JOIN LATERAL (
      SELECT max((t.payload ->> 'iat')::float8) AS newest,
        coalesce(bool_or(t.model = 'RefreshToken' AND t.consumed_at IS NULL AND NOT t.payload ? 'expiresWithSession'),
          false) AS is_away
      FROM oidc_records AS t WHERE t.grant_id = r.grant_id AND t.expires_at > gapura_now()) AS held
    CROSS JOIN LATERAL (
      SELECT max((s.authorizations -> c.id ->> 'accepted_at')::float8) AS at FROM oidc_sessions AS s
      WHERE s.account_id = r.account_id AND s.generation = r.generation AND s.expires_at > gapura_now()
        AND s.authorizations -> c.id ->> 'grantId' = r.grant_id) AS opened
    WHERE r.model = 'Grant' AND r.account_id = ${account_id} AND r.expires_at > gapura_now() AND ${standing}
      AND NOT r.payload ? 'trial' AND (held.is_away OR opened.at IS NOT NULL)
    GROUP BY c.id, a.name, a.name_en
    ORDER BY lower(${nameIn(language)}), c.id`.execute(db);
  return rows;
}
