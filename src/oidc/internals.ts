/** The one file that reaches into the engine: what it changes there, and a check at start that all of it is still there. */

import type { JWK } from 'jose';
import { type KoaContextWithOIDC, Provider } from 'oidc-provider';
import userinfo from 'oidc-provider/lib/actions/userinfo.js';
import als from 'oidc-provider/lib/helpers/als.js';
import initializeKeystore from 'oidc-provider/lib/helpers/initialize_keystore.js';
import instance from 'oidc-provider/lib/helpers/weak_cache.js';
import type { AuditRequest } from '../audit/audit.ts';
import { nowSeconds } from '../clock.ts';
import type { Authorization } from '../tables.ts';
import type { RecordStore } from './records/store.ts';
import { insertReplayMarker } from './records/write.ts';

/** What the store needs to know of the request that the engine is answering. */
export interface RequestOfEngine {
  /** The client whose entry in the session this request may write. */
  client_id: string | undefined;
  /** The request signs somebody in, so it may write who. */
  signs_in: boolean;
  /** The request is one of the sign-out routes, so it may write the sign-out's state. */
  ends_session: boolean;
  /** The request takes its client's entry out of the session. */
  leaves_client: boolean;
  /** The request ends the whole session, and with it all grants in one transaction. */
  signs_out: boolean;
  /** Who sent it, for the audit. */
  sent_by: AuditRequest | undefined;
}

/** The engine's request in progress, from its own context; undefined outside of one. */
export function requestOfEngine(): RequestOfEngine | undefined {
  const { ctx } = Provider;
  const oidc = ctx?.oidc;
  if (!ctx || !oidc) return undefined;
  const { address, request_id } = ctx.state as { address?: string; request_id?: string };
  const result = oidc.result as { login?: unknown } | undefined;
  return {
    // A trial has no entry there.
    client_id: runningTrial() ? undefined : oidc.client?.clientId,
    signs_in: result?.login !== undefined,
    ends_session: oidc.route.startsWith('end_session'),
    leaves_client: oidc.route === 'end_session_confirm',
    signs_out: oidc.route === 'end_session_confirm' && Boolean(oidc.params?.logout),
    sent_by:
      address && request_id ? { address, request_id, user_agent: ctx.get('user-agent') || undefined } : undefined,
  };
}

/** The trial that a request serves. Its grant stands in an entry of its own, so that the person's real one stays as it is. */
export interface RunningTrial {
  id: string;
  client_id: string;
  entry: Authorization;
}

/** The trial that the engine's request in progress serves. */
export function runningTrial(): RunningTrial | undefined {
  return (Provider.ctx?.state as { trial?: RunningTrial } | undefined)?.trial;
}

interface Model {
  // biome-ignore lint/suspicious/noExplicitAny: the engine's own classes are described nowhere
  prototype: any;
  name: string;
}

interface Carrier {
  generation?: number | undefined;
  trial?: string | undefined;
}

/** What a sign-in's result says of the browser: to be remembered, or as it was before. */
interface Remembering {
  remember?: boolean;
  is_again?: boolean;
}

/**
 * Teaches the engine's models what Gapura adds: the generation on sessions, grants, codes and tokens, each inherited from
 * the one before it; the directorate on the grant; the mark of a trial; a session that is merged instead of replaced;
 * replay markers that insert or fail. Called once, right after the engine is made and before it answers anything.
 */
export function extendModels(provider: Provider, store: RecordStore): void {
  keepFields(provider.Session, ['generation', 'stored', 'opened', 'renewed', 'remembered', 'unseen', 'password_due']);
  keepFields(provider.Grant, ['generation', 'directorate', 'trial']);
  keepFields(provider.PushedAuthorizationRequest, ['trial']);
  inheritMarks(provider.Grant);
  for (const token of [provider.AuthorizationCode, provider.AccessToken, provider.RefreshToken, provider.DeviceCode]) {
    keepFields(token, ['generation', 'trial']);
    inheritMarks(token);
  }
  extendSession(provider);
  replaceReplayDetection(provider, store);
}

/** Adds fields to those that a model stores (its IN_PAYLOAD, read once per class on first use). */
function keepFields(model: unknown, fields: string[]): void {
  const getter = Object.getOwnPropertyDescriptor(model, 'IN_PAYLOAD')?.get;
  if (!getter) throw new Error(`the engine changed: ${(model as Model).name}.IN_PAYLOAD is gone`);
  Object.defineProperty(model, 'IN_PAYLOAD', { configurable: true, get: () => [...getter.call(model), ...fields] });
}

/** A code or token takes the generation of the grant it is made under, which the engine has loaded by then. */
function inheritMarks(model: unknown): void {
  const { prototype, name } = model as Model;
  const save = prototype.save;
  if (typeof save !== 'function') throw new Error(`the engine changed: ${name}.save is gone`);
  prototype.save = function (this: Carrier) {
    if (name !== 'Grant') this.generation ??= (Provider.ctx?.oidc.entities.Grant as Carrier | undefined)?.generation;
    const trial = runningTrial();
    if (trial) this.trial = trial.id;
    return save.call(this);
  };
}

function extendSession(provider: Provider): void {
  const { prototype } = provider.Session as unknown as Model;
  const { loginAccount, save, authorizationFor } = prototype;
  for (const method of ['loginAccount', 'save', 'resetIdentifier', 'destroy', 'authorizationFor']) {
    if (typeof prototype[method] !== 'function') throw new Error(`the engine changed: Session.${method} is gone`);
  }

  // The number comes with the sign-in's result, as it was read together with the password's hash.
  prototype.loginAccount = function (details: unknown) {
    // A row of nobody is never taken over: two people who sign in over it at once would share one session.
    if (this.stored && !this.accountId) {
      this.uid = freshSessionId(provider);
      this.stored = undefined;
      this.authorizations = undefined;
    }
    const is_same = this.stored && this.accountId === (details as { accountId?: string }).accountId;
    loginAccount.call(this, details);
    const result = Provider.ctx?.oidc.entities.Interaction?.result as { login?: Carrier & Remembering } | undefined;
    const { generation, remember, is_again } = result?.login ?? {};
    // Who only proved once more to be there was not asked whether to be remembered.
    this.remembered = remember === true || Boolean(is_again && is_same && this.remembered);
    this.transient = !this.remembered;
    // The result of a sign-in is played again at every later prompt; the person may have changed the password since, here.
    this.generation = is_same ? Math.max(this.generation ?? 0, generation ?? 0) : generation;
    this.password_due = undefined;
  };

  // The engine would delete the row and write another; the row stays, keyed by uid, and only its cookie's id changes. After
  // an answer that signed nobody in it stays as well: two tabs that choose at once would leave the browser with a dead one.
  prototype.resetIdentifier = function () {
    const { route, result } = Provider.ctx?.oidc ?? {};
    if (route?.endsWith('resume') && !(result as { login?: unknown } | undefined)?.login) return;
    this.id = freshSessionId(provider);
    this.renewed = true;
  };

  prototype.authorizationFor = function (client_id: string, value: unknown) {
    const trial = runningTrial();
    return trial?.client_id === client_id ? trial.entry : authorizationFor.call(this, client_id, value);
  };

  prototype.save = async function (ttl: number) {
    try {
      const value = await save.call(this, ttl);
      this.stored = true;
      this.renewed = undefined;
      return value;
    } finally {
      // Also after a failure: the engine would try the same write a second time, outside of its error pages.
      this.touched = false;
    }
  };
}

/** A session id as the engine makes its own: a new instance has one. */
function freshSessionId(provider: Provider): string {
  const { jti } = new (provider.Session as unknown as new () => { jti: string })();
  if (typeof jti !== 'string' || jti.length < 21) throw new Error('the engine changed: a session has no id');
  return jti;
}

/** The engine looks first and writes then; two at once would both pass. */
function replaceReplayDetection(provider: Provider, store: RecordStore): void {
  const model = provider.ReplayDetection as unknown as {
    unique: (iss: string, jti: string, exp: number) => Promise<boolean>;
  };
  if (typeof model.unique !== 'function') throw new Error('the engine changed: ReplayDetection.unique is gone');
  model.unique = async (iss, jti, exp) => insertReplayMarker(store, JSON.stringify([iss, jti]), exp - nowSeconds());
}

type LogoutSender = (client: object, subject: string, sid: string | undefined) => Promise<void>;

const senders = new WeakMap<Provider, LogoutSender>();

/**
 * Takes the sending of back-channel logouts out of the request. Where the whole session ends, its row's transaction has
 * put them into the queue (a failure there fails the sign-out); where a person leaves one application only, `notify` does.
 */
export function replaceBackchannelLogout(
  provider: Provider,
  notify: (client_id: string, subject: string, sid: string) => Promise<void>,
): void {
  const { prototype } = provider.Client as unknown as Model;
  const original = prototype.backchannelLogout;
  if (typeof original !== 'function') throw new Error('the engine changed: Client.backchannelLogout is gone');
  senders.set(provider, (client, subject, sid) => original.call(client, subject, sid));
  prototype.backchannelLogout = async function (this: { clientId: string }, subject: string, sid: string) {
    if (Provider.ctx?.oidc.params?.logout) return;
    await notify(this.clientId, subject, sid);
  };
}

/** The engine's own way to mint and send a logout token, for the worker. */
export function logoutSender(provider: Provider): LogoutSender {
  const sender = senders.get(provider);
  if (!sender) throw new Error('replaceBackchannelLogout was not called');
  return sender;
}

/**
 * Puts other keys into a running engine. Nothing in it waits, so every request finds the old set or the new one, and one that is
 * signing or verifying goes on with what it has.
 */
export function replaceKeys(provider: Provider, keys: JWK[]): void {
  initializeKeystore.call(provider, { keys });
  const { jwks, keystore } = instance(provider);
  const is_taken = [jwks.keys, [...keystore]].every((taken) => taken.every(({ kid }, at) => kid === keys[at]?.kid));
  if (!is_taken || jwks.keys.length !== keys.length) throw new Error('the engine changed: it does not take other keys');
}

/** How the engine writes the cookie of a session. */
export function sessionCookie(provider: Provider) {
  return instance(provider).configuration.cookies.long;
}

/** The engine's own steps, for requests that come over no wire (oidc/trial/in-process.ts). */
export function engineSteps(provider: Provider) {
  const { grantTypeHandlers, configuration, jwks, DPoPNonces } = instance(provider);
  return {
    /** The handler of a grant, behind the client's authentication. */
    grant: (type: string) => grantTypeHandlers.get(type),
    userinfo,
    /** The keys as they are published. */
    jwks,
    scopes: configuration.scopes,
    claims: configuration.claimsSupported,
    dpopNonce: () => DPoPNonces?.nextChallenge(),
    /** Works as the engine does while it answers `ctx`. */
    answering: <T>(ctx: KoaContextWithOIDC, work: () => Promise<T>): Promise<T> => als.run(ctx, work),
  };
}
