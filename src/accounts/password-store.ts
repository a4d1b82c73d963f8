/** The SQL of passwords and of those before them. */

import { sql } from 'kysely';
import type { Database, Transaction } from '../database.ts';
import { policy } from '../policy/policy.ts';
import { prepare } from '../statements.ts';

/**
 * Replaces the password's hash; the one before it goes into the history.
 * @param days after how many the new one ends; with 0 it stays good until it is changed
 */
export async function writePassword(db: Database, account_id: string, hash: string, days = 0): Promise<void> {
  const present = await findPasswordHash(db, account_id);
  if (present) await keepHash(db, account_id, present);
  await db
    .insertInto('passwords')
    .values({ account_id, hash, expires_at: endAfter(days) })
    .onConflict((conflict) => conflict.column('account_id').doUpdateSet({ hash, ...freshly(days) }))
    .execute();
}

/**
 * The same, only while the password is the one that was typed a moment ago: of many changes at once one comes first.
 * @returns whether this was the one
 */
export async function replacePassword(
  tx: Transaction,
  account_id: string,
  old_hash: string,
  hash: string,
  days: number,
): Promise<boolean> {
  const result = await tx
    .updateTable('passwords')
    .set({ hash, ...freshly(days) })
    .where('account_id', '=', account_id)
    .where('hash', '=', old_hash)
    .executeTakeFirst();
  if (result.numUpdatedRows !== 1n) return false;
  await keepHash(tx, account_id, old_hash);
  return true;
}

const endAfter = (days: number) => (days === 0 ? null : sql<Date>`gapura_now() + make_interval(days => ${days}::int)`);
const freshly = (days: number) => ({
  changed_at: sql<Date>`gapura_now()`,
  expires_at: endAfter(days),
  must_change: false,
});

/** No more hashes are kept than are compared: an old password may well be in use elsewhere. */
async function keepHash(db: Database, account_id: string, hash: string): Promise<void> {
  await db.insertInto('password_history').values({ account_id, hash }).execute();
  await sql`DELETE FROM password_history WHERE account_id = ${account_id} AND id <= (
    SELECT id FROM password_history WHERE account_id = ${account_id}
    ORDER BY id DESC OFFSET ${policy('password.history') - 1} LIMIT 1)`.execute(db);
}

/** The hashes of the latest passwords, the present one first and counted among them: what a new one may not be. */
export async function listPasswordHashes(db: Database, account_id: string): Promise<string[]> {
  const [present, former] = await Promise.all([
    db.selectFrom('passwords').select('hash').where('account_id', '=', account_id).execute(),
    db
      .selectFrom('password_history')
      .select('hash')
      .where('account_id', '=', account_id)
      .orderBy('id', 'desc')
      .limit(policy('password.history') - 1)
      .execute(),
  ]);
  return [...present, ...former].map((row) => row.hash);
}

/** The hash of a person's password; undefined for one who has none. */
export async function findPasswordHash(db: Database, account_id: string): Promise<string | undefined> {
  const row = await db.selectFrom('passwords').select('hash').where('account_id', '=', account_id).executeTakeFirst();
  return row?.hash;
}

/**
 * Why a person must choose a new password before anything opens: somebody else gave it, or its time is over; undefined when
 * it is good.
 */
export async function findDuePassword(db: Database, account_id: string): Promise<'temporary' | 'expired' | undefined> {
  const [row] = (await readDue(db, { account_id })).rows;
  if (!row?.is_due) return undefined;
  return row.must_change ? 'temporary' : 'expired';
}

/** Whether the same is so of a row of `passwords`, as part of another read. */
export const is_due = sql<boolean>`(must_change OR coalesce(expires_at <= gapura_now(), false))`;

const readDue = prepare<{ account_id: string }, { must_change: boolean; is_due: boolean }>(
  'due password',
  'read',
  (db, value) =>
    db
      .selectFrom('passwords')
      .select(['must_change', is_due.as('is_due')])
      .where('account_id', '=', value('account_id')),
);

/** When a password ends, of one that has at most `within` days left as a calendar in this zone counts them. */
export async function findPasswordEnd(
  db: Database,
  account_id: string,
  { within, zone }: { within: number; zone: string },
): Promise<{ expires_at: Date; days: number } | undefined> {
  const { rows } = await sql<{ expires_at: Date; days: number }>`
    SELECT expires_at, days FROM (
      SELECT expires_at, (expires_at AT TIME ZONE ${zone})::date - (gapura_now() AT TIME ZONE ${zone})::date AS days
      FROM passwords WHERE account_id = ${account_id} AND expires_at > gapura_now()
    ) AS ends WHERE days <= ${within}`.execute(db);
  return rows[0];
}

/** Replaces the hash of the same password by a stronger one, unless the password was changed meanwhile. */
export async function strengthenPassword(
  db: Database,
  account_id: string,
  old_hash: string,
  hash: string,
): Promise<void> {
  await db
    .updateTable('passwords')
    .set({ hash })
    .where('account_id', '=', account_id)
    .where('hash', '=', old_hash)
    .execute();
}
