/** A session as the engine reads it: only while its account stands, and with what is decided anew at every read. */

import { sql } from 'kysely';
import type { AdapterPayload } from 'oidc-provider';
import { is_due } from '../../accounts/password-store.ts';
import type { Database } from '../../database.ts';
import { unremembered_roles } from '../../permissions.ts';
import type { Authorization } from '../../tables.ts';
import { epochExpiry, seconds_left, standing } from '../records/records.ts';

export interface SessionPayload extends AdapterPayload {
  /** Set here: the session has a row. Never stored. */
  stored?: boolean;
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
  WHERE account_id = r.account_id AND role = ANY (${unremembered_roles}::text[]))`;

/** The session with this `uid`, or with this hash of its cookie's id. */
export async function readSession(
  db: Database,
  column: 'uid' | 'id_hash',
  value: string | Buffer,
): Promise<SessionPayload | undefined> {
  const row = await db
    .selectFrom('oidc_sessions as r')
    .select([
      'r.uid',
      'r.account_id',
      'r.generation',
      'r.payload',
      'r.authorizations',
      seconds_left.as('seconds_left'),
      password_due.as('password_due'),
      remembered.as('remembered'),
      sql<number>`extract(epoch FROM gapura_now() - r.seen_at)::int`.as('unseen'),
    ])
    .where(`r.${column}`, '=', value)
    .where(standing)
    .executeTakeFirst();
  if (!row) return undefined;
  return {
    ...row.payload,
    kind: 'Session',
    uid: row.uid,
    ...(row.account_id ? { accountId: row.account_id } : {}),
    ...(row.generation === null ? {} : { generation: row.generation }),
    authorizations: row.authorizations,
    exp: epochExpiry(row.seconds_left),
    stored: true,
    password_due: row.password_due,
    remembered: row.remembered,
    transient: !row.remembered,
    unseen: row.unseen,
  };
}
