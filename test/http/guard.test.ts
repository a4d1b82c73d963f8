/** The first steps of every request: whose address, which host, and what no page of ours would send. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Middleware } from '../../src/http/guard.ts';
import { startApp, type TestApp } from '../support/app.ts';

const tell: Middleware = (ctx) => {
  ctx.body = {
    address: ctx.state.address,
    ip: ctx.ip,
    href: ctx.href,
    host: ctx.host,
    secure: ctx.secure,
    url: ctx.url,
    headers: ctx.req.headers,
  };
};

let app: TestApp;
let proxied: TestApp;

beforeAll(async () => {
  app = await startApp(tell);
  proxied = await startApp(tell, {
    GAPURA_URL: 'https://sso.test',
    GAPURA_TRUSTED_PROXIES: '127.0.0.1, 10.0.0.0/8, fd00::/8',
  });
});

afterAll(async () => {
  await app.close();
  await proxied.close();
});

const get = (path: string, headers: string[] = [], host = 'sso.test:3000') =>
  [`GET ${path} HTTP/1.1`, `Host: ${host}`, 'Connection: close', ...headers, '', ''].join('\n');

const post = (path: string, headers: string[] = []) =>
  [`POST ${path} HTTP/1.1`, 'Host: sso.test:3000', 'Connection: close', 'Content-Length: 0', ...headers, '', ''].join(
    '\n',
  );

describe('the address of a person', () => {
  test('is the peer, whatever the headers say, without a trusted proxy', async () => {
    const { body } = await app.send(
      get('/', ['X-Forwarded-For: 203.0.113.9', 'Forwarded: for=203.0.113.9', 'X-Real-IP: 203.0.113.9']),
    );
    expect(JSON.parse(body)).toMatchObject({ address: '127.0.0.1', ip: '127.0.0.1' });
  });

  test.each([
    ['the hop before the proxy', '203.0.113.9', '203.0.113.9'],
    ['never what the person wrote before it', '1.1.1.1, 203.0.113.9', '203.0.113.9'],
    ['the first that is no proxy of ours', '1.1.1.1, 203.0.113.9, 10.2.3.4, 10.0.0.1', '203.0.113.9'],
    ['with a port', '203.0.113.9:1234', '203.0.113.9'],
    ['in IPv6', '1.1.1.1, [2001:db8::1]:443, fd00::7', '2001:db8::1'],
    ['IPv4 in IPv6', '::ffff:203.0.113.9', '203.0.113.9'],
    ['the last proxy when what it tells is no address', 'unknown, 10.0.0.2', '10.0.0.2'],
    ['the proxy itself for an empty header', '', '127.0.0.1'],
    ['the outermost proxy when all are ours', '10.0.0.3, 10.0.0.2', '10.0.0.3'],
  ])('behind trusted proxies is %s', async (_, forwarded, address) => {
    const { body } = await proxied.send(get('/', [`X-Forwarded-For: ${forwarded}`], 'sso.test'));
    expect(JSON.parse(body)).toMatchObject({ address, ip: address });
  });
});

describe('host and scheme', () => {
  const forged = [
    'X-Forwarded-Host: evil.example',
    'X-Forwarded-Proto: gopher',
    'X-Forwarded-Port: 1',
    'X-Forwarded-Prefix: /evil',
    'Forwarded: host=evil.example;proto=gopher',
    'X-Host: evil.example',
    'X-Original-URL: /evil',
    'X-Rewrite-URL: /evil',
    'X-HTTP-Method-Override: DELETE',
    'X-SSL-Client-Cert: evil',
  ];

  test('come from the configuration, and nothing of forged headers is left', async () => {
    const { status, body } = await app.send(get('/', forged));
    expect(status).toBe(200);
    expect(JSON.parse(body)).toMatchObject({
      href: 'http://sso.test:3000/',
      host: 'sso.test:3000',
      secure: false,
    });
    expect(body).not.toMatch(/evil|gopher/);
  });

  test('are https behind a proxy that ends TLS', async () => {
    const { body, headers } = await proxied.send(get('/a?b=c', ['X-Forwarded-Proto: http'], 'sso.test'));
    expect(JSON.parse(body)).toMatchObject({
      href: 'https://sso.test/a?b=c',
      secure: true,
    });
    expect(headers['strict-transport-security']).toMatch(/max-age=\d{8}/);
  });

  test.each([
    'evil.example',
    'sso.test',
    'sso.test:3001',
    'sso.test:3000@evil.example',
    'sso.test:3000.evil.example',
    'evil.example:3000',
    '',
  ])('refuse the host "%s" and do not repeat it', async (host) => {
    const { status, body, headers } = await app.send(get('/portal', ['Accept: text/html'], host));
    expect(status).toBe(421);
    expect(body).toContain('http://sso.test:3000');
    expect(JSON.stringify(headers) + body).not.toContain('evil');
  });

  test.each(['sso.test', 'SSO.test', 'sso.test:443'])('accept the configured host written as %s', async (host) => {
    expect((await proxied.send(get('/', [], host))).status).toBe(200);
  });

  test('refuse two Host headers', async () => {
    const { status } = await app.send(get('/', ['Host: evil.example']));
    expect([400, 421]).toContain(status);
  });

  test('hold for an absolute target as well', async () => {
    expect((await app.send(get('http://evil.example/portal'))).status).toBe(421);
    const { status, body } = await app.send(get('http://sso.test:3000/portal?a=b'));
    expect(status).toBe(200);
    expect(JSON.parse(body)).toMatchObject({ url: '/portal?a=b', href: 'http://sso.test:3000/portal?a=b' });
  });

  test('do not matter for probes', async () => {
    expect((await app.send(get('/healthz', [], '10.1.2.3:3000'))).status).toBe(200);
  });
});

describe('odd requests', () => {
  test.each(['TRACE', 'PROPFIND', 'LINK'])(
    'the method %s is answered 405 with those that are known',
    async (method) => {
      const { status, headers } = await app.send(get('/').replace('GET', method));
      expect([status, headers.allow]).toEqual([405, 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS']);
    },
  );

  test.each(['/%00', '/a%00b', '/%', '/%zz', '/%ff', '/?a=%00', '/?%00=a', '/?a=%', '/?a=%c3%28', '/?a=b&c=%e0%80%80'])(
    '%s is answered 400',
    async (path) => {
      expect((await app.send(get(path))).status).toBe(400);
    },
  );

  test('an address of 16 KB is read, a longer one is not', async () => {
    expect((await app.send(get(`/?a=${'x'.repeat(16_000)}`))).status).toBe(200);
    expect((await app.send(get(`/?a=${'x'.repeat(17_000)}`))).status).toBe(414);
  });

  test('no random address ends in our own error, or names another host', async () => {
    let seed = 7;
    const random = (below: number) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return seed % below;
    };
    const parts = [
      '%',
      '%0',
      '%00',
      '%2f',
      '//',
      '\\',
      '..',
      '?',
      '#',
      '&',
      '=',
      'lang=en',
      'a',
      'é',
      ';',
      ':',
      '@',
      '[',
      '%f0%9f%98%80',
      '+',
      'connect',
      'interaction',
    ];
    for (let i = 0; i < 200; i += 1) {
      const path = `/${Array.from({ length: random(8) }, () => parts[random(parts.length)]).join('')}`;
      const { status, headers } = await app.send(get(path));
      expect([path, status < 500]).toEqual([path, true]);
      if (headers.location) expect(headers.location).toMatch(/^http:\/\/sso\.test:3000\//);
    }
  });
});

describe('changes', () => {
  test.each([
    [200, 'from our own page', ['Sec-Fetch-Site: same-origin', 'Origin: http://sso.test:3000']],
    [200, 'typed by the person', ['Sec-Fetch-Site: none']],
    [200, 'from a program', []],
    [200, 'from an older browser on our own page', ['Origin: http://sso.test:3000']],
    [200, 'from our own page that hides its origin', ['Sec-Fetch-Site: same-origin', 'Origin: null']],
    [403, 'from another site', ['Sec-Fetch-Site: cross-site', 'Origin: https://evil.example']],
    [403, 'from a neighbour on the same site', ['Sec-Fetch-Site: same-site']],
    [403, 'from another port in an older browser', ['Origin: http://sso.test:3001']],
    [403, 'from a hidden origin', ['Origin: null']],
    [403, 'with an origin that only begins like ours', ['Origin: http://sso.test:3000.evil.example']],
  ])('%d for a form %s', async (status, _, headers) => {
    expect((await app.send(post('/portal/profile', headers))).status).toBe(status);
    expect((await app.send(post('/connect/session/end/confirm', headers))).status).toBe(status);
  });

  test.each(['/connect/token', '/connect/par', '/connect/session/end'])('%s is for other programs', async (path) => {
    expect((await app.send(post(path, ['Origin: https://app.example', 'Sec-Fetch-Site: cross-site']))).status).toBe(
      200,
    );
  });

  test('reading is not refused', async () => {
    expect((await app.send(get('/portal', ['Sec-Fetch-Site: cross-site']))).status).toBe(200);
  });
});

describe('the log', () => {
  test('has one line for a request, with our own id and nothing of query, body or sign-in', async () => {
    app.lines.length = 0;
    const { headers } = await app.send(get('/interaction/secret-uid/abort?code=secret-code', ['X-Request-Id: forged']));
    expect(headers['x-request-id']).toMatch(/^[\w-]{16}$/);
    expect(app.lines).toEqual([
      expect.objectContaining({
        request_id: headers['x-request-id'],
        method: 'GET',
        path: '/interaction/:uid/abort',
        status: 200,
        ms: expect.any(Number),
      }),
    ]);
    expect(JSON.stringify(app.lines)).not.toMatch(/secret|forged/);
  });

  test('hides the token of an invitation, however its address is spelled', async () => {
    app.lines.length = 0;
    for (const path of ['/invitation/secret', '/Invitation/secret', '/invitation/secret/'])
      await app.send(`GET ${path} HTTP/1.1\nHost: sso.test:3000\nConnection: close\n\n`);
    expect(app.lines).toHaveLength(3);
    expect(JSON.stringify(app.lines)).not.toContain('secret');
  });
});
