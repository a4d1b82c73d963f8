/** What one request may change of a session's row, and whether it does. */

import { sql } from 'kysely';
import { errors } from 'oidc-provider';
import { networkOf } from '../../i18n/devices.ts';
import type { Authorization } from '../../tables.ts';
import type { RequestOfEngine } from '../internals.ts';

/**
 * Whether a request changed more of a session than the time of its last use. That is written every few minutes only: what a
 * session knows of an application it opened before is the same the next time.
 */
export function changesAnything(
  request: RequestOfEngine | undefined,
  authorizations: Record<string, Authorization>,
  opened: string | undefined,
  { state }: Record<string, unknown>,
): boolean {
  if (request?.signs_in || request?.ends_session || request?.leaves_client || state !== undefined) return true;
  const tell = (entries: Record<string, Authorization>) =>
    JSON.stringify(
      Object.entries(entries).map(([id, { accepted_at, ...entry }]) => [id, entry, accepted_at !== undefined]),
    );
  return opened === undefined || tell(authorizations) !== tell(JSON.parse(opened));
}

/** Where a sign-in came from, as its person is shown it later: so much of it and no more, of the address only the network. */
export function seenFrom(request: RequestOfEngine | undefined) {
  if (!request?.signs_in || !request.sent_by) return {};
  const { user_agent, address } = request.sent_by;
  return { user_agent: user_agent?.slice(0, 300) ?? null, network: networkOf(address).slice(0, 60) };
}

// A sign-in's result is played again at every later prompt, maybe after the password was changed in this very session: the
// same person's session is never put back to the number it was lifted from.
export const inherited = (account_id: string | undefined, generation: number | undefined) =>
  sql<
    number | null
  >`CASE WHEN account_id = ${account_id ?? null}::uuid THEN greatest(generation, ${generation ?? null}::int)
    ELSE ${generation ?? null}::int END`;

/** The error of a request whose session ended under it; it becomes a page of ours, never an answer to the application. */
export function sessionIsOver(): Error {
  return Object.assign(new errors.SessionNotFound('session has ended'), { allow_redirect: false });
}

/** The grant that a session's row names for an application. */
export const grantOf = (client_id: string) =>
  sql<string | null>`(authorizations #>> ARRAY[${client_id}::text, 'grantId'])`;
