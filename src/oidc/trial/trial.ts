/** Trying a client: the real authorization as that client, to an address of ours, and its code redeemed in this process. */

import { UnsecuredJWT } from 'jose';
import { errors, type Provider } from 'oidc-provider';
import { type AuditRequest, record } from '../../audit/audit.ts';
import { nowSeconds } from '../../clock.ts';
import { digest, randomToken } from '../../crypto.ts';
import { type Database, inTransaction } from '../../database.ts';
import {
  addTrial,
  deleteTrials,
  type SpentTrial,
  spendTrial,
  type TrialOwner,
  type TrialRequest,
  type TrialStore,
  trial_lifetime,
} from '../../trials.ts';
import type { Client } from '../clients/clients.ts';
import { engineSteps } from '../internals.ts';
import { endGrant, endGrants } from '../records/write.ts';
import { type Asker, askToken, askUserinfo, openAsker, type TokenAnswer } from './in-process.ts';
import { runTrial, type TrialMark, trial_prefix } from './trial-entry.ts';
import { listMissing, listRefused, type Missing } from './trial-missing.ts';
import { describeTokens, type TriedToken } from './trial-report.ts';

/** The engine and where its trials stand. */
export interface TrialEngine {
  provider: Provider;
  trials: TrialStore;
}

interface Done {
  state: 'done';
  /** The access token first, then the ID token and the refresh token where the client gets them. */
  tokens: TriedToken[];
  userinfo: TriedToken | undefined;
  /** The scopes granted. */
  scope: string;
  missing: Missing[];
}

/** What came of a trial. Nothing in it opens anything: the tokens themselves were never part of it and are revoked. */
export type TrialOutcome =
  | Done
  /** The engine, or the person, refused: an OAuth error (RFC 6749 sections 4.1.2.1 and 5.2). */
  | { state: 'refused'; error: string; error_description: string | undefined; missing: Missing[] }
  /** No trial that goes on has this state, or it is another person's or another browser's; nothing was done. */
  | { state: 'over' };

/**
 * What beginning leads to: the address that the administrator's browser goes to; for a client without people (client
 * credentials only) the outcome itself; or why the client cannot be tried.
 */
export type TrialBeginning =
  | { state: 'begun'; address: string }
  /** `unknown`: no such client, or it is disabled. `no_code`: it has neither the code flow nor client credentials. */
  | { state: 'untriable'; because: 'unknown' | 'no_code' | 'response_mode' }
  | Exclude<TrialOutcome, { state: 'over' }>;

/**
 * Begins a trial of a client for an administrator; the caller has checked that they may. Whatever the client is registered
 * for (pushed or signed requests, bound tokens), the request goes in as one pushed here and the code is redeemed here; only
 * the client's own authentication is not tried, for the trial stands in for it.
 */
export async function beginTrial(engine: TrialEngine, asked: Asked): Promise<TrialBeginning> {
  // A registration that the engine no longer takes is a refusal too.
  return orRefused(() => begin(engine, asked));
}

/** Who tries which client, and what is asked for. */
export type Asked = TrialOwner &
  TrialRequest & {
    client_id: string;
    /** Where the administrator's request came from, for the audit. */
    by: AuditRequest;
  };

async function begin(
  { provider, trials }: TrialEngine,
  { client_id, account_id, session_uid, by, ...request }: Asked,
): Promise<TrialBeginning> {
  const client = await provider.Client.find(client_id);
  if (!client) return { state: 'untriable', because: 'unknown' };
  // What jsonb does not keep: NUL, and halves of a character.
  if (/\\u(0000|d[89a-f])/.test(JSON.stringify(request))) {
    return refused('invalid_request', 'a parameter contains what is no text');
  }
  const has_code = client.grantTypeAllowed('authorization_code') && client.responseTypeAllowed('code');
  if (!has_code && !client.grantTypeAllowed('client_credentials')) return { state: 'untriable', because: 'no_code' };
  const response_mode = modes.find((mode) => client.responseModeAllowed(mode, 'code', undefined));
  if (has_code && !response_mode) return { state: 'untriable', because: 'response_mode' };

  const added = await inTransaction(trials.db, async (tx) => {
    // Of what was typed only what is known: the rest may be anything, and an event is kept for ever.
    const { scopes } = engineSteps(provider);
    const scope = request.scope.split(' ').filter((one) => scopes.has(one));
    await record(tx, { kind: 'client_tried', account_id, client_id, detail: { scope: scope.join(' ') }, request: by });
    return has_code ? addTrial(tx, trials, { account_id, session_uid, client_id, request }) : undefined;
  });
  if (!added) return tryService({ provider, trials }, client, request);
  const { secret, nonce, verifier } = added;
  const params = {
    ...request,
    ...(request.scope.split(' ').includes('openid') ? { nonce } : {}),
    response_type: 'code',
    response_mode,
    client_id,
    redirect_uri: trials.address,
    state: secret,
    code_challenge: digest(verifier),
    code_challenge_method: 'S256',
  };
  const request_uri = await push(provider, { client_id, account_id, session_uid }, params);
  return { state: 'begun', address: `${provider.issuer}/auth?${new URLSearchParams({ client_id, request_uri })}` };
}

/** The ways in which our address takes an answer, the plainest first. */
const modes = ['query', 'form_post'];

/** Leaves a request as the endpoint for pushed ones would (RFC 9126), with the mark that lets our address be its end. */
async function push(provider: Provider, trial: TrialMark, params: Record<string, unknown>): Promise<string> {
  const now = nowSeconds();
  // The record's own end decides, by the database's clock; these two only satisfy whoever demands them (FAPI 2.0).
  const request = new UnsecuredJWT(params)
    .setIssuer(trial.client_id)
    .setAudience(provider.issuer)
    .setNotBefore(now - 60)
    .setExpirationTime(now + trial_lifetime + 60)
    .encode();
  const Pushed = provider.PushedAuthorizationRequest as unknown as new (
    payload: object,
  ) => { save(ttl: number): Promise<string> };
  const pushed = new Pushed({ jti: `${trial_prefix}${randomToken()}`, request, trusted: true, trial });
  return `urn:ietf:params:oauth:request_uri:${await pushed.save(trial_lifetime)}`;
}

/**
 * Ends a trial with the answer that came to our address: spends it, redeems the code, and revokes all of it again, whatever
 * came of it. Of several callbacks at once one gets the outcome.
 * @param answer the parameters of the callback, as they came
 */
export async function finishTrial(
  { provider, trials }: TrialEngine,
  { answer, account_id, session_uid }: TrialOwner & { answer: Record<string, unknown> },
): Promise<TrialOutcome> {
  const { state, code, error, error_description } = answer;
  const owner = { account_id, session_uid };
  const trial = typeof state === 'string' ? await spendTrial(trials, state, owner) : undefined;
  if (!trial) return { state: 'over' };
  try {
    return await orRefused(async () => {
      const client = await provider.Client.find(trial.client_id);
      if (!client) return refused('invalid_client', 'the client was disabled meanwhile');
      if (typeof error === 'string') {
        const words = typeof error_description === 'string' ? error_description : undefined;
        return refused(error, words, listRefused(provider, client, trial.request));
      }
      if (typeof code !== 'string') return refused('invalid_request', 'the answer has neither a code nor an error');
      return redeem({ provider, trials }, client, trial, code);
    });
  } finally {
    if (trial.grant_id) await endGrant(trials.db, trial.grant_id);
  }
}

/** Redeems the code as the client would, and asks userinfo with what it got. */
async function redeem(
  { provider, trials }: TrialEngine,
  client: Client,
  trial: SpentTrial,
  code: string,
): Promise<Done> {
  const asker = await openAsker(provider, client, runTrial(trial));
  const answer = await askToken(asker, {
    grant_type: 'authorization_code',
    code,
    code_verifier: trial.verifier,
    redirect_uri: trials.address,
    resource: trial.request.resource,
  });
  // A token for another resource does not open userinfo.
  const has_userinfo = answer.scope?.split(' ').includes('openid') && !trial.request.resource;
  const userinfo = has_userinfo ? await askUserinfo(asker, answer) : undefined;
  return describe(trials.db, asker, trial.request, answer, { userinfo, nonce: trial.nonce });
}

/** A client that acts for nobody gets its token at once, and loses it again. */
async function tryService(
  { provider, trials }: TrialEngine,
  client: Client,
  request: TrialRequest,
): Promise<Exclude<TrialOutcome, { state: 'over' }>> {
  const asker = await openAsker(provider, client, undefined);
  return orRefused(
    async () => {
      const { scope: asked, resource } = request;
      const answer = await askToken(asker, { grant_type: 'client_credentials', scope: asked || undefined, resource });
      try {
        return await describe(trials.db, asker, request, answer, {});
      } finally {
        await (await provider.ClientCredentials.find(answer.access_token))?.destroy();
      }
    },
    () => listRefused(provider, client, request),
  );
}

async function describe(
  db: Database,
  asker: Asker,
  request: TrialRequest,
  answer: TokenAnswer,
  more: { userinfo?: Record<string, unknown> | string | undefined; nonce?: string },
): Promise<Done> {
  const { tokens, userinfo } = await describeTokens(asker, { answer, ...more });
  const scope = answer.scope ?? '';
  const id_token = tokens.find(({ kind }) => kind === 'id_token')?.claims;
  const missing = await listMissing(db, asker, { request, scope, id_token, userinfo: userinfo?.claims });
  return { state: 'done', tokens, userinfo, scope, missing };
}

function refused(error: string, error_description?: string, missing: Missing[] = []) {
  return { state: 'refused' as const, error, error_description, missing };
}

/** What the engine refuses is an outcome; all else is a bug, or a lost dependency. */
async function orRefused<T>(work: () => Promise<T>, missing: () => Missing[] = () => []) {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof errors.OIDCProviderError) || error.statusCode >= 500) throw error;
    return refused(error.error, error.error_description, missing());
  }
}

/** Deletes up to `batch` trials that are over, and what was granted for those whose end nobody saw; a worker's duty. */
export async function purgeTrials(db: Database, batch = 1000): Promise<number> {
  return inTransaction(db, async (tx) => {
    const { deleted, grant_ids } = await deleteTrials(tx, batch);
    await endGrants(tx, grant_ids);
    return deleted;
  });
}
