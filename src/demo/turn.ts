/** Transactions of one application, one after another across all its processes. */

import type pg from 'pg';

/**
 * Runs `work` in a transaction while no other of the same `name` runs. CREATE TABLE IF NOT EXISTS fails when two run at
 * once, and a logout that overtakes its own sign-in must either see the session or be seen by it.
 */
export async function inTurn<T>(db: pg.Pool, name: string, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await db.connect();
  try {
    await client.query('BEGIN');
    await client.query('SELECT pg_advisory_xact_lock(hashtext($1))', [name]);
    const result = await work(client);
    await client.query('COMMIT');
    client.release();
    return result;
  } catch (error) {
    // A connection in an unknown state does not go back to the pool.
    client.release(true);
    throw error;
  }
}
