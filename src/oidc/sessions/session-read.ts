/** A session as the engine reads it: only while its account stands, and with what is decided anew at every read. */

import { sql } from 'kysely';
import type { AdapterPayload } from 'oidc-provider';
import { is_due } from '../../accounts/password-store.ts';
import type { Database } from '../../database.ts';
import { unremembered_roles } from '../../permissions.ts';
import { prepare } from '../../statements.ts';
import type { Authorization } from '../../tables.ts';
import { epochExpiry, seconds_left, standing } from '../records/records.ts';

export interface SessionPayload extends AdapterPayload {
  /** Set here: the session has a row. Never stored. */
  stored?: boolean;
  /** Set here: its applications as they were read, in text. Never stored. */
  opened?: string;
  /** Set here: the person must choose a new password before anything opens. Never stored. */
  password_due?: boolean;
  /** Set when the engine gave the session a new cookie id. Never stored. */
  renewed?: boolean;
  /** The browser keeps the session when it closes, and longer limits hold. */
  remembered?: boolean;
  /** Set here: seconds since the session was last used. Never stored. */
  unseen?: number;
  generation?: number;
  authorizations?: Record<string, Authorization>;
}

const password_due = sql<boolean>`EXISTS (SELECT FROM passwords WHERE account_id = r.account_id AND ${is_due})`;

// An importer who became an officer meanwhile is back within the ordinary limits from the next use on.
const remembered = sql<boolean>`r.remembered AND NOT EXISTS (SELECT FROM role_assignments
  WHERE account_id = r.account_id AND role IN (${sql.join(unremembered_roles.map((role) => sql.lit(role)))}))`;

/** A session's row as it is read. */
export interface SessionRow {
  uid: string;
  account_id: string | null;
  generation: number | null;
  payload: AdapterPayload;
  authorizations: Record<string, Authorization>;
  seconds_left: number;
  password_due: boolean;
  remembered: boolean;
  /** As it was chosen; another than `remembered` once somebody may not be any more. */
  was_remembered: boolean;
  unseen: number;
}

/** What is read of a row of `oidc_sessions AS r`. */
export const session_columns = sql`r.uid, r.account_id, r.generation, r.payload, r.authorizations,
  ${seconds_left} AS seconds_left, ${password_due} AS password_due, ${remembered} AS remembered, r.remembered AS was_remembered,
  extract(epoch FROM gapura_now() - r.seen_at)::int AS unseen`;

/** The session of a row. */
export function toSession(row: SessionRow): SessionPayload {
  return {
    ...row.payload,
    kind: 'Session',
    uid: row.uid,
    ...(row.account_id ? { accountId: row.account_id } : {}),
    ...(row.generation === null ? {} : { generation: row.generation }),
    authorizations: row.authorizations,
    exp: epochExpiry(row.seconds_left),
    stored: true,
    // Where other limits hold than before, they are written at the next use.
    ...(row.remembered === row.was_remembered ? { opened: JSON.stringify(row.authorizations) } : {}),
    password_due: row.password_due,
    remembered: row.remembered,
    transient: !row.remembered,
    unseen: row.unseen,
  };
}

const readRow = prepare<{ uid: string }, SessionRow>(
  'session',
  'read',
  (_db, value) => sql`SELECT ${session_columns} FROM oidc_sessions r WHERE r.uid = ${value('uid')} AND ${standing}`,
);

/** The session of this `uid`. */
export async function readSession(db: Database, uid: string): Promise<SessionPayload | undefined> {
  const [row] = (await readRow(db, { uid })).rows;
  return row && toSession(row);
}
