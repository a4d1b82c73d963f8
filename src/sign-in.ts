/** The sign-in as a row: begun for an interaction, decided by the password, done; and the browsers a person is known in. */

import { browserKey, hashBrowser, rememberBrowser } from './accounts/browsers.ts';
import { canonicalise } from './accounts/identifiers.ts';
import { hashPassword, verifyPassword } from './accounts/password.ts';
import { strengthenPassword } from './accounts/password-store.ts';
import { findSignIn, writeSignIn } from './accounts/sign-ins.ts';
import { type AccountForSignIn, findAccountForSignIn } from './accounts/store.ts';
import { type AuditRequest, eventValues, record } from './audit/audit.ts';
import { nowSeconds } from './clock.ts';
import type { Config } from './config.ts';
import { keyedDigest, randomToken } from './crypto.ts';
import { type Database, inTransaction, type Transaction } from './database.ts';
import {
  type AnswerOutcome,
  answerCheck,
  type CheckAnswer,
  type CheckKeys,
  failuresWithoutCheck,
  mustCheck,
  openCheckKeys,
} from './human-check/human-check.ts';
import type { Lane, Limits, PaidLane } from './limits/limits.ts';
import { policy } from './policy/policy.ts';

/** What signing in needs: the database, its limits, and the key that hashes what browsers hold. */
export interface SignInStore {
  db: Database;
  limits: Limits;
  key: Buffer;
  checks: CheckKeys;
  /** Tells the person of a sign-in in a browser that was not known before, in the sign-in's transaction. */
  tellOfBrowser: TellOfBrowser;
}

/** The recovery's part in a sign-in, handed in: its notices lead to where an account is frozen. */
export type TellOfBrowser = (tx: Transaction, news: { account_id: string; request: AuditRequest }) => Promise<void>;

/** One try: what was typed, for which interaction of which client, from which browser. */
export interface PasswordTry {
  interaction: string;
  client_id: string;
  identifier: string;
  password: string;
  /** The value of the browser's cookie, if it has one. */
  browser: string | undefined;
  /** What came back for a human check, if the page had one. */
  answer?: CheckAnswer;
  request: AuditRequest;
}

/** What the engine is told of a finished sign-in; `generation` is the one read together with the password's hash. */
export interface SignedIn {
  accountId: string;
  generation: number;
  /** Seconds since the epoch. */
  ts: number;
  amr: string[];
  acr: string;
}

export type SignInOutcome =
  | { state: 'done'; login: SignedIn; browser: string }
  | {
      state: 'refused';
      because: 'bad_credentials' | 'finished' | 'locked' | 'disabled' | 'frozen' | 'dormant' | 'revoked' | 'expired';
      /** The next try must come with an answer to a human check. */
      must_check: boolean;
    }
  /** It had to come with an answer to a human check; the password was not looked at. */
  | { state: 'unchecked'; because: Exclude<AnswerOutcome['state'], 'right'> }
  | { state: 'waiting'; retry_after: number };

export function openSignIns(
  parts: Pick<SignInStore, 'db' | 'limits' | 'tellOfBrowser'>,
  config: Pick<Config, 'secrets'>,
): SignInStore {
  return { ...parts, key: browserKey(config), checks: openCheckKeys(config) };
}

/**
 * Decides a typed password. A try is paid for before the hash, so that parallel tries cannot pass a limit together; where
 * the limit refuses, nothing is hashed and nothing is told. After some failures a try without the answer to a human check
 * is held: it costs no hash, and it prolongs nobody's wait. An unknown name costs the same statements and the same hash.
 * @throws QueueFull when too many passwords are being hashed
 */
export async function submitPassword(store: SignInStore, attempt: PasswordTry): Promise<SignInOutcome> {
  const canonical = canonicalise(attempt.identifier);
  const browser_hash = attempt.browser ? hashBrowser(store.key, attempt.browser) : undefined;
  const account = await findAccountForSignIn(store.db, canonical, browser_hash);
  const checked = attempt.answer ? (await answerCheck(store.db, store.checks, attempt.answer)).state : 'missing';

  const counters = lanesOf(account, canonical, browser_hash, attempt);
  const most = checked === 'right' ? undefined : failuresWithoutCheck;
  const paid = await store.limits.pay(store.db, counters, most);
  if (paid.state === 'refused') return { state: 'waiting', retry_after: paid.retry_after };
  if (paid.state === 'held') return { state: 'unchecked', because: checked === 'right' ? 'missing' : checked };
  const { lanes } = paid;

  const { fits, is_old } = await verifyPassword(account?.hash, attempt.password).catch(async (error) => {
    // Nothing was tried when the line for hashing was full: whoever comes again as told has lost nothing.
    await store.limits.settle(
      store.db,
      lanes.map((lane) => ({ ...lane, is_shared: true })),
    );
    throw error;
  });
  if (!account || !fits) return refuse(store, attempt, account, 'bad_credentials', lanes);
  const closed = account.locks[0] ?? (account.expired ? 'expired' : undefined);
  if (closed) return refuse(store, attempt, account, closed, lanes);

  if (is_old && account.hash)
    await strengthenPassword(store.db, account.id, account.hash, await hashPassword(attempt.password));
  return finish(store, attempt, account, lanes, browser_hash);
}

/** Whether the page already asks whoever comes from an address, before a name is typed. */
export function mustCheckAddress({ db, limits }: SignInStore, address: string): Promise<boolean> {
  return mustCheck(db, limits, [laneOf(address)]);
}

function laneOf(address: string): Lane {
  return { limit: 'sign_in_address', key: [address], is_shared: true };
}

/**
 * Which counters a try pays. A browser in which this person signed in before has a lane of its own, which the failures
 * of strangers never fill; everybody else pays for the account (or the name nobody has), the address, and the pair.
 */
function lanesOf(
  account: AccountForSignIn | undefined,
  canonical: string,
  browser_hash: Buffer | undefined,
  attempt: PasswordTry,
): Lane[] {
  if (account?.knows_browser && browser_hash) {
    return [{ limit: 'sign_in_browser', key: [account.id, browser_hash.toString('base64url')], is_shared: false }];
  }
  // By the name as typed, never by whose it is: counters that were shared would tell which names belong together.
  const who = `name ${canonical}`;
  const { address } = attempt.request;
  return [
    laneOf(address),
    { limit: 'sign_in_pair', key: [address, who], is_shared: false },
    { limit: 'sign_in_account', key: [who], is_shared: false },
  ];
}

type Reason = Extract<SignInOutcome, { state: 'refused' }>['because'];

async function refuse(
  { db }: SignInStore,
  { client_id, request }: PasswordTry,
  account: AccountForSignIn | undefined,
  because: Reason,
  lanes: PaidLane[],
): Promise<SignInOutcome> {
  // The typed name is not written down: people type their password into the wrong field.
  await inTransaction(db, (tx) =>
    record(tx, {
      kind: 'sign_in_refused',
      account_id: account?.id ?? null,
      client_id,
      detail: { because, known: account !== undefined },
      request,
    }),
  );
  return { state: 'refused', because, must_check: isWatched(lanes) };
}

function isWatched(lanes: PaidLane[]): boolean {
  return lanes.some((lane) => lane.tries >= failuresWithoutCheck(lane));
}

/**
 * Writes down that the sign-in is done. The row of an interaction is done once; the same person's second click on the
 * button gets the same answer, and the engine resumes the interaction only once whichever click it follows.
 */
async function finish(
  store: SignInStore,
  attempt: PasswordTry,
  account: AccountForSignIn,
  lanes: PaidLane[],
  browser_hash: Buffer | undefined,
): Promise<SignInOutcome> {
  const amr = ['pwd'];
  const browser = account.knows_browser && attempt.browser ? attempt.browser : randomToken();
  const hash = account.knows_browser && browser_hash ? browser_hash : hashBrowser(store.key, browser);
  const interaction_hash = keyedDigest(store.key, `interaction\0${attempt.interaction}`);
  const event = eventValues({
    kind: 'sign_in',
    account_id: account.id,
    client_id: attempt.client_id,
    detail: { amr: amr.join(' ') },
    request: attempt.request,
  });
  const done = {
    ...event,
    interaction_hash,
    client_id: attempt.client_id,
    account_id: account.id,
    generation: account.generation,
    amr,
    seconds: policy('interaction.memory'),
    browser_hash: hash,
  };
  const is_news = account.has_signed_in && !account.knows_browser;
  const write = async (db: Database) => (await writeSignIn(db, done)).rows.length > 0;
  const is_first = is_news
    ? await inTransaction(store.db, async (tx) => {
        const is_written = await write(tx);
        if (is_written) await store.tellOfBrowser(tx, { account_id: account.id, request: attempt.request });
        return is_written;
      })
    : await write(store.db);
  const whose = is_first ? account.id : await findSignIn(store.db, interaction_hash);
  // The interaction was somebody else's a moment ago; whoever is second begins anew.
  if (whose !== account.id) return { state: 'refused', because: 'finished', must_check: isWatched(lanes) };
  // The second click comes from the same person's other tab, which has a cookie of its own.
  if (!is_first) await inTransaction(store.db, (tx) => rememberBrowser(tx, account.id, hash));
  await store.limits.settle(store.db, lanes);
  const login = {
    accountId: account.id,
    generation: account.generation,
    ts: nowSeconds(),
    amr,
    acr: 'urn:gapura:acr:password',
  };
  return { state: 'done', login, browser };
}
