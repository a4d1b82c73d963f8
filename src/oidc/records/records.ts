/** What a record of the engine may hold, what may still be used, and what is said to whoever uses one a second time. */

import { sql } from 'kysely';
import { type AdapterPayload, errors } from 'oidc-provider';
import { nowSeconds } from '../../clock.ts';

// What may still be used: the generation is the account's (DESIGN: every account has a generation), and the account is
// neither locked nor past its expiry. Part of each read, so that no cache and no second statement can miss it.
export const standing = sql<boolean>`(r.account_id IS NULL OR EXISTS (
  SELECT FROM accounts a WHERE a.id = r.account_id AND a.generation = r.generation
    AND (a.expires_at IS NULL OR a.expires_at > gapura_now())
    AND NOT EXISTS (SELECT FROM account_locks l WHERE l.account_id = a.id)))`;

// By the database's clock, given back by this node's: a node whose clock is off kills no code (DESIGN 1.9).
export const seconds_left = sql<number>`ceil(extract(epoch FROM r.expires_at - gapura_now()))::int`;

// The engine grants 15 s for clocks that differ. These lifetimes are all of one clock, and a session that is asked for every
// few seconds would outlive its absolute limit on them; what is over is put beyond them.
export const epochExpiry = (left: number) => nowSeconds() + (left > 0 ? left : left - 60);

/** A column's value: so many seconds from now by the database's clock. */
export const expiry = (seconds: number) => sql<Date>`gapura_now() + make_interval(secs => ${seconds})`;

/** A client can post a NUL, and jsonb keeps none: that is the client's mistake and not ours. */
export function writable(payload: object): string {
  const text = JSON.stringify(payload);
  if (text.includes('\\u0000')) throw new errors.InvalidRequest('a parameter contains a NUL character');
  return text;
}

/** The error of the one who came second, by what was used twice. */
export function spent(model: string): Error {
  if (model === 'Interaction') return new errors.SessionNotFound('interaction is finished');
  if (model === 'PushedAuthorizationRequest')
    return new errors.InvalidRequestUri('request_uri is invalid, expired, or was already used');
  return new errors.InvalidGrant('already used');
}

/** The engine notes the session's cookie in an interaction and never reads it; no column may hold it. */
export function forgetCookie(payload: AdapterPayload): void {
  if (payload.session)
    payload.session = { ...payload.session, cookie: undefined } as NonNullable<AdapterPayload['session']>;
}
