/** Server processes of the test house: ready when told so, moved in time, ended and killed. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from './postgres.ts';
import { startServer } from './server.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(() => database.drop());

test('a server is ready when the promise resolves, answers by its log, and ends as an operator ends it', async () => {
  const server = await startServer({ database_url: database.url, movable: false });
  expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
  expect(server.log).toContainEqual(expect.objectContaining({ msg: 'ready' }));
  expect(await server.stop()).toBe(0);
  await expect(fetch(`${server.url}/readyz`)).rejects.toThrow();
});

test('two nodes stand on one database; the clock of each moves, and one can be killed', async () => {
  const [one, other] = await Promise.all([1, 2].map(() => startServer({ database_url: database.url })));
  if (!one || !other) throw new Error('two were started');
  await other.moveClock(86_400);
  await Promise.all([one, other].map((server) => fetch(server.url)));
  const lines = await Promise.all([one, other].map((server) => server.waitForLog((line) => line.msg === 'request')));
  const [real = 0, moved = 0] = lines.map((line) => Number(line.time));
  expect(Math.round((moved - real) / 3_600_000)).toBe(24);
  await one.kill();
  await expect(fetch(one.url)).rejects.toThrow();
  expect((await fetch(`${other.url}/readyz`)).status).toBe(200);
  expect(await other.stop()).toBe(0);
});

test('a server that cannot start is an error with its own words', async () => {
  const start = startServer({ database_url: database.url, env: { GAPURA_SECRETS: 'short' } });
  await expect(start).rejects.toThrow(/GAPURA_SECRETS must hold/);
});
