// CargoLink: its own form, its own session, and the wait after wrong passwords.

import { createServer } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { type CargoLinkOptions, startCargoLink } from '../../src/demo/cargolink.ts';
import type { Site } from '../../src/demo/site.ts';
import { moveProcessClock } from '../support/clock.ts';
import { newHttpVisitor } from '../support/http.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

const right = { username: 'cargo_budi', password: 'Cargo-Test-2026!' };

let database: TestDatabase;
let options: CargoLinkOptions;
let site: Site;

beforeAll(async () => {
  database = await createTestDatabase({ migrated: false });
  const port = await findFreePort();
  const url = `http://localhost:${port}`;
  options = { port, url, database_url: database.url, own_password: right.password };
  site = await startCargoLink(options);
});

afterEach(() => moveProcessClock(0));

afterAll(async () => {
  await site?.close();
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

test('a user of its own logs in, sees shipments, and signs out', async () => {
  const visitor = newHttpVisitor(site.url);
  const home = await visitor.submit(await visitor.get('/'), right);
  expect(home.status).toBe(200);
  expect(home.body).toContain('cargo_budi');
  expect(home.body).toContain('CL-2026-004817');
  const cookie = visitor.cookies.find(({ name }) => name === 'cargolink');
  expect(cookie?.value).toMatch(/^[\w-]{43}$/);
  const kept = [...visitor.cookies];
  const out = await visitor.submit(home, {}, '/logout');
  expect(out.body).toContain('name="password"');
  visitor.cookies.push(...kept);
  expect((await visitor.get('/')).body).toContain('name="password"');
});

test('a session outlives a restart', async () => {
  const visitor = newHttpVisitor(site.url);
  await visitor.submit(await visitor.get('/'), right);
  await site.close();
  site = await startCargoLink(options);
  expect((await visitor.get('/')).body).toContain('cargo_budi');
});

test('a wrong password and an unknown name get the same answer', async () => {
  const visitor = newHttpVisitor(site.url);
  const wrong = await visitor.post('/login', { username: 'cargo_budi', password: 'x' });
  const unknown = await visitor.post('/login', { username: 'cargo_buda', password: 'x' });
  expect([wrong.status, unknown.status]).toEqual([422, 422]);
  expect(unknown.body.replace('cargo_buda', 'cargo_budi')).toBe(wrong.body);
  expect(wrong.body).not.toContain('value="x"');
});

test.each(['cargo_budi', 'nobody'])('five failures of %s are followed by a wait of 30 seconds', async (username) => {
  moveProcessClock(3600);
  const visitor = newHttpVisitor(site.url);
  const attempts = Array.from({ length: 12 }, () => visitor.post('/login', { username, password: 'wrong' }));
  const statuses = (await Promise.all(attempts)).map(({ status }) => status);
  expect(statuses.filter((status) => status === 422)).toHaveLength(5);
  expect(statuses.filter((status) => status === 429)).toHaveLength(7);
  const waiting = await visitor.post('/login', { username, password: right.password });
  expect([waiting.status, waiting.headers.get('retry-after')]).toEqual([429, '30']);
  moveProcessClock(3600 + 31);
  const after = await visitor.post('/login', { username, password: right.password });
  expect(after.status).toBe(username === right.username ? 200 : 422);
});

test('a form from another site is refused, and so is what is no form', async () => {
  const visitor = newHttpVisitor(site.url);
  const headers = { origin: 'http://localhost:1' };
  expect((await visitor.post('/login', right, { headers })).status).toBe(403);
  const response = await fetch(`${site.url}/login`, { method: 'POST', body: '{}' });
  expect(response.status).toBe(415);
  const nul = await visitor.post('/login', { username: 'a\0', password: 'x' });
  expect(nul.status).toBe(400);
  const long = await visitor.post('/login', { username: 'a'.repeat(30_000), password: 'x' });
  expect(long.status).toBe(413);
  expect(visitor.cookies.some(({ name }) => name === 'cargolink')).toBe(false);
});

test('the language is chosen by the address and kept by a cookie', async () => {
  const visitor = newHttpVisitor(site.url);
  expect((await visitor.get('/')).body).toContain('<html lang="id">');
  const chosen = await visitor.get('/?lang=en');
  expect(chosen.url.href).toBe(`${site.url}/`);
  expect(chosen.body).toContain('<html lang="en">');
  expect((await visitor.get(`${site.url}//evil.example?lang=id`)).url.origin).toBe(site.url);
});

test('a port in use is the socket’s own error', async () => {
  await expect(startCargoLink(options)).rejects.toMatchObject({ code: 'EADDRINUSE' });
});

test('two that start at once on an empty database both work', async () => {
  const empty = await createTestDatabase({ migrated: false });
  const ports = [await findFreePort(), await findFreePort()];
  const sites = await Promise.all(
    ports.map((port) => startCargoLink({ ...options, port, url: `http://localhost:${port}`, database_url: empty.url })),
  );
  for (const { url } of sites) expect((await fetch(url)).status).toBe(200);
  await Promise.all(sites.map((one) => one.close()));
  await empty.drop();
});
