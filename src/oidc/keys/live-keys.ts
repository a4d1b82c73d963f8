/** The signing keys as this process has them now: followed wherever they are turned, put into its engine, published. */

import type { KoaContextWithOIDC, Provider } from 'oidc-provider';
import { type Watch, type WatchLog, watchChanges } from '../../changes.ts';
import type { Config } from '../../config.ts';
import { digest } from '../../crypto.ts';
import type { Database } from '../../database.ts';
import { replaceKeys } from '../internals.ts';
import { type KeySet, loadSigningKeys, published_for, turnKeys } from './signing-keys.ts';

/** The keys that sign and verify now; whoever signs looks each time. */
export interface LiveKeys extends KeySet, Watch {
  /** A duty: goes on with every algorithm whose time has come. */
  turn(): Promise<unknown>;
}

/**
 * Puts the keys into the engine, and again after every turn on any node, until it is closed. While the database is away those
 * that were read last stay: a new one signs only once every node has had the time to read it.
 * @throws what pg throws when it cannot be reached; Error when a key does not open or the engine takes none
 */
export async function followKeys(
  provider: Provider,
  db: Database,
  config: Pick<Config, 'secrets' | 'database_url'>,
  log?: WatchLog,
): Promise<LiveKeys> {
  const live: { keys: KeySet['keys'] } = { keys: [] };
  const read = async () => {
    live.keys = (await loadSigningKeys(db, config)).keys;
    replaceKeys(provider, live.keys);
  };
  const watch = await watchChanges(config.database_url, ['signing_keys'], read, log);
  return Object.assign(live, watch, { turn: () => turnKeys(db, config) });
}

/** Lets everybody keep the published keys for a while, and ask afterwards whether they are still the same (RFC 9110 section 8.8.3). */
export function publishKeys(provider: Provider): void {
  provider.use(async (ctx, next) => {
    await next();
    const { oidc } = ctx as unknown as Partial<KoaContextWithOIDC>;
    if (oidc?.route !== 'jwks' || ctx.status !== 200 || !['GET', 'HEAD'].includes(ctx.method)) return;
    ctx.set('cache-control', `public, max-age=${published_for}`);
    ctx.set('etag', `"${digest(JSON.stringify(ctx.body))}"`);
    if (ctx.fresh) ctx.status = 304;
  });
}
