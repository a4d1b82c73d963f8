/** What the engine is told: what is on, how long things live, which questions are asked. */

import type { Context } from 'koa';
import type { Configuration, KoaContextWithOIDC } from 'oidc-provider';
import { ownMetadata, spokenMetadata } from '../clients/engine-client.ts';
import { content_algorithms, encryption_algorithms } from '../clients/metadata.ts';
import { nowSeconds } from '../clock.ts';
import type { Config } from '../config.ts';
import { deriveKey, deriveKeys, type Secret } from '../crypto.ts';
import { api_scopes } from '../permissions.ts';
import { policy } from '../policy/policy.ts';
import { recovered_acr } from '../recovery/reset.ts';
import { type TrialStore, trial_lifetime } from '../trials.ts';
import { claimsByScope, collectClaims } from './claims.ts';
import { acceptAssertion } from './client-secrets.ts';
import { directorateOf, grantLifetime, loadExistingGrant } from './grant.ts';
import { runningTrial } from './internals.ts';
import { nameBySector } from './pairwise.ts';
import type { EngineParts } from './provider.ts';
import { questions } from './questions.ts';
import { checkBesideEngine, registration_token_lifetime, registrationFeatures } from './registration.ts';
import { askSignOut, showSignedOut } from './session.ts';
import { admitTrial } from './trial-entry.ts';

// Answers are encrypted to keys of the client; with its secret they could be only if the secret were kept in clear. Requests
// are not encrypted to us: what is pushed needs no further cover.
const encryption: NonNullable<Configuration['enabledJWA']> = {
  idTokenEncryptionAlgValues: [...encryption_algorithms],
  idTokenEncryptionEncValues: [...content_algorithms],
  introspectionEncryptionAlgValues: [...encryption_algorithms],
  introspectionEncryptionEncValues: [...content_algorithms],
  requestObjectEncryptionAlgValues: [],
  requestObjectEncryptionEncValues: [],
  userinfoEncryptionAlgValues: [...encryption_algorithms],
  userinfoEncryptionEncValues: [...content_algorithms],
};

/** The engine's whole configuration but keys and adapter. */
export function configure({ config, db, clients, fetch, renderError }: EngineParts, trials: TrialStore): Configuration {
  return {
    acrValues: ['urn:gapura:acr:password', recovered_acr],
    assertJwtClientAuthClaimsAndHeader: acceptAssertion(clients),
    claims: claimsByScope,
    clientDefaults: { response_types: ['code'], grant_types: ['authorization_code'] },
    // Applications that run in the browser call from the origins they return to.
    clientBasedCORS: (_ctx, origin, client) =>
      client.tokenEndpointAuthMethod === 'none' &&
      (client.redirectUris ?? []).some((uri) => URL.parse(uri)?.origin === origin),
    cookies: cookies(config),
    discovery: { service_documentation: `${config.url}/`, ui_locales_supported: ['id', 'en'] },
    enabledJWA: encryption,
    extraClientMetadata: { properties: [...ownMetadata, ...spokenMetadata], validator: checkBesideEngine(config) },
    extraTokenClaims: (ctx, token) =>
      'scope' in token && hasScope(token.scope, 'directorate') ? tellDirectorate(ctx) : undefined,
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      claimsParameter: { enabled: true },
      clientCredentials: { enabled: true },
      dPoP: { enabled: true, nonceSecret: deriveKey(config.secrets[0] as Secret, 'dpop nonces') },
      encryption: { enabled: true },
      // Client by client: the engine asks for what the profile wants of a request, our rules for what it wants of a client.
      fapi: { enabled: true, profile: (_ctx, client) => (client?.fapi === true ? '2.0' : undefined) },
      // A client may ask about its own tokens; resource servers come with their registration.
      introspection: { enabled: true, allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId },
      jwtIntrospection: { enabled: true },
      jwtUserinfo: { enabled: true },
      pushedAuthorizationRequests: { enabled: true },
      requestObjects: { enabled: true },
      // A client may revoke what is its own; anybody else's token is no concern of it (RFC 7009 section 2.1).
      revocation: { enabled: true, allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId },
      rpInitiatedLogout: { enabled: true, logoutSource: askSignOut(db), postLogoutSuccessSource: showSignedOut },
      ...registrationFeatures,
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
    loadExistingGrant: async (ctx) => {
      await admitTrial(trials, ctx);
      return loadExistingGrant(db, ctx);
    },
    pairwiseIdentifier: nameBySector(db),
    pkce: { required: () => true },
    renderError: (ctx, _out, error) => renderError(ctx as unknown as Context, error),
    responseTypes: ['code', 'none'],
    // Bound to a key, its own or the one by which a FAPI 2.0 client proves itself, a refresh token is no use to a thief and must
    // not rotate (5.3.2.1 there); all others do (RFC 9700 4.14).
    rotateRefreshToken: ({ oidc }) => oidc.client?.fapi !== true && !oidc.entities.RefreshToken?.isSenderConstrained(),
    routes: {
      authorization: '/auth',
      end_session: '/session/end',
      introspection: '/introspection',
      jwks: '/jwks',
      pushed_authorization_request: '/par',
      registration: '/register',
      revocation: '/revocation',
      token: '/token',
      userinfo: '/userinfo',
    },
    scopes: [...Object.keys(claimsByScope), 'offline_access', ...api_scopes],
    subjectTypes: ['public', 'pairwise'],
    ttl: {
      AccessToken: 900,
      AuthorizationCode: 60,
      ClientCredentials: 600,
      Grant: () => (runningTrial() ? trial_lifetime : grantLifetime()),
      IdToken: 3600,
      Interaction: () => policy('interaction.lifetime'),
      RefreshToken: () => policy('session.absolute'),
      RegistrationAccessToken: registration_token_lifetime,
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
