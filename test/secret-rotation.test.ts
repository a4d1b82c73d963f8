/** GAPURA_SECRETS replaced node by node: nobody is signed out, nothing in flight is lost, nothing sealed stays shut. */

import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import * as oidc from 'openid-client';
import { createAccount } from '../src/accounts/account.ts';
import { inviteAccount, openInvitations } from '../src/accounts/invitation.ts';
import type { Config } from '../src/config.ts';
import { randomToken, Secret } from '../src/crypto.ts';
import { inTransaction } from '../src/database.ts';
import { openJobs } from '../src/jobs.ts';
import { run } from '../src/main.ts';
import { openRootSecrets } from '../src/root-secrets.ts';
import { registerClient, startNodes, type TestNodes } from './support/gapura.ts';
import { type HttpVisitor, newHttpVisitor } from './support/http.ts';
import { readSecret } from './support/mails.ts';
import {
  type App,
  askNode,
  codeForm,
  keepCookies,
  openApp,
  openAs,
  openTab,
  password,
  signedInAt,
} from './support/nodes.ts';
import { followTo } from './support/relying-party.ts';
import { startServer, test_mail, test_secret } from './support/server.ts';
import { storm } from './support/storm.ts';

let gapura: TestNodes;
const new_secret = 'another-secret-of-thirty-two-characters-or-more';

beforeAll(async () => {
  gapura = await startNodes();
});

afterAll(() => gapura.stop());

/** Starts one node again with other secrets. */
async function restart(at: 0 | 1, ...secrets: string[]): Promise<void> {
  const { port } = gapura.nodes[at];
  await gapura.nodes[at].kill();
  const env = { GAPURA_URL: gapura.url, GAPURA_SECRETS: secrets.join(',') };
  gapura.nodes[at] = await startServer({ database_url: gapura.config.database_url.reveal(), port, env });
}

/** A command of the terminal; gives its exit code and what it wrote. */
async function command(name: string, ...secrets: string[]): Promise<[number, string]> {
  let written = '';
  const keep = (text: unknown) => {
    written += String(text);
    return true;
  };
  jest.spyOn(process.stdout, 'write').mockImplementation(keep);
  jest.spyOn(process.stderr, 'write').mockImplementation(keep);
  const code = await run([name], {
    GAPURA_PRODUCTION: 'false',
    GAPURA_URL: gapura.url,
    DATABASE_URL: gapura.config.database_url.reveal(),
    ...test_mail,
    GAPURA_SECRETS: secrets.join(','),
  });
  jest.restoreAllMocks();
  return [code, written];
}

/** Opens an application at one node with a live session, and redeems the code at the other. */
async function openOnBoth(app: App, visitor: HttpVisitor): Promise<void> {
  for (const at of [0, 1]) {
    const { address, checks } = await app.begin();
    const authorized = await askNode(gapura, at, address, { visitor });
    keepCookies(visitor, [authorized]);
    expect(authorized.headers.location).toContain('code=');
    const form = codeForm(app, new URL(authorized.headers.location ?? ''), checks);
    const [redeemed] = await storm(1, () => app.ask(at + 1, form));
    expect(redeemed?.status).toBe(200);
  }
}

/** A client that signs with its secret, which is kept sealed for it. */
async function openSigner(): Promise<oidc.Configuration> {
  const { client_id, client_secret } = await registerClient(gapura, 'penanda', {
    metadata: {
      token_endpoint_auth_method: 'client_secret_jwt',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    },
  });
  const way = oidc.ClientSecretJwt(client_secret);
  return oidc.discovery(new URL(gapura.config.issuer), client_id, client_secret, way, {
    execute: [oidc.allowInsecureRequests],
  });
}

/** A person who was invited by a mail that waits; gives the account's address. */
async function invite(config: Config): Promise<string> {
  const email = 'diundang@contoh.example';
  const { id } = await createAccount(gapura.db, { username: 'diundang', full_name: 'Orang Diundang', email });
  const jobs = await openJobs(config, { works: false, log: { error: () => undefined } });
  try {
    const outcome = await inTransaction(gapura.db, (tx) =>
      inviteAccount(tx, openInvitations(gapura.db, jobs, config), { account_id: id }),
    );
    expect(outcome.state).toBe('invited');
  } finally {
    await jobs.stop();
  }
  return email;
}

/** Asks one node for a token with a proof that carries a nonce; gives the status and the nonce that it tells. */
async function prove(app: App, at: number, nonce: string): Promise<[number | undefined, string | undefined]> {
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const proof = await new SignJWT({ htm: 'POST', htu: `${gapura.config.issuer}/token`, nonce, jti: randomToken() })
    .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: await exportJWK(publicKey) })
    .setIssuedAt()
    .sign(privateKey);
  const asked = app.ask(at, { grant_type: 'client_credentials' });
  const [answer] = await storm(1, () => ({ ...asked, headers: { ...asked.headers, dpop: proof } }));
  return [answer?.status, answer?.headers['dpop-nonce']];
}

/** The new secret first stands behind, so that every node reads what it signs before one signs with it. */
const steps: [0 | 1, ...string[]][] = [
  [0, test_secret, new_secret],
  [1, test_secret, new_secret],
  [0, new_secret, test_secret],
  [1, new_secret, test_secret],
];

test('everything goes on at every step, and in the end the old secret opens nothing', async () => {
  const app = await openApp(gapura, 'berjalan', {}, 'openid offline_access');
  const late = await openApp(gapura, 'terlambat');
  const signer = await openSigner();
  const email = await invite(gapura.config);
  const machine = await openApp(gapura, 'mesin', {
    metadata: { grant_types: ['client_credentials'], redirect_uris: [], response_types: [] },
  });
  const visitor = newHttpVisitor(gapura.url);
  const opened = await openAs(app, visitor, 'budi');
  const tokens = await app.redeem(opened.returned, opened.checks);
  expect((await visitor.get('/portal')).status).toBe(200);
  const waiting = newHttpVisitor(gapura.url);
  const { page } = await openTab(waiting, late);
  const unredeemed = await openAs(late, newHttpVisitor(gapura.url), 'tono');

  for (const step of steps) {
    await restart(...step);
    await openOnBoth(app, visitor);
    expect(await signedInAt(gapura, visitor)).toEqual([true, true]);
    // What one node asks a proof to carry, the other takes.
    const [refused, nonce] = await prove(machine, 0, 'kemarin');
    expect([refused, typeof nonce]).toEqual([400, 'string']);
    expect((await prove(machine, 1, String(nonce)))[0]).toBe(200);
  }
  // In flight since before the first step: a code, a sign-in page, a refresh token.
  expect(typeof (await late.redeem(unredeemed.returned, unredeemed.checks)).id_token).toBe('string');
  const entered = await waiting.post(page.url, password('sari'), { follow: false });
  expect(await followTo(waiting, late.redirect_uri, entered)).toHaveProperty('returned');
  await oidc.refreshTokenGrant(app.configuration, String(tokens.refresh_token));

  // What was sealed and hashed then goes on without the old secret, and so does a browser that came by in between.
  await restart(0, new_secret);
  await restart(1, new_secret);
  expect(await command('forget-secrets', new_secret)).toEqual([0, expect.stringContaining('any more: 1.')]);
  await openOnBoth(app, visitor);
  expect((await oidc.clientCredentialsGrant(signer)).token_type).toBe('bearer');
  const config = await openRootSecrets(gapura.db, { ...gapura.config, secrets: [new Secret(new_secret)] });
  const link = await readSecret({ db: gapura.db, config }, email);
  expect((await newHttpVisitor(gapura.url).get(link)).status).toBe(200);
  expect((await command('check', new_secret))[1]).toMatch(/^ok +signing keys$/m);

  expect(await command('rotate-keys', test_secret)).toEqual([
    1,
    expect.stringContaining('None of GAPURA_SECRETS opens this installation'),
  ]);
  expect((await command('check', test_secret))[1]).toMatch(/^wrong +signing keys: None of GAPURA_SECRETS/m);
}, 240_000);
