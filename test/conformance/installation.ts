/** An installation that the real certification suite can be pointed at: two servers and a worker behind https, its clients, its policies. */

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseEnv } from 'node:util';
import { exportJWK, generateKeyPair, type JWK } from 'jose';
import { seed } from '../../db/seed.ts';
import { openClients, saveClient } from '../../src/clients/client.ts';
import { type ClientInput, clientSchema, readRegistration } from '../../src/clients/metadata.ts';
import { presets } from '../../src/clients/presets.ts';
import { addClientSecret } from '../../src/clients/secrets.ts';
import { type Config, isLoopback, readConfig } from '../../src/config.ts';
import { randomToken, type Secret } from '../../src/crypto.ts';
import { type Database, inTransaction, migrate, openDatabase } from '../../src/database.ts';
import { demo_password, seedPeople } from '../../src/demo/people.ts';
import { startPostgres } from '../../src/demo/postgres.ts';
import { prepareJobs } from '../../src/jobs.ts';
import { issueInitialAccessToken } from '../../src/oidc/clients/initial-tokens.ts';
import { recordKey } from '../../src/oidc/records/store.ts';
import type { PolicyKey } from '../../src/policy/keys.ts';
import { setPolicy, whole_system } from '../../src/policy/store.ts';
import { openRootSecrets } from '../../src/root-secrets.ts';
import { makeCertificate } from '../support/certificate.ts';
import { startRoundRobin } from '../support/round-robin.ts';
import { startServer } from '../support/server.ts';

/** What is made up at the first start and kept, so that a plan goes on after the next one. */
interface Kept {
  secret: string;
  postgres_password: string;
  client_secrets: Record<string, string>;
  /** Whole keys, as the suite needs them. */
  client_keys: Record<string, JWK>;
}

/** What to paste into the suite's configuration. */
export interface SuiteConfiguration {
  oidc: object;
  fapi2: object;
}

export interface Installation {
  url: string;
  /** What its server proves itself by. */
  certificate: string;
  configuration: SuiteConfiguration;
  stop(): Promise<void>;
}

/** Shorter than an afternoon, so that nothing of one plan is left for the next. In this order no value stands in another's way. */
const set_policies: [PolicyKey, number | boolean][] = [
  ['clients.dynamic_registration', true],
  ['clients.dynamic_pkce', false],
  ['interaction.lifetime', 600],
  ['session.idle', 900],
  ['session.absolute', 3600],
  ['session.remembered_idle', 3600],
  ['session.remembered_absolute', 3600],
  ['grant.lifetime', 3600],
];

const secret_clients = ['suite-one', 'suite-two', 'suite-post'];
const key_clients = ['suite-fapi-one', 'suite-fapi-two'];

/** FAPI 2.0 Security Profile, section 5.2.2: for TLS 1.2 these alone. */
const ciphers = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
].join(':');

/** The variables of config/conformance.env, and over them those of `env` that are meant for Gapura. */
export async function readEnvironment(env: Record<string, string | undefined>): Promise<Record<string, string>> {
  const text = await readFile(new URL('../../config/conformance.env', import.meta.url), 'utf8');
  const own = Object.entries(env).filter(
    ([name, value]) => value && /^(GAPURA_|CONFORMANCE_|DATABASE_URL$|NODE_EXTRA_CA_CERTS$)/.test(name),
  );
  return { ...parseEnv(text), ...Object.fromEntries(own) } as Record<string, string>;
}

/**
 * Starts everything; nothing is left running when that fails.
 * @param env as `readEnvironment` gives it
 */
export async function startInstallation(env: Record<string, string>): Promise<Installation> {
  const kept = await readKept(resolve(env.CONFORMANCE_DATA ?? ''));
  const stops: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (const stopOne of stops.splice(0).reverse()) await stopOne();
  };
  try {
    const database_url = env.DATABASE_URL ?? (await openPostgres(env, kept, stops));
    const whole = { ...env, GAPURA_SECRETS: kept.secret, DATABASE_URL: database_url };
    const config = readConfig(whole);
    const suite = env.CONFORMANCE_SUITE ?? '';
    const token = await prepare(config, suite, kept);
    const common = { database_url, env: whole, movable: false };
    const run = async (command: string[]) => {
      const process = await startServer({ ...common, command });
      stops.push(() => process.stop());
      return process;
    };
    const nodes = [await run(['serve']), await run(['serve'])];
    await run(['work']);
    const { hostname, port } = new URL(config.url);
    // Under another name it is another machine that comes, or a container of this one.
    const host = isLoopback(hostname) ? '127.0.0.1' : '0.0.0.0';
    const tls = { ...makeCertificate({ common: hostname }), minVersion: 'TLSv1.2' as const, ciphers };
    const proxy = await startRoundRobin(nodes, { host, port: Number(port || 443), tls });
    stops.push(() => proxy.close());
    return { url: config.url, certificate: tls.cert, configuration: describeSuite(config, suite, kept, token), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function readKept(folder: string): Promise<Kept> {
  const file = join(folder, 'secrets.json');
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text !== undefined) return JSON.parse(text) as Kept;
  const kept: Kept = {
    secret: randomToken(),
    postgres_password: randomToken(),
    client_secrets: Object.fromEntries(secret_clients.map((id) => [id, randomToken()])),
    client_keys: {},
  };
  for (const id of key_clients) {
    const { privateKey } = await generateKeyPair('ES256', { extractable: true });
    kept.client_keys[id] = { ...(await exportJWK(privateKey)), kid: id, use: 'sig', alg: 'ES256' };
  }
  await mkdir(folder, { recursive: true });
  await writeFile(file, `${JSON.stringify(kept, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
  return kept;
}

async function openPostgres(
  env: Record<string, string>,
  kept: Kept,
  stops: (() => Promise<unknown>)[],
): Promise<string> {
  const postgres = await startPostgres({
    folder: join(resolve(env.CONFORMANCE_DATA ?? ''), 'postgres'),
    user: 'gapura',
    password: kept.postgres_password,
    databases: ['gapura'],
  });
  stops.push(() => postgres.stop());
  return postgres.url('gapura');
}

/** Brings the database up to date with people, clients and policies. @returns a token for clients that register themselves */
async function prepare(config: Config, suite: string, kept: Kept): Promise<string> {
  const db = openDatabase((config.database_url as Secret).reveal(), { max: 4 });
  try {
    await migrate(db);
    await prepareJobs(config.database_url);
    await seed(db, config);
    // Of them `budi` has a profile in which nothing is missing.
    await seedPeople(db);
    const installed = await openRootSecrets(db, config);
    const clients = openClients(db, installed);
    for (const input of describeClients(suite, kept)) {
      await saveClient(clients, readRegistration(clientSchema.parse(input)));
      const secret = kept.client_secrets[input.client_id];
      if (secret) await addClientSecret(clients, input.client_id, secret);
    }
    for (const [key, value] of set_policies) await choose(db, key, value);
    const month = { by: null, expires_in: 30 * 86_400, clients: 1000 };
    const { token } = await inTransaction(db, (tx) =>
      issueInitialAccessToken(tx, { id_key: recordKey(installed) }, month),
    );
    return token;
  } finally {
    await db.destroy();
  }
}

async function choose(db: Database, key: PolicyKey, value: number | boolean): Promise<void> {
  await inTransaction(db, async (tx) => {
    const row = await tx.selectFrom('policy_values').select('version').where('key', '=', key).executeTakeFirst();
    const change = { key, scope: whole_system, version: row?.version ?? 0, by: null, because: 'certification' };
    const outcome = await setPolicy(tx, { ...change, value });
    if (outcome.state !== 'done') throw new Error(`${key} was not set: ${JSON.stringify(outcome)}`);
  });
}

function describeClients(suite: string, kept: Kept): ClientInput[] {
  const common = {
    // The second is the address by which the suite tells its second client from the first.
    redirect_uris: [`${suite}/callback`, `${suite}/callback?dummy1=lorem&dummy2=ipsum`],
    grant_types: ['authorization_code', 'refresh_token'] as ClientInput['grant_types'],
    scope: ['openid', 'profile', 'email', 'address', 'phone', 'offline_access'] as ClientInput['scope'],
  };
  const by_secret = secret_clients.map(
    (client_id): ClientInput => ({
      ...common,
      client_id,
      client_name: `Suite ${client_id}`,
      token_endpoint_auth_method: client_id === 'suite-post' ? 'client_secret_post' : 'client_secret_basic',
      pkce_required: false,
      post_logout_redirect_uris: [`${suite}/post_logout_redirect`],
      backchannel_logout_uri: `${suite}/backchannel_logout`,
      backchannel_logout_session_required: true,
    }),
  );
  const by_key = key_clients.map((client_id): ClientInput => {
    const { d, ...jwk } = kept.client_keys[client_id] as JWK;
    return {
      ...presets.fapi2,
      ...common,
      client_id,
      client_name: `Suite ${client_id}`,
      jwks: { keys: [jwk as Record<string, unknown>] },
    };
  });
  return [...by_secret, ...by_key];
}

/** The suite's configuration: one document for the OpenID Connect plans, one for FAPI 2.0. */
function describeSuite(config: Config, suite: string, kept: Kept, token: string): SuiteConfiguration {
  const bySecret = (client_id: string) => ({ client_id, client_secret: kept.client_secrets[client_id] });
  const byKey = (client_id: string) => ({ client_id, scope: 'openid', jwks: { keys: [kept.client_keys[client_id]] } });
  const common = {
    alias: new URL(suite).pathname.split('/').pop(),
    server: { discoveryUrl: `${config.issuer}/.well-known/openid-configuration` },
    browser: describeBrowser(config, suite),
  };
  const [one = '', two = '', post = ''] = secret_clients;
  const [fapi_one = '', fapi_two = ''] = key_clients;
  return {
    oidc: {
      ...common,
      description: 'Gapura',
      client: { ...bySecret(one), client_name: 'Suite', initial_access_token: token },
      client2: { ...bySecret(two), client_name: 'Suite 2', initial_access_token: token },
      client_secret_post: bySecret(post),
    },
    fapi2: {
      ...common,
      description: 'Gapura, FAPI 2.0',
      client: byKey(fapi_one),
      client2: byKey(fapi_two),
      resource: { resourceUrl: `${config.issuer}/userinfo` },
    },
  };
}

/** What the suite's browser does on our pages: forms without scripts, by their ids. */
function describeBrowser({ url, issuer }: Config, suite: string): object[] {
  const callback = {
    task: 'Back at the suite',
    match: `${suite}/*`,
    optional: true,
    commands: [['wait', 'id', 'submission_complete', 10]],
  };
  // An answer by form_post goes on by itself, unless scripts are off.
  const forward = {
    task: 'Go on',
    match: `${issuer}/auth*`,
    optional: true,
    commands: [['click', 'xpath', "//form[@id='forward']//button", 'optional']],
  };
  const form = "//form[@id='login' or @id='consent' or @id='sign-out' or @id='forward']//button[1]";
  const answer = (task: string) => ({
    task,
    match: `${url}/interaction/*`,
    optional: true,
    commands: [
      ['text', 'id', 'identifier', 'budi', 'optional'],
      ['text', 'id', 'password', demo_password, 'optional'],
      ['click', 'xpath', form],
    ],
  });
  return [
    { match: `${issuer}/auth*`, tasks: [answer('Sign in'), answer('Allow'), forward, callback] },
    {
      match: `${issuer}/session/end*`,
      tasks: [
        { task: 'Sign out', match: `${issuer}/session/end*`, optional: true, commands: [['click', 'xpath', form]] },
        callback,
      ],
    },
  ];
}
