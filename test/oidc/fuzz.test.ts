/** Every parameter of every endpoint, spoilt one at a time: an error by the standard, or a page; never our failure, never an echo. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { inTransaction } from '../../src/database.ts';
import { issueInitialAccessToken } from '../../src/oidc/clients/initial-tokens.ts';
import { recordKey } from '../../src/oidc/records/store.ts';
import { demo_password, registerClient, startGapura, type TestGapura } from '../support/gapura.ts';
import { type HttpVisitor, newHttpVisitor } from '../support/http.ts';
import { setTestPolicy } from '../support/policy.ts';
import { authorize, openParty, type TestParty } from '../support/relying-party.ts';
import { sendRequest, type WireAnswer, type WireRequest } from '../support/wire.ts';

let gapura: TestGapura;
let party: TestParty;
let member: HttpVisitor;
let basic: string;
let initial_token: string;
let port: number;
let host: string;

const at_once = 8;
const type_of_forms = 'application/x-www-form-urlencoded';
const assertion_type = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const token_type = 'urn:ietf:params:oauth:token-type:access_token';

beforeAll(async () => {
  gapura = await startGapura();
  const grant_types = ['authorization_code', 'refresh_token', 'client_credentials'];
  const client = await registerClient(gapura, 'kabur', { metadata: { grant_types } });
  party = await openParty(gapura.config.issuer, client);
  basic = `Basic ${Buffer.from(`kabur:${client.client_secret}`).toString('base64')}`;
  ({ host } = new URL(gapura.url));
  port = Number(new URL(gapura.url).port);
  member = newHttpVisitor(gapura.url);
  await authorize(member, (await party.begin()).address, party.redirect_uri, {
    identifier: 'budi',
    password: demo_password,
  });
  await setTestPolicy(gapura.db, 'clients.dynamic_registration', true);
  const order = { by: null, expires_in: 3600, clients: 1000 };
  const store = { id_key: recordKey(gapura.config) };
  initial_token = (await inTransaction(gapura.db, (tx) => issueInitialAccessToken(tx, store, order))).token;
});

afterAll(() => gapura?.stop());

/** A proper request to one endpoint. */
interface Endpoint {
  path: string;
  method: 'GET' | 'POST';
  fields: Record<string, string>;
  /** What it could have besides. */
  others?: string[];
  headers?: Record<string, string>;
  /** People see its answers. */
  shows_pages?: boolean;
  /** Another endpoint reads the same in the same way. */
  is_like_another?: boolean;
}

async function getMetadata(): Promise<Record<string, unknown>> {
  return (await fetch(`${gapura.config.issuer}/.well-known/openid-configuration`)).json() as Promise<
    Record<string, unknown>
  >;
}

/** All of them, by the names of the metadata where they stand there. */
async function listEndpoints(): Promise<Record<string, Endpoint>> {
  const { address, checks } = await party.begin();
  const returned = await authorize(member, address, party.redirect_uri);
  const { access_token, refresh_token = '' } = await party.redeem(returned, checks);
  const request = Object.fromEntries(new URL((await party.begin()).address).searchParams);
  const { redirect_uri } = party;
  const own = { authorization: basic };
  const bearer = { authorization: `Bearer ${access_token}` };
  const token = (fields: Record<string, string>, others: string[] = []): Endpoint => {
    return { path: '/token', method: 'POST', fields, others: ['scope', 'resource', ...others], headers: own };
  };
  const asked = [
    ...['prompt', 'max_age', 'display', 'ui_locales', 'claims_locales', 'id_token_hint', 'login_hint', 'acr_values'],
    ...[
      'claims',
      'request',
      'request_uri',
      'registration',
      'response_mode',
      'resource',
      'dpop_jkt',
      'authorization_details',
    ],
  ];
  const cookie = member.cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
  const code = { grant_type: 'authorization_code', code: 'a'.repeat(43), redirect_uri, code_verifier: 'b'.repeat(43) };
  const leave = { client_id: 'kabur', state: 'x', ui_locales: 'id', logout_hint: 'x' };
  const device: Record<string, Endpoint> = {
    device_authorization: {
      ...{ path: '/device/auth', method: 'POST', fields: { client_id: 'kabur', scope: 'openid' }, headers: own },
    },
    'device code typed': {
      path: '/device',
      method: 'POST',
      fields: { user_code: 'BCDF-GHJK', xsrf: 'x' },
      shows_pages: true,
    },
    'device code in the address': {
      path: '/device',
      method: 'GET',
      fields: { user_code: 'BCDF-GHJK' },
      shows_pages: true,
    },
  };
  return {
    authorization: { path: '/auth', method: 'GET', fields: request, others: asked, shows_pages: true },
    'authorization, signed in': {
      ...{ path: '/auth', method: 'GET', fields: request, others: asked, shows_pages: true, is_like_another: true },
      headers: { cookie },
    },
    'authorization by a form': {
      ...{ path: '/auth', method: 'POST', fields: request, others: asked, shows_pages: true, is_like_another: true },
    },
    pushed_authorization_request: { path: '/par', method: 'POST', fields: request, others: asked, headers: own },
    'token: code': token(code),
    'token: refresh': token({ grant_type: 'refresh_token', refresh_token }),
    'token: for itself': token({ grant_type: 'client_credentials', scope: 'openid' }),
    'token: device': token({ grant_type: 'urn:ietf:params:oauth:grant-type:device_code', device_code: 'a'.repeat(43) }),
    'token: exchange': token(
      {
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token: access_token,
        subject_token_type: token_type,
      },
      ['audience', 'actor_token', 'actor_token_type', 'requested_token_type'],
    ),
    'token: by an assertion': {
      ...token({ ...code, client_id: 'kabur', client_assertion: 'a.b.c', client_assertion_type: assertion_type }),
      headers: {},
    },
    'token: by a secret in the form': {
      ...token({ ...code, client_id: 'kabur', client_secret: 'rahasia' }),
      headers: {},
    },
    userinfo: { path: '/userinfo', method: 'GET', fields: {}, others: ['scope', 'x'], headers: bearer },
    'userinfo by a form': { path: '/userinfo', method: 'POST', fields: { access_token } },
    introspection: {
      ...{ path: '/introspection', method: 'POST', fields: { token: access_token, token_type_hint: 'access_token' } },
      headers: own,
    },
    revocation: {
      ...{ path: '/revocation', method: 'POST', fields: { token: 'a'.repeat(43), token_type_hint: 'access_token' } },
      headers: own,
    },
    registration: {
      ...{
        path: '/register',
        method: 'POST',
        fields: { a: '1' },
        headers: { authorization: `Bearer ${initial_token}` },
      },
    },
    'registered client': { path: '/register/kabur', method: 'GET', fields: {}, others: ['x'], headers: bearer },
    end_session: {
      ...{ path: '/session/end', method: 'GET', fields: leave, shows_pages: true },
      others: ['id_token_hint', 'post_logout_redirect_uri'],
    },
    'end_session by a form': { path: '/session/end', method: 'POST', fields: leave, shows_pages: true },
    'end of a session, confirmed': {
      ...{ path: '/session/end/confirm', method: 'POST', fields: { xsrf: 'x', logout: 'yes' }, shows_pages: true },
    },
    ...((await getMetadata()).device_authorization_endpoint ? device : {}),
  };
}

/** Stands in every spoilt value; no program is told it again, and no page holds it as a tag. */
const echo = 'gema<x-gema>';
const odd = encodeURIComponent(echo);

/** Name and value as they are sent, in place of a proper one. */
const spoil: Record<string, (name: string, value: string) => string[]> = {
  missing: () => [],
  empty: (name) => [`${name}=`],
  'without a sign': (name) => [name],
  twice: (name, value) => [`${name}=${value}`, `${name}=${value}`],
  'twice, differing': (name, value) => [`${name}=${value}`, `${name}=${odd}`],
  'a list': (name, value) => [`${name}[]=${value}`, `${name}[]=${odd}`],
  'an object': (name, value) => [`${name}[x]=${value}`, `${name}[__proto__]=${odd}`],
  another: (name) => [`${name}=${odd}`],
  longer: (name, value) => [`${name}=${value}${odd}`],
  'a NUL inside': (name, value) => [`${name}=${value}%00${odd}`],
  'no UTF-8': (name) => [`${name}=%ff%fe${odd}`],
  'half a character': (name) => [`${name}=%ED%A0%80${odd}`],
  'no encoding': (name) => [`${name}=%zz${odd}`],
  'raw bytes': (name) => [`${name}=\u00ff\u00fe${odd}`],
  'two lines': (name) => [`${name}=x%0d%0aset-cookie:%20x=1${odd}`],
  JSON: (name) => [`${name}=%7B%22${odd}%22%3A%7B%22__proto__%22%3A%5B1%5D%7D%7D`],
  'a number': (name) => [`${name}=-1e309`],
  'capital name': (name, value) => [`${name.toUpperCase()}=${value}`],
  'of 15 kB': (name) => [`${name}=${'a'.repeat(15_000)}`],
  'of 100 kB': (name) => [`${name}=${'%41'.repeat(34_000)}`],
};

const all = Object.keys(spoil);
// Nothing else is looked at before the client has proven itself.
const few = ['missing', 'twice', 'a list', 'another', 'a NUL inside', 'no encoding', 'JSON', 'of 100 kB'];

function* spoilEach({ fields, others = [] }: Endpoint, kinds: string[]): Generator<[what: string, text: string]> {
  const proper = Object.entries(fields).map(([name, value]) => [name, encodeURIComponent(value)] as const);
  for (const name of [...Object.keys(fields), ...others]) {
    const value = encodeURIComponent(fields[name] ?? 'x');
    const rest = proper.filter(([other]) => other !== name).map((pair) => pair.join('='));
    for (const kind of kinds) yield [`${name} ${kind}`, [...rest, ...(spoil[kind]?.(name, value) ?? [])].join('&')];
  }
}

function makeRequest({ path, method, headers = {} }: Endpoint, text: string): WireRequest {
  const target = `/connect${path}`;
  const sent: [string, string][] = [['host', host], ...Object.entries(headers)];
  // A line of the request holds no blanks, and node's own parser refuses longer ones before us.
  if (method === 'GET') return { method, target: `${target}?${text.replace(/[^\x21-\xff]/g, '%20')}`, headers: sent };
  return { method, target, headers: [...sent, ['content-type', type_of_forms]], body: text };
}

/** RFC 6749, 6750, 7009, 7591, 8628, 8693, 8707, 9101, 9126 and 9449; OpenID Connect Core 3.1.2.6. */
const errors = new Set([
  ...['invalid_request', 'invalid_client', 'invalid_grant', 'unauthorized_client', 'unsupported_grant_type'],
  ...['invalid_scope', 'access_denied', 'unsupported_response_type', 'invalid_token', 'insufficient_scope'],
  ...[
    'unsupported_token_type',
    'invalid_redirect_uri',
    'invalid_client_metadata',
    'authorization_pending',
    'slow_down',
  ],
  ...['expired_token', 'invalid_target', 'invalid_request_uri', 'invalid_request_object', 'request_not_supported'],
  ...['request_uri_not_supported', 'registration_not_supported', 'invalid_dpop_proof', 'use_dpop_nonce'],
  ...['login_required', 'consent_required', 'interaction_required', 'unmet_authentication_requirements'],
  ...['unsupported_response_mode', 'temporarily_unavailable', 'invalid_authorization_details'],
]);

/** What is wrong with an answer; nothing is what should be. */
function judge({ shows_pages = false }: Endpoint, answer: WireAnswer | undefined): string[] {
  if (!answer) return ['no answer'];
  const { status, headers, body } = answer;
  const header = (name: string) => headers.find(([known]) => known === name)?.[1] ?? '';
  const breaches: string[] = [];
  const must = (is_good: boolean, words: string) => is_good || breaches.push(words);
  must(status >= 200 && status < 500, `status ${status}`);
  must(!headers.some(([name, value]) => name === 'set-cookie' && value.startsWith('x=1')), 'sets a foreign cookie');
  // What is no HTTP, or more than node reads of a head, it answers itself.
  const is_ours = header('x-request-id') !== '';
  must(/no-store|no-cache/.test(header('cache-control')) || !is_ours, 'may be kept');
  const type = header('content-type').split(';')[0];
  const location = header('location');
  if (location !== '') {
    must(shows_pages && status === 303, `a redirect (${status})`);
    const url = new URL(location, gapura.url);
    must([gapura.url, new URL(party.redirect_uri).origin].includes(url.origin), `leads to ${url.origin}`);
    const error = url.searchParams.get('error');
    must(error === null || errors.has(error), `the error ${error}`);
    must(!url.searchParams.get('error_description')?.includes('gema'), 'echoes in its description');
  } else if (type === 'text/html') {
    must(shows_pages || status === 414 || status === 400, `a page (${status})`);
    must(!body.includes('<x-gema>'), 'holds a foreign tag');
    must(/default-src 'none'/.test(header('content-security-policy')), 'has no policy');
  } else if (type === 'application/json') {
    const said = JSON.parse(body);
    if (status < 400) return breaches;
    must(errors.has(said.error), `the error ${said.error}`);
    must(/^[\x20\x21\x23-\x5b\x5d-\x7e]*$/.test(said.error_description ?? ''), 'describes in odd characters');
    must(!body.includes('gema'), `echoes: ${body}`);
    const more = Object.keys(said).filter((name) => !['error', 'error_description', 'scope'].includes(name));
    must(more.length === 0, `says more: ${more}`);
    must(
      status !== 401 || !said.error.startsWith('invalid_token') || header('www-authenticate') !== '',
      'no challenge',
    );
  } else if (type === 'application/problem+json') {
    must([404, 405, 413, 414, 400].includes(status), `a problem (${status})`);
    must(!body.includes('gema'), 'echoes');
  } else {
    must(body === '' && (type === '' || status < 300), `of the type ${type}`);
  }
  return breaches;
}

/** Sends them, some at once, and lists what is wrong with how often and where first. */
async function tryAll(requests: { name: string; endpoint: Endpoint; request: WireRequest }[]): Promise<string[]> {
  const breaches = new Map<string, string[]>();
  const rest = [...requests];
  while (rest.length > 0) {
    // Many failures from one place would soon be told to wait.
    await gapura.db.deleteFrom('limits').execute();
    await Promise.all(
      rest.splice(0, at_once).map(async ({ name, endpoint, request }) => {
        for (const words of judge(endpoint, await sendRequest(port, request)))
          breaches.set(words, [...(breaches.get(words) ?? []), name]);
      }),
    );
  }
  const failures = gapura.log.filter(({ level }) => Number(level) >= 50).map((line) => JSON.stringify(line));
  const told = [...breaches].map(
    ([words, names]) => `${words}, ${names.length} times: ${names.slice(0, 5).join(' | ')}`,
  );
  return [...told, ...new Set(failures)].slice(0, 30);
}

test('every endpoint of the metadata is tried', async () => {
  const metadata = await getMetadata();
  const known = Object.values(await listEndpoints()).map(({ path }) => gapura.config.issuer + path);
  const listed = Object.entries(metadata)
    .filter(([name]) => name.endsWith('_endpoint'))
    .map(([, address]) => address);
  expect(known).toEqual(expect.arrayContaining(listed));
});

test.each<[what: string, headers: Record<string, string> | undefined, kinds: string[]]>([
  ['with the client’s own proof', undefined, all],
  ['without a proof', {}, few],
  ['with a stranger’s', { authorization: 'Basic eDp5' }, few],
])(
  'one spoilt parameter at a time, %s',
  async (_what, headers, kinds) => {
    const requests = Object.entries(await listEndpoints()).flatMap(([name, proper]) => {
      if (headers !== undefined && proper.headers?.authorization === undefined) return [];
      const endpoint = headers === undefined ? proper : { ...proper, headers };
      return [...spoilEach(endpoint, endpoint.is_like_another ? few : kinds)].map(([what, text]) => {
        return { name: `${name}: ${what}`, endpoint, request: makeRequest(endpoint, text) };
      });
    });
    expect(requests.length).toBeGreaterThan(200);
    expect(await tryAll(requests)).toEqual([]);
  },
  120_000,
);

test('a body of another type, or none', async () => {
  const types = [
    ...['application/json', 'text/plain', 'multipart/form-data; boundary=x', 'application/jwt', 'x', '', '/'],
    ...[`${type_of_forms}; charset=utf-16`, `${type_of_forms}; charset=x`, `${type_of_forms}, application/json`],
  ];
  const bodies = [
    '{"a":1}',
    '{',
    '[]',
    '"\\ud800"',
    'null',
    '',
    '&'.repeat(3000),
    '='.repeat(3000),
    'x'.repeat(100_000),
  ];
  const requests = Object.entries(await listEndpoints())
    .filter(([, { method }]) => method === 'POST')
    .flatMap(([name, endpoint]) => {
      const proper = new URLSearchParams(endpoint.fields).toString();
      const tries = [
        ...types.map((type) => [type, proper] as const),
        ...[type_of_forms, 'application/json'].flatMap((type) => bodies.map((body) => [type, body] as const)),
      ];
      return tries.map(([type, body]) => {
        const headers: [string, string][] = [
          ['host', host],
          ...Object.entries(endpoint.headers ?? {}),
          ['content-type', type],
        ];
        const request = { method: 'POST', target: `/connect${endpoint.path}`, headers, body };
        return { name: `${name}: ${type} ${body.slice(0, 20)}`, endpoint, request };
      });
    });
  expect(await tryAll(requests)).toEqual([]);
}, 120_000);

const proper: Record<string, unknown> = { redirect_uris: ['https://kabur.contoh.example/'], client_name: 'Kabur' };
const members = [
  ...['redirect_uris', 'client_name', 'client_name#id', 'grant_types', 'response_types', 'scope', 'contacts'],
  ...['logo_uri', 'client_uri', 'policy_uri', 'tos_uri', 'jwks', 'jwks_uri', 'sector_identifier_uri', 'subject_type'],
  ...['token_endpoint_auth_method', 'id_token_signed_response_alg', 'default_max_age', 'require_auth_time'],
  ...[
    'initiate_login_uri',
    'post_logout_redirect_uris',
    'backchannel_logout_uri',
    'application_type',
    'default_acr_values',
  ],
  ...['first_party', 'client_id', 'client_secret', '__proto__', 'constructor', 'fapi'],
];
const values = [
  ...['null', 'true', '-1', '1e999', '""', '[]', '{}', '[null]', '[[]]', '{"__proto__":{"x":1}}', `"${echo}"`],
  ...[`["${echo}"]`, '"a\\u0000b"', '["a\\u0000b"]', '"\\ud800"', `"${'a'.repeat(50_000)}"`, '{"keys":[{}]}'],
];

/** A client's description of itself, with one odd member. */
function sendMetadata(
  method: string,
  target: string,
  token: string,
  member: string,
  value: string,
  more: Record<string, unknown> = {},
): WireRequest {
  const rest = Object.entries({ ...proper, ...more }).filter(([name, kept]) => name !== member && kept !== undefined);
  const body = `{${[...rest.map(([name, kept]) => `"${name}":${JSON.stringify(kept)}`), `"${member}":${value}`]}}`;
  const headers: [string, string][] = [
    ['host', host],
    ['authorization', `Bearer ${token}`],
    ['content-type', 'application/json'],
  ];
  return { method, target, headers, body };
}

test('what a client registers itself with, member by member', async () => {
  const endpoint: Endpoint = { path: '/register', method: 'POST', fields: {} };
  const requests = members.flatMap((member) =>
    values.map((value) => {
      const request = sendMetadata('POST', '/connect/register', initial_token, member, value);
      return { name: `${member} ${value.slice(0, 30)}`, endpoint, request };
    }),
  );
  expect(await tryAll(requests)).toEqual([]);
}, 120_000);

test('and what it changes itself to', async () => {
  const endpoint: Endpoint = { path: '/register/x', method: 'POST', fields: {} };
  const made = await sendRequest(
    port,
    sendMetadata('POST', '/connect/register', initial_token, 'client_name', '"Kabur"'),
  );
  let known = JSON.parse(made?.body ?? '{}');
  const breaches: string[] = [];
  const statuses = new Set<number | undefined>();
  for (const member of members) {
    for (const value of ['null', '[]', '{}', '-1', `"${echo}"`, '"a\\u0000b"']) {
      await gapura.db.deleteFrom('limits').execute();
      const id = { client_id: member === 'client_id' ? undefined : known.client_id };
      const { pathname } = new URL(known.registration_client_uri);
      const answer = await sendRequest(
        port,
        sendMetadata('PUT', pathname, known.registration_access_token, member, value, id),
      );
      breaches.push(...judge(endpoint, answer).map((words) => `${member} ${value}: ${words}`));
      statuses.add(answer?.status);
      // A change that was taken brings a new token.
      if (answer?.status === 200) known = { ...known, ...JSON.parse(answer.body) };
    }
  }
  expect(breaches).toEqual([]);
  expect(statuses).toEqual(new Set([200, 400]));
}, 120_000);
