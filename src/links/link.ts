/** Linking: a person proves that a user name of an application is theirs, at that application, once. */

import type { z } from 'zod';
import { type Application, findApplication } from '../applications/application.ts';
import type { Database } from '../database.ts';
import type { Jobs } from '../jobs.ts';
import type { Limits } from '../limits/limits.ts';
import type { OutboundAnswer, OutboundCall } from '../outbound.ts';
import { askApplication, type Claimant, payForTry, settle } from './keep.ts';
import type { Link, ProvenName } from './store.ts';
import { httpVerifier } from './verifiers/http.ts';

/** An application that did not answer, or not with anything that can be read. */
export interface Unavailable {
  state: 'unavailable';
  because: 'unreachable' | 'slow' | 'broken';
  /** What exactly was wrong, for the application's programmer: a few technical words, nothing that was typed or answered. */
  reason?: string;
}

/** What an application said about a user name. */
export type Verification =
  | { state: 'verified'; name: ProvenName }
  | { state: 'refused' }
  | { state: 'locked' }
  | Unavailable;

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
  /** What its settings must look like when they are saved; from it the console draws their form. */
  settings: z.ZodObject;
  /**
   * Asks; everything the application can do wrong is `unavailable`, never an exception, and so are settings that another
   * release has stored.
   */
  verify(
    settings: Record<string, unknown>,
    credentials: { username: string; password: string },
    tools: VerifierTools,
  ): Promise<Verification>;
}

/** A way that sends the person to the application and takes the answer when the browser comes back (links/redirect.ts). */
export interface RedirectVerifier {
  kind: string;
  /** As a PasswordVerifier's. */
  settings: z.ZodObject;
  /** The origins that a person may be sent to: the form that begins it may lead there and nowhere else. */
  origins(settings: Record<string, unknown>): string[];
  /** The address to send the person to; `state` comes back with the answer, by GET at `callback`. */
  begin(
    settings: Record<string, unknown>,
    state: string,
    callback: string,
    tools: VerifierTools,
  ): Promise<{ state: 'begun'; address: string } | Unavailable>;
  /**
   * Reads what came back to the callback, without its `state`, and asks the application whose user name it is: what a browser
   * brings proves nothing by itself. A person who said no there is `refused`; what the application does wrong, `unavailable`.
   */
  finish(
    settings: Record<string, unknown>,
    query: Record<string, string>,
    callback: string,
    tools: VerifierTools,
  ): Promise<Verification>;
}

/** The ways there are, by kind. */
export interface Verifiers {
  password: readonly PasswordVerifier[];
  redirect: readonly RedirectVerifier[];
}

/** The ways that Gapura brings along. */
export const verifiers: Verifiers = { password: [httpVerifier], redirect: [] };

/** How links to an application are made, if they can be. */
export function findWay(
  { verifiers }: LinkStore,
  application: Application | undefined,
): 'password' | 'redirect' | undefined {
  if (!application || !isSetUp(application)) return undefined;
  const is_its = ({ kind }: { kind: string }) => kind === application.verifier;
  if (verifiers.password.some(is_its)) return 'password';
  return verifiers.redirect.some(is_its) ? 'redirect' : undefined;
}

/** Whether somebody has given the verifier its settings since it was chosen. */
function isSetUp({ verifier_settings }: Application): boolean {
  return Object.keys(verifier_settings).length > 0;
}

/** What linking needs. */
export interface LinkStore {
  db: Database;
  jobs: Jobs;
  limits: Limits;
  tools: VerifierTools;
  verifiers: Verifiers;
  /** The keys of proofs. */
  keys: Buffer[];
  /** Seals a secret of an application's settings, so that `tools.unseal` opens it. */
  seal(secret: string): string;
  /** Gapura's own address, to which applications send people back. */
  url: string;
  /** Whom people turn to; stands in the mails. */
  support: string;
}

/** The application said no; `declined` where the person was sent there and came back without a yes. */
export interface Refused {
  state: 'refused';
  because: 'bad_credentials' | 'declined' | 'locked';
}

export type LinkOutcome =
  | { state: 'linked'; link: Link }
  /** Another person has the name; an officer of the agency decides. */
  | { state: 'held'; username: string }
  | Refused
  | { state: 'unavailable'; because: Unavailable['because'] | 'paused'; retry_after?: number }
  | { state: 'waiting'; retry_after: number }
  | { state: 'unsupported' };

/** What was typed, by whom, and from where. */
export interface LinkTry extends Claimant {
  application_id: string;
  username: string;
  password: string;
}

/**
 * Verifies a user name and password at the application, there and then, and keeps the link. Tries are paid for before the
 * call, per person and per user name, so that nobody guesses an application's passwords through us. An application that
 * does not answer is left alone for a while: it cannot hold anybody up.
 */
export async function proveLink(store: LinkStore, attempt: LinkTry): Promise<LinkOutcome> {
  const application = await findApplication(store.db, attempt.application_id);
  const verifier = store.verifiers.password.find(({ kind }) => kind === application?.verifier);
  if (!application || !verifier || !isSetUp(application)) return { state: 'unsupported' };

  const { username, password } = attempt;
  const name_key = [application.id, username.normalize('NFKC').trim().toLowerCase()];
  const paid = await payForTry(store, [
    ['link_username', name_key],
    ['link_person', [attempt.account_id]],
  ]);
  if (paid.state !== 'paid') return paid;
  const answer = await askApplication(store, application.id, paid.giveBack, () =>
    verifier.verify(application.verifier_settings, { username, password }, store.tools),
  );
  if (answer.state === 'unavailable') return answer;
  const outcome = await settle(store, attempt, application, answer, 'bad_credentials');
  if (answer.state === 'verified') {
    await paid.giveBack();
    await store.limits.forget(store.db, 'link_username', name_key);
  }
  return outcome;
}
