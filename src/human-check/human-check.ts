/** The human check: when it is asked, what is asked, and that one answer works once in one browser. */

import type { Config } from '../config.ts';
import { deriveKeys, keyedDigest, randomToken } from '../crypto.ts';
import type { Database } from '../database.ts';
import type { Lane, Limits } from '../limits/limits.ts';
import { policy } from '../policy/policy.ts';
import { spendProof } from '../proofs.ts';
import { areLetters, drawPicture } from './picture.ts';
import { findOpen, insertCheck, spendCheck } from './store.ts';
import { challengeOf, isWorkDone } from './work.ts';

/** The keys that checks are made with, and those of the codes that go by mail. */
export interface CheckKeys {
  checks: Buffer[];
  proofs: Buffer[];
}

/** A check as a page shows it. */
export interface Check {
  id: string;
  /** `mail`: a code was sent, and it is what is to be typed. */
  way: 'picture' | 'mail';
  /** What a browser works on, and how many zero bits its number must give. */
  challenge: string;
  bits: number;
}

/** What came back for a check, from which browser. */
export interface CheckAnswer {
  id: string;
  browser: string | undefined;
  /** The letters of the picture, or the code from the mail. */
  typed: string;
  work: string;
}

/** `over`: its time has run out, it was answered before, or it is another browser's. */
export type AnswerOutcome = { state: 'right' } | { state: 'missing' } | { state: 'wrong' } | { state: 'over' };

export function openCheckKeys({ secrets }: Pick<Config, 'secrets'>): CheckKeys {
  return { checks: deriveKeys(secrets, 'human checks'), proofs: deriveKeys(secrets, 'proofs') };
}

/**
 * How many failures a counter may hold before a try must come with an answer, as policy says. What is counted is what was
 * typed, so that names which nobody has are asked after as many as others.
 */
export function failuresWithoutCheck({ is_shared }: Pick<Lane, 'is_shared'>): number {
  const when = policy('human_check.when');
  if (when === 'always') return 0;
  if (when === 'never') return Number.POSITIVE_INFINITY;
  return policy(is_shared ? 'human_check.after_shared' : 'human_check.after');
}

/** Whether a page has to ask, by the counters that its next try would pay; it reads them only where that decides. */
export async function mustCheck(
  db: Database,
  limits: Limits,
  lanes: readonly Pick<Lane, 'limit' | 'key' | 'is_shared'>[],
): Promise<boolean> {
  for (const lane of lanes) {
    const most = failuresWithoutCheck(lane);
    if (most === 0) return true;
    if (Number.isFinite(most) && (await limits.look(db, lane.limit, lane.key)).count >= most) return true;
  }
  return false;
}

/** Asks one browser. The id is known to the page alone, and so is all that follows from it. */
export async function issueCheck(db: Database, { checks: [key] }: CheckKeys, browser: string): Promise<Check> {
  if (!key) throw new Error('a human check needs a key');
  const id = randomToken(18);
  const bits = policy('human_check.work');
  await insertCheck(db, { id_hash: hashId(key, id), browser_hash: hashBrowser(key, browser), work_bits: bits });
  return { id, way: 'picture', challenge: challengeOf(key, id), bits };
}

/** A check that this browser can still answer, as it was asked. */
export async function findCheck(
  db: Database,
  keys: CheckKeys,
  id: string,
  browser: string | undefined,
): Promise<Check | undefined> {
  return (await findAsked(db, keys, id, browser))?.check;
}

/** The picture of a check, while it can be answered and for the browser that was asked. */
export async function findPicture(
  db: Database,
  keys: CheckKeys,
  id: string,
  browser: string | undefined,
): Promise<string | undefined> {
  const asked = await findAsked(db, keys, id, browser);
  return asked && drawPicture(asked.key, id);
}

/**
 * Takes the one answer to a check. A wrong one spends it as a right one does; of a code by mail the tries are counted by its
 * proof, since a new one would have to be waited for. Without an answer nothing is asked of the database.
 */
export async function answerCheck(
  db: Database,
  keys: CheckKeys,
  { id, browser, typed, work }: CheckAnswer,
): Promise<AnswerOutcome> {
  if (typed.trim() === '' && work === '') return { state: 'missing' };
  const asked = await findAsked(db, keys, id, browser);
  if (!asked) return { state: 'over' };
  const { check, key, id_hash } = asked;
  if (check.way === 'mail' && work === '') {
    const brought = { purpose: 'human_check', flow: id, secret: typed, browser } as const;
    const { state } = await spendProof(db, keys.proofs, brought);
    if (state !== 'spent') return { state: state === 'wrong' ? 'wrong' : 'over' };
    return { state: (await spendCheck(db, id_hash, true)) ? 'right' : 'over' };
  }
  const is_right = work === '' ? areLetters(key, id, typed) : isWorkDone(check.challenge, check.bits, work);
  if (!(await spendCheck(db, id_hash, is_right))) return { state: 'over' };
  return { state: is_right ? 'right' : 'wrong' };
}

async function findAsked(
  db: Database,
  { checks }: CheckKeys,
  id: string,
  browser: string | undefined,
): Promise<{ check: Check; key: Buffer; id_hash: Buffer } | undefined> {
  if (!browser || !isCheckId(id)) return undefined;
  const found = await findOpen(db, ...hashCheck(checks, id, browser));
  const key = found && checks.find((one) => hashId(one, id).equals(found.id_hash));
  if (!found || !key) return undefined;
  const { way, work_bits: bits, id_hash } = found;
  return { check: { id, way, challenge: challengeOf(key, id), bits }, key, id_hash };
}

function isCheckId(text: string): boolean {
  return /^[\w-]{24}$/.test(text);
}

/** Under each key, what stands in the table for an id and for a browser. */
export function hashCheck(checks: Buffer[], id: string, browser: string): [ids: Buffer[], browsers: Buffer[]] {
  return [checks.map((key) => hashId(key, id)), checks.map((key) => hashBrowser(key, browser))];
}

function hashId(key: Buffer, id: string): Buffer {
  return keyedDigest(key, `id ${id}`);
}

function hashBrowser(key: Buffer, browser: string): Buffer {
  return keyedDigest(key, `browser ${browser}`);
}
