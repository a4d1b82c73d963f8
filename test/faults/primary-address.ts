/** One address in front of several PostgreSQL servers, as a proxy that asks each whether it is the primary. */

import type { AddressInfo } from 'node:net';
import { connect as connectTo, createServer, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import pg from 'pg';

export interface PrimaryAddress {
  port: number;
  close(): Promise<void>;
}

interface Who {
  user: string;
  password: string;
  database: string;
}

const look_every = 100;
// A busy machine must not be taken for a lost one.
const patience = 5000;

/**
 * Listens on a free port of 127.0.0.1 and leads each connection to the server that says it is not in recovery. When that one
 * changes or is lost, every connection to it is cut: whoever had one must not go on with a server that nobody follows.
 * @param members may change while it runs
 */
export async function startPrimaryAddress(
  who: Who,
  members: () => readonly { port: number }[],
): Promise<PrimaryAddress> {
  const sockets = new Set<Socket>();
  const watched = new Map<number, ReturnType<typeof watchMember>>();
  let primary: number | undefined;
  let is_closed = false;

  const server = createServer((near) => {
    near.on('error', () => undefined);
    if (primary === undefined) return near.destroy();
    const far = connectTo({ host: '127.0.0.1', port: primary, noDelay: true });
    near.setNoDelay(true);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.on('error', () => undefined);
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
    return undefined;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  const look = async () => {
    const found = await Promise.all(
      members().map(async ({ port }) => {
        const one = watched.get(port) ?? watchMember(who, port);
        watched.set(port, one);
        return (await one.isPrimary()) ? port : undefined;
      }),
    );
    // Where two say so, the one that was it before stays: a proxy cannot know better.
    const standing = found.filter((port) => port !== undefined);
    const next = primary !== undefined && standing.includes(primary) ? primary : standing[0];
    if (next === primary) return;
    primary = next;
    for (const socket of sockets) socket.destroy();
  };
  await look();
  const looking = (async () => {
    while (!is_closed) {
      await wait(look_every);
      await look();
    }
  })();

  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      is_closed = true;
      await looking;
      await Promise.all([...watched.values()].map((one) => one.end()));
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Asks a server over one connection for as long as it lasts; a server that cannot be asked is no primary. */
function watchMember(who: Who, port: number): { isPrimary(): Promise<boolean>; end(): Promise<void> } {
  let open: pg.Client | undefined;
  const drop = async () => {
    const client = open;
    open = undefined;
    await client?.end().catch(() => undefined);
  };
  return {
    async isPrimary() {
      try {
        if (!open) {
          open = new pg.Client({
            host: '127.0.0.1',
            port,
            ...who,
            connectionTimeoutMillis: patience,
            query_timeout: patience,
          });
          open.on('error', () => void drop());
          await open.connect();
        }
        const { rows } = await open.query<{ is_standby: boolean }>('SELECT pg_is_in_recovery() AS is_standby');
        return rows[0]?.is_standby === false;
      } catch {
        await drop();
        return false;
      }
    },
    end: drop,
  };
}
