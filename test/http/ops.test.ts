/** What operators read: alive, ready, numbers; bounded in time, in labels and in what they tell. */

import { afterAll, afterEach, expect, test } from '@jest/globals';
import type { Middleware } from '../../src/http/guard.ts';
import {
  answerOperators,
  type Checks,
  countSignIn,
  measureRequests,
  serveMetrics,
  showHashQueue,
  showJobs,
  startMetrics,
} from '../../src/http/ops.ts';
import { startApp, type TestApp } from '../support/app.ts';

let app: TestApp | undefined;

const start = async (checks: Checks, shows_metrics = true) => {
  const answer: Middleware = (ctx) => {
    ctx.body = 'page';
  };
  app = await startApp(answer, {}, [measureRequests, answerOperators({ checks, shows_metrics })]);
  return app;
};

// By number, as probes do.
const get = async (path: string) => {
  const answer = await app?.send(`GET ${path} HTTP/1.1\nHost: 10.0.0.1:3000\nConnection: close\n\n`);
  if (!answer) throw new Error('no app');
  return answer;
};

afterEach(async () => {
  await app?.close();
  app = undefined;
});

const metrics = await serveMetrics('127.0.0.1', 0);
afterAll(() => metrics.close());

test('a living process says so, whatever its database does', async () => {
  await start({ database: async () => false });
  const { status, body } = await get('/healthz');
  expect([status, JSON.parse(body)]).toEqual([200, { status: 'ok', checks: {} }]);
});

test('it is ready when all checks say yes, and tells names and booleans only', async () => {
  await start({ database: async () => true, keys: async () => true });
  const { status, body } = await get('/readyz');
  expect([status, JSON.parse(body)]).toEqual([200, { status: 'ok', checks: { database: true, keys: true } }]);
});

test('it is not ready when one says no, throws or does not answer within two seconds', async () => {
  await start({
    good: async () => true,
    bad: async () => false,
    thrown: async () => {
      throw new Error('secret');
    },
    thrown_at_once: () => {
      throw new Error('secret');
    },
    silent: () => new Promise(() => undefined),
  });
  const { status, body } = await get('/readyz');
  expect([status, JSON.parse(body)]).toEqual([
    503,
    { status: 'failing', checks: { good: true, bad: false, thrown: false, thrown_at_once: false, silent: false } },
  ]);
});

test('many probes at once ask once', async () => {
  let asked = 0;
  const gate = Promise.withResolvers<boolean>();
  let arrived = 0;
  const check = answerOperators({
    checks: {
      database: () => {
        asked += 1;
        if (asked > 1) throw new Error('asked twice');
        return gate.promise;
      },
    },
    shows_metrics: false,
  });
  const arrive: Middleware = (_ctx, next) => {
    arrived += 1;
    return next();
  };
  app = await startApp(() => undefined, {}, [arrive, check]);
  const probes = Array.from({ length: 20 }, () => get('/readyz'));
  while (arrived < 20) await new Promise((resolve) => setImmediate(resolve));
  gate.resolve(true);
  for (const { status } of await Promise.all(probes)) expect(status).toBe(200);
});

test('numbers stand on the port of the pages only where they may', async () => {
  await start({}, true);
  expect((await get('/metrics')).body).toContain('gapura_http_request_seconds');
  await app?.close();
  await start({}, false);
  expect((await get('/metrics')).body).toBe('page');
});

test('numbers have a port of their own, and nothing else is there', async () => {
  countSignIn('done');
  const answer = await fetch(`http://127.0.0.1:${metrics.port}/metrics`);
  expect(answer.headers.get('content-type')).toMatch(/^text\/plain/);
  expect(await answer.text()).toMatch(/gapura_sign_ins_total\{outcome="done"\} [1-9]/);
  expect((await fetch(`http://127.0.0.1:${metrics.port}/`)).status).toBe(404);
  expect(await startMetrics({ listen_host: '127.0.0.1', metrics_port: 0 })).toBeUndefined();
  const taken = startMetrics({ listen_host: '127.0.0.1', metrics_port: metrics.port });
  await expect(taken).rejects.toMatchObject({ code: 'EADDRINUSE' });
});

test('requests are measured by route, so that no visitor makes up labels', async () => {
  await start({});
  const count = (body: string) =>
    Number(/gapura_http_request_seconds_count\{method="GET",route="none",status="4xx"\} (\d+)/.exec(body)?.[1] ?? 0);
  const before = count((await get('/metrics')).body);
  for (let i = 0; i < 20; i += 1) await get(`/made-up-${i}`);
  const { body } = await get('/metrics');
  expect(count(body) - before).toBe(20);
  expect(body).not.toContain('made-up');
});

test('queues are shown as they are now, and one that cannot be read hides no other number', async () => {
  await start({});
  let waiting = 3;
  showHashQueue(() => ({ made: 99, waiting, running: 1 }));
  showJobs(async () => [{ queue: 'logout', waiting: 7, active: 0, failed: 0 }]);
  expect((await get('/metrics')).body).toMatch(/gapura_password_hashes\{state="waiting"\} 3/);
  waiting = 0;
  showJobs(async () => {
    throw new Error('database gone');
  });
  const { status, body } = await get('/metrics');
  expect(status).toBe(200);
  expect(body).toMatch(/gapura_password_hashes\{state="waiting"\} 0/);
  expect(body).not.toContain('queue="logout"');
  expect(body).not.toContain('state="made"');
});
