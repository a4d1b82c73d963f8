/** Failing answers: words for people, problem documents for programs, one log line for a bug, and nothing of its insides. */

import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { refuse } from '../../src/http/errors.ts';
import type { Middleware } from '../../src/http/guard.ts';
import { startApp, type TestApp } from '../support/app.ts';

const failures: Record<string, () => unknown> = {
  '/bug': () => new TypeError('secret insides'),
  '/text': () => 'secret text',
  '/nothing': () => undefined,
  '/row': () => Object.assign(new Error('duplicate key'), { code: '23505', detail: 'Key (canonical)=(secret) exists' }),
  '/gone': () => Object.assign(new Error('secret connect'), { code: 'ECONNREFUSED' }),
  '/full': () => Object.assign(new Error('line'), { retry_after: 2 }),
  '/rude': () => Object.assign(new Error('secret words'), { status: 418, expose: true }),
  '/hidden': () => Object.assign(new Error('secret words'), { status: 404, expose: false }),
};

const answer: Middleware = (ctx) => {
  const failure = failures[ctx.path.replace(/^\/api\/v1/, '')];
  if (failure) {
    ctx.set('etag', '"x"');
    ctx.cookies.set('half', 'done');
    throw failure();
  }
  if (ctx.path === '/refused') {
    const words = { title: 'errors.too_many.title', text: 'errors.too_many.text' };
    refuse(ctx, 429, 'sign_in_limited', words, { ways: [{ href: '/x', label: 'On <we> go' }], retry_after: 30 });
  }
  if (ctx.path === '/limited') ctx.status = 405;
  if (ctx.path === '/empty') ctx.status = 204;
  if (ctx.path === '/own') {
    ctx.status = 404;
    ctx.body = 'own words';
  }
};

let app: TestApp;

beforeAll(async () => {
  app = await startApp(answer);
});

beforeEach(() => {
  app.lines.length = 0;
});

afterAll(() => app.close());

const get = (path: string, accept = 'text/html', extra = '') =>
  app.send(`GET ${path} HTTP/1.1\nHost: sso.test:3000\nAccept: ${accept}\nConnection: close\n${extra}\n`);

const errorLines = () => app.lines.filter((line) => line.level === 50);

test.each([
  ['/bug', 500, 'Terjadi kesalahan di pihak kami'],
  ['/text', 500, 'Terjadi kesalahan di pihak kami'],
  ['/nothing', 500, 'Terjadi kesalahan di pihak kami'],
  ['/row', 500, 'Terjadi kesalahan di pihak kami'],
  ['/gone', 503, 'Layanan sedang terganggu'],
  ['/full', 503, 'Sedang sangat ramai'],
  ['/rude', 418, 'Permintaan tidak dapat dibaca'],
  ['/hidden', 500, 'Terjadi kesalahan di pihak kami'],
  ['/limited', 405, 'Cara ini tidak didukung'],
  ['/missing', 404, 'Halaman tidak ditemukan'],
])('%s is a page of status %d', async (path, status, title) => {
  const answered = await get(path);
  expect(answered.status).toBe(status);
  expect(answered.headers['content-type']).toBe('text/html; charset=utf-8');
  expect(answered.headers['cache-control']).toBe('no-store');
  expect(answered.body).toContain(title);
  expect(answered.body).toContain('http://sso.test:3000/');
  expect(answered.body).not.toMatch(/secret|TypeError|\.ts:/);
  expect(answered.cookies).toEqual([]);
  expect(answered.headers.etag).toBeUndefined();
});

test('a bug is logged once with the id that its page tells, and without the row that a database error carries', async () => {
  const { body, headers } = await get('/row');
  const id = headers['x-request-id'] ?? '';
  expect(body).toContain(id);
  expect(errorLines()).toEqual([expect.objectContaining({ request_id: id, status: 500 })]);
  expect(JSON.stringify(errorLines())).toContain('23505');
  expect(JSON.stringify(errorLines())).not.toContain('secret');
});

test('what a person caused, or a full line, is no error of ours', async () => {
  for (const path of ['/rude', '/missing', '/full', '/refused']) await get(path);
  expect(errorLines()).toEqual([]);
});

test.each([
  ['/full', '2'],
  ['/gone', '5'],
  ['/refused', '30'],
])('%s says when to come again', async (path, seconds) => {
  expect((await get(path)).headers['retry-after']).toBe(seconds);
});

test('a surface says no in its own words, escaped', async () => {
  const { status, body } = await get('/refused');
  expect(status).toBe(429);
  expect(body).toContain('Terlalu banyak percobaan');
  expect(body).toContain('On &lt;we&gt; go');
});

test.each([
  ['/api/v1/bug', '*/*', 500, 'failure'],
  ['/api/v1/missing', 'text/html', 404, 'not_found'],
  ['/missing', 'application/json', 404, 'not_found'],
  ['/refused', 'application/json', 429, 'sign_in_limited'],
])('%s for %s is a problem document', async (path, accept, status, code) => {
  const { body, headers } = await get(path, accept);
  expect(headers['content-type']).toBe('application/problem+json');
  expect(JSON.parse(body)).toEqual({
    type: 'about:blank',
    status,
    code,
    title: expect.any(String),
    detail: expect.any(String),
    request_id: headers['x-request-id'],
  });
});

test('the words are in the language of the person', async () => {
  expect((await get('/missing', 'text/html', 'Cookie: gapura_lang=en\n')).body).toContain('Page not found');
});

test('the way to try again leads to our own host, even for an address of two slashes', async () => {
  const { body } = await get('//evil.example/bug');
  expect(body).not.toMatch(/href="(\/\/|https?:\/\/evil)/);
});

test('answers that are complete stay as they are', async () => {
  expect((await get('/own')).body).toBe('own words');
  expect((await get('/empty')).status).toBe(204);
});

test('where even the page fails, plain words and the id are left', async () => {
  const broken = await startApp((ctx) => {
    Object.defineProperty(ctx, 'site', {
      get() {
        throw new Error('the page is broken too');
      },
    });
    throw new Error('bug');
  });
  const { status, headers, body } = await broken.send('GET / HTTP/1.1\nHost: sso.test:3000\nConnection: close\n\n');
  await broken.close();
  expect(status).toBe(500);
  expect(headers['content-type']).toBe('text/plain; charset=utf-8');
  expect(body).toContain('Terjadi kesalahan di pihak kami');
  expect(body).toContain(headers['x-request-id']);
});
