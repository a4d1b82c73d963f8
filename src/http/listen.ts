/** The listening socket: who sends or reads slowly is cut off, and a stop lets what is in work finish. */

import { createServer, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type Koa from 'koa';

/** What one connection may cost; times in milliseconds. */
export interface ListenLimits {
  /** From the first byte of a request, or the connection, to its last header. */
  headers_ms: number;
  /** To the last byte of its body. */
  request_ms: number;
  /** How long neither side may move a byte while a request is under way. */
  silence_ms: number;
  /** From the headers of a request to the last byte of its answer, read by whoever asked. */
  answer_ms: number;
  /** How long a connection may wait for the next request; longer than the proxies before it keep theirs. */
  idle_ms: number;
  /** How often the first two are looked at. */
  check_ms: number;
  /** Connections at once; more are closed as they come. */
  connections: number;
  /** Requests of one connection at once, sent without waiting for answers. */
  pipelined: number;
}

const usual: ListenLimits = {
  headers_ms: 10_000,
  request_ms: 30_000,
  silence_ms: 60_000,
  answer_ms: 120_000,
  idle_ms: 65_000,
  check_ms: 5_000,
  connections: 10_000,
  pipelined: 16,
};

/** What a stop needs of a server: the way to say that it stops, and its connections. */
const opened = new WeakMap<Server, { stop: AbortController; sockets: Set<Socket> }>();

/**
 * Listens. Slow senders of headers and bodies and slow readers of answers are cut off, and idle connections do not stay.
 * @throws the system's error (EADDRINUSE) when the port is taken
 */
export async function listen(
  app: Koa,
  host: string,
  port: number,
  limits: Partial<ListenLimits> = {},
): Promise<Server> {
  const limit = { ...usual, ...limits };
  const stop = new AbortController();
  app.context.stopping = stop.signal;
  const answer = app.callback();
  const under_way = new WeakMap<Socket, number>();
  const server = createServer(
    {
      headersTimeout: limit.headers_ms,
      requestTimeout: limit.request_ms,
      keepAliveTimeout: limit.idle_ms,
      connectionsCheckingInterval: limit.check_ms,
      maxHeaderSize: 32_768,
    },
    (req, res) => {
      const { socket } = req;
      const count = (under_way.get(socket) ?? 0) + 1;
      // One packet holds a thousand requests, and node would begin them all.
      if (count > limit.pipelined) {
        socket.destroy();
        return;
      }
      under_way.set(socket, count);
      // A reader of one byte now and then is never silent, and its answer would stay in memory for ever.
      const cut = setTimeout(() => socket.destroy(), limit.answer_ms).unref();
      res.once('close', () => {
        clearTimeout(cut);
        under_way.set(socket, (under_way.get(socket) ?? 1) - 1);
      });
      if (stop.signal.aborted) res.shouldKeepAlive = false;
      answer(req, res);
    },
  );
  server.timeout = limit.silence_ms;
  server.maxConnections = limit.connections;
  // Node would drop what is over its number without a word: the last headers, which are the ones that a proxy adds (guard.ts).
  server.maxHeadersCount = 0;
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  opened.set(server, { stop, sockets });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  return server;
}

/**
 * Says that it stops (`/readyz` is 503, every answer closes its connection) and for `pause_ms` still takes what comes, so that
 * a proxy can turn away; then takes nothing new, lets what is in work finish, for `longest_ms` at most, and closes.
 */
export async function stopListening(server: Server, { pause_ms = 0, longest_ms = 15_000 } = {}): Promise<void> {
  const { stop, sockets } = opened.get(server) ?? {};
  stop?.abort();
  if (pause_ms > 0) await sleep(pause_ms);
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const patience = AbortSignal.timeout(silence_ms);
  const sweep = setInterval(() => {
    // One whose answer was on its way when the stop began keeps itself open after it.
    server.closeIdleConnections();
    // One that never sent a byte, as browsers open them for later, is no idle one to node, and its time limit ends with close.
    if (patience.aborted) for (const socket of sockets ?? []) if (socket.bytesRead === 0) socket.destroy();
  }, 50);
  const cut = setTimeout(() => server.closeAllConnections(), longest_ms);
  await closed;
  clearInterval(sweep);
  clearTimeout(cut);
}

/** How long a stop waits for the first byte of a connection that has sent none. */
const silence_ms = 500;
