/** Linking: a person proves that a user name of an application is theirs, by that application's own password, once. */

import { type Application, findApplication } from '../applications.ts';
import { type AuditRequest, record } from '../audit.ts';
import { type Database, inTransaction, type Transaction } from '../database.ts';
import type { Jobs } from '../jobs.ts';
import type { Limits } from '../limits.ts';
import { findOrganisationOf } from '../organisations.ts';
import type { OutboundAnswer, OutboundCall } from '../outbound.ts';
import { tell } from './letters.ts';
import {
  addRequest,
  dropRequest,
  type Link,
  lineUp,
  listHolders,
  type ProvenName,
  takeName,
  writeLink,
} from './store.ts';
import { httpVerifier } from './verifiers/http.ts';

/** What an application said about a user name and its password. */
export type Verification =
  | { state: 'verified'; name: ProvenName }
  | { state: 'refused' }
  | { state: 'locked' }
  | { state: 'unavailable'; because: 'unreachable' | 'slow' | 'broken' };

/** What a verifier may use; nothing else leads out of the house. */
export interface VerifierTools {
  call(url: string, options: OutboundCall): Promise<OutboundAnswer>;
  /** A JWT of ours whose audience is `audience`, living one minute (RFC 7519). */
  signRequest(audience: string, claims: Record<string, unknown>): Promise<string>;
  /** Opens a secret of an application's settings, which stands sealed in them. */
  unseal(sealed: string): string;
}

/** A way to ask an application whether a typed user name and password fit. The password is forgotten with the call. */
export interface PasswordVerifier {
  kind: string;
  /** Asks; everything the application can do wrong is `unavailable`, never an exception. */
  verify(
    settings: Record<string, unknown>,
    credentials: { username: string; password: string },
    tools: VerifierTools,
  ): Promise<Verification>;
}

/** A way that sends the person to the application and takes the answer when the browser comes back. */
export interface RedirectVerifier {
  kind: string;
  /** The address to send the person to; `state` comes back with the answer. */
  begin(settings: Record<string, unknown>, state: string, callback: string, tools: VerifierTools): Promise<string>;
  /** Reads the answer that came back to the callback. */
  finish(
    settings: Record<string, unknown>,
    query: Record<string, string>,
    callback: string,
    tools: VerifierTools,
  ): Promise<Verification>;
}

/** The ways there are, by kind. */
export const password_verifiers: readonly PasswordVerifier[] = [httpVerifier];
export const redirect_verifiers: readonly RedirectVerifier[] = [];

/** What linking needs. */
export interface LinkStore {
  db: Database;
  jobs: Jobs;
  limits: Limits;
  tools: VerifierTools;
  /** Whom people turn to; stands in the mails. */
  support: string;
}

export type LinkOutcome =
  | { state: 'linked'; link: Link }
  /** Another person has the name; an officer of the agency decides. */
  | { state: 'held'; username: string }
  | { state: 'refused'; because: 'bad_credentials' | 'locked' }
  | { state: 'unavailable'; because: 'unreachable' | 'slow' | 'broken' | 'paused'; retry_after?: number }
  | { state: 'waiting'; retry_after: number }
  | { state: 'unsupported' };

/** Who asks for it, and from where. */
export interface LinkTry {
  account_id: string;
  application_id: string;
  username: string;
  password: string;
  request: AuditRequest;
}

/**
 * Verifies a user name and password at the application, there and then, and keeps the link. Tries are paid for before the
 * call, per person and per user name, so that nobody guesses an application's passwords through us. An application that
 * does not answer is left alone for a while: it cannot hold anybody up.
 */
export async function proveLink(store: LinkStore, attempt: LinkTry): Promise<LinkOutcome> {
  const application = await findApplication(store.db, attempt.application_id);
  const verifier = password_verifiers.find((candidate) => candidate.kind === application?.verifier);
  if (!application || !verifier) return { state: 'unsupported' };

  const { db, limits } = store;
  const name_key = [application.id, attempt.username.normalize('NFKC').trim().toLowerCase()];
  const paid: (() => Promise<void>)[] = [];
  // A try that no application answered was no guess: an outage keeps nobody from a user name of their own.
  const giveBack = async () => {
    for (const one of paid) await one();
  };
  for (const [limit, key] of [
    ['link_username', name_key],
    ['link_person', [attempt.account_id]],
  ] as const) {
    const spent = await limits.spend(db, limit, key);
    if (spent.state === 'refused') {
      await giveBack();
      return { state: 'waiting', retry_after: spent.retry_after };
    }
    paid.push(() => limits.giveBack(db, limit, key, spent.count));
  }
  const paused = await askBreaker(store, application.id);
  if (paused > 0) {
    await giveBack();
    return { state: 'unavailable', because: 'paused', retry_after: paused };
  }

  const { username, password } = attempt;
  const verification = await verifier.verify(application.verifier_settings, { username, password }, store.tools);
  if (verification.state === 'unavailable') {
    // An answer that makes no sense may be the fault of what was typed: it counts against the person, not the application.
    if (verification.because === 'broken') return { state: 'unavailable', because: 'broken' };
    await giveBack();
    if (paused === 0) await limits.spend(db, 'link_breaker', application.id);
    return { state: 'unavailable', because: verification.because };
  }
  // It answered: the line is sound, whatever it said.
  await limits.forget(db, 'link_breaker', application.id);
  if (verification.state !== 'verified')
    return refuse(store, attempt, verification.state === 'locked' ? 'locked' : 'bad_credentials');

  const outcome = await keepLink(store, attempt, application, verification.name);
  await giveBack();
  await limits.forget(db, 'link_username', name_key);
  return outcome;
}

/**
 * Whether an application may be called now. Only calls without an answer count; once they are too many, it is left alone for
 * a while and then tried again by one at a time, who pays before the call.
 * @returns seconds to wait; 0 to call; less than 0 to call as the one who tries again
 */
async function askBreaker({ db, limits }: LinkStore, application_id: string): Promise<number> {
  const { is_used_up, retry_after } = await limits.look(db, 'link_breaker', application_id);
  if (retry_after > 0) return retry_after;
  if (!is_used_up) return 0;
  const probe = await limits.spend(db, 'link_breaker', application_id);
  return probe.state === 'refused' ? probe.retry_after : -1;
}

async function refuse(
  { db }: LinkStore,
  attempt: LinkTry,
  because: 'bad_credentials' | 'locked',
): Promise<LinkOutcome> {
  const { account_id, application_id, request } = attempt;
  await inTransaction(db, (tx) =>
    record(tx, { kind: 'link_refused', account_id, detail: { application: application_id, because }, request }),
  );
  return { state: 'refused', because };
}

async function keepLink(
  store: LinkStore,
  attempt: LinkTry,
  application: Application,
  name: ProvenName,
): Promise<LinkOutcome> {
  const { account_id, request } = attempt;
  return inTransaction(store.db, async (tx) => {
    await lineUp(tx, account_id, application.id);
    // What is linked to a person already is not another's, however the application's policy of sharing changed since.
    const is_theirs =
      (await listHolders(tx, application.id, name.subject)).includes(account_id) ||
      (await takeName(tx, application.id, name.subject, await holderOf(tx, account_id, application)));
    if (!is_theirs) {
      if (await addRequest(tx, account_id, application.id, name)) {
        await record(tx, { kind: 'link_requested', account_id, detail: { application: application.id }, request });
        await tell(store, tx, account_id, 'link_requested_claimant', application.name, name.username);
        for (const holder of await listHolders(tx, application.id, name.subject)) {
          await tell(store, tx, holder, 'link_requested_holder', application.name, name.username);
        }
      }
      return { state: 'held', username: name.username };
    }
    const link = await writeLink(tx, account_id, application.id, name);
    await dropRequest(tx, account_id, application.id, name.subject);
    await record(tx, {
      kind: 'link_added',
      account_id,
      detail: { application: application.id, renewed: !link.is_new },
      request,
    });
    if (link.is_new) await tell(store, tx, account_id, 'link_added', application.name, link.username);
    return { state: 'linked', link };
  });
}

/** Who holds a name: the person, or the organisation where the application lets its people share. */
async function holderOf(tx: Transaction, account_id: string, { sharing }: Application): Promise<string> {
  if (sharing === 'one_person') return account_id;
  return (await findOrganisationOf(tx, account_id))?.id ?? account_id;
}
