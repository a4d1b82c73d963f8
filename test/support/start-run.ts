/** Runs once before all tests: a fast PostgreSQL in a temporary folder, and Chromium unpacked. */

import { readFileSync, rmSync } from 'node:fs';
import { chmod, mkdtemp, readdir, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres } from '../../src/demo/postgres.ts';
import { unpackChromium } from './chromium.ts';
import { tellRun } from './run.ts';

export type EndRun = () => Promise<void>;

const prefix = 'gapura-test-';
const in_memory = '/dev/shm';
const least_room = 6 * 1024 ** 3;

export default async function startRun(): Promise<void> {
  await sweep();
  const folder = await mkdtemp(join(await findRoom(), `${prefix}${process.pid}-`));
  // Root starts PostgreSQL as another user, who must be able to enter.
  await chmod(folder, 0o755);
  const [postgres, chromium_folder] = await Promise.all([
    startPostgres({ folder, user: 'gapura', password: 'gapura', databases: [], fast: true }),
    unpackChromium(),
  ]);
  tellRun({ database_url: postgres.url('postgres'), chromium_folder });
  const end: EndRun = async () => {
    await postgres.stop();
    await rm(folder, { recursive: true, force: true });
  };
  Object.assign(globalThis, { end_run: end });
  // Ctrl-C, or a pipe that was closed, ends jest without its teardown, and would leave the server behind.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
  process.once('exit', () => endAtOnce(folder));
}

/**
 * Where the database's files go. Each test file copies a database of several hundred small ones, which takes 20 ms in memory
 * and up to 700 on a disk; memory it is where the machine offers it and has room for the largest test.
 */
async function findRoom(): Promise<string> {
  const room = await statfs(in_memory).catch(() => undefined);
  return room && room.bavail * room.bsize > least_room ? in_memory : tmpdir();
}

/** Removes what runs left that were killed outright: their names tell their process. */
async function sweep(): Promise<void> {
  for (const place of [tmpdir(), in_memory]) {
    for (const name of await readdir(place).catch(() => [])) {
      const pid = Number(new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1] ?? 0);
      if (pid !== 0 && !isAlive(pid)) endAtOnce(join(place, name));
    }
  }
}

/** Without waiting, for nothing can wait while a process ends; the rows are worth nothing. */
function endAtOnce(folder: string): void {
  try {
    const pid = Number.parseInt(readFileSync(join(folder, 'cluster', 'postmaster.pid'), 'utf8'), 10);
    process.kill(pid, 'SIGQUIT');
  } catch {
    // It ended before.
  }
  try {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  } catch {
    // The server is still writing its last words; the next run removes the rest.
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: unknown }).code === 'EPERM';
  }
}
