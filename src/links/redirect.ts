/** Proving by way of the application itself: the person is sent there, and what comes back is taken once, from the same browser. */

import { type Application, findApplication } from '../applications/application.ts';
import { record } from '../audit/audit.ts';
import { open, seal } from '../crypto.ts';
import { inTransaction } from '../database.ts';
import { issueProof, type SpendOutcome, spendProof } from '../proofs.ts';
import { askApplication, type Claimant, payForTry, settle } from './keep.ts';
import type { LinkOutcome, LinkStore, RedirectVerifier, Unavailable } from './link.ts';

/** Who sets out, and from where. */
export interface Departure extends Claimant {
  application_id: string;
  /** The browser's session: no other may come back. */
  session_uid: string;
  /** The prompt's interaction that this serves, if it does. */
  interaction?: string;
  /** The applications whose turn it is afterwards. */
  next?: string[];
}

export type BeginOutcome =
  | { state: 'begun'; address: string }
  | Exclude<LinkOutcome, { state: 'linked' | 'held' | 'refused' }>;

/**
 * Sends a person to the application: a proof is issued whose token is the `state`, bound to the person, the application and the
 * browser (RFC 9700 section 4.7). The try is paid for here, and given back when it ends in a link.
 */
export async function beginRedirect(store: LinkStore, departure: Departure): Promise<BeginOutcome> {
  const { account_id, application_id, session_uid, next = [] } = departure;
  const [application, verifier] = await findRedirect(store, application_id);
  if (!application || !verifier) return { state: 'unsupported' };
  const paid = await payForTry(store, [['link_person', [account_id]]]);
  if (paid.state !== 'paid') return paid;

  // Only looked at: setting out may need no call, so it says nothing of the line.
  const { db, limits } = store;
  const { retry_after } = await limits.look(db, 'link_breaker', application.id);
  if (retry_after > 0) {
    await paid.giveBack();
    return { state: 'unavailable', because: 'paused', retry_after };
  }

  const { verifier_settings } = application;
  const proof = await inTransaction(db, (tx) =>
    issueProof(tx, store.keys, {
      purpose: 'link_callback',
      subject: account_id,
      target: application.id,
      browser: session_uid,
      detail: {
        kind: verifier.kind,
        next,
        tries: paid.counts[0],
        ...(departure.interaction && { interaction: sealInteraction(store, departure, departure.interaction) }),
      },
    }),
  );
  const begun = await verifier.begin(verifier_settings, proof.secret, callbackOf(store, verifier.kind), store.tools);
  if (begun.state === 'begun') return leadsThere(begun.address, verifier.origins(verifier_settings)) ? begun : broken;
  await paid.giveBack();
  if (begun.because !== 'broken') await limits.spend(db, 'link_breaker', application.id);
  return begun;
}

/** Where a form that begins it may lead, for the page's `form-action`. */
export async function listOrigins(store: LinkStore, application_id: string): Promise<string[]> {
  const [application, verifier] = await findRedirect(store, application_id);
  return application && verifier ? verifier.origins(application.verifier_settings) : [];
}

/** Who came back, with what. */
export interface Return extends Claimant {
  kind: string;
  session_uid: string;
  /** Without `state`. */
  query: Record<string, string>;
  state: string;
}

export type ReturnOutcome =
  /** Of another person or browser, used, or too late: nothing of it may be said, and nothing was asked. */
  | { state: 'over' }
  | { state: 'back'; outcome: LinkOutcome; application: Application; interaction: string | undefined; next: string[] };

/** Takes what came back: the proof is spent first, so that one answer is looked at once; then as with a password. */
export async function finishRedirect(
  store: LinkStore,
  { state, kind, query, ...back }: Return,
): Promise<ReturnOutcome> {
  const { account_id, session_uid, request } = back;
  const spent = await spendProof(store.db, store.keys, {
    purpose: 'link_callback',
    secret: state,
    subject: account_id,
    browser: session_uid,
  });
  if (spent.state !== 'spent') return refuse(store, back, spent);
  const { target, detail } = spent.proof;
  const [application, verifier] = await findRedirect(store, target);
  if (!application || verifier?.kind !== kind || detail.kind !== kind) return { state: 'over' };

  const { tries, next, interaction } = detail as { tries: number; next: string[]; interaction?: string };
  const giveBack = () => store.limits.giveBack(store.db, 'link_person', [account_id], tries);
  const answer = await askApplication(store, application.id, giveBack, () =>
    verifier.finish(application.verifier_settings, query, callbackOf(store, kind), store.tools),
  );
  const outcome =
    answer.state === 'unavailable'
      ? answer
      : await settle(store, { account_id, request }, application, answer, 'declined');
  if (answer.state === 'verified') await giveBack();
  const uid = interaction && open(store.keys, interaction, contextOf(account_id, application.id));
  return { state: 'back', outcome, application, interaction: uid, next };
}

/** Only where the proof is known is there somebody whom it concerns. */
async function refuse(
  { db }: LinkStore,
  { account_id, request }: Claimant,
  spent: Exclude<SpendOutcome, { state: 'spent' }>,
): Promise<ReturnOutcome> {
  if (spent.subject) {
    const because = spent.state === 'wrong' ? 'elsewhere' : spent.because;
    await inTransaction(db, (tx) =>
      record(tx, {
        kind: 'link_refused',
        account_id: spent.subject,
        actor_id: account_id === spent.subject ? null : account_id,
        detail: { because },
        request,
      }),
    );
  }
  return { state: 'over' };
}

async function findRedirect(
  { db, verifiers }: LinkStore,
  application_id: string,
): Promise<[Application | undefined, RedirectVerifier | undefined]> {
  const application = await findApplication(db, application_id);
  return [application, verifiers.redirect.find(({ kind }) => kind === application?.verifier)];
}

function callbackOf({ url }: LinkStore, kind: string): string {
  return `${url}/portal/links/callback/${kind}`;
}

const broken: Unavailable = { state: 'unavailable', because: 'broken' };

/** An application's answer may send people to the application, and nowhere else. */
function leadsThere(address: string, origins: string[]): boolean {
  const url = URL.parse(address);
  return url !== null && url.origin !== 'null' && origins.includes(url.origin);
}

// The id of an interaction opens it together with its cookie: like every such id it stands in no table as it is.
function sealInteraction({ keys: [key] }: LinkStore, { account_id, application_id }: Departure, uid: string): string {
  if (!key) throw new Error('a proof needs a key');
  return seal(key, uid, contextOf(account_id, application_id));
}

const contextOf = (account_id: string, application_id: string) =>
  `proofs.detail.interaction ${account_id} ${application_id}`;
