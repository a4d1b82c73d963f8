/** Real Gapura processes over a test's database: started, asked whether they are ready, stopped or killed. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { findFreePort } from '../../src/demo/postgres.ts';
import { compile_cache } from './run.ts';

export interface ServerOptions {
  database_url: string;
  /** Absent: a free one. */
  port?: number;
  /** Settings by the names of config/example.env, over the ones below. */
  env?: Record<string, string>;
  /** The command and its arguments; `work` and others have no port to be ready on. */
  command?: string[];
  /** The process listens to `moveClock`; off, it is src/gapura.mjs and nothing else. */
  movable?: boolean;
}

export interface Server {
  url: string;
  port: number;
  /** Its log so far: a JSON line is an object, any other line `{ text }`. */
  log: Record<string, unknown>[];
  /** The last log line that fits, as soon as there is one; fails after 10 s. */
  waitForLog(fits: (line: Record<string, unknown>) => boolean): Promise<Record<string, unknown>>;
  moveClock(seconds: number): Promise<void>;
  /** Ends it as an operator would (SIGTERM) and gives its exit code. */
  stop(): Promise<number | null>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

export const test_secret = 'test-secret-of-thirty-two-characters-or-more';
/** A mail server that is down: mails wait in their queue. */
export const test_mail = {
  GAPURA_SMTP_URL: 'smtp://127.0.0.1:1',
  GAPURA_MAIL_FROM: 'Gapura <noreply@gapura.example>',
};
const running = new Set<ChildProcess>();
// A test run that is cut short leaves no server behind.
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/**
 * Starts a process and waits until /readyz answers 200.
 * @throws Error with the process's own words when it ends first or is not ready within 20 s
 */
export async function startServer(options: ServerOptions): Promise<Server> {
  const { database_url, command = ['serve'], movable = true } = options;
  const port = options.port ?? (await findFreePort());
  const url = `http://localhost:${port}`;
  const entry = movable
    ? new URL('server-process.ts', import.meta.url)
    : new URL('../../src/gapura.mjs', import.meta.url);
  const child = spawn(process.execPath, [fileURLToPath(entry), ...command], {
    env: {
      PATH: process.env.PATH ?? '',
      NODE_COMPILE_CACHE: compile_cache,
      GAPURA_PRODUCTION: 'false',
      GAPURA_URL: url,
      GAPURA_LISTEN_PORT: String(port),
      DATABASE_URL: database_url,
      GAPURA_SECRETS: test_secret,
      ...test_mail,
      ...options.env,
    },
    stdio: ['ignore', 'pipe', 'pipe', ...(movable ? (['ipc'] as const) : [])],
  });
  running.add(child);
  const log = collect(child);
  const exited = once(child, 'close').then(() => running.delete(child));
  const end = async (signal: 'SIGTERM' | 'SIGKILL') => {
    child.kill(signal);
    await exited;
  };
  const server: Server = {
    url,
    port,
    log,
    waitForLog: (fits) => waitForLog(log, fits),
    moveClock: (seconds) => tellClock(child, seconds),
    stop: () => end('SIGTERM').then(() => child.exitCode),
    kill: () => end('SIGKILL'),
  };
  if (command[0] === 'serve')
    await waitUntilReady(server, child).catch((error) => end('SIGKILL').then(() => Promise.reject(error)));
  return server;
}

async function waitUntilReady({ port, log }: Server, child: ChildProcess): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    if (child.exitCode !== null) break;
    const ready = await fetch(`http://127.0.0.1:${port}/readyz`).then(
      (response) => response.ok,
      () => false,
    );
    if (ready) return;
    await wait(50);
  }
  throw new Error(
    `the server did not become ready (exit ${child.exitCode}):\n${log.map((line) => JSON.stringify(line)).join('\n')}`,
  );
}

function collect(child: ChildProcess): Record<string, unknown>[] {
  const log: Record<string, unknown>[] = [];
  for (const stream of [child.stdout, child.stderr])
    if (stream)
      createInterface({ input: stream }).on('line', (text) => {
        try {
          log.push(JSON.parse(text));
        } catch {
          log.push({ text });
        }
      });
  return log;
}

async function waitForLog(
  log: Record<string, unknown>[],
  fits: (line: Record<string, unknown>) => boolean,
): Promise<Record<string, unknown>> {
  for (let tries = 0; tries < 500; tries++) {
    const line = log.findLast(fits);
    if (line) return line;
    await wait(20);
  }
  throw new Error(`no such line in the log:\n${log.map((line) => JSON.stringify(line)).join('\n')}`);
}

async function tellClock(child: ChildProcess, seconds: number): Promise<void> {
  if (!child.connected) throw new Error('this process has no clock to move: start it with movable');
  const answer = once(child, 'message');
  child.send({ clock: seconds });
  await answer;
}
