/** The test house itself: a tool that cannot fail would let every test pass. */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { now, nowSeconds } from '../../src/clock.ts';
import { isSchemaCurrent, openDatabase } from '../../src/database.ts';
import {
  type Browser,
  clickAndSettle,
  expectNoAxeViolations,
  expectQuiet,
  forgetNoise,
  openBrowser,
} from './browser.ts';
import { moveClock, resetClock } from './clock.ts';
import { findForm, newHttpVisitor } from './http.ts';
import { createTestDatabase, type TestDatabase } from './postgres.ts';
import { storm } from './storm.ts';
import { countTotals } from './totals.ts';

const good = '<main><h1>Halo</h1><p>Selamat datang</p><a id="next" href="/bad">Lanjut</a></main>';
const bad = '<main><h1>Halo</h1><p style="color:#999;background:#fff">pucat</p><img src="/missing.png"></main>';
const form = `<form id="a" action="/keep" method="post"><input type="hidden" name="token" value="a&amp;b">
  <input name="name" value='Budi'><input type="checkbox" name="off" value="1"><select name="directorate">
  <option value="1">A</option><option value="2" selected>B</option></select><button name="x" value="y">Masuk</button></form>`;

let server: Server;
let origin: string;
let arrivals: number[] = [];

beforeAll(async () => {
  server = createServer((request, response) => void answer(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://localhost:${(server.address() as AddressInfo).port}`;
});

afterAll(() => new Promise((done) => server.close(done)));

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', origin);
  let body = '';
  for await (const chunk of request) body += chunk;
  if (body) arrivals.push(performance.now());
  if (url.pathname === '/set') {
    response.setHeader('set-cookie', ['root=1; Path=/', 'deep=2; Path=/interaction/x; HttpOnly', 'gone=3; Max-Age=0']);
    response.writeHead(303, { location: '/echo' }).end();
  } else if (url.pathname === '/missing.png') response.writeHead(404).end();
  else if (url.pathname === '/echo' || url.pathname.startsWith('/interaction'))
    response.end(JSON.stringify({ cookie: request.headers.cookie ?? '', body, origin: request.headers.origin }));
  else {
    response.setHeader('content-security-policy', "default-src 'self'; style-src 'self'");
    response.setHeader('content-type', 'text/html; charset=utf-8');
    const page = url.pathname === '/bad' ? bad : good;
    response.end(`<!doctype html><html lang="id"><head><title>Halo</title></head><body>${page}</body></html>`);
  }
}

test('files are loaded by Node itself, into the realm in which the product runs', () => {
  expect(structuredClone(new TypeError('x'))).toBeInstanceOf(TypeError);
});

describe('databases and clocks', () => {
  let one: TestDatabase;
  let other: TestDatabase;

  beforeAll(async () => {
    [one, other] = await Promise.all([createTestDatabase(), createTestDatabase()]);
  });

  afterAll(() => Promise.all([one.drop(), other.drop()]));

  test('every test file has a migrated database of its own', async () => {
    expect(await isSchemaCurrent(one.db)).toBe(true);
    await sql`CREATE TABLE mine ()`.execute(one.db);
    await expect(sql`SELECT FROM mine`.execute(other.db)).rejects.toThrow('does not exist');
    const empty = await createTestDatabase({ migrated: false });
    expect(await isSchemaCurrent(empty.db)).toBe(false);
    await empty.drop();
    const gone = openDatabase(empty.url);
    await expect(sql`SELECT 1`.execute(gone)).rejects.toThrow('does not exist');
    await gone.destroy();
  });

  test('one offset moves the process, the engine and SQL, of one database only', async () => {
    const real = nowSeconds();
    const readSql = async ({ db }: TestDatabase) =>
      (await sql<{ at: Date }>`SELECT gapura_now() AS at`.execute(db)).rows[0]?.at.getTime() ?? 0;
    await moveClock(one.db, 3600);
    for (const at of [now().getTime(), Date.now(), await readSql(one)])
      expect(Math.abs(at / 1000 - real - 3600)).toBeLessThan(30);
    expect(Math.abs((await readSql(other)) / 1000 - real)).toBeLessThan(30);
    await moveClock(one.db, -86_400.5);
    expect(Math.abs((await readSql(one)) / 1000 - real + 86_400.5)).toBeLessThan(30);
    await resetClock(one.db);
    for (const at of [now().getTime(), await readSql(one)]) expect(Math.abs(at / 1000 - real)).toBeLessThan(30);
  });
});

describe('the visitor without a browser', () => {
  test('keeps cookies by host and path, never by port, and forgets those that end', async () => {
    const visitor = newHttpVisitor(origin);
    const page = await visitor.get('/set');
    expect(JSON.parse(page.body).cookie).toBe('root=1');
    expect(page.trail).toEqual([`${origin}/set`, `${origin}/echo`]);
    expect(JSON.parse((await visitor.get('/interaction/x/login')).body).cookie).toBe('deep=2; root=1');
    expect(JSON.parse((await visitor.get('/interaction/xy')).body).cookie).toBe('root=1');
    expect(JSON.parse((await visitor.get(origin.replace('localhost', '127.0.0.1').concat('/echo'))).body).cookie).toBe(
      '',
    );
  });

  test('reads and sends a form as a browser would', async () => {
    expect(findForm(form)).toEqual({
      action: '/keep',
      method: 'post',
      fields: { token: 'a&b', name: 'Budi', directorate: '2' },
      pairs: [
        ['token', 'a&b'],
        ['name', 'Budi'],
        ['directorate', '2'],
      ],
    });
    expect(() => findForm(form + form.replace('"a"', '"b"'))).toThrow('2 forms fit the page');
    const visitor = newHttpVisitor(origin);
    const page = { ...(await visitor.get('/echo')), body: form.replace('/keep', '/echo') };
    const sent = JSON.parse((await visitor.submit(page, { name: 'Sari' })).body);
    expect(sent).toEqual({ cookie: '', body: 'token=a%26b&name=Sari&directorate=2', origin });
  });
});

test('a storm arrives together and gives every answer', async () => {
  arrivals = [];
  const answers = await storm(50, (at) => ({
    url: `${origin}/echo`,
    body: `at=${at}`,
    headers: { Cookie: `n=${at}` },
  }));
  expect(answers.map((one) => one.status)).toEqual(Array(50).fill(200));
  expect(answers.map((one) => JSON.parse(one.body).body)).toEqual(Array.from({ length: 50 }, (_, at) => `at=${at}`));
  expect(JSON.parse(answers[7]?.body ?? '').cookie).toBe('n=7');
  expect(arrivals).toHaveLength(50);
});

test('the last line counts a suite that did not run as failed', () => {
  const results = {
    numPassedTests: 5,
    numFailedTests: 1,
    numRuntimeErrorTestSuites: 2,
    numPendingTests: 0,
    numTodoTests: 0,
  };
  expect(countTotals(results)).toBe('5 passed, 3 failed');
  expect(countTotals({ ...results, numPendingTests: 4 })).toBe('5 passed, 3 failed, 4 skipped');
});

describe('the browser', () => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await openBrowser();
  });

  afterAll(() => browser.close());

  test('a quiet accessible page passes; pale words, a missing picture and a breach of the CSP do not', async () => {
    const { page, close } = await browser.newVisitor();
    await page.goto(`${origin}/good`);
    await expectNoAxeViolations(page);
    expectQuiet(page);
    expect((await clickAndSettle(page, '#next')).status()).toBe(200);
    await expect(expectNoAxeViolations(page)).rejects.toThrow('image-alt');
    expect(() => expectQuiet(page)).toThrow('answer 404');
    expect(() => expectQuiet(page)).toThrow('Content Security Policy');
    forgetNoise(page);
    expectQuiet(page);
    await close();
  });

  test('visitors share nothing, and one without scripts runs none', async () => {
    const one = await browser.newVisitor({ language: 'en', scheme: 'dark', width: 320 });
    await one.page.goto(`${origin}/set`);
    const seen = () => ({
      language: navigator.language,
      width: innerWidth,
      dark: matchMedia('(prefers-color-scheme: dark)').matches,
    });
    expect(await one.page.evaluate(seen)).toEqual({ language: 'en-GB', width: 320, dark: true });
    const two = await browser.newVisitor({ scripts: false });
    expect(await two.context.cookies()).toEqual([]);
    expect(await one.context.cookies()).toHaveLength(2);
    await two.page.setContent('<script>document.title = "ran"</script>');
    expect(await two.page.title()).toBe('');
    await one.close();
    await two.close();
  });
});
