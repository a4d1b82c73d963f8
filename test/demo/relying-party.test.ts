// e-BPOM and Portal INSW against a small real OpenID Provider: sign-in, every way it can fail, and sign-out from both sides.

import { createServer, type Server } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import * as jose from 'jose';
import Provider, { type Configuration, interactionPolicy, type JWKS } from 'oidc-provider';
import { nowSeconds } from '../../src/clock.ts';
import { startEBpom } from '../../src/demo/e-bpom.ts';
import { startPortalInsw } from '../../src/demo/portal-insw.ts';
import type { Site } from '../../src/demo/site.ts';
import { moveProcessClock } from '../support/clock.ts';
import { type Answer, type HttpVisitor, newHttpVisitor } from '../support/http.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

const food = { agency: 'BPOM', code: 'PANGAN', name: 'Inspeksi dan Sertifikasi Produk Pangan' };
const medicine = { agency: 'BPOM', code: 'OT', name: 'Inspeksi dan Sertifikasi Obat Tradisional' };

/** Every claim of Gapura's contract that the two pages show. */
const budi = {
  name: 'Budi Contoh <Santoso>',
  preferred_username: 'budi',
  email: 'budi@contoh.example',
  phone_number: '+622150001010',
  mobile_number: '+6281200000101',
  fax_number: '+622150001019',
  account_expires_at: '2027-09-01T23:59:59+07:00',
  address: { street_address: 'Jalan Mawar 5', locality: 'Depok', postal_code: '16411', country: 'ID' },
  organization: {
    id: '1',
    name: 'PT Contoh Pangan Nusantara',
    npwp: '0000001016000000',
    edi_number: 'EDI-CPN-0101',
    srp: '001010',
    address: 'Jalan Contoh Raya Nomor 1',
  },
  role: [{ name: 'trader', level: 'organisation' }],
};

const verified_at = '2026-01-01T00:00:00Z';
const food_link = { username: 'user_bpom', directorate: 'PANGAN', verified_at };
const medicine_link = { username: 'user_bpom_ot', directorate: 'OT', verified_at };

const event = 'http://schemas.openid.net/event/backchannel-logout';

let database: TestDatabase;
let issuer: string;
let keys: jose.GenerateKeyPairResult;
let engine: Provider;
let server: Server | undefined;
let e_bpom: Site;
let portal: Site;
let restart: () => Promise<void>;
let directorate: typeof food | undefined;
let linked_account: typeof food_link | undefined = food_link;

beforeAll(async () => {
  // The engine's advice about its defaults.
  jest.spyOn(console, 'info').mockReturnValue(undefined);
  jest.spyOn(console, 'warn').mockReturnValue(undefined);
  const ports = [await findFreePort(), await findFreePort(), await findFreePort()];
  const [issuer_url, e_bpom_url, portal_url] = ports.map((port) => `http://localhost:${port}`) as [
    string,
    string,
    string,
  ];
  issuer = issuer_url;
  database = await createTestDatabase({ migrated: false });
  keys = await jose.generateKeyPair('RS256', { extractable: true });
  const jwk = { ...(await jose.exportJWK(keys.privateKey)), kid: 'first', alg: 'RS256', use: 'sig' };
  engine = makeProvider({ keys: [jwk] } as JWKS, { 'e-bpom': e_bpom_url, 'portal-insw': portal_url });
  const options = (url: string, client_id: string) => ({
    port: Number(new URL(url).port),
    url,
    issuer,
    client_id,
    client_secret: `secret of ${client_id} :/+%`,
    database_url: database.url,
    gapura_url: issuer,
  });
  restart = async () => {
    await e_bpom?.close();
    await portal?.close();
    e_bpom = await startEBpom({ ...options(e_bpom_url, 'e-bpom'), own_password: 'Ebpom-Test-2026!' });
    portal = await startPortalInsw(options(portal_url, 'portal-insw'));
  };
  await restart();
});

afterAll(async () => {
  await e_bpom?.close();
  await portal?.close();
  await stopProvider();
  await database?.drop();
});

function findFreePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}

function makeProvider(jwks: JWKS, clients: Record<string, string>): Provider {
  const policy = interactionPolicy.base();
  policy.add(new interactionPolicy.Prompt({ name: 'select_directorate', requestable: true }));
  const scope = 'openid profile email phone address organization role directorate linked_account';
  const configuration: Configuration = {
    jwks,
    cookies: { keys: ['test'] },
    clients: Object.entries(clients).map(([client_id, url]) => ({
      client_id,
      client_secret: `secret of ${client_id} :/+%`,
      redirect_uris: [`${url}/callback`],
      post_logout_redirect_uris: [`${url}/signed-out`],
      backchannel_logout_uri: `${url}/backchannel-logout`,
      backchannel_logout_session_required: true,
    })),
    claims: {
      openid: ['sub'],
      profile: ['name', 'preferred_username', 'mobile_number', 'fax_number', 'account_expires_at'],
      email: ['email'],
      phone: ['phone_number'],
      address: ['address'],
      organization: ['organization'],
      role: ['role'],
      directorate: ['directorate'],
      linked_account: ['linked_account'],
    },
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      claimsParameter: { enabled: false },
    },
    interactions: { policy, url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    // The applications are on this machine, which the engine's own dispatcher calls for nobody.
    fetch: (url, { dispatcher: _, ...options }: RequestInit & { dispatcher?: unknown } = {}) => fetch(url, options),
    findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub, ...budi, directorate, linked_account }) }),
    async loadExistingGrant(ctx) {
      const grant = new engine.Grant({
        clientId: ctx.oidc.client?.clientId as string,
        accountId: ctx.oidc.session?.accountId as string,
      });
      grant.addOIDCScope(scope);
      await grant.save();
      return grant;
    },
    renderError: (ctx, out) => {
      ctx.body = out;
    },
  };
  const provider = new Provider(issuer, configuration);
  provider.use(async (ctx, next) => {
    if (!ctx.path.startsWith('/interaction/')) return next();
    const { prompt } = await provider.interactionDetails(ctx.req, ctx.res);
    if (ctx.method === 'GET') {
      ctx.body = `<form method="post" id="${prompt.name}"><input name="answer"></form>`;
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of ctx.req) chunks.push(chunk);
    const answer = new URLSearchParams(Buffer.concat(chunks).toString()).get('answer') ?? '';
    if (prompt.name === 'select_directorate') {
      directorate = answer === 'ot' ? medicine : food;
      linked_account = answer === 'ot' ? medicine_link : food_link;
    }
    const result = answer === 'cancel' ? { error: 'access_denied' } : { [prompt.name]: { accountId: answer } };
    await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: true });
    ctx.respond = false;
  });
  return provider;
}

async function startProvider(): Promise<void> {
  if (server) return;
  const started = createServer(engine.callback());
  await new Promise<void>((resolve) => started.listen(Number(new URL(issuer).port), '127.0.0.1', resolve));
  server = started;
}

async function stopProvider(): Promise<void> {
  const stopping = server;
  server = undefined;
  stopping?.closeAllConnections();
  await new Promise<void>((resolve) => (stopping ? stopping.close(() => resolve()) : resolve()));
}

/** Presses Login at an application and signs in as budi where the provider asks. */
async function signIn(visitor: HttpVisitor, site = e_bpom): Promise<Answer> {
  const page = await visitor.get(`${site.url}/login`);
  return page.body.includes('id="login"') ? visitor.submit(page, { answer: 'budi' }) : page;
}

/** A logout token signed by the provider, or by whoever has `key`. */
function signLogout(claims: jose.JWTPayload, key = keys.privateKey): Promise<string> {
  const iat = nowSeconds();
  return new jose.SignJWT({ iss: issuer, aud: 'e-bpom', iat, exp: iat + 120, events: { [event]: {} }, ...claims })
    .setProtectedHeader({ alg: 'RS256', typ: 'logout+jwt', kid: 'first' })
    .sign(key);
}

/** As a provider does: no cookie, no Origin. */
async function postLogout(logout_token: string): Promise<{ status: number; body: string }> {
  const response = await fetch(`${e_bpom.url}/backchannel-logout`, {
    method: 'POST',
    body: new URLSearchParams({ logout_token }),
  });
  return { status: response.status, body: await response.text() };
}

async function findRow(sql: string): Promise<Record<string, unknown>> {
  const { rows } = await database.db.executeQuery<Record<string, unknown>>({
    sql,
    parameters: [],
    query: { kind: 'RawNode', sqlFragments: [], parameters: [] },
    queryId: { queryId: sql },
  });
  return rows[0] ?? {};
}

async function newestSid(): Promise<string> {
  const row = await findRow('SELECT sid FROM e_bpom_sessions ORDER BY expires_at DESC LIMIT 1');
  return row.sid as string;
}

test('while the provider is down, both applications say so and offer a way to try again', async () => {
  const visitor = newHttpVisitor(e_bpom.url);
  expect((await visitor.get('/')).status).toBe(200);
  for (const site of [e_bpom, portal]) {
    const page = await visitor.get(`${site.url}/login`);
    expect(page.status).toBe(503);
    expect(page.body).toContain('Gapura tidak dapat dihubungi');
    expect(page.body).toContain('href="/login"');
  }
  expect((await postLogout(await signLogout({ jti: 'early', sid: 'x' }))).status).toBe(503);
  await startProvider();
  expect((await visitor.get('/login')).body).toContain('id="login"');
});

describe('with the provider there', () => {
  beforeEach(async () => {
    await startProvider();
    await findRow('DELETE FROM e_bpom_sessions');
  });

  test('signed out, e-BPOM shows its log-in box, the eight steps and the ways to Gapura', async () => {
    const page = await newHttpVisitor(e_bpom.url).get('/');
    expect(page.body).toContain(`${issuer}/registration?client_id=e-bpom`);
    expect(page.body).toContain(`${issuer}/recovery?client_id=e-bpom`);
    expect(page.body).toContain('User Online : 0');
    expect(page.body.match(/<li class="(business|officer)/g)).toHaveLength(8);
    const policy = page.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain(`form-action 'self' ${issuer}`);
    expect(policy).not.toContain('unsafe');
  });

  test('sign-in shows what the claims say, as text', async () => {
    directorate = undefined;
    const visitor = newHttpVisitor(e_bpom.url);
    const home = await signIn(visitor);
    expect(home.url.href).toBe(`${e_bpom.url}/`);
    expect(home.body).toContain('Selamat Datang, Budi Contoh &lt;Santoso&gt;');
    expect(home.body).toContain('Anda Login sebagai Trader dengan pengguna user_bpom');
    expect(home.body).toContain('PT Contoh Pangan Nusantara');
    expect(home.body).toContain('<dt>Pengguna e-BPOM</dt><dd>user_bpom</dd>');
    expect(home.body).toContain(`${issuer}/portal/credentials`);
    expect((await newHttpVisitor(e_bpom.url).get('/')).body).toContain('User Online : 1');
    const cookie = visitor.cookies.find(({ name }) => name === 'e_bpom');
    const { id_hash } = await findRow('SELECT id_hash FROM e_bpom_sessions');
    expect(id_hash).not.toContain(cookie?.value);
    await visitor.submit(home, {}, '/logout');
  });

  test('the request to the provider carries PKCE, state, nonce and the language', async () => {
    const visitor = newHttpVisitor(e_bpom.url);
    await visitor.get('/?lang=en');
    const answer = await visitor.get('/login?prompt=select_directorate', { follow: false });
    const asked = new URL(answer.headers.get('location') as string).searchParams;
    expect(asked.get('code_challenge_method')).toBe('S256');
    expect(asked.get('state')).toMatch(/^[\w-]{43}$/);
    expect(asked.get('nonce')).toBeTruthy();
    expect(asked.get('ui_locales')).toBe('en');
    expect(asked.get('prompt')).toBe('select_directorate');
    expect(asked.get('scope')).toContain('linked_account');
    const other = await visitor.get('/login?prompt=none&return_to=https://evil.example', { follow: false });
    expect(new URL(other.headers.get('location') as string).searchParams.has('prompt')).toBe(false);
  });

  test('Pilih Direktorat asks again without a new sign-in, and the new choice is shown', async () => {
    directorate = food;
    const visitor = newHttpVisitor(e_bpom.url);
    const home = await signIn(visitor);
    expect(home.body).toContain('Inspeksi dan Sertifikasi Produk Pangan');
    const choice = await visitor.get('/login?prompt=select_directorate');
    expect(choice.body).toContain('id="select_directorate"');
    const chosen = await visitor.submit(choice, { answer: 'ot' });
    expect(chosen.body).toContain('Inspeksi dan Sertifikasi Obat Tradisional');
    expect(chosen.body).toContain('<dt>Pengguna e-BPOM</dt><dd>user_bpom_ot</dd>');
    expect(chosen.body).toContain('dengan pengguna user_bpom_ot');
    const { sessions } = await findRow('SELECT count(*)::int AS sessions FROM e_bpom_sessions');
    expect(sessions).toBe(1);
    const cancelled = await visitor.submit(await visitor.get('/login?prompt=select_directorate'), { answer: 'cancel' });
    expect(cancelled.status).toBe(403);
    expect((await visitor.get('/')).body).toContain('Selamat Datang');
    await visitor.submit(chosen, {}, '/logout');
  });

  test('without a linked user name the page greets without one and shows none', async () => {
    linked_account = undefined;
    const visitor = newHttpVisitor(e_bpom.url);
    const home = await signIn(visitor);
    linked_account = food_link;
    expect(home.body).toContain('<p>Anda Login sebagai Trader</p>');
    expect(home.body).not.toContain('Pengguna e-BPOM');
    await visitor.submit(home, {}, '/logout');
  });

  test('two tabs that sign in at once both succeed', async () => {
    const visitor = newHttpVisitor(e_bpom.url);
    const first = await visitor.get('/login');
    const second = await visitor.get('/login');
    const after_second = await visitor.submit(second, { answer: 'budi' });
    const after_first = await visitor.submit(first, { answer: 'budi' });
    for (const page of [after_second, after_first]) expect(page.body).toContain('Selamat Datang');
  });

  test('a person who refuses gets words and a way on', async () => {
    const visitor = newHttpVisitor(e_bpom.url);
    const page = await visitor.submit(await visitor.get('/login'), { answer: 'cancel' });
    expect(page.status).toBe(403);
    expect(page.url.href).toBe(`${e_bpom.url}/login/failed?because=denied`);
    expect(page.body).toContain('href="/login"');
    expect((await visitor.get('/login/failed?because=denied&lang=en')).body).toContain('You were not signed in');
  });

  test('a callback is good once, in the browser that began it', async () => {
    const visitor = newHttpVisitor(e_bpom.url);
    const home = await signIn(visitor);
    const callback = (await authorize(visitor)).location;
    const stranger = newHttpVisitor(e_bpom.url);
    const stolen = await stranger.get(callback);
    expect(stolen.status).toBe(400);
    expect(stolen.url.href).toBe(`${e_bpom.url}/login/failed?because=expired`);
    expect(stranger.cookies.some(({ name }) => name === 'e_bpom')).toBe(false);
    // A double click: one spends it, and neither costs the session that is there.
    for (const page of await Promise.all([visitor.get(callback), visitor.get(callback)]))
      expect(page.body).toContain('Selamat Datang');
    // The back button, later: already signed in, so simply home.
    const again = await visitor.get(callback);
    expect(again.body).toContain('Selamat Datang');
    await visitor.submit(home, {}, '/logout');
  });

  /** A second sign-in of a signed-in visitor, stopped before its callback. */
  async function authorize(visitor: HttpVisitor): Promise<{ location: string }> {
    const begun = await visitor.get('/login', { follow: false });
    const answer = await visitor.get(begun.headers.get('location') as string, { follow: false });
    return { location: answer.headers.get('location') as string };
  }

  test('another person in the same browser gets another session', async () => {
    const visitor = newHttpVisitor(e_bpom.url);
    await signIn(visitor);
    const before = visitor.cookies.find(({ name }) => name === 'e_bpom')?.value;
    const { location } = await authorize(visitor);
    await findRow("UPDATE e_bpom_sessions SET subject = 'somebody else'");
    await visitor.get(location);
    const after = visitor.cookies.find(({ name }) => name === 'e_bpom')?.value;
    expect(after).not.toBe(before);
    const stale = newHttpVisitor(e_bpom.url);
    stale.cookies.push({ name: 'e_bpom', value: before as string, host: 'localhost', path: '/', secure: false });
    expect((await stale.get('/')).body).not.toContain('Selamat Datang');
  });

  test('a sign-in that took too long has expired', async () => {
    const visitor = newHttpVisitor(e_bpom.url);
    await signIn(visitor);
    const { location } = await authorize(visitor);
    visitor.cookies.splice(0, visitor.cookies.length, ...visitor.cookies.filter(({ name }) => name !== 'e_bpom'));
    moveProcessClock(3601);
    try {
      expect((await visitor.get(location)).url.search).toBe('?because=expired');
    } finally {
      moveProcessClock(0);
    }
  });

  test.each([
    '/callback',
    '/callback?state=x&code=y',
    '/callback?state=x&state=y',
    '/callback?error=server_error&state=%00',
  ])('%s without a sign-in ends on a page', async (path) => {
    const page = await newHttpVisitor(e_bpom.url).get(path);
    expect(page.status).toBe(400);
    expect(page.body).toContain('href="/login"');
  });

  test('an error of the provider, and a code that it does not know, end on a page', async () => {
    const visitor = newHttpVisitor(e_bpom.url);
    const expectations = {
      'error=invalid_scope': 'refused',
      'error=temporarily_unavailable': 'unavailable',
      'code=x': 'expired',
    };
    const complaint = jest.spyOn(console, 'error').mockReturnValue(undefined);
    for (const [answer, because] of Object.entries(expectations)) {
      const begun = await visitor.get('/login', { follow: false });
      const state = new URL(begun.headers.get('location') as string).searchParams.get('state');
      const page = await visitor.get(`/callback?${answer}&iss=${encodeURIComponent(issuer)}&state=${state}`);
      expect(page.url.search).toBe(`?because=${because}`);
      expect(page.body).toContain('href="/login"');
    }
    expect(complaint.mock.calls).toEqual([['e-BPOM: sign-in refused: "invalid_scope"']]);
    complaint.mockRestore();
  });

  test('a provider that disappears before the exchange ends on a page, and the next try works', async () => {
    const visitor = newHttpVisitor(e_bpom.url);
    await signIn(visitor);
    const { location } = await authorize(visitor);
    await stopProvider();
    const page = await visitor.get(location);
    expect(page.status).toBe(503);
    expect(page.body).toContain('href="/login"');
    await startProvider();
    expect((await visitor.get('/login')).body).toContain('Selamat Datang');
  });

  test('sessions outlive a restart of the application', async () => {
    const visitor = newHttpVisitor(e_bpom.url);
    await signIn(visitor);
    await restart();
    expect((await visitor.get('/')).body).toContain('Selamat Datang');
  });

  test('Portal INSW opens without a second sign-in and shows every field of the profile', async () => {
    const visitor = newHttpVisitor(portal.url);
    await signIn(visitor, e_bpom);
    const page = await visitor.get('/');
    expect(page.url.href).toBe(`${portal.url}/`);
    const fields = {
      'Nama Perusahaan': 'PT Contoh Pangan Nusantara',
      'Alamat Perusahaan': 'Jalan Contoh Raya Nomor 1',
      NPWP: '00.000.101.6-000.000',
      EDINUMBER: 'EDI-CPN-0101',
      SRP: '001010',
      'Nama Lengkap': 'Budi Contoh &lt;Santoso&gt;',
      'User Login': 'budi',
      Alamat: 'Jalan Mawar 5',
      Telepon: '+622150001010',
      HP: '+6281200000101',
      Fax: '+622150001019',
      'Kode Pos': '16411',
      Kota: 'Depok',
      'E-Mail': 'budi@contoh.example',
      Expiry: '01 SEPTEMBER 2027',
    };
    for (const [label, value] of Object.entries(fields))
      expect(page.body).toContain(`<th scope="row">${label}</th><td>${value}</td>`);
    expect((await visitor.get('/manifest')).status).toBe(200);
    const out = await visitor.submit(page, {}, '/logout');
    const done = await visitor.submit(out, { logout: 'yes' });
    expect(done.url.pathname).toBe('/signed-out');
    expect(done.body).toContain('Anda telah keluar');
  });

  test('a page of Portal INSW asked for before sign-in is the one that opens after it', async () => {
    const visitor = newHttpVisitor(portal.url);
    const page = await visitor.submit(await visitor.get('/manifest'), { answer: 'budi' });
    expect(page.url.href).toBe(`${portal.url}/manifest`);
  });

  test('one sign-out closes both: each shows itself signed out once, and leads back in', async () => {
    const visitor = newHttpVisitor(e_bpom.url);
    const home = await signIn(visitor, e_bpom);
    await visitor.get(`${portal.url}/`);
    const confirmation = await visitor.submit(home, {}, '/logout');
    const done = await visitor.submit(confirmation, { logout: 'yes' });
    expect(done.url.origin).toBe(e_bpom.url);
    expect(done.body).toContain('Anda telah keluar');
    const ended = await visitor.get(`${portal.url}/`);
    expect(ended.url.href).toBe(`${portal.url}/signed-out?because=ended`);
    expect(ended.body).toContain('karena Anda keluar dari Gapura');
    // Then a stranger again, who goes straight to the provider.
    expect((await visitor.get(`${portal.url}/`)).body).toContain('id="login"');
  });

  test('a back-channel logout signs e-BPOM out, with a note once; forged and repeated tokens do nothing', async () => {
    const visitor = newHttpVisitor(e_bpom.url);
    await signIn(visitor);
    const sid = await newestSid();
    const strangers = await jose.generateKeyPair('RS256');
    const forged = await postLogout(await signLogout({ jti: 'forged', sid }, strangers.privateKey));
    expect(forged.status).toBe(400);
    expect(JSON.parse(forged.body)).toMatchObject({ error: 'invalid_request' });
    expect((await visitor.get('/')).body).toContain('Selamat Datang');

    const token = await signLogout({ jti: 'right', sid, sub: 'budi' });
    expect((await postLogout(token)).status).toBe(200);
    expect((await visitor.get('/')).body).toContain('Anda telah keluar: sesi e-BPOM ini diakhiri');
    expect((await visitor.get('/')).body).not.toContain('sesi e-BPOM ini diakhiri');

    expect((await postLogout(token)).status).toBe(400);
    for (const broken of ['', 'x', 'a.b.c']) expect((await postLogout(broken)).status).toBe(400);
  });

  test('a logout that names another session leaves this one; one that names only the person ends all', async () => {
    const visitors = [newHttpVisitor(e_bpom.url), newHttpVisitor(e_bpom.url)];
    for (const visitor of visitors) await signIn(visitor);
    expect((await postLogout(await signLogout({ jti: 'other', sid: 'another', sub: 'budi' }))).status).toBe(200);
    for (const visitor of visitors) expect((await visitor.get('/')).body).toContain('Selamat Datang');
    expect((await postLogout(await signLogout({ jti: 'person', sub: 'budi' }))).status).toBe(200);
    for (const visitor of visitors) expect((await visitor.get('/')).body).not.toContain('Selamat Datang');
  });

  test('a logout that overtakes its own sign-in wins', async () => {
    const visitor = newHttpVisitor(e_bpom.url);
    await signIn(visitor);
    const sid = await newestSid();
    const { location } = await authorize(visitor);
    await postLogout(await signLogout({ jti: 'overtaking', sid }));
    const page = await visitor.get(location);
    expect(page.url.search).toBe('?because=expired');
    expect((await visitor.get('/')).body).not.toContain('Selamat Datang');
  });

  test('signing out from another site’s page is refused, and the page of a sign-out that nobody began says so', async () => {
    const visitor = newHttpVisitor(e_bpom.url);
    await signIn(visitor);
    expect((await visitor.post('/logout', {}, { headers: { origin: 'http://localhost:1' } })).status).toBe(403);
    expect((await visitor.get('/')).body).toContain('Selamat Datang');
    const stranger = newHttpVisitor(e_bpom.url);
    expect((await stranger.get('/signed-out?state=x')).body).toContain('Anda tidak sedang masuk');
  });

  test('sign-out with the provider down ends the session here and says what may be left', async () => {
    const visitor = newHttpVisitor(e_bpom.url);
    const home = await signIn(visitor);
    await restart();
    await stopProvider();
    const page = await visitor.submit(home, {}, '/logout');
    await startProvider();
    expect(page.status).toBe(200);
    expect(page.body).toContain('mungkin masih terbuka');
    expect((await visitor.get('/')).body).not.toContain('Selamat Datang');
  });
});
