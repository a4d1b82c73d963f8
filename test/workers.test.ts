/** One node as several processes: all of them answer, one that dies is replaced, and a stop lets them finish. */

import { connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { findFreePort } from '../src/demo/postgres.ts';
import { run } from '../src/main.ts';
import { createTestDatabase, type TestDatabase } from './support/postgres.ts';
import { type Server, startServer } from './support/server.ts';

type Line = Record<string, unknown>;

const starts = (line: Line) => line.msg === 'a worker starts';
const isReadyAs = (worker: unknown) => (line: Line) => line.msg === 'ready' && line.worker === worker;

/** How many requests each worker has answered, as the node's own numbers say. */
async function countAnswers(metrics_port: number): Promise<Map<string, number>> {
  const text = await (await fetch(`http://127.0.0.1:${metrics_port}/metrics`)).text();
  const counts = new Map<string, number>();
  for (const [, labels = '', value] of text.matchAll(/^gapura_http_request_seconds_count\{(.+)\} (\d+)$/gm)) {
    const worker = /worker="(\d+)"/.exec(labels)?.[1] ?? 'none';
    counts.set(worker, (counts.get(worker) ?? 0) + Number(value));
  }
  return counts;
}

/** A connection of its own for each, as a proxy's health checks make them. */
async function askOften(port: number, times: number): Promise<number[]> {
  const statuses: number[] = [];
  for (let turn = 0; turn < times; turn++) {
    const response = await fetch(`http://127.0.0.1:${port}/healthz`, { headers: { connection: 'close' } });
    statuses.push(response.status);
  }
  return statuses;
}

describe('a node of two workers', () => {
  let database: TestDatabase;
  let node: Server;
  let metrics_port: number;

  beforeAll(async () => {
    database = await createTestDatabase();
    metrics_port = await findFreePort();
    const env = { GAPURA_METRICS_PORT: String(metrics_port), GAPURA_WORKERS: '2' };
    node = await startServer({ database_url: database.url, env, command: ['serve', '--work'], movable: false });
    await node.waitForLog((line) => line.msg === 'working');
    for (const { worker } of node.log.filter((line) => starts(line) && line.task === 'serve'))
      await node.waitForLog(isReadyAs(worker));
  });

  afterAll(() => database.drop());

  test('answers by both, and shows the numbers of each', async () => {
    expect(new Set(await askOften(node.port, 10))).toEqual(new Set([200]));
    const counts = await countAnswers(metrics_port);
    expect([...counts.keys()].sort()).toEqual(['1', '2']);
    expect(Math.min(...counts.values())).toBeGreaterThanOrEqual(3);
  });

  test('runs the jobs in one process, which serves nobody', async () => {
    const started = node.log.filter(starts).map((line) => line.task);
    expect(started).toEqual(['serve', 'serve', 'work']);
    expect(node.log.filter((line) => line.msg === 'working')).toHaveLength(1);
    expect(node.log.filter((line) => line.msg === 'ready').map((line) => line.worker)).toEqual([1, 2]);
  });

  test('replaces one that is killed, and no request after that fails', async () => {
    const { pid } = node.log.find(starts) as { pid: number };
    process.kill(pid, 'SIGKILL');
    const end = await node.waitForLog((line) => line.msg === 'a worker has ended');
    expect(end).toMatchObject({ worker: 1, task: 'serve', signal: 'SIGKILL' });
    const statuses = await askOften(node.port, 20);
    const fourth = await node.waitForLog((line) => starts(line) && line.worker === 4);
    await node.waitForLog(isReadyAs(4));
    expect(fourth).toMatchObject({ task: 'serve' });
    statuses.push(...(await askOften(node.port, 10)));
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect((await countAnswers(metrics_port)).get('4')).toBeGreaterThan(0);
  });

  test('is asked to stop: the request in work is answered, nobody new is let in, and all processes end', async () => {
    const begun = connect(node.port, '127.0.0.1');
    let answer = '';
    begun.on('data', (chunk) => {
      answer += chunk;
    });
    const { host } = new URL(node.url);
    const head = ['POST /connect/token HTTP/1.1', `host: ${host}`, 'content-type: application/x-www-form-urlencoded'];
    begun.write([...head, 'content-length: 29', 'expect: 100-continue', '', ''].join('\r\n'));
    while (!answer.includes('100 Continue')) await wait(10);
    const stopped = node.stop();
    while (await isOpen(node.port)) await wait(10);
    begun.write('grant_type=client_credentials');
    while (!/HTTP\/1\.1 40[01] /.test(answer)) await wait(10);
    expect(await stopped).toBe(0);
    for (const { pid } of node.log.filter(starts)) expect(isAlive(pid as number)).toBe(false);
  });
});

async function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('close', () => socket.destroy()).end();
  });
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test('what no worker can start on is said once, with exit code 1', async () => {
  const database = await createTestDatabase({ migrated: false });
  const command = ['serve', '--workers', '2'];
  const started = startServer({ database_url: database.url, command, movable: false });
  const { message } = await started.then(
    () => new Error('it started'),
    (error: Error) => error,
  );
  await database.drop();
  const [first = '', ...lines] = message.split('\n');
  expect(first).toContain('(exit 1)');
  const told = lines.map((line) => JSON.parse(line)).flatMap(({ text }) => (text === undefined ? [] : [text]));
  expect(told).toEqual(['The database has no schema of this release: run `gapura migrate` first.']);
});

test('a number of workers that is none is refused, as option and as setting', async () => {
  const told = jest.spyOn(process.stderr, 'write').mockReturnValue(true);
  const codes = [await run(['serve', '--workers', 'dua'], {}), await run(['serve'], { GAPURA_WORKERS: '0' })];
  const text = told.mock.calls.map(([words]) => words).join('');
  told.mockRestore();
  expect(codes).toEqual([2, 1]);
  expect(text).toContain('--workers must be a whole number');
  expect(text).toContain('GAPURA_WORKERS must be a whole number');
});
