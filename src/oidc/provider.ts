/** The engine, configured: what is on, how long things live, which questions are asked, and what Gapura adds to it. */

import type { Context } from 'koa';
import { type Configuration, type KoaContextWithOIDC, Provider } from 'oidc-provider';
import type { WatchLog } from '../changes.ts';
import type { ClientStore } from '../clients/client.ts';
import { nowSeconds } from '../clock.ts';
import type { Config } from '../config.ts';
import { deriveKeys } from '../crypto.ts';
import { type Database, inTransaction } from '../database.ts';
import { signCookies } from '../http/cookie-keys.ts';
import { enqueue, type Jobs } from '../jobs.ts';
import type { Engine } from '../prompts/prompt.ts';
import { openTrials, type TrialStore } from '../trials.ts';
import { createAdapter } from './adapter.ts';
import { offerTokenExchange } from './apis/token-exchange.ts';
import { compareSecretsByHash } from './clients/client-secrets.ts';
import { describeClient, sourceOf } from './clients/clients.ts';
import { keepClients } from './clients/live-clients.ts';
import { acceptOwnSecret } from './clients/registration.ts';
import { configure } from './configuration.ts';
import { extendModels, replaceBackchannelLogout, requestOfEngine, runningTrial } from './internals.ts';
import { checkDeviceErrors } from './internals-device.ts';
import { limitGrants } from './internals-grants.ts';
import { followKeys, type LiveKeys, publishKeys } from './keys/live-keys.ts';
import { loadSigningKeys } from './keys/signing-keys.ts';
import { findPastInteraction } from './records/past-interactions.ts';
import { spendWithTokens } from './records/spend-later.ts';
import { type RecordStore, recordKey } from './records/store.ts';
import { clearBrowser, sessionEnded } from './sessions/session.ts';
import { allowTrials } from './trial/trial-entry.ts';

/** What the engine stands on. */
export interface EngineParts {
  config: Config;
  db: Database;
  jobs: Jobs;
  clients: ClientStore;
  log?: WatchLog;
  /** Calls to machines of clients: their keys, their sign-out addresses. */
  fetch: NonNullable<Configuration['fetch']>;
  /** Shows an error page of the engine; a client's error never reaches this. */
  renderError: (ctx: Context, error: Error) => void | Promise<void>;
}

/** The engine with its records and the view that the prompts have of it. */
export interface RunningEngine {
  provider: Provider;
  records: RecordStore;
  trials: TrialStore;
  prompts: Engine;
  /** What it signs with; closed when the engine answers no more. */
  keys: LiveKeys;
}

/**
 * Makes the engine: reads the signing keys (and makes missing ones), configures, extends, checks.
 * @throws Error when a key does not open, or when the engine no longer has what Gapura relies on
 */
export async function createEngine(parts: EngineParts): Promise<RunningEngine> {
  const { config, db, jobs, clients, log } = parts;
  const records: RecordStore = {
    db,
    clients,
    id_key: recordKey(config),
    request: requestOfEngine,
    sessionEnded: sessionEnded(jobs),
  };
  const trials = openTrials(db, config);
  const jwks = (await loadSigningKeys(db, config)) as NonNullable<Configuration['jwks']>;
  const provider = new Provider(config.issuer, {
    ...configure(parts, trials),
    jwks,
    adapter: (model) => createAdapter(records, model),
  });
  provider.keys = signCookies(deriveKeys(config.cookie_secrets, 'cookies'));
  checkDeviceErrors();
  limitGrants(provider);
  extendModels(provider, records);
  allowTrials(provider, trials.address);
  replaceBackchannelLogout(provider, (client_id, subject, sid) =>
    inTransaction(db, async (tx) => {
      await enqueue(tx, jobs, 'logout', { client_id, subject, sid });
    }),
  );
  compareSecretsByHash(provider, clients);
  keepClients(provider, records);
  acceptOwnSecret(provider, clients);
  offerTokenExchange(provider, parts);
  listen(provider);
  publishKeys(provider);
  spendWithTokens(provider, db);
  const keys = await followKeys(provider, db, config, log);
  return { provider, records, trials, prompts: viewOfPrompts(provider, records), keys };
}

function listen(provider: Provider): void {
  // After the last prompt and before the session is saved: the mark that our own pages look for (DESIGN 1.5).
  provider.on('authorization.accepted', ({ oidc }) => {
    const client_id = oidc.client?.clientId;
    if (!client_id || !oidc.session || runningTrial()) return;
    const entry = oidc.session.authorizations?.[client_id] as { accepted_at?: number } | undefined;
    if (entry) entry.accepted_at = nowSeconds();
  });
  // A form_post answer is a page of ours whose form leads to the client, so its policy must name it.
  const nameClient = ({ oidc, state }: KoaContextWithOIDC) => {
    const redirect_uri = String(oidc.params?.redirect_uri);
    const is_page =
      /^form_post\b/.test(String(oidc.params?.response_mode)) && oidc.client?.redirectUriAllowed(redirect_uri);
    if (is_page) (state as Context['state']).csp.form_action.push(...sourceOf(redirect_uri));
  };
  provider.on('authorization.success', nameClient);
  provider.on('authorization.error', nameClient);
  // Only where the whole session ended: whoever leaves one application is still here.
  provider.on('end_session.success', (ctx) => {
    if (ctx.oidc.params?.logout) clearBrowser(ctx as unknown as Context);
  });
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
        return { uid, prompt, params, session, answer_sources: sourceOf(params.redirect_uri) };
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
