/** A proxy in front of several server processes: each request goes to the next of them, so nothing may rely on where it lands. */

import { Agent, createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TlsOptions } from 'node:tls';

export interface RoundRobin {
  port: number;
  /** How many requests each node was sent so far. */
  sent: number[];
  close(): Promise<void>;
}

/** Of one connection only, so they end at a proxy (RFC 9110 section 7.6.1). */
const hop_by_hop = ['connection', 'keep-alive', 'proxy-connection', 'te', 'transfer-encoding', 'upgrade'];

/**
 * Listens on 127.0.0.1 or another address, by https where a certificate is given. The Host stays, the sender's address is added to
 * X-Forwarded-For, and a node that is not there is 502.
 * @param nodes may be started anew on their ports while it runs
 */
export async function startRoundRobin(
  nodes: readonly { port: number }[],
  { host = '127.0.0.1', port = 0, tls }: { host?: string; port?: number; tls?: TlsOptions } = {},
): Promise<RoundRobin> {
  const agent = new Agent({ keepAlive: true });
  const sent = nodes.map(() => 0);
  let turn = 0;
  const pass = (req: IncomingMessage, res: ServerResponse) => {
    const at = turn++ % nodes.length;
    sent[at] = (sent[at] ?? 0) + 1;
    const onward = request({
      agent,
      host: '127.0.0.1',
      port: nodes[at]?.port,
      method: req.method,
      path: req.url,
      headers: headersFor(req, tls ? 'https' : 'http'),
    });
    onward.on('response', (answer) => {
      res.writeHead(answer.statusCode ?? 502, withoutHops(answer));
      answer.pipe(res);
    });
    onward.on('error', () => {
      if (res.headersSent) res.destroy();
      else res.writeHead(502).end();
    });
    req.pipe(onward);
  };
  const server = tls ? createTlsServer(tls, pass) : createServer(pass);
  await listenOn(server, host, port);
  return {
    port: (server.address() as AddressInfo).port,
    sent,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      agent.destroy();
    },
  };
}

function headersFor(req: IncomingMessage, scheme: string): Record<string, string | string[] | undefined> {
  const before = req.headers['x-forwarded-for'];
  const hops = [before ?? [], req.socket.remoteAddress ?? ''].flat().join(', ');
  // A body without a length is sent on as it comes.
  const is_chunked = req.headers['transfer-encoding'] !== undefined;
  return {
    ...withoutHops(req),
    ...(is_chunked ? { 'transfer-encoding': 'chunked' } : {}),
    'x-forwarded-for': hops,
    'x-forwarded-proto': scheme,
  };
}

function withoutHops({ headers }: IncomingMessage): IncomingMessage['headers'] {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !hop_by_hop.includes(name)));
}

function listenOn(server: Server | ReturnType<typeof createTlsServer>, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
}
