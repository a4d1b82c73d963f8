/** Assets: named by their content, compressed once, kept for ever, and small. */

import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { brotliCompressSync, brotliDecompressSync, gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import Koa from 'koa';
import { serveAssets } from '../../src/http/assets.ts';
import { translator } from '../../src/i18n/messages.ts';
import { assets, type PageContext, page } from '../../src/views.ts';

let server: Server;

beforeAll(async () => {
  const app = new Koa();
  app.use(serveAssets() as unknown as Koa.Middleware);
  server = createServer(app.callback());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});

afterAll(() => new Promise((resolve) => server.close(resolve)));

interface Answer {
  status: number | undefined;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
}

// Not fetch, which would unpack the body itself.
function ask(path: string, encodings = '', method = 'GET'): Promise<Answer> {
  const { port } = server.address() as AddressInfo;
  const headers = encodings ? { 'accept-encoding': encodings } : {};
  return new Promise((resolve, reject) => {
    const sent = request({ port, host: '127.0.0.1', path, method, headers, agent: false }, (answer) => {
      const parts: Buffer[] = [];
      answer.on('data', (part: Buffer) => parts.push(part));
      answer.on('end', () =>
        resolve({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(parts) }),
      );
    });
    sent.on('error', reject).end();
  });
}

const urlOf = (name: string) => assets.get(name)?.url ?? '';

test.each([...assets.keys()])('%s is the same packed and plain, typed, and kept for ever', async (name) => {
  const { url, type, body } = assets.get(name) ?? { url: '', type: '', body: Buffer.of() };
  const [plain, gzip, br] = await Promise.all([ask(url), ask(url, 'gzip'), ask(url, 'gzip, deflate, br')]);
  expect(plain.body.equals(body)).toBe(true);
  expect(plain.headers['content-encoding']).toBeUndefined();
  expect(gzip.headers['content-encoding']).toBe('gzip');
  expect(gunzipSync(gzip.body).equals(body)).toBe(true);
  expect(br.headers['content-encoding']).toBe('br');
  expect(brotliDecompressSync(br.body).equals(body)).toBe(true);
  for (const { status, headers } of [plain, gzip, br]) {
    expect(status).toBe(200);
    expect(headers['content-type']).toBe(type);
    expect(headers['cache-control']).toBe('public, max-age=31536000, immutable');
    expect(headers['x-content-type-options']).toBe('nosniff');
    expect(headers.vary).toBe('accept-encoding');
  }
});

test('an encoding that is refused is not sent', async () => {
  expect((await ask(urlOf('gapura.css'), 'br;q=0, gzip')).headers['content-encoding']).toBe('gzip');
});

test('another hash, another name and the way up are not found', async () => {
  const old = urlOf('gapura.css').replace(/\.[0-9a-f]{16}\./, '.0000000000000000.');
  for (const path of [old, '/assets/gapura.css', '/assets/../src/config.ts', '/assets/%2e%2e/package.json']) {
    expect((await ask(path)).status).toBe(404);
  }
});

test('HEAD has the headers alone, other methods are told what is allowed', async () => {
  const head = await ask(urlOf('mark.svg'), '', 'HEAD');
  expect([head.status, head.body.length]).toEqual([200, 0]);
  const post = await ask(urlOf('mark.svg'), '', 'POST');
  expect([post.status, post.headers.allow]).toEqual([405, 'GET, HEAD']);
});

test('browsers find a picture, crawlers that nothing is for them', async () => {
  const [icon, robots] = await Promise.all([ask('/favicon.ico'), ask('/robots.txt')]);
  expect(icon.headers['content-type']).toBe('image/svg+xml');
  expect(icon.headers['cache-control']).not.toContain('immutable');
  expect(robots.body.toString()).toBe('User-agent: *\nDisallow: /\n');
});

test('the sign-in page with all it loads is 20 KB at most, and its styles arrive in one round trip', async () => {
  const ctx: PageContext = {
    state: { language: 'id', t: translator('id') },
    originalUrl: '/interaction/x',
    querystring: '',
    type: '',
    body: '',
  };
  page(ctx, 'prompts/login', {
    client: { name: 'e-BPOM', agency: 'Badan Pengawas Obat dan Makanan' },
    action: '/interaction/x',
    values: { identifier: '' },
    errors: {},
    registration_href: '/registration',
    recovery_href: '/recovery',
  });
  const html = String(ctx.body);
  const loaded = [...html.matchAll(/(?:href|src)="(\/assets\/[^"]+)"/g)].map(([, url = '']) => url);
  expect(loaded).toHaveLength(3);
  const sizes = await Promise.all(loaded.map(async (url) => (await ask(url, 'br')).body.length));
  const total = sizes.reduce((sum, size) => sum + size, brotliCompressSync(html).length);
  expect(total).toBeLessThanOrEqual(20_480);
  // Ten segments of 1,460 bytes are what a new connection sends before it waits (RFC 6928).
  expect((await ask(urlOf('gapura.css'), 'br')).body.length).toBeLessThanOrEqual(14_600);
});
