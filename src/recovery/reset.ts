/** The end of a recovery: a new password, or a sign-in by the code alone. */

import { forgetBrowsers, hashBrowser, rememberBrowser } from '../accounts/browsers.ts';
import { hashPassword } from '../accounts/password.ts';
import { checkNewPassword, type DescribedRule, daysOf, describeRules } from '../accounts/password-rules.ts';
import { writePassword } from '../accounts/password-store.ts';
import { findAccount, raiseGeneration } from '../accounts/store.ts';
import { type AuditRequest, record } from '../audit/audit.ts';
import { nowSeconds } from '../clock.ts';
import { randomToken } from '../crypto.ts';
import { inTransaction, type Transaction } from '../database.ts';
import { listRoles } from '../permissions.ts';
import { policy } from '../policy/policy.ts';
import { proof_purposes, voidProofs } from '../proofs.ts';
import { tellEverywhere } from './notices.ts';
import type { Recovery, RecoveryStore } from './recovery.ts';
import { deletePending, endAll, isStanding, takeStep } from './store.ts';

/** The authentication context of a sign-in by a recovery's code. */
export const recovered_acr = 'urn:gapura:acr:recovered';

/** Whether a request's `acr_values` name it: nothing else opens by a code from a mailbox. */
export function acceptsRecovered(acr_values: unknown): boolean {
  return typeof acr_values === 'string' && acr_values.split(' ').includes(recovered_acr);
}

/** What a new password must be for the person of a recovery. */
export async function describeRulesOf({ db }: RecoveryStore, { subject }: Recovery): Promise<DescribedRule[]> {
  const roles = subject === null ? [] : await listRoles(db, subject);
  return describeRules(roles.map(({ role }) => role));
}

export type ResetOutcome =
  /** `browser` is what this browser holds from here on: the person has proven in it who they are. */
  | { state: 'reset'; browser: string }
  /** `broken`: message keys of the rules that the new password breaks. */
  | { state: 'refused'; because: 'rules'; broken: string[] }
  /** The recovery is at another step. */
  | { state: 'moved' }
  /** The account is not as it was when the recovery began; whoever proved the code may know it. */
  | { state: 'closed' };

/** Undoes the transaction of a reset that came too late. */
class TooLate extends Error {
  readonly state: 'moved' | 'closed';

  constructor(state: 'moved' | 'closed') {
    super(state);
    this.state = state;
  }
}

/**
 * Sets the new password. With it end, in one transaction, all sessions and tokens, every open code, link and pending address,
 * and what the person's browsers were known by; whoever had got hold of any of these has nothing left.
 * @throws QueueFull when too many passwords are being hashed
 */
export async function resetPassword(
  store: RecoveryStore,
  recovery: Recovery,
  { password, request }: { password: string; request: AuditRequest },
): Promise<ResetOutcome> {
  const { db } = store;
  const { id, subject: account_id, generation } = recovery;
  if (recovery.state !== 'verified' || !account_id || generation === null) return { state: 'moved' };
  const [account, roles, is_standing] = await Promise.all([
    findAccount(db, account_id),
    listRoles(db, account_id),
    isStanding(db, recovery),
  ]);
  if (!account || !is_standing) return { state: 'closed' };
  const { username, full_name } = account;
  const asked = { account_id, username, full_name, roles: roles.map(({ role }) => role), password };
  const broken = await checkNewPassword(db, asked);
  if (broken.length > 0) return { state: 'refused', because: 'rules', broken };

  const hash = await hashPassword(password);
  const browser = randomToken();
  try {
    await inTransaction(db, async (tx) => {
      if (!(await takeStep(tx, id, 'verified', 'done'))) throw new TooLate('moved');
      await writePassword(tx, account_id, hash, daysOf(asked.roles));
      // From exactly the number that it began with: another recovery, a change or a lock in this instant comes first.
      if ((await raiseGeneration(tx, account_id)) !== generation + 1) throw new TooLate('closed');
      if (!(await isStanding(tx, { subject: account_id, generation: generation + 1 }))) throw new TooLate('closed');
      // Not the links by which the person can say "that was not me": this may be the very thing they are there for.
      for (const purpose of proof_purposes)
        if (purpose !== 'not_me') await voidProofs(tx, { purpose, subject: account_id });
      await endAll(tx, account_id, id);
      await deletePending(tx, account_id);
      await forgetBrowsers(tx, account_id);
      await rememberBrowser(tx, account_id, hashBrowser(store.browser_key, browser));
      await record(tx, { kind: 'password_reset', account_id, detail: { method: recovery.method.name }, request });
      await tellEverywhere(tx, store, 'password_reset', { account_id, request });
    });
  } catch (error) {
    if (error instanceof TooLate) return { state: error.state };
    throw error;
  }
  return { state: 'reset', browser };
}

/** Whether a verified recovery may go on to a sign-in by its code; otherwise only a new password is left. */
export function offersSession(): boolean {
  return policy('recovery.session');
}

/** Chooses the sign-in: the next sign-in page of this browser that accepts it takes it, once and soon. */
export async function chooseSession(
  store: RecoveryStore,
  recovery: Recovery,
): Promise<{ state: 'chosen' | 'moved' | 'closed' }> {
  if (!offersSession()) return { state: 'moved' };
  if (!(await isStanding(store.db, recovery))) return { state: 'closed' };
  const step = (tx: Transaction) => takeStep(tx, recovery.id, 'verified', 'signing_in', { seconds: 300 });
  return { state: (await inTransaction(store.db, step)) ? 'chosen' : 'moved' };
}

/** What the engine is told of a sign-in by a recovery's code. */
export interface RecoveredSignIn {
  accountId: string;
  generation: number;
  /** Seconds since the epoch. */
  ts: number;
  amr: string[];
  acr: string;
}

/** Takes the sign-in that was chosen; undefined when it was taken before or the account is not as it was. */
export async function takeSession(
  store: RecoveryStore,
  recovery: Recovery,
  client_id: string,
  request: AuditRequest,
): Promise<RecoveredSignIn | undefined> {
  const { id, subject: account_id, generation } = recovery;
  if (!account_id || generation === null || !offersSession()) return undefined;
  const is_taken = await inTransaction(store.db, async (tx) => {
    if (!(await isStanding(tx, recovery)) || !(await takeStep(tx, id, 'signing_in', 'done'))) return false;
    await record(tx, { kind: 'recovery_signed_in', account_id, client_id, request });
    await tellEverywhere(tx, store, 'recovery_used', { account_id, request });
    return true;
  });
  if (!is_taken) return undefined;
  return { accountId: account_id, generation, ts: nowSeconds(), amr: ['otp'], acr: recovered_acr };
}
