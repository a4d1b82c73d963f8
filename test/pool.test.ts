/** Limits on time at the database: whatever takes too long ends in 503 and a time to come back, and afterwards all is whole. */

import { once } from 'node:events';
import type { Server } from 'node:http';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { pino } from 'pino';
import { Secret } from '../src/crypto.ts';
import { type Database, inTransaction, isDatabaseGone, openDatabase } from '../src/database.ts';
import { listen, stopListening } from '../src/http/listen.ts';
import type { PoolLimits } from '../src/pool.ts';
import { type Gapura, openGapura } from '../src/server.ts';
import { newSignedInVisitor, registerClient, startGapura, type TestGapura } from './support/gapura.ts';
import { sendRequest } from './support/wire.ts';

let gapura: TestGapura;
const handles: Database[] = [];

beforeAll(async () => {
  gapura = await startGapura();
});

afterEach(async () => {
  await Promise.all(handles.splice(0).map((db) => db.destroy()));
});

afterAll(() => gapura.stop());

const withLimits = (limits: Record<string, number>) =>
  `${gapura.database_url}?${new URLSearchParams(Object.entries(limits).map(([name, ms]) => [name, String(ms)]))}`;

const open = (url: string, limits: PoolLimits & { max?: number } = {}) => {
  const db = openDatabase(url, { max: 1, ...limits });
  handles.push(db);
  return db;
};

const isWhole = async (db: Database) => (await sql<{ n: number }>`SELECT 1 AS n`.execute(db)).rows[0]?.n === 1;

/** A transaction that has locked every row of a table, and everything else about it, until `release`. */
async function hold(table: string) {
  const gate = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const done = inTransaction(gapura.db, async (tx) => {
    await sql`LOCK TABLE ${sql.table(table)} IN ACCESS EXCLUSIVE MODE`.execute(tx);
    held.resolve();
    await gate.promise;
  });
  await held.promise;
  return async () => {
    gate.resolve();
    await done;
  };
}

describe('of one connection', () => {
  test('a statement, a wait for a row and a forgotten transaction end, and the connection or its successor serves on', async () => {
    const slow = open(withLimits({ statement_timeout: 50 }));
    expect(await sql`SELECT pg_sleep(5)`.execute(slow).catch(isDatabaseGone)).toBe(true);
    const waits = open(withLimits({ lock_timeout: 50 }));
    const release = await hold('agencies');
    expect(await waits.selectFrom('agencies').select('code').execute().catch(isDatabaseGone)).toBe(true);
    await release();
    const forgets = open(withLimits({ idle_in_transaction_session_timeout: 50 }));
    const forgotten = inTransaction(forgets, async (tx) => {
      const { rows } = await sql<{ pid: number }>`SELECT pg_backend_pid() AS pid`.execute(tx);
      const lives = () => sql`SELECT FROM pg_stat_activity WHERE pid = ${rows[0]?.pid}`.execute(gapura.db);
      while ((await lives()).rows.length > 0);
      await sql`SELECT 1`.execute(tx);
    });
    expect(await forgotten.catch(isDatabaseGone)).toBe(true);
    for (const db of [slow, waits, forgets]) expect(await isWhole(db)).toBe(true);
  });

  test('a server that fell silent ends it, in the middle of a transaction too', async () => {
    const { port, hostname } = new URL(gapura.database_url);
    const ends: Socket[] = [];
    const cable = createServer((near) => {
      const far = connect(Number(port), hostname);
      ends.push(near, far);
      for (const end of [near, far]) end.on('error', () => undefined);
      near.pipe(far).pipe(near);
    }).listen(0, '127.0.0.1');
    await once(cable, 'listening');
    const url = new URL(gapura.database_url);
    url.host = `127.0.0.1:${(cable.address() as AddressInfo).port}`;
    try {
      const db = open(url.href, { silence_ms: 200 });
      expect(await isWhole(db)).toBe(true);
      const begun = process.uptime();
      const work = inTransaction(db, async (tx) => {
        await sql`SELECT 1`.execute(tx);
        for (const end of ends) end.unpipe().pause();
        await sql`SELECT 1`.execute(tx);
      });
      expect(await work.catch(isDatabaseGone)).toBe(true);
      expect(process.uptime() - begun).toBeLessThan(2);
      expect(await isWhole(db)).toBe(true);
    } finally {
      for (const end of ends) end.destroy();
      cable.close();
    }
  });

  test('those who wait for it are few: the next is refused at once, and those before it are served', async () => {
    const db = open(gapura.database_url, { waiting: 2 });
    const release = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    const work = inTransaction(db, async () => {
      held.resolve();
      await release.promise;
    });
    await held.promise;
    const waiting = [isWhole(db), isWhole(db)];
    expect(await isWhole(db).catch(isDatabaseGone)).toBe(true);
    release.resolve();
    await work;
    expect(await Promise.all(waiting)).toEqual([true, true]);
  });
});

describe('of a whole node', () => {
  let node: Gapura;
  let server: Server;
  let asks: [what: string, answers: number, ask: () => ReturnType<typeof sendRequest>][];

  beforeAll(async () => {
    const client = await registerClient(gapura, 'hitungan', { metadata: { scope: 'openid' } });
    const budi = await newSignedInVisitor(gapura.url, 'budi');
    const config = { ...gapura.config, database_url: new Secret(withLimits({ lock_timeout: 100 })), database_pool: 2 };
    node = await openGapura(config, pino({ level: 'silent' }));
    server = await listen(node.app, '127.0.0.1', 0);
    const { port } = server.address() as AddressInfo;
    const ask =
      (target: string, more: [string, string][] = [], body?: string) =>
      () =>
        sendRequest(port, {
          target,
          headers: [['host', new URL(gapura.url).host], ...more],
          ...(body === undefined ? {} : { method: 'POST', body }),
        });
    const cookie: [string, string] = ['cookie', budi.cookies.map(({ name, value }) => `${name}=${value}`).join('; ')];
    const form: [string, string] = ['content-type', 'application/x-www-form-urlencoded'];
    const { client_id, client_secret } = client;
    const basic = Buffer.from(`${client_id}:${client_secret}`).toString('base64');
    asks = [
      ['the portal', 200, ask('/portal', [cookie])],
      ['a page of a sign-in', 404, ask('/interaction/tidak-ada-tidak-ada', [cookie])],
      [
        'an authorization',
        303,
        ask(
          `/connect/auth?client_id=${client_id}&response_type=code&scope=openid&redirect_uri=${encodeURIComponent(client.redirect_uri)}&code_challenge=${'x'.repeat(43)}&code_challenge_method=S256`,
          [cookie],
        ),
      ],
      [
        'a refresh',
        400,
        ask(
          '/connect/token',
          [form, ['authorization', `Basic ${basic}`]],
          'grant_type=refresh_token&refresh_token=tidak-ada',
        ),
      ],
      [
        'an introspection',
        200,
        ask('/connect/introspection', [form, ['authorization', `Basic ${basic}`]], 'token=tidak-ada'),
      ],
      ['the interface', 401, ask('/api/v1/accounts', [['authorization', `Bearer ${'x'.repeat(43)}`]])],
    ];
  });

  afterAll(async () => {
    server.closeAllConnections();
    await stopListening(server);
    await node.close();
  });

  test.each(['oidc_records', 'oidc_sessions', 'accounts', 'clients'])(
    'waiting for %s is 503 with a time to come back wherever it is met, and then all is as before',
    async (table) => {
      const before = await Promise.all(asks.map(async ([what, , ask]) => [what, (await ask())?.status]));
      expect(before).toEqual(asks.map(([what, status]) => [what, status]));
      const release = await hold(table);
      const during = await Promise.all(
        asks.flatMap(([what, status, ask]) => [0, 1].map(async () => ({ what, status, answer: await ask() }))),
      );
      await release();
      let met = 0;
      for (const { what, status, answer } of during) {
        expect([what, [503, status]]).toEqual([what, expect.arrayContaining([answer?.status])]);
        if (answer?.status !== 503) continue;
        met += 1;
        expect(answer.text).toMatch(/retry-after: [1-9]/i);
      }
      expect(met).toBeGreaterThan(0);
      expect(await Promise.all(asks.map(async ([what, , ask]) => [what, (await ask())?.status]))).toEqual(before);
    },
  );
});
