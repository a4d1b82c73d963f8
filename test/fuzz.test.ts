/** Whatever is sent to whichever address: never our own failure, never a foreign host, never a look inside. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { assets } from '../src/views.ts';
import { foreign_host, foreign_site, foreign_tag, makeOdd, openChoices, type Proper } from './support/fuzz.ts';
import { demo_password, registerClient, signIn, startGapura, type TestGapura } from './support/gapura.ts';
import { type Answer, findForm, type HttpVisitor, newHttpVisitor } from './support/http.ts';
import { authorize, openParty, type TestParty } from './support/relying-party.ts';
import { sendRequest, type WireAnswer, type WireRequest } from './support/wire.ts';

const seed = 20_261_121;
const rounds = 8;
const per_round = 420;
const at_once = 8;

let gapura: TestGapura;
let party: TestParty;
let credentials: string;
let port: number;
let host: string;

beforeAll(async () => {
  gapura = await startGapura();
  const client = await registerClient(gapura, 'penguji', { agency_code: 'BPOM', directorate_required: true });
  party = await openParty(gapura.config.issuer, client);
  credentials = `Basic ${Buffer.from(`${client.client_id}:${client.client_secret}`).toString('base64')}`;
  ({ host } = new URL(gapura.url));
  port = Number(new URL(gapura.url).port);
});

afterAll(() => gapura.stop());

/** A person at some place of the way, with proper requests that fit there. */
interface Place {
  cookie: string;
  proper: Proper[];
}

const cookieOf = ({ cookies }: HttpVisitor, path: string) =>
  cookies
    .filter((one) => path === one.path || one.path === '/' || path.startsWith(`${one.path}/`))
    .map((one) => `${one.name}=${one.value}`)
    .join('; ');

function properForm(page: Answer, fields: Record<string, string>): Proper[] {
  const path = page.url.pathname;
  const form = findForm(page.body);
  return [
    { method: 'GET', path, fields: {} },
    { method: 'POST', path: new URL(form.action, page.url).pathname, fields: { ...form.fields, ...fields } },
    { method: 'POST', path: new URL(form.action, page.url).pathname, fields: { ...form.fields, ...fields } },
  ];
}

/** Every place of the way, begun anew: odd requests may have ended the ones before. */
async function walk(): Promise<Place[]> {
  await gapura.db.deleteFrom('limits').execute();
  const authorization = new URL((await party.begin()).address);
  const auth: Proper = {
    method: 'GET',
    path: '/connect/auth',
    fields: Object.fromEntries(authorization.searchParams),
  };
  const stranger = newHttpVisitor(gapura.url);
  const login = await stranger.get(authorization);
  const chooser = newHttpVisitor(gapura.url);
  const question = await signIn(chooser, await chooser.get(authorization), 'budi');
  const member = newHttpVisitor(gapura.url);
  const { address, checks } = await party.begin();
  const returned = await authorize(member, address, party.redirect_uri, {
    identifier: 'tono',
    password: demo_password,
  });
  const other = await party.begin();
  const tokens = await party.redeem(await authorize(member, other.address, party.redirect_uri), other.checks);
  await member.get('/portal');
  const change = await member.get('/portal/credentials');
  const goodbye = await member.get('/connect/session/end?client_id=penguji');
  const programs = listPrograms(
    { authorization: credentials },
    {
      code: String(returned.searchParams.get('code')),
      verifier: String(checks.pkceCodeVerifier),
      access_token: tokens.access_token,
      refresh_token: String(tokens.refresh_token),
    },
  );
  const comer = newHttpVisitor(gapura.url);
  const { url: begun } = await comer.get(authorization);
  const resume: Proper = { method: 'GET', path: begun.pathname.replace('/interaction', '/connect/auth'), fields: {} };
  const forgetful = newHttpVisitor(gapura.url);
  const naming = await forgetful.get('/recovery?client_id=penguji');
  const masked = await forgetful.submit(naming, { username: 'sari' });
  const at_login = properForm(login, { identifier: 'budi', password: 'x' });
  return [
    { cookie: '', proper: [auth, ...listPages()] },
    { cookie: '', proper: [auth, ...programs] },
    { cookie: cookieOf(stranger, login.url.pathname), proper: at_login },
    { cookie: '', proper: properForm(naming, { username: 'budi' }) },
    { cookie: cookieOf(forgetful, '/recovery'), proper: [...properForm(masked, {}), ...listRecovery()] },
    { cookie: cookieOf(comer, resume.path), proper: [resume, auth] },
    { cookie: cookieOf(chooser, question.url.pathname), proper: properForm(question, { directorate: 'x' }) },
    { cookie: cookieOf(member, '/'), proper: [auth, ...listPages()] },
    { cookie: cookieOf(member, '/'), proper: properForm(change, { old_password: 'x', new_password: 'x' }) },
    { cookie: cookieOf(member, '/connect'), proper: properForm(goodbye, { logout: '' }) },
  ];
}

/** The pages of a recovery, each asked for out of turn. */
function listRecovery(): Proper[] {
  const fields = { recovery: 'x', code: 'x', new_password: 'x', confirm_password: 'x', address: '1' };
  return ['address', 'code', 'resend', 'password', 'session', 'choice', 'done'].flatMap((step) => [
    { method: 'GET', path: `/recovery/${step}`, fields: {} },
    { method: 'POST', path: `/recovery/${step}`, fields },
  ]);
}

function listPages(): Proper[] {
  const fields = { client_id: 'penguji', state: '/portal/profile' };
  return [
    ...['/', '/registration', '/recovery', '/portal', '/portal/entry', '/portal/profile', '/portal/credentials'],
    ...['/portal/sign-out', '/.well-known/change-password', '/healthz', '/readyz', '/metrics', '/robots.txt'],
    ...[
      '/favicon.ico',
      '/tidak-ada',
      '/interaction/x',
      '/connect/auth/x',
      ...[...assets.values()].map(({ url }) => url),
    ],
  ].map((path) => ({ method: 'GET', path, fields }));
}

/** The addresses of programs, as discovery lists them. */
function listPrograms(
  headers: Record<string, string>,
  {
    code,
    verifier,
    access_token,
    refresh_token,
  }: Record<'code' | 'verifier' | 'access_token' | 'refresh_token', string>,
): Proper[] {
  const post = (path: string, fields: Record<string, string>, own = headers): Proper => {
    return { method: 'POST', path, fields, headers: own };
  };
  const redirect_uri = party.redirect_uri;
  const bearer = { authorization: `Bearer ${access_token}` };
  const assertion = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
  return [
    post('/connect/token', { grant_type: 'authorization_code', code, redirect_uri, code_verifier: verifier }),
    post('/connect/token', { grant_type: 'refresh_token', refresh_token, scope: 'openid' }),
    post('/connect/token', { grant_type: 'client_credentials', scope: 'openid' }),
    post('/connect/token', { client_id: 'penguji', client_assertion: 'a.b.c', client_assertion_type: assertion }, {}),
    post('/connect/introspection', { token: access_token, token_type_hint: 'access_token' }),
    post('/connect/revocation', { token: refresh_token, token_type_hint: 'refresh_token' }),
    post('/connect/par', { response_type: 'code', client_id: 'penguji', redirect_uri, scope: 'openid', state: 'x' }),
    post('/connect/userinfo', { access_token }, {}),
    { method: 'GET', path: '/connect/userinfo', fields: {}, headers: bearer },
    { method: 'GET', path: '/connect/jwks', fields: {} },
    { method: 'GET', path: '/connect/.well-known/openid-configuration', fields: {} },
    { method: 'GET', path: '/.well-known/oauth-authorization-server/connect', fields: {} },
    {
      method: 'GET',
      path: '/connect/session/end',
      fields: { id_token_hint: 'a.b.c', post_logout_redirect_uri: foreign_site, client_id: 'penguji', state: 'x' },
    },
    post('/connect/session/end', { client_id: 'penguji', logout_hint: 'x' }, {}),
    post('/connect/session/end/confirm', { xsrf: 'x', logout: 'yes' }, {}),
  ];
}

const inside =
  /\bat (?:async )?[\w.<>]+ \(|node_modules|\/src\/|file:\/\/|\.[tj]s:\d+|SELECT .* FROM|INSERT INTO|syntax error at|relation "|violates|invalid (?:input|byte)|(?:Type|Range|Reference)Error|ECONN|postgres|kysely|oidc-provider/;

/** What is wrong with an answer; nothing is what should be. */
function judge({ method, target }: WireRequest, answer: WireAnswer): string[] {
  const { status, headers, body, text } = answer;
  const header = (name: string) => headers.find(([known]) => known === name)?.[1];
  const breaches: string[] = [];
  const must = (is_good: boolean, words: string) => is_good || breaches.push(words);
  must(status >= 200 && (status < 500 || (status === 503 && header('retry-after') !== undefined)), `status ${status}`);
  must(!text.includes(foreign_host), 'tells a foreign host');
  must(!inside.test(text), `shows its inside: ${inside.exec(text)?.[0]}`);
  must(header('access-control-allow-credentials') === undefined, 'lets other origins read with cookies');
  const location = header('location');
  if (location !== undefined) {
    const { origin } = new URL(location, gapura.url);
    must([gapura.url, new URL(party.redirect_uri).origin].includes(origin), `leads to ${location.slice(0, 100)}`);
  }
  if (header('content-type')?.startsWith('text/html')) {
    const policy = header('content-security-policy') ?? '';
    must(/default-src 'none'.*script-src 'self'.*frame-ancestors 'none'/.test(policy), 'has no policy');
    must(!policy.includes('unsafe'), 'has an unsafe policy');
    // An endpoint for programs answers pages too, to whoever asks for them.
    const is_for_programs = /\/connect\/(?!auth|session)/.test(target);
    must(is_for_programs || header('access-control-allow-origin') === undefined, 'may be read by other origins');
    must(header('x-content-type-options') === 'nosniff', 'may be sniffed');
    must(header('x-frame-options') === 'DENY', 'may be framed');
    must(header('referrer-policy') === 'strict-origin', 'tells where one was');
    must(/no-store/.test(header('cache-control') ?? ''), 'may be kept');
    must(!body.includes(foreign_tag), 'holds a foreign tag');
    must(!/(?:href|action|src)="(?:https?:)?\/\/luar-sana/.test(body), 'links to a foreign site');
    must(!/\son\w+="|javascript:/i.test(body.replace(/href="[^"]*\?[^"]*"|value="[^"]*"/g, '')), 'holds a script');
  }
  if (method !== 'HEAD' && status >= 400 && header('x-request-id')) must(body !== '' || status === 401, 'says nothing');
  return breaches.map((words) => `${words}: ${method} ${target.slice(0, 200)}`);
}

test('no odd request is answered with a failure, a foreign host or a look inside', async () => {
  const choices = openChoices(seed);
  const breaches: string[] = [];
  const statuses: Record<number, number> = {};
  let unanswered = 0;
  const send = async (request: WireRequest) => {
    const answer = await sendRequest(port, request);
    if (!answer) {
      if (!request.is_cut) breaches.push(`no answer: ${request.method} ${request.target.slice(0, 200)}`);
      unanswered += 1;
      return;
    }
    statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
    const found = judge(request, answer);
    if (found.length > 0) breaches.push(...found, JSON.stringify(request).slice(0, 1500));
  };
  for (let round = 0; round < rounds; round++) {
    const places = await walk();
    const requests = Array.from({ length: per_round }, (_, at) => {
      const { cookie, proper } = places[at % places.length] as Place;
      return makeOdd(choices, choices.pick(proper), host, cookie);
    });
    while (requests.length > 0) await Promise.all(requests.splice(0, at_once).map(send));
  }
  const errors = gapura.log.filter(({ level }) => Number(level) >= 50).map((line) => JSON.stringify(line));
  expect({ seed, breaches: breaches.slice(0, 20), errors: errors.slice(0, 10) }).toEqual({
    seed,
    breaches: [],
    errors: [],
  });
  // It did reach the places that it is about, and the node is well.
  expect(Object.keys(statuses).map(Number)).toEqual(
    expect.arrayContaining([200, 303, 400, 401, 404, 405, 413, 415, 421, 422]),
  );
  expect(unanswered).toBeLessThan(0.05 * rounds * per_round);
  const visitor = newHttpVisitor(gapura.url);
  await gapura.db.deleteFrom('limits').execute();
  expect((await signIn(visitor, await visitor.get('/portal'), 'sari')).status).toBe(200);
}, 240_000);
