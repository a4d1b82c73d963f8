/** The pool of connections to PostgreSQL: nobody waits in a crowd for one, nor for a server behind it that fell silent. */

import type { Socket } from 'node:net';
import pg from 'pg';

export interface PoolLimits {
  /** How long a server may say nothing while a statement is in work, in milliseconds; 0 for ever. */
  silence_ms?: number;
  /** How many may wait for each connection; more are refused at once. */
  waiting?: number;
}

/** To compile a plan, or to start processes for it, takes longer than any statement of a request. */
export const for_requests = 'SET jit = off; SET max_parallel_workers_per_gather = 0';

/**
 * Opens a pool. PostgreSQL's own limits on time hold only while it answers: when its machine is gone without a word, the
 * connection is given up after a silence, for by itself TCP would keep it for a quarter of an hour. While connections are
 * held for long, a wait that most would lose is not begun: what waits costs memory, and the answer is the same.
 */
export function openPool(config: pg.PoolConfig, { silence_ms = 20_000, waiting = 50 }: PoolLimits = {}): pg.Pool {
  const pool = new pg.Pool({ ...config, onConnect: (client) => client.query(for_requests) } as pg.PoolConfig);
  // A connection that dies while idle is replaced by the pool; without a listener the process would end.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => {
    // pg takes that listener off a connection in use: one that is cut between two statements must fail its transaction only.
    client.on('error', () => undefined);
    const opened = client as unknown as { connection: { stream: Socket }; readyForQuery: boolean };
    const { stream } = opened.connection;
    stream.setTimeout(silence_ms, () => {
      if (!opened.readyForQuery) stream.destroy();
    });
  });
  const most = waiting * (config.max ?? 10);
  const connect = pool.connect.bind(pool) as (callback?: Connected) => Promise<pg.PoolClient>;
  pool.connect = ((callback?: Connected) => {
    if (pool.waitingCount < most) return connect(callback);
    if (!callback) return Promise.reject(tooManyWait());
    process.nextTick(callback, tooManyWait(), undefined, () => undefined);
    return undefined;
  }) as pg.Pool['connect'];
  return pool;
}

/** What is thrown instead of a wait; its code is PostgreSQL's own for the same (too_many_connections). */
export function tooManyWait(): Error {
  return Object.assign(new Error('too many wait for the database'), { code: '53300' });
}

type Connected = Parameters<pg.Pool['connect']>[0];
