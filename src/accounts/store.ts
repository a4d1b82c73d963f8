/** The SQL of accounts, identifiers, passwords and locks. */

import { type ExpressionBuilder, type Insertable, type Selectable, sql } from 'kysely';
import type { Database, Transaction } from '../database.ts';
import type { AccountIdentifiers, AccountLocks, Accounts, Tables } from '../tables.ts';

export type Account = Selectable<Accounts>;
export type Lock = Selectable<AccountLocks>;

/** An account as a sign-in needs it: its password's hash, its user name, and why it is closed, if it is. */
export interface AccountForSignIn {
  id: string;
  generation: number;
  full_name: string;
  hash: string | undefined;
  locks: AccountLocks['kind'][];
  expired: boolean;
  knows_browser: boolean;
}

/** One query: the account that an identifier names, with all that deciding about a password needs. */
export async function findAccountForSignIn(
  db: Database,
  canonical: string,
  browser_hash: Buffer | undefined,
): Promise<AccountForSignIn | undefined> {
  const row = await db
    .selectFrom('account_identifiers as i')
    .innerJoin('accounts as a', 'a.id', 'i.account_id')
    .leftJoin('passwords as p', 'p.account_id', 'a.id')
    .leftJoin('browsers as b', (join) =>
      join.onRef('b.account_id', '=', 'a.id').on('b.browser_hash', '=', browser_hash ?? Buffer.alloc(0)),
    )
    .select((eb) => [
      'a.id',
      'a.generation',
      'a.full_name',
      'p.hash',
      lockKinds(eb).as('locks'),
      sql<boolean>`coalesce(a.expires_at <= gapura_now(), false)`.as('expired'),
      sql<boolean>`b.account_id IS NOT NULL`.as('knows_browser'),
    ])
    .where('i.canonical', '=', canonical)
    .executeTakeFirst();
  return row && { ...row, hash: row.hash ?? undefined, locks: row.locks ?? [] };
}

function lockKinds(eb: ExpressionBuilder<Tables & { a: Accounts }, 'a'>) {
  return eb
    .selectFrom('account_locks as l')
    .whereRef('l.account_id', '=', 'a.id')
    .select(sql<AccountLocks['kind'][]>`coalesce(array_agg(l.kind ORDER BY l.kind), '{}')`.as('kinds'));
}

/** An account with its user name. */
export async function findAccount(db: Database, id: string): Promise<(Account & { username: string }) | undefined> {
  return db
    .selectFrom('accounts as a')
    .leftJoin('account_identifiers as i', (join) =>
      join.onRef('i.account_id', '=', 'a.id').on('i.kind', '=', 'username'),
    )
    .selectAll('a')
    .select(sql<string>`coalesce(i.value, a.full_name)`.as('username'))
    .where('a.id', '=', id)
    .executeTakeFirst();
}

export async function insertAccount(
  tx: Transaction,
  account: Insertable<Accounts>,
  identifiers: Omit<Insertable<AccountIdentifiers>, 'account_id'>[],
): Promise<Account> {
  const row = await tx.insertInto('accounts').values(account).returningAll().executeTakeFirstOrThrow();
  if (identifiers.length > 0) {
    await tx
      .insertInto('account_identifiers')
      .values(identifiers.map((identifier) => ({ ...identifier, account_id: row.id })))
      .execute();
  }
  return row;
}

/** Replaces the password's hash. */
export async function writePassword(db: Database, account_id: string, hash: string): Promise<void> {
  await db
    .insertInto('passwords')
    .values({ account_id, hash })
    .onConflict((conflict) => conflict.column('account_id').doUpdateSet({ hash, changed_at: sql`gapura_now()` }))
    .execute();
}

/** Replaces the hash of the same password by a stronger one, unless the password was changed meanwhile. */
export async function strengthenPassword(
  db: Database,
  account_id: string,
  old_hash: string,
  hash: string,
): Promise<void> {
  await db
    .updateTable('passwords')
    .set({ hash })
    .where('account_id', '=', account_id)
    .where('hash', '=', old_hash)
    .execute();
}

/** Raises the generation: whatever carries the old one is dead from the commit on, on every node. */
export async function raiseGeneration(tx: Transaction, account_id: string): Promise<number | undefined> {
  const row = await tx
    .updateTable('accounts')
    .set({ generation: sql`generation + 1`, revoked_at: sql`gapura_now()`, updated_at: sql`gapura_now()` })
    .where('id', '=', account_id)
    .returning('generation')
    .executeTakeFirst();
  return row?.generation;
}

export async function insertLock(tx: Transaction, lock: Omit<Insertable<AccountLocks>, 'locked_at'>): Promise<boolean> {
  const result = await tx
    .insertInto('account_locks')
    .values(lock)
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return result.numInsertedOrUpdatedRows === 1n;
}

export async function deleteLock(tx: Transaction, account_id: string, kind: AccountLocks['kind']): Promise<boolean> {
  const result = await tx
    .deleteFrom('account_locks')
    .where('account_id', '=', account_id)
    .where('kind', '=', kind)
    .executeTakeFirst();
  return result.numDeletedRows === 1n;
}
