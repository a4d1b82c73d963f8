/** The code of a recovery: sent a limited number of times, typed a limited number of times, right once. */

import { hashBrowser } from '../accounts/browsers.ts';
import { canonicalise } from '../accounts/identifiers.ts';
import { findAccount, findAccountForSignIn } from '../accounts/store.ts';
import { type AuditRequest, record } from '../audit/audit.ts';
import { now } from '../clock.ts';
import { randomToken } from '../crypto.ts';
import { inTransaction } from '../database.ts';
import { numbersOf } from '../limits/table.ts';
import { policy } from '../policy/policy.ts';
import { findProof, issueProof, spendProof } from '../proofs.ts';
import { hashFlow, type Recovery, type RecoveryStore, type RecoveryTarget } from './recovery.ts';
import * as store from './store.ts';

/** Seconds from the right code to the new password. */
const verified_lifetime = 900;

/** Who asks: the browser's value, if somebody signed in there before, and the request. */
export interface Asker {
  browser: string | undefined;
  request: AuditRequest;
}

/** By the typed name, never by whose it is; a browser that this person signed in with has a lane of its own. */
async function laneOf(parts: RecoveryStore, { name }: Recovery, { browser, request }: Asker): Promise<string[]> {
  const canonical = canonicalise(name);
  const hash = browser === undefined ? undefined : hashBrowser(parts.browser_key, browser);
  const account = await findAccountForSignIn(parts.db, canonical, hash);
  return hash && account?.knows_browser
    ? ['browser', hash.toString('base64url'), canonical]
    : ['address', request.address, canonical];
}

export type SendOutcome =
  | { state: 'sent' }
  | { state: 'too_soon' | 'closed'; retry_after: number }
  /** The recovery is at another step. */
  | { state: 'moved' };

/** Sends a code, the first or another one; the one before it is void, and wrong entries stay counted. */
export async function requestCode(
  parts: RecoveryStore,
  recovery: Recovery,
  { choice, ...asker }: Asker & { choice: number },
): Promise<SendOutcome> {
  const { db, limits } = parts;
  const { id, method, resend_in, subject, state } = recovery;
  if (state !== 'begun' && state !== 'code_sent') return { state: 'moved' };
  if (resend_in > 0) return { state: 'too_soon', retry_after: resend_in };
  const lane = await laneOf(parts, recovery, asker);
  const spent = await limits.spend(db, 'recovery_send', lane);
  if (spent.state === 'refused') return { state: 'closed', retry_after: spent.retry_after };

  const is_standing = await store.isStanding(db, recovery);
  const found = await findAccount(db, subject ?? store.nobody);
  const targets = await method.listTargets(parts, is_standing ? found?.id : undefined, canonicalise(recovery.name));
  const target = (targets[choice] ?? targets[0]) as RecoveryTarget;
  // What strangers use up of a mailbox's day is not taken from a browser that the person signed in with.
  const own = lane[0] === 'browser' ? lane : [];
  const key = [target.id === null ? 'nobody' : 'address', target.canonical, ...own];
  const is_sent = (await limits.spend(db, 'recovery_mail', key)).state === 'allowed';
  const account = is_standing && target.id !== null && is_sent ? found : undefined;
  const is_taken = await inTransaction(db, async (tx) => {
    if (!(await store.takeSend(tx, id))) return false;
    const seconds = policy('recovery.code_lifetime');
    const { id: proof_id, secret: code } = await issueProof(tx, parts.keys, {
      purpose: 'reset',
      subject: account?.id ?? null,
      target: target.id ?? store.nobody,
      flow: id,
      lifetime: seconds,
      // A stranger who asks for codes in another browser must not void the one that the person is just typing.
      keeps_others: true,
    });
    const expires_at = new Date(now().getTime() + seconds * 1000);
    await method.sendCode(tx, parts, { account, target, code, proof_id, expires_at });
    const detail = { method: method.name, is_sent: account !== undefined };
    await record(tx, { kind: 'recovery_code_sent', account_id: subject, detail, request: asker.request });
    return true;
  });
  if (is_taken) return { state: 'sent' };
  await limits.giveBack(db, 'recovery_send', lane, spent.count);
  return { state: 'too_soon', retry_after: store.send_pause };
}

/** What is left to a recovery: codes that can still be sent, tries with the present one, and until when it is good. */
export async function readCounters(parts: RecoveryStore, recovery: Recovery, asker: Asker) {
  const lane = await laneOf(parts, recovery, asker);
  const { count } = await parts.limits.look(parts.db, 'recovery_send', lane);
  const proof = await findProof(parts.db, parts.keys, { purpose: 'reset', flow: recovery.id });
  return {
    sends_left: Math.max(0, numbersOf('recovery_send').free - count),
    entries_left: proof && proof.attempts_allowed - proof.attempts,
  };
}

export type CodeOutcome =
  /** `token` is what the browser holds from here on. */
  | { state: 'verified'; token: string }
  | { state: 'wrong'; left: number }
  | { state: 'expired' | 'used_up' | 'moved' }
  | { state: 'waiting'; retry_after: number };

/** Checks a typed code; a right one moves the recovery on to where the password is set. */
export async function submitCode(
  parts: RecoveryStore,
  recovery: Recovery,
  { code, request }: { code: string; request: AuditRequest },
): Promise<CodeOutcome> {
  const { db, limits } = parts;
  const { id, subject, state } = recovery;
  if (state === 'used_up') return { state };
  if (state !== 'code_sent') return { state: 'moved' };
  const spent = await limits.spend(db, 'recovery_code', request.address);
  if (spent.state === 'refused') return { state: 'waiting', retry_after: spent.retry_after };
  // Closed since it began, no code is right any more, by the same statement.
  const is_standing = await store.isStanding(db, recovery);
  const outcome = await inTransaction(db, async (tx): Promise<CodeOutcome> => {
    const brought = { secret: code, flow: id, subject: (is_standing && subject) || store.nobody };
    const result = await spendProof(tx, parts.keys, { purpose: 'reset', ...brought });
    if (result.state === 'spent') {
      const token = randomToken();
      const next = { flow_hash: hashFlow(parts, token), seconds: verified_lifetime };
      if (!(await store.takeStep(tx, id, 'code_sent', 'verified', next))) throw new Error('a spent code moved nothing');
      await recovery.method.noteUse(tx, result.proof.target);
      await record(tx, { kind: 'recovery_verified', account_id: subject, request });
      return { state: 'verified', token };
    }
    const because = result.state === 'refused' ? result.because : 'wrong';
    await record(tx, { kind: 'recovery_refused', account_id: subject, detail: { because }, request });
    const is_used_up = because === 'used_up' || (result.state === 'wrong' && result.left <= 0);
    if (is_used_up) await store.takeStep(tx, id, 'code_sent', 'used_up');
    if (is_used_up) return { state: 'used_up' };
    if (result.state === 'wrong') return { state: 'wrong', left: result.left };
    return { state: because === 'spent' ? 'moved' : 'expired' };
  });
  if (outcome.state === 'verified') await limits.giveBack(db, 'recovery_code', request.address, spent.count);
  return outcome;
}
