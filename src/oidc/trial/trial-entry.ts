/** A trial inside the engine's answers: who may be on its way, and the entry that keeps its grant apart from the session's own. */

import { errors, type KoaContextWithOIDC, Provider } from 'oidc-provider';
import type { Database } from '../../database.ts';
import type { Authorization } from '../../tables.ts';
import { claimTrialGrant, findTrial, type Trial, type TrialOwner, type TrialStore } from '../../trials.ts';
import { engineSteps, type RunningTrial, runningTrial } from '../internals.ts';

/** What a request that was pushed for a trial carries beside its parameters. No client can push it. */
export interface TrialMark extends TrialOwner {
  client_id: string;
}

/** How the id of such a request begins; the engine's own ids have no dot. */
export const trial_prefix = 'trial.';

/**
 * Accepts our own address for the answers to trials, which no client has registered: in a request that was pushed for a
 * trial, for that trial's client, and while the session that asks is the one that began it. Whoever else sends the same
 * request is shown what everybody is shown of an address that is not registered.
 */
export function allowTrials(provider: Provider, address: string): void {
  const prototype = provider.Client.prototype as unknown as {
    clientId: string;
    redirectUriAllowed(value: string): boolean;
  };
  const Pushed = provider.PushedAuthorizationRequest as unknown as {
    find(id: string, options?: object): Promise<{ isValid: boolean; trial?: TrialMark } | undefined>;
  };
  const [isRegistered, find] = [prototype.redirectUriAllowed, Pushed.find];
  if (typeof isRegistered !== 'function') throw new Error('the engine changed: Client.redirectUriAllowed is gone');
  if (typeof find !== 'function') throw new Error('the engine changed: PushedAuthorizationRequest.find is gone');
  const { grant, userinfo, jwks } = engineSteps(provider);
  if (!grant('authorization_code') || !grant('client_credentials') || !Array.isArray(userinfo) || !jwks?.keys?.length)
    throw new Error('the engine changed: its steps for tokens and userinfo are gone');

  // Here already, for the engine would tell the error, and with it the trial's state, to an address of the client.
  Pushed.find = async function (id, options) {
    const found = await find.call(this, id, options);
    if (!id.startsWith(trial_prefix)) return found;
    if (!found?.isValid) throw trialIsOver();
    if (!isOwn(found.trial)) throw new errors.InvalidRedirectUri();
    return found;
  };

  prototype.redirectUriAllowed = function (value) {
    if (isRegistered.call(this, value)) return true;
    const pushed = Provider.ctx?.oidc.entities.PushedAuthorizationRequest as { trial?: TrialMark } | undefined;
    const client_id = (runningTrial() ?? pushed?.trial)?.client_id;
    return value === address && client_id === this.clientId;
  };
}

/** Whether it is a trial of the client, the person and the session of the request in progress. */
function isOwn(trial: TrialMark | undefined): boolean {
  const { client, session } = Provider.ctx?.oidc ?? {};
  return (
    trial !== undefined &&
    trial.client_id === client?.clientId &&
    trial.account_id === session?.accountId &&
    trial.session_uid === session?.uid
  );
}

/** The error of an owner who comes too late; it becomes a page of ours, never an answer to the application. */
function trialIsOver(): Error {
  return Object.assign(new errors.InvalidRequestUri('the trial is over'), { allow_redirect: false });
}

/**
 * Lets an authorization towards our address go on only while its state names a trial of this client that was begun by this
 * person in this session; at a resume as well, for the person may have changed on the way. Called before anything is granted.
 * @throws InvalidRedirectUri for everybody else, as for any address that is not registered; InvalidRequestUri when it is over
 */
export async function admitTrial(trials: TrialStore, ctx: KoaContextWithOIDC): Promise<void> {
  const { params } = ctx.oidc;
  if (params?.redirect_uri !== trials.address) return;
  const trial = await findTrial(trials, String(params.state));
  if (!trial) throw trialIsOver();
  if (!isOwn(trial)) throw new errors.InvalidRedirectUri();
  Object.assign(ctx.state, { trial: runTrial(trial) });
}

/**
 * A trial as the engine's request carries it. The person may have opened the same client for themselves: the session's entry
 * stays theirs, and the engine finds this one wherever it asks the session for the trial's client.
 */
export function runTrial({ id, client_id, grant_id }: Pick<Trial, 'id' | 'client_id' | 'grant_id'>): RunningTrial {
  return { id, client_id, entry: { sid: id, ...(grant_id ? { grantId: grant_id } : {}) } };
}

/** What `claimEntry` does in a session's row, in the row of the trial that the request serves. */
export async function claimTrialEntry(
  db: Database,
  _uid: string,
  _client_id: string,
  from: string | undefined,
  { grantId: grant_id }: { sid: string; grantId: string },
): Promise<Authorization | undefined> {
  const trial = runningTrial();
  const held = trial && (await claimTrialGrant(db, trial.id, from, grant_id));
  return trial && held ? { sid: trial.id, grantId: held } : undefined;
}
