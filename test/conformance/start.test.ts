/** `npm run conformance` as anyone would run it: it starts, its metadata passes, and what it prints is true. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { importJWK, type JWK, SignJWT } from 'jose';
import { findFreePort } from '../../src/demo/postgres.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { fetchDiscovery, fetchOverTls, findDiscoveryFaults } from './discovery.ts';

interface PrintedClient {
  client_id: string;
  client_secret: string;
  initial_access_token: string;
  jwks: { keys: JWK[] };
}

/** What both documents have of what is looked at here. */
interface Printed {
  alias: string;
  server: { discoveryUrl: string };
  client: PrintedClient;
  client2: PrintedClient;
  client_secret_post: PrintedClient;
  browser: { match: string }[];
}

let database: TestDatabase;
let folder: string;
let child: ChildProcess;
let url: string;
let ca: string;
let oidc: Printed;
let fapi2: Printed;
const callback = 'https://localhost.emobix.co.uk:8443/test/a/gapura/callback';

beforeAll(async () => {
  database = await createTestDatabase();
  folder = await mkdtemp(join(tmpdir(), 'gapura-conformance-'));
  const port = await findFreePort();
  url = `https://localhost:${port}`;
  const output = await start({ GAPURA_URL: url, DATABASE_URL: database.url, CONFORMANCE_DATA: folder });
  oidc = readPrinted(output, 'OpenID Connect plans');
  fapi2 = readPrinted(output, 'FAPI 2.0 Security Profile plan');
  ca = await readCertificate(port);
});

afterAll(async () => {
  if (child?.exitCode === null) {
    child.kill('SIGTERM');
    await once(child, 'close');
  }
  await database?.drop();
  await rm(folder, { recursive: true, force: true });
});

/** Starts the command and gives what it printed once it is up. */
async function start(env: Record<string, string>): Promise<string> {
  const script = fileURLToPath(new URL('start.ts', import.meta.url));
  child = spawn(process.execPath, [script], { env: { PATH: process.env.PATH ?? '', ...env } });
  let [output, problems] = ['', ''];
  child.stderr?.on('data', (chunk) => {
    problems += chunk;
  });
  await new Promise<void>((resolve, reject) => {
    child.stdout?.on('data', (chunk) => {
      output += chunk;
      if (output.includes('Ctrl-C')) resolve();
    });
    child.once('close', () => reject(new Error(`it ended:\n${problems}`)));
  });
  return output;
}

function readPrinted(output: string, title: string): Printed {
  const text = output.slice(output.indexOf(`${title}:`));
  return JSON.parse(/\n(\{\n[\s\S]*?\n\})\n/.exec(text)?.[1] ?? '') as Printed;
}

/** What the server shows of itself, so that from here on nothing else is trusted. */
function readCertificate(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', rejectUnauthorized: false }, () => {
      const { raw } = socket.getPeerCertificate();
      socket.end();
      resolve(`-----BEGIN CERTIFICATE-----\n${raw.toString('base64')}\n-----END CERTIFICATE-----\n`);
    });
    socket.once('error', reject);
  });
}

const post = (path: string, form: Record<string, string>, headers: Record<string, string> = {}) =>
  fetchOverTls(`${url}/connect${path}`, ca, {
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    body: new URLSearchParams(form).toString(),
  });

test('its metadata passes the checks of the plan Config over https', async () => {
  const fetched = await fetchDiscovery(`${url}/connect`, ca);
  expect(fetched.address).toBe(oidc.server.discoveryUrl);
  expect(findDiscoveryFaults(fetched)).toEqual([]);
});

test('it is production: no plain cookie, https alone, and nothing of the demonstration', async () => {
  const { headers } = await fetchOverTls(`${url}/portal`, ca);
  expect(headers['strict-transport-security']).toBeTruthy();
  const cookies = headers['set-cookie'] ?? [];
  expect(cookies.filter((cookie) => !/; secure/i.test(cookie) || !/^(__Host-|__Secure-)/.test(cookie))).toEqual([]);
  expect((await fetchOverTls(`${url}/metrics`, ca)).status).toBe(404);
});

test('it speaks no TLS that FAPI 2.0 leaves out', async () => {
  const { port } = new URL(url);
  const shake = (options: ConnectionOptions) =>
    new Promise<string>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port: Number(port), servername: 'localhost', ca, ...options }, () => {
        resolve(socket.getCipher().standardName);
        socket.end();
      });
      socket.once('error', (error: NodeJS.ErrnoException) => resolve(`refused: ${error.code}`));
    });
  expect(await shake({})).toBe('TLS_AES_128_GCM_SHA256');
  expect(await shake({ maxVersion: 'TLSv1.2' })).toMatch(/^TLS_ECDHE_ECDSA_WITH_AES_\d+_GCM_SHA\d+$/);
  expect(await shake({ maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES256-SHA384' })).toMatch(/^refused: /);
  expect(await shake({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' })).toMatch(/^refused: /);
});

test('the clients with secrets are let in by them, and begin without a challenge', async () => {
  const code = { grant_type: 'authorization_code', code: 'x', redirect_uri: callback };
  for (const { client_id, client_secret } of [oidc.client, oidc.client2]) {
    const authorization = `Basic ${Buffer.from(`${client_id}:${client_secret}`).toString('base64')}`;
    expect((await post('/token', code, { authorization })).document.error).toBe('invalid_grant');
  }
  const { client_id, client_secret } = oidc.client_secret_post;
  expect((await post('/token', { ...code, client_id, client_secret })).document.error).toBe('invalid_grant');
  expect((await post('/token', { ...code, client_id, client_secret: 'x' })).document.error).toBe('invalid_client');
  const query = new URLSearchParams({
    client_id: oidc.client.client_id,
    response_type: 'code',
    scope: 'openid',
    redirect_uri: callback,
  });
  const { status, headers } = await fetchOverTls(`${url}/connect/auth?${query}`, ca);
  expect([status, new URL(headers.location ?? '', url).pathname]).toEqual([
    303,
    expect.stringMatching(/^\/interaction\//),
  ]);
});

test('the clients with keys push their requests', async () => {
  for (const { client_id, jwks } of [fapi2.client, fapi2.client2]) {
    const [jwk] = jwks.keys as [JWK];
    const assertion = await new SignJWT({ iss: client_id, sub: client_id, jti: `uji-${client_id}` })
      .setProtectedHeader({ alg: 'ES256', kid: jwk.kid as string })
      .setAudience(`${url}/connect`)
      .setIssuedAt()
      .setExpirationTime('1 minute')
      .sign((await importJWK(jwk)) as CryptoKey);
    const { status, document } = await post('/par', {
      response_type: 'code',
      scope: 'openid',
      client_id,
      redirect_uri: `${callback}?dummy1=lorem&dummy2=ipsum`,
      code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
      code_challenge_method: 'S256',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion,
    });
    expect([status, document]).toEqual([201, { request_uri: expect.any(String), expires_in: expect.any(Number) }]);
  }
});

test('the token that it prints registers a client', async () => {
  const { status, document } = await fetchOverTls(`${url}/connect/register`, ca, {
    headers: { 'content-type': 'application/json', authorization: `Bearer ${oidc.client.initial_access_token}` },
    body: JSON.stringify({ client_name: 'Suite', redirect_uris: [callback] }),
  });
  expect([status, document.client_id]).toEqual([201, expect.stringMatching(/^dynamic-/)]);
});

test('the suite’s browser is told of every page that it meets', () => {
  expect(oidc.alias).toBe('gapura');
  expect(oidc.browser.map(({ match }) => match)).toEqual([`${url}/connect/auth*`, `${url}/connect/session/end*`]);
  expect(fapi2.browser).toEqual(oidc.browser);
});

test('Ctrl-C ends all of it, and what it made up is kept for the next start', async () => {
  child.kill('SIGINT');
  const [code] = await once(child, 'close');
  expect(code).toBe(0);
  await expect(fetchOverTls(`${url}/healthz`, ca)).rejects.toThrow();
  const kept = JSON.parse(await readFile(join(folder, 'secrets.json'), 'utf8'));
  expect(kept.client_secrets[oidc.client.client_id]).toBe(oidc.client.client_secret);
  expect(kept.client_keys[fapi2.client.client_id]).toEqual(fapi2.client.jwks.keys[0]);
});
