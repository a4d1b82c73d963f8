/** Clients that register themselves: only while the door is open, only with a token of ours, and never as one of ours. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { SignJWT } from 'jose';
import { sql } from 'kysely';
import * as oidc from 'openid-client';
import { ownMetadata } from '../../../src/clients/engine-client.ts';
import { checkRegistration } from '../../../src/clients/rules.ts';
import { inTransaction } from '../../../src/database.ts';
import { removeUnusedClients } from '../../../src/oidc/clients/dynamic-clients.ts';
import {
  clients_per_token,
  endInitialAccessToken,
  issueInitialAccessToken,
  listInitialAccessTokens,
  purgeInitialAccessTokens,
} from '../../../src/oidc/clients/initial-tokens.ts';
import { refusePrivateHosts } from '../../../src/oidc/clients/registration.ts';
import { policy } from '../../../src/policy/policy.ts';
import { setPolicy, whole_system } from '../../../src/policy/store.ts';
import { moveClock, resetClock } from '../../support/clock.ts';
import { demo_password, registerClient, signIn, startGapura, type TestGapura } from '../../support/gapura.ts';
import { newHttpVisitor } from '../../support/http.ts';
import { closeListeners, findAccountId, listAudit, listRecords, startListener, until } from '../../support/nodes.ts';
import { followTo, openParty } from '../../support/relying-party.ts';
import { type StormAnswer, storm } from '../../support/storm.ts';

let gapura: TestGapura;

const day = 86_400;
const redirect_uri = 'https://pendatang.contoh.example/kembali';
const metadata = { client_name: 'Pendatang', redirect_uris: [redirect_uri] };

beforeAll(async () => {
  gapura = await startGapura({ private_hosts: ['127.0.0.1', 'dipercaya.contoh.example:8443'] });
});

beforeEach(() => turn(true));

afterEach(async () => {
  await resetClock(gapura.db);
  await closeListeners();
  await gapura.db.deleteFrom('limits').execute();
});

afterAll(() => gapura.stop());

/** Opens the door or shuts it, as an administrator does, and waits until this node knows. */
async function turn(value: boolean): Promise<void> {
  if (policy('clients.dynamic_registration') === value) return;
  const key = 'clients.dynamic_registration';
  await inTransaction(gapura.db, async (tx) => {
    const row = await tx.selectFrom('policy_values').select('version').where('key', '=', key).executeTakeFirst();
    await setPolicy(tx, { key, scope: whole_system, version: row?.version ?? 0, value, by: null, because: 'a test' });
  });
  await until(() => policy(key) === value);
}

const issue = (clients?: number, expires_in = 3600) =>
  inTransaction(gapura.db, (tx) =>
    issueInitialAccessToken(tx, gapura.gapura.engine.records, {
      by: null,
      expires_in,
      ...(clients === undefined ? {} : { clients }),
    }),
  );

interface Reply {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: whatever was answered
  body: any;
}

/** One request to the door, with a token and JSON where they are given. */
async function ask(
  method: string,
  path: string,
  { token, body, type = 'application/json' }: { token?: string | undefined; body?: unknown; type?: string } = {},
): Promise<Reply> {
  const answer = await fetch(new URL(path, gapura.url), {
    method,
    headers: {
      accept: 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': type }),
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, body: text === '' ? undefined : JSON.parse(text) };
}

const path = '/connect/register';

/** Registers a client with a token of its own. */
async function register(more: Record<string, unknown> = {}): Promise<Reply['body']> {
  const { token } = await issue();
  const answer = await ask('POST', path, { token, body: { ...metadata, ...more } });
  expect(answer).toMatchObject({ status: 201 });
  return answer.body;
}

const tokenOf = (client: Reply['body']): string => client.registration_access_token;
const read = (client: Reply['body']) => ask('GET', client.registration_client_uri, { token: tokenOf(client) });
const change = (client: Reply['body'], body: object, token = tokenOf(client)) =>
  ask('PUT', client.registration_client_uri, { token, body: { client_id: client.client_id, ...body } });
const remove = (client: Reply['body']) => ask('DELETE', client.registration_client_uri, { token: tokenOf(client) });

const rowOf = (id: string) => gapura.db.selectFrom('clients').selectAll().where('id', '=', id).executeTakeFirst();
const countClients = async () =>
  (await gapura.db.selectFrom('clients').select('id').where('origin', '=', 'dynamic').execute()).length;

/** What discovery says of the door, in both documents. */
async function discover(): Promise<unknown[]> {
  const documents = [
    '/connect/.well-known/openid-configuration',
    '/connect/.well-known/oauth-authorization-server',
    '/.well-known/oauth-authorization-server/connect',
  ];
  return Promise.all(documents.map(async (document) => (await ask('GET', document)).body.registration_endpoint));
}

/** Whether a client may use its secret at the token endpoint: a wrong code is the next thing that is wrong. */
async function isKnown(id: string, secret: string, method: 'basic' | 'post' = 'basic'): Promise<boolean> {
  const form = { grant_type: 'authorization_code', code: 'x', redirect_uri, code_verifier: 'x'.repeat(43) };
  const answer = await fetch(`${gapura.url}/connect/token`, {
    method: 'POST',
    headers: method === 'basic' ? { authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` } : {},
    body: new URLSearchParams(method === 'post' ? { ...form, client_id: id, client_secret: secret } : form),
  });
  const { error } = (await answer.json()) as { error: string };
  expect(['invalid_grant', 'invalid_client']).toContain(error);
  return error === 'invalid_grant';
}

describe('while the policy is off', () => {
  test('as it comes, there is no such address and discovery names none', async () => {
    expect(policy('clients.dynamic_registration')).toBe(true);
    const client = await register();
    const { token } = await issue();
    await turn(false);
    const nowhere = await ask('POST', '/connect/nowhere', { token, body: metadata });
    for (const [method, address] of [
      ['POST', path],
      ['POST', '/connect/REGISTER'],
      ['POST', `${path}/`],
      ['GET', client.registration_client_uri],
      ['PUT', client.registration_client_uri],
      ['DELETE', client.registration_client_uri],
      ['DELETE', client.registration_client_uri.replace('register', 'Register')],
      ['OPTIONS', path],
    ]) {
      const proof = method === 'POST' ? token : tokenOf(client);
      const body = method === 'POST' || method === 'PUT' ? metadata : undefined;
      const answer = await ask(method as string, address as string, { token: proof, body });
      expect([method, answer.status, answer.body?.code]).toEqual([method, 404, nowhere.body.code]);
    }
    expect(await discover()).toEqual([undefined, undefined, undefined]);
  });

  test('clients that came before go on, and a change holds from the next request on', async () => {
    const client = await register();
    await turn(false);
    expect(await isKnown(client.client_id, client.client_secret)).toBe(true);
    expect(await read(client)).toMatchObject({ status: 404 });
    await turn(true);
    expect(await read(client)).toMatchObject({ status: 200 });
    expect(new Set(await discover())).toEqual(new Set([`${gapura.url}${path}`]));
  });
});

describe('a registration', () => {
  test('by a real relying party ends in a client that must ask the person, and takes all with it when it goes', async () => {
    const { token } = await issue();
    const party = await oidc.dynamicClientRegistration(new URL(gapura.config.issuer), metadata, undefined, {
      initialAccessToken: token,
      execute: [oidc.allowInsecureRequests],
    });
    const { client_id, client_secret } = party.clientMetadata();
    expect(client_id).toMatch(/^dynamic-/);
    const client = { client_id, client_secret: String(client_secret), redirect_uri };
    const { begin, redeem } = await openParty(gapura.config.issuer, client, 'openid profile organization');
    const { address, checks } = await begin();
    const visitor = newHttpVisitor(gapura.url);
    const consent = await signIn(visitor, await visitor.get(address), 'budi', demo_password);
    expect(consent.status).toBe(200);
    expect(consent.body).toMatch(/id="allow"/);
    expect(consent.body).toContain('Pendatang');
    const reached = await followTo(
      visitor,
      redirect_uri,
      await visitor.post(consent.url, { allow: '1' }, { follow: false }),
    );
    if (!('returned' in reached)) throw new Error(`the prompts go on: ${reached.page.body}`);
    const tokens = await redeem(reached.returned, checks);
    expect(tokens.claims()?.sub).toBe(await findAccountId(gapura, 'budi'));
    expect((await rowOf(client_id))?.authorized_at).toBeInstanceOf(Date);

    const userinfo = () => ask('GET', '/connect/userinfo', { token: tokens.access_token });
    expect(await userinfo()).toMatchObject({ status: 200 });
    expect(await remove(party.clientMetadata())).toMatchObject({ status: 204 });
    expect(await userinfo()).toMatchObject({ status: 401 });
    // Interactions are over by themselves; they keep the way back to their application for a while.
    const left = gapura.db.selectFrom('oidc_records').select('model').where('client_id', '=', client_id);
    expect(await left.where('model', '<>', 'Interaction').execute()).toEqual([]);
  });

  test('is answered with all that RFC 7591 asks for, and its secret stands in no column', async () => {
    const { id, token } = await issue();
    const { status, body, headers } = await ask('POST', path, { token, body: metadata });
    expect([status, headers.get('cache-control')]).toEqual([201, 'no-store']);
    expect(body).toMatchObject({
      ...metadata,
      client_id: expect.any(String),
      client_id_issued_at: expect.any(Number),
      client_secret: expect.stringMatching(/^.{43}$/),
      client_secret_expires_at: 0,
      registration_client_uri: `${gapura.url}${path}/${body.client_id}`,
      registration_access_token: expect.stringMatching(/^.{43}$/),
      scope: 'openid profile email phone address organization',
    });
    expect(await isKnown(body.client_id, body.client_secret)).toBe(true);
    const { rows } = await sql<{ text: string }>`
      SELECT c::text AS text FROM clients c UNION ALL SELECT s::text FROM client_secrets s
      UNION ALL SELECT r::text FROM oidc_records r UNION ALL SELECT t::text FROM initial_access_tokens t
      UNION ALL SELECT e::text FROM audit_events e`.execute(gapura.db);
    const dump = rows.map(({ text }) => text).join('\n') + JSON.stringify(gapura.log);
    for (const secret of [token, body.client_secret, tokenOf(body)]) expect(dump).not.toContain(secret);
    const [event] = await listAudit(gapura, body.client_id, 'client_registered');
    expect(event?.detail).toEqual({ initial_token: id });
  });

  test.each<[string, string | undefined]>([
    ['no token', undefined],
    ['a token that nobody issued', 'x'.repeat(43)],
    ['an empty token', ''],
  ])('with %s is refused', async (_what, token) => {
    const before = await countClients();
    const answer = await ask('POST', path, { token, body: metadata });
    expect([400, 401]).toContain(answer.status);
    expect(answer.headers.get('www-authenticate') ?? 'Bearer').toMatch(/^Bearer/);
    expect(await countClients()).toBe(before);
  });

  test('with a token that is over, taken back or meant for something else is refused', async () => {
    const over = await issue(1, 60);
    const ended = await issue();
    expect(await inTransaction(gapura.db, (tx) => endInitialAccessToken(tx, ended.id))).toBe(true);
    expect(await inTransaction(gapura.db, (tx) => endInitialAccessToken(tx, ended.id))).toBe(false);
    expect(await inTransaction(gapura.db, (tx) => endInitialAccessToken(tx, 'nothing'))).toBe(false);
    const client = await register();
    await moveClock(gapura.db, 61);
    for (const token of [over.token, ended.token, tokenOf(client), client.client_secret]) {
      expect(await ask('POST', path, { token, body: metadata })).toMatchObject({
        status: 401,
        body: { error: 'invalid_token' },
      });
    }
  });

  test('comes through as often as its token is good for, however many ask at once', async () => {
    const { id, token } = await issue();
    const before = await countClients();
    const answers = await storm(30, () => post(token, metadata));
    expect(tally(answers)).toEqual({ 201: clients_per_token, 401: 30 - clients_per_token });
    expect((await countClients()) - before).toBe(clients_per_token);
    const events = await gapura.db.selectFrom('audit_events').select('detail').where('kind', '=', 'client_registered');
    const own = (await events.execute()).filter(({ detail }) => detail.initial_token === id);
    expect(own).toHaveLength(clients_per_token);
    const [listed] = (await listInitialAccessTokens(gapura.db)).filter((one) => one.id === id);
    expect(listed).toMatchObject({ clients_left: 0 });
  });

  test('that fails leaves its token as it was', async () => {
    const { id, token } = await issue(1);
    expect(await ask('POST', path, { token, body: { redirect_uris: ['nowhere'] } })).toMatchObject({ status: 400 });
    const listed = (await listInitialAccessTokens(gapura.db)).find((one) => one.id === id);
    expect(listed).toMatchObject({ clients_left: 1 });
    expect(await ask('POST', path, { token, body: metadata })).toMatchObject({ status: 201 });
  });

  test('that fails often makes its address wait; those that succeed are not counted', async () => {
    const { token } = await issue(40);
    for (let at = 0; at < 35; at += 1) {
      expect(await ask('POST', path, { token, body: metadata })).toMatchObject({ status: 201 });
    }
    const answers: number[] = [];
    for (let at = 0; at < 31; at += 1) answers.push((await ask('POST', path, { token: 'x', body: metadata })).status);
    expect([answers.slice(0, 30).every((status) => status === 401), answers[30]]).toEqual([true, 429]);
    const waiting = await ask('POST', path, { token, body: metadata });
    expect([waiting.status, Number(waiting.headers.get('retry-after'))]).toEqual([429, expect.any(Number)]);
    await moveClock(gapura.db, 61);
    expect(await ask('POST', path, { token, body: metadata })).toMatchObject({ status: 201 });
  });
});

/** A registration for a storm. */
function post(token: string, body: object) {
  const text = JSON.stringify(body);
  return {
    url: `${gapura.url}${path}`,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: text,
  };
}

function tally(answers: StormAnswer[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

describe('what is ours', () => {
  const pretended = {
    ...Object.fromEntries(ownMetadata.map((name) => [name, true])),
    agency: 'BPOM',
    agency_code: 'BPOM',
    form_action_origins: ['https://lain.contoh.example'],
    api_role: 'administrator',
    origin: 'own',
    logo: '/assets/mark.svg',
    secret_hashes: [{ id: 'x', hash: 'x', expires_at: null, last_used_at: null }],
    older_secrets: ['x'],
    client_id: 'portal',
    active: false,
    version: 7,
  };
  const columns = {
    origin: 'dynamic',
    first_party: false,
    agency_code: null,
    directorate_required: false,
    link_required: false,
    form_action_origins: [],
    api_role: null,
    fapi: false,
    claim_shape: 'standard',
    private_hosts: [],
    active: true,
  };

  test('cannot be had by naming it, not even through a prototype, at registration nor by a change', async () => {
    const portal = await rowOf('portal');
    const { token } = await issue();
    const sly = JSON.stringify({ ...metadata, ...pretended }).replace(
      /}$/,
      `,"__proto__":${JSON.stringify(pretended)}}`,
    );
    const { status, body } = await ask('POST', path, { token, body: sly });
    expect(status).toBe(201);
    const row = await rowOf(body.client_id);
    expect(row).toMatchObject({ ...columns, version: 1 });
    expect(Object.keys(row?.metadata ?? {}).filter((name) => name in pretended)).toEqual([]);
    expect(Object.keys(body).filter((name) => name !== 'client_id' && name in pretended)).toEqual([]);

    const { client_id: _id, ...rest } = pretended;
    const changed = await change(body, { ...metadata, ...rest });
    expect(changed.status).toBe(200);
    expect(Object.keys(changed.body).filter((name) => name !== 'client_id' && name in pretended)).toEqual([]);
    expect(await rowOf(body.client_id)).toMatchObject(columns);
    expect(await rowOf('portal')).toEqual(portal);
  });

  test('stays as an officer has set it when the client changes itself', async () => {
    const client = await register();
    await sql`UPDATE clients SET agency_code = 'BPOM', link_required = true WHERE id = ${client.client_id}`.execute(
      gapura.db,
    );
    expect(await change(client, { ...metadata, client_name: 'Lain' })).toMatchObject({ status: 200 });
    expect(await rowOf(client.client_id)).toMatchObject({
      agency_code: 'BPOM',
      link_required: true,
      version: 2,
      metadata: { client_name: 'Lain' },
    });
  });

  test('is told in no answer', async () => {
    const client = await register({ token_endpoint_auth_method: 'client_secret_jwt' });
    for (const { body } of [await read(client), await change(client, { ...metadata })]) {
      expect(Object.keys(body).filter((name) => (ownMetadata as readonly string[]).includes(name))).toEqual([]);
    }
  });

  test.each(['role', 'directorate', 'linked_account', 'admin:read', 'admin:write'])(
    'the scope %s is for no dynamic client, registered or asked for',
    async (scope) => {
      const { token } = await issue();
      expect(await ask('POST', path, { token, body: { ...metadata, scope: `openid ${scope}` } })).toMatchObject({
        status: 400,
        body: { error: 'invalid_client_metadata' },
      });
      const { body } = await ask('POST', path, { token, body: metadata });
      const query = new URLSearchParams({
        client_id: body.client_id,
        redirect_uri,
        response_type: 'code',
        scope: `openid ${scope}`,
        code_challenge: 'x'.repeat(43),
        code_challenge_method: 'S256',
      });
      const answer = await newHttpVisitor(gapura.url).get(`/connect/auth?${query}`, { follow: false });
      // On a page of ours: nobody is led to an unchecked client unasked (held-error.ts).
      expect([answer.status, answer.headers.get('location')]).toEqual([400, null]);
      expect(answer.body).toMatch(/href="[^"]*error=invalid_scope/);
    },
  );
});

describe('metadata', () => {
  test.each<[string, Record<string, unknown>, string]>([
    ['no address', { redirect_uris: undefined }, 'invalid_redirect_uri'],
    ['an address with a fragment', { redirect_uris: [`${redirect_uri}#x`] }, 'invalid_redirect_uri'],
    ['an address without https', { redirect_uris: ['http://pendatang.contoh.example/'] }, 'invalid_redirect_uri'],
    ['a script as an address', { redirect_uris: ['javascript:alert(1)'] }, 'invalid_redirect_uri'],
    ['a wildcard', { redirect_uris: ['https://*.contoh.example/'] }, 'invalid_redirect_uri'],
    ['an address with a user in it', { redirect_uris: ['https://a@b.example/'] }, 'invalid_redirect_uri'],
    [
      'too many addresses',
      { redirect_uris: Array.from({ length: 21 }, (_, at) => `${redirect_uri}/${at}`) },
      'invalid_redirect_uri',
    ],
    ['a script as its page', { client_uri: 'javascript:alert(1)' }, 'invalid_client_metadata'],
    ['http where login begins', { initiate_login_uri: 'http://pendatang.contoh.example/' }, 'invalid_client_metadata'],
    ['http of this machine there', { initiate_login_uri: 'http://localhost:4999/masuk' }, 'invalid_client_metadata'],
    ['a grant that is not for it', { grant_types: ['client_credentials'] }, 'invalid_client_metadata'],
    ['the password grant', { grant_types: ['authorization_code', 'password'] }, 'invalid_client_metadata'],
    ['the implicit response', { response_types: ['token'] }, 'invalid_client_metadata'],
    ['an unknown method', { token_endpoint_auth_method: 'tls_client_auth' }, 'invalid_client_metadata'],
    ['no keys for its method', { token_endpoint_auth_method: 'private_key_jwt' }, 'invalid_client_metadata'],
    ['unsigned tokens', { id_token_signed_response_alg: 'none' }, 'invalid_client_metadata'],
    ['an endless name', { client_name: 'x'.repeat(101) }, 'invalid_client_metadata'],
    ['a NUL in its name', { client_name: 'a\u0000b' }, 'invalid_client_metadata'],
    ['a name that turns around', { client_name: 'a\u202eb' }, 'invalid_client_metadata'],
    ['half a character', { client_name: 'a\ud800b' }, 'invalid_client_metadata'],
    ['a NUL in a name of its keys', { jwks: { keys: [{ kty: 'EC', 'a\u0000': 1 }] } }, 'invalid_client_metadata'],
  ])('with %s is refused in the words of RFC 7591', async (_what, more, error) => {
    const { id, token } = await issue(1);
    const answer = await ask('POST', path, { token, body: { ...metadata, ...more } });
    expect(answer).toMatchObject({ status: 400, body: { error, error_description: expect.any(String) } });
    const listed = (await listInitialAccessTokens(gapura.db)).find((one) => one.id === id);
    expect(listed).toMatchObject({ clients_left: 1 });
  });

  const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;
  test('that leads back to us is refused, at first and later', async () => {
    const ours = { ...metadata, redirect_uris: [`${gapura.url}/admin/trials/callback`] };
    const refused = { status: 400, body: { error: 'invalid_redirect_uri' } };
    const { token } = await issue();
    expect(await ask('POST', path, { token, body: ours })).toMatchObject(refused);
    expect(await change(await register(), ours)).toMatchObject(refused);
  });

  test('has no ID token sent by the browser', async () => {
    for (const response_types of [['code id_token'], ['code', 'id_token code'], ['id_token'], ['code token']]) {
      const { token } = await issue();
      const asked = { ...metadata, response_types };
      expect(await ask('POST', path, { token, body: asked })).toMatchObject({
        status: 400,
        body: { error: 'invalid_client_metadata' },
      });
    }
  });

  test('gets offline_access only with the refresh tokens that make something of it', async () => {
    const refreshing = { grant_types: ['authorization_code', 'refresh_token'] };
    const scope = 'openid offline_access';
    expect(await register({ scope })).toMatchObject({ scope: 'openid' });
    expect(await register({ scope, ...refreshing })).toMatchObject({ scope });
    // Without any scope left the engine would let it ask for everything.
    const { token } = await issue();
    const alone = await ask('POST', path, { token, body: { ...metadata, scope: 'offline_access' } });
    expect(alone).toMatchObject({ status: 400, body: { error: 'invalid_client_metadata' } });
    // What our own rules would refuse at the next change does not come in by this door.
    const { client_id } = await register();
    const row = await rowOf(client_id);
    expect(checkRegistration({ id: client_id, origin: 'dynamic', metadata: row?.metadata ?? {} })).toEqual({});
  });

  test.each<[string, string, string?]>([
    ['no JSON', '{'],
    ['a list', '[]'],
    ['nothing', 'null'],
    ['a form', 'client_name=x', 'application/x-www-form-urlencoded'],
    ['endless depth', `{"redirect_uris":["${redirect_uri}"],"jwks":${deep}}`],
    ['endless depth where nobody looks', `{"redirect_uris":["${redirect_uri}"],"x":${deep}}`],
  ])('that is %s is refused', async (_what, body, type = 'application/json') => {
    const { token } = await issue();
    const answer = await ask('POST', path, { token, body, type });
    expect(answer).toMatchObject({ status: 400, body: { error: expect.stringMatching(/^invalid_/) } });
  });

  test('that is more than anybody needs is not read', async () => {
    const { token } = await issue();
    const body = { ...metadata, x: 'x'.repeat(60_000) };
    expect(await ask('POST', path, { token, body })).toMatchObject({
      status: 400,
      body: { error: expect.stringMatching(/^invalid_/) },
    });
    expect(await ask('POST', path, { token, body: metadata })).toMatchObject({ status: 201 });
  });

  test('of any wrong type is never our own failure', async () => {
    const client = await register();
    const fields = [...Object.keys((await read(client)).body), 'jwks', 'jwks_uri', 'contacts', 'default_max_age'];
    const more = ['default_acr_values', 'sector_identifier_uri', 'subject_type', 'backchannel_logout_uri', '__proto__'];
    const odd = [null, true, 0, -1, 1e308, '', 'x', [], [null], [{}], {}, { keys: [{}] }, { keys: [{ kty: 'RSA' }] }];
    const { token } = await issue(10_000);
    const failures: unknown[] = [];
    for (const field of [...fields, ...more]) {
      await gapura.db.deleteFrom('limits').execute();
      const answers = await Promise.all(
        odd.map(async (value) => {
          const body = `{"redirect_uris":["${redirect_uri}"],${JSON.stringify(field)}:${JSON.stringify(value)}}`;
          return { value, ...(await ask('POST', path, { token, body })) };
        }),
      );
      failures.push(
        ...answers
          .filter(({ status }) => status !== 201 && status !== 400)
          .map(({ value, status }) => [field, value, status]),
      );
    }
    expect(failures).toEqual([]);
    const pairwise = { subject_type: 'pairwise', redirect_uris: ['x', 'y'] };
    expect(await ask('POST', path, { token, body: pairwise })).toMatchObject({ status: 400 });
  });
});

describe('an address that we would call', () => {
  const fields = ['jwks_uri', 'sector_identifier_uri', 'backchannel_logout_uri'];

  test.each(fields)('(%s) is on the open network, whatever the operator has confirmed for others', async (field) => {
    const listener = await startListener();
    const { token } = await issue();
    const addresses = [
      `http://127.0.0.1:${listener.port}/`,
      `https://127.0.0.1:${listener.port}/`,
      `https://localhost:${listener.port}/`,
      `https://apa.localhost:${listener.port}/`,
      `https://[::1]:${listener.port}/`,
      'https://10.0.0.1/',
      'https://169.254.169.254/latest/meta-data/',
      'https://[fd00::1]/',
      'https://dipercaya.contoh.example/',
      'http://pendatang.contoh.example/',
    ];
    for (const address of addresses) {
      const answer = await ask('POST', path, { token, body: { ...metadata, [field]: address } });
      expect([address, answer.status, answer.body.error]).toEqual([address, 400, 'invalid_client_metadata']);
    }
    expect(listener.heard).toEqual([]);
  });

  test('is looked at again whenever the client is read, also for hosts that were confirmed later', () => {
    const check = refusePrivateHosts({ private_hosts: ['Kemudian.contoh.example:8443'] });
    const client = { client_id: 'x', backchannel_logout_uri: 'https://kemudian.contoh.example:8443/keluar' };
    expect(() => check(undefined, 'origin', 'dynamic', { ...client, origin: 'dynamic' })).toThrow();
    expect(() => check(undefined, 'origin', 'console', { ...client, origin: 'console' })).not.toThrow();
  });
});

describe('a client that manages itself', () => {
  test('reads what stands of it, and its secret is told no second time', async () => {
    const client = await register();
    const { status, body } = await read(client);
    expect(status).toBe(200);
    const { client_secret: _secret, ...rest } = client;
    expect(body).toEqual(rest);
    expect(await read(client)).toMatchObject({ status: 200 });
  });

  test('is told where it begins a sign-in, at first, when it reads and when it changes that', async () => {
    const initiate_login_uri = 'https://pendatang.contoh.example/masuk?dari=gapura';
    const client = await register({ initiate_login_uri });
    expect(client).toMatchObject({ initiate_login_uri });
    const { body } = await read(client);
    expect(body).toMatchObject({ initiate_login_uri });
    const other = 'https://pendatang.contoh.example/masuk-lagi';
    const changed = await change(client, { ...metadata, initiate_login_uri: other }, tokenOf(body) ?? tokenOf(client));
    expect(changed).toMatchObject({ status: 200, body: { initiate_login_uri: other } });
    expect((await read(changed.body)).body).toMatchObject({ initiate_login_uri: other });
  });

  test('changes itself with a token that is new each time', async () => {
    const client = await register();
    const { status, body } = await change(client, {
      ...metadata,
      client_name: 'Baru',
      client_secret: client.client_secret,
    });
    expect(status).toBe(200);
    expect(body).toMatchObject({ client_id: client.client_id, client_name: 'Baru' });
    expect(body.client_secret).toBeUndefined();
    expect(tokenOf(body)).not.toBe(tokenOf(client));
    expect(await change(client, metadata)).toMatchObject({ status: 401 });
    expect(await read(client)).toMatchObject({ status: 401 });
    expect((await read(body)).body).toMatchObject({ client_name: 'Baru' });
    expect(await isKnown(client.client_id, client.client_secret)).toBe(true);
    expect(await listAudit(gapura, client.client_id, 'client_registration_changed')).toHaveLength(1);
  });

  test.each<[string, object]>([
    ['a wrong secret', { client_secret: 'x'.repeat(43) }],
    ['a secret that is none', { client_secret: null }],
    ['another id', { client_id: 'portal' }],
    ['its token among it', { registration_access_token: 'x' }],
    ['an address that is refused', { redirect_uris: ['http://pendatang.contoh.example/'] }],
    ['a scope that is refused', { scope: 'openid role' }],
  ])('cannot change itself with %s', async (_what, more) => {
    const client = await register();
    expect(await change(client, { ...metadata, ...more })).toMatchObject({ status: 400 });
    expect(await rowOf(client.client_id)).toMatchObject({ version: 1 });
    expect(await read(client)).toMatchObject({ status: 200 });
  });

  test('does so once of many at once', async () => {
    const client = await register();
    const answers = await storm(20, (at) => ({
      ...post(tokenOf(client), { ...metadata, client_id: client.client_id, client_name: `Kali ${at}` }),
      method: 'PUT',
      url: client.registration_client_uri,
    }));
    expect(tally(answers)).toEqual({ 200: 1, 401: 19 });
    expect(await rowOf(client.client_id)).toMatchObject({ version: 2 });
    expect(await listRecords(gapura, client.client_id, 'RegistrationAccessToken')).toHaveLength(1);
  });

  test('touches no other client, and loses the token it tried with', async () => {
    const client = await register();
    const other = await register();
    const console_client = await registerClient(gapura, 'bukan-dinamis');
    for (const id of [other.client_id, console_client.client_id, 'portal', 'nobody']) {
      const mine = await register();
      for (const method of ['GET', 'PUT', 'DELETE']) {
        const body = method === 'PUT' ? { ...metadata, client_id: id } : undefined;
        expect(await ask(method, `${path}/${id}`, { token: tokenOf(mine), body })).toMatchObject({ status: 401 });
      }
      expect(await read(mine)).toMatchObject({ status: 401 });
    }
    expect(await read(other)).toMatchObject({ status: 200 });
    expect(await rowOf('bukan-dinamis')).toMatchObject({ version: 1 });
    expect(await ask('GET', client.registration_client_uri, { token: (await issue()).token })).toMatchObject({
      status: 401,
    });
  });

  test('keeps its token for as long as it lives', async () => {
    const client = await register();
    await moveClock(gapura.db, 5 * 365 * day);
    expect(await read(client)).toMatchObject({ status: 200 });
  });

  test('removes itself once of many at once, with its secrets, grants and tokens', async () => {
    const client = await register();
    const answers = await storm(20, () => ({
      method: 'DELETE',
      url: client.registration_client_uri,
      headers: { authorization: `Bearer ${tokenOf(client)}` },
    }));
    expect(tally(answers)).toEqual({ 204: 1, 401: 19 });
    expect(await rowOf(client.client_id)).toBeUndefined();
    expect(await listRecords(gapura, client.client_id, 'RegistrationAccessToken')).toEqual([]);
    expect(await isKnown(client.client_id, client.client_secret)).toBe(false);
    expect(await listAudit(gapura, client.client_id, 'client_registration_removed')).toHaveLength(1);
  });

  test('has a secret while it shows one, and a new one when it begins to sign with it', async () => {
    const client = await register({ token_endpoint_auth_method: 'none' });
    expect(client.client_secret).toBeUndefined();
    const shown = await change(client, { ...metadata, token_endpoint_auth_method: 'client_secret_post' });
    expect(shown.body.client_secret).toMatch(/^.{43}$/);
    expect(await isKnown(client.client_id, shown.body.client_secret, 'post')).toBe(true);

    const signs = await change(shown.body, { ...metadata, token_endpoint_auth_method: 'client_secret_jwt' });
    const { client_secret } = signs.body;
    expect([client_secret === shown.body.client_secret, client_secret.length]).toEqual([false, 43]);
    const assertion = await new SignJWT({ jti: 'sekali' })
      .setProtectedHeader({ alg: 'HS256' })
      .setIssuer(client.client_id)
      .setSubject(client.client_id)
      .setAudience(gapura.config.issuer)
      .setExpirationTime('1m')
      .setIssuedAt()
      .sign(new TextEncoder().encode(client_secret));
    const answer = await fetch(`${gapura.url}/connect/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        code: 'x',
        redirect_uri,
        code_verifier: 'x'.repeat(43),
        client_assertion: assertion,
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      }),
    });
    expect(await answer.json()).toMatchObject({ error: 'invalid_grant' });

    const quiet = await change(signs.body, { ...metadata, token_endpoint_auth_method: 'none' });
    expect([quiet.status, quiet.body.client_secret]).toEqual([200, undefined]);
    const left = gapura.db.selectFrom('client_secrets').select('id').where('client_id', '=', client.client_id);
    expect(await left.execute()).toEqual([]);
  });
});

describe('after a month', () => {
  test('a client that nobody let in is gone, and one that somebody did stays', async () => {
    const unused = await register();
    const used = await register();
    await gapura.db
      .updateTable('clients')
      .set({ authorized_at: sql`gapura_now()` })
      .where('id', '=', used.client_id)
      .execute();
    await moveClock(gapura.db, 29 * day);
    await removeUnusedClients(gapura.gapura.engine.records);
    expect(await rowOf(unused.client_id)).toBeDefined();
    await moveClock(gapura.db, 31 * day);
    expect(await removeUnusedClients(gapura.gapura.engine.records, 1000)).toBeGreaterThan(0);
    expect(await rowOf(unused.client_id)).toBeUndefined();
    expect(await rowOf(used.client_id)).toBeDefined();
    expect(await rowOf('portal')).toBeDefined();
    const [event] = await listAudit(gapura, unused.client_id, 'client_registration_removed');
    expect(event?.detail).toEqual({ because: 'unused' });
    expect(await read(unused)).toMatchObject({ status: 401 });
  });

  test('a token that is over is no longer listed', async () => {
    const { id } = await issue(1, 60);
    const isListed = async () => (await listInitialAccessTokens(gapura.db)).some((one) => one.id === id);
    await moveClock(gapura.db, 29 * day);
    await purgeInitialAccessTokens(gapura.db);
    expect(await isListed()).toBe(true);
    await moveClock(gapura.db, 31 * day);
    await purgeInitialAccessTokens(gapura.db);
    expect(await isListed()).toBe(false);
  });
});
