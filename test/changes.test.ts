/** Watching for changes: told at the commit, and within seconds whatever happens to the connection that listens. */

import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { type Watch, watchChanges } from '../src/changes.ts';
import { Secret } from '../src/crypto.ts';
import { type Database, inTransaction } from '../src/database.ts';
import { createTestDatabase, type TestDatabase } from './support/postgres.ts';

let database: TestDatabase;
let db: Database;
const watches: Watch[] = [];
const errors: string[] = [];
const log = { error: (_fields: object, message: string) => void errors.push(message) };

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  await sql`
    CREATE TABLE colours (name text);
    CREATE TABLE sounds (name text);
    CREATE TRIGGER colours_changed AFTER INSERT OR UPDATE OR DELETE ON colours EXECUTE FUNCTION note_change('colours');
    CREATE TRIGGER sounds_changed AFTER INSERT OR UPDATE OR DELETE ON sounds EXECUTE FUNCTION note_change('sounds')`.execute(
    db,
  );
});

beforeEach(() => {
  errors.length = 0;
});

afterEach(async () => {
  for (const watch of watches.splice(0)) await watch.close();
});

afterAll(() => database.drop());

/** What a watch has read of the colours, as a node would keep it; `calls` are the topics it was told of. */
async function watchColours(url = database.url, topics = ['colours']) {
  const node = { colours: 0, calls: [] as string[], fails: false };
  const read = async (topic: string) => {
    if (node.fails) throw new Error('not now');
    node.calls.push(topic);
    node.colours = await countColours(db);
  };
  watches.push(await watchChanges(new Secret(url), topics, read, log));
  return node;
}

async function countColours(from: Database): Promise<number> {
  const { rows } = await sql<{ n: number }>`SELECT count(*)::int AS n FROM colours`.execute(from);
  return rows[0]?.n ?? 0;
}

const until = async (is_so: () => boolean | Promise<boolean>) => {
  const began = performance.now();
  while (!(await is_so())) {
    if (performance.now() - began > 20_000) throw new Error('it did not come true');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

const addColour = (to: Database = db) => sql`INSERT INTO colours VALUES ('biru')`.execute(to);

/** Adds one, and fails unless all nodes know of it in time: milliseconds where nothing is lost, else under five seconds. */
async function expectSeen(nodes: { colours: number }[], { within = 5000 } = {}): Promise<void> {
  await addColour();
  const added = performance.now();
  const wanted = await countColours(db);
  await until(() => nodes.every(({ colours }) => colours === wanted));
  expect(performance.now() - added).toBeLessThan(within);
}

test('each topic is read once at first, and the watch begins only after that', async () => {
  await addColour();
  const node = await watchColours(database.url, ['colours', 'sounds']);
  expect(node).toMatchObject({ calls: ['colours', 'sounds'], colours: await countColours(db) });
});

test('a change reaches every watch at its commit, long before the next look', async () => {
  const nodes = [await watchColours(), await watchColours()];
  // A look may happen to come just then; not several times.
  for (let times = 0; times < 5; times += 1) await expectSeen(nodes, { within: 600 });
});

test('a change of another topic calls nobody, and what is rolled back has not happened', async () => {
  const node = await watchColours();
  await sql`INSERT INTO sounds VALUES ('gong')`.execute(db);
  const failed = inTransaction(db, async (tx) => {
    await addColour(tx);
    throw new Error('no');
  });
  await expect(failed).rejects.toThrow('no');
  await expectSeen([node]);
  expect(node.calls).toEqual(['colours', 'colours']);
});

test('many changes at once end in the state of the last of them', async () => {
  const node = await watchColours();
  await Promise.all(Array.from({ length: 40 }, () => addColour()));
  const wanted = await countColours(db);
  await until(() => node.colours === wanted);
  expect(node.calls.length).toBeLessThanOrEqual(41);
});

test('a change whose notice was lost is found by its version', async () => {
  const node = await watchColours();
  await sql`SET session_replication_role = replica; INSERT INTO colours VALUES ('hijau'); RESET session_replication_role;
    UPDATE topics SET version = version + 1 WHERE name = 'colours'`.execute(db);
  const changed = performance.now();
  const wanted = await countColours(db);
  await until(() => node.colours === wanted);
  expect(performance.now() - changed).toBeLessThan(5000);
});

test('a change while the listening connection is cut is found, and the next one heard of again', async () => {
  const nodes = [await watchColours(), await watchColours()];
  const { rows } = await sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'gapura changes'`.execute(db);
  expect(rows).toHaveLength(2);
  await expectSeen(nodes);
  await expectSeen(nodes, { within: 600 });
  expect(errors).toEqual([]);
});

test('what failed to be read is read again, and told once', async () => {
  const node = await watchColours();
  node.fails = true;
  await addColour();
  await until(() => errors.length > 0);
  await addColour();
  node.fails = false;
  const wanted = await countColours(db);
  await until(() => node.colours === wanted);
  await expectSeen([node]);
  expect(errors).toHaveLength(1);
});

test('a watch that cannot begin says so and leaves nothing behind', async () => {
  const listening = () =>
    sql`SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'gapura changes'`.execute(db);
  await expect(watchColours('postgres://nobody:x@127.0.0.1:1/none')).rejects.toThrow();
  const failing = watchChanges(new Secret(database.url), ['colours'], () => Promise.reject(new Error('unreadable')));
  await expect(failing).rejects.toThrow('unreadable');
  await until(async () => (await listening()).rows.length === 0);
});

test('nothing is called after the close', async () => {
  const node = await watchColours();
  await watches.pop()?.close();
  await addColour();
  const other = await watchColours();
  await expectSeen([other]);
  expect(node.calls).toEqual(['colours']);
});

describe('through a line that fails', () => {
  let line: Server;
  let url: string;
  let sockets: [Socket, Socket][];
  let state: 'open' | 'silent' | 'closed';

  beforeEach(async () => {
    sockets = [];
    state = 'open';
    const address = new URL(database.url);
    const { port, hostname } = address;
    line = createServer((near) => {
      if (state === 'closed') return void near.destroy();
      const far = connect(Number(port), hostname);
      sockets.push([near, far]);
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        from.on('data', (bytes) => {
          if (state !== 'silent') to.write(bytes);
        });
        from.on('close', () => to.destroy()).on('error', () => undefined);
      }
    });
    await new Promise<void>((resolve) => line.listen(0, '127.0.0.1', resolve));
    address.port = String((line.address() as AddressInfo).port);
    url = address.href;
  });

  afterEach(async () => {
    for (const pair of sockets) for (const socket of pair) socket.destroy();
    await new Promise((resolve) => line.close(resolve));
  });

  test('what was read last stands while the database is away; told once, and caught up with when it is back', async () => {
    const node = await watchColours(url);
    const before = node.colours;
    state = 'closed';
    for (const [near] of sockets) near.destroy();
    await addColour();
    await until(() => errors.length > 0);
    // It goes on trying, and says no more.
    const tried = await new Promise<boolean>((resolve) => line.once('connection', () => resolve(true)));
    expect([tried, node.colours, node.calls, errors.length]).toEqual([true, before, ['colours'], 1]);
    state = 'open';
    await until(() => node.colours === before + 1);
    await expectSeen([node], { within: 600 });
  });

  test('a connection that falls silent without an end is given up in seconds', async () => {
    const node = await watchColours(url);
    const old = sockets.length;
    const fell = performance.now();
    state = 'silent';
    await addColour();
    await until(() => errors.length > 0);
    state = 'open';
    await until(() => node.calls.length === 2);
    expect(performance.now() - fell).toBeLessThan(5000);
    expect(sockets.length).toBeGreaterThan(old);
  });
});
