/** What a relying application asks of Gapura as an OpenID Provider, through openid-client. */

import { createRemoteJWKSet, type JWTVerifyGetKey } from 'jose';
import * as oidc from 'openid-client';
import type { Identity } from './sessions.ts';

export interface ProviderOptions {
  issuer: string;
  client_id: string;
  client_secret: string;
}

/** Gapura, once its discovery document was read. */
export interface Provider {
  config: oidc.Configuration;
  keys: JWTVerifyGetKey;
}

/** Why a sign-in did not succeed: a fixed list, for it stands in an address. */
export const failures = ['denied', 'expired', 'refused', 'unavailable'] as const;
export type Failure = (typeof failures)[number];

/**
 * A function that answers the provider. Discovery is done at the first use and again after every failure, because Gapura
 * may start later than its applications. Rejects when Gapura cannot be reached.
 */
export function discoverProvider(options: ProviderOptions): () => Promise<Provider> {
  let found: Promise<Provider> | undefined;
  return () => {
    found ??= discover(options).catch((error) => {
      found = undefined;
      throw error;
    });
    return found;
  };
}

async function discover(options: ProviderOptions): Promise<Provider> {
  const issuer = new URL(options.issuer);
  // Without this check an ID token is trusted for the sake of TLS alone, which a demonstration on localhost does not have.
  const execute = [oidc.enableNonRepudiationChecks];
  if (issuer.protocol === 'http:') execute.push(oidc.allowInsecureRequests);
  const config = await oidc.discovery(
    issuer,
    options.client_id,
    { [oidc.clockTolerance]: 30 },
    oidc.ClientSecretBasic(options.client_secret),
    { execute, timeout: 5 },
  );
  const { jwks_uri } = config.serverMetadata();
  if (jwks_uri === undefined) throw new Error('the discovery document names no jwks_uri');
  return { config, keys: createRemoteJWKSet(new URL(jwks_uri), { timeoutDuration: 5000 }) };
}

/** Exchanges the code in `address` (the full address of the callback) and asks userinfo. Throws what openid-client throws. */
export async function readIdentity(
  { config }: Provider,
  address: URL,
  expected: { state: string; nonce: string; code_verifier: string },
): Promise<Identity> {
  const tokens = await oidc.authorizationCodeGrant(config, address, {
    expectedState: expected.state,
    expectedNonce: expected.nonce,
    pkceCodeVerifier: expected.code_verifier,
    idTokenExpected: true,
  });
  const claims = tokens.claims();
  if (!claims || tokens.id_token === undefined) throw new Error('no ID token');
  const userinfo = await oidc.fetchUserInfo(config, tokens.access_token, claims.sub);
  return {
    subject: claims.sub,
    sid: typeof claims.sid === 'string' ? claims.sid : null,
    claims: { ...claims, ...userinfo },
    id_token: tokens.id_token,
    access_token: tokens.access_token,
    refresh_token: tokens.refresh_token ?? null,
    issued_at: new Date(claims.iat * 1000),
  };
}

/** Sorts what openid-client threw into what a visitor needs to know. */
export function explainFailure(error: unknown): Failure {
  if (error instanceof oidc.AuthorizationResponseError) {
    if (error.error === 'access_denied') return 'denied';
    return error.error === 'temporarily_unavailable' || error.error === 'server_error' ? 'unavailable' : 'refused';
  }
  if (error instanceof oidc.ResponseBodyError) {
    if (error.status >= 500) return 'unavailable';
    return error.error === 'invalid_grant' ? 'expired' : 'refused';
  }
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause instanceof Response) return cause.status >= 500 ? 'unavailable' : 'refused';
  const is_late = error instanceof oidc.ClientError && error.code === 'OAUTH_TIMEOUT';
  return is_late || isLostConnection(error) || isLostConnection(cause) ? 'unavailable' : 'refused';
}

/** fetch has one message for everything that went wrong below HTTP. */
function isLostConnection(error: unknown): boolean {
  return (error as Error | undefined)?.message === 'fetch failed';
}
