/** The proxy of the tests: it takes turns, and changes nothing but what a proxy must. */

import { createServer, request, type Server } from 'node:http';
import { request as requestSafely } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { makeCertificate } from './certificate.ts';
import { type RoundRobin, startRoundRobin } from './round-robin.ts';

const servers: Server[] = [];
let nodes: { port: number }[];
let proxy: RoundRobin;

/** A node that says which it is and what reached it. */
async function startNode(name: string): Promise<{ port: number }> {
  const server = createServer(async (req, res) => {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    res.writeHead(201, { 'set-cookie': ['a=1', 'b=2'], 'content-type': 'application/json' });
    res.end(JSON.stringify({ name, method: req.method, url: req.url, headers: req.headers, body }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  servers.push(server);
  return { port: (server.address() as AddressInfo).port };
}

beforeAll(async () => {
  nodes = [await startNode('satu'), await startNode('dua')];
  proxy = await startRoundRobin(nodes);
});

afterAll(async () => {
  await proxy.close();
  for (const server of servers) server.close();
});

interface Seen {
  status: number;
  cookies: string[] | undefined;
  body: { name: string; method: string; url: string; headers: Record<string, string>; body: string };
}

function ask(path: string, { method = 'GET', headers = {}, body = '' } = {}): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const asking = request({ host: '127.0.0.1', port: proxy.port, path, method, headers }, async (answer) => {
      const chunks: Buffer[] = [];
      for await (const chunk of answer) chunks.push(chunk);
      const text = Buffer.concat(chunks).toString();
      const status = answer.statusCode ?? 0;
      resolve({ status, cookies: answer.headers['set-cookie'], body: text === '' ? {} : JSON.parse(text) } as Seen);
    });
    asking.on('error', reject).end(body);
  });
}

test('gives each request to the next node', async () => {
  const before = [...proxy.sent];
  const names: string[] = [];
  for (let at = 0; at < 4; at++) names.push((await ask('/')).body.name);
  expect(names.slice(2)).toEqual(names.slice(0, 2));
  expect(new Set(names).size).toBe(2);
  expect(proxy.sent.map((count, at) => count - (before[at] ?? 0))).toEqual([2, 2]);
});

test('keeps Host, address, method, body and every cookie, and says who asked', async () => {
  const headers = { host: 'sso.contoh.example', 'x-forwarded-for': '203.0.113.9', 'x-forwarded-proto': 'gopher' };
  const { status, cookies, body } = await ask('/a%2Fb?c=d&c=e', { method: 'PUT', headers, body: 'isi' });
  expect([status, cookies]).toEqual([201, ['a=1', 'b=2']]);
  expect(body).toMatchObject({ method: 'PUT', url: '/a%2Fb?c=d&c=e', body: 'isi' });
  expect(body.headers).toMatchObject({
    host: 'sso.contoh.example',
    'x-forwarded-for': '203.0.113.9, 127.0.0.1',
    'x-forwarded-proto': 'http',
  });
});

test('answers 502 for a node that is not there, and finds it again when it is back', async () => {
  const gone = nodes[1] as { port: number };
  const { port } = gone;
  gone.port = 1;
  const statuses = [(await ask('/')).status, (await ask('/')).status];
  gone.port = port;
  expect(statuses.sort()).toEqual([201, 502]);
  expect([(await ask('/')).status, (await ask('/')).status]).toEqual([201, 201]);
});

test('speaks https with a certificate, and says so to the nodes', async () => {
  const tls = makeCertificate();
  const safe = await startRoundRobin(nodes, { tls });
  const body = await new Promise<string>((resolve, reject) => {
    requestSafely({ host: 'localhost', port: safe.port, ca: tls.cert }, async (answer) => {
      const chunks: Buffer[] = [];
      for await (const chunk of answer) chunks.push(chunk);
      resolve(Buffer.concat(chunks).toString());
    })
      .on('error', reject)
      .end();
  });
  expect(JSON.parse(body).headers['x-forwarded-proto']).toBe('https');
  await safe.close();
});
