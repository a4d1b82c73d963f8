/** Jobs: run once after a commit and at once, never after a rollback, retried, buried; duties run on one node at a time. */

import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { Secret } from '../src/crypto.ts';
import { type Database, inTransaction, openDatabase } from '../src/database.ts';
import { runAlone, runPeriodically } from '../src/duties.ts';
import { countJobs, enqueue, type Jobs, openJobs, prepareJobs, work } from '../src/jobs.ts';
import { createTestDatabase, type TestDatabase } from './support/postgres.ts';

let database: TestDatabase;
let db: Database;
let sender: Jobs;
const opened: Jobs[] = [];
const errors: unknown[] = [];
const log = { error: (fields: object) => errors.push(fields) };
const far = 600;

const open = async (works: boolean) => {
  const jobs = await openJobs({ database_url: new Secret(database.url) }, { works, log });
  opened.push(jobs);
  return jobs;
};

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((jobs) => jobs.stop()));
  await sql`DELETE FROM jobs.job`.execute(db);
  errors.length = 0;
});

afterAll(() => database.drop());

const until = async (is_so: () => boolean | Promise<boolean>) => {
  while (!(await is_so())) await new Promise((resolve) => setTimeout(resolve, 20));
};

/** A worker that has looked once and will not look again by itself: what it runs after this, a notice told it. */
const openIdleWorker = async (ran: string[], fn?: () => Promise<void>) => {
  const jobs = await open(true);
  const options = { concurrency: 2, poll_seconds: far };
  await work(
    jobs,
    'logout',
    async ({ payload }) => {
      ran.push(payload.client_id);
      await fn?.();
    },
    options,
  );
  await until(() => jobs.boss.getWipData().every((worker) => worker.lastFetchedOn !== null));
  return jobs;
};

const send = (client_id: string, options = {}) =>
  inTransaction(db, (tx) => enqueue(tx, sender, 'logout', { client_id, subject: 's', sid: null }, options));

test('a committed job wakes the worker, a rolled back one never runs', async () => {
  sender = await open(false);
  const ran: string[] = [];
  await openIdleWorker(ran);
  await expect(
    inTransaction(db, async (tx) => {
      await enqueue(tx, sender, 'logout', { client_id: 'rolled back', subject: 's', sid: null });
      throw new Error('no');
    }),
  ).rejects.toThrow('no');
  await send('committed');
  await until(() => ran.includes('committed'));
  expect(ran).toEqual(['committed']);
});

test('many jobs of one transaction follow each other without another look', async () => {
  sender = await open(false);
  const ran: string[] = [];
  await openIdleWorker(ran);
  await inTransaction(db, async (tx) => {
    for (let i = 0; i < 20; i += 1) {
      await enqueue(tx, sender, 'logout', { client_id: `client-${i}`, subject: 's', sid: null });
    }
  });
  await until(() => ran.length === 20);
  expect(new Set(ran).size).toBe(20);
});

test('two workers run each of 100 jobs once', async () => {
  sender = await open(false);
  const ran: string[] = [];
  for (let i = 0; i < 2; i += 1) {
    const worker = await open(true);
    await work(worker, 'logout', async ({ payload }) => void ran.push(payload.client_id), {
      concurrency: 4,
      poll_seconds: 0.5,
    });
  }
  for (let i = 0; i < 100; i += 10) await Promise.all(Array.from({ length: 10 }, (_, at) => send(`client-${i + at}`)));
  await until(() => new Set(ran).size === 100);
  expect(ran).toHaveLength(100);
});

test('a job that fails is tried again, told when it is the last try, and buried with its payload', async () => {
  sender = await open(false);
  const tries: [number, boolean][] = [];
  const worker = await open(true);
  await work(
    worker,
    'logout',
    async ({ attempt, is_last }) => {
      tries.push([attempt, is_last]);
      throw new Error('down');
    },
    { poll_seconds: 0.5 },
  );
  await send('dead', { retry_limit: 2, retry_delay: 0, retry_backoff: false });
  const findDead = () => worker.boss.findJobs<{ client_id: string }>('logout_dead');
  await until(async () => (await findDead()).length > 0);
  expect(tries).toEqual([
    [1, false],
    [2, false],
    [3, true],
  ]);
  expect((await findDead()).map((job) => job.data.client_id)).toEqual(['dead']);
});

test('a worker whose listening connection is cut off hears again', async () => {
  sender = await open(false);
  const ran: string[] = [];
  await openIdleWorker(ran);
  const listeners = sql<{ pid: number }>`SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND query LIKE 'LISTEN %' AND pid <> pg_backend_pid()`;
  const { rows: cut } = await sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND query LIKE 'LISTEN %' AND pid <> pg_backend_pid()`.execute(db);
  expect(cut.length).toBe(1);
  await until(async () => (await listeners.execute(db)).rows.length === 1);
  await send('after the cut');
  await until(() => ran.includes('after the cut'));
  expect(ran).toEqual(['after the cut']);
});

test('the queues can be prepared again, and opening without them says so', async () => {
  await Promise.all([prepareJobs(new Secret(database.url)), prepareJobs(new Secret(database.url))]);
  const jobs = await open(false);
  expect((await countJobs(jobs)).map(({ queue }) => queue).sort()).toEqual([
    'logout',
    'logout_dead',
    'mail',
    'mail_dead',
  ]);
  const empty = await createTestDatabase({ migrated: false });
  await expect(openJobs({ database_url: new Secret(empty.url) })).rejects.toThrow();
  await empty.drop();
});

test('of two nodes one runs a duty, and the next may when it is done', async () => {
  const other = openDatabase(database.url, { max: 2 });
  const gate = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  const first = runAlone(db, 'seal', () => {
    started.resolve();
    return gate.promise;
  });
  await started.promise;
  expect(await runAlone(other, 'seal', async () => undefined)).toBe(false);
  expect(await runAlone(other, 'sweep', async () => undefined)).toBe(true);
  gate.resolve();
  expect(await first).toBe(true);
  expect(await runAlone(other, 'seal', async () => undefined)).toBe(true);
  await other.destroy();
});

test('a duty that throws is logged and runs again; stopping waits for the one in work', async () => {
  let runs = 0;
  const duty = runPeriodically(
    db,
    'fails',
    0.01,
    async () => {
      runs += 1;
      throw new Error('broken');
    },
    log,
  );
  await until(() => runs >= 3);
  await duty.stop();
  expect(errors).toContainEqual(expect.objectContaining({ duty: 'fails' }));
  const ended = runs;
  const gate = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  let is_done = false;
  const slow = runPeriodically(
    db,
    'slow',
    far,
    async () => {
      begun.resolve();
      await gate.promise;
      is_done = true;
    },
    log,
  );
  await begun.promise;
  const stopped = slow.stop();
  gate.resolve();
  await stopped;
  expect(is_done).toBe(true);
  expect(runs).toBe(ended);
});

test('stopping waits for the job in work, which is done then and not tried again', async () => {
  sender = await open(false);
  const gate = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const worker = await openIdleWorker([], () => {
    begun.resolve();
    return gate.promise;
  });
  const id = await send('slow');
  await begun.promise;
  const stopped = worker.stop();
  gate.resolve();
  await stopped;
  const [job] = await sender.boss.findJobs('logout', { id });
  expect(job?.state).toBe('completed');
});

test('a job that takes longer than a stop waits is handed back, and another worker does it', async () => {
  sender = await open(false);
  const begun = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const worker = await open(true);
  const hang = () => {
    begun.resolve();
    return gate.promise;
  };
  const running = await work(worker, 'logout', hang, { concurrency: 1, patience_ms: 20 });
  await send('slow', { retry_delay: 0, retry_backoff: false });
  await begun.promise;
  await running.stop();
  await worker.stop(1000);
  const ran: string[] = [];
  await openIdleWorker(ran);
  await until(() => ran.length > 0);
  gate.resolve();
  expect(ran).toEqual(['slow']);
});
