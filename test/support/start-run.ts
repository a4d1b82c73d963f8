/** Runs once before all tests: a fast PostgreSQL in a temporary folder, and Chromium unpacked. */

import { readFileSync, rmSync } from 'node:fs';
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres } from '../../src/demo/postgres.ts';
import { unpackChromium } from './chromium.ts';
import { tellRun } from './run.ts';

export type EndRun = () => Promise<void>;

const prefix = 'gapura-test-';

export default async function startRun(): Promise<void> {
  await sweep();
  const folder = await mkdtemp(join(tmpdir(), `${prefix}${process.pid}-`));
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

/** Removes what runs left that were killed outright: their names tell their process. */
async function sweep(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = Number(new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1] ?? 0);
    if (pid !== 0 && !isAlive(pid)) endAtOnce(join(tmpdir(), name));
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
