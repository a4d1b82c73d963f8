/** The embedded PostgreSQL: started, reused after a kill, refused with a sentence, reachable for root everywhere. */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { findFreePort, type Postgres, type PostgresOptions, startPostgres } from '../../src/demo/postgres.ts';

const is_root = process.getuid?.() === 0;
const entry = fileURLToPath(new URL('../support/postgres-process.ts', import.meta.url));

let folder: string;
let started: { stop(): Promise<void> }[] = [];

function options(name: string, more: Partial<PostgresOptions> = {}): PostgresOptions {
  return { folder: join(folder, name), user: 'gapura', password: "p'w ö", databases: ['gapura'], fast: true, ...more };
}

async function start(wanted: PostgresOptions): Promise<Postgres> {
  const server = await startPostgres(wanted);
  started.push(server);
  return server;
}

/** A cluster that ran and was stopped, for tests of what comes after: making one takes longer than all the rest of them. */
async function copyMade(name: string): Promise<PostgresOptions> {
  await promisify(execFile)('cp', ['-a', join(folder, 'made'), join(folder, name)]);
  return options(name);
}

/** Starts in a process of its own, so that it can be killed; resolves when its server runs. */
async function startElsewhere(wanted: PostgresOptions, user?: number): Promise<{ child: ChildProcess; told: string }> {
  const identity = user === undefined ? {} : { uid: user, gid: user };
  const child = spawn(process.execPath, [entry, JSON.stringify(wanted)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...identity,
  });
  let told = '';
  child.stderr?.on('data', (chunk) => {
    told += chunk;
  });
  const [chunk] = await Promise.race([
    once(child.stdout as NodeJS.ReadableStream, 'data'),
    once(child, 'exit').then(() => ['']),
  ]);
  return { child, told: `${chunk}${told}` };
}

async function ask<T>(url: string, query: string): Promise<T[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(query)).rows;
  } finally {
    await client.end();
  }
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gapura-postgres-'));
  await chmod(folder, 0o755);
  const made = await startPostgres(options('made'));
  await made.stop();
});

afterEach(async () => {
  for (const server of started) await server.stop();
  started = [];
});

afterAll(() => rm(folder, { recursive: true, force: true }));

describe('a new cluster', () => {
  test('speaks UTF-8, sorts alike everywhere, keeps UTC and listens on loopback only', async () => {
    const server = await start(options('new', { databases: ['gapura', "odd'name"] }));
    const settings = await ask<Record<string, string>>(
      server.url("odd'name"),
      `SELECT current_setting('server_encoding') AS encoding, current_setting('TimeZone') AS zone, datlocale AS locale,
         current_setting('listen_addresses') AS addresses, current_setting('unix_socket_directories') AS sockets
       FROM pg_database WHERE datname = current_database()`,
    );
    expect(settings).toEqual([
      { encoding: 'UTF8', zone: 'UTC', locale: 'C.UTF-8', addresses: '127.0.0.1', sockets: '' },
    ]);
    expect(server.reused).toBe(false);
  });

  test('keeps its rows over a stop, and asks for the password that it was made with', async () => {
    const first = await start(await copyMade('kept'));
    await ask(first.url('gapura'), 'CREATE TABLE notes AS SELECT 42 AS answer');
    await first.stop();
    await expect(ask(first.url('gapura'), 'SELECT 1')).rejects.toThrow('ECONNREFUSED');
    await expect(startPostgres(options('kept', { password: 'another' }))).rejects.toThrow('made with another password');
    const second = await start(options('kept'));
    expect(second.reused).toBe(false);
    expect(await ask(second.url('gapura'), 'SELECT answer FROM notes')).toEqual([{ answer: 42 }]);
    const wrong = new URL(second.url('gapura'));
    wrong.password = 'wrong';
    await expect(ask(wrong.href, 'SELECT 1')).rejects.toThrow('password authentication failed');
  });
});

describe('after kill -9 of whoever started it', () => {
  test('the server still runs; the next start takes it over, and its stop ends it', async () => {
    const left = await copyMade('left');
    const { child } = await startElsewhere(left);
    child.kill('SIGKILL');
    await once(child, 'exit');
    const next = await start(left);
    expect(next.reused).toBe(true);
    expect(await ask(next.url('gapura'), 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await next.stop();
    await expect(ask(next.url('gapura'), 'SELECT 1')).rejects.toThrow('ECONNREFUSED');
  });

  test('a start on another port moves the server there', async () => {
    const { child } = await startElsewhere(await copyMade('moved'));
    child.kill('SIGKILL');
    await once(child, 'exit');
    const port = await findFreePort();
    const next = await start(options('moved', { port }));
    expect(next.port).toBe(port);
    expect(await ask(next.url('gapura'), 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  test('a pid file whose number belongs to another program now does not keep it from starting', async () => {
    const first = await start(await copyMade('stale'));
    const path = join(first.folder, 'postmaster.pid');
    const text = await readFile(path, 'utf8');
    await first.stop();
    await writeFile(path, text.replace(/^\d+/, String(process.pid)));
    const second = await start(options('stale'));
    expect(await ask(second.url('gapura'), 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });
});

describe('what a person can put right is one sentence', () => {
  test('a second start while the first lives', async () => {
    await start(await copyMade('busy'));
    await expect(startPostgres(options('busy'))).rejects.toMatchObject({
      code: 'BUSY',
      message: expect.stringMatching(/is in use by a Gapura that is already running\.$/),
    });
  });

  test('of two first starts at once one wins', async () => {
    const both = await Promise.allSettled([start(options('race')), startElsewhere(options('race'))]);
    const [here, there] = both;
    const told = there?.status === 'fulfilled' ? there.value : undefined;
    const winners = [here?.status === 'fulfilled', told?.told.startsWith('ready')];
    told?.child.kill('SIGTERM');
    if (told?.child.exitCode === null) await once(told.child, 'exit');
    expect(winners.filter(Boolean)).toHaveLength(1);
  });

  test('a taken port', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const port = (other.address() as { port: number }).port;
    const attempt = startPostgres({ ...(await copyMade('taken')), port });
    await expect(attempt).rejects.toMatchObject({
      code: 'PORT_TAKEN',
      message: expect.stringContaining(`Port ${port} `),
    });
    other.close();
  });

  test('a folder that is a file', async () => {
    await writeFile(join(folder, 'file'), '');
    await expect(startPostgres(options('file/below'))).rejects.toMatchObject({ code: 'UNWRITABLE' });
  });
});

const asRoot = is_root ? test : test.skip;

describe('as root', () => {
  asRoot(
    'below a folder that only root may enter the cluster finds another place, the same the next time',
    async () => {
      await mkdir(join(folder, 'closed'), { mode: 0o700 });
      const first = await start(options('closed/checkout'));
      expect(first.folder.startsWith(folder)).toBe(false);
      await ask(first.url('gapura'), 'CREATE TABLE notes AS SELECT 42 AS answer');
      await first.stop();
      const second = await start(options('closed/checkout'));
      expect(second.folder).toBe(first.folder);
      expect(await ask(second.url('gapura'), 'SELECT answer FROM notes')).toEqual([{ answer: 42 }]);
      await second.stop();
      await rm(join(second.folder, '..'), { recursive: true });
    },
  );

  asRoot('an ordinary user is told of a folder that is not theirs, and runs one of their own', async () => {
    const nobody = 65_534;
    await mkdir(join(folder, 'not-theirs'), { mode: 0o755 });
    const refused = await startElsewhere(options('not-theirs'), nobody);
    expect(refused.told).toContain('cannot be written to.');
    await mkdir(join(folder, 'theirs'));
    await chmod(join(folder, 'theirs'), 0o777);
    const { child, told } = await startElsewhere(options('theirs/data'), nobody);
    expect(told).toMatch(/^ready/);
    child.kill('SIGTERM');
    await once(child, 'exit');
    expect(child.exitCode).toBe(0);
  });
});
