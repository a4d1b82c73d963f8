/** The SQL of human checks: asked of one browser, answered by one conditional statement. */

import { sql } from 'kysely';
import type { Database, Transaction } from '../database.ts';

/** Seconds in which a check can be answered. */
const lifetime = 600;

/** A check as it stands, of which nothing can be answered. */
export interface StoredCheck {
  id_hash: Buffer;
  way: 'picture' | 'mail';
  work_bits: number;
}

export async function insertCheck(
  db: Database,
  check: { id_hash: Buffer; browser_hash: Buffer; work_bits: number },
): Promise<void> {
  await db
    .insertInto('human_checks')
    .values({ ...check, expires_at: ends() })
    .execute();
}

/** A check that its browser can still answer. */
export async function findOpen(db: Database, ids: Buffer[], browsers: Buffer[]): Promise<StoredCheck | undefined> {
  const found = db.selectFrom('human_checks').select(['id_hash', 'way', 'work_bits']).where('id_hash', 'in', ids);
  return found.where('browser_hash', 'in', browsers).where(is_open).executeTakeFirst();
}

/** Notes that the code goes by mail, and gives its reader as long as the code lasts; false when the check is over. */
export async function turnToMail(tx: Transaction, ids: Buffer[], browsers: Buffer[]): Promise<boolean> {
  const turned = tx.updateTable('human_checks').set({ way: 'mail', expires_at: ends() }).where('id_hash', 'in', ids);
  const { numUpdatedRows } = await turned.where('browser_hash', 'in', browsers).where(is_open).executeTakeFirst();
  return numUpdatedRows === 1n;
}

/** Spends a check with its one answer, right or wrong; of many answers at once one is taken. */
export async function spendCheck(db: Database, id_hash: Buffer, was_right: boolean): Promise<boolean> {
  const spent = db.updateTable('human_checks').set({ answered_at: sql<Date>`gapura_now()`, was_right });
  const { numUpdatedRows } = await spent.where('id_hash', '=', id_hash).where(is_open).executeTakeFirst();
  return numUpdatedRows === 1n;
}

/** A duty: deletes checks whose time is over, a batch at a time; says how many. */
export async function purgeHumanChecks(db: Database, batch = 1000): Promise<number> {
  const over = sql<boolean>`expires_at <= gapura_now()`;
  const { numDeletedRows } = await db
    .deleteFrom('human_checks')
    .where('id_hash', 'in', (eb) => eb.selectFrom('human_checks').select('id_hash').where(over).limit(batch))
    .executeTakeFirst();
  return Number(numDeletedRows);
}

const is_open = sql<boolean>`answered_at IS NULL AND expires_at > gapura_now()`;

function ends() {
  return sql<Date>`gapura_now() + make_interval(secs => ${lifetime})`;
}
