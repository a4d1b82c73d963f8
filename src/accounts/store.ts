/** The SQL of accounts and identifiers, and what a sign-in reads of them at once. */

import { type ExpressionBuilder, type Insertable, type Selectable, sql, type Updateable } from 'kysely';
import type { Database, Transaction } from '../database.ts';
import { prepare } from '../statements.ts';
import type { AccountIdentifiers, AccountLocks, Accounts, Tables } from '../tables.ts';
import { canonicalise } from './identifiers.ts';

export type Account = Selectable<Accounts>;

export type AccountWithName = Account & { username: string };

/** An account as a sign-in needs it: its password's hash, its user name, and why it is closed, if it is. */
export interface AccountForSignIn {
  id: string;
  generation: number;
  full_name: string;
  hash: string | undefined;
  locks: AccountLocks['kind'][];
  expired: boolean;
  knows_browser: boolean;
  /** The person was let in before, in whatever browser. */
  has_signed_in: boolean;
}

/** One query: the account that an identifier names, with all that deciding about a password needs. */
export async function findAccountForSignIn(
  db: Database,
  canonical: string,
  browser_hash: Buffer | undefined,
): Promise<AccountForSignIn | undefined> {
  const [row] = (await readForSignIn(db, { canonical, browser_hash: browser_hash ?? Buffer.alloc(0) })).rows;
  return row && { ...row, hash: row.hash ?? undefined, locks: row.locks ?? [] };
}

type ForSignIn = Omit<AccountForSignIn, 'hash' | 'locks'> & {
  hash: string | null;
  locks: AccountForSignIn['locks'] | null;
};

const readForSignIn = prepare<{ canonical: string; browser_hash: Buffer }, ForSignIn>(
  'account for sign-in',
  'read',
  (db, value) =>
    db
      .selectFrom('account_identifiers as i')
      .innerJoin('accounts as a', 'a.id', 'i.account_id')
      .leftJoin('passwords as p', 'p.account_id', 'a.id')
      .leftJoin('browsers as b', (join) =>
        join.onRef('b.account_id', '=', 'a.id').on('b.browser_hash', '=', value('browser_hash')),
      )
      .select((eb) => [
        'a.id',
        'a.generation',
        'a.full_name',
        // One that somebody else gave and that was not replaced in its time is none.
        sql<string | null>`CASE WHEN p.must_change AND p.expires_at <= gapura_now() THEN NULL ELSE p.hash END`.as(
          'hash',
        ),
        lockKinds(eb).as('locks'),
        sql<boolean>`coalesce(a.expires_at <= gapura_now(), false)`.as('expired'),
        sql<boolean>`b.account_id IS NOT NULL`.as('knows_browser'),
        has_signed_in.as('has_signed_in'),
      ])
      .where('i.canonical', '=', value('canonical')),
);

// The browser of the very first time is news to nobody.
const has_signed_in = sql<boolean>`EXISTS (SELECT FROM audit_events e
  WHERE e.account_id = a.id AND e.kind IN ('sign_in', 'recovery_signed_in'))`;

function lockKinds(eb: ExpressionBuilder<Tables & { a: Accounts }, 'a'>) {
  return eb
    .selectFrom('account_locks as l')
    .whereRef('l.account_id', '=', 'a.id')
    .select(sql<AccountLocks['kind'][]>`coalesce(array_agg(l.kind ORDER BY l.kind), '{}')`.as('kinds'));
}

/** An account with its user name. */
export async function findAccount(db: Database, id: string): Promise<AccountWithName | undefined> {
  return (await readAccount(db, { id })).rows[0];
}

/** Accounts (alias `a`) with their user names. */
export function selectAccount(db: Database) {
  return db
    .selectFrom('accounts as a')
    .leftJoin('account_identifiers as i', (join) =>
      join.onRef('i.account_id', '=', 'a.id').on('i.kind', '=', sql.lit('username')),
    )
    .selectAll('a')
    .select(sql<string>`coalesce(i.value, a.full_name)`.as('username'));
}

const readAccount = prepare<{ id: string }, AccountWithName>('account', 'read', (db, value) =>
  selectAccount(db).where('a.id', '=', value('id')),
);

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

/** Every mail address at which a person is known, each once. */
export async function listAddresses(db: Database, account_id: string): Promise<string[]> {
  const { rows } = await sql<{ address: string }>`
    SELECT min(address) AS address FROM (
      SELECT email AS address FROM accounts WHERE id = ${account_id} AND email IS NOT NULL
      UNION ALL SELECT value FROM account_identifiers WHERE account_id = ${account_id} AND kind = 'email'
    ) AS known GROUP BY lower(address) ORDER BY 1`.execute(db);
  return rows.map((row) => row.address);
}

/**
 * Marks an address as proven while it is still the person's, and makes it a name to sign in with unless it names somebody.
 * @returns whether it was still theirs
 */
export async function verifyEmail(tx: Transaction, account_id: string, email: string): Promise<boolean> {
  const result = await tx
    .updateTable('accounts')
    .set({ email_verified: true, updated_at: sql`gapura_now()` })
    .where('id', '=', account_id)
    .where('email', '=', email)
    .executeTakeFirst();
  if (result.numUpdatedRows !== 1n) return false;
  await tx
    .insertInto('account_identifiers')
    .values({ account_id, kind: 'email', value: email, canonical: canonicalise(email) })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  return true;
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

/** What describes a person; `updateAccount` tells whether an address or number is still proven. */
export type Description = Omit<Updateable<Accounts>, 'id' | 'generation' | 'version' | `${string}_verified`>;

/**
 * Changes it, unless somebody did since `before`. An address or number that changes is not proven any more, and names nobody
 * until it is.
 * @returns the account as it stands then; undefined when somebody else was first
 */
export async function updateAccount(
  tx: Transaction,
  before: Pick<Account, 'id' | 'version' | 'email' | 'mobile_number'>,
  change: Description,
): Promise<Account | undefined> {
  const left = (['email', 'mobile_number'] as const).filter(
    (column) => change[column] !== undefined && change[column] !== before[column],
  );
  const row = await tx
    .updateTable('accounts')
    .set({ ...change, ...Object.fromEntries(left.map((column) => [`${column}_verified`, false])) })
    .where('id', '=', before.id)
    .where('version', '=', before.version)
    .returningAll()
    .executeTakeFirst();
  const names = left.flatMap((column) => before[column] ?? []).map(canonicalise);
  if (row && names.length > 0)
    await tx
      .deleteFrom('account_identifiers')
      .where('account_id', '=', row.id)
      .where('kind', '<>', 'username')
      .where('canonical', 'in', names)
      .execute();
  return row;
}
