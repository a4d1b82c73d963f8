/** The keys that sign tokens: made, published, put to use, retired and removed; sealed in the database, given to the engine. */

import type { JWK } from 'jose';
import { sql } from 'kysely';
import { record } from '../../audit/audit.ts';
import { type Database, inTransaction, type Transaction } from '../../database.ts';
import { policy } from '../../policy/policy.ts';
import { createKey, type KeyAlgorithm, key_algorithms, openKey, type Secrets } from './key-pairs.ts';

/** Seconds for which others may keep the published keys without asking again (RFC 9111 section 5.2.2.1). */
export const published_for = 300;

// Others obey that age, and every process of ours publishes a new key within seconds (changes.ts); the rest is margin.
const least_ahead = published_for + 60;

// No token of ours that a key signed is believed for longer than this, save ID tokens as hints, which end with the session.
const longest_token = 86_400;
const clock_margin = 600;

/** Seconds for which a retired key stays published: until the last thing that it signed is of no use any more. */
export const keptRetired = () => Math.max(policy('session.absolute'), longest_token) + clock_margin;

/** The private keys as a JWK set, those that sign first. */
export interface KeySet {
  readonly keys: JWK[];
}

const lock = 5_731_003;

/**
 * The keys for the engine: current ones first, then those that will sign and those that have signed. Missing ones are made; of
 * several nodes that start at once, one makes them and the others read them.
 * @throws Error when a key was sealed with a secret that is not configured
 */
export async function loadSigningKeys(db: Database, config: Secrets): Promise<KeySet> {
  if (!(await hasSigningKeys(db))) await inTransaction(db, (tx) => createMissing(tx, config));
  const rows = await db.selectFrom('signing_keys').selectAll().orderBy('created_at').execute();
  const states = ['current', 'next', 'retired'];
  const rank = (row: (typeof rows)[number]) =>
    states.indexOf(row.state) * 10 + (key_algorithms as readonly string[]).indexOf(row.alg);
  return {
    keys: rows.sort((one, other) => rank(one) - rank(other)).map((row) => openKey(config, row)),
  };
}

/** Whether every algorithm has a key that signs. */
export async function hasSigningKeys(db: Database): Promise<boolean> {
  const rows = await db.selectFrom('signing_keys').select('alg').where('state', '=', 'current').execute();
  return key_algorithms.every((alg) => rows.some((row) => row.alg === alg));
}

/** Whether every key opens with the secrets; without any there is nothing that does not. */
export async function canOpenSigningKeys(db: Database, config: Secrets): Promise<boolean> {
  const rows = await db.selectFrom('signing_keys').select(['kid', 'sealed_jwk']).execute();
  try {
    for (const row of rows) openKey(config, row);
    return true;
  } catch {
    return false;
  }
}

/** What was done with a key; `at` is when it begins to sign, or is published no longer. */
export type KeyTurn = { kid: string; alg: string } & (
  | { state: 'published'; at: Date }
  | { state: 'current'; retired: string | null; at: Date | null }
  | { state: 'gone' }
);

/** `waiting`: the next one is published already and may sign from `at` on, in so many minutes. */
export type RotationOutcome = KeyTurn | { state: 'waiting'; kid: string; alg: string; at: Date; minutes: number };

/**
 * Goes one step on with an algorithm: publishes its next key, or lets it sign once it was published for as long as policy
 * wants; `is_urgent` waits only until nobody can be without it.
 */
export async function rotateKey(
  tx: Transaction,
  config: Secrets,
  alg: KeyAlgorithm,
  { is_urgent = false } = {},
): Promise<RotationOutcome> {
  await lineUp(tx);
  const ahead = is_urgent ? least_ahead : policy('keys.publish_ahead');
  const { next } = await findKeys(tx, alg, ahead);
  if (!next) return publishNext(tx, config, alg);
  return next.is_ready ? promote(tx, alg, next.kid) : wait(alg, next);
}

/** Publishes the next key of an algorithm, if none is. */
export async function publishKey(tx: Transaction, config: Secrets, alg: KeyAlgorithm): Promise<RotationOutcome> {
  await lineUp(tx);
  const { next } = await findKeys(tx, alg, policy('keys.publish_ahead'));
  return next ? wait(alg, next) : publishNext(tx, config, alg);
}

/** Lets a published key sign before its time, once nobody can be without it; undefined when it is not the next one. */
export async function promoteKey(
  tx: Transaction,
  alg: KeyAlgorithm,
  kid: string,
): Promise<RotationOutcome | undefined> {
  await lineUp(tx);
  const { next } = await findKeys(tx, alg, least_ahead);
  if (next?.kid !== kid) return undefined;
  return next.is_ready ? promote(tx, alg, kid) : wait(alg, next);
}

/**
 * A duty: for each algorithm publishes the next key in time, lets it sign when its time has come, and removes what nobody needs
 * any more. Decided behind a lock, so that two workers do it once.
 */
export async function turnKeys(db: Database, config: Secrets): Promise<KeyTurn[]> {
  const turns: KeyTurn[] = [];
  // Each in a transaction of its own, for making a key of RSA takes its time.
  for (const alg of key_algorithms)
    await inTransaction(db, async (tx) => {
      await lineUp(tx);
      const ahead = policy('keys.publish_ahead');
      const { next, is_due } = await findKeys(tx, alg, ahead);
      const done: KeyTurn[] = await removeRetired(tx, alg);
      if (next?.is_ready) done.push(await promote(tx, alg, next.kid));
      else if (!next && is_due) done.push(await publishNext(tx, config, alg));
      for (const turn of done) await noteTurn(tx, turn);
      turns.push(...done);
    });
  return turns;
}

/** Writes into the audit what was done with a key, where nobody at the console did it. */
export async function noteTurn(tx: Transaction, { kid, alg, state }: KeyTurn): Promise<void> {
  await record(tx, { kind: 'signing_key_turned', detail: { kid, alg, state } });
}

/** A key that was taken out of use; `since` is when it began to sign, null where it never did. */
export interface RemovedKey {
  kid: string;
  alg: string;
  since: Date | null;
  /** What signs in its place from now on. */
  successor: string | null;
}

/** Removes a key at once, in an emergency: nothing that it signed is believed any more, and another one signs in its place. */
export async function removeKey(tx: Transaction, config: Secrets, kid: string): Promise<RemovedKey | undefined> {
  await lineUp(tx);
  const gone = await tx.deleteFrom('signing_keys').where('kid', '=', kid).returningAll().executeTakeFirst();
  if (!gone) return undefined;
  const { alg, state, current_at: since } = gone;
  if (state !== 'current') return { kid, alg, since, successor: null };
  // Young as it may be: whoever does not know it yet asks again, and would find the other gone as well.
  const { next } = await findKeys(tx, alg as KeyAlgorithm, 0);
  if (next) await promote(tx, alg as KeyAlgorithm, next.kid);
  else await createMissing(tx, config);
  const { current } = await findKeys(tx, alg as KeyAlgorithm, 0);
  return { kid, alg, since, successor: current ?? null };
}

async function lineUp(tx: Transaction): Promise<void> {
  await sql`SELECT pg_advisory_xact_lock(${lock})`.execute(tx);
}

async function findKeys(tx: Transaction, alg: KeyAlgorithm, ahead: number) {
  const ready_at = sql<Date>`created_at + make_interval(secs => ${ahead})`;
  const due_at = sql<Date>`current_at + make_interval(days => ${policy('keys.rotation_days')}, secs => ${-ahead})`;
  const rows = await tx
    .selectFrom('signing_keys')
    .select(['kid', 'state', ready_at.as('ready_at')])
    .select(sql<number>`greatest(1, ceil(extract(epoch FROM ${ready_at} - gapura_now()) / 60))::int`.as('minutes'))
    .select([
      sql<boolean>`${ready_at} <= gapura_now()`.as('is_ready'),
      sql<boolean>`${due_at} <= gapura_now()`.as('is_due'),
    ])
    .where('alg', '=', alg)
    .execute();
  const current = rows.find(({ state }) => state === 'current');
  return {
    current: current?.kid,
    is_due: current?.is_due ?? false,
    next: rows.find(({ state }) => state === 'next'),
  };
}

function wait(alg: string, { kid, ready_at: at, minutes }: { kid: string; ready_at: Date; minutes: number }) {
  return { state: 'waiting', kid, alg, at, minutes } as const;
}

async function publishNext(tx: Transaction, config: Secrets, alg: KeyAlgorithm): Promise<KeyTurn> {
  const ahead = policy('keys.publish_ahead');
  const row = await tx
    .insertInto('signing_keys')
    .values(await createKey(config, alg, 'next'))
    .returning(['kid', sql<Date>`created_at + make_interval(secs => ${ahead})`.as('at')])
    .executeTakeFirstOrThrow();
  return { state: 'published', alg, ...row };
}

async function promote(tx: Transaction, alg: KeyAlgorithm, kid: string): Promise<KeyTurn> {
  const retired = await tx
    .updateTable('signing_keys')
    .set({ state: 'retired', retired_at: sql<Date>`gapura_now()` })
    .where('alg', '=', alg)
    .where('state', '=', 'current')
    .returning(['kid', sql<Date>`retired_at + make_interval(secs => ${keptRetired()})`.as('at')])
    .executeTakeFirst();
  await tx
    .updateTable('signing_keys')
    .set({ state: 'current', current_at: sql<Date>`gapura_now()` })
    .where('kid', '=', kid)
    .where('state', '=', 'next')
    .execute();
  return { state: 'current', kid, alg, retired: retired?.kid ?? null, at: retired?.at ?? null };
}

async function removeRetired(tx: Transaction, alg: KeyAlgorithm): Promise<KeyTurn[]> {
  const rows = await tx
    .deleteFrom('signing_keys')
    .where('alg', '=', alg)
    .where('state', '=', 'retired')
    .where('retired_at', '<=', sql<Date>`gapura_now() - make_interval(secs => ${keptRetired()})`)
    .returning('kid')
    .execute();
  return rows.map(({ kid }) => ({ state: 'gone', kid, alg }));
}

async function createMissing(tx: Transaction, config: Secrets): Promise<void> {
  await lineUp(tx);
  const rows = await tx.selectFrom('signing_keys').select('alg').where('state', '=', 'current').execute();
  const missing = key_algorithms.filter((alg) => !rows.some((row) => row.alg === alg));
  const made = await Promise.all(missing.map((alg) => createKey(config, alg, 'current')));
  if (made.length > 0) await tx.insertInto('signing_keys').values(made).execute();
}
