/** Clients as the engine has made them, kept while nothing of any client changes. */

import { Provider } from 'oidc-provider';
import type { SecretHash } from '../../clients/engine-client.ts';
import { nowSeconds } from '../../clock.ts';
import { keyedDigest } from '../../crypto.ts';
import { readTokenAhead } from '../records/one-read.ts';
import type { RecordStore } from '../records/store.ts';
import type { Client } from './clients.ts';
import { Kept } from './kept.ts';

/**
 * Puts a memory before the engine's own search, so that a client which was switched off, or has another secret, is found so by
 * the next request on every node.
 */
export function keepClients(provider: Provider, store: RecordStore): void {
  const { Client } = provider;
  const find = Client.find.bind(Client);
  const kept = new Kept<Client>();

  Client.find = async (id) => {
    if (typeof id !== 'string' || id === '') return undefined;
    await readAlong(store);
    return kept.get(store.db, id, () => find(id) as Promise<Client | undefined>, firstEndOfSecret);
  };
}

/** Seconds since the epoch: when its first secret ends, which moves no number. */
function firstEndOfSecret({ secret_hashes }: Client): number {
  const left = (secret_hashes as SecretHash[]).map(({ seconds_left }) => seconds_left ?? Number.POSITIVE_INFINITY);
  return nowSeconds() + Math.min(...left);
}

/** At the token endpoint the client is asked for first; what it brings is read with the same statement. */
async function readAlong({ db, id_key }: RecordStore): Promise<void> {
  const { oidc } = Provider.ctx ?? {};
  const token = oidc && !oidc.client ? tokenOf(oidc.route, oidc.params ?? {}) : undefined;
  if (!token) return;
  const [model, id] = token;
  await readTokenAhead(db, model, id, keyedDigest(id_key, `${model}\0${id}`));
}

function tokenOf(route: string, { grant_type, code, refresh_token, token }: Record<string, unknown>) {
  const [model, id] =
    route === 'token' && grant_type === 'authorization_code'
      ? ['AuthorizationCode', code]
      : route === 'token' && grant_type === 'refresh_token'
        ? ['RefreshToken', refresh_token]
        : route === 'introspection'
          ? ['AccessToken', token]
          : [];
  return model && typeof id === 'string' ? ([model, id] as const) : undefined;
}
