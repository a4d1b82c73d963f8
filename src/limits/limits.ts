/** The named limits: tries are counted in PostgreSQL, paid before they are made, and slowed by a growing wait. */

import { deriveKey, keyedHash, type Secret } from '../crypto.ts';
import type { Database } from '../database.ts';
import { look, payLanes, settleLanes, unbounded } from './statements.ts';
import { type LimitName, limits } from './table.ts';

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

/** What paying several counters came to. */
export type Paid = { state: 'paid'; lanes: PaidLane[] } | { state: 'refused'; retry_after: number } | { state: 'held' };

/** The counters; they are stored under a keyed hash, so that the table tells nobody which names were tried. */
export interface Limits {
  /**
   * Pays for one try before it is made. Not inside the transaction of the try itself: its rollback would give the try back.
   * @returns `allowed` with the tries counted so far, or `refused` with whole seconds to wait (RFC 9110 section 10.2.3)
   */
  spend(db: Database, name: LimitName, key: LimitKey): Promise<Spent>;
  /**
   * Pays every counter of a try, or none: where one refuses, those after it are not paid, and what was paid before it is
   * given back.
   * @param most how many tries a counter may hold for this one to pass; it says `held` where that, and no wait, is the reason
   */
  pay(db: Database, lanes: readonly Lane[], most?: (lane: Lane) => number): Promise<Paid>;
  /** The try was a success: what is the person's own is forgotten, and of what is shared one try is taken back. */
  settle(db: Database, lanes: readonly PaidLane[]): Promise<void>;
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

  const settle: Limits['settle'] = (db, lanes) =>
    settleLanes(
      db,
      lanes.map(({ limit, key, is_shared, tries }) => ({ limit, key_hash: hash(limit, key), is_shared, tries })),
    );
  const lookAt: Limits['look'] = async (db, name, key) => {
    const [row] = (await look(db, { name, key_hash: hash(name, key) })).rows;
    const { count, seconds } = row ?? { count: 0, seconds: 0 };
    return { count, is_used_up: count >= limits[name].free, retry_after: seconds };
  };
  const pay: Limits['pay'] = async (db, lanes, most = () => unbounded) => {
    const bounds = lanes.map((lane) => Math.min(most(lane), unbounded));
    // One that has no room at all is not asked, and neither is any after it.
    const full = bounds.findIndex((bound) => bound < 1);
    const asked = full < 0 ? lanes : lanes.slice(0, full);
    const counts = await payLanes(
      db,
      asked.map(({ limit, key }, at) => ({ limit, key_hash: hash(limit, key), most: bounds[at] as number })),
    );
    const paid = asked.flatMap((lane, at) => (counts[at] ? [{ ...lane, tries: counts[at] }] : []));
    if (paid.length === lanes.length) return { state: 'paid', lanes: paid };
    if (paid.length > 0) await settleShared(db, paid);
    const refused = asked[paid.length];
    if (!refused) return { state: 'held' };
    const { retry_after } = await lookAt(db, refused.limit, refused.key);
    // By the wait alone: a try that was in the way may have been given back by now, and the count be lower than it was.
    if (retry_after === 0 && (bounds[paid.length] as number) < unbounded) return { state: 'held' };
    return { state: 'refused', retry_after: Math.max(1, retry_after) };
  };
  const settleShared = (db: Database, paid: PaidLane[]) =>
    settle(
      db,
      paid.map((lane) => ({ ...lane, is_shared: true })),
    );

  return {
    pay,
    settle,
    async spend(db, name, key) {
      const paid = await pay(db, [{ limit: name, key, is_shared: true }]);
      if (paid.state === 'held') throw new Error('nothing bounds these tries');
      return paid.state === 'refused' ? paid : { state: 'allowed', count: paid.lanes[0]?.tries as number };
    },
    look: lookAt,
    forget: (db, limit, key) => settle(db, [{ limit, key, is_shared: false, tries: 0 }]),
    giveBack: (db, limit, key, tries) => settle(db, [{ limit, key, is_shared: true, tries }]),
  };
}
