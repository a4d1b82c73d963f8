/** Lists of sessions: a person's own as they are shown, and those that the sweep ends. */

import { sql } from 'kysely';
import type { Database } from '../../database.ts';
import { standing } from '../records/records.ts';

/** A session as its person is shown it. */
export interface ShownSession {
  /** Names it; the cookie's id is another, and whoever has this one alone opens nothing. */
  uid: string;
  user_agent: string | null;
  network: string | null;
  remembered: boolean;
  created_at: Date;
  seen_at: Date;
  /** The applications that were opened in it, by name; our own surfaces are none. */
  applications: string[];
}

/** A person's sessions that still open something, the one used last first. */
export async function listSessionsOf(db: Database, account_id: string, language: string): Promise<ShownSession[]> {
  return db
    .selectFrom('oidc_sessions as r')
    .select([
      'r.uid',
      'r.user_agent',
      'r.network',
      'r.remembered',
      'r.created_at',
      'r.seen_at',
      sql<string[]>`ARRAY(SELECT ${nameIn(language)} FROM jsonb_each(r.authorizations) AS e
        JOIN clients AS c ON c.id = e.key WHERE e.value ? 'accepted_at' AND c.origin <> 'own' ORDER BY 1)`.as(
        'applications',
      ),
    ])
    .where('r.account_id', '=', account_id)
    .where('r.expires_at', '>', sql<Date>`gapura_now()`)
    .where(standing)
    .orderBy('r.seen_at', 'desc')
    .orderBy('r.uid')
    .execute();
}

/** What a client (alias `c`) is called in a language. */
export const nameIn = (language: string) =>
  sql<string>`coalesce(c.metadata ->> ${`client_name#${language}`}::text, c.metadata ->> 'client_name', c.id)`;

/**
 * The sessions whose account was closed, revoked or ran out within the last day and which are still there: what the
 * sweep ends. (They open nothing any more; the sweep tells the applications and frees the rows.)
 */
export async function listDeadSessions(db: Database, limit: number): Promise<string[]> {
  const rows = await db
    .selectFrom('accounts as a')
    .innerJoin('oidc_sessions as r', 'r.account_id', 'a.id')
    .select('r.uid')
    .where(sql<boolean>`(a.revoked_at > gapura_now() - interval '1 day' AND r.generation IS DISTINCT FROM a.generation)
      OR (a.expires_at BETWEEN gapura_now() - interval '1 day' AND gapura_now())`)
    .limit(limit)
    .execute();
  return rows.map((row) => row.uid);
}
