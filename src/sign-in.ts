/** The sign-in as a row: begun for an interaction, decided by the password, done; and the browsers a person is known in. */

import { sql } from 'kysely';
import { canonicalise } from './accounts/identifiers.ts';
import { hashPassword, verifyPassword } from './accounts/password.ts';
import { type AccountForSignIn, findAccountForSignIn, strengthenPassword } from './accounts/store.ts';
import { type AuditRequest, record } from './audit.ts';
import { nowSeconds } from './clock.ts';
import type { Config } from './config.ts';
import { deriveKey, keyedDigest, randomToken, type Secret } from './crypto.ts';
import { type Database, inTransaction, type Transaction } from './database.ts';
import type { LimitName, Limits } from './limits.ts';
import { policy } from './policy.ts';

/** What signing in needs: the database, its limits, and the key that hashes what browsers hold. */
export interface SignInStore {
  db: Database;
  limits: Limits;
  key: Buffer;
}

/** One try: what was typed, for which interaction of which client, from which browser. */
export interface PasswordTry {
  interaction: string;
  client_id: string;
  identifier: string;
  password: string;
  /** The value of the browser's cookie, if it has one. */
  browser: string | undefined;
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
    }
  | { state: 'waiting'; retry_after: number };

export function openSignIns(db: Database, limits: Limits, config: Pick<Config, 'secrets'>): SignInStore {
  return { db, limits, key: deriveKey(config.secrets[0] as Secret, 'sign-ins') };
}

/**
 * Decides a typed password. A try is paid for before the hash, so that parallel tries cannot pass a limit together; where
 * the limit refuses, nothing is hashed and nothing is told. An unknown name costs the same statements and the same hash.
 * @throws QueueFull when too many passwords are being hashed
 */
export async function submitPassword(store: SignInStore, attempt: PasswordTry): Promise<SignInOutcome> {
  const canonical = canonicalise(attempt.identifier);
  const browser_hash = attempt.browser ? keyedDigest(store.key, `browser\0${attempt.browser}`) : undefined;
  const account = await findAccountForSignIn(store.db, canonical, browser_hash);
  const lanes = lanesOf(account, canonical, browser_hash, attempt);

  const retry_after = await spendAll(store, lanes);
  if (retry_after > 0) return { state: 'waiting', retry_after };

  const { fits, is_old } = await verifyPassword(account?.hash, attempt.password).catch(async (error) => {
    // Nothing was tried when the line for hashing was full: whoever comes again as told has lost nothing.
    for (const { limit, key, tries } of lanes) await store.limits.giveBack(store.db, limit, key, tries);
    throw error;
  });
  if (!account || !fits) return refuse(store, attempt, account, 'bad_credentials');
  const closed = account.locks[0] ?? (account.expired ? 'expired' : undefined);
  if (closed) return refuse(store, attempt, account, closed);

  if (is_old && account.hash)
    await strengthenPassword(store.db, account.id, account.hash, await hashPassword(attempt.password));
  return finish(store, attempt, account, lanes, browser_hash);
}

interface Lane {
  limit: LimitName;
  key: string[];
  /** Shared with others, whose failures still count after this person's success. */
  is_shared: boolean;
  /** The tries that were counted with this one, once it is paid. */
  tries: number;
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
    return [
      { limit: 'sign_in_browser', key: [account.id, browser_hash.toString('base64url')], is_shared: false, tries: 0 },
    ];
  }
  // By the name as typed, never by whose it is: counters that were shared would tell which names belong together.
  const who = `name ${canonical}`;
  const { address } = attempt.request;
  return [
    { limit: 'sign_in_address', key: [address], is_shared: true, tries: 0 },
    { limit: 'sign_in_pair', key: [address, who], is_shared: false, tries: 0 },
    { limit: 'sign_in_account', key: [who], is_shared: false, tries: 0 },
  ];
}

/** Pays every lane; seconds to wait when one refuses (what was paid before it is given back), else 0. */
async function spendAll(store: SignInStore, lanes: Lane[]): Promise<number> {
  const paid: Lane[] = [];
  for (const lane of lanes) {
    const outcome = await store.limits.spend(store.db, lane.limit, lane.key);
    if (outcome.state === 'refused') {
      for (const { limit, key, tries } of paid) await store.limits.giveBack(store.db, limit, key, tries);
      return outcome.retry_after;
    }
    lane.tries = outcome.count;
    paid.push(lane);
  }
  return 0;
}

type Reason = Extract<SignInOutcome, { state: 'refused' }>['because'];

async function refuse(
  { db }: SignInStore,
  { client_id, request }: PasswordTry,
  account: AccountForSignIn | undefined,
  because: Reason,
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
  return { state: 'refused', because };
}

/**
 * Writes down that the sign-in is done. The row of an interaction is done once; the same person's second click on the
 * button gets the same answer, and the engine resumes the interaction only once whichever click it follows.
 */
async function finish(
  store: SignInStore,
  attempt: PasswordTry,
  account: AccountForSignIn,
  lanes: Lane[],
  browser_hash: Buffer | undefined,
): Promise<SignInOutcome> {
  const amr = ['pwd'];
  const browser = account.knows_browser && attempt.browser ? attempt.browser : randomToken();
  const hash = account.knows_browser && browser_hash ? browser_hash : keyedDigest(store.key, `browser\0${browser}`);
  const interaction_hash = keyedDigest(store.key, `interaction\0${attempt.interaction}`);
  const whose = await inTransaction(store.db, async (tx) => {
    const row = await tx
      .insertInto('sign_ins')
      .values({
        interaction_hash,
        client_id: attempt.client_id,
        state: 'done',
        account_id: account.id,
        generation: account.generation,
        amr,
        done_at: sql<Date>`gapura_now()`,
        expires_at: sql<Date>`gapura_now() + make_interval(secs => ${policy('interaction.memory')})`,
      })
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirst();
    const first = row.numInsertedOrUpdatedRows === 1n ? undefined : await findSignIn(tx, interaction_hash);
    if (first && first !== account.id) return first;
    await tx
      .insertInto('browsers')
      .values({ account_id: account.id, browser_hash: hash })
      .onConflict((conflict) =>
        conflict.columns(['account_id', 'browser_hash']).doUpdateSet({ last_seen_at: sql`gapura_now()` }),
      )
      .execute();
    if (first) return first;
    await record(tx, {
      kind: 'sign_in',
      account_id: account.id,
      client_id: attempt.client_id,
      detail: { amr: amr.join(' ') },
      request: attempt.request,
    });
    return account.id;
  });
  // The interaction was somebody else's a moment ago; whoever is second begins anew.
  if (whose !== account.id) return { state: 'refused', because: 'finished' };
  for (const { limit, key, is_shared, tries } of lanes) {
    await (is_shared ? store.limits.giveBack(store.db, limit, key, tries) : store.limits.forget(store.db, limit, key));
  }
  const login = {
    accountId: account.id,
    generation: account.generation,
    ts: nowSeconds(),
    amr,
    acr: 'urn:gapura:acr:password',
  };
  return { state: 'done', login, browser };
}

async function findSignIn(tx: Transaction, interaction_hash: Buffer): Promise<string | undefined> {
  const row = await tx
    .selectFrom('sign_ins')
    .select('account_id')
    .where('interaction_hash', '=', interaction_hash)
    .executeTakeFirst();
  return row?.account_id ?? undefined;
}

/** Deletes up to `batch` sign-ins and browsers whose time is over. */
export async function purgeSignIns(db: Database, batch = 1000): Promise<number> {
  const sign_ins = await sql`DELETE FROM sign_ins WHERE interaction_hash = ANY (ARRAY(
    SELECT interaction_hash FROM sign_ins WHERE expires_at < gapura_now() LIMIT ${batch}))`.execute(db);
  const browsers = await sql`DELETE FROM browsers WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM browsers WHERE last_seen_at < gapura_now() - make_interval(secs => ${policy('browsers.memory')}) LIMIT ${batch}))`.execute(
    db,
  );
  return Number(sign_ins.numAffectedRows ?? 0n) + Number(browsers.numAffectedRows ?? 0n);
}
