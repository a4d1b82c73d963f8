/** Gapura in the test's own process, over a database of its own, with the demonstration's people and clients of the test's making. */

import { pino } from 'pino';
import { seed } from '../../db/seed.ts';
import { type ClientRegistration, openClients, saveClient } from '../../src/clients/client.ts';
import { addClientSecret } from '../../src/clients/secrets.ts';
import { type Config, readConfig } from '../../src/config.ts';
import type { Database } from '../../src/database.ts';
import { demo_password, seedPeople } from '../../src/demo/people.ts';
import { findFreePort } from '../../src/demo/postgres.ts';
import { listen, stopListening } from '../../src/http/listen.ts';
import type { Verifiers } from '../../src/links/link.ts';
import { loadSigningKeys } from '../../src/oidc/keys/signing-keys.ts';
import { type Gapura, openGapura } from '../../src/server.ts';
import { startWorker } from '../../src/worker.ts';
import { type Answer, type HttpVisitor, newHttpVisitor } from './http.ts';
import { createTestDatabase, filledTemplate } from './postgres.ts';
import { type Server, startServer, test_mail, test_secret } from './server.ts';

export { demo_password };

export interface TestGapura {
  url: string;
  config: Config;
  database_url: string;
  db: Database;
  gapura: Gapura;
  /** The lines of its log, as objects. */
  log: Record<string, unknown>[];
  stop(): Promise<void>;
}

export interface TestGapuraOptions {
  /** Also run the duties and the queues. */
  works?: boolean;
  /** Hosts on this machine that it may call. */
  private_hosts?: string[];
  /** The ways to prove links, where others than Gapura's own. */
  verifiers?: Verifiers;
  /** Settings by the names of config/example.env. */
  env?: Record<string, string>;
}

/** What every installation has and the demonstration's people, with keys that sign: made once in a run, not once in a file. */
const peopled = filledTemplate('gapura_peopled', async (db) => {
  const config = readTestConfig('postgres://gapura@localhost/gapura_peopled', 3000);
  await seed(db, config);
  await seedPeople(db);
  await loadSigningKeys(db, config);
});

function readTestConfig(database_url: string, port: number, { env, private_hosts = [] }: TestGapuraOptions = {}) {
  return readConfig({
    GAPURA_PRODUCTION: 'false',
    GAPURA_URL: `http://localhost:${port}`,
    GAPURA_LISTEN_PORT: String(port),
    DATABASE_URL: database_url,
    GAPURA_SECRETS: test_secret,
    ...test_mail,
    ...env,
    GAPURA_PRIVATE_HOSTS: private_hosts.join(','),
  });
}

/** A database with the reference data and the demonstration's people; `stop` removes it. */
async function openPeopled(port: number, options: TestGapuraOptions) {
  const database = await createTestDatabase({ template: peopled });
  const config = readTestConfig(database.url, port, options);
  await seed(database.db, config);
  return { database, config };
}

/** Starts Gapura on a free port. */
export async function startGapura(options: TestGapuraOptions = {}): Promise<TestGapura> {
  const { database, config } = await openPeopled(await findFreePort(), options);
  const log: Record<string, unknown>[] = [];
  const logger = pino({ level: 'info', base: null }, { write: (line: string) => log.push(JSON.parse(line)) });
  const gapura = await openGapura(config, logger, {
    works: options.works ?? false,
    ...(options.verifiers ? { verifiers: options.verifiers } : {}),
  });
  const server = await listen(gapura.app, '127.0.0.1', config.listen_port);
  const worker = options.works
    ? await startWorker(gapura.db, gapura.jobs, gapura.engine, gapura.mail, logger)
    : undefined;
  return {
    url: config.url,
    config,
    database_url: database.url,
    db: database.db,
    gapura,
    log,
    async stop() {
      server.closeAllConnections();
      await stopListening(server);
      await worker?.stop();
      await gapura.close();
      await database.drop();
    },
  };
}

export interface TestNodes {
  /** The address that both answer for; the first listens on its port. */
  url: string;
  /** Where each can be reached; send the Host of `url`. */
  nodes: [Server, Server];
  config: Config;
  db: Database;
  /** Ends one as a crash would (SIGKILL) and starts it again where it was. */
  restart(at: 0 | 1): Promise<void>;
  /** One more process, for the duties and the queues; end it before the nodes. */
  startWork(): Promise<Server>;
  stop(): Promise<void>;
}

/** Two real server processes over one database, under one address. */
export async function startNodes(options: TestGapuraOptions = {}): Promise<TestNodes> {
  const port = await findFreePort();
  const { database, config } = await openPeopled(port, options);
  const env = { GAPURA_URL: config.url, GAPURA_PRIVATE_HOSTS: config.private_hosts.join(','), ...options.env };
  const start = (settings: { port?: number; command?: string[] }) =>
    startServer({ database_url: database.url, env, ...settings });
  const nodes: [Server, Server] = [await start({ port }), await start({})];
  return {
    url: config.url,
    nodes,
    config,
    db: database.db,
    async restart(at) {
      await nodes[at].kill();
      nodes[at] = await start({ port: nodes[at].port });
    },
    startWork: () => start({ command: ['work'] }),
    async stop() {
      await Promise.all(nodes.map((node) => node.stop()));
      await database.drop();
    },
  };
}

/** Registers a client as the console will; the redirect address need not answer. */
export async function registerClient(
  { db, config }: Pick<TestGapura, 'db' | 'config'>,
  id: string,
  registration: Partial<ClientRegistration> & { secret?: string } = {},
): Promise<{ client_id: string; client_secret: string; redirect_uri: string }> {
  const store = openClients(db, config);
  const redirect_uri = `http://${id}.localhost:4999/callback`;
  const { secret = `secret-of-${id}-which-is-long-enough`, metadata, ...rest } = registration;
  await saveClient(store, {
    id,
    first_party: true,
    ...rest,
    metadata: {
      client_name: `Aplikasi ${id}`,
      client_uri: `http://${id}.localhost:4999/`,
      redirect_uris: [redirect_uri],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'client_secret_basic',
      ...metadata,
    },
  });
  await addClientSecret(store, id, secret);
  return { client_id: id, client_secret: secret, redirect_uri };
}

/** Signs in on a sign-in page that is open, and gives the page (or the first foreign redirect) it ends on. */
export async function signIn(
  visitor: HttpVisitor,
  page: Answer,
  identifier: string,
  password = demo_password,
): Promise<Answer> {
  return visitor.submit(page, { identifier, password });
}

/** A visitor who is signed in at the portal. */
export async function newSignedInVisitor(url: string, identifier: string): Promise<HttpVisitor> {
  const visitor = newHttpVisitor(url);
  const home = await signIn(visitor, await visitor.get('/portal'), identifier);
  if (home.url.pathname !== '/portal' || home.status !== 200)
    throw new Error(`${identifier} is not signed in: ${home.status} ${home.url}`);
  return visitor;
}
