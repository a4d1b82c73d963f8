/** The listening socket: slow senders are cut off, and a stop lets what is in work finish. */

import { createServer, type Server } from 'node:http';
import type Koa from 'koa';

/**
 * Listens. Slow senders of headers and bodies are cut off, and idle connections do not stay.
 * @throws the system's error (EADDRINUSE) when the port is taken
 */
export async function listen(app: Koa, host: string, port: number): Promise<Server> {
  const server = createServer(
    {
      headersTimeout: 10_000,
      requestTimeout: 30_000,
      keepAliveTimeout: 65_000,
      connectionsCheckingInterval: 5_000,
      maxHeaderSize: 32_768,
    },
    app.callback(),
  );
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  return server;
}

/** Takes no new requests, lets those in work finish (at most 10 s), closes. */
export async function stopListening(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const cut = setTimeout(() => server.closeAllConnections(), 10_000);
  await closed;
  clearTimeout(cut);
}
