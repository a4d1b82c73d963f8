/** Periodic duties: on one node at a time, few at once in a process, and again next time when one fails. */

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
  fn: () => Promise<unknown>,
  log: JobLog,
): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const loop = async () => {
    while (!stopping.signal.aborted) {
      try {
        await inTurn(() => runAlone(db, name, fn));
      } catch (error) {
        log.error({ err: error, duty: name }, 'a duty failed');
      }
      await sleep(seconds * 1000, undefined, { signal: stopping.signal }).catch(() => undefined);
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

const most_at_once = 2;
const waiting: (() => void)[] = [];
let running = 0;

async function inTurn<T>(duty: () => Promise<T>): Promise<T> {
  if (running >= most_at_once) await new Promise<void>((resolve) => waiting.push(resolve));
  else running += 1;
  try {
    return await duty();
  } finally {
    // The place passes on; only where nobody waits it is free.
    const next = waiting.shift();
    if (next) next();
    else running -= 1;
  }
}
