/** The proxy in front of the nodes: sends each request to a node that is well, and keeps count of what comes back. */

import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';

/** An answer that nobody wants; `by` says whose it was. */
export interface BadAnswer {
  at: number;
  status: number;
  by: 'gapura' | 'proxy';
  what: string;
  retry_after: string | undefined;
}

export interface Front {
  port: number;
  /** Since the last `reset`: how many requests were answered, the slowest of them, and every 5xx. */
  seen: { requests: number; slowest: { ms: number; what: string }; bad: BadAnswer[] };
  reset(): void;
  close(): Promise<void>;
}

interface Node {
  port: number;
}

interface Answer {
  status: number;
  headers: IncomingMessage['headers'];
  body: Buffer;
}

/** `gone`: nobody took the connection, so nothing was received. `cut`: it may have been. */
class NoAnswer extends Error {
  readonly kind: 'gone' | 'cut';

  constructor(kind: 'gone' | 'cut') {
    super(kind);
    this.kind = kind;
  }
}

const look_every = 300;

/**
 * Takes the nodes in turns: those that are ready; without any, those that answer at all, whose own words are better than
 * a proxy's. What no node could be sent goes to the next. What one may have received goes to the next only where it changes
 * nothing (GET, HEAD); otherwise the proxy says 502, and the visitor must look what became of it.
 * @param nodes may come, and be started anew on their ports, while it runs
 */
export async function startFront(nodes: readonly Node[]): Promise<Front> {
  // By port, since a node that was started anew is another one at the same place.
  const health = new Map<number, 'ready' | 'alive' | 'gone'>();
  let turn = 0;
  let is_closed = false;

  const order = (): Node[] => {
    const turned = nodes.map((_, at) => nodes[(turn + at) % nodes.length] as Node);
    turn += 1;
    const rank = { ready: 0, alive: 1, gone: 2 };
    return turned.sort((one, other) => rank[health.get(one.port) ?? 'gone'] - rank[health.get(other.port) ?? 'gone']);
  };

  const pass = async (req: IncomingMessage, res: ServerResponse) => {
    const began = performance.now();
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const is_safe = req.method === 'GET' || req.method === 'HEAD';
    let lost: NoAnswer | undefined;
    for (const node of order()) {
      try {
        const answer = await send(node, req, body);
        note(front, req, answer, 'gapura', began);
        res.writeHead(answer.status, answer.headers).end(answer.body);
        return;
      } catch (error) {
        lost = error as NoAnswer;
        if (lost.kind === 'gone') health.set(node.port, 'gone');
        else if (!is_safe) break;
      }
    }
    const answer: Answer =
      lost?.kind === 'cut'
        ? { status: 502, headers: {}, body: Buffer.from('cut') }
        : { status: 503, headers: { 'retry-after': '1' }, body: Buffer.from('no node') };
    note(front, req, answer, 'proxy', began);
    res.writeHead(answer.status, answer.headers).end(answer.body);
  };

  const server = createServer((req, res) => void pass(req, res).catch(() => res.destroy()));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const front: Front = {
    port: (server.address() as AddressInfo).port,
    seen: nothing(),
    reset() {
      front.seen = nothing();
    },
    async close() {
      is_closed = true;
      await looking;
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  const looking = (async () => {
    while (!is_closed) {
      await Promise.all(nodes.map(async (node) => health.set(node.port, await askHealth(node))));
      await wait(look_every);
    }
  })();
  return front;
}

const nothing = (): Front['seen'] => ({ requests: 0, slowest: { ms: 0, what: '' }, bad: [] });

function note({ seen }: Front, req: IncomingMessage, { status, headers }: Answer, by: BadAnswer['by'], began: number) {
  seen.requests += 1;
  const what = `${req.method} ${req.url?.replace(/\?.*/s, '').replace(/\/[\w-]{20,}/g, '/:id')}`;
  const ms = performance.now() - began;
  if (ms > seen.slowest.ms) seen.slowest = { ms, what };
  if (status < 500) return;
  seen.bad.push({ at: performance.now(), status, by, what, retry_after: headers['retry-after'] });
}

/** Of one connection only (RFC 9110 section 7.6.1); an answer is read whole before it is passed on. */
const hop_by_hop = ['connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'te'];

function withoutHops(headers: IncomingMessage['headers']): IncomingMessage['headers'] {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !hop_by_hop.includes(name)));
}

/**
 * One request, over a connection of its own: of one that was kept open nobody could say whether a request still arrived.
 * @throws NoAnswer
 */
function send({ port }: Node, req: IncomingMessage, body: Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let is_connected = false;
    const onward = request({
      agent: false,
      host: '127.0.0.1',
      port,
      method: req.method,
      path: req.url,
      headers: {
        ...withoutHops(req.headers),
        'content-length': body.length,
        'x-forwarded-for': req.socket.remoteAddress ?? '',
        'x-forwarded-proto': 'http',
      },
    });
    const fail = () => reject(new NoAnswer(is_connected ? 'cut' : 'gone'));
    onward.on('socket', (socket) => socket.once('connect', () => (is_connected = true)));
    onward.on('error', fail);
    onward.on('response', (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk) => chunks.push(chunk));
      answer.on('error', fail);
      answer.on('end', () => {
        const whole = Buffer.concat(chunks);
        resolve({ status: answer.statusCode ?? 502, headers: withoutHops(answer.headers), body: whole });
      });
      answer.on('close', () => (answer.complete ? undefined : fail()));
    });
    onward.end(body);
  });
}

async function askHealth({ port }: Node): Promise<'ready' | 'alive' | 'gone'> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(3000) });
    await answer.body?.cancel();
    return answer.ok ? 'ready' : 'alive';
  } catch (error) {
    return (error as Error).name === 'TimeoutError' ? 'alive' : 'gone';
  }
}
