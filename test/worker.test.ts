/** The worker: every duty at once and again, on one node at a time; the queue; and an end that waits. */

import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { endEverything } from '../src/accounts/account.ts';
import { saveClient } from '../src/clients/client.ts';
import { inTransaction } from '../src/database.ts';
import { enqueue, type Jobs, openJobs } from '../src/jobs.ts';
import { startWorker } from '../src/worker.ts';
import { newSignedInVisitor, startGapura, type TestGapura } from './support/gapura.ts';
import { closeListeners, findAccountId, type Listener, listSessions, startListener, until } from './support/nodes.ts';

let gapura: TestGapura;
let listener: Listener;
const errors: object[] = [];
const log = { error: (fields: object) => void errors.push(fields) };
const running: { stop(): Promise<void> }[] = [];

beforeAll(async () => {
  gapura = await startGapura({ private_hosts: ['127.0.0.1'] });
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.stop()));
  await closeListeners();
  errors.length = 0;
});

afterAll(() => gapura.stop());

/** A worker as the process of `work` has it, with its own connection to the queues. */
async function start(): Promise<{ jobs: Jobs; stop(): Promise<void> }> {
  const jobs = await openJobs(gapura.config, { works: true, log });
  const worker = await startWorker(gapura.db, jobs, gapura.gapura.engine, gapura.gapura.mail, log);
  let ended: Promise<void> | undefined;
  const stop = () => (ended ??= worker.stop().then(() => jobs.stop()));
  running.push({ stop });
  return { jobs, stop };
}

const count = async (table: string) => {
  const { rows } = await sql<{ n: number }>`SELECT count(*)::int AS n FROM ${sql.table(table)}`.execute(gapura.db);
  return rows[0]?.n ?? 0;
};

test('runs every duty as soon as it starts: sweeps, seals, purges', async () => {
  const { db } = gapura;
  await newSignedInVisitor(gapura.url, 'budi');
  await inTransaction(db, async (tx) => endEverything(tx, await findAccountId(gapura, 'budi'), { because: 'test' }));
  const past = sql`gapura_now() - interval '400 days'`;
  await sql`INSERT INTO oidc_records (id_hash, model, payload, expires_at) VALUES ('\\x01', 'AccessToken', '{}', ${past})`.execute(
    db,
  );
  await sql`INSERT INTO sign_ins (interaction_hash, client_id, expires_at) VALUES ('\\x01', 'portal', ${past})`.execute(
    db,
  );
  await sql`INSERT INTO limits (name, key_hash, count, free_at, expires_at) VALUES ('x', '\\x01', 1, ${past}, ${past})`.execute(
    db,
  );
  await sql`WITH old AS (INSERT INTO audit_events (kind, at) VALUES ('sign_in', ${past}) RETURNING id)
    INSERT INTO audit_personal (event_id, salt, address) SELECT id, 's', 'old' FROM old`.execute(db);
  await start();
  const left = async () => {
    const { rows } = await sql<{ n: number }>`SELECT (SELECT count(*) FROM oidc_records WHERE id_hash = '\\x01')
      + (SELECT count(*) FROM sign_ins WHERE interaction_hash = '\\x01') + (SELECT count(*) FROM limits WHERE name = 'x')
      + (SELECT count(*) FROM audit_personal WHERE address = 'old') AS n`.execute(db);
    return Number(rows[0]?.n);
  };
  await until(
    async () =>
      (await left()) === 0 && (await listSessions(gapura, 'budi')).length === 0 && (await count('audit_seals')) > 0,
  );
  expect(errors).toEqual([]);
});

test('sends what stands in the queue, and puts nothing on record as an error', async () => {
  listener = await startListener();
  await saveClient(gapura.gapura.clients, {
    id: 'pendengar',
    metadata: {
      redirect_uris: ['http://localhost:4999/'],
      backchannel_logout_uri: `http://127.0.0.1:${listener.port}/`,
    },
  });
  const { jobs } = await start();
  const payload = { client_id: 'pendengar', subject: 'seseorang', sid: 'satu' };
  await inTransaction(gapura.db, (tx) => enqueue(tx, jobs, 'logout', payload));
  await until(() => listener.heard.length > 0);
  expect(errors).toEqual([]);
});

test('drops a notice to a client that is gone or has no address, instead of trying for a day', async () => {
  const { jobs } = await start();
  const ids = await inTransaction(gapura.db, async (tx) => [
    await enqueue(tx, jobs, 'logout', { client_id: 'tidak-ada', subject: 's', sid: null }),
    await enqueue(tx, jobs, 'logout', { client_id: 'portal', subject: 's', sid: null }),
  ]);
  await until(async () => {
    const { rows } = await sql`SELECT FROM jobs.job WHERE id = ANY (${ids}::uuid[]) AND state = 'completed'`.execute(
      gapura.db,
    );
    return rows.length === ids.length;
  });
  expect(errors).toEqual([]);
});

test('tells of a duty that fails, and runs the others', async () => {
  await newSignedInVisitor(gapura.url, 'sari');
  await inTransaction(gapura.db, async (tx) =>
    endEverything(tx, await findAccountId(gapura, 'sari'), { because: 'test' }),
  );
  await sql`ALTER TABLE sign_ins RENAME TO sign_ins_away`.execute(gapura.db);
  try {
    await start();
    await until(() => errors.length > 0);
    await until(async () => (await listSessions(gapura, 'sari')).length === 0);
  } finally {
    await sql`ALTER TABLE sign_ins_away RENAME TO sign_ins`.execute(gapura.db);
  }
  expect(errors).toEqual([expect.objectContaining({ duty: 'purge sign-ins' })]);
});

test('waits at its end for the notice that is on its way', async () => {
  listener = await startListener();
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  listener.before = () => held;
  await saveClient(gapura.gapura.clients, {
    id: 'lambat',
    metadata: {
      redirect_uris: ['http://localhost:4999/'],
      backchannel_logout_uri: `http://127.0.0.1:${listener.port}/`,
    },
  });
  const { jobs, stop } = await start();
  const id = await inTransaction(gapura.db, (tx) =>
    enqueue(tx, jobs, 'logout', { client_id: 'lambat', subject: 's', sid: 'satu' }),
  );
  await until(() => listener.heard.length > 0);
  let is_over = false;
  const ended = stop().then(() => {
    is_over = true;
  });
  // Long enough for an end that does not wait: the queue itself answers.
  await jobs.boss.getQueues();
  expect(is_over).toBe(false);
  release();
  await ended;
  const { rows } = await sql`SELECT state FROM jobs.job WHERE id = ${id}`.execute(gapura.db);
  expect(rows).toEqual([{ state: 'completed' }]);
});
