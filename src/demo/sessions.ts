/** The tables in which a relying application keeps its visitors: sign-ins under way, sessions, and logouts received from Gapura. */

import type pg from 'pg';
import { now } from '../clock.ts';
import { inTurn } from './turn.ts';
import { hashToken, newToken } from './visitor.ts';

/** Prefix of the application's tables. */
export type RelyingName = 'e_bpom' | 'portal_insw';

/** A sign-in under way, bound to the browser that began it. */
export interface Login {
  nonce: string;
  code_verifier: string;
  return_to: string;
}

/** What Gapura said about a person at sign-in. */
export interface Identity {
  subject: string;
  /** Gapura's name for its own session (OIDC Back-Channel Logout 1.0 section 2.1). */
  sid: string | null;
  /** ID token and userinfo together. */
  claims: Record<string, unknown>;
  id_token: string;
  access_token: string;
  refresh_token: string | null;
  /** When the ID token was issued. */
  issued_at: Date;
}

export interface Session extends Identity {
  id_hash: string;
}

/** A verified logout token (OIDC Back-Channel Logout 1.0 section 2.4). */
export interface Logout {
  jti: string;
  subject: string | null;
  sid: string | null;
  issued_at: Date;
}

export const session_seconds = 7 * 24 * 3600;
export const login_seconds = 3600;

/** Makes the application's tables where they are missing; safe when two processes start at once. */
export async function createTables(db: pg.Pool, name: RelyingName): Promise<void> {
  await inTurn(db, name, async (client) => {
    await client.query(`
      CREATE TABLE IF NOT EXISTS ${name}_logins (
        state_hash text PRIMARY KEY, browser_hash text NOT NULL, nonce text NOT NULL, code_verifier text NOT NULL,
        return_to text NOT NULL, expires_at timestamptz NOT NULL);
      CREATE TABLE IF NOT EXISTS ${name}_sessions (
        id_hash text PRIMARY KEY, subject text NOT NULL, sid text, claims jsonb NOT NULL, id_token text NOT NULL,
        access_token text NOT NULL, refresh_token text, issued_at timestamptz NOT NULL, expires_at timestamptz NOT NULL);
      CREATE INDEX IF NOT EXISTS ${name}_sessions_sid ON ${name}_sessions (sid);
      CREATE INDEX IF NOT EXISTS ${name}_sessions_subject ON ${name}_sessions (subject);
      CREATE TABLE IF NOT EXISTS ${name}_logouts (
        jti text PRIMARY KEY, subject text, sid text, issued_at timestamptz NOT NULL, expires_at timestamptz NOT NULL);`);
  });
}

/** Remembers a sign-in under way; the answer is its `state`. */
export async function beginLogin(db: pg.Pool, name: RelyingName, browser: string, login: Login): Promise<string> {
  const state = newToken();
  await db.query(`DELETE FROM ${name}_logins WHERE expires_at <= $1`, [now()]);
  await db.query(`INSERT INTO ${name}_logins VALUES ($1, $2, $3, $4, $5, $6)`, [
    hashToken(state),
    hashToken(browser),
    login.nonce,
    login.code_verifier,
    login.return_to,
    inSeconds(login_seconds),
  ]);
  return state;
}

/** Spends a sign-in under way; undefined when it is unknown, over, already spent, or another browser's. */
export async function spendLogin(
  db: pg.Pool,
  name: RelyingName,
  browser: string,
  state: string,
): Promise<Login | undefined> {
  const { rows } = await db.query<Login>(
    `DELETE FROM ${name}_logins WHERE state_hash = $1 AND browser_hash = $2 AND expires_at > $3
     RETURNING nonce, code_verifier, return_to`,
    [hashToken(state), hashToken(browser), now()],
  );
  return rows[0];
}

/**
 * Opens a session in the place of `previous` (a cookie's value); the answer is the new cookie's value. The same person
 * keeps the old one, so that what other tabs send meanwhile is still signed in; another person never does (session
 * fixation). Undefined when Gapura ended this sign-in while it was still on its way here.
 */
export async function openSession(
  db: pg.Pool,
  name: RelyingName,
  identity: Identity,
  previous: string | undefined,
): Promise<string | undefined> {
  return inTurn(db, name, async (client) => {
    await client.query(`DELETE FROM ${name}_sessions WHERE expires_at <= $1`, [now()]);
    const { rows } = await client.query<{ subject: string }>(
      `DELETE FROM ${name}_sessions WHERE id_hash = $1 RETURNING subject`,
      [hashToken(previous ?? '')],
    );
    const id = previous !== undefined && rows[0]?.subject === identity.subject ? previous : newToken();
    const { rowCount } = await client.query(
      `INSERT INTO ${name}_sessions SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 WHERE NOT EXISTS (
         SELECT FROM ${name}_logouts WHERE sid = $3 OR (sid IS NULL AND subject = $2 AND issued_at > $8))`,
      [
        hashToken(id),
        identity.subject,
        identity.sid,
        JSON.stringify(identity.claims),
        identity.id_token,
        identity.access_token,
        identity.refresh_token,
        identity.issued_at,
        inSeconds(session_seconds),
      ],
    );
    return rowCount === 1 ? id : undefined;
  });
}

/** The session of a cookie's value. */
export async function findSession(db: pg.Pool, name: RelyingName, id: string): Promise<Session | undefined> {
  const { rows } = await db.query<Session>(`SELECT * FROM ${name}_sessions WHERE id_hash = $1 AND expires_at > $2`, [
    hashToken(id),
    now(),
  ]);
  return rows[0];
}

/** Ends one session. */
export async function closeSession(db: pg.Pool, name: RelyingName, session: Session): Promise<void> {
  await db.query(`DELETE FROM ${name}_sessions WHERE id_hash = $1`, [session.id_hash]);
}

/**
 * Ends the sessions that a logout token names: those of its `sid` and those of its subject whose `sid` is not known, or
 * all of its subject when it names no `sid`. False when this token was already used (OIDC Back-Channel Logout 1.0 section
 * 2.6, the jti).
 */
export async function receiveLogout(db: pg.Pool, name: RelyingName, logout: Logout): Promise<boolean> {
  return inTurn(db, name, async (client) => {
    await client.query(`DELETE FROM ${name}_logouts WHERE expires_at <= $1`, [now()]);
    const { rowCount } = await client.query(
      `INSERT INTO ${name}_logouts VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
      [logout.jti, logout.subject, logout.sid, logout.issued_at, inSeconds(login_seconds)],
    );
    if (rowCount !== 1) return false;
    await client.query(
      logout.sid === null
        ? `DELETE FROM ${name}_sessions WHERE subject = $2 AND $1::text IS NULL`
        : `DELETE FROM ${name}_sessions WHERE sid = $1 OR (sid IS NULL AND subject = $2)`,
      [logout.sid, logout.subject],
    );
    return true;
  });
}

/** How many visitors are signed in now. */
export async function countSessions(db: pg.Pool, name: RelyingName): Promise<number> {
  const { rows } = await db.query<{ online: number }>(
    `SELECT count(*)::int AS online FROM ${name}_sessions WHERE expires_at > $1`,
    [now()],
  );
  return rows[0]?.online ?? 0;
}

function inSeconds(seconds: number): Date {
  return new Date(now().getTime() + seconds * 1000);
}
