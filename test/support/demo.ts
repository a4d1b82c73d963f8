/** The whole demonstration in a process of its own, as `npm start` runs it, on ports and a database of the test's. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { demo_password } from '../../src/demo/people.ts';
import { type Browser, openBrowser } from './browser.ts';
import type { Movable } from './clock.ts';
import { createTestDatabase, type TestDatabase } from './postgres.ts';
import { compile_cache } from './run.ts';

export interface DemoProcess extends Movable {
  gapura: string;
  e_bpom: string;
  cargolink: string;
  portal_insw: string;
  inbox: string;
  /** What it printed so far. */
  output(): string;
  /** Ctrl-C; gives the exit code. */
  stop(): Promise<number | null>;
  kill(): Promise<void>;
}

export interface DemoOptions {
  data_folder: string;
  /** Absent: its own embedded PostgreSQL in the data folder. */
  database_url?: string;
  /** The first of five ports in a row; absent: free ones. */
  port?: number;
}

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Starts it and waits for the printed table. */
export async function startDemo(options: DemoOptions): Promise<DemoProcess> {
  const port = options.port ?? (await findFreeRow());
  const { child, output, ended } = spawnDemo(options, port);
  const is_up = await Promise.race([waitFor(child, output, 'Ctrl-C'), ended.then(() => false)]);
  if (!is_up) throw new Error(`the demonstration did not start:\n${output()}`);
  const at = (offset: number) => `http://localhost:${port + offset}`;
  const end = async (signal: 'SIGINT' | 'SIGKILL') => {
    child.kill(signal);
    await ended;
    return child.exitCode;
  };
  return {
    gapura: at(0),
    e_bpom: at(1),
    cargolink: at(2),
    portal_insw: at(3),
    inbox: at(4),
    output,
    stop: () => end('SIGINT'),
    kill: async () => {
      await end('SIGKILL');
    },
    async moveClock(seconds) {
      const answer = once(child, 'message');
      child.send({ clock: seconds });
      await answer;
    },
  };
}

/** The demonstration over a test's database, with a browser in front of it. */
export interface Stage {
  browser: Browser;
  database: TestDatabase;
  demo: DemoProcess;
  close(): Promise<void>;
}

/** Sets the stage of a journey. */
export async function openStage(): Promise<Stage> {
  const data_folder = await mkdtemp(join(tmpdir(), 'gapura-journey-'));
  const database = await createTestDatabase();
  const demo = await startDemo({ data_folder, database_url: database.url });
  const browser = await openBrowser();
  return {
    browser,
    database,
    demo,
    async close() {
      await browser.close();
      await demo.stop();
      await database.drop();
      await rm(data_folder, { recursive: true, force: true });
    },
  };
}

/** The words of a page, on one line. */
export async function textOf(page: Page): Promise<string> {
  return (await page.locator('body').innerText()).replace(/\s+/g, ' ');
}

/** Signs in on the sign-in page that is open. */
export async function signInAt(page: Page, identifier: string, password = demo_password): Promise<void> {
  await page.fill('#identifier', identifier);
  await page.fill('#password', password);
  await page.click('#submit');
}

/** Runs it to its end, for starts that must fail; gives exit code and words. */
export async function runDemo(options: DemoOptions): Promise<{ code: number | null; output: string }> {
  const { child, output, ended } = spawnDemo(options, options.port ?? (await findFreeRow()));
  await ended;
  return { code: child.exitCode, output: output() };
}

function spawnDemo(options: DemoOptions, port: number) {
  const child = spawn(process.execPath, [fileURLToPath(new URL('server-process.ts', import.meta.url)), 'demo'], {
    env: {
      PATH: process.env.PATH ?? '',
      HOME: process.env.HOME ?? '',
      NODE_COMPILE_CACHE: compile_cache,
      GAPURA_DEMO_PORT: String(port),
      GAPURA_DEMO_SMTP_PORT: String(port + 5),
      GAPURA_DEMO_DATA: options.data_folder,
      ...(options.database_url ? { DATABASE_URL: options.database_url } : {}),
    },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  running.add(child);
  const pieces: string[] = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (piece) => pieces.push(String(piece)));
  const ended = once(child, 'close').then(() => running.delete(child));
  return { child, output: () => pieces.join(''), ended };
}

async function waitFor(child: ChildProcess, output: () => string, word: string): Promise<boolean> {
  while (!output().includes(word)) await once(child.stdout as NonNullable<ChildProcess['stdout']>, 'data');
  return true;
}

/** The first of six free ports in a row. */
export async function findFreeRow(): Promise<number> {
  for (let tries = 0; tries < 50; tries++) {
    const first = 20_000 + Math.floor((process.pid * 7 + tries * 911) % 20_000);
    const free = await Promise.all([0, 1, 2, 3, 4, 5].map((offset) => isFree(first + offset)));
    if (free.every(Boolean)) return first;
  }
  throw new Error('no six free ports in a row');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((answer) => {
    const probe = createServer().once('error', () => answer(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => answer(true)));
  });
}
