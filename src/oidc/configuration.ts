/** What the engine is told: what is on, how long things live, which questions are asked. */

import type { Context } from 'koa';
import type { Configuration, KoaContextWithOIDC } from 'oidc-provider';
import { ownMetadata } from '../clients/client.ts';
import { nowSeconds } from '../clock.ts';
import type { Config } from '../config.ts';
import { deriveKey, deriveKeys, type Secret } from '../crypto.ts';
import { policy } from '../policy.ts';
import { claimsByScope, collectClaims } from './claims.ts';
import { grantLifetime, loadExistingGrant } from './grant.ts';
import type { EngineParts } from './provider.ts';
import { directorateOf, questions } from './questions.ts';
import { askSignOut, showSignedOut } from './session.ts';

/** The engine's whole configuration but keys and adapter. */
export function configure({ config, db, fetch, renderError }: EngineParts): Configuration {
  return {
    acrValues: ['urn:gapura:acr:password'],
    claims: claimsByScope,
    clientDefaults: { response_types: ['code'], grant_types: ['authorization_code'] },
    // Applications that run in the browser call from the origins they return to.
    clientBasedCORS: (_ctx, origin, client) =>
      client.tokenEndpointAuthMethod === 'none' &&
      (client.redirectUris ?? []).some((uri) => URL.parse(uri)?.origin === origin),
    cookies: cookies(config),
    discovery: { service_documentation: `${config.url}/`, ui_locales_supported: ['id', 'en'] },
    extraClientMetadata: { properties: [...ownMetadata] },
    extraTokenClaims: (ctx, token) =>
      'scope' in token && hasScope(token.scope, 'directorate') ? tellDirectorate(ctx) : undefined,
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      claimsParameter: { enabled: true },
      clientCredentials: { enabled: true },
      dPoP: { enabled: true, nonceSecret: deriveKey(config.secrets[0] as Secret, 'dpop nonces') },
      // A client may ask about its own tokens; resource servers come with their registration.
      introspection: { enabled: true, allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId },
      pushedAuthorizationRequests: { enabled: true },
      // A client may revoke what is its own; anybody else's token is no concern of it (RFC 7009 section 2.1).
      revocation: { enabled: true, allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId },
      rpInitiatedLogout: { enabled: true, logoutSource: askSignOut(db), postLogoutSuccessSource: showSignedOut },
    },
    fetch,
    findAccount: (ctx, account_id) => ({
      accountId: account_id,
      claims: (use, scope, asked) =>
        collectClaims(db, account_id, new Set(scope.split(' ').filter((one) => isTold(use, one, asked))), {
          client_id: ctx.oidc.client?.clientId,
          directorate: directorateOf(ctx),
        }) as Promise<{ sub: string }>,
    }),
    interactions: { policy: questions(db), url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    // A client registered for refresh tokens gets them also without offline_access: they end with the session then.
    issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    loadExistingGrant: (ctx) => loadExistingGrant(db, ctx),
    pkce: { required: () => true },
    renderError: (ctx, _out, error) => renderError(ctx as unknown as Context, error),
    responseTypes: ['code', 'none'],
    // Bound to a key, a refresh token is no use to a thief and need not rotate (FAPI 2.0 5.3.2.1); all others do (RFC 9700 4.14).
    rotateRefreshToken: (ctx) => !ctx.oidc.entities.RefreshToken?.isSenderConstrained(),
    routes: {
      authorization: '/auth',
      end_session: '/session/end',
      introspection: '/introspection',
      jwks: '/jwks',
      pushed_authorization_request: '/par',
      revocation: '/revocation',
      token: '/token',
      userinfo: '/userinfo',
    },
    scopes: Object.keys(claimsByScope).concat('offline_access'),
    ttl: {
      AccessToken: 900,
      AuthorizationCode: 60,
      ClientCredentials: 600,
      Grant: grantLifetime,
      IdToken: 3600,
      Interaction: () => policy('interaction.lifetime'),
      RefreshToken: () => policy('session.absolute'),
      Session: (_ctx, session) => sessionLifetime(session.loginTs),
    },
  };
}

/** Seconds until a session ends if it is not used again: the idle limit, cut by what is left of the absolute one. */
function sessionLifetime(signed_in_at: number | undefined): number {
  const idle = policy('session.idle');
  if (signed_in_at === undefined) return Math.min(idle, policy('interaction.lifetime'));
  return Math.max(1, Math.min(idle, signed_in_at + policy('session.absolute') - nowSeconds()));
}

function cookies({ secrets, secure }: Config): NonNullable<Configuration['cookies']> {
  const shared = { httpOnly: true, sameSite: 'lax', signed: true, overwrite: true } as const;
  return {
    keys: deriveKeys(secrets, 'cookies').map((key) => key.toString('base64url')),
    long: shared,
    short: shared,
    names: {
      session: secure ? '__Host-gapura_session' : 'gapura_session',
      // Bound to the path of their one page, so they cannot be __Host-.
      interaction: secure ? '__Secure-gapura_interaction' : 'gapura_interaction',
      resume: secure ? '__Secure-gapura_resume' : 'gapura_resume',
    },
  };
}

function tellDirectorate(ctx: KoaContextWithOIDC) {
  const directorate = directorateOf(ctx);
  return directorate && { directorate: { agency: directorate.agency, code: directorate.code, name: directorate.name } };
}

/** An ID token carries few claims unless the request asks for more by name; what it does not carry need not be read. */
function isTold(use: string, scope: string, asked: object | undefined): boolean {
  return use !== 'id_token' || Object.keys(asked ?? {}).length > 0 || ['directorate', 'linked_account'].includes(scope);
}

function hasScope(scope: string | undefined, wanted: string): boolean {
  return scope?.split(' ').includes(wanted) ?? false;
}
