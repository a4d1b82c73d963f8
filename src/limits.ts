/** The named limits: tries are counted in PostgreSQL, paid before they are made, and slowed by a growing wait. */

import { sql } from 'kysely';
import { deriveKey, keyedHash, type Secret } from './crypto.ts';
import type { Database } from './database.ts';

interface Limit {
  /** Tries that cost no waiting; the one that uses them up starts the first wait. */
  free: number;
  /** Seconds of the first wait; each further try doubles it. */
  first_wait: number;
  longest_wait: number;
  /** Seconds after which the counter is forgotten. */
  forget: number;
  /** Whether `forget` runs from the first try of the count (a window) or starts anew with each try. */
  forget_from: 'first' | 'last';
}

const limits = {
  // Of one name, from strangers; the same for names that nobody has.
  sign_in_account: { free: 5, first_wait: 30, longest_wait: 3600, forget: 86_400, forget_from: 'last' },
  // Of one name from one address.
  sign_in_pair: { free: 5, first_wait: 30, longest_wait: 3600, forget: 86_400, forget_from: 'last' },
  // Of one address. A window, since behind one address there may be a whole office: typing errors of a week must not add up.
  sign_in_address: { free: 50, first_wait: 30, longest_wait: 3600, forget: 3600, forget_from: 'first' },
  // Of one name in a browser that has signed it in before: strangers cannot fill this lane.
  sign_in_browser: { free: 10, first_wait: 30, longest_wait: 3600, forget: 86_400, forget_from: 'last' },
  // The old password, asked once more before a change: of one person.
  password_change: { free: 10, first_wait: 60, longest_wait: 3600, forget: 86_400, forget_from: 'last' },
  // Recoveries begun from one address, and codes typed there: a window, for there may be an office behind it.
  recovery_start: { free: 30, first_wait: 60, longest_wait: 3600, forget: 3600, forget_from: 'first' },
  recovery_code: { free: 50, first_wait: 60, longest_wait: 3600, forget: 3600, forget_from: 'first' },
  // Codes sent for one name from one address or known browser: the first, ten more, and then none for a day.
  recovery_send: { free: 11, first_wait: 86_400, longest_wait: 86_400, forget: 86_400, forget_from: 'last' },
  // Mails with a code to one mail address, whoever asks for them; the next ones are left out silently.
  recovery_mail: { free: 10, first_wait: 86_400, longest_wait: 86_400, forget: 86_400, forget_from: 'first' },
  // Notices of a sign-in in a new browser: to one person about one device and network, once an hour. Several windows that are
  // opened at once, or a browser that keeps no cookie, must not teach anybody to throw such mails away.
  new_browser: { free: 1, first_wait: 3600, longest_wait: 3600, forget: 3600, forget_from: 'first' },
  // Recovery addresses that one person adds.
  recovery_address: { free: 10, first_wait: 3600, longest_wait: 86_400, forget: 86_400, forget_from: 'last' },
  // Proving links: of one person, and of one user name at one application.
  link_person: { free: 10, first_wait: 60, longest_wait: 3600, forget: 86_400, forget_from: 'last' },
  link_username: { free: 5, first_wait: 30, longest_wait: 3600, forget: 86_400, forget_from: 'last' },
  // Calls to one application without an answer: it is left alone for a while and then tried again.
  link_breaker: { free: 5, first_wait: 15, longest_wait: 120, forget: 600, forget_from: 'last' },
  // "Coba" at the console: of one application. A window, since a programmer tries often and then never again.
  link_trial: { free: 20, first_wait: 60, longest_wait: 3600, forget: 3600, forget_from: 'first' },
  // Clients that register themselves: failures of one address, with tokens that nobody issued or words that are refused.
  registration_address: { free: 30, first_wait: 60, longest_wait: 3600, forget: 3600, forget_from: 'first' },
  // Proofs that fail in the name of one client, from one address; one that is right always counts.
  client_failure: { free: 100, first_wait: 30, longest_wait: 3600, forget: 3600, forget_from: 'first' },
  // Codes that no device shows, typed from one address.
  device_code: { free: 20, first_wait: 60, longest_wait: 3600, forget: 3600, forget_from: 'first' },
  // Codes by mail in place of a picture: to one name, and asked for from one address.
  human_check_mail_name: { free: 5, first_wait: 60, longest_wait: 3600, forget: 86_400, forget_from: 'last' },
  human_check_mail_address: { free: 20, first_wait: 60, longest_wait: 3600, forget: 3600, forget_from: 'first' },
  // Requests of one program or person to the interface: so many in a minute.
  api: { free: 600, first_wait: 60, longest_wait: 60, forget: 60, forget_from: 'first' },
} as const satisfies Record<string, Limit>;

export type LimitName = keyof typeof limits;

/** How many tries a limit allows without waiting, and in how many seconds they are forgotten. */
export function numbersOf(name: LimitName): { free: number; forget: number } {
  return limits[name];
}

/** What is counted: a name, an address, or several parts that count together. */
export type LimitKey = string | readonly string[];

export type Spent = { state: 'allowed'; count: number } | { state: 'refused'; retry_after: number };

/** One of the counters that a try pays. */
export interface Lane {
  limit: LimitName;
  key: LimitKey;
  /** With others, whose failures still count after this person's success. */
  is_shared: boolean;
}

/** A counter that was paid, with the tries counted together with this one. */
export type PaidLane = Lane & { tries: number };

/** The counters; they are stored under a keyed hash, so that the table tells nobody which names were tried. */
export interface Limits {
  /**
   * Pays for one try before it is made. Not inside the transaction of the try itself: its rollback would give the try back.
   * @returns `allowed` with the tries counted so far, or `refused` with whole seconds to wait (RFC 9110 section 10.2.3)
   */
  spend(db: Database, name: LimitName, key: LimitKey): Promise<Spent>;
  /** The same, but only up to `most` tries: of those at once, no more are let through. `held` when they were made and none waits. */
  spendUpTo(db: Database, name: LimitName, key: LimitKey, most: number): Promise<Spent | { state: 'held' }>;
  /** What stands on a counter, without paying: its tries, whether the free ones are used up, and seconds to wait. */
  look(
    db: Database,
    name: LimitName,
    key: LimitKey,
  ): Promise<{ count: number; is_used_up: boolean; retry_after: number }>;
  /** Forgets a counter: the try was a success, and this counter was the person's own. */
  forget(db: Database, name: LimitName, key: LimitKey): Promise<void>;
  /**
   * Takes one try back: it was a success, and the counter is shared with others whose failures still count.
   * @param tries the count that `spend` gave for this very try
   */
  giveBack(db: Database, name: LimitName, key: LimitKey, tries: number): Promise<void>;
}

/** Opens the counters with the secret that hashes their names. */
export function openLimits(secret: Secret): Limits {
  const hash_key = deriveKey(secret, 'limits');
  const hash = (name: LimitName, key: LimitKey) =>
    Buffer.from(keyedHash(hash_key, JSON.stringify([name, key].flat())), 'base64url');
  return {
    spend: (db, name, key) => spend(db, name, hash(name, key)),
    spendUpTo: (db, name, key, most) => spendUpTo(db, name, hash(name, key), most),
    look: (db, name, key) => look(db, name, hash(name, key)),
    forget: async (db, name, key) => {
      await db.deleteFrom('limits').where('name', '=', name).where('key_hash', '=', hash(name, key)).execute();
    },
    giveBack: (db, name, key, tries) => giveBack(db, name, hash(name, key), tries),
  };
}

// One statement, so that of many tries at once exactly the free ones pass: the row's lock lines them up, and each of them
// sees the wait that the one before has set. A refused try changes nothing, so hammering does not prolong the wait.
async function spend(db: Database, name: LimitName, key_hash: Buffer, is_room = sql`true`): Promise<Spent> {
  const limit: Limit = limits[name];
  const is_over = sql`l.expires_at <= gapura_now()`;
  const count = sql`CASE WHEN ${is_over} THEN 1 ELSE l.count + 1 END`;
  const wait = (tries: ReturnType<typeof sql>) => sql`CASE WHEN ${tries} < ${limit.free}::int THEN interval '0'
    ELSE make_interval(secs => least(${limit.longest_wait}::float8,
      ${limit.first_wait}::float8 * 2.0 ^ least(${tries} - ${limit.free}::int, 30))) END`;
  // Not "now" while there is no wait: a try that began a moment earlier and waited for the row would find itself too early.
  const free_at = (tries: ReturnType<typeof sql>) =>
    sql`CASE WHEN ${tries} < ${limit.free}::int THEN '-infinity' ELSE gapura_now() + ${wait(tries)} END`;
  const forget = sql`make_interval(secs => ${limit.forget}::float8)`;
  const expires_at =
    limit.forget_from === 'last'
      ? sql`gapura_now() + ${forget}`
      : sql`CASE WHEN ${is_over} THEN gapura_now() + ${forget}
          ELSE greatest(l.expires_at, gapura_now() + ${wait(count)}) END`;
  const { rows } = await sql<{ count: number }>`
    INSERT INTO limits AS l (name, key_hash, count, free_at, expires_at)
    VALUES (${name}, ${key_hash}, 1, ${free_at(sql`1`)}, gapura_now() + ${forget})
    ON CONFLICT (name, key_hash) DO UPDATE
    SET count = ${count}, free_at = ${free_at(count)}, expires_at = ${expires_at}
    WHERE l.free_at <= gapura_now() AND ${is_room}
    RETURNING l.count`.execute(db);
  const counted = rows[0];
  if (counted) return { state: 'allowed', count: counted.count };
  const { rows: waits } = await sql<{ seconds: number }>`
    SELECT ceil(extract(epoch FROM greatest(free_at, gapura_now()) - gapura_now()))::int AS seconds
    FROM limits WHERE name = ${name} AND key_hash = ${key_hash}`.execute(db);
  return { state: 'refused', retry_after: Math.max(1, waits[0]?.seconds ?? 1) };
}

async function spendUpTo(
  db: Database,
  name: LimitName,
  key_hash: Buffer,
  most: number,
): Promise<Spent | { state: 'held' }> {
  if (most < 1) return { state: 'held' };
  if (!Number.isFinite(most)) return spend(db, name, key_hash);
  const spent = await spend(db, name, key_hash, sql`(l.count < ${most}::int OR l.expires_at <= gapura_now())`);
  if (spent.state === 'allowed') return spent;
  // By the wait alone: a try that was in the way may have been given back by now, and the count be lower than it was.
  const { retry_after } = await look(db, name, key_hash);
  return retry_after === 0 ? { state: 'held' } : spent;
}

async function look(db: Database, name: LimitName, key_hash: Buffer) {
  const { rows } = await sql<{ count: number; seconds: number }>`
    SELECT count, ceil(extract(epoch FROM greatest(free_at, gapura_now()) - gapura_now()))::int AS seconds
    FROM limits WHERE name = ${name} AND key_hash = ${key_hash} AND expires_at > gapura_now()`.execute(db);
  const { count, seconds } = rows[0] ?? { count: 0, seconds: 0 };
  return { count, is_used_up: count >= limits[name].free, retry_after: seconds };
}

// The wait that this very try has set is lifted with it, and so is any that free tries have set: people who sign in well
// at the same moment behind one address must not shut it for each other. A wait that another's failure has set stays.
async function giveBack(db: Database, name: LimitName, key_hash: Buffer, tries: number): Promise<void> {
  await sql`
    UPDATE limits SET count = greatest(count - 1, 0),
      free_at = CASE WHEN count = ${tries}::int OR count <= ${limits[name].free}::int THEN '-infinity' ELSE free_at END
    WHERE name = ${name} AND key_hash = ${key_hash} AND expires_at > gapura_now()`.execute(db);
}

/**
 * Pays every counter of a try, or none: where one refuses, what was paid before it is given back.
 * @param most how many tries a counter may hold for this one to pass; it says `held` where that, and no wait, is the reason
 */
export async function payLanes(
  db: Database,
  limits: Limits,
  lanes: readonly Lane[],
  most: (lane: Lane) => number = () => Number.POSITIVE_INFINITY,
): Promise<{ state: 'paid'; lanes: PaidLane[] } | { state: 'refused'; retry_after: number } | { state: 'held' }> {
  const paid: PaidLane[] = [];
  for (const lane of lanes) {
    const outcome = await limits.spendUpTo(db, lane.limit, lane.key, most(lane));
    if (outcome.state !== 'allowed') {
      for (const { limit, key, tries } of paid) await limits.giveBack(db, limit, key, tries);
      return outcome;
    }
    paid.push({ ...lane, tries: outcome.count });
  }
  return { state: 'paid', lanes: paid };
}

/**
 * Deletes counters that are forgotten, in batches of 5000; a worker's duty.
 * @returns how many were deleted
 */
export async function purgeLimits(db: Database): Promise<number> {
  for (let purged = 0; ; ) {
    const { numAffectedRows = 0n } = await sql`
      DELETE FROM limits WHERE (name, key_hash) IN (
        SELECT name, key_hash FROM limits WHERE expires_at <= gapura_now() LIMIT 5000 FOR UPDATE SKIP LOCKED)`.execute(
      db,
    );
    purged += Number(numAffectedRows);
    if (numAffectedRows < 5000n) return purged;
  }
}
