/** Clients as the engine has made them, kept while nothing of any client changes: each request brings how new they are. */

import { Provider } from 'oidc-provider';
import type { SecretHash } from '../../clients/engine-client.ts';
import { nowSeconds } from '../../clock.ts';
import { keyedDigest } from '../../crypto.ts';
import { readTokenAhead, versionOfClients } from '../records/one-read.ts';
import type { RecordStore } from '../records/store.ts';
import type { Client } from './clients.ts';

interface Kept {
  client: Client;
  /** Seconds since the epoch: when its first secret ends, which moves no version. */
  until: number;
}

/** So many at the most; those that were asked for longest ago go first. */
const most = 10_000;

/**
 * Puts a memory before the engine's own search. It is never older than the request: the number that every change of a client
 * moves is read together with what the request came for, so that a client which was switched off, or has another secret, is
 * found so by the next request on every node. A client that is not there is looked for each time.
 */
export function keepClients(provider: Provider, store: RecordStore): void {
  const { Client } = provider;
  const find = Client.find.bind(Client);
  const kept = new Map<string, Kept>();
  let kept_version: string | undefined;

  Client.find = async (id) => {
    if (typeof id !== 'string' || id === '') return undefined;
    await readAlong(store);
    const version = await versionOfClients(store.db);
    // Also where it went back: by a request that began before the last change, or since the database was restored.
    if (version !== kept_version) {
      kept.clear();
      kept_version = version;
    }
    const known = kept.get(id);
    if (known && nowSeconds() < known.until) return known.client;
    const client = (await find(id)) as Client | undefined;
    // Read after its number was: what changed in between is found again with the next number.
    if (client && version === kept_version) keep(kept, id, client);
    return client;
  };
}

function keep(kept: Map<string, Kept>, id: string, client: Client): void {
  const left = (client.secret_hashes as SecretHash[]).map(
    ({ seconds_left }) => seconds_left ?? Number.POSITIVE_INFINITY,
  );
  kept.delete(id);
  kept.set(id, { client, until: nowSeconds() + Math.min(...left) });
  const [oldest] = kept.keys();
  if (kept.size > most && oldest !== undefined) kept.delete(oldest);
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
