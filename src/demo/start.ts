/** `npm start`: an embedded PostgreSQL, Gapura with its worker, the agencies' applications and the inbox, in one process. */

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { pino } from 'pino';
import { seed } from '../../db/seed.ts';
import { type Config, readConfig, readDemoConfig } from '../config.ts';
import { randomToken } from '../crypto.ts';
import { migrate, openDatabase } from '../database.ts';
import { describeError } from '../http/errors.ts';
import { listen, stopListening } from '../http/listen.ts';
import { prepareJobs } from '../jobs.ts';
import { type Gapura, openGapura } from '../server.ts';
import { startWorker } from '../worker.ts';
import { startCargoLink } from './cargolink.ts';
import { startEBpom } from './e-bpom.ts';
import { startInbox } from './inbox.ts';
import {
  cargolink_password,
  demo_password,
  e_bpom_password,
  people,
  seedApplications,
  seedClients,
  seedPeople,
} from './people.ts';
import { startPortalInsw } from './portal-insw.ts';
import { startPostgres } from './postgres.ts';

const host = '127.0.0.1';

/** Where everything of the demonstration is. */
interface Addresses {
  gapura: string;
  e_bpom: string;
  cargolink: string;
  portal_insw: string;
  inbox: string;
}

/** What the demonstration makes up once and keeps, so that sessions and data outlive a restart. */
interface Kept {
  secret: string;
  postgres_password: string;
  client_secrets: Record<string, string>;
}

type Stop = () => Promise<unknown>;

/**
 * Starts everything and prints where it is. `stop` ends all of it, the last started first.
 * @throws what names a taken port, an unwritable folder or a database that does not answer; nothing is left running then
 */
export async function startDemo(): Promise<{ addresses: Addresses; stop(): Promise<void> }> {
  const { port, smtp_port, data_folder, database_url } = readDemoConfig();
  const folder = resolve(data_folder);
  const kept = await readKept(folder);
  const at = (offset: number) => `http://localhost:${port + offset}`;
  const addresses = { gapura: at(0), e_bpom: at(1), cargolink: at(2), portal_insw: at(3), inbox: at(4) };
  for (const wanted of [port, port + 1, port + 2, port + 3, port + 4, smtp_port]) await mustBeFree(wanted);

  const stops: Stop[] = [];
  const stop = async () => {
    for (const stopOne of stops.reverse()) await stopOne();
  };
  try {
    const databases = await openDatabases(folder, kept, database_url?.reveal(), stops);
    const config = demoConfig(addresses, port, smtp_port, kept, databases.gapura);
    await prepare(config, addresses, kept, stops, databases.demo, smtp_port);
  } catch (error) {
    await stop();
    throw error;
  }
  process.stdout.write(describe(addresses));
  return { addresses, stop };
}

async function readKept(folder: string): Promise<Kept> {
  const file = join(folder, 'secrets.json');
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Kept;
  } catch (error) {
    if ((error as { code?: string }).code !== 'ENOENT') throw unwritable(folder, error);
  }
  const kept: Kept = {
    secret: `demo-${randomToken()}`,
    postgres_password: randomToken(),
    client_secrets: { 'e-bpom': randomToken(), 'portal-insw': randomToken() },
  };
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(file, `${JSON.stringify(kept, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    throw unwritable(folder, error);
  }
  return kept;
}

function unwritable(folder: string, cause: unknown): Error {
  const error = new Error(
    `The folder ${folder} cannot be written. Give this user the right to, or name another in GAPURA_DEMO_DATA.`,
    { cause },
  );
  return Object.assign(error, { code: 'UNWRITABLE' });
}

/** Asked before anything starts, so that a taken port is one sentence and not a half-started system. */
async function mustBeFree(port: number): Promise<void> {
  await new Promise<void>((free, taken) => {
    const probe = createServer().once('error', taken);
    probe.listen(port, host, () => probe.close(() => free()));
  });
}

async function openDatabases(
  folder: string,
  kept: Kept,
  given: string | undefined,
  stops: Stop[],
): Promise<{ gapura: string; demo: string }> {
  if (given) return { gapura: given, demo: given };
  const postgres = await startPostgres({
    folder: join(folder, 'postgres'),
    user: 'gapura',
    password: kept.postgres_password,
    databases: ['gapura', 'demo'],
  });
  stops.push(() => postgres.stop());
  return { gapura: postgres.url('gapura'), demo: postgres.url('demo') };
}

function demoConfig(addresses: Addresses, port: number, smtp_port: number, kept: Kept, database_url: string): Config {
  return readConfig({
    GAPURA_PRODUCTION: 'false',
    GAPURA_URL: addresses.gapura,
    GAPURA_LISTEN_HOST: host,
    GAPURA_LISTEN_PORT: String(port),
    DATABASE_URL: database_url,
    GAPURA_SECRETS: kept.secret,
    GAPURA_SMTP_URL: `smtp://${host}:${smtp_port}`,
    GAPURA_MAIL_FROM: 'Gapura <noreply@gapura.example>',
    GAPURA_LOG_LEVEL: 'error',
    // Its applications live on this machine; calls to anything else on it stay refused.
    GAPURA_PRIVATE_HOSTS: [addresses.e_bpom, addresses.cargolink, addresses.portal_insw]
      .map((url) => new URL(url).host)
      .join(','),
  });
}

/** Brings the database up to date, loads the demonstration, and starts every part. */
async function prepare(
  config: Config,
  addresses: Addresses,
  kept: Kept,
  stops: Stop[],
  demo_database: string,
  smtp_port: number,
): Promise<void> {
  const db = openDatabase(config.database_url.reveal(), { max: 4 });
  try {
    await migrate(db);
    await prepareJobs(config.database_url);
    await seed(db, config);
    await seedPeople(db);
  } finally {
    await db.destroy();
  }
  const gapura = await startGapura(config, stops);
  const { Client } = gapura.engine.provider;
  const validate = (metadata: Record<string, unknown>) =>
    Client.validate(metadata as Parameters<typeof Client.validate>[0]);
  await seedClients(gapura.clients, addresses, (id) => kept.client_secrets[id] as string, validate);
  await seedApplications(gapura.db, addresses);
  await startApplications(config, addresses, kept, stops, demo_database, smtp_port);
}

async function startGapura(config: Config, stops: Stop[]): Promise<Gapura> {
  const log = pino({ level: config.log_level, base: null, serializers: { err: describeError } });
  const gapura = await openGapura(config, log, { works: true });
  stops.push(() => gapura.close());
  const server = await listen(gapura.app, config.listen_host, config.listen_port);
  const worker = await startWorker(gapura.db, gapura.jobs, gapura.engine, gapura.mail, log);
  stops.push(() => worker.stop());
  stops.push(() => stopListening(server));
  return gapura;
}

async function startApplications(
  config: Config,
  addresses: Addresses,
  kept: Kept,
  stops: Stop[],
  database_url: string,
  smtp_port: number,
): Promise<void> {
  const site = (url: string) => ({ url, port: Number(new URL(url).port), database_url });
  const party = (url: string, client_id: string) => ({
    ...site(url),
    client_id,
    client_secret: kept.client_secrets[client_id] as string,
    issuer: config.issuer,
    gapura_url: config.url,
  });
  const e_bpom = await startEBpom({ ...party(addresses.e_bpom, 'e-bpom'), own_password: e_bpom_password });
  stops.push(() => e_bpom.close());
  const cargolink = await startCargoLink({ ...site(addresses.cargolink), own_password: cargolink_password });
  stops.push(() => cargolink.close());
  const portal_insw = await startPortalInsw(party(addresses.portal_insw, 'portal-insw'));
  stops.push(() => portal_insw.close());
  const registered = people.map(({ nik, full_name, mother_name, mobile_number, email, username }) => {
    return { nik, full_name, mother_name, mobile_number, email, identifier: username };
  });
  const inbox = await startInbox({ ...site(addresses.inbox), smtp_port, gapura_url: config.url, people: registered });
  stops.push(() => inbox.close());
}

function describe({ gapura, e_bpom, cargolink, portal_insw, inbox }: Addresses): string {
  const rows = [
    ['Gapura', gapura, `portal ${gapura}/portal`],
    ['e-BPOM', e_bpom, 'begin here: sign in as budi, choose a directorate'],
    ['Portal INSW', portal_insw, 'then open this: in at once, no second sign-in'],
    ['CargoLink', cargolink, `an old application: cargo_budi / ${cargolink_password}`],
    ['Inbox, registry', inbox, 'mail that Gapura sends, the invented people'],
  ];
  const names = people.map((person) => person.username).join(', ');
  const lines = rows.map(([name = '', url = '', what]) => `  ${name.padEnd(16)}${url.padEnd(24)}${what}`);
  return `
${lines.join('\n')}

  Sign in as      ${names}
  Password        ${demo_password}

  At e-BPOM       user_bpom, user_bpom_ot (to link in the portal), password ${e_bpom_password}

  Ctrl-C stops everything; the data stays.

`;
}
