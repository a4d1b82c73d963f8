/** The duties of several workers over one database: each session ended once and told once, what is over deleted, what lives kept. */

import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { sql } from 'kysely';
import { pino } from 'pino';
import { createAccount, endEverything, lockAccount } from '../src/accounts/account.ts';
import { record } from '../src/audit/audit.ts';
import { saveClient } from '../src/clients/client.ts';
import { readConfig } from '../src/config.ts';
import { randomToken, Secret } from '../src/crypto.ts';
import { inTransaction, type Transaction } from '../src/database.ts';
import { openLimits } from '../src/limits/limits.ts';
import { createAdapter } from '../src/oidc/adapter.ts';
import { policy } from '../src/policy/policy.ts';
import { type Gapura, openGapura } from '../src/server.ts';
import { batched_duties, startWorker } from '../src/worker.ts';
import { moveClock, resetClock } from './support/clock.ts';
import { createTestDatabase, type TestDatabase } from './support/postgres.ts';
import { test_mail, test_secret } from './support/server.ts';

let database: TestDatabase;
let application: Server;
let address: string;
const nodes: Gapura[] = [];
const workers: { stop(): Promise<void> }[] = [];
/** The logout tokens that the application was sent. */
const received: string[] = [];
const errors: object[] = [];
const log = { error: (fields: object) => void errors.push(fields) };

beforeAll(async () => {
  application = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      received.push(new URLSearchParams(body).get('logout_token') ?? '');
      response.end();
    });
  });
  await once(application.listen(0, '127.0.0.1'), 'listening');
  address = `127.0.0.1:${(application.address() as AddressInfo).port}`;
});

beforeEach(async () => {
  database = await createTestDatabase();
  received.length = 0;
  errors.length = 0;
});

afterEach(async () => {
  await resetClock(database.db);
  for (const worker of workers.splice(0)) await worker.stop();
  for (const node of nodes.splice(0)) await node.close();
  await database.drop();
});

afterAll(() => {
  application.closeAllConnections();
  application.close();
});

async function openNode(): Promise<Gapura> {
  const config = readConfig({
    GAPURA_PRODUCTION: 'false',
    GAPURA_URL: 'http://localhost:3000',
    DATABASE_URL: database.url,
    GAPURA_SECRETS: test_secret,
    ...test_mail,
    GAPURA_PRIVATE_HOSTS: address,
  });
  const node = await openGapura(config, pino({ level: 'silent' }), { works: true });
  nodes.push(node);
  return node;
}

const startWork = async ({ db, jobs, engine, mail }: Gapura) => {
  const worker = await startWorker(db, jobs, engine, mail, log);
  workers.push(worker);
  return worker;
};

const until = async (is_so: () => boolean | Promise<boolean>) => {
  while (!(await is_so())) await new Promise((resolve) => setTimeout(resolve, 20));
};

/** A person with a session in which applications were opened; gives the account's id. */
async function newSession({ db, engine }: Gapura, username: string, client_ids: string[]): Promise<string> {
  const { id } = await createAccount(db, { username, full_name: username });
  const authorizations = Object.fromEntries(
    client_ids.map((client_id) => [client_id, { sid: `${username} at ${client_id}`, grantId: randomToken() }]),
  );
  const payload = { uid: username, accountId: id, generation: 1, authorizations };
  await createAdapter(engine.records, 'Session').upsert(randomToken(), payload, 3600);
  return id;
}

const register = ({ clients }: Gapura, id: string) =>
  saveClient(clients, {
    id,
    metadata: {
      redirect_uris: ['https://aplikasi.contoh.example/callback'],
      backchannel_logout_uri: `http://${address}/${id}`,
      backchannel_logout_session_required: true,
      token_endpoint_auth_method: 'none',
    },
  });

const listSessions = async () =>
  (await database.db.selectFrom('oidc_sessions').select('uid').orderBy('uid').execute()).map(({ uid }) => uid);

test('the sweep ends the sessions of whoever was revoked or locked, and every application that was opened hears of it once', async () => {
  const [node, other] = [await openNode(), await openNode()];
  for (const id of ['satu', 'dua']) await register(node, id);
  const budi = await newSession(node, 'budi', ['satu', 'dua']);
  const sari = await newSession(node, 'sari', ['satu']);
  await newSession(node, 'tono', ['satu', 'dua']);
  await inTransaction(node.db, (tx) => endEverything(tx, budi, { because: 'test' }));
  await lockAccount(node.db, sari, 'locked', { because: 'test' });

  await Promise.all([startWork(node), startWork(other)]);
  await until(() => received.length >= 3);
  expect(await listSessions()).toEqual(['tono']);
  const told = received.map((token) => decodeJwt(token)).map(({ sub, sid, aud }) => ({ sub, sid, aud }));
  const expected = [
    { sub: budi, sid: 'budi at dua', aud: 'dua' },
    { sub: budi, sid: 'budi at satu', aud: 'satu' },
    { sub: sari, sid: 'sari at satu', aud: 'satu' },
  ];
  expect(told.sort((one, two) => String(one.sid).localeCompare(String(two.sid)))).toEqual(expected);
  const audit = await node.db
    .selectFrom('audit_events')
    .select(['account_id', 'detail'])
    .where('kind', '=', 'session_ended')
    .execute();
  expect(audit).toHaveLength(2);
  expect(audit).toContainEqual({ account_id: budi, detail: { applications: 2 } });
  // Nothing is left to be sent a second time.
  const open = sql`SELECT FROM jobs.job WHERE name = 'logout' AND state < 'completed'`;
  await until(async () => (await open.execute(node.db)).rows.length === 0);
  expect(received).toHaveLength(3);
  expect(errors).toEqual([]);
});

test('what is over is deleted and what lives is kept: records, sessions, sign-ins, browsers, counters, personal audit', async () => {
  const node = await openNode();
  const { db, engine } = node;
  const budi = await newSession(node, 'budi', []);
  const limits = openLimits(new Secret(test_secret));
  const leave = async (name: string) => {
    const bytes = Buffer.from(name);
    const request = { address: name, user_agent: undefined, request_id: name };
    const expires_at = sql<Date>`gapura_now() + interval '1 day'`;
    await createAdapter(engine.records, 'AccessToken').upsert(name, { kind: 'AccessToken', clientId: name }, 60);
    await limits.spend(db, 'sign_in_account', name);
    await db.insertInto('sign_ins').values({ interaction_hash: bytes, client_id: name, expires_at }).execute();
    await db.insertInto('browsers').values({ account_id: budi, browser_hash: bytes }).execute();
    await inTransaction(db, (tx) => record(tx, { kind: 'sign_in', request }));
  };
  await leave('old');
  await moveClock(db, Math.max(policy('audit.personal_retention'), policy('browsers.memory')) + 86_400);
  await leave('new');

  const left = async () => {
    const values = await Promise.all([
      db.selectFrom('oidc_records').select('client_id as is').execute(),
      db.selectFrom('sign_ins').select('client_id as is').execute(),
      db.selectFrom('browsers').select(sql<string>`convert_from(browser_hash, 'UTF8')`.as('is')).execute(),
      db.selectFrom('audit_personal').select('address as is').execute(),
    ]);
    return values.flatMap((rows) => rows.map(({ is }) => is));
  };
  const count = async (table: 'limits' | 'oidc_sessions' | 'audit_seals') =>
    (await sql`SELECT FROM ${sql.table(table)}`.execute(db)).rows.length;
  expect(await left()).toHaveLength(8);
  await startWork(node);
  await until(
    async () =>
      (await left()).length === 4 &&
      (await count('limits')) === 1 &&
      (await count('oidc_sessions')) === 0 &&
      (await count('audit_seals')) > 0,
  );
  expect(await left()).toEqual(['new', 'new', 'new', 'new']);
  expect(errors).toEqual([]);
});

test('what there may be any number of is found by an index', async () => {
  const { db, engine } = await openNode();
  const countScans = async (tx: Transaction) => {
    const { rows } = await sql<{ name: string; scans: number }>`
      SELECT relname AS name, seq_scan::int AS scans FROM pg_stat_xact_user_tables`.execute(tx);
    return new Map(rows.map(({ name, scans }) => [name, scans]));
  };
  // Where there is no index PostgreSQL reads the whole table even so.
  const findWholeReads = (run: (tx: Transaction) => Promise<unknown>) =>
    inTransaction(db, async (tx) => {
      await sql`SET LOCAL enable_seqscan = off`.execute(tx);
      const before = await countScans(tx);
      await run(tx);
      const after = await countScans(tx);
      return [...after.keys()].filter((name) => after.get(name) !== (before.get(name) ?? 0));
    });
  const found: Record<string, unknown> = {};
  for (const { name, run } of batched_duties) {
    found[name] = await findWholeReads((tx) => run(tx, 10, { ...engine, records: { ...engine.records, db: tx } }));
  }
  expect(found).toEqual(Object.fromEntries(batched_duties.map(({ name }) => [name, []])));
  const read = sql`SELECT FROM browsers WHERE first_seen_at < gapura_now()`;
  expect(await findWholeReads((tx) => read.execute(tx))).toEqual(['browsers']);
});

test('stopping waits for the duty that is in work', async () => {
  const node = await openNode();
  const { db } = database;
  const budi = await newSession(node, 'budi', []);
  await inTransaction(db, (tx) => endEverything(tx, budi, { because: 'test' }));
  const isHeld = async () =>
    (await sql`SELECT FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'`.execute(db)).rows.length > 0;
  let stopping: Promise<void> | undefined;
  let is_stopped = false;
  await db.transaction().execute(async (tx) => {
    await sql`SELECT FROM oidc_sessions FOR UPDATE`.execute(tx);
    const worker = await startWork(node);
    await until(isHeld);
    stopping = worker.stop().then(() => {
      is_stopped = true;
    });
    await until(isHeld);
    expect(is_stopped).toBe(false);
  });
  await stopping;
  expect(await listSessions()).toEqual([]);
});
