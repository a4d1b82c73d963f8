/** Ports for what is stopped and started again in its place: from below those that the system gives to outgoing connections. */

import { createServer } from 'node:net';

const range = { from: 20_000, to: 30_000 };

/** A port of 127.0.0.1 that nothing listens on, and that no connection takes while its server is away. */
export async function findLastingPort(): Promise<number> {
  for (;;) {
    const port = range.from + Math.floor(Math.random() * (range.to - range.from));
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer().once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
