/** What is measured, started: a PostgreSQL that keeps what it acknowledges, Gapura over it, and the bare engine beside it. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sql } from 'kysely';
import { Pool } from 'undici';
import { type Database, openDatabase } from '../../src/database.ts';
import { findFreePort, type Postgres, startPostgres } from '../../src/demo/postgres.ts';
import type { Question, Usage } from './answers.ts';
import { apis, claims, engine_clients, fill } from './fill.ts';

/** A process under measurement, and a connection pool to it. */
export interface Measured {
  origin: string;
  pool: Pool;
  ask<T = undefined>(question: Question): Promise<T>;
  usage(): Promise<Usage>;
}

/** A temporary place with a database server; `stop` ends what was started there and leaves nothing behind. */
export interface Place {
  postgres: Postgres;
  /** Takes the log lines of all processes, for a terminal or a pipe to the driver would cost what they cost. */
  log: string;
  start(file: string, options: { env: Record<string, string>; port: number; argv?: string[] }): Promise<Measured>;
  undo(step: () => Promise<unknown>): void;
  stop(): Promise<void>;
}

/** Gapura over a database of its own, and another way into that. */
export interface Installation {
  gapura: Measured;
  db: Database;
  /** The settings of the process. */
  env: Record<string, string>;
  people: string[];
  /** A stored hash of everybody's password, so that the floor hashes with the same parameters. */
  hash: string;
  /** The version of the database. */
  database: string;
}

/** Everything that one run needs. */
export interface Bench extends Installation {
  engine: Measured;
  place: Place;
  stop(): Promise<void>;
}

/** Starts all of it with `count` people. */
export async function startBench(count: number): Promise<Bench> {
  const place = await openPlace(['gapura']);
  try {
    const installation = await install(place, 'gapura', count);
    const port = await findFreePort();
    const engine = await place.start('engine-process.ts', {
      port,
      env: { NODE_ENV: 'production' },
      argv: [String(port), ...[engine_clients, claims, apis].map((one) => JSON.stringify(one))],
    });
    return { ...installation, engine, place, stop: place.stop };
  } catch (error) {
    await place.stop();
    throw error;
  }
}

/** Fills a database and starts Gapura over it, with `count` people who are each of a company and have a role. */
export async function install(place: Place, name: string, count: number): Promise<Installation> {
  const port = await findFreePort();
  const env = settingsFor(port, place.postgres.url(name));
  const db = openDatabase(place.postgres.url(name), {
    max: 4,
    application_name: 'bench',
    // An index over millions of rows takes minutes.
    silence_ms: 0,
  });
  place.undo(() => db.destroy());
  const people = Array.from({ length: count }, (_, at) => `orang${at}`);
  const filled = await fill(db, env, people);
  const gapura = await place.start('gapura-process.ts', { port, env });
  return { gapura, db, env, people, ...filled };
}

/** The settings of a Gapura that listens on a port of this machine. */
export function settingsFor(port: number, database_url: string): Record<string, string> {
  return {
    NODE_ENV: 'production',
    // As docker/Dockerfile has it.
    MALLOC_ARENA_MAX: '1',
    GAPURA_URL: `http://127.0.0.1:${port}`,
    GAPURA_LISTEN_PORT: String(port),
    // Each visitor comes from an address of its own, as behind a real proxy.
    GAPURA_TRUSTED_PROXIES: '127.0.0.1/32',
    DATABASE_URL: database_url,
    GAPURA_SECRETS: 'bench-secret-of-thirty-two-characters-or-more',
    GAPURA_SMTP_URL: 'smtp://127.0.0.1:1',
    GAPURA_MAIL_FROM: 'Gapura <noreply@gapura.example>',
  };
}

/** Starts the database server in a folder of its own, with `settings` of PostgreSQL where they are not its usual ones. */
export async function openPlace(databases: string[], settings: Record<string, string> = {}): Promise<Place> {
  // A run that was killed is cleaned up by the next `npm test`, which knows this prefix.
  const folder = await mkdtemp(join(tmpdir(), `gapura-test-${process.pid}-`));
  const steps: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  const undoAll = async () => {
    for (const step of steps.reverse()) await step();
  };
  let stopped: Promise<void> | undefined;
  // Whoever asks a second time waits for the first.
  const stop = () => {
    stopped ??= undoAll();
    return stopped;
  };
  open_places.add(stop);
  steps.unshift(async () => open_places.delete(stop));
  try {
    await chmod(folder, 0o755);
    const open = () => startPostgres({ folder, user: 'gapura', password: 'gapura', databases });
    let postgres = await open();
    steps.push(() => postgres.stop());
    if (Object.keys(settings).length > 0) {
      await changeSettings(postgres.url('postgres'), settings);
      await postgres.stop();
      postgres = await open();
    }
    const log = join(folder, 'server.log');
    const undo = (step: () => Promise<unknown>) => void steps.push(step);
    const start: Place['start'] = async (file, options) => {
      const started = await startProcess(file, { ...options, log });
      undo(started.end);
      return started.measured;
    };
    return { postgres, log, start, undo, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const open_places = new Set<() => Promise<void>>();
let was_cut_short = false;

/** Whether this run was asked to end before it was done; its servers end then. */
export function isCutShort(): boolean {
  return was_cut_short;
}

/** Ends what is running when the run is cut short. */
export function endOnSignal(): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => {
      was_cut_short = true;
      for (const stop of open_places) void stop();
    });
}

async function changeSettings(url: string, settings: Record<string, string>): Promise<void> {
  const db = openDatabase(url, { max: 1 });
  try {
    for (const [name, value] of Object.entries(settings))
      await sql`ALTER SYSTEM SET ${sql.id(name)} = ${sql.lit(value)}`.execute(db);
  } finally {
    await db.destroy();
  }
}

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

interface ProcessOptions {
  env: Record<string, string>;
  port: number;
  argv?: string[];
  log: string;
}

/** Starts a program that ends with this process at the latest; its words go to the log. */
export function startProgram(file: URL, { env, argv = [], log }: Omit<ProcessOptions, 'port'>, talks = false) {
  const out = openSync(log, 'a');
  // What is told to the Node of the bench counts for the measured processes.
  const child = spawn(process.execPath, [...process.execArgv, fileURLToPath(file), ...argv], {
    env,
    stdio: ['ignore', out, out, ...(talks ? (['ipc'] as const) : [])],
  });
  closeSync(out);
  running.add(child);
  const gone = once(child, 'exit').then(() => running.delete(child));
  return { child, gone };
}

async function startProcess(file: string, { port, ...options }: ProcessOptions) {
  const { child, gone } = startProgram(new URL(file, import.meta.url), options, true);
  const hear = async () => {
    const heard = await Promise.race([once(child, 'message'), gone.then(() => undefined)]);
    if (!heard) throw new Error(`${file} ended:\n${readFileSync(options.log, 'utf8').slice(-2000)}`);
    const [message] = heard as [{ answer?: unknown; error?: string }];
    if (message.error) throw new Error(`${file}: ${message.error}`);
    return message.answer;
  };
  const ask = async <T>(question: Question): Promise<T> => {
    const answer = hear();
    child.send(question);
    return (await answer) as T;
  };
  await hear();
  const origin = `http://127.0.0.1:${port}`;
  const pool = new Pool(origin, { connections: 64, pipelining: 1 });
  const measured: Measured = { origin, pool, ask, usage: () => ask<Usage>({ ask: 'usage' }) };
  const end = async () => {
    await pool.destroy();
    child.kill('SIGKILL');
    await gone;
  };
  return { measured, end };
}
