/** The parts put together: what the whole app answers to anybody, wherever it stands. */

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { seed } from '../db/seed.ts';
import { createAccount } from '../src/accounts/account.ts';
import { readConfig } from '../src/config.ts';
import { findFreePort } from '../src/demo/postgres.ts';
import { listen, stopListening } from '../src/http/listen.ts';
import { OldSchema, openGapura } from '../src/server.ts';
import { demo_password, registerClient, signIn, startGapura, type TestGapura } from './support/gapura.ts';
import { newHttpVisitor } from './support/http.ts';
import { createTestDatabase } from './support/postgres.ts';
import { test_mail, test_secret } from './support/server.ts';
import { sendRequest, type WireRequest } from './support/wire.ts';

let gapura: TestGapura;
const log = pino({ level: 'silent' });

beforeAll(async () => {
  gapura = await startGapura();
});

afterAll(() => gapura.stop());

const settings = (database_url: string, url: string, env: Record<string, string> = {}) =>
  readConfig({
    GAPURA_PRODUCTION: 'false',
    GAPURA_URL: url,
    DATABASE_URL: database_url,
    GAPURA_SECRETS: test_secret,
    ...test_mail,
    ...env,
  });

/** A node of its own, over an empty database of its own, with settings of the test's. */
async function startNode(env: Record<string, string>, through?: (url: string) => Promise<string>) {
  const database = await createTestDatabase();
  const port = await findFreePort();
  const url = `http://localhost:${port}`;
  await seed(database.db, settings(database.url, env.GAPURA_URL ?? url));
  const config = settings((await through?.(database.url)) ?? database.url, env.GAPURA_URL ?? url, env);
  const node = await openGapura(config, log);
  const server = await listen(node.app, '127.0.0.1', port);
  return {
    url,
    port,
    db: database.db,
    async stop() {
      server.closeAllConnections();
      await stopListening(server);
      await node.close();
      await database.drop();
    },
  };
}

/** Between a node and its database; `cut` is the cable that somebody pulls, `mend` puts it back. */
async function startCable(database_url: string) {
  const there = new URL(database_url);
  const sockets = new Set<Socket>();
  let is_cut = false;
  const server: Server = createServer((near) => {
    if (is_cut) {
      near.destroy();
      return;
    }
    const far = connect(Number(there.port), there.hostname);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
    }
    near.pipe(far).pipe(near);
    near.on('close', () => far.destroy());
    far.on('close', () => near.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = new URL(database_url);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as { port: number }).port);
  return {
    url: url.href,
    cut() {
      is_cut = true;
      for (const socket of sockets) socket.destroy();
    },
    mend() {
      is_cut = false;
    },
    close: () => server.close(),
  };
}

const ask = async (target: string, more: Partial<WireRequest> = {}, port = Number(new URL(gapura.url).port)) => {
  const answer = await sendRequest(port, { target, headers: [['host', new URL(gapura.url).host]], ...more });
  if (!answer) throw new Error(`no answer to ${target}`);
  const header = (name: string) => answer.headers.find(([known]) => known === name)?.[1];
  return { ...answer, header };
};

describe('an address', () => {
  test('that is not there is a page with words and a way on', async () => {
    for (const target of [
      '/tidak-ada',
      '/portal/x',
      '/interaction',
      '/tidak/ada',
      '/connect/tidak-ada',
      '/assets/x.css',
    ]) {
      const { status, body, header } = await ask(target, {
        headers: [
          ['host', hostOf()],
          ['accept', 'text/html'],
        ],
      });
      expect([target, status]).toEqual([target, 404]);
      if (!target.startsWith('/connect')) {
        expect(body).toContain('<h1>Halaman tidak ditemukan</h1>');
        expect(body).toContain(`href="${gapura.url}/"`);
      }
      expect(header('content-security-policy')).toContain("default-src 'none'");
    }
  });

  test('is a problem document for a program that asks for JSON (RFC 9457)', async () => {
    const { status, body, header } = await ask('/tidak-ada', {
      headers: [
        ['host', hostOf()],
        ['accept', 'application/json'],
      ],
    });
    expect([status, header('content-type')]).toEqual([404, 'application/problem+json']);
    expect(JSON.parse(body)).toMatchObject({ status: 404, code: 'not_found', type: 'about:blank' });
  });

  test.each([
    ['PUT', '/portal'],
    ['DELETE', '/interaction/x'],
    ['POST', '/portal'],
    ['POST', '/registration'],
    ['PATCH', '/'],
  ])('refuses %s %s and says what it takes', async (method, target) => {
    const { status, body, header } = await ask(target, { method, body: '' });
    expect(status).toBe(405);
    expect(header('allow')).toContain('GET');
    expect(body).toContain('<h1>Cara ini tidak didukung</h1>');
  });

  test.each(['TRACE', 'PROPFIND', 'LINK'])('refuses %s everywhere', async (method) => {
    for (const target of ['/', '/portal', '/connect/auth', '/connect/token']) {
      expect([target, (await ask(target, { method })).status]).toEqual([target, 405]);
    }
  });

  test('answers HEAD as GET without the body', async () => {
    for (const target of ['/', '/registration', '/robots.txt', '/connect/jwks', '/healthz', '/tidak-ada']) {
      const get = await ask(target);
      const head = await ask(target, { method: 'HEAD' });
      expect([target, head.status, head.body]).toEqual([target, get.status, '']);
      for (const name of ['content-type', 'content-length', 'content-security-policy', 'cache-control'])
        expect([target, name, head.header(name)]).toEqual([target, name, get.header(name)]);
    }
  });

  test('of the start page tells a visitor what this is and the way in', async () => {
    const { status, body, header } = await ask('/');
    expect([status, header('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    expect(body).toContain('<h1>Satu gerbang untuk semua aplikasi</h1>');
    for (const way of ['/portal', '/registration', '/recovery']) expect(body).toContain(`href="${way}"`);
  });

  test('of RFC 8414 has the same metadata as OpenID’s', async () => {
    const [oauth, openid] = await Promise.all([
      ask('/.well-known/oauth-authorization-server/connect'),
      ask('/connect/.well-known/openid-configuration'),
    ]);
    expect([oauth.status, openid.status]).toEqual([200, 200]);
    expect(JSON.parse(oauth.body)).toMatchObject({ issuer: `${gapura.url}/connect` });
    expect(JSON.parse(oauth.body)).toEqual(JSON.parse(openid.body));
    expect((await ask('/.well-known/oauth-authorization-server')).status).toBe(404);
    expect((await ask('/.well-known/openid-configuration')).status).toBe(404);
  });
});

const hostOf = () => new URL(gapura.url).host;

describe('a foreign host', () => {
  test.each([
    ['jahat.example', '/portal'],
    ['jahat.example:80', '/'],
    ['', '/'],
    ['localhost', '/'],
    ['localhost:1', '/connect/auth'],
    ['jahat.example', '/connect/.well-known/openid-configuration'],
    ['jahat.example', '/connect/token'],
  ])('%j is refused at %s with our own address and nothing of theirs', async (host, target) => {
    const { status, text } = await ask(target, { headers: [['host', host]] });
    expect(status).toBe(421);
    expect(text).not.toContain('jahat');
    expect(text).not.toContain('localhost:1/');
    expect(text).toContain(gapura.url);
  });

  test('twice, or beside ours, or in the request line is refused', async () => {
    const two = await sendRequest(Number(new URL(gapura.url).port), {
      target: '/',
      headers: [
        ['host', hostOf()],
        ['host', 'jahat.example'],
      ],
    });
    expect([400, 421]).toContain(two?.status);
    expect(two?.text).not.toContain('jahat');
    const absolute = await ask('http://jahat.example/portal');
    expect(absolute.status).toBe(421);
    expect(absolute.text).not.toContain('jahat');
    expect((await ask(`http://${hostOf()}/healthz`)).status).toBe(200);
  });

  test('told by headers of proxies changes no address and no cookie', async () => {
    const own = await ask('/portal');
    const told = await ask('/portal', {
      headers: [
        ['host', hostOf()],
        ['x-forwarded-host', 'jahat.example'],
        ['x-forwarded-proto', 'https'],
        ['x-forwarded-port', '444'],
        ['x-forwarded-prefix', '/jahat'],
        ['forwarded', 'host=jahat.example;proto=https;for=203.0.113.7'],
        ['x-original-url', '/registration'],
        ['x-rewrite-url', '/registration'],
        ['x-http-method-override', 'DELETE'],
      ],
    });
    expect([told.status, told.header('location')]).toEqual([own.status, own.header('location')]);
    expect(told.text).not.toContain('jahat');
    const metadata = await ask('/connect/.well-known/openid-configuration', {
      headers: [
        ['host', hostOf()],
        ['x-forwarded-host', 'jahat.example'],
        ['x-forwarded-proto', 'https'],
      ],
    });
    expect(JSON.parse(metadata.body)).toMatchObject({ issuer: `${gapura.url}/connect` });
    expect(metadata.text).not.toMatch(/jahat|https:\/\/localhost/);
  });

  test('a person’s address is the socket’s, whatever X-Forwarded-For says', async () => {
    const visitor = newHttpVisitor(gapura.url);
    const page = await visitor.get('/portal');
    const headers = { 'x-forwarded-for': '203.0.113.7', 'x-real-ip': '203.0.113.7', forwarded: 'for=203.0.113.7' };
    await visitor.post(page.url, { identifier: 'budi', password: 'wrong' }, { headers });
    const rows = await gapura.db.selectFrom('audit_personal').select('address').distinct().execute();
    expect(rows.map(({ address }) => address)).toEqual(expect.arrayContaining(['127.0.0.1']));
    expect(JSON.stringify(rows)).not.toContain('203.0.113.7');
  });
});

describe('for operators', () => {
  test('health and readiness answer any host, metrics only off production', async () => {
    for (const target of ['/healthz', '/readyz', '/metrics']) {
      const { status, header } = await ask(target, { headers: [['host', '10.0.0.7:3000']] });
      expect([target, status, header('cache-control')]).toEqual([target, 200, 'no-store']);
    }
    expect(JSON.parse((await ask('/readyz')).body)).toEqual({
      status: 'ok',
      checks: { database: true, schema: true, keys: true },
    });
    expect((await ask('/metrics')).body).toMatch(/^gapura_/m);
  });

  test('an old schema, and a database that is not there, keep a node from starting', async () => {
    const empty = await createTestDatabase({ migrated: false });
    await expect(openGapura(settings(empty.url, 'http://localhost:1'), log)).rejects.toThrow(OldSchema);
    await empty.drop();
    await expect(openGapura(settings(empty.url, 'http://localhost:1'), log)).rejects.toThrow('does not exist');
  });

  test('a node whose database is gone lives, is not ready, says so to people, and comes back by itself', async () => {
    let cable: Awaited<ReturnType<typeof startCable>> | undefined;
    const node = await startNode({}, async (url) => {
      cable = await startCable(url);
      return cable.url;
    });
    const of = (target: string) => ask(target, { headers: [['host', new URL(node.url).host]] }, node.port);
    try {
      expect((await of('/readyz')).status).toBe(200);
      cable?.cut();
      expect((await of('/healthz')).status).toBe(200);
      const ready = await of('/readyz');
      expect([ready.status, JSON.parse(ready.body)]).toEqual([
        503,
        { status: 'failing', checks: { database: false, schema: false, keys: false } },
      ]);
      for (const target of [
        '/portal',
        '/interaction/abc',
        '/registration?client_id=portal',
        '/connect/auth?client_id=x',
      ]) {
        const { status, header, text } = await of(target);
        if (status === 303) continue;
        expect([target, status]).toEqual([target, 503]);
        expect(Number(header('retry-after'))).toBeGreaterThan(0);
        expect(text).toContain('<h1>Layanan sedang terganggu</h1>');
        expect(text).not.toMatch(/ECONN|postgres|127\.0\.0\.1:\d+|\bat .*:\d+:\d+/);
      }
      expect((await of('/')).status).toBe(200);
      cable?.mend();
      expect((await of('/readyz')).status).toBe(200);
      expect((await of('/registration?client_id=portal')).status).toBe(200);
    } finally {
      await node.stop();
      cable?.close();
    }
  });
});

describe('behind https', () => {
  let node: Awaited<ReturnType<typeof startNode>>;
  const headers: [string, string][] = [['host', 'sso.contoh.example']];
  const of = (target: string, more: [string, string][] = [], method = 'GET', body?: string) =>
    ask(target, { method, headers: [...headers, ...more], ...(body === undefined ? {} : { body }) }, node.port);

  beforeAll(async () => {
    node = await startNode({ GAPURA_URL: 'https://sso.contoh.example', GAPURA_PRODUCTION: 'true' });
  });

  afterAll(() => node.stop());

  test('every answer carries HSTS, and metrics are not beside the pages', async () => {
    for (const target of ['/', '/portal', '/connect/jwks', '/tidak-ada', '/healthz', '/robots.txt'])
      expect([target, (await of(target)).header('strict-transport-security')]).toEqual([
        target,
        'max-age=63072000; includeSubDomains',
      ]);
    expect((await of('/metrics')).status).toBe(404);
    expect((await ask('/')).header('strict-transport-security')).toBeUndefined();
  });

  test('session cookies are __Host-, those of one page __Secure-, all of them Secure and HttpOnly', async () => {
    const start = await of('/portal');
    expect(start.header('location')).toMatch(/^https:\/\/sso\.contoh\.example\/connect\/auth\?/);
    const auth = await of((start.header('location') as string).replace('https://sso.contoh.example', ''));
    expect(auth.status).toBe(303);
    const lines = auth.headers.filter(([name]) => name === 'set-cookie').map(([, value]) => value);
    expect(lines.map((line) => line.split('=')[0]).sort()).toEqual([
      '__Secure-gapura_interaction',
      '__Secure-gapura_interaction.sig',
      '__Secure-gapura_resume',
      '__Secure-gapura_resume.sig',
    ]);
    for (const line of lines) expect(line).toMatch(/; secure; httponly|; httponly; secure/i);

    await createAccount(node.db, { username: 'wati', password: demo_password, full_name: 'Wati Contoh' });
    const cookie = lines.map((line) => line.split(';')[0]).join('; ');
    const page = auth.header('location') as string;
    const path = new URL(page, 'https://sso.contoh.example').pathname;
    const done = await of(
      path,
      [
        ['cookie', cookie],
        ['origin', 'https://sso.contoh.example'],
        ['content-type', 'application/x-www-form-urlencoded'],
      ],
      'POST',
      new URLSearchParams({ identifier: 'wati', password: demo_password }).toString(),
    );
    expect(done.status).toBe(303);
    const browser = done.headers.find(([name]) => name === 'set-cookie')?.[1];
    expect(browser).toMatch(/^__Host-gapura_browser=[\w-]{43}; path=\/; .*secure/i);
    const resumed = await of((done.header('location') as string).replace('https://sso.contoh.example', ''), [
      ['cookie', cookie],
    ]);
    const session = resumed.headers.map(([, value]) => value).find((value) => value.includes('gapura_session='));
    expect(session).toMatch(/^__Host-gapura_session=[\w-]+; path=\/; .*secure/i);
    expect(session).not.toMatch(/domain=/i);
  });

  test('a plain request from the proxy is our own scheme’s, and its own host’s is not', async () => {
    expect((await of('/portal', [['x-forwarded-proto', 'http']])).header('location')).toMatch(/^https:/);
    expect((await ask('/portal', { headers: [['host', 'localhost']] }, node.port)).status).toBe(421);
    expect((await ask('/', { headers: [['host', 'SSO.Contoh.Example:443']] }, node.port)).status).toBe(200);
  });
});

test('a client’s name on pages is text', async () => {
  await registerClient(gapura, 'aneh', { metadata: { client_name: '<img src=x onerror=alert(1)>"\'' } });
  const { body } = await ask('/registration?client_id=aneh');
  expect(body).not.toContain('<img');
  expect(body).toContain('&lt;img src=x');
});

test('the language stays chosen, and its address never leads off', async () => {
  const visitor = newHttpVisitor(gapura.url);
  const page = await visitor.get('/?lang=en');
  expect([page.url.href, /<html lang="(\w+)"/.exec(page.body)?.[1]]).toEqual([`${gapura.url}/`, 'en']);
  expect((await visitor.get('/registration')).body).toContain('<html lang="en">');
  const off = await ask('//jahat.example/?lang=en');
  expect(off.header('location') ?? `${gapura.url}/`).toMatch(new RegExp(`^${gapura.url}/`));
});

test('a whole sign-in leaves no error in the log', async () => {
  const visitor = newHttpVisitor(gapura.url);
  expect((await signIn(visitor, await visitor.get('/portal'), 'budi')).status).toBe(200);
  expect(gapura.log.filter(({ level }) => Number(level) >= 40)).toEqual([]);
});
