/** The engine's calls to machines of clients, and the one that may enter a private network: the notice of a sign-out. */

import { AsyncLocalStorage } from 'node:async_hooks';
import type { Outbound } from '../../outbound.ts';
import type { Client } from './clients.ts';

const accepted = new AsyncLocalStorage<readonly string[]>();

/** The engine's `fetch`: to the public network, and within `reachingHostsOf` to the hosts confirmed for that client. */
export function fetchOfEngine(outbound: Outbound): typeof fetch {
  return (input, init) => outbound.asFetch({ accept_private: accepted.getStore() ?? [] })(input, init);
}

/** Calls made in `work` may reach the hosts that an administrator confirmed for this client alone; never one that registered itself. */
export function reachingHostsOf<T>(client: Client, work: () => Promise<T>): Promise<T> {
  const hosts = client.origin !== 'dynamic' && Array.isArray(client.private_hosts) ? client.private_hosts : [];
  return accepted.run(hosts as string[], work);
}
