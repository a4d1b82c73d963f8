/** A connection to PostgreSQL that statements share, written one behind the other without waiting for the answers between them. */

import type { Socket } from 'node:net';
import pg from 'pg';
import { tooManyWait } from './pool.ts';

/** A statement prepared under its name. */
export interface Sent {
  /** Undefined: planned for this once. */
  name: string | undefined;
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

/** What the statements of a line wait for: `nothing` but their answer, or also until what they wrote is on the `disk`. */
export type Wait = 'nothing' | 'disk';

// A server that fell silent while the connection stands would keep all of them for ever.
const patience = 20_000;
/** More than ever wait while it answers; each of them is a request in memory. */
const most_waiting = 1000;

/**
 * Opens a line with its first statement, and anew after the connection was lost. Each statement is a transaction of its own,
 * and so is its error; no commit holds up the next one. Whatever waits for a row makes all behind it wait, so it does not
 * belong here.
 */
export function openLine(connection: pg.ClientConfig, wait: Wait): Line {
  let opened: Promise<{ client: pg.Client; send: Send }> | undefined;
  let waiting = 0;
  let is_ended = false;

  const open = () => {
    const client = new pg.Client({ ...connection, query_timeout: patience, pipeline: true } as pg.ClientConfig);
    const opening = (async () => {
      await client.connect();
      await client.query(commit_later);
      return { client, send: sendInBatches(client, wait) };
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
        const { client, send } = await opened;
        return await sendBy(client, statement, send);
      } finally {
        waiting -= 1;
      }
    },
    async end() {
      is_ended = true;
      const last = await opened?.catch(() => undefined);
      opened = undefined;
      await last?.client.end();
    },
  };
}

type Send = (statement: Sent) => Promise<pg.QueryResult>;

/** A commit answers before it is on the disk; how commits are kept otherwise is noted for `kept_commit`. */
const commit_later = `SELECT set_config('gapura.kept_commit', current_setting('synchronous_commit'), false),
  set_config('synchronous_commit', 'off', false)`;

/**
 * A transaction of its own that commits as the server is set to: on the disk, and on the standby where commits wait for one.
 * Whatever the connection wrote before it is kept with it, for it stands before it in the log.
 */
const kept_commit: Sent = {
  name: 'kept commit',
  text: `SELECT set_config('synchronous_commit', current_setting('gapura.kept_commit'), true),
    pg_logical_emit_message(true, 'gapura', '')`,
  values: [],
};

/**
 * Lets the statements of one turn of the event loop leave together: to write to a socket costs as much as a statement. Where they
 * wait for the disk, a commit at the end of the batch waits for all of them, and those that come meanwhile are the next batch.
 */
function sendInBatches(client: pg.Client, wait: Wait): Send {
  const { stream } = (client as unknown as { connection: { stream: Socket } }).connection;
  let unanswered = 0;
  let held = 0;
  let kept = Promise.withResolvers<unknown>();

  const add = (statement: Sent) => {
    held += 1;
    const answer = submit(client, statement);
    const end = () => {
      unanswered -= 1;
      if (unanswered === 0 && held > 0) setImmediate(leave);
    };
    answer.then(end, end);
    return answer;
  };
  const leave = () => {
    if (held === 0 || (wait === 'disk' && unanswered > 0)) return;
    if (wait === 'disk') {
      kept.resolve(add(kept_commit));
      kept = Promise.withResolvers();
    }
    unanswered += held;
    held = 0;
    stream.uncork();
  };

  return async (statement) => {
    if (held === 0) {
      stream.cork();
      setImmediate(leave);
    }
    const answer = add(statement);
    if (wait === 'nothing') return answer;
    const [result] = await Promise.all([answer, kept.promise]);
    return result;
  };
}

function submit(client: pg.Client | pg.PoolClient, { name, text, values }: Sent): Promise<pg.QueryResult> {
  return new Promise((resolve, reject) => {
    // As an object of pg's own, or pg copies what it is given, property by property.
    const query = new pg.Query(text, values) as unknown as {
      name: string | undefined;
      callback: (error: Error | null, result: pg.QueryResult) => void;
    };
    query.name = name;
    query.callback = (error, result) => (error ? reject(error) : resolve(result));
    client.query(query as unknown as pg.Submittable);
  });
}

/** The plan no longer fits its table, or was never made, since what came before it failed; nothing was done either way. */
const without_plan = new Set(['0A000', '26000']);

/**
 * Sends a prepared statement. A table that was changed under a plan (by a release that is being put in place of this one)
 * makes PostgreSQL refuse the plan, before anything is done: it is sent once more without one, and planned anew the next time.
 */
export async function sendBy(
  client: pg.Client | pg.PoolClient,
  statement: Sent,
  send: Send = (one) => submit(client, one),
): Promise<pg.QueryResult> {
  try {
    return await send(statement);
  } catch (error) {
    if (!statement.name || !without_plan.has(String((error as { code?: unknown }).code))) throw error;
    forgetPlan(client, statement.name);
    return send({ ...statement, name: undefined });
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
