/** User names and passwords that an application gave out itself, before there was a Gapura, and the wait after wrong ones. */

import argon2 from 'argon2';
import type pg from 'pg';
import { now } from '../clock.ts';
import { hashToken, newToken } from './visitor.ts';

export interface OwnUser {
  username: string;
  /** Whose it is, in the application's words. */
  display_name: string;
  /** 16 digits. */
  npwp: string;
  /** The directorate that gave the name, at an application that has directorates; its code is the agency's. */
  directorate: { code: string; name: string } | null;
}

/** A row of the application's users. */
export interface KnownUser {
  /** Stays when everything else about the user changes. */
  id: string;
  username: string;
  display_name: string | null;
  directorate_code: string | null;
  password_hash: string;
}

/** `waiting`: the name has had its tries, whether or not anybody has it; `locked` is said after the right password only. */
export type PasswordCheck =
  | { state: 'right'; user: KnownUser }
  | { state: 'wrong' }
  | { state: 'locked' }
  | { state: 'waiting'; retry_after: number };

export interface OwnUsers {
  /** Whether a user name and password fit; a name that nobody has costs the same work as a wrong password. */
  check(username: string, password: string): Promise<PasswordCheck>;
  /** Sets a new password in the caller's transaction; false when another change was faster. */
  changePassword(client: pg.PoolClient, user: KnownUser, password: string): Promise<boolean>;
}

export interface OwnUsersManner {
  /** Prefix of the tables. */
  name: 'e_bpom' | 'cargolink';
  users: OwnUser[];
  /** The password that each of them begins with. */
  password: string;
  /** Wrong passwords for one name before it must wait. */
  free_failures: number;
}

/** Seconds that a name waits after its last free failure. */
export const wait_seconds = 30;

/** Makes the tables `<name>_users` and `<name>_failures` where they are missing; safe when two processes start at once. */
export async function openOwnUsers(db: pg.Pool, manner: OwnUsersManner): Promise<OwnUsers> {
  const { name, free_failures } = manner;
  await createTables(db, name);
  for (const user of manner.users) await addUser(db, name, user, manner.password);
  const hash_for_nobody = await hashPassword(newToken());
  return {
    async check(username, password) {
      if (!(await countTry(db, name, username, free_failures))) return { state: 'waiting', retry_after: wait_seconds };
      const { rows } = await db.query<KnownUser & { locked_at: Date | null }>(
        `SELECT id, username, display_name, directorate_code, password_hash, locked_at FROM ${name}_users
         WHERE username = $1`,
        [username],
      );
      const { locked_at, ...user } = rows[0] ?? { locked_at: null };
      // The same work for a name that nobody has, so that the time does not tell names.
      const is_right = await isPasswordOf(rows[0]?.password_hash ?? hash_for_nobody, password);
      if (!is_right || !('id' in user)) return { state: 'wrong' };
      await db.query(`DELETE FROM ${name}_failures WHERE name_hash = $1`, [hashToken(username)]);
      return locked_at === null ? { state: 'right', user } : { state: 'locked' };
    },
    async changePassword(client, user, password) {
      const { rowCount } = await client.query(
        `UPDATE ${name}_users SET password_hash = $3 WHERE id = $1 AND password_hash = $2`,
        [user.id, user.password_hash, await hashPassword(password)],
      );
      return rowCount === 1;
    },
  };
}

async function createTables(db: pg.Pool, name: string): Promise<void> {
  // One simple query is one transaction, so the lock holds until the tables are there.
  await db.query(`
    SELECT pg_advisory_xact_lock(hashtext('${name}_users'));
    CREATE TABLE IF NOT EXISTS ${name}_users (
      username text PRIMARY KEY, npwp text NOT NULL, directorate text, password_hash text NOT NULL,
      created_at timestamptz NOT NULL);
    ALTER TABLE ${name}_users
      ADD COLUMN IF NOT EXISTS id uuid NOT NULL DEFAULT gen_random_uuid(),
      ADD COLUMN IF NOT EXISTS display_name text,
      ADD COLUMN IF NOT EXISTS directorate_code text,
      ADD COLUMN IF NOT EXISTS locked_at timestamptz;
    CREATE UNIQUE INDEX IF NOT EXISTS ${name}_users_id ON ${name}_users (id);
    CREATE TABLE IF NOT EXISTS ${name}_failures (
      name_hash text PRIMARY KEY, failures int NOT NULL, last_at timestamptz NOT NULL);`);
}

/** Adds a user, or completes one that an older release of the application made; its password and id stay. */
async function addUser(db: pg.Pool, name: string, user: OwnUser, password: string): Promise<void> {
  const { username, display_name, npwp, directorate } = user;
  const { rowCount } = await db.query(
    `UPDATE ${name}_users SET display_name = $2, directorate_code = $3, directorate = $4 WHERE username = $1`,
    [username, display_name, directorate?.code, directorate?.name],
  );
  if (rowCount !== 0) return;
  await db.query(
    `INSERT INTO ${name}_users (username, display_name, npwp, directorate_code, directorate, password_hash, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
    [username, display_name, npwp, directorate?.code, directorate?.name, await hashPassword(password), now()],
  );
}

/** Counts this try as failed until it succeeds, so that many at once cannot pass before the first is counted. */
async function countTry(db: pg.Pool, name: string, username: string, free_failures: number): Promise<boolean> {
  const since = new Date(now().getTime() - wait_seconds * 1000);
  await db.query(`DELETE FROM ${name}_failures WHERE last_at <= $1`, [since]);
  const { rowCount } = await db.query(
    `INSERT INTO ${name}_failures AS known VALUES ($1, 1, $2)
     ON CONFLICT (name_hash) DO UPDATE SET failures = known.failures + 1, last_at = $2 WHERE known.failures < $3`,
    [hashToken(username), now(), free_failures],
  );
  return rowCount === 1;
}

/** argon2id at the least cost that is still right. */
function hashPassword(password: string): Promise<string> {
  return argon2.hash(password.normalize('NFC'), {
    type: argon2.argon2id,
    memoryCost: 19456,
    timeCost: 2,
    parallelism: 1,
  });
}

function isPasswordOf(hash: string, password: string): Promise<boolean> {
  return argon2.verify(hash, password.normalize('NFC'));
}
