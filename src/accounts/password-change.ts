/** A person's own change of the password: what is checked, and all that happens with it or not at all. */

import { type AuditRequest, record } from '../audit/audit.ts';
import { type Database, inTransaction, type Transaction } from '../database.ts';
import type { Limits } from '../limits/limits.ts';
import { listRoles } from '../permissions.ts';
import { hashPassword, verifyPassword } from './password.ts';
import { checkNewPassword, daysOf } from './password-rules.ts';
import { findPasswordHash, replacePassword } from './password-store.ts';
import { findAccount, raiseGeneration } from './store.ts';

/** What changing a password needs; `keepSession` is the engine's and `tellOfPassword` that of the notices, handed in. */
export interface PasswordStore {
  db: Database;
  limits: Limits;
  /**
   * Lifts the session in which the change is made to the account's new generation, in the change's transaction.
   * @returns false when the session was over before, so that nobody may change anything in it
   */
  keepSession(tx: Transaction, session: { uid: string; account_id: string; generation: number }): Promise<boolean>;
  /** Tells every address of the person, with what they need if it was not they. */
  tellOfPassword(tx: Transaction, deed: { account_id: string; request: AuditRequest }): Promise<void>;
}

/** One change: whose, in which session, from what to what. */
export interface PasswordChange {
  account_id: string;
  session_uid: string;
  /** Undefined where the person proved it a moment ago, at the sign-in that led here. */
  old_password: string | undefined;
  new_password: string;
  request: AuditRequest;
}

export type PasswordOutcome =
  | { state: 'changed' }
  /** `broken`: message keys of the rules that the new password breaks. */
  | { state: 'refused'; because: 'rules'; broken: string[] }
  | { state: 'refused'; because: 'old_password' | Lateness }
  | { state: 'waiting'; retry_after: number };

type Lateness = 'changed_meanwhile' | 'session_over';

/** Undoes the transaction of a change that came too late. */
class TooLate extends Error {
  readonly because: Lateness;

  constructor(because: Lateness) {
    super(because);
    this.because = because;
  }
}

/**
 * Changes a person's own password. Hash, history, the end of all other sessions and the going on of this one, audit and mail
 * are one transaction. A wrong old password is a failed try, paid for before the hash: a session left open must not become
 * the place where passwords are guessed.
 * @throws QueueFull when too many passwords are being hashed
 */
export async function changePassword(store: PasswordStore, change: PasswordChange): Promise<PasswordOutcome> {
  const { db } = store;
  const { account_id, new_password } = change;
  const [account, old_hash] = await Promise.all([findAccount(db, account_id), findPasswordHash(db, account_id)]);
  if (!account || !old_hash) return { state: 'refused', because: 'session_over' };

  const tried = change.old_password === undefined ? undefined : await tryOld(store, change, old_hash);
  if (tried) return tried;

  const roles = (await listRoles(db, account_id)).map(({ role }) => role);
  const { username, full_name } = account;
  const broken = await checkNewPassword(db, { account_id, username, full_name, roles, password: new_password });
  if (broken.length > 0) return { state: 'refused', because: 'rules', broken };

  const hash = await hashPassword(new_password);
  try {
    await inTransaction(db, (tx) => write(store, tx, change, [old_hash, hash, daysOf(roles)]));
  } catch (error) {
    if (error instanceof TooLate) return { state: 'refused', because: error.because };
    throw error;
  }
  return { state: 'changed' };
}

/** Whether the old password was not right, or may not be tried; undefined when it was. */
async function tryOld(
  { db, limits }: PasswordStore,
  { account_id, old_password = '', request }: PasswordChange,
  old_hash: string,
): Promise<PasswordOutcome | undefined> {
  const spent = await limits.spend(db, 'password_change', account_id);
  if (spent.state === 'refused') return { state: 'waiting', retry_after: spent.retry_after };
  const { fits } = await verifyPassword(old_hash, old_password).catch(async (error) => {
    await limits.giveBack(db, 'password_change', account_id, spent.count);
    throw error;
  });
  if (fits) {
    await limits.forget(db, 'password_change', account_id);
    return undefined;
  }
  await inTransaction(db, (tx) => record(tx, { kind: 'password_change_refused', account_id, request }));
  return { state: 'refused', because: 'old_password' };
}

async function write(
  { keepSession, tellOfPassword }: PasswordStore,
  tx: Transaction,
  { account_id, session_uid, old_password, request }: PasswordChange,
  [old_hash, hash, days]: [old_hash: string, hash: string, days: number],
): Promise<void> {
  if (!(await replacePassword(tx, account_id, old_hash, hash, days))) throw new TooLate('changed_meanwhile');
  const generation = await raiseGeneration(tx, account_id);
  if (generation === undefined || !(await keepSession(tx, { uid: session_uid, account_id, generation })))
    throw new TooLate('session_over');
  await record(tx, {
    kind: 'password_changed',
    account_id,
    detail: { was_asked: old_password === undefined },
    request,
  });
  await tellOfPassword(tx, { account_id, request });
}
