/** Who stands behind a bearer token that is sent to an interface of ours: everything the engine would check at userinfo. */

import type { Provider } from 'oidc-provider';
import { nowSeconds } from '../../clock.ts';

/** A token that counts: whose, of which client, for what. */
export interface Bearer {
  /** Null for a client that acts for itself. */
  account_id: string | null;
  client_id: string;
  scopes: string[];
  /** Seconds since the epoch of the sign-in it came from; null where nobody signed in, or the session is over. */
  signed_in_at: number | null;
}

/**
 * Reads an opaque access token of our own issuer (RFC 6750). A token bound to a key (DPoP, mTLS) is no bearer token and a
 * token for another resource none of ours, so neither counts here.
 */
export async function findBearer(provider: Provider, raw: string): Promise<Bearer | undefined> {
  if (!/^[\w-]{20,200}$/.test(raw)) return undefined;
  const token = (await provider.AccessToken.find(raw)) ?? (await provider.ClientCredentials.find(raw));
  if (!token || token.isExpired || (token.exp ?? 0) <= nowSeconds()) return undefined;
  if (token.isSenderConstrained() || token.aud !== undefined || !token.clientId) return undefined;
  // A client that was switched off is not found.
  if (!(await provider.Client.find(token.clientId))) return undefined;
  const scopes = [...token.scopes];
  if (token.kind === 'ClientCredentials')
    return { account_id: null, client_id: token.clientId, scopes, signed_in_at: null };

  const { accountId, grantId, sessionUid, expiresWithSession } = token as InstanceType<Provider['AccessToken']>;
  const session = sessionUid ? await provider.Session.findByUid(sessionUid) : undefined;
  const is_live = session?.accountId === accountId && session.grantIdFor(token.clientId) === grantId;
  if (expiresWithSession && !is_live) return undefined;
  const grant = grantId ? await provider.Grant.find(grantId) : undefined;
  if (!grant || grant.isExpired || grant.accountId !== accountId || grant.clientId !== token.clientId) return undefined;
  const granted = new Set(grant.getOIDCScopeFiltered(new Set(scopes)).split(' '));
  return {
    account_id: accountId,
    client_id: token.clientId,
    scopes: scopes.filter((scope) => granted.has(scope)),
    signed_in_at: is_live ? (session.loginTs ?? null) : null,
  };
}
