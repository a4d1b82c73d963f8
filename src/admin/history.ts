/** What was done to an entry, as the audit has it. */

import { sql } from 'kysely';
import type { Database } from '../database.ts';

/** One thing done; `changes` tells from what to what, or null where only that it changed may be told. */
export interface HistoryRow {
  id: string;
  at: Date;
  /** The user name of who did it; null for a program or one that is gone. */
  actor: string | null;
  operation: string;
  changes: Record<string, { from: unknown; to: unknown } | null>;
}

/** The last `size` things done to an entry, the latest first; `before` continues from an id. */
export async function listHistory(
  db: Database,
  resource: string,
  id: string,
  { size = 20, before }: { size?: number; before?: string } = {},
): Promise<HistoryRow[]> {
  const { rows } = await sql<HistoryRow>`
    SELECT e.id::text, e.at, i.value AS actor, e.detail->>'operation' AS operation,
      coalesce(e.detail->'changes', '{}') AS changes
    FROM audit_events e
    LEFT JOIN account_identifiers i ON i.account_id = e.actor_id AND i.kind = 'username'
    WHERE e.detail ? 'resource' AND e.detail->>'resource' = ${resource} AND e.detail->>'id' = ${id}
      ${before === undefined ? sql`` : sql`AND e.id < ${before}::bigint`}
    ORDER BY e.id DESC LIMIT ${size}`.execute(db);
  return rows;
}
