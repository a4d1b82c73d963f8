/** The listening socket: whoever sends or reads slowly, too much or in a broken way is cut off; a stop loses nothing that was begun. */

import type { Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type Koa from 'koa';
import { type ListenLimits, listen, stopListening } from '../../src/http/listen.ts';
import { startGapura, type TestGapura } from '../support/gapura.ts';

let gapura: TestGapura;
let host: string;
const servers: Server[] = [];
const sockets: Socket[] = [];
/** What the test's own page waits for, and the answers that were closed before they were whole. */
let gate = Promise.withResolvers<void>();
let began = 0;
let cut = 0;

const page: Koa.Middleware = async (ctx, next) => {
  if (!ctx.path.startsWith('/uji/')) return next();
  began += 1;
  ctx.res.once('close', () => {
    if (!ctx.res.writableFinished) cut += 1;
  });
  if (ctx.path === '/uji/large') ctx.body = Buffer.alloc(32 * 1024 * 1024, 'x');
  if (ctx.path === '/uji/held') {
    await gate.promise;
    ctx.body = 'released';
  }
  if (ctx.path === '/uji/small') ctx.body = ctx.search;
};

beforeAll(async () => {
  gapura = await startGapura();
  host = new URL(gapura.url).host;
  gapura.gapura.app.use(page);
});

afterEach(async () => {
  gate.resolve();
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await stopListening(server);
  }
  gate = Promise.withResolvers();
  began = 0;
  cut = 0;
});

afterAll(() => gapura.stop());

const start = async (limits: Partial<ListenLimits> = {}) => {
  const server = await listen(gapura.gapura.app, '127.0.0.1', 0, { check_ms: 50, ...limits });
  servers.push(server);
  return { server, port: (server.address() as AddressInfo).port };
};

/** A bare connection: what came so far as text, and whether it was closed. */
async function open(port: number, { reads = true } = {}) {
  const socket = connect(port, '127.0.0.1');
  sockets.push(socket);
  let text = '';
  socket.on('error', () => undefined);
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  if (reads) socket.on('data', (chunk) => (text += chunk.toString('latin1')));
  else socket.pause();
  await new Promise((go) => socket.once('connect', go));
  return {
    socket,
    text: () => text,
    /** Sends with the line ends of HTTP. */
    send: (lines: string) => socket.write(lines.replaceAll('\n', '\r\n')),
    whole: () => closed.then(() => text),
    until: async (part: string) => {
      while (!text.includes(part))
        await Promise.race([new Promise((go) => socket.once('data', go)), closed.then(() => fail(text))]);
    },
  };
}

const until = async (is_so: () => boolean) => {
  while (!is_so()) await new Promise((resolve) => setTimeout(resolve, 10));
};

const fail = (text: string) => Promise.reject(new Error(`closed after: ${text.slice(0, 300)}`));

/** Sends one text and reads to the end of the connection. */
const ask = async (port: number, lines: string) => {
  const connection = await open(port);
  connection.send(lines);
  return connection.whole();
};

const statusOf = (text: string) => Number(/^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1]);
const bugs = () => gapura.log.filter(({ level, status }) => Number(level) >= 50 || Number(status) >= 500);

/** Sends a byte now and then, until the connection is closed. */
const drip = (socket: Socket, bytes: string) => {
  let at = 0;
  const timer = setInterval(() => socket.write(bytes[at++ % bytes.length] ?? ''), 20);
  socket.once('close', () => clearInterval(timer));
};

describe('whoever is slow', () => {
  test('with headers is cut off, also before the first byte', async () => {
    const { port } = await start({ headers_ms: 200 });
    const [slow, silent] = [await open(port), await open(port)];
    slow.send(`GET /healthz HTTP/1.1\nHost: ${host}\nX-Slow: `);
    drip(slow.socket, 'x');
    expect(statusOf(await slow.whole())).toBe(408);
    await silent.whole();
    expect(statusOf(await ask(port, `GET /healthz HTTP/1.0\nHost: ${host}\n\n`))).toBe(200);
  });

  test('with a body is cut off, whoever waits for it, and it is no failure of ours', async () => {
    const { port } = await start({ headers_ms: 250, request_ms: 250 });
    for (const [target, type] of [
      ['/registration', 'application/x-www-form-urlencoded'],
      ['/connect/token', 'application/x-www-form-urlencoded'],
      ['/connect/auth', 'application/x-www-form-urlencoded'],
      ['/api/v1/clients', 'application/json'],
    ]) {
      const slow = await open(port);
      slow.send(
        `POST ${target} HTTP/1.1\nHost: ${host}\nAuthorization: Basic ZTplZQ==\nContent-Type: ${type}\nContent-Length: 9000\n\n`,
      );
      drip(slow.socket, 'a=b&');
      expect([target, [400, 401, 405, 408].includes(statusOf(await slow.whole()))]).toEqual([target, true]);
    }
    expect(bugs()).toEqual([]);
  });

  test.each<[string, Partial<ListenLimits>, number]>([
    ['not at all', { silence_ms: 200 }, 0],
    ['a little now and then', { answer_ms: 500 }, 65_536],
  ])('in reading an answer (%s) does not keep it in memory', async (_how, limits, bytes) => {
    const { port } = await start(limits);
    const { send, socket } = await open(port, { reads: false });
    send(`GET /uji/large HTTP/1.1\nHost: ${host}\n\n`);
    const sips = setInterval(() => bytes && socket.read(bytes), 20);
    await until(() => cut === 1);
    clearInterval(sips);
    expect(began).toBe(1);
  });

  test('of our own parts does not keep a connection for ever', async () => {
    const { port } = await start({ answer_ms: 100 });
    expect(await ask(port, `GET /uji/held HTTP/1.1\nHost: ${host}\n\n`)).toBe('');
    await until(() => cut === 1);
  });
});

test('500 connections that ask nothing keep nobody out, and do not stay', async () => {
  const { port, server } = await start({ headers_ms: 1000, idle_ms: 300 });
  const idle = await Promise.all(Array.from({ length: 500 }, () => open(port)));
  for (const { send } of idle.slice(250)) send(`GET /healthz HTTP/1.1\nHost: ${host}\n\n`);
  await Promise.all(idle.slice(250).map(({ until }) => until('"status":"ok"')));
  expect(statusOf(await ask(port, `GET / HTTP/1.0\nHost: ${host}\n\n`))).toBe(200);
  await Promise.all(idle.map(({ whole }) => whole()));
  const count = () => new Promise<number>((resolve) => server.getConnections((_error, number) => resolve(number)));
  while ((await count()) > 0);
});

test('connections over the number are closed as they come, and there is room again', async () => {
  const { port } = await start({ connections: 2 });
  const kept = [await open(port), await open(port)];
  expect(await (await open(port)).whole()).toBe('');
  kept[0]?.socket.destroy();
  await kept[0]?.whole();
  let text = '';
  while (text === '') text = await ask(port, `GET /healthz HTTP/1.0\nHost: ${host}\n\n`);
  expect(statusOf(text)).toBe(200);
});

describe('a body that is too large', () => {
  const form = 'application/x-www-form-urlencoded';

  test.each([
    ['/uji/small', form, [413]],
    ['/interaction/x', form, [413]],
    // In the words of the standard.
    ['/connect/token', form, [400]],
    ['/connect/par', form, [400]],
    ['/connect/auth', form, [413]],
    ['/connect/register', 'application/json', [400, 403, 404]],
    ['/api/v1/clients', 'application/json', [413]],
    ['/admin/clients/x/logo', 'multipart/form-data; boundary=b', [413]],
  ])('is refused at %s before a byte of it is sent, and the connection ends', async (target, type, statuses) => {
    const { port } = await start();
    const head = `POST ${target} HTTP/1.1\nHost: ${host}\nContent-Type: ${type}\nContent-Length: 100000000\n\n`;
    const text = await ask(port, head);
    expect(statuses).toContain(statusOf(text));
    expect(text).toMatch(/\nconnection: close\r/i);
  });

  test.each([
    ['/registration', form, [405]],
    ['/connect/auth', form, [413]],
    ['/connect/token', form, [400]],
    ['/connect/register', 'application/json', [400, 403, 404]],
    ['/api/v1/clients', 'application/json', [401, 413]],
    ['/tidak-ada', 'text/plain', [404]],
  ])('and does not tell its length is refused at %s, and the connection ends', async (target, type, statuses) => {
    const { port } = await start();
    const connection = await open(port);
    connection.send(`POST ${target} HTTP/1.1\nHost: ${host}\nContent-Type: ${type}\nTransfer-Encoding: chunked\n\n`);
    const chunk = `10000\n${'a'.repeat(65_536)}\n`;
    let sent = 0;
    while (!connection.socket.closed && sent < 400) {
      sent += 1;
      if (!connection.send(chunk))
        await Promise.race([new Promise((go) => connection.socket.once('drain', go)), connection.whole()]);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const text = await connection.whole();
    // Whoever is still sending may lose the answer to the end of the connection (RFC 9112 section 9.6).
    if (text !== '') expect(statuses).toContain(statusOf(text));
    expect(sent).toBeLessThan(400);
    expect(bugs()).toEqual([]);
  });

  test('for the length it told is another request, which is none', async () => {
    const { port } = await start();
    const text = await ask(port, `POST /tidak-ada HTTP/1.1\nHost: ${host}\nContent-Length: 1\n\nabcdef\n\n`);
    expect(text.match(/HTTP\/1\.1 \d{3}/g)?.join()).toMatch(/^HTTP\/1\.1 (404|400)(,HTTP\/1\.1 400)?$/);
  });
});

describe('headers', () => {
  test.each([
    ['too long', `X: ${'x'.repeat(40_000)}\n`],
    ['too many', Array.from({ length: 120 }, (_, at) => `X-${at}: x\n`).join('')],
  ])('%s are refused with 431', async (_what, lines) => {
    const { port } = await start();
    expect(statusOf(await ask(port, `GET / HTTP/1.1\nHost: ${host}\nConnection: close\n${lines}\n`))).toBe(431);
  });
});

describe('a request whose end two servers would see in different places', () => {
  const inner = 'GET /uji/small?smuggled HTTP/1.1';

  test.each([
    ['a length beside chunks', `Content-Length: 6\nTransfer-Encoding: chunked\n\n0\n\n${inner}\n`],
    ['chunks beside a length', `Transfer-Encoding: chunked\nContent-Length: 6\n\n0\n\n${inner}\n`],
    ['two lengths', `Content-Length: 0\nContent-Length: 40\n\n${inner}\n`],
    ['a length in a list', `Content-Length: 0, 40\n\n${inner}\n`],
    ['a signed length', `Content-Length: +0\n\n${inner}\n`],
    ['chunks that are not last', `Transfer-Encoding: chunked, identity\n\n0\n\n${inner}\n`],
    ['a space before the colon', `Transfer-Encoding : chunked\n\n0\n\n${inner}\n`],
    ['a folded header', `X: a\n Transfer-Encoding: chunked\n\n0\n\n${inner}\n`],
    ['a size that is no number', `Transfer-Encoding: chunked\n\n0x0\n\n${inner}\n`],
  ])('(%s) is refused, and the one inside is none', async (_what, rest) => {
    const { port } = await start();
    const text = await ask(port, `POST /tidak-ada HTTP/1.1\nHost: ${host}\n${rest}Host: ${host}\n\n`);
    expect([...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].at(-1)?.[1]).toBe('400');
    expect(began).toBe(0);
  });
});

describe('a connection', () => {
  test('that sends the next requests before the answers gets them in order; too many at once end it', async () => {
    const { port } = await start({ pipelined: 5 });
    const some = await open(port);
    const request = (at: number) => `GET /uji/small?${at} HTTP/1.1\nHost: ${host}\n\n`;
    some.send([1, 2, 3, 4, 5].map(request).join(''));
    await some.until('?5');
    expect([...some.text().matchAll(/^\?(\d)/gm)].map(([, at]) => at)).toEqual(['1', '2', '3', '4', '5']);
    const many = await open(port);
    began = 0;
    many.send(Array.from({ length: 200 }, () => `GET /uji/held HTTP/1.1\nHost: ${host}\n\n`).join(''));
    expect(await many.whole()).toBe('');
    expect(began).toBeLessThanOrEqual(5);
  });

  test('whose other side has nothing more to say still gets its answer', async () => {
    const { port } = await start();
    const half = await open(port);
    half.socket.end(`GET /uji/small?half HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    expect(await half.whole()).toContain('?half');
  });

  test('becomes neither a tunnel nor another protocol, and knows what it is asked for', async () => {
    const { port } = await start();
    const head = (first: string, more: string) => `${first}\nHost: ${host}\n${more}\n`;
    expect(await ask(port, head(`CONNECT ${host} HTTP/1.1`, ''))).toBe('');
    const upgrade = 'Connection: Upgrade, close\nUpgrade: websocket\n';
    expect(statusOf(await ask(port, head('GET /uji/small HTTP/1.1', upgrade)))).toBe(200);
    expect(statusOf(await ask(port, 'PRI * HTTP/2.0\n\nSM\n\n'))).toBe(400);
    const old = await ask(port, head('GET /uji/small?old HTTP/1.0', ''));
    expect([statusOf(old), old.includes('?old')]).toEqual([200, true]);
    const post = 'POST /tidak-ada HTTP/1.1';
    expect(statusOf(await ask(port, head(post, 'Expect: the-moon\nConnection: close\nContent-Length: 0\n')))).toBe(417);
    const patient = await ask(port, head(post, 'Expect: 100-continue\nConnection: close\nContent-Length: 0\n'));
    expect(patient.match(/HTTP\/1\.1 \d{3}/g)).toEqual(['HTTP/1.1 100', 'HTTP/1.1 404']);
  });
});

describe('a stop', () => {
  test('is told to proxies first, still takes what comes, finishes what is in work, and takes nothing more', async () => {
    const { port, server } = await start();
    const [held, kept] = [await open(port), await open(port)];
    held.send(`GET /uji/held HTTP/1.1\nHost: ${host}\n\n`);
    kept.send(`GET /readyz HTTP/1.1\nHost: ${host}\n\n`);
    await kept.until('"status":"ok"');
    await until(() => began === 1);
    let is_over = false;
    const stopped = stopListening(server, { pause_ms: 250 }).then(() => {
      is_over = true;
    });
    kept.send(`GET /readyz HTTP/1.1\nHost: ${host}\n\n`);
    const told = (await kept.whole()).slice(kept.text().lastIndexOf('HTTP/1.1'));
    expect([statusOf(told), /\nconnection: close\r/i.test(told)]).toEqual([503, true]);
    expect(await ask(port, `GET /uji/small?late HTTP/1.1\nHost: ${host}\n\n`)).toContain('?late');
    const isOpen = () =>
      new Promise<boolean>((resolve) => {
        const probe = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
        sockets.push(probe);
      });
    while (await isOpen());
    expect(is_over).toBe(false);
    gate.resolve();
    expect(await held.whole()).toContain('released');
    await stopped;
  });

  test('waits neither for connections that ask nothing nor for ever for a request', async () => {
    const { port, server } = await start();
    const [silent, idle, held] = [await open(port), await open(port), await open(port)];
    idle.send(`GET /healthz HTTP/1.1\nHost: ${host}\n\n`);
    await idle.until('"status":"ok"');
    held.send(`GET /uji/held HTTP/1.1\nHost: ${host}\n\n`);
    await until(() => began === 1);
    const stopped = stopListening(server, { longest_ms: 1000 });
    await Promise.all([silent.whole(), idle.whole()]);
    expect(cut).toBe(0);
    await stopped;
    expect(await held.whole()).toBe('');
  });
});
