/** What programs read of the engine: its description to the letter, who may ask from where, and errors that tell nothing. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { api_scopes } from '../../../src/permissions.ts';
import { readText } from '../../support/facts.ts';
import {
  demo_password,
  newSignedInVisitor,
  registerClient,
  startGapura,
  type TestGapura,
} from '../../support/gapura.ts';
import { findForm, newHttpVisitor } from '../../support/http.ts';
import { authorize, openParty, type TestParty } from '../../support/relying-party.ts';

let gapura: TestGapura;
let party: TestParty;
let access_token: string;
let basic: string;

beforeAll(async () => {
  gapura = await startGapura();
  const client = await registerClient(gapura, 'rekan');
  basic = `Basic ${Buffer.from(`${client.client_id}:${client.client_secret}`).toString('base64')}`;
  party = await openParty(gapura.config.issuer, client);
  const { address, checks } = await party.begin();
  const answers = { identifier: 'budi', password: demo_password };
  const returned = await authorize(newHttpVisitor(gapura.url), address, party.redirect_uri, answers);
  ({ access_token } = await party.redeem(returned, checks));
  // It runs in the browser, at the origin that it returns to.
  const metadata = { token_endpoint_auth_method: 'none' };
  await registerClient(gapura, 'laman', { metadata });
  const redirect_uris = ['https://dua.contoh.example/satu', 'https://dua.contoh.example/dua'];
  await registerClient(gapura, 'dua', { metadata: { redirect_uris } });
});

afterAll(() => gapura.stop());

const issuer = () => gapura.config.issuer;

const issuer_paths = ['openid-configuration', 'oauth-authorization-server'].map(
  (name) => `/connect/.well-known/${name}`,
);
const documents = [...issuer_paths, '/.well-known/oauth-authorization-server/connect'];

describe('the description of the service', () => {
  const read = async (document: string) => {
    const answer = await fetch(`${gapura.url}${document}`);
    return { answer, body: (await answer.json()) as Record<string, unknown> };
  };

  test('is this, and not a word more', async () => {
    const { body } = await read(documents[0] as string);
    const at = (path: string) => `${gapura.url}/connect${path}`;
    const token_algorithms = ['RS256', 'PS256', 'ES256', 'EdDSA'];
    const client_algorithms = ['HS256', 'RS256', 'PS256', 'ES256', 'Ed25519', 'EdDSA'];
    const methods = ['client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt', 'none'];
    const encryptions = ['ECDH-ES', 'ECDH-ES+A128KW', 'ECDH-ES+A256KW', 'RSA-OAEP-256'];
    const contents = ['A128CBC-HS256', 'A128GCM', 'A256CBC-HS512', 'A256GCM'];
    expect(body).toEqual({
      issuer: at(''),
      authorization_endpoint: at('/auth'),
      token_endpoint: at('/token'),
      userinfo_endpoint: at('/userinfo'),
      jwks_uri: at('/jwks'),
      end_session_endpoint: at('/session/end'),
      introspection_endpoint: at('/introspection'),
      revocation_endpoint: at('/revocation'),
      pushed_authorization_request_endpoint: at('/par'),
      device_authorization_endpoint: at('/device/auth'),
      service_documentation: `${gapura.url}/`,
      ui_locales_supported: ['id', 'en'],
      response_types_supported: ['code', 'none', 'code id_token'],
      response_modes_supported: [
        ...['form_post', 'fragment', 'query'],
        ...['jwt', 'query.jwt', 'fragment.jwt', 'form_post.jwt'],
      ],
      grant_types_supported: [
        ...['authorization_code', 'implicit', 'refresh_token', 'client_credentials'],
        'urn:ietf:params:oauth:grant-type:device_code',
        'urn:ietf:params:oauth:grant-type:token-exchange',
      ],
      code_challenge_methods_supported: ['S256'],
      authorization_response_iss_parameter_supported: true,
      request_parameter_supported: true,
      request_uri_parameter_supported: false,
      request_object_signing_alg_values_supported: client_algorithms,
      subject_types_supported: ['public', 'pairwise'],
      scopes_supported: [
        ...['openid', 'profile', 'email', 'phone', 'address'],
        ...['organization', 'role', 'directorate', 'linked_account', 'offline_access'],
        ...api_scopes,
      ],
      claim_types_supported: ['normal'],
      claims_parameter_supported: true,
      claims_supported: [
        ...['sub', 'acr', 'amr', 'auth_time', 'directorate', 'linked_account'],
        ...['name', 'preferred_username', 'locale', 'zoneinfo', 'updated_at'],
        ...['mobile_number', 'fax_number', 'account_expires_at'],
        ...['email', 'email_verified', 'phone_number', 'phone_number_verified', 'address'],
        ...['organization', 'role', 'sid', 'iss'],
      ],
      acr_values_supported: ['urn:gapura:acr:password', 'urn:gapura:acr:recovered'],
      token_endpoint_auth_methods_supported: methods,
      token_endpoint_auth_signing_alg_values_supported: client_algorithms,
      introspection_endpoint_auth_methods_supported: methods,
      introspection_endpoint_auth_signing_alg_values_supported: client_algorithms,
      revocation_endpoint_auth_methods_supported: methods,
      revocation_endpoint_auth_signing_alg_values_supported: client_algorithms,
      id_token_signing_alg_values_supported: token_algorithms,
      id_token_encryption_alg_values_supported: encryptions,
      id_token_encryption_enc_values_supported: contents,
      userinfo_signing_alg_values_supported: token_algorithms,
      userinfo_encryption_alg_values_supported: encryptions,
      userinfo_encryption_enc_values_supported: contents,
      introspection_signing_alg_values_supported: token_algorithms,
      introspection_encryption_alg_values_supported: encryptions,
      introspection_encryption_enc_values_supported: contents,
      authorization_signing_alg_values_supported: token_algorithms,
      authorization_encryption_alg_values_supported: encryptions,
      authorization_encryption_enc_values_supported: contents,
      dpop_signing_alg_values_supported: ['ES256', 'Ed25519', 'EdDSA'],
      backchannel_logout_supported: true,
      backchannel_logout_session_supported: true,
    });
  });

  test('is the same at every address, and may be kept for minutes', async () => {
    const [first, ...others] = await Promise.all(documents.map(read));
    for (const { answer, body } of [first, ...others] as NonNullable<typeof first>[]) {
      expect(body).toEqual(first?.body);
      expect(answer.headers.get('cache-control')).toBe('public, max-age=300');
      expect(answer.headers.get('content-type')).toMatch(/^application\/json/);
    }
  });

  test('names only addresses that answer', async () => {
    const { body } = await read(documents[0] as string);
    const named = Object.entries(body).filter(([name]) => /(_endpoint|_uri)$/.test(name)) as [string, string][];
    expect(named.length).toBeGreaterThan(8);
    for (const [name, address] of named) {
      const method = /^(authorization|userinfo|end_session|jwks)/.test(name) ? 'GET' : 'POST';
      const { status } = await fetch(address, { method, redirect: 'manual' });
      expect([name, [404, 405].includes(status) || status >= 500]).toEqual([name, false]);
    }
  });
});

describe('the issuer is told with every answer to an authorization', () => {
  test.each([
    ['query', {}],
    ['fragment', {}],
    ['form_post', {}],
    ['query', { response_type: 'none' }],
    ['form_post', { prompt: 'consent', scope: 'nonsense' }],
    ['query', { scope: 'openid', prompt: 'create' }],
    ['fragment', { max_age: 'x' }],
  ])('by %s, with %j', async (response_mode, parameters) => {
    const metadata = { response_types: ['code', 'none'] };
    const client = await registerClient(gapura, 'penerbit', { metadata });
    const asked = await openParty(issuer(), client);
    const visitor = await newSignedInVisitor(gapura.url, 'sari');
    const answer = await visitor.get((await asked.begin({ response_mode, ...parameters })).address, { follow: false });
    const location = new URL(answer.headers.get('location') ?? 'http://x/');
    const told =
      response_mode === 'form_post'
        ? findForm(answer.body, 'forward').fields
        : Object.fromEntries(new URLSearchParams(location.search || location.hash.slice(1)));
    expect(told.iss).toBe(issuer());
    expect(Object.keys(told).sort()).toEqual(expect.arrayContaining(['iss', 'state']));
  });
});

describe('who may ask from another origin', () => {
  const own = 'http://laman.localhost:4999';
  const foreign = 'https://asing.contoh.example';
  const allowed = (answer: Response) => answer.headers.get('access-control-allow-origin');
  const ask = (path: string, from: string, init: RequestInit = {}) =>
    fetch(`${gapura.url}${path}`, { redirect: 'manual', ...init, headers: { origin: from, ...init.headers } });
  const preflight = (path: string, method: string) =>
    ask(path, foreign, {
      method: 'OPTIONS',
      headers: { 'access-control-request-method': method, 'access-control-request-headers': 'authorization' },
    });

  test.each([...documents, '/connect/jwks'])('%s is for everybody', async (path) => {
    expect(allowed(await ask(path, foreign))).toBe(foreign);
    const before = await preflight(path, 'GET');
    expect([before.status, allowed(before)]).toEqual([204, foreign]);
  });

  test.each(['/connect/token', '/connect/userinfo', '/connect/introspection', '/connect/revocation', '/connect/par'])(
    '%s is asked about first',
    async (path) => {
      const before = await preflight(path, 'POST');
      expect([before.status, allowed(before)]).toEqual([204, foreign]);
      expect(before.headers.get('access-control-allow-methods')).toContain('POST');
      expect(before.headers.get('access-control-allow-headers')).toBe('authorization');
    },
  );

  test.each(['/connect/auth', '/connect/auth/x', '/connect/session/end', '/', '/portal', '/interaction/x', '/healthz'])(
    '%s is for nobody',
    async (path) => {
      expect(allowed(await ask(path, own))).toBeNull();
      expect(allowed(await preflight(path, 'GET'))).toBeNull();
    },
  );

  test.each(['/connect/token', '/connect/revocation', '/connect/introspection', '/connect/par'])(
    '%s answers the page of a client that runs in the browser, at its own origin alone',
    async (path) => {
      const body = new URLSearchParams({
        client_id: 'laman',
        grant_type: 'refresh_token',
        refresh_token: 'x',
        token: 'x',
      });
      const post = (from: string) => ask(path, from, { method: 'POST', body });
      expect(allowed(await post(own))).toBe(own);
      for (const from of [foreign, 'null', `${own}.contoh.example`, 'http://laman.localhost:5000']) {
        const refused = await post(from);
        expect([from, allowed(refused), refused.status]).toEqual([from, null, 400]);
        expect(await refused.text()).not.toContain('laman');
      }
    },
  );

  test('a client with a secret is none that runs in a browser', async () => {
    const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: 'x' });
    const from = new URL(party.redirect_uri).origin;
    const answer = await ask('/connect/token', from, { method: 'POST', body, headers: { authorization: basic } });
    expect([answer.status, allowed(answer)]).toEqual([400, null]);
  });

  test('userinfo goes by the client of the token; cookies never count', async () => {
    const headers = { authorization: `Bearer ${access_token}` };
    const refused = await ask('/connect/userinfo', foreign, { headers });
    expect([refused.status, allowed(refused)]).toEqual([400, null]);
    for (const path of [...documents, '/connect/userinfo', '/connect/token'])
      expect((await preflight(path, 'POST')).headers.get('access-control-allow-credentials')).toBeNull();
  });
});

const bait = 'Zx9pancingan';

describe('an error tells a program the standard’s code and nothing more', () => {
  const form = 'application/x-www-form-urlencoded';
  const authorized = () => ({ authorization: basic });
  const push = (more: string) =>
    `client_id=rekan&response_type=code&scope=openid&redirect_uri=${encodeURIComponent(party.redirect_uri)}&${more}`;

  interface Wrong {
    method?: string;
    path?: string;
    body?: string | (() => string);
    type?: string;
    headers?: () => Record<string, string>;
    status?: number[];
    error: string | RegExp;
  }
  const wrong: Record<string, Wrong> = {
    'no proof of who asks': { body: 'grant_type=authorization_code', error: /^invalid_(client|request)$/ },
    'a client that nobody knows': {
      body: `grant_type=authorization_code&client_id=${bait}`,
      status: [401],
      error: 'invalid_client',
    },
    'a wrong secret': {
      headers: () => ({ authorization: `Basic ${btoa(`rekan:${bait}`)}` }),
      body: 'grant_type=authorization_code',
      status: [401],
      error: 'invalid_client',
    },
    'a broken Authorization': {
      headers: () => ({ authorization: `Basic ${bait}` }),
      body: 'grant_type=refresh_token',
      error: /^invalid_(client|request)$/,
    },
    'a grant that nobody has': { headers: authorized, body: `grant_type=${bait}`, error: 'unsupported_grant_type' },
    'no grant': { headers: authorized, body: `x=${bait}`, error: 'invalid_request' },
    'a code that nobody gave': {
      headers: authorized,
      body: `grant_type=authorization_code&code=${bait}&redirect_uri=${bait}&code_verifier=${bait.repeat(4)}`,
      error: 'invalid_grant',
    },
    'a refresh token that nobody gave': {
      headers: authorized,
      body: `grant_type=refresh_token&refresh_token=${bait}`,
      error: 'invalid_grant',
    },
    'a parameter twice': {
      headers: authorized,
      body: `grant_type=refresh_token&refresh_token=${bait}&refresh_token=y`,
      error: 'invalid_request',
    },
    'a parameter as a list': {
      headers: authorized,
      body: `grant_type=refresh_token&refresh_token[]=${bait}`,
      error: 'invalid_request',
    },
    'a body of JSON': {
      headers: authorized,
      type: 'application/json',
      body: `{"grant_type":"${bait}"}`,
      error: 'invalid_request',
    },
    'a body of nothing known': { headers: authorized, type: `text/${bait}`, body: bait, error: 'invalid_request' },
    'no token at userinfo': {
      method: 'GET',
      path: '/userinfo',
      status: [400, 401],
      error: /^invalid_(token|request)$/,
    },
    'an unknown token at userinfo': {
      method: 'GET',
      path: '/userinfo',
      headers: () => ({ authorization: `Bearer ${bait}` }),
      status: [401],
      error: 'invalid_token',
    },
    'a token in the address at userinfo': {
      method: 'GET',
      path: `/userinfo?access_token=${bait}`,
      error: 'invalid_request',
    },
    'a scope at userinfo that the token has not': {
      method: 'GET',
      path: `/userinfo?scope=${bait}`,
      headers: () => ({ authorization: `Bearer ${access_token}` }),
      status: [403],
      error: 'insufficient_scope',
    },
    'no proof at introspection': { path: '/introspection', body: `token=${bait}`, error: /^invalid_(client|request)$/ },
    'no token at revocation': { path: '/revocation', headers: authorized, body: 'x=y', error: 'invalid_request' },
    'JSON at revocation': {
      path: '/revocation',
      headers: authorized,
      type: 'application/json',
      body: '{}',
      error: 'invalid_request',
    },
    'another address pushed': {
      path: '/par',
      headers: authorized,
      body: () => push(`redirect_uri=https://${bait}.example/`),
      error: 'invalid_request',
    },
    'a scope of nonsense pushed': {
      path: '/par',
      headers: authorized,
      body: () => push(`prompt=${bait}`),
      error: 'invalid_request',
    },
    'a request by reference pushed': {
      path: '/par',
      headers: authorized,
      body: () => push(`request_uri=https://${bait}.example/`),
      error: /^(invalid_request|request_uri_not_supported)$/,
    },
    'a request that is no JWT': {
      path: '/par',
      headers: authorized,
      body: () => push(`request=${bait}`),
      error: 'invalid_request_object',
    },
    'claims of nonsense pushed': {
      path: '/par',
      headers: authorized,
      body: () => push(`claims=${bait}`),
      error: 'invalid_request',
    },
  };

  test.each(Object.keys(wrong))('%s', async (name) => {
    const {
      method = 'POST',
      path = '/token',
      body,
      type = form,
      headers,
      status = [400, 401],
      error,
    } = wrong[name] as Wrong;
    const text = typeof body === 'function' ? body() : body;
    const answer = await fetch(`${issuer()}${path}`, {
      method,
      // As some libraries do that read no HTML at all.
      headers: { accept: 'text/html, image/gif, */*; q=.2', ...(text ? { 'content-type': type } : {}), ...headers?.() },
      ...(text === undefined ? {} : { body: text }),
    });
    const said = await answer.text();
    expect(answer.headers.get('content-type')).toMatch(/^application\/json/);
    expect(status).toContain(answer.status);
    const told = JSON.parse(said) as Record<string, string>;
    expect(told.error).toMatch(error);
    expect(Object.keys(told).filter((key) => !['error', 'error_description'].includes(key))).toEqual([]);
    expect(told.error_description ?? '').toMatch(/^[\x20\x21\x23-\x5b\x5d-\x7e]*$/);
    // The scope that is needed may be named there (RFC 6750 section 3), and here it is the one that was sent.
    const challenge = (answer.headers.get('www-authenticate') ?? '').replace(/, scope="[^"]*"/, '');
    expect(`${said} ${challenge}`.toLowerCase()).not.toContain(bait.toLowerCase());
    expect(said).not.toMatch(/node_modules|\/work\/|\.[jt]s:|SELECT|kysely|at async/);
    expect(answer.headers.get('cache-control')).toBe('no-store');
    // RFC 6749 section 5.2, RFC 6750 section 3.
    if (answer.status === 401 && (headers || path === '/userinfo'))
      expect(answer.headers.get('www-authenticate')).toBeTruthy();
  });

  test.each([
    ['GET', '/token'],
    ['PUT', '/token'],
    ['DELETE', '/auth'],
    ['POST', '/jwks'],
    ['POST', '/.well-known/openid-configuration'],
    ['PATCH', '/userinfo'],
    ['GET', '/par'],
    ['GET', '/introspection'],
    ['GET', `/${bait}`],
    ['POST', `/token/${bait}`],
    ['GET', '/register'],
    ['GET', '/'],
  ])('%s %s is no address, and no failure', async (method, path) => {
    for (const accept of ['application/json', 'text/html']) {
      const answer = await fetch(`${issuer()}${path}`, { method, headers: { accept } });
      expect([404, 405]).toContain(answer.status);
    }
  });

  test('our own failure is logged once with the request’s id, and told without its cause', async () => {
    await sql`ALTER TABLE topics RENAME TO topics_away`.execute(gapura.db);
    const before = gapura.log.length;
    try {
      for (const [method, path] of [
        ['POST', '/token'],
        ['POST', '/introspection'],
        ['POST', '/par'],
      ] as const) {
        const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: 'x' });
        const answer = await fetch(`${issuer()}${path}`, { method, body, headers: authorized() });
        expect(answer.status).toBe(500);
        expect(await answer.json()).toEqual({ error: 'server_error', error_description: 'please try again later' });
        const id = answer.headers.get('x-request-id');
        const lines = gapura.log
          .slice(before)
          .filter((line) => line.request_id === id && line.msg === 'request failed');
        expect(lines).toHaveLength(1);
      }
    } finally {
      await sql`ALTER TABLE topics_away RENAME TO topics`.execute(gapura.db);
    }
  });
});

test('while the database is away a program is told to come again', async () => {
  const { Client } = gapura.gapura.engine.provider;
  const { find } = Client;
  Client.find = () => Promise.reject(Object.assign(new Error('connect'), { code: 'ECONNREFUSED' }));
  try {
    const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: 'x' });
    const answer = await fetch(`${issuer()}/token`, { method: 'POST', body, headers: { authorization: basic } });
    // Where people come by, one may come by, too.
    const end = await fetch(`${issuer()}/session/end?client_id=x`);
    for (const one of [answer, end]) {
      expect([one.status, one.headers.get('retry-after')]).toEqual([503, '5']);
      expect(await one.json()).toMatchObject({ error: 'temporarily_unavailable' });
    }
  } finally {
    Client.find = find;
  }
});

describe('an error shows a person a page with words, a number and a way on', () => {
  const proper = () => ({
    client_id: 'rekan',
    response_type: 'code',
    scope: 'openid',
    redirect_uri: party.redirect_uri,
    code_challenge: 'x'.repeat(43),
    code_challenge_method: 'S256',
  });
  const without = (...names: string[]) =>
    Object.fromEntries(Object.entries(proper()).filter(([name]) => !names.includes(name)));
  const wrong: Record<string, () => string> = {
    'a client that nobody knows': () => `/auth?${new URLSearchParams({ ...proper(), client_id: bait })}`,
    'no client': () => `/auth?${new URLSearchParams(without('client_id'))}`,
    'a client twice': () => `/auth?${new URLSearchParams(proper())}&client_id=${bait}`,
    'a client as a list': () => `/auth?${new URLSearchParams(without('client_id'))}&client_id[]=rekan`,
    'another address to return to': () =>
      `/auth?${new URLSearchParams({ ...proper(), redirect_uri: `https://${bait}.example/` })}`,
    'an address twice, of two that it may be': () =>
      `/auth?${new URLSearchParams({ ...proper(), client_id: 'dua' })}&redirect_uri=https://${bait}.example/`,
    'a pushed request that nobody pushed': () =>
      `/auth?client_id=dua&request_uri=urn:ietf:params:oauth:request_uri:${bait}`,
    'nothing at all': () => '/auth',
    'a way back that is over': () => '/auth/sudah-lewat',
    'a sign-out with a wrong hint': () => `/session/end?id_token_hint=${bait}`,
    'a sign-out to another address': () =>
      `/session/end?client_id=rekan&post_logout_redirect_uri=https://${bait}.example/`,
    'a sign-out that nobody confirmed': () => '/session/end/success?client_id=tidak-ada',
  };

  test.each(Object.keys(wrong))('%s', async (name) => {
    for (const language of ['id', 'en']) {
      const visitor = newHttpVisitor(gapura.url);
      await visitor.get(`/?lang=${language}`);
      const answer = await visitor.get(`${issuer()}${wrong[name]?.()}`, {
        follow: false,
        headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' },
      });
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.status).toBeLessThan(500);
      expect(answer.headers.get('location')).toBeNull();
      expect(answer.body).toContain(`<html lang="${language}">`);
      const [main = ''] = /<main[\s\S]*<\/main>/.exec(answer.body) ?? [];
      expect(readText(main)).toContain(answer.headers.get('x-request-id') ?? 'no id');
      expect(main).toMatch(/<a class="button[^>]*href="/);
      expect(main).not.toContain(bait);
      expect(main).not.toMatch(/undefined|\[object|node_modules|invalid_/);
    }
  });
});
