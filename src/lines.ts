/** Connections to PostgreSQL that statements share, written one behind the other without waiting for the answers between them. */

import type { Socket } from 'node:net';
import pg from 'pg';
import { for_requests, tooManyWait } from './pool.ts';
import { type Sent, sendBy, submit } from './prepared.ts';

/** Where a single statement goes; see `Lanes`. */
export type Lane = 'read' | 'write' | 'relaxed';

/** Ways to PostgreSQL for single statements that are prepared by name (statements.ts). */
export interface Lanes {
  send<Row>(lane: Lane, statement: Sent): Promise<{ rows: Row[]; count: number }>;
}

/** The lanes with a line for each; `end` waits for what is under way. */
export interface OpenLanes extends Lanes {
  end(): Promise<void>;
}

/** For how long a statement that met a lock goes its own way, in milliseconds. */
const detour = 1000;

/**
 * Opens the lanes. Single statements share the connection of theirs and do not wait for each other's answers: reads; writes
 * whose loss in a crash of PostgreSQL only means that somebody starts again, which are not waited for on the disk; and all
 * other writes, which are. One that met a lock waits for it alone, as others like it do for a moment, so that those behind go on.
 */
export function openLanes(
  connection: pg.ClientConfig,
  sendAlone: (statement: Sent) => Promise<pg.QueryResult>,
): OpenLanes {
  const lines: Record<Lane, Line> = {
    read: openLine(connection, 'nothing'),
    relaxed: openLine(connection, 'nothing'),
    write: openLine(connection, 'disk'),
  };
  /** By the name of a statement: until when it goes its own way at once. */
  const detours = new Map<string, number>();
  const sendInLine = async (lane: Lane, statement: Sent) => {
    const name = statement.name ?? '';
    if (performance.now() < (detours.get(name) ?? 0)) return sendAlone(statement);
    try {
      return await lines[lane].query(statement);
    } catch (error) {
      if (!isLocked(error)) throw error;
      detours.set(name, performance.now() + detour);
      return sendAlone(statement);
    }
  };
  return {
    async send<Row>(lane: Lane, statement: Sent) {
      const { rows, rowCount } = await sendInLine(lane, statement);
      return { rows: rows as Row[], count: rowCount ?? 0 };
    },
    async end() {
      await Promise.all(Object.values(lines).map((line) => line.end()));
    },
  };
}

/** PostgreSQL's lock_not_available. */
function isLocked(error: unknown): boolean {
  return (error as { code?: unknown }).code === '55P03';
}

/** One connection of them. */
interface Line {
  query(statement: Sent): Promise<pg.QueryResult>;
  end(): Promise<void>;
}

/** What the statements of a line wait for: `nothing` but their answer, or also until what they wrote is on the `disk`. */
type Wait = 'nothing' | 'disk';

// A server that fell silent while the connection stands would keep all of them for ever.
const patience = 20_000;
/** More than ever wait while it answers; each of them is a request in memory. */
const most_waiting = 1000;
/** Milliseconds after which a server that does not say good-bye is left without. */
const longest_farewell = 3000;

/**
 * Opens a line with its first statement, and anew after the connection was lost. Each statement is a transaction of its own,
 * and so is its error; no commit holds up the next one. Whatever waits for a row makes all behind it wait, so it does not
 * belong here.
 */
function openLine(connection: pg.ClientConfig, wait: Wait): Line {
  let opened: Promise<{ client: pg.Client; send: Send }> | undefined;
  let is_ended = false;
  let idle = Promise.withResolvers<void>();
  let waiting = 0;

  const open = () => {
    const client = new pg.Client({ ...connection, query_timeout: patience, pipeline: true } as pg.ClientConfig);
    const opening = (async () => {
      await client.connect();
      await client.query(as_a_line);
      return { client, send: sendInBatches(client, wait) };
    })();
    const forget = () => {
      if (opened === opening) opened = undefined;
      socketOf(client).destroy();
    };
    client.on('error', forget).on('end', forget);
    opening.catch(forget);
    return opening;
  };

  return {
    async query(statement) {
      if (is_ended) throw new Error('Connection terminated: the line is closed');
      if (waiting >= most_waiting) throw tooManyWait();
      waiting += 1;
      try {
        opened ??= open();
        const { client, send } = await opened;
        return await sendBy(client, statement, send);
      } finally {
        waiting -= 1;
        if (waiting === 0) {
          idle.resolve();
          idle = Promise.withResolvers();
        }
      }
    },
    async end() {
      is_ended = true;
      // Whatever is under way ends within its own patience.
      if (waiting > 0) await idle.promise;
      const last = await opened?.catch(() => undefined);
      opened = undefined;
      if (!last) return;
      const late = setTimeout(() => socketOf(last.client).destroy(), longest_farewell);
      await last.client.end().finally(() => clearTimeout(late));
    },
  };
}

type Send = (statement: Sent) => Promise<pg.QueryResult>;

function socketOf(client: pg.Client): Socket {
  return (client as unknown as { connection: { stream: Socket } }).connection.stream;
}

/**
 * A commit answers before it is on the disk, and a lock is not waited for long where others stand behind. Said in the session,
 * since what stands between may ignore what a connection asks for at its start.
 */
const as_a_line = `${for_requests}; SET synchronous_commit = off; SET lock_timeout = 100`;

/**
 * A transaction of its own that commits as the server is set to now: on the disk, and on the standby where commits wait for
 * one. Whatever the connection wrote before it is kept with it, for it stands before it in the log.
 */
const kept_commit: Sent = {
  name: 'kept commit',
  text: `SELECT set_config('synchronous_commit', NULL, true), pg_logical_emit_message(true, 'gapura', '')`,
  values: [],
};

/** So many leave at once at the most, and so many may be under way: each may meet a lock, and those behind it wait that long. */
const largest_batch = 16;

interface Waiting {
  statement: Sent;
  resolve(result: Promise<pg.QueryResult>): void;
}

/**
 * Lets the statements of one turn of the event loop leave together: to write to a socket costs as much as a statement. Where they
 * wait for the disk, a commit at the end of the batch waits for all of them, and those that come meanwhile are the next batch.
 */
function sendInBatches(client: pg.Client, wait: Wait): Send {
  const queue: Waiting[] = [];
  let unanswered = 0;
  let is_about_to_leave = false;

  const leaveSoon = () => {
    const is_full = wait === 'disk' ? unanswered > 0 : unanswered >= largest_batch;
    if (queue.length === 0 || is_full || is_about_to_leave) return;
    is_about_to_leave = true;
    setImmediate(leave);
  };
  const add = (statement: Sent) => {
    unanswered += 1;
    const answer = submit(client, statement);
    answer
      .catch((error) => isLocked(error) && turnAway(statement.name, error))
      .then(() => {
        unanswered -= 1;
        leaveSoon();
      });
    return answer;
  };
  /** Those that would meet the same lock one after the other. */
  const turnAway = (name: string | undefined, error: Error) => {
    const alike = queue.filter(({ statement }) => statement.name === name);
    for (const one of alike) queue.splice(queue.indexOf(one), 1);
    for (const { resolve } of alike) resolve(Promise.reject(error));
  };
  const leave = () => {
    is_about_to_leave = false;
    // All of them were turned away.
    if (queue.length === 0) return;
    const socket = socketOf(client);
    socket.cork();
    const batch = queue.splice(0, largest_batch).map(({ statement, resolve }) => ({ resolve, answer: add(statement) }));
    const kept = wait === 'disk' ? add(kept_commit) : undefined;
    socket.uncork();
    for (const { resolve, answer } of batch) resolve(Promise.all([answer, kept]).then(([result]) => result));
    leaveSoon();
  };

  return (statement) =>
    new Promise((resolve) => {
      queue.push({ statement, resolve });
      leaveSoon();
    });
}
