/** Tells a node that rows it keeps in memory were changed by another: a notice for the moment, a version for certainty. */

import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Secret } from './crypto.ts';

/** Where a lost connection is told of, once for each loss; a pino logger fits. */
export interface WatchLog {
  error(fields: object, message: string): void;
}

/** A watch that goes on until it is closed. */
export interface Watch {
  close(): Promise<void>;
}

const channel = 'gapura_changes';

// A connection that fell silent is found out by the next look, given up, and replaced a look later: less than five seconds in all.
const look_every = 1000;
const patience = 1500;

/**
 * Calls `onChange` once for each of `topics`, and again after every commit that changed one: at once by LISTEN, and by the
 * topic's version, read every second and after each reconnect, where a notice was lost. What `onChange` throws is tried again.
 * While the database is away nothing is called. Topics are those of the triggers that call note_change() (db/migrations).
 *
 * LISTEN takes a connection of its own for the whole session; behind pgBouncer's transaction mode the versions alone are left.
 * @throws what pg or the first `onChange` throws; nothing watches then
 */
export async function watchChanges(
  database_url: Secret,
  topics: readonly string[],
  onChange: (topic: string) => Promise<void>,
  log?: WatchLog,
): Promise<Watch> {
  const known = new Map<string, string>();
  let is_closed = false;
  let notice = new AbortController();
  let connection: pg.Client | undefined;

  const connect = async () => {
    const client = new pg.Client({
      connectionString: database_url.reveal(),
      application_name: 'gapura changes',
      connectionTimeoutMillis: patience,
      query_timeout: patience,
      keepAlive: true,
    });
    const forget = () => {
      if (connection === client) connection = undefined;
    };
    client.on('error', forget).on('end', forget);
    client.on('notification', ({ payload = '' }) => {
      if (topics.includes(payload)) notice.abort();
    });
    connection = client;
    await client.connect();
    await client.query(`LISTEN ${channel}`);
    return client;
  };

  const look = async () => {
    const client = connection ?? (await connect());
    const { rows } = await client.query<{ name: string; version: string }>(
      'SELECT name, version FROM topics WHERE name = ANY ($1)',
      [topics],
    );
    for (const topic of topics) {
      // Read before the rows are: a change between the two is found once more, and never missed.
      const version = rows.find((row) => row.name === topic)?.version ?? '0';
      if (known.get(topic) === version) continue;
      await onChange(topic);
      known.set(topic, version);
    }
  };

  const drop = () => {
    const client = connection;
    connection = undefined;
    return client?.end().catch(() => undefined);
  };

  const keepLooking = async () => {
    for (let is_lost = false; ; ) {
      await sleep(look_every, undefined, { signal: notice.signal }).catch(() => undefined);
      if (is_closed) return;
      notice = new AbortController();
      try {
        await look();
        is_lost = false;
      } catch (error) {
        if (!is_lost) log?.error({ err: error }, 'changes are not heard of; what was read last stands');
        is_lost = true;
        // Not waited for: a connection that fell silent does not end either.
        void drop();
      }
    }
  };

  try {
    await look();
  } catch (error) {
    void drop();
    throw error;
  }
  const done = keepLooking();
  return {
    async close() {
      is_closed = true;
      notice.abort();
      await done;
      await drop();
    },
  };
}
