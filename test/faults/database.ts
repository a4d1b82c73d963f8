/** A PostgreSQL that syncs to disk, its synchronous standby, and the one address that always leads to the primary of the two. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import pg from 'pg';
import { startPostgres } from '../../src/demo/postgres.ts';
import { findBinaries, findIdentity, type Identity, run, suffix, surroundings } from '../../src/demo/postgres-place.ts';
import { findLastingPort } from './ports.ts';
import { type PrimaryAddress, startPrimaryAddress } from './primary-address.ts';

export interface DatabasePair {
  /** Leads to whichever of the servers is the primary. */
  url: string;
  /** One statement for an operator, sent to the primary; its connection is closed afterwards. */
  ask<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>;
  /** Stops the primary, as an operator would (`fast`) or as a failing machine would (`immediate`), and starts it again. */
  stop(mode: 'fast' | 'immediate'): Promise<void>;
  start(): Promise<void>;
  has_standby: boolean;
  /** Copies the primary's data folder while it runs, and waits until what it commits is held by the copy, too. */
  attachStandby(): Promise<void>;
  /** Ends the primary and all of its processes at once (SIGKILL) and promotes the standby. */
  failOver(): Promise<void>;
  /** Ends all processes of the standby; after `meanwhile` the primary is told to wait for it no longer. */
  loseStandby(meanwhile: () => Promise<void>): Promise<void>;
  close(): Promise<void>;
}

/** One server: a data folder and a port that stay, and the process while it runs. */
interface Member {
  folder: string;
  port: number;
  process?: ChildProcess;
}

interface Place {
  home: string;
  binaries: string;
  identity: Identity;
}

const running = new Set<ChildProcess>();
// A run that is cut short leaves no server behind.
process.once('exit', () => {
  for (const child of running) child.kill('SIGQUIT');
});

const who = { user: 'gapura', password: 'gapura', database: 'gapura' };
const standby_name = 'standby';

/** Makes a database in `folder`, lets `fill` write what it begins with, and starts it as one that syncs to disk. */
export async function startDatabase(folder: string, fill: (url: string) => Promise<void>): Promise<DatabasePair> {
  // Nothing of it is worth a sync before the run begins.
  const made = await startPostgres({ folder, ...who, databases: [who.database], fast: true });
  await fill(made.url(who.database)).finally(() => made.stop());
  const home = dirname(made.folder);
  const identity = process.getuid?.() === 0 ? await findIdentity(home) : undefined;
  const place: Place = { home, identity, binaries: await findBinaries(identity) };

  let primary: Member = { folder: made.folder, port: await findLastingPort() };
  let standby: Member | undefined;
  let copies = 0;
  await startMember(place, primary);
  const address: PrimaryAddress = await startPrimaryAddress(who, () => [primary, standby].flatMap((one) => one ?? []));
  const url = `postgres://${who.user}:${who.password}@127.0.0.1:${address.port}/${who.database}`;

  return {
    url,
    ask: (text, values) => askMember(primary, text, values),
    async stop(mode) {
      const program = join(place.binaries, 'bin', `pg_ctl${suffix}`);
      const ended = await run(program, ['stop', '-D', primary.folder, '-m', mode, '-w', '-t', '20'], identity);
      if (ended.status !== 0) throw new Error(`the primary did not stop: ${ended.text}`);
    },
    start: () => startMember(place, primary),
    get has_standby() {
      return standby !== undefined;
    },
    async attachStandby() {
      const copy: Member = { folder: join(home, `copy-${++copies}`), port: await findLastingPort() };
      await copyMember(place, primary, copy);
      await startMember(place, copy);
      standby = copy;
      await askMember(primary, `ALTER SYSTEM SET synchronous_standby_names = '${standby_name}'`);
      await askMember(primary, 'SELECT pg_reload_conf()');
      await until(async () => {
        const rows = await askMember(primary, `SELECT FROM pg_stat_replication WHERE sync_state = 'sync'`);
        return rows.length === 1;
      }, 'the standby does not follow');
    },
    async failOver() {
      if (!standby) throw new Error('there is no standby');
      await killMember(primary);
      // What it was told by its own settings: nobody follows it yet.
      await askMember(standby, 'SELECT pg_promote(true, 20)');
      primary = standby;
      standby = undefined;
      await until(async () => {
        const [row] = await askMember<{ is_standby: boolean }>(primary, 'SELECT pg_is_in_recovery() AS is_standby');
        return row?.is_standby === false;
      }, 'the standby was not promoted');
    },
    async loseStandby(meanwhile) {
      if (!standby) throw new Error('there is no standby');
      await killMember(standby);
      standby = undefined;
      await meanwhile();
      await askMember(primary, 'ALTER SYSTEM RESET synchronous_standby_names');
      await askMember(primary, 'SELECT pg_reload_conf()');
    },
    async close() {
      await address.close();
      for (const member of [standby, primary]) if (member) await killMember(member);
    },
  };
}

async function startMember({ binaries, identity, home }: Place, member: Member): Promise<void> {
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    port: member.port,
    max_connections: 100,
    timezone: 'UTC',
    log_timezone: 'UTC',
    // What a standby may still need of the past, and how soon it looks for a primary that was away.
    wal_keep_size: '1GB',
    wal_retrieve_retry_interval: '200ms',
  };
  const parameters = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const log = await fs.open(join(home, 'server.log'), 'a', 0o600);
  const child = spawn(join(binaries, 'bin', `postgres${suffix}`), ['-D', member.folder, ...parameters], {
    ...surroundings(identity),
    detached: true,
    stdio: ['ignore', log.fd, log.fd],
  });
  await log.close();
  member.process = child;
  running.add(child);
  child.once('exit', () => running.delete(child));
  await until(async () => {
    if (child.exitCode !== null) throw new Error(`PostgreSQL ended; its words are in ${home}/server.log`);
    return (await askMember(member, 'SELECT').catch(() => [])).length === 1;
  }, 'PostgreSQL does not answer');
}

/** Every process of the server at once, as when its machine loses power: a backend alone would still answer its client. */
async function killMember({ process: child }: Member): Promise<void> {
  if (!child?.pid || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  const children = await fs.readFile(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').catch(() => '');
  for (const pid of [child.pid, ...children.trim().split(' ').filter(Boolean).map(Number)]) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended by itself.
    }
  }
  await ended;
}

/** A copy of the data folder while the server runs, which follows the server once it is started. */
async function copyMember(place: Place, from: Member, to: Member): Promise<void> {
  const connection = await connect(from);
  try {
    await connection.query(`SELECT pg_backup_start('copy', true)`);
    await copyFolder(from.folder, to.folder, place.identity);
    const { rows } = await connection.query<{ label: string }>('SELECT labelfile AS label FROM pg_backup_stop(false)');
    const follow = `host=127.0.0.1 port=${from.port} user=${who.user} password=${who.password} application_name=${standby_name}`;
    await writeAs(place.identity, join(to.folder, 'backup_label'), rows[0]?.label ?? '');
    await writeAs(place.identity, join(to.folder, 'standby.signal'), '');
    // Written anew: what the primary was told about its own standbys does not hold for the copy.
    await writeAs(place.identity, join(to.folder, 'postgresql.auto.conf'), `primary_conninfo = '${follow}'\n`);
  } finally {
    await connection.end();
  }
}

// Of the server that runs, and its journal, which the copy asks for from the beginning of the backup on.
const left_out = new Set(['postmaster.pid', 'postmaster.opts', 'pg_wal', 'pg_replslot', 'pg_stat_tmp', 'pg_dynshmem']);

async function copyFolder(from: string, to: string, identity: Identity, depth = 0): Promise<void> {
  await fs.mkdir(to, { mode: 0o700 });
  if (identity) await fs.chown(to, identity.uid, identity.gid);
  for (const entry of await fs.readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    const is_left_out = depth === 0 && left_out.has(entry.name);
    if (entry.isDirectory() && !is_left_out) await copyFolder(source, target, identity, depth + 1);
    else if (entry.isDirectory()) await makeEmpty(target, entry.name === 'pg_wal' ? ['archive_status'] : [], identity);
    else if (entry.isFile() && !is_left_out) {
      // A file that the server removed meanwhile is one that the journal does not need either.
      const is_there = await fs.copyFile(source, target).then(
        () => true,
        (error) => (error.code === 'ENOENT' ? false : Promise.reject(error)),
      );
      if (is_there && identity) await fs.chown(target, identity.uid, identity.gid);
    }
  }
}

async function makeEmpty(folder: string, inside: string[], identity: Identity): Promise<void> {
  for (const path of [folder, ...inside.map((name) => join(folder, name))]) {
    await fs.mkdir(path, { mode: 0o700 });
    if (identity) await fs.chown(path, identity.uid, identity.gid);
  }
}

async function writeAs(identity: Identity, path: string, text: string): Promise<void> {
  await fs.writeFile(path, text, { mode: 0o600 });
  if (identity) await fs.chown(path, identity.uid, identity.gid);
}

async function connect({ port }: Member): Promise<pg.Client> {
  const client = new pg.Client({ host: '127.0.0.1', port, ...who, connectionTimeoutMillis: 2000 });
  // A server that is taken away under it is what this is for.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

async function askMember<Row extends pg.QueryResultRow>(
  member: Member,
  text: string,
  values: unknown[] = [],
): Promise<Row[]> {
  const client = await connect(member);
  try {
    return (await client.query<Row>(text, values)).rows;
  } finally {
    await client.end();
  }
}

/** Asks again every 50 ms, for 20 s. */
async function until(isSo: () => Promise<boolean>, otherwise: string): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    if (await isSo()) return;
    await wait(50);
  }
  throw new Error(otherwise);
}
