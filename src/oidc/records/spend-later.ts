/** The token endpoint writes at its end: what it spends and every token that it gives, in one statement or not at all. */

import { Provider } from 'oidc-provider';
import type { Database } from '../../database.ts';
import { spent } from './records.ts';
import { consumeRecord, consumeRefreshToken, type Written, writeTokens } from './write.ts';

/** A record that a request is about to spend. */
export interface Spending {
  model: string;
  id_hash: Buffer;
}

/** What a request has gathered so far. */
interface Gathered {
  spending?: Spending;
  tokens: Written[];
}

const requests = new WeakMap<object, Gathered>();

const spent_later = new Set(['AuthorizationCode', 'RefreshToken']);
const written_later = new Set(['AccessToken', 'RefreshToken']);

/**
 * Lets the token endpoint spend a code or refresh token by the statement that writes what it is spent for, before anything is
 * answered. Of many at once one gets tokens; where that statement fails, or the database goes away on the way, nothing was
 * spent, and the client may ask again with what it has. A request that is refused for a reason of its own spends all the same.
 */
export function spendWithTokens(provider: Provider, db: Database): void {
  provider.use(async (ctx, next) => {
    const gathered: Gathered = { tokens: [] };
    requests.set(ctx, gathered);
    await next();
    requests.delete(ctx);
    const { spending, tokens } = gathered;
    if ((!spending && tokens.length === 0) || ctx.status >= 500) return;
    try {
      if (ctx.status !== 200) {
        if (spending) await spendNow(db, spending);
        return;
      }
      const is_done =
        tokens.length > 0 ? await writeTokens(db, tokens, spending) : await spendNow(db, spending as Spending);
      if (is_done) return;
      const error = spent(spending?.model ?? '') as Error & { error: string; error_description: string };
      ctx.status = 400;
      ctx.body = { error: error.error, error_description: error.error_description };
    } catch (error) {
      ctx.status = 500;
      ctx.body = { error: 'server_error' };
      provider.emit('server_error', ctx as unknown as Parameters<typeof provider.emit>[1], error as Error);
    }
  });
}

/** Notes that the engine's request in progress spends a record; false when that must happen now. */
export function spendLater(spending: Spending): boolean {
  const gathered = Provider.ctx && requests.get(Provider.ctx);
  if (!gathered || gathered.spending || !spent_later.has(spending.model)) return false;
  gathered.spending = spending;
  return true;
}

/** Notes a token that the engine's request in progress gives; false when it must be written now. */
export function writeLater(token: Written): boolean {
  const gathered = Provider.ctx && requests.get(Provider.ctx);
  if (!gathered || Provider.ctx?.oidc?.route !== 'token' || !written_later.has(token.model)) return false;
  gathered.tokens.push(token);
  return true;
}

/** Spends a record by itself; false when it was spent before. */
export async function spendNow(db: Database, { model, id_hash }: Spending): Promise<boolean> {
  const { count } = await (model === 'RefreshToken' ? consumeRefreshToken : consumeRecord)(db, { id_hash });
  return count === 1;
}
