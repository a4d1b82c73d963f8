/** Password hashes (argon2id) behind a bounded queue: never as many hashes at once as cores, never an endless line. */

import { availableParallelism } from 'node:os';
import argon2 from 'argon2';
import { policy } from '../policy/policy.ts';

/** The line for hashing is full: the caller answers 503 with Retry-After. */
export class QueueFull extends Error {
  /** Seconds after which a new try makes sense. */
  readonly retry_after = 2;
}

const cores = availableParallelism();
let most_at_once = Math.max(1, cores - 1);
const waiting: (() => void)[] = [];
let running = 0;
let hashes = 0;

/** How many hashes this process has made, and how many wait; the tests count them, the metrics show them. */
export function countHashes(): { made: number; waiting: number; running: number } {
  return { made: hashes, waiting: waiting.length, running };
}

/**
 * Hashes a new password as PHC string with today's parameters.
 * @throws QueueFull when too many wait
 */
export function hashPassword(password: string): Promise<string> {
  return queue(() => argon2.hash(password.normalize('NFC'), parameters()));
}

/**
 * Compares a typed password with a stored hash. Without a hash (nobody has that name) a dummy is compared, so that a
 * stranger cannot tell by the time.
 * @returns whether it fits, and whether the hash is older than today's parameters
 * @throws QueueFull when too many wait
 */
export async function verifyPassword(
  hash: string | undefined,
  password: string,
): Promise<{ fits: boolean; is_old: boolean }> {
  const compared = hash ?? (await dummyHash());
  const fits = await queue(() => argon2.verify(compared, password.normalize('NFC')));
  return { fits: fits && hash !== undefined, is_old: argon2.needsRehash(compared, parameters()) };
}

/**
 * Makes the dummy hash ahead of the first sign-in, so that the first unknown name costs no more than the second. Of several
 * `workers` on this machine each gets its share of the cores.
 */
export async function prepareHashing(workers = 1): Promise<void> {
  // One core less than there are: tokens and keys are asked for during a storm of sign-ins too.
  most_at_once = Math.max(1, Math.floor((cores - 1) / workers));
  await dummyHash();
}

let dummy: { made_with: string; hash: Promise<string> } | undefined;

/** Made anew once the policy is another: at the old cost a name that nobody has would tell itself by the time. */
function dummyHash(): Promise<string> {
  const made_with = JSON.stringify(parameters());
  if (dummy?.made_with !== made_with)
    dummy = { made_with, hash: argon2.hash('nobody has this password', parameters()) };
  return dummy.hash;
}

function parameters() {
  return {
    type: argon2.argon2id,
    memoryCost: policy('password.hash_memory'),
    timeCost: policy('password.hash_passes'),
    parallelism: policy('password.hash_lanes'),
  } as const;
}

async function queue<T>(work: () => Promise<T>): Promise<T> {
  if (running >= most_at_once) {
    if (waiting.length >= policy('password.hash_queue')) throw new QueueFull('too many sign-ins at once');
    await new Promise<void>((resolve) => waiting.push(resolve));
  } else {
    running += 1;
  }
  try {
    hashes += 1;
    return await work();
  } finally {
    // The place passes to the one who waits longest; only an empty line frees it.
    const next = waiting.shift();
    if (next) next();
    else running -= 1;
  }
}
