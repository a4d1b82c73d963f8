/** Refresh tokens that replace each other: when a replaced one still counts, and when its use is a theft (RFC 9700 section 4.14.2). */

import { type RawBuilder, sql } from 'kysely';
import { Provider } from 'oidc-provider';

const graceOf = sql<number>`(SELECT c.refresh_grace FROM clients c WHERE c.id = r.client_id)`;

/**
 * Whether a token may be spent: for the first time, or once more within the grace of its client. A grace of nothing is asked
 * for by itself, since whoever waited for the row compares with a time before it was spent.
 */
export const may_renew = sql<boolean>`(r.consumed_at IS NULL
  OR (${graceOf} > 0 AND r.consumed_at > gapura_now() - make_interval(secs => ${graceOf})))`;

/**
 * Whether the use of a token in the engine's request in progress means that there are two who have it: it was replaced before
 * the grace, and before this request came. Of two that were under way at once the second is a client that did not wait for
 * itself: it is refused, and nothing else ends. Whoever only asks about a token is told that it was replaced.
 */
export function isReused(): RawBuilder<boolean> {
  const { oidc, state } = Provider.ctx ?? {};
  if (oidc?.route !== 'token') return sql<boolean>`r.consumed_at IS NOT NULL`;
  const { began } = (state ?? {}) as { began?: bigint };
  const under_way = began === undefined ? 0 : Number(process.hrtime.bigint() - began) / 1e9;
  return sql<boolean>`coalesce(
    r.consumed_at <= gapura_now() - make_interval(secs => greatest(${graceOf}, ${under_way}::float8)), false)`;
}

/** The family of a refresh token whose second use the engine's request in progress has found; undefined otherwise. */
export function reusedFamily(): { grant_id: string; account_id: string; client_id: string } | undefined {
  const { oidc } = Provider.ctx ?? {};
  const token = oidc?.route === 'token' ? oidc.entities.RefreshToken : undefined;
  if (!token?.consumed || !token.grantId) return undefined;
  return { grant_id: token.grantId, account_id: token.accountId, client_id: String(token.clientId) };
}
