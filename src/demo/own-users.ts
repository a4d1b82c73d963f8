/** User names and passwords that an application gave out itself, before there was a Gapura. */

import argon2 from 'argon2';
import type pg from 'pg';
import { now } from '../clock.ts';

export interface OwnUser {
  username: string;
  /** 16 digits. */
  npwp: string;
  /** The directorate that gave the name, at an application that has directorates. */
  directorate: string | null;
}

/** Makes the table `<name>_users` where it is missing; safe when two processes start at once. */
export async function createOwnUsers(
  db: pg.Pool,
  name: 'e_bpom' | 'cargolink',
  users: OwnUser[],
  password: string,
): Promise<void> {
  // One simple query is one transaction, so the lock holds until the table is there.
  await db.query(`
    SELECT pg_advisory_xact_lock(hashtext('${name}_users'));
    CREATE TABLE IF NOT EXISTS ${name}_users (
      username text PRIMARY KEY, npwp text NOT NULL, directorate text, password_hash text NOT NULL,
      created_at timestamptz NOT NULL);`);
  for (const user of users) {
    const known = await db.query(`SELECT FROM ${name}_users WHERE username = $1`, [user.username]);
    if (known.rowCount !== 0) continue;
    const hash = await hashPassword(password);
    await db.query(`INSERT INTO ${name}_users VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`, [
      user.username,
      user.npwp,
      user.directorate,
      hash,
      now(),
    ]);
  }
}

/** A hash for the table, or for a name that is not in it: argon2id at the least cost that is still right. */
export function hashPassword(password: string): Promise<string> {
  return argon2.hash(password.normalize('NFC'), {
    type: argon2.argon2id,
    memoryCost: 19456,
    timeCost: 2,
    parallelism: 1,
  });
}

/** Whether `password` made `hash`. */
export function isPasswordOf(hash: string, password: string): Promise<boolean> {
  return argon2.verify(hash, password.normalize('NFC'));
}
