/** What the engine is told: what is on, how long things live, which questions are asked. */

import type { Context } from 'koa';
import type { Configuration, KoaContextWithOIDC } from 'oidc-provider';
import { content_algorithms, encryption_algorithms, response_types } from '../clients/choices.ts';
import { ownMetadata, spokenMetadata } from '../clients/engine-client.ts';
import type { Config } from '../config.ts';
import { deriveKey, type Secret } from '../crypto.ts';
import { api_scopes } from '../permissions.ts';
import { policy } from '../policy/policy.ts';
import { type TrialStore, trial_lifetime } from '../trials.ts';
import { completeJwt, findResource, mayIntrospect, tellSignIn } from './apis/resources.ts';
import { engineClaims, findPerson } from './claims/account.ts';
import { claimsByScope } from './claims/claims.ts';
import { nameBySector } from './claims/pairwise.ts';
import { authMethods, boundMetadata, mutualTls, refuseUnbound } from './clients/certificates.ts';
import { acceptAssertion } from './clients/client-secrets.ts';
import type { Client } from './clients/clients.ts';
import { needsNonce } from './clients/clock-skew.ts';
import { checkBesideEngine, registration_token_lifetime, registrationFeatures } from './clients/registration.ts';
import { device_flow } from './device/device.ts';
import { runningTrial } from './internals.ts';
import type { EngineParts } from './provider.ts';
import { acr_values, questions } from './questions.ts';
import { directorateOf, grantLifetime, loadExistingGrant } from './records/grant.ts';
import { askSignOut, showSignedOut } from './sessions/session.ts';
import { refreshLifetime, sessionLifetime } from './sessions/session-life.ts';
import { admitTrial } from './trial/trial-entry.ts';

// Answers are encrypted to keys of the client; with its secret they could be only if the secret were kept in clear. Requests
// are not encrypted to us: what is pushed needs no further cover.
const encryption: NonNullable<Configuration['enabledJWA']> = {
  authorizationEncryptionAlgValues: [...encryption_algorithms],
  authorizationEncryptionEncValues: [...content_algorithms],
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
    acrValues: acr_values,
    assertJwtClientAuthClaimsAndHeader: acceptAssertion(clients),
    claims: engineClaims,
    clientAuthMethods: authMethods(config),
    clientDefaults: { response_types: ['code'], grant_types: ['authorization_code'] },
    // Applications that run in the browser call from the origins they return to.
    clientBasedCORS: (_ctx, origin, client) =>
      client.tokenEndpointAuthMethod === 'none' &&
      (client.redirectUris ?? []).some((uri) => URL.parse(uri)?.origin === origin),
    cookies: cookies(config),
    discovery: { service_documentation: `${config.url}/`, ui_locales_supported: ['id', 'en'] },
    enabledJWA: encryption,
    extraClientMetadata: {
      properties: [...ownMetadata, ...spokenMetadata, ...boundMetadata(config)],
      validator: both(checkBesideEngine(config), refuseUnbound(config)),
    },
    extraTokenClaims: (ctx, token) =>
      tellSignIn(ctx, token) ??
      ('scope' in token && hasScope(token.scope, 'directorate') ? tellDirectorate(ctx) : undefined),
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      claimsParameter: { enabled: true },
      clientCredentials: { enabled: true },
      deviceFlow: device_flow,
      dPoP: {
        enabled: true,
        requireNonce: needsNonce,
        nonceSecret: deriveKey(config.secrets[0] as Secret, 'dpop nonces'),
      },
      encryption: { enabled: true },
      // Client by client: the engine asks for what the profile wants of a request, our rules for what it wants of a client.
      fapi: { enabled: true, profile: (_ctx, client) => (client?.fapi === true ? '2.0' : undefined) },
      introspection: { enabled: true, allowedPolicy: mayIntrospect(db) },
      jwtIntrospection: { enabled: true },
      jwtResponseModes: { enabled: true },
      jwtUserinfo: { enabled: true },
      mTLS: mutualTls(config),
      pushedAuthorizationRequests: { enabled: true },
      requestObjects: { enabled: true },
      resourceIndicators: { enabled: true, getResourceServerInfo: findResource(db) },
      // A client may revoke what is its own; anybody else's token is no concern of it (RFC 7009 section 2.1).
      revocation: { enabled: true, allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId },
      rpInitiatedLogout: { enabled: true, logoutSource: askSignOut(db), postLogoutSuccessSource: showSignedOut },
      ...registrationFeatures,
    },
    fetch,
    formats: { customizers: { jwt: completeJwt(config) } },
    findAccount: findPerson(db),
    interactions: { policy: questions(db), url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    // A client registered for refresh tokens gets them also without offline_access: they end with the session then.
    issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    loadExistingGrant: async (ctx) => {
      await admitTrial(trials, ctx);
      return loadExistingGrant(db, ctx);
    },
    pairwiseIdentifier: nameBySector(db),
    pkce: { required: (_ctx, client) => mustProveCode(client) },
    renderError: (ctx, _out, error) => renderError(ctx as unknown as Context, error),
    responseTypes: [...response_types],
    // Bound to a key, its own or the one by which a FAPI 2.0 client proves itself, a refresh token is no use to a thief and must
    // not rotate (5.3.2.1 there); all others do (RFC 9700 4.14), unless a client that proves itself cannot cope with it.
    rotateRefreshToken: ({ oidc: { client, entities } }) =>
      client?.fapi !== true && client?.refresh_rotation !== 'keep' && !entities.RefreshToken?.isSenderConstrained(),
    routes: {
      authorization: '/auth',
      code_verification: '/device',
      device_authorization: '/device/auth',
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
      AccessToken: (_ctx, token) => token.resourceServer?.accessTokenTTL ?? 900,
      AuthorizationCode: 60,
      DeviceCode: 600,
      ClientCredentials: (_ctx, token) => token.resourceServer?.accessTokenTTL ?? 600,
      Grant: () => (runningTrial() ? trial_lifetime : grantLifetime()),
      IdToken: 3600,
      Interaction: () => policy('interaction.lifetime'),
      RefreshToken: (_ctx, token) => refreshLifetime(token),
      RegistrationAccessToken: registration_token_lifetime,
      Session: (_ctx, session) => sessionLifetime(session),
    },
  };
}

function cookies({ secure }: Config): NonNullable<Configuration['cookies']> {
  const shared = { httpOnly: true, sameSite: 'lax', signed: true, overwrite: true } as const;
  return {
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

type CheckMetadata = ReturnType<typeof checkBesideEngine>;

function both(one: CheckMetadata, other: CheckMetadata): CheckMetadata {
  return (...told) => {
    one(...told);
    other(...told);
  };
}

/** An application that keeps no secret, or that nobody has looked at, never chooses for itself (RFC 9700 section 2.1.1). */
function mustProveCode(client: Client): boolean {
  if (client.clientAuthMethod === 'none' || client.applicationType === 'native' || client.fapi === true) return true;
  return client.origin === 'dynamic' ? policy('clients.dynamic_pkce') : client.pkce_required !== false;
}

function tellDirectorate(ctx: KoaContextWithOIDC) {
  const directorate = directorateOf(ctx);
  return directorate && { directorate: { agency: directorate.agency, code: directorate.code, name: directorate.name } };
}

function hasScope(scope: string | undefined, wanted: string): boolean {
  return scope?.split(' ').includes(wanted) ?? false;
}
