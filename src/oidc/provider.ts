/** The engine, configured: what is on, how long things live, which questions are asked, and what Gapura adds to it. */

import type { Context } from 'koa';
import { type Configuration, type KoaContextWithOIDC, Provider } from 'oidc-provider';
import { type ClientStore, isClientSecret, ownMetadata } from '../clients.ts';
import { nowSeconds } from '../clock.ts';
import type { Config } from '../config.ts';
import { deriveKey, deriveKeys, type Secret } from '../crypto.ts';
import { type Database, inTransaction } from '../database.ts';
import { enqueue, type Jobs } from '../jobs.ts';
import { policy } from '../policy.ts';
import type { Engine } from '../prompts/prompt.ts';
import { createAdapter } from './adapter.ts';
import { claimsByScope, collectClaims } from './claims.ts';
import { describeClient } from './clients.ts';
import { grantLifetime, loadExistingGrant } from './grant.ts';
import { extendModels, replaceBackchannelLogout, requestOfEngine } from './internals.ts';
import { directorateOf, questions } from './questions.ts';
import { askSignOut, sessionEnded, showSignedOut } from './session.ts';
import { loadSigningKeys } from './signing-keys.ts';
import { findPastInteraction, type RecordStore, recordKey } from './store.ts';

/** What the engine stands on. */
export interface EngineParts {
  config: Config;
  db: Database;
  jobs: Jobs;
  clients: ClientStore;
  /** Calls to machines of clients: their keys, their sign-out addresses. */
  fetch: NonNullable<Configuration['fetch']>;
  /** Shows an error page of the engine; a client's error never reaches this. */
  renderError: (ctx: Context, error: Error) => void | Promise<void>;
}

/** The engine with its records and the view that the prompts have of it. */
export interface RunningEngine {
  provider: Provider;
  records: RecordStore;
  prompts: Engine;
}

/**
 * Makes the engine: reads the signing keys (and makes missing ones), configures, extends, checks.
 * @throws Error when a key does not open, or when the engine no longer has what Gapura relies on
 */
export async function createEngine(parts: EngineParts): Promise<RunningEngine> {
  const { config, db, jobs, clients } = parts;
  const records: RecordStore = {
    db,
    clients,
    id_key: recordKey(config),
    request: requestOfEngine,
    sessionEnded: sessionEnded(jobs),
  };
  const jwks = (await loadSigningKeys(db, config)) as NonNullable<Configuration['jwks']>;
  const provider = new Provider(config.issuer, {
    ...configure(parts),
    jwks,
    adapter: (model) => createAdapter(records, model),
  });
  extendModels(provider, records);
  replaceBackchannelLogout(provider, (client_id, subject, sid) =>
    inTransaction(db, async (tx) => {
      await enqueue(tx, jobs, 'logout', { client_id, subject, sid });
    }),
  );
  compareSecretsByHash(provider, clients);
  listen(provider);
  return { provider, records, prompts: viewOfPrompts(provider, records) };
}

function configure({ config, db, fetch, renderError }: EngineParts): Configuration {
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

function compareSecretsByHash(provider: Provider, clients: ClientStore): void {
  const prototype = provider.Client.prototype as unknown as {
    compareClientSecret(actual: string): boolean;
    secret_hashes: unknown;
  };
  prototype.compareClientSecret = function (actual) {
    return isClientSecret(clients, this.secret_hashes, actual);
  };
}

function listen(provider: Provider): void {
  // After the last prompt and before the session is saved: the mark that our own pages look for (DESIGN 1.5).
  provider.on('authorization.accepted', ({ oidc }) => {
    const client_id = oidc.client?.clientId;
    if (!client_id || !oidc.session) return;
    const entry = oidc.session.authorizations?.[client_id] as { accepted_at?: number } | undefined;
    if (entry) entry.accepted_at = nowSeconds();
  });
  // A form_post answer is a page of ours whose form leads to the client, so its policy must name it.
  const nameClient = ({ oidc, state }: KoaContextWithOIDC) => {
    const redirect_uri = String(oidc.params?.redirect_uri);
    const is_page = oidc.params?.response_mode === 'form_post' && oidc.client?.redirectUriAllowed(redirect_uri);
    if (is_page) (state as Context['state']).csp.form_action.push(new URL(redirect_uri).origin);
  };
  provider.on('authorization.success', nameClient);
  provider.on('authorization.error', nameClient);
  // The engine reports a notice that could not be queued and goes on; a sign-out that tells nobody must fail instead.
  provider.on('backchannel.error', (_ctx, error) => {
    throw error;
  });
}

function viewOfPrompts(provider: Provider, records: RecordStore): Engine {
  return {
    async findInteraction(ctx) {
      try {
        const { uid, prompt, params, session } = await provider.interactionDetails(ctx.req, ctx.res);
        return { uid, prompt, params, session };
      } catch (error) {
        if ((error as Error).name === 'SessionNotFound') return undefined;
        throw error;
      }
    },
    async answer(ctx, result) {
      return provider.interactionResult(ctx.req, ctx.res, result, { mergeWithLastSubmission: !('error' in result) });
    },
    async findClient(id, language) {
      const client = await provider.Client.find(id);
      return client && describeClient(client, language);
    },
    findPast: (uid) => findPastInteraction(records, uid),
  };
}
