/** A connection to PostgreSQL that statements share, written one behind the other without waiting for the answers between them. */

import type { Socket } from 'node:net';
import pg from 'pg';
import { tooManyWait } from './pool.ts';

/** A statement prepared under its name. */
export interface Sent {
  name: string;
  text: string;
  values: unknown[];
}

/** Where a single statement goes; see `Lanes`. */
export type Lane = 'read' | 'write' | 'relaxed';

/** Ways to PostgreSQL for single statements that are prepared by name (statements.ts). */
export interface Lanes {
  send<Row>(lane: Lane, statement: Sent): Promise<{ rows: Row[]; count: number }>;
}

/** Such a connection; `end` waits for what is under way. */
export interface Line {
  query(statement: Sent): Promise<pg.QueryResult>;
  end(): Promise<void>;
}

// A server that fell silent while the connection stands would keep all of them for ever.
const patience = 20_000;
/** More than ever wait while it answers; each of them is a request in memory. */
const most_waiting = 1000;

/**
 * Opens a line with its first statement, and anew after the connection was lost. Each statement is a transaction of its own,
 * and so is its error. Whatever waits for a row or for the disk makes all behind it wait, so it does not belong here.
 * @param first what the connection itself is told before anything else
 */
export function openLine(connection: pg.ClientConfig, first?: string): Line {
  let opened: Promise<pg.Client> | undefined;
  let waiting = 0;
  let is_ended = false;

  const open = () => {
    const client = new pg.Client({ ...connection, query_timeout: patience, pipeline: true } as pg.ClientConfig);
    const opening = (async () => {
      await client.connect();
      if (first) await client.query(first);
      return client;
    })();
    const forget = () => {
      if (opened === opening) opened = undefined;
    };
    client.on('error', forget).on('end', forget);
    opening.catch(() => {
      forget();
      void client.end().catch(() => undefined);
    });
    return opening;
  };

  return {
    async query(statement) {
      if (waiting >= most_waiting) throw tooManyWait();
      waiting += 1;
      try {
        if (is_ended) throw new Error('Connection terminated: the line is closed');
        opened ??= open();
        const client = await opened;
        gather(client);
        return await sendBy(client, statement);
      } finally {
        waiting -= 1;
      }
    },
    async end() {
      is_ended = true;
      const client = await opened?.catch(() => undefined);
      opened = undefined;
      await client?.end();
    },
  };
}

const gathering = new WeakSet<pg.Client>();

/** Lets the statements of one turn of the event loop leave in one write: a write costs as much as a statement. */
function gather(client: pg.Client): void {
  if (gathering.has(client)) return;
  gathering.add(client);
  const { stream } = (client as unknown as { connection: { stream: Socket } }).connection;
  stream.cork();
  setImmediate(() => {
    gathering.delete(client);
    stream.uncork();
  });
}

/** The plan no longer fits its table, or was never made, since what came before it failed; nothing was done either way. */
const without_plan = new Set(['0A000', '26000']);

/**
 * Sends a prepared statement. A table that was changed under a plan (by a release that is being put in place of this one)
 * makes PostgreSQL refuse the plan, before anything is done: it is sent once more without one, and planned anew the next time.
 */
export async function sendBy(client: pg.Client | pg.PoolClient, { name, text, values }: Sent): Promise<pg.QueryResult> {
  const send = (plan: string | undefined) =>
    new Promise<pg.QueryResult>((resolve, reject) => {
      // As an object of pg's own, or pg copies what it is given, property by property.
      const query = new pg.Query(text, values) as unknown as {
        name: string | undefined;
        callback: (error: Error | null, result: pg.QueryResult) => void;
      };
      query.name = plan;
      query.callback = (error, result) => (error ? reject(error) : resolve(result));
      client.query(query as unknown as pg.Submittable);
    });
  try {
    return await send(name);
  } catch (error) {
    if (!without_plan.has(String((error as { code?: unknown }).code))) throw error;
    forgetPlan(client, name);
    return send(undefined);
  }
}

function forgetPlan(client: pg.Client | pg.PoolClient, name: string): void {
  const { parsedStatements, submittedNamedStatements } = (client as unknown as { connection: Plans }).connection;
  if (!(name in parsedStatements)) return;
  delete parsedStatements[name];
  delete submittedNamedStatements[name];
  // Another may have been first; then there is none of that name.
  client.query(`DEALLOCATE ${pg.escapeIdentifier(name)}`).catch(() => undefined);
}

interface Plans {
  parsedStatements: Record<string, string>;
  submittedNamedStatements: Record<string, string>;
}
