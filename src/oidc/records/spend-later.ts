/** Codes and refresh tokens that are spent by the very statement that writes what they are spent for. */

import { type KoaContextWithOIDC, Provider } from 'oidc-provider';
import type { Database } from '../../database.ts';
import { spent } from './records.ts';
import { consumeRecord, consumeRefreshToken } from './write.ts';

/** A record that a request is about to spend. */
export interface Spending {
  model: string;
  id_hash: Buffer;
}

/** By request: nothing yet, or what it spends with its first token. */
const requests = new WeakMap<object, Spending | 'nothing'>();

const spent_later = new Set(['AuthorizationCode', 'RefreshToken']);

/**
 * Lets the token endpoint spend with the first token that it writes: one statement, so that of many at once one gets tokens,
 * and a crash between the two leaves neither. What was not spent by the end of the request (a token that is not written, an
 * error) is spent before anything is answered, and whoever was too late gets none of what was made.
 */
export function spendWithTokens(provider: Provider, db: Database): void {
  provider.use(async (ctx, next) => {
    requests.set(ctx, 'nothing');
    await next();
    const left = takeSpending(ctx);
    if (!left || (await spendNow(db, left)) || ctx.status !== 200) return;
    const { error, error_description } = spent(left.model) as Error & { error: string; error_description: string };
    ctx.status = 400;
    ctx.body = { error, error_description };
  });
}

/** Notes that the engine's request in progress spends a record; false when that must happen now. */
export function spendLater(spending: Spending): boolean {
  const ctx = Provider.ctx as KoaContextWithOIDC | undefined;
  if (!ctx || !spent_later.has(spending.model) || requests.get(ctx) !== 'nothing') return false;
  requests.set(ctx, spending);
  return true;
}

/** What the engine's request in progress has to spend with the record that it writes now. */
export function takeSpending(ctx: object | undefined = Provider.ctx): Spending | undefined {
  const spending = ctx && requests.get(ctx);
  if (!ctx || !spending || spending === 'nothing') return undefined;
  requests.set(ctx, 'nothing');
  return spending;
}

/** Spends a record by itself; false when it was spent before. */
export async function spendNow(db: Database, { model, id_hash }: Spending): Promise<boolean> {
  const { count } = await (model === 'RefreshToken' ? consumeRefreshToken : consumeRecord)(db, { id_hash });
  return count === 1;
}
