/** The language of an answer: chosen by the person, asked for by an application, else Indonesian. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Middleware } from '../../src/http/guard.ts';
import { followUiLocales } from '../../src/http/language.ts';
import { startApp, type TestApp } from '../support/app.ts';

const tell: Middleware = (ctx) => {
  if (ctx.path === '/asked') followUiLocales(ctx, ctx.query.locales);
  ctx.body = { language: ctx.state.language };
};

let app: TestApp;

beforeAll(async () => {
  app = await startApp(tell);
});

afterAll(() => app.close());

const get = (path: string, headers: string[] = []) =>
  [`GET ${path} HTTP/1.1`, 'Host: sso.test:3000', 'Connection: close', ...headers, '', ''].join('\n');

const post = (path: string) =>
  [`POST ${path} HTTP/1.1`, 'Host: sso.test:3000', 'Connection: close', 'Content-Length: 0', '', ''].join('\n');

describe('language', () => {
  test('is Indonesian, or what the cookie says', async () => {
    expect(JSON.parse((await app.send(get('/'))).body).language).toBe('id');
    expect(JSON.parse((await app.send(get('/', ['Cookie: gapura_lang=en']))).body).language).toBe('en');
    expect(JSON.parse((await app.send(get('/', ['Cookie: gapura_lang=__proto__']))).body).language).toBe('id');
  });

  test('is chosen by ?lang=, which leaves the address', async () => {
    const { status, headers, cookies } = await app.send(get('/recovery?a=1&lang=en&b=%26'));
    expect(status).toBe(303);
    expect(headers.location).toBe('http://sso.test:3000/recovery?a=1&b=%26');
    expect(cookies.join()).toMatch(/^gapura_lang=en; path=\/; expires=[^;]+; samesite=lax; httponly$/i);
  });

  test.each(['//evil.example/%2e%2e?lang=en', '/\\evil.example?lang=en', '///evil.example?lang=en'])(
    'does not lead %s to another host',
    async (path) => {
      const { headers, status } = await app.send(get(path));
      if (status === 303) expect(new URL(headers.location ?? '').host).toBe('sso.test:3000');
      else expect(status).toBeGreaterThanOrEqual(400);
    },
  );

  test("is chosen on the engine's pages, and no parameter of an application gets lost", async () => {
    const { status, headers } = await app.send(get('/connect/auth?scope=openid+email&lang=en&state=a%2Fb%26'));
    expect(status).toBe(303);
    const { pathname, searchParams } = new URL(headers.location ?? '');
    expect([pathname, [...searchParams]]).toEqual([
      '/connect/auth',
      [
        ['scope', 'openid email'],
        ['state', 'a/b&'],
      ],
    ]);
  });

  test("leaves the engine's addresses for programs alone", async () => {
    expect((await app.send(get('/connect/userinfo?lang=en'))).status).toBe(200);
  });

  test('is set for a form without losing the form', async () => {
    const { status, body, cookies } = await app.send(post('/recovery?lang=en'));
    expect([status, JSON.parse(body).language, cookies.length]).toEqual([200, 'en', 1]);
  });
});

describe('what an application asks for', () => {
  const ask = async (locales: string, headers: string[] = []) => {
    const { body, cookies } = await app.send(get(`/asked?${locales}`, headers));
    return { language: JSON.parse(body).language, cookies };
  };

  test('is spoken here and on the pages after this one, as long as the browser is open', async () => {
    const { language, cookies } = await ask('locales=en');
    expect(language).toBe('en');
    expect(cookies.join()).toMatch(/^gapura_asked_lang=en; path=\/; samesite=lax; httponly$/i);
    const { body } = await app.send(get('/', ['Cookie: gapura_asked_lang=en']));
    expect(JSON.parse(body).language).toBe('en');
  });

  test.each([
    ['locales=fr%20en-GB%20id', 'en'],
    ['locales=ID-id', 'id'],
    ['locales=fr', 'id'],
    ['locales=eng', 'id'],
    ['locales=', 'id'],
    ['locales=en&locales=en', 'id'],
    ['locales=__proto__', 'id'],
  ])('%s is %s: the first that is spoken, and nothing else', async (locales, language) => {
    expect((await ask(locales)).language).toBe(language);
  });

  test('gives way to what the person chose', async () => {
    const { language, cookies } = await ask('locales=en', ['Cookie: gapura_lang=id']);
    expect([language, cookies]).toEqual(['id', []]);
  });

  test('of the next application counts then', async () => {
    expect((await ask('locales=id', ['Cookie: gapura_asked_lang=en'])).language).toBe('id');
  });
});
