/** Everything of a fault run: two nodes behind a proxy, their database, a mail server, applications, and people with accounts. */

import { execFile } from 'node:child_process';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { seed } from '../../db/seed.ts';
import { createAccount } from '../../src/accounts/account.ts';
import { type Config, readConfig } from '../../src/config.ts';
import { type Database, inTransaction, migrate, openDatabase } from '../../src/database.ts';
import { seedCompanies } from '../../src/demo/companies.ts';
import { prepareJobs } from '../../src/jobs.ts';
import { addPerson } from '../../src/organisations/organisation.ts';
import { grantRole } from '../../src/permissions.ts';
import { setPolicy, whole_system } from '../../src/policy/store.ts';
import { saveProvenAddress } from '../../src/recovery/addresses.ts';
import { openRootSecrets } from '../../src/root-secrets.ts';
import { newHttpVisitor } from '../support/http.ts';
import { type Server, type ServerOptions, startServer, test_secret } from '../support/server.ts';
import { type Applications, openParties, registerApplications, startApplications } from './application.ts';
import type { Ground } from './asking.ts';
import { type DatabasePair, startDatabase } from './database.ts';
import { type Front, startFront } from './front.ts';
import { compareLedger, newPerson, type Person } from './ledger.ts';
import { type Mailbox, startMailbox } from './mailbox.ts';
import { findLastingPort } from './ports.ts';

export interface Installation {
  ground: Ground;
  people: Person[];
  front: Front;
  /** Those that run now; `restart` starts one anew where it was. */
  nodes: Server[];
  restart(at: 0 | 1, how?: Pick<ServerOptions, 'command' | 'movable'>): Promise<void>;
  /** Runs a command of `gapura` beside the nodes, to its end; its exit code must be 0. */
  command(...command: string[]): Promise<void>;
  database: DatabasePair;
  mailbox: Mailbox;
  applications: Applications;
  /** The differences between ledger and rows, once all that is on its way has arrived: looked for every second, so many times. */
  compare(patience?: { tries: number }): Promise<string[]>;
  close(): Promise<void>;
}

export interface InstallationOptions {
  /** Of the database; it is the caller's to remove. */
  folder: string;
  people: number;
  random(): number;
}

const entry = fileURLToPath(new URL('../../src/gapura.mjs', import.meta.url));
const password = 'Pintu-Terbuka-2026!';

/** Opens all of it. */
export async function openInstallation({ folder, people: count, random }: InstallationOptions): Promise<Installation> {
  const undo: (() => Promise<unknown>)[] = [];
  const close = async () => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    const [mailbox, applications] = await Promise.all([startMailbox(), startApplications()]);
    undo.push(mailbox.close, applications.close);
    const nodes: Server[] = [];
    const front = await startFront(nodes);
    undo.push(front.close);
    const url = `http://localhost:${front.port}`;
    const settings = {
      GAPURA_URL: url,
      GAPURA_SMTP_URL: `smtp://127.0.0.1:${mailbox.port}`,
      GAPURA_MAIL_FROM: 'Gapura <noreply@gapura.example>',
      GAPURA_PRODUCTION: 'true',
      // Behind a proxy a node that stops says so first, and the proxy turns away from it.
      GAPURA_TRUSTED_PROXIES: '127.0.0.1',
      // So few that a crowd can use them up.
      GAPURA_DATABASE_POOL: '4',
    };
    const configOf = (database_url: string) =>
      readConfig({ DATABASE_URL: database_url, GAPURA_SECRETS: test_secret, ...settings });

    const people: Person[] = [];
    let clients: Awaited<ReturnType<typeof registerApplications>> = [];
    const database = await startDatabase(folder, async (database_url) => {
      const config = configOf(database_url);
      const db = openDatabase(database_url, { max: 4 });
      try {
        await migrate(db);
        await prepareJobs(config.database_url);
        clients = await fill(db, config, applications.port);
        for (let at = 0; at < count; at++) people.push(await addToCrowd(db, url, `orang_${at}`));
      } finally {
        await db.destroy();
      }
    });
    undo.push(database.close);

    const start = (port: number, how: Pick<ServerOptions, 'command' | 'movable'> = {}) =>
      startServer({ database_url: database.url, env: settings, command: ['serve', '--work'], port, ...how });
    // Both at once on a new database: one of them makes its keys, the other waits for them.
    const ports = [await findLastingPort(), await findLastingPort()];
    nodes.push(...(await Promise.all(ports.map((port) => start(port)))));
    undo.push(() => Promise.all(nodes.map((node) => node.kill())));
    applications.issuer = `${url}/connect`;
    const parties = await openParties(applications.issuer, clients);

    return {
      ground: { url, parties, mailbox, random },
      people,
      front,
      nodes,
      async restart(at, how) {
        nodes[at] = await start(nodes[at]?.port ?? 0, how);
      },
      async command(...command) {
        const env = {
          DATABASE_URL: database.url,
          GAPURA_SECRETS: test_secret,
          ...settings,
        };
        await promisify(execFile)(process.execPath, [entry, ...command], { env });
      },
      database,
      mailbox,
      applications,
      compare: (patience) => compareAtRest(database.url, { people, applications, mailbox }, patience),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** What all of them need: a company with two directorates, the applications, and no picture to copy. */
async function fill(db: Database, config: Config, port: number) {
  await seed(db, config);
  const opened = await openRootSecrets(db, config);
  await seedCompanies(db);
  // So many tries from one address would be asked for a picture; that check has tests of its own.
  const change = { scope: whole_system, version: 0, by: null, because: 'faults' };
  const set = await inTransaction(db, (tx) => setPolicy(tx, { ...change, key: 'human_check.when', value: 'never' }));
  if (set.state !== 'done') throw new Error(`the policy was not set: ${JSON.stringify(set)}`);
  return registerApplications(db, opened, port);
}

async function addToCrowd(db: Database, url: string, username: string): Promise<Person> {
  const email = { email: `${username}@contoh.example`, email_verified: true };
  const { id } = await createAccount(db, { username, password, full_name: `Orang ${username}`, ...email });
  const mailbox = `${username}@surat.example`;
  await saveProvenAddress(db, id, mailbox);
  const company = await db
    .selectFrom('organisations')
    .select('id')
    .where('name', '=', 'PT Contoh Pangan Nusantara')
    .executeTakeFirstOrThrow();
  await addPerson(db, id, company.id);
  await grantRole(db, id, 'trader', { organisation_id: company.id });
  return newPerson({ username, account_id: id, mailbox, visitor: newHttpVisitor(url) }, password);
}

// A job whose worker died is taken up anew a minute or two later.
const at_rest = { tries: 180 };

async function compareAtRest(
  url: string,
  sources: Omit<Parameters<typeof compareLedger>[0], 'db'>,
  patience = at_rest,
): Promise<string[]> {
  const db = openDatabase(url, { max: 2, application_name: 'ledger' });
  try {
    for (let tries = 1; ; tries++) {
      const differences = await compareLedger({ db, ...sources });
      if (differences.length === 0 || tries >= patience.tries) return differences;
      await wait(1000);
    }
  } finally {
    await db.destroy();
  }
}
