/** The SQL of locks: why an account is closed, with who and when. */

import { type Insertable, sql } from 'kysely';
import type { Database, Transaction } from '../database.ts';
import type { AccountLocks } from '../tables.ts';

export type LockKind = AccountLocks['kind'];

/** The reasons for which an account can be closed, the gravest first. */
export const lock_kinds = ['revoked', 'disabled', 'frozen', 'locked', 'dormant'] as const satisfies LockKind[];

/** Adds a lock; false when one of its kind stands. */
export async function insertLock(tx: Transaction, lock: Omit<Insertable<AccountLocks>, 'locked_at'>): Promise<boolean> {
  const result = await tx
    .insertInto('account_locks')
    .values(lock)
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return result.numInsertedOrUpdatedRows === 1n;
}

/** Takes a lock away; false when there is none of its kind. */
export async function deleteLock(tx: Transaction, account_id: string, kind: LockKind): Promise<boolean> {
  const result = await tx
    .deleteFrom('account_locks')
    .where('account_id', '=', account_id)
    .where('kind', '=', kind)
    .executeTakeFirst();
  return result.numDeletedRows === 1n;
}

/** Whether nothing closes an account now: no lock, and its time is not over. */
export async function isOpen(db: Database, account_id: string): Promise<boolean> {
  const { rows } = await sql`SELECT FROM accounts a WHERE a.id = ${account_id}
    AND coalesce(a.expires_at > gapura_now(), true)
    AND NOT EXISTS (SELECT FROM account_locks l WHERE l.account_id = a.id)`.execute(db);
  return rows.length === 1;
}
