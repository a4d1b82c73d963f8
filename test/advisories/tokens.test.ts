/** What went wrong with codes and tokens elsewhere, tried here: cut, given to another client, mistaken for something else. */

import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createLocalJWKSet, decodeJwt, exportJWK, generateKeyPair, jwtVerify, SignJWT } from 'jose';
import pg from 'pg';
import { moveClock, resetClock } from '../support/clock.ts';
import { demo_password, registerClient, startGapura, type TestGapura } from '../support/gapura.ts';
import { findForm, type HttpVisitor, newHttpVisitor } from '../support/http.ts';
import { authorize, openParty, type TestParty } from '../support/relying-party.ts';

let gapura: TestGapura;
let own: Client;
let foreign: Client;
let open: Client;
/** Signed in as Budi, at every client above. */
let budi: HttpVisitor;

interface Client extends TestParty {
  id: string;
  /** A form to an address of the issuer, with the client's own proof of who it is. */
  ask(path: string, form: Record<string, string>, headers?: Record<string, string>): Promise<Answer>;
}

interface Answer {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: each test knows what it asked for
  body: any;
}

beforeAll(async () => {
  gapura = await startGapura();
  own = await openClient('milik-sendiri');
  foreign = await openClient('milik-lain');
  open = await openClient('terbuka', false);
  budi = newHttpVisitor(gapura.url);
});

afterEach(async () => {
  await resetClock(gapura.db);
  jest.restoreAllMocks();
});

afterAll(() => gapura?.stop());

async function openClient(id: string, has_secret = true): Promise<Client> {
  const metadata = { scope: 'openid profile', ...(has_secret ? {} : { token_endpoint_auth_method: 'none' }) };
  const client = await registerClient(gapura, id, { metadata });
  const { client_secret } = client;
  const party = await openParty(gapura.config.issuer, has_secret ? client : { ...client, client_secret: undefined });
  const basic = `Basic ${Buffer.from(`${id}:${client_secret}`).toString('base64')}`;
  return {
    ...party,
    id,
    ask: (path, form, headers = {}) =>
      send(
        path,
        { ...(has_secret ? {} : { client_id: id }), ...form },
        has_secret ? { authorization: basic, ...headers } : headers,
      ),
  };
}

async function send(path: string, form: Record<string, string>, headers: Record<string, string> = {}): Promise<Answer> {
  const response = await fetch(gapura.config.issuer + path, {
    method: 'POST',
    headers,
    body: new URLSearchParams(form),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) };
}

async function callUserinfo(token: string): Promise<Answer> {
  const response = await fetch(`${gapura.config.issuer}/userinfo`, { headers: { authorization: `Bearer ${token}` } });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

/** A code, with all that is sent to redeem it. */
async function getCode(client: Client, parameters: Record<string, string> = {}, visitor = budi, identifier = 'budi') {
  const { address, checks } = await client.begin(parameters);
  const returned = await authorize(visitor, address, client.redirect_uri, { identifier, password: demo_password });
  const form = {
    grant_type: 'authorization_code',
    code: returned.searchParams.get('code') ?? '',
    redirect_uri: client.redirect_uri,
    code_verifier: checks.pkceCodeVerifier ?? '',
  };
  return { form, returned, checks };
}

async function getTokens(
  client: Client,
  ...rest: Parameters<typeof getCode> extends [unknown, ...infer R] ? R : never
) {
  const { form } = await getCode(client, ...rest);
  const { status, body } = await client.ask('/token', form);
  expect({ status, error: body.error }).toEqual({ status: 200 });
  return body as { access_token: string; refresh_token: string; id_token: string };
}

const refresh = (client: Client, refresh_token: string, more: Record<string, string> = {}) =>
  client.ask('/token', { grant_type: 'refresh_token', refresh_token, ...more });

describe('CVE-2026-27840 (a token that is cut is still a token)', () => {
  /** Parts of a text, longer and shorter ones. */
  const spoil = (text: string) => [
    ...[1, 2, 4, Math.floor(text.length / 2), text.length - 1].flatMap((cut) => [text.slice(cut), text.slice(0, -cut)]),
    `${text}A`,
    `A${text}`,
    `${text}=`,
    `${text}%00`,
    `${text}\0`,
    ` ${text}`,
    text.toLowerCase(),
    text.toUpperCase(),
  ];

  test('no part of a code, an access token or a refresh token is good for anything', async () => {
    const { form } = await getCode(own);
    for (const code of spoil(form.code)) {
      const { status, body } = await own.ask('/token', { ...form, code });
      expect([code, status, body.error]).toEqual([code, 400, expect.stringMatching(/^invalid_(grant|request)$/)]);
    }
    const { body: tokens } = await own.ask('/token', form);
    for (const part of spoil(tokens.refresh_token))
      expect([part, (await refresh(own, part)).status]).toEqual([part, 400]);
    for (const part of spoil(tokens.access_token)) {
      const asked = await own.ask('/introspection', { token: part });
      expect([part, asked.status === 400 || asked.body.active === false]).toEqual([part, true]);
      // What HTTP trims or cannot carry is no cut.
      if (/^[\x21-\x7e]+$/.test(part)) expect([part, (await callUserinfo(part)).status]).toEqual([part, 401]);
    }
    expect((await callUserinfo(tokens.access_token)).status).toBe(200);
    expect((await refresh(own, tokens.refresh_token)).status).toBe(200);
  });

  test('no part of a pushed request opens anything', async () => {
    const { searchParams } = new URL((await own.begin()).address);
    const pushed = await own.ask('/par', Object.fromEntries(searchParams));
    const { request_uri } = pushed.body;
    const [, id = ''] = /request_uri:(.*)$/.exec(request_uri) ?? [];
    for (const part of spoil(id)) {
      const query = new URLSearchParams({ client_id: own.id, request_uri: request_uri.replace(id, part) });
      const answer = await budi.get(`${gapura.config.issuer}/auth?${query}`, { follow: false });
      const told = new URL(answer.headers.get('location') ?? 'about:blank').searchParams;
      const is_refused = answer.status === 400 || told.get('error') === 'invalid_request_uri';
      expect([part, is_refused, told.has('code')]).toEqual([part, true, false]);
    }
  });
});

describe('what one client was given is nothing to another', () => {
  test('CVE-2026-16089 and CVE-2026-55672: a code, of the same person in the same session', async () => {
    await getTokens(foreign);
    const { form } = await getCode(own);
    for (const thief of [foreign, open]) {
      for (const redirect_uri of [own.redirect_uri, thief.redirect_uri]) {
        const { status, body } = await thief.ask('/token', { ...form, redirect_uri });
        expect([status, body.error]).toEqual([400, 'invalid_grant']);
      }
    }
    // By its name alone a client that has a secret is nobody.
    const unproven = await send('/token', { ...form, client_id: own.id });
    expect([unproven.status, unproven.body.error]).toEqual([401, 'invalid_client']);
    const both = await foreign.ask('/token', { ...form, client_id: own.id });
    expect([400, 401]).toContain(both.status);
  });

  test('CVE-2026-55672: a refresh token', async () => {
    const { refresh_token } = await getTokens(own);
    for (const thief of [foreign, open]) {
      const { status, body } = await refresh(thief, refresh_token);
      expect([status, body.error]).toEqual([400, 'invalid_grant']);
    }
    // The thief's try was not the owner's reuse.
    expect((await refresh(own, refresh_token)).status).toBe(200);
  });

  test('introspection tells it nothing, and revocation ends nothing', async () => {
    const { access_token, refresh_token } = await getTokens(own);
    for (const token of [access_token, refresh_token]) {
      for (const hint of ['access_token', 'refresh_token', 'asing']) {
        const asked = await foreign.ask('/introspection', { token, token_type_hint: hint });
        expect([asked.status, asked.body]).toEqual([200, { active: false }]);
        expect((await foreign.ask('/revocation', { token, token_type_hint: hint })).status).toBe(200);
      }
    }
    expect((await own.ask('/introspection', { token: access_token })).body).toMatchObject({ active: true });
    expect((await refresh(own, refresh_token)).status).toBe(200);
  });

  test('CVE-2026-4325: a number that was used once by one client, or for one thing, frees and blocks nothing elsewhere', async () => {
    const { privateKey, publicKey } = await generateKeyPair('ES256');
    const jwk = { ...(await exportJWK(publicKey)), alg: 'ES256' };
    const service = {
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      jwks: { keys: [jwk] },
    };
    for (const id of ['mesin-a', 'mesin-b']) {
      const metadata = { ...service, token_endpoint_auth_method: 'private_key_jwt' };
      await registerClient(gapura, id, { metadata });
    }
    const sign = (claims: object, header = {}) =>
      new SignJWT({ iat: Math.floor(Date.now() / 1000), ...claims })
        .setProtectedHeader({ alg: 'ES256', ...header })
        .sign(privateKey);
    const { issuer } = gapura.config;
    const call = async (client_id: string, jti: string, proof_jti?: string) => {
      const exp = Math.floor(Date.now() / 1000) + 60;
      const client_assertion = await sign({ iss: client_id, sub: client_id, aud: issuer, jti, exp });
      const htu = `${issuer}/token`;
      const head = { typ: 'dpop+jwt', jwk: await exportJWK(publicKey) };
      const proof = proof_jti && { dpop: await sign({ htm: 'POST', htu, jti: proof_jti }, head) };
      const type = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
      const form = { grant_type: 'client_credentials', client_assertion, client_assertion_type: type };
      return (await send('/token', form, proof ? { ...proof } : {})).status;
    };
    expect(await call('mesin-a', 'satu')).toBe(200);
    expect(await call('mesin-a', 'satu')).toBe(401);
    expect(await call('mesin-b', 'satu')).toBe(200);
    // Where names and numbers were only put together, these two would be one: "mesin-ab" and "c", "mesin-a" and "bc".
    expect(await call('mesin-a', 'bsatu')).toBe(200);
    expect(await call('mesin-a', 'dua', 'tiga')).toBe(200);
    // The proof of possession with a number that an assertion had gives neither of them back.
    await call('mesin-a', 'empat', 'satu');
    expect(await call('mesin-a', 'satu')).toBe(401);
    await call('mesin-a', 'tiga');
    expect(await call('mesin-a', 'lima', 'tiga')).toBe(400);
  });
});

describe('CVE-2024-23647 and CVE-2023-48228 (PKCE that can be left out)', () => {
  test.each([
    ['none', { code_verifier: '' }],
    ['another', { code_verifier: 'A'.repeat(43) }],
    ['the challenge itself', 'challenge' as const],
    ['one that is too short', { code_verifier: 'A'.repeat(42) }],
    ['one that is too long', { code_verifier: 'A'.repeat(129) }],
  ])('a code with a challenge is given nothing for the verifier: %s', async (_what, verifier) => {
    for (const client of [own, open]) {
      const { form, checks } = await getCode(client);
      const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(String(checks.pkceCodeVerifier)));
      const sent = verifier === 'challenge' ? { code_verifier: Buffer.from(hash).toString('base64url') } : verifier;
      const left = Object.fromEntries(Object.entries({ ...form, ...sent }).filter(([, value]) => value !== ''));
      const { status, body } = await client.ask('/token', left);
      expect([status, body.error]).toEqual([400, expect.stringMatching(/^invalid_(grant|request)$/)]);
    }
  });

  test.each([
    ['no challenge', { code_challenge: '', code_challenge_method: '' }],
    ['plain', { code_challenge_method: 'plain' }],
    ['no method, which would mean plain', { code_challenge_method: '' }],
    ['an unknown method', { code_challenge_method: 'S512' }],
    ['a method in small letters', { code_challenge_method: 's256' }],
    ['a challenge that is too short', { code_challenge: 'A'.repeat(42) }],
  ])('a request is refused that has %s', async (_what, spoilt) => {
    for (const client of [own, open]) {
      const { address } = await client.begin();
      const url = new URL(address);
      for (const [name, value] of Object.entries(spoilt))
        value === '' ? url.searchParams.delete(name) : url.searchParams.set(name, value);
      const returned = await authorize(budi, url.href, client.redirect_uri);
      expect([returned.searchParams.get('error'), returned.searchParams.has('code')]).toEqual([
        'invalid_request',
        false,
      ]);
    }
  });
});

test('issue 50999 (rotations told apart by seconds): of two within one second each counts once, and reuse ends the family', async () => {
  // A tenth of a second into a second of our own choosing, so that both fall into it.
  const ahead = (1100 - (Date.now() % 1000)) / 1000;
  await moveClock(gapura.db, ahead);
  const { refresh_token: first } = await getTokens(open);
  const second = await refresh(open, first);
  const third = await refresh(open, second.body.refresh_token);
  expect([second.status, third.status]).toEqual([200, 200]);
  expect(new Set([first, second.body.refresh_token, third.body.refresh_token]).size).toBe(3);
  for (const spent of [first, second.body.refresh_token])
    expect((await refresh(open, spent)).body).toMatchObject({ error: 'invalid_grant' });
  // A client that asked twice in one moment loses nothing; a thief who comes later, everything.
  await moveClock(gapura.db, ahead + 10);
  expect((await refresh(open, first)).body.error).toBe('invalid_grant');
  expect((await refresh(open, third.body.refresh_token)).body.error).toBe('invalid_grant');
  expect((await callUserinfo(third.body.access_token)).status).toBe(401);
});

test('CVE-2024-52287: no grant gives a scope that the client is not registered for', async () => {
  const { address } = await own.begin({ scope: 'openid email admin:write' });
  const returned = await authorize(budi, address, own.redirect_uri);
  expect(returned.searchParams.get('error')).toBe('invalid_scope');
  const { refresh_token } = await getTokens(own);
  for (const scope of ['openid profile email', 'openid admin:read']) {
    const { status, body } = await refresh(own, refresh_token, { scope });
    expect([status, body.error]).toEqual([400, 'invalid_scope']);
  }
  const { client_id, client_secret } = await registerClient(gapura, 'mesin-saja', {
    metadata: { grant_types: ['client_credentials'], redirect_uris: [], response_types: [], scope: 'openid' },
  });
  const authorization = `Basic ${Buffer.from(`${client_id}:${client_secret}`).toString('base64')}`;
  for (const scope of ['admin:read', 'openid admin:write', 'email'])
    expect((await send('/token', { grant_type: 'client_credentials', scope }, { authorization })).body.error).toBe(
      'invalid_scope',
    );
});

test('ASVS 10.4.4: no client gets a grant that it is not registered for, and some grants nobody gets', async () => {
  const asked = { username: 'budi', password: demo_password, scope: 'openid', assertion: 'a.b.c', device_code: 'x' };
  const unknown = ['password', 'implicit', 'urn:ietf:params:oauth:grant-type:jwt-bearer', 'toString', '__proto__'];
  for (const grant_type of unknown) {
    const { status, body } = await own.ask('/token', { ...asked, grant_type });
    expect([grant_type, status, body.error]).toEqual([grant_type, 400, 'unsupported_grant_type']);
  }
  const { status, body } = await own.ask('/token', { ...asked, grant_type: 'client_credentials' });
  expect([status, body.error]).toEqual([400, expect.stringMatching(/^(unauthorized_client|invalid_request)$/)]);
});

test('ASVS 9.2.2: a token of one kind is none of another', async () => {
  const tokens = await getTokens(own);
  const { form } = await getCode(own);
  for (const token of [tokens.id_token, tokens.refresh_token, form.code]) {
    expect((await callUserinfo(token)).status).toBe(401);
    expect((await refresh(own, token === tokens.refresh_token ? tokens.access_token : token)).status).toBe(400);
  }
  for (const code of [tokens.access_token, tokens.refresh_token, tokens.id_token])
    expect((await own.ask('/token', { ...form, code })).body.error).toBe('invalid_grant');
  for (const hint of [tokens.access_token, tokens.refresh_token]) {
    const { address } = await own.begin({ prompt: 'none', id_token_hint: hint });
    const returned = await authorize(budi, address, own.redirect_uri);
    expect(returned.searchParams.get('error')).toBe('invalid_request');
  }
  expect((await own.ask('/token', form)).status).toBe(200);
});

test('CVE-2025-12390: of two people in one browser each is only themselves', async () => {
  const visitor = newHttpVisitor(gapura.url);
  const first = await getTokens(own, {}, visitor, 'tono');
  const signed_out = await visitor.get('/connect/session/end');
  await visitor.submit(signed_out, { logout: 'yes' }, 'sign-out');
  const second = await getTokens(own, { prompt: 'login' }, visitor, 'sari');
  const [tono, sari] = [decodeJwt(first.id_token), decodeJwt(second.id_token)];
  expect(tono.sub).not.toBe(sari.sub);
  expect((await callUserinfo(second.access_token)).body).toMatchObject({ sub: sari.sub, preferred_username: 'sari' });
  // What Tono had ended with him, and turned into nothing of hers.
  expect((await callUserinfo(first.access_token)).status).toBe(401);
  expect((await refresh(own, first.refresh_token)).body.error).toBe('invalid_grant');
});

test.each([
  `"></form><script>alert(1)</script>`,
  `'"><img src=x onerror=alert(1)>`,
  `</textarea><svg/onload=alert(1)>`,
  `javascript:alert(1)//`,
  `&quot;&gt;&lt;script&gt;`,
  `{{constructor.constructor('alert(1)')()}}<%= 1 %>`,
  `\u2028\u2029</script>`,
])('CVE-2026-42849: a page that sends itself holds the state %s as text, and no script of anybody', async (state) => {
  await getTokens(own);
  const open = async (sent: string) => budi.get((await own.begin({ response_mode: 'form_post', state: sent })).address);
  const { status, headers, body } = await open(state);
  expect(status).toBe(200);
  expect(findForm(body, 'forward').fields).toMatchObject({ state, code: expect.any(String) });
  const listTags = (html: string) => html.match(/<[a-z!/][^\s>]*/gi);
  expect(listTags(body)).toEqual(listTags((await open('biasa')).body));
  expect(headers.get('content-security-policy')).not.toMatch(/unsafe|sha256/);
});

test('CVE-2020-15223: a revocation that the database did not take is no success, and can be asked for again', async () => {
  const { refresh_token } = await getTokens(own);
  const { query } = pg.Client.prototype;
  jest.spyOn(pg.Client.prototype, 'query').mockImplementation(function (this: pg.Client, ...args: unknown[]) {
    const [first] = args as [string | { text: string }];
    if (!/^delete/i.test(typeof first === 'string' ? first : first.text)) return Reflect.apply(query, this, args);
    return Promise.reject(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }));
  } as typeof query);
  const failed = await own.ask('/revocation', { token: refresh_token });
  expect([failed.status, failed.headers.get('retry-after')]).toEqual([503, expect.any(String)]);
  expect(JSON.stringify(failed.body)).not.toMatch(/ECONN|postgres/);
  jest.restoreAllMocks();
  expect((await own.ask('/revocation', { token: refresh_token })).status).toBe(200);
  expect((await refresh(own, refresh_token)).body.error).toBe('invalid_grant');
});

test('CVE-2015-9235 (keys taken from the token): an ID token is believed by our own keys and algorithms alone', async () => {
  const { id_token } = await getTokens(own);
  const jwks = await (await fetch(`${gapura.config.issuer}/jwks`)).json();
  const claims = (await jwtVerify(id_token, createLocalJWKSet(jwks))).payload;
  const stranger = await generateKeyPair('RS256');
  const jwk = await exportJWK(stranger.publicKey);
  const kid = jwks.keys[0].kid;
  const sign = (header: Record<string, unknown>) =>
    new SignJWT(claims).setProtectedHeader({ alg: 'RS256', ...header }).sign(stranger.privateKey);
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const [, payload] = id_token.split('.');
  const secret = new TextEncoder().encode(JSON.stringify(jwks.keys[0]));
  const forged = [
    await sign({ kid }),
    await sign({ jwk }),
    await sign({ kid, jku: 'https://jahat.contoh.example/jwks' }),
    await sign({ kid, x5u: 'https://jahat.contoh.example/x5u' }),
    await new SignJWT(claims).setProtectedHeader({ alg: 'HS256', kid }).sign(secret),
    ...['none', 'None', 'nOnE', 'NONE'].map((alg) => `${encode({ alg, kid })}.${payload}.`),
    id_token.replace(/.([^.]{20})$/, (_, rest) => `${id_token.at(-21) === 'A' ? 'B' : 'A'}${rest}`),
  ];
  for (const id_token_hint of forged) {
    const { address } = await own.begin({ prompt: 'none', id_token_hint });
    const returned = await authorize(budi, address, own.redirect_uri);
    expect([id_token_hint.slice(0, 60), returned.searchParams.get('error')]).toEqual([
      expect.anything(),
      'invalid_request',
    ]);
  }
  const { address } = await own.begin({ prompt: 'none', id_token_hint: id_token });
  expect((await authorize(budi, address, own.redirect_uri)).searchParams.has('code')).toBe(true);
});
