/** The rules of an account: opening one, closing it, and ending everything that was begun under it. */

import type { Insertable } from 'kysely';
import { record } from '../audit/audit.ts';
import { type Database, inTransaction, type Transaction } from '../database.ts';
import type { Accounts } from '../tables.ts';
import { canonicalise } from './identifiers.ts';
import { deleteLock, insertLock, type LockKind } from './locks.ts';
import { hashPassword } from './password.ts';
import { writePassword } from './password-store.ts';
import { type Account, insertAccount, raiseGeneration } from './store.ts';

/** Who did it and why; the reason is written for the people who read the audit. */
export interface Deed {
  by?: string;
  because: string;
}

/** What a new account begins with; the password, if given, is hashed first. */
export interface NewAccount extends Insertable<Accounts> {
  username: string;
  password?: string;
}

/**
 * Opens an account with its identifiers: the user name, the verified e-mail address and the verified mobile number.
 * @throws the database's unique violation when an identifier names another account
 */
export async function createAccount(db: Database, { username, password, ...account }: NewAccount): Promise<Account> {
  const hash = password === undefined ? undefined : await hashPassword(password);
  return inTransaction(db, async (tx) => {
    const created = await insertAccount(tx, account, identifiersOf(username, account));
    if (hash) await writePassword(tx, created.id, hash);
    await record(tx, { kind: 'account_created', account_id: created.id });
    return created;
  });
}

/** The names that a new person may sign in with; an address or number counts once it is proven. */
function identifiersOf(username: string, account: Insertable<Accounts>) {
  const named = (kind: 'username' | 'email' | 'mobile', value: string) => ({
    kind,
    value,
    canonical: canonicalise(value),
  });
  return [
    named('username', username),
    ...(account.email && account.email_verified ? [named('email', account.email)] : []),
    ...(account.mobile_number && account.mobile_number_verified ? [named('mobile', account.mobile_number)] : []),
  ];
}

/** Closes an account: it can no longer sign in, and every session, code and token of it is dead from the commit on. */
export async function lockAccount(db: Database, account_id: string, kind: LockKind, deed: Deed): Promise<void> {
  await inTransaction(db, async (tx) => {
    const is_new = await insertLock(tx, { account_id, kind, because: deed.because, locked_by: deed.by ?? null });
    if (!is_new) return;
    await raiseGeneration(tx, account_id);
    await record(tx, { kind: 'account_locked', account_id, actor_id: deed.by ?? null, detail: { lock: kind } });
  });
}

/** Opens it again; sessions that the lock ended stay ended. */
export async function unlockAccount(db: Database, account_id: string, kind: LockKind, deed: Deed): Promise<void> {
  await inTransaction(db, async (tx) => {
    if (!(await deleteLock(tx, account_id, kind))) return;
    await record(tx, { kind: 'account_unlocked', account_id, actor_id: deed.by ?? null, detail: { lock: kind } });
  });
}

/**
 * Ends everything of an account: sessions, codes, tokens, sign-ins begun but not finished. Lower layers need not know the
 * engine for this: its records carry the generation they were made under and count only while it is the account's.
 * @returns the new generation
 */
export async function endEverything(tx: Transaction, account_id: string, deed: Deed): Promise<number | undefined> {
  const generation = await raiseGeneration(tx, account_id);
  await record(tx, { kind: 'account_revoked', account_id, actor_id: deed.by ?? null });
  return generation;
}
