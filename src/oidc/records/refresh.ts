/** Refresh tokens that replace each other: when a replaced one still counts, and when its use is a theft (RFC 9700 section 4.14.2). */

import { sql } from 'kysely';
import { Provider } from 'oidc-provider';

const graceOf = sql<number>`(SELECT c.refresh_grace FROM clients c WHERE c.id = r.client_id)`;

// Whoever used a successor has it: from then on only somebody else can need the one before.
const is_succeeded = sql<boolean>`EXISTS (SELECT FROM oidc_records s
  WHERE s.grant_id = r.grant_id AND s.model = 'RefreshToken' AND s.consumed_at > r.consumed_at)`;

/**
 * Whether a token may be spent: for the first time, or once more within the grace of its client, while nobody has used what
 * replaced it. A grace of nothing is asked for by itself, since whoever waited for the row compares with a time before it was
 * spent.
 */
export const may_renew = sql<boolean>`(r.consumed_at IS NULL OR (${graceOf} > 0
  AND r.consumed_at > gapura_now() - make_interval(secs => ${graceOf}) AND NOT ${is_succeeded}))`;

// Two requests in the same moment are a client that did not wait for itself: the second is refused, and nothing else ends. A
// thief gains nothing by it, since whoever comes after this moment ends what both of them hold.
const same_moment = 3;

/**
 * Whether the use of a token means that there are two who have it: it was replaced before the grace, and not in this very
 * moment. Whoever only asks about a token is told that it was replaced.
 */
export const is_reused = sql<boolean>`coalesce(
  r.consumed_at <= gapura_now() - make_interval(secs => greatest(${graceOf}, ${sql.lit(same_moment)}::int)), false)`;

/** The family of a refresh token whose second use the engine's request in progress has found; undefined otherwise. */
export function reusedFamily(): { grant_id: string; account_id: string; client_id: string } | undefined {
  const { oidc } = Provider.ctx ?? {};
  const token = oidc?.route === 'token' ? oidc.entities.RefreshToken : undefined;
  if (!token?.consumed || !token.grantId) return undefined;
  return { grant_id: token.grantId, account_id: token.accountId, client_id: String(token.clientId) };
}
