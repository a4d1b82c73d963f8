/** Programs that do not prove which client they are: told so in one way, and slowed where they try again and again. */

import type { Context, Next } from 'koa';
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Database } from '../../database.ts';
import type { Limits } from '../../limits/limits.ts';

/** Where clients authenticate themselves; the engine compares paths without regard to case. */
const asked_at = /^\/connect\/(token|par|introspection|revocation|device\/auth)\/?$/i;

/**
 * Stands before the engine. A failure is counted by client and address, and a proof that is right is never looked up there:
 * nobody can lock a client out by failing in its name, and our secrets are too long to be found by trying. What is spared is
 * the work, the log, and a secret that an application chose itself.
 */
export function slowFailures({ db, limits }: { db: Database; limits: Limits }) {
  return async (ctx: Context, next: Next): Promise<void> => {
    await next();
    if (ctx.status < 400 || !asked_at.test(ctx.path)) return;
    const { oidc } = ctx as unknown as Partial<KoaContextWithOIDC>;
    if (ctx.status === 400 && hasNoProof(ctx, oidc)) refuseClient(ctx, 401, 'no client authentication was sent');
    const name = oidc?.client?.clientId;
    if (ctx.status !== 401 || name === undefined) return;
    const spent = await limits.spend(db, 'client_failure', [name, ctx.state.address]);
    if (spent.state === 'allowed') return;
    ctx.set('retry-after', String(spent.retry_after));
    refuseClient(ctx, 429, 'too many failed attempts');
  };
}

/** The engine calls it a mistake of the request; the standard has a word for it (RFC 6749 section 5.2, RFC 7662 section 2.3). */
function hasNoProof(ctx: Context, oidc: Partial<KoaContextWithOIDC>['oidc']): boolean {
  const { client_id, client_assertion, client_secret } = oidc?.params ?? { client_id: 'unread' };
  return ctx.get('authorization') === '' && !client_id && !client_assertion && !client_secret;
}

function refuseClient(ctx: Context, status: 401 | 429, error_description: string): void {
  ctx.status = status;
  ctx.body = { error: 'invalid_client', error_description };
}
