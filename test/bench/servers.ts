/** What is measured, started: a PostgreSQL that keeps what it acknowledges, Gapura over it, and the bare engine beside it. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sql } from 'kysely';
import { Pool } from 'undici';
import { seed } from '../../db/seed.ts';
import { createAccount } from '../../src/accounts/account.ts';
import { openClients, saveClient } from '../../src/clients/client.ts';
import { addClientSecret } from '../../src/clients/secrets.ts';
import { readConfig } from '../../src/config.ts';
import { type Database, migrate, openDatabase } from '../../src/database.ts';
import { findFreePort, startPostgres } from '../../src/demo/postgres.ts';
import { prepareJobs } from '../../src/jobs.ts';
import { addPerson, saveOrganisation } from '../../src/organisations/organisation.ts';
import { grantRole } from '../../src/permissions.ts';
import { openRootSecrets } from '../../src/root-secrets.ts';
import type { Question, Usage } from './answers.ts';

/** A process under measurement, and a connection pool to it. */
export interface Measured {
  origin: string;
  pool: Pool;
  ask<T = undefined>(question: Question): Promise<T>;
  usage(): Promise<Usage>;
}

/** Everything that one run needs; `stop` leaves nothing behind. */
export interface Bench {
  gapura: Measured;
  engine: Measured;
  client: { client_id: string; client_secret: string; redirect_uri: string };
  people: string[];
  password: string;
  /** A stored hash of `password`, so that the floor hashes with the same parameters. */
  hash: string;
  /** The version of the database. */
  database: string;
  stop(): Promise<void>;
}

const password = 'Pintu-Terbuka-2026!';
const secret = 'bench-secret-of-thirty-two-characters-or-more';
const client = {
  client_id: 'bench',
  client_secret: 'secret-of-bench-which-is-long-enough',
  redirect_uri: 'http://bench.localhost:4999/callback',
};
const metadata = {
  client_name: 'Aplikasi Ukur',
  redirect_uris: [client.redirect_uri],
  grant_types: ['authorization_code'],
  response_types: ['code'],
  token_endpoint_auth_method: 'client_secret_basic',
  id_token_signed_response_alg: 'ES256',
};

/** Starts all of it with `count` people, each of a company and with a role. */
export async function startBench(count: number): Promise<Bench> {
  // A run that was killed is cleaned up by the next `npm test`, which knows this prefix.
  const folder = await mkdtemp(join(tmpdir(), `gapura-test-${process.pid}-`));
  const undo: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  const undoAll = async () => {
    for (const step of undo.reverse()) await step();
  };
  let stopped: Promise<void> | undefined;
  // Whoever asks a second time waits for the first.
  const stop = () => {
    stopped ??= undoAll();
    return stopped;
  };
  try {
    await chmod(folder, 0o755);
    const postgres = await startPostgres({ folder, user: 'gapura', password: 'gapura', databases: ['gapura'] });
    undo.push(() => postgres.stop());
    const port = await findFreePort();
    const env = {
      NODE_ENV: 'production',
      GAPURA_URL: `http://127.0.0.1:${port}`,
      GAPURA_LISTEN_PORT: String(port),
      // Each visitor comes from an address of its own, as behind a real proxy.
      GAPURA_TRUSTED_PROXIES: '127.0.0.1/32',
      DATABASE_URL: postgres.url('gapura'),
      GAPURA_SECRETS: secret,
      GAPURA_SMTP_URL: 'smtp://127.0.0.1:1',
      GAPURA_MAIL_FROM: 'Gapura <noreply@gapura.example>',
    };
    const db = openDatabase(env.DATABASE_URL, { max: 4, application_name: 'bench' });
    undo.push(() => db.destroy());
    const people = Array.from({ length: count }, (_, at) => `orang${at}`);
    const filled = await fill(db, env, people);
    const log = join(folder, 'server.log');
    const start = async (file: string, at: number, options: { env: Record<string, string>; argv?: string[] }) => {
      const started = await startProcess(file, at, { ...options, log });
      undo.push(started.end);
      return started.measured;
    };
    const gapura = await start('gapura-process.ts', port, { env });
    const engine_port = await findFreePort();
    const { redirect_uri: _, ...of_client } = client;
    const engine = await start('engine-process.ts', engine_port, {
      env: { NODE_ENV: 'production' },
      argv: [String(engine_port), JSON.stringify({ ...of_client, ...metadata }), JSON.stringify(claims)],
    });
    return { gapura, engine, client, people, password, ...filled, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const organisation = {
  name: 'PT Contoh Ukur',
  npwp: '00.000.101.6-000.000',
  nib: '0000000000101',
  address: 'Jalan Contoh Raya Nomor 1',
  city: 'Jakarta Pusat',
};

/** What the bare engine tells of a person: the same fields, from memory. */
const claims = {
  name: 'Orang Contoh',
  preferred_username: 'orang',
  locale: 'id',
  zoneinfo: 'Asia/Jakarta',
  updated_at: 1_700_000_000,
  mobile_number: '+6281200000101',
  email: 'orang@contoh.example',
  email_verified: true,
  phone_number: '+6281200000101',
  phone_number_verified: true,
  address: { formatted: 'Jalan Melati Contoh Nomor 5', country: 'ID' },
  organization: { ...organisation, id: '00000000-0000-0000-0000-000000000000', active: true },
  role: [{ name: 'trader', level: 1 }],
};

async function fill(db: Database, env: Record<string, string>, people: string[]) {
  await migrate(db);
  const config = await openRootSecrets(db, readConfig(env));
  await prepareJobs(config.database_url);
  await seed(db, config);
  const { id } = await saveOrganisation(db, organisation);
  for (const [at, username] of people.entries()) {
    const account = await createAccount(db, {
      username,
      password,
      full_name: claims.name,
      email: `${username}@contoh.example`,
      email_verified: true,
      mobile_number: `+62812${String(at).padStart(8, '0')}`,
      mobile_number_verified: true,
      address: 'Jalan Melati Contoh Nomor 5',
    });
    await addPerson(db, account.id, id);
    await grantRole(db, account.id, 'trader', { organisation_id: id });
  }
  const store = openClients(db, config);
  await saveClient(store, { id: client.client_id, first_party: true, metadata });
  await addClientSecret(store, client.client_id, client.client_secret);
  const { hash } = await db.selectFrom('passwords').select('hash').executeTakeFirstOrThrow();
  return { hash, database: await readDurability(db) };
}

/** The version of the database, once it is sure that what it acknowledges is on the disk. */
async function readDurability(db: Database): Promise<string> {
  const { rows } = await sql<{ version: string; durable: boolean }>`
    SELECT current_setting('server_version') AS version, current_setting('fsync')::boolean
      AND current_setting('full_page_writes')::boolean AND current_setting('synchronous_commit') = 'on' AS durable`.execute(
    db,
  );
  if (!rows[0]?.durable) throw new Error('the database acknowledges what it has not written: no figure would count');
  return rows[0].version;
}

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

interface ProcessOptions {
  env: Record<string, string>;
  argv?: string[];
  /** The file that takes its log lines, for a terminal or a pipe to the driver would cost what they cost. */
  log: string;
}

async function startProcess(file: string, port: number, { env, argv = [], log }: ProcessOptions) {
  const out = openSync(log, 'a');
  const child = spawn(process.execPath, [fileURLToPath(new URL(file, import.meta.url)), ...argv], {
    env,
    stdio: ['ignore', out, out, 'ipc'],
  });
  closeSync(out);
  running.add(child);
  const gone = once(child, 'exit').then(() => running.delete(child));
  const hear = async () => {
    const heard = await Promise.race([once(child, 'message'), gone.then(() => undefined)]);
    if (!heard) throw new Error(`${file} ended:\n${readFileSync(log, 'utf8').slice(-2000)}`);
    const [message] = heard as [{ answer?: unknown; error?: string }];
    if (message.error) throw new Error(`${file}: ${message.error}`);
    return message.answer;
  };
  const ask = async <T>(question: Question): Promise<T> => {
    const answer = hear();
    child.send(question);
    return (await answer) as T;
  };
  await hear();
  const origin = `http://127.0.0.1:${port}`;
  const pool = new Pool(origin, { connections: 64, pipelining: 1 });
  const measured: Measured = { origin, pool, ask, usage: () => ask<Usage>({ ask: 'usage' }) };
  const end = async () => {
    await pool.destroy();
    child.kill('SIGKILL');
    await gone;
  };
  return { measured, end };
}
