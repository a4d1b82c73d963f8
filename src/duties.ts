/** Periodic duties: on one node at a time, few at once in a process, none for long, and again next time when one fails. */

import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import type { Database } from './database.ts';
import type { JobLog } from './jobs.ts';

/**
 * Runs a duty now and then every `seconds` until stopped, on one node at a time: whoever holds the advisory lock of its name.
 * The lock ends with its connection, so a dead node blocks nobody. What a duty throws is logged, and it runs again next time.
 * The lock keeps a connection of `db` while the duty runs and the duty needs another, so few of them run at once: all of them
 * together would hold every connection and wait for one more.
 */
export function runPeriodically(
  db: Database,
  name: string,
  seconds: number,
  fn: (signal: AbortSignal) => Promise<unknown>,
  log: JobLog,
): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const { signal } = stopping;
  const loop = async () => {
    while (!signal.aborted) {
      try {
        await inTurn(seconds, async () => {
          // The stop may have come while it waited.
          if (!signal.aborted) await runAlone(db, name, () => fn(signal));
        });
      } catch (error) {
        log.error({ err: error, duty: name }, 'a duty failed');
      }
      await sleep(seconds * 1000, undefined, { signal }).catch(() => undefined);
    }
  };
  const done = loop();
  return {
    async stop() {
      stopping.abort();
      await done;
    },
  };
}

/** Runs `fn` unless another node runs the duty of that name now; says whether it ran. */
export function runAlone(db: Database, name: string, fn: () => Promise<unknown>): Promise<boolean> {
  const key = sql`hashtextextended(${`gapura duty ${name}`}, 0)`;
  return db.connection().execute(async (connection) => {
    const { rows } = await sql<{ taken: boolean }>`SELECT pg_try_advisory_lock(${key}) AS taken`.execute(connection);
    if (!rows[0]?.taken) return false;
    try {
      await fn();
    } finally {
      await sql`SELECT pg_advisory_unlock(${key})`.execute(connection);
    }
    return true;
  });
}

/** Times in milliseconds. */
export interface Turn {
  /** How long a duty may go on; what is left waits for its next turn. */
  longest_ms?: number;
  batch?: number;
}

/**
 * Runs a duty batch by batch, so that no statement holds many locks. It rests after each batch as long as that took, and ends
 * after its turn, so that a backlog takes neither a core of the database nor the place of other duties, nor keeps a stop waiting.
 * @param run deals with up to `batch` rows and gives their number
 */
export async function runInBatches(
  run: (batch: number) => Promise<number>,
  signal: AbortSignal,
  { longest_ms = 10_000, batch = 1000 }: Turn = {},
): Promise<void> {
  const begun = process.uptime();
  while (!signal.aborted && (process.uptime() - begun) * 1000 < longest_ms) {
    const before = process.uptime();
    // A last batch that is not full says that what is left came while it ran, which is the next turn's.
    if ((await run(batch)) < batch) return;
    await sleep((process.uptime() - before) * 1000, undefined, { signal }).catch(() => undefined);
  }
}

const most_at_once = 2;
const waiting: { seconds: number; go: () => void }[] = [];
let running = 0;

async function inTurn(seconds: number, duty: () => Promise<void>): Promise<void> {
  if (running >= most_at_once) {
    await new Promise<void>((go) => {
      waiting.push({ seconds, go });
      // Who came first stays before others of the same frequency.
      waiting.sort((one, other) => one.seconds - other.seconds);
    });
  } else running += 1;
  try {
    await duty();
  } finally {
    // The place passes on; only where nobody waits it is free.
    const next = waiting.shift();
    if (next) next.go();
    else running -= 1;
  }
}
