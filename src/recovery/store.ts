/** The SQL of recovery addresses and recoveries; each step of a recovery is one conditional statement. */

import { type Insertable, type Selectable, sql } from 'kysely';
import type { Database, Transaction } from '../database.ts';
import type { Recoveries, RecoveryAddresses } from '../tables.ts';

/** Stands where there is no account, so that the same statements are made for nobody. */
export const nobody = '00000000-0000-0000-0000-000000000000';

export type RecoveryAddress = Selectable<RecoveryAddresses>;
export type RecoveryState = Selectable<Recoveries>['state'];

/** Seconds between two codes. */
export const send_pause = 60;

const waited = sql<boolean>`(sent_at IS NULL OR sent_at <= gapura_now() - make_interval(secs => ${send_pause}))`;
const seconds_to_wait = sql<number>`greatest(0, coalesce(ceil(extract(epoch FROM
  sent_at + make_interval(secs => ${send_pause}) - gapura_now())), 0))::int`;

/** A person's recovery addresses, the oldest first, each with the seconds until a code can be sent again. */
export function listAddressesOf(
  db: Database,
  account_id: string,
): Promise<(RecoveryAddress & { resend_in: number })[]> {
  return db
    .selectFrom('recovery_addresses')
    .selectAll()
    .select(seconds_to_wait.as('resend_in'))
    .where('account_id', '=', account_id)
    .orderBy('added_at')
    .orderBy('id')
    .execute();
}

/** Those that are proven, the oldest first. */
export function listProven(db: Database, account_id: string): Promise<RecoveryAddress[]> {
  return db
    .selectFrom('recovery_addresses')
    .selectAll()
    .where('account_id', '=', account_id)
    .where('verified_at', 'is not', null)
    .orderBy('verified_at')
    .orderBy('id')
    .execute();
}

/** Whether an address, in its canonical form, leads to another person: by it they sign in or recover their account. */
export async function isOfAnother(db: Database, canonical: string, account_id: string): Promise<boolean> {
  const { rows } = await sql`SELECT FROM (
      SELECT account_id FROM account_identifiers WHERE canonical = ${canonical}
      UNION ALL SELECT id FROM accounts WHERE lower(email) = ${canonical}
      UNION ALL SELECT account_id FROM recovery_addresses WHERE canonical = ${canonical} AND verified_at IS NOT NULL
    ) AS known WHERE account_id <> ${account_id} LIMIT 1`.execute(db);
  return rows.length > 0;
}

/** Adds an address that waits for its code; undefined when the person has it already, or has as many as `most`. */
export async function insertAddress(
  tx: Transaction,
  address: Pick<Insertable<RecoveryAddresses>, 'account_id' | 'address' | 'canonical' | 'verified_at'>,
  most: number,
): Promise<RecoveryAddress | undefined> {
  await sql`SELECT FROM accounts WHERE id = ${address.account_id} FOR NO KEY UPDATE`.execute(tx);
  const { n } = await tx
    .selectFrom('recovery_addresses')
    .select((eb) => eb.fn.countAll<string>().as('n'))
    .where('account_id', '=', address.account_id)
    .executeTakeFirstOrThrow();
  if (Number(n) >= most) return undefined;
  return tx
    .insertInto('recovery_addresses')
    .values(address)
    .onConflict((conflict) => conflict.columns(['account_id', 'canonical']).doNothing())
    .returningAll()
    .executeTakeFirst();
}

/** Notes that a code goes to an address that waits for one; false before the pause is over or after `most` of them. */
export async function noteSend(tx: Transaction, account_id: string, id: string, most: number): Promise<boolean> {
  const result = await tx
    .updateTable('recovery_addresses')
    .set({ sends: sql`sends + 1`, sent_at: sql<Date>`gapura_now()` })
    .where('id', '=', id)
    .where('account_id', '=', account_id)
    .where('verified_at', 'is', null)
    .where('sends', '<', most)
    .where(waited)
    .executeTakeFirst();
  return result.numUpdatedRows === 1n;
}

/**
 * Marks an address as proven, once.
 * @throws the database's unique violation when another person has proven it meanwhile
 */
export async function proveAddress(
  tx: Transaction,
  account_id: string,
  id: string,
): Promise<RecoveryAddress | undefined> {
  return tx
    .updateTable('recovery_addresses')
    .set({ verified_at: sql<Date>`gapura_now()` })
    .where('id', '=', id)
    .where('account_id', '=', account_id)
    .where('verified_at', 'is', null)
    .returningAll()
    .executeTakeFirst();
}

export async function deleteAddress(
  tx: Transaction,
  account_id: string,
  id: string,
): Promise<RecoveryAddress | undefined> {
  return tx
    .deleteFrom('recovery_addresses')
    .where('id', '=', id)
    .where('account_id', '=', account_id)
    .returningAll()
    .executeTakeFirst();
}

/** Removes what waits for its code: whoever added it may not have been the person. */
export async function deletePending(tx: Transaction, account_id: string): Promise<void> {
  await tx
    .deleteFrom('recovery_addresses')
    .where('account_id', '=', account_id)
    .where('verified_at', 'is', null)
    .execute();
}

/** Notes that a code sent there was right. */
export async function noteUse(tx: Transaction, id: string): Promise<void> {
  await tx.updateTable('recovery_addresses').set({ used_at: sql<Date>`gapura_now()` }).where('id', '=', id).execute();
}

/** What the masks of addresses that nobody has are made from; the same for ever, on every node. */
export async function readMaskKey(db: Database): Promise<Buffer> {
  return (await db.selectFrom('recovery_mask').select('key').executeTakeFirstOrThrow()).key;
}

const end = (seconds: number) => sql<Date>`gapura_now() + make_interval(secs => ${seconds})`;

export async function insertRecovery(
  tx: Transaction,
  row: Pick<Insertable<Recoveries>, 'id' | 'method' | 'subject' | 'generation' | 'flow_hash' | 'visit'>,
  seconds: number,
): Promise<void> {
  await tx
    .insertInto('recoveries')
    .values({ ...row, expires_at: end(seconds) })
    .execute();
}

/** The recovery that one of these hashes belongs to, while its time is not over. */
export function findByFlow(db: Database, flow_hashes: Buffer[]) {
  return db
    .selectFrom('recoveries')
    .selectAll()
    .select(seconds_to_wait.as('resend_in'))
    .where('flow_hash', 'in', flow_hashes)
    .where('expires_at', '>', sql<Date>`gapura_now()`)
    .executeTakeFirst();
}

/** Whether the account stands as it stood when the recovery began: nothing closes it, and nothing ended its sessions. */
export async function isStanding(db: Database, { subject, generation }: StandingOf): Promise<boolean> {
  const { rows } = await sql`SELECT FROM accounts a WHERE a.id = ${subject ?? nobody} AND a.generation = ${generation}
    AND coalesce(a.expires_at > gapura_now(), true)
    AND NOT EXISTS (SELECT FROM account_locks l WHERE l.account_id = a.id)`.execute(db);
  return rows.length === 1;
}

type StandingOf = Pick<Selectable<Recoveries>, 'subject' | 'generation'>;

/** Goes on to `code_sent`, or stays there for another code; false before the pause is over. */
export async function takeSend(tx: Transaction, id: string): Promise<boolean> {
  const result = await tx
    .updateTable('recoveries')
    .set({ state: 'code_sent', sent_at: sql<Date>`gapura_now()` })
    .where('id', '=', id)
    .where('state', 'in', ['begun', 'code_sent'])
    .where('expires_at', '>', sql<Date>`gapura_now()`)
    .where(waited)
    .executeTakeFirst();
  return result.numUpdatedRows === 1n;
}

/** Goes on from one state to the next, once: of many at the same time one is told that it did. */
export async function takeStep(
  tx: Transaction,
  id: string,
  from: RecoveryState,
  to: RecoveryState,
  { flow_hash, seconds }: { flow_hash?: Buffer; seconds?: number } = {},
): Promise<boolean> {
  const result = await tx
    .updateTable('recoveries')
    .set({
      state: to,
      ...(flow_hash ? { flow_hash } : {}),
      ...(seconds === undefined ? {} : { expires_at: end(seconds) }),
    })
    .where('id', '=', id)
    .where('state', '=', from)
    .where('expires_at', '>', sql<Date>`gapura_now()`)
    .executeTakeFirst();
  return result.numUpdatedRows === 1n;
}

/** Ends the recoveries of a person, but the one with the id in `but`. */
export async function endAll(tx: Transaction, subject: string, but = nobody): Promise<void> {
  await tx
    .updateTable('recoveries')
    .set({ expires_at: sql<Date>`gapura_now()` })
    .where('subject', '=', subject)
    .where('id', '<>', but)
    .execute();
}

/** A duty: deletes recoveries whose time was over a day ago, a batch at a time; says how many. */
export async function purgeRecoveries(db: Database, batch = 1000): Promise<number> {
  const past = sql<Date>`gapura_now() - interval '1 day'`;
  const { numDeletedRows } = await db
    .deleteFrom('recoveries')
    .where('id', 'in', (eb) => eb.selectFrom('recoveries').select('id').where('expires_at', '<', past).limit(batch))
    .executeTakeFirst();
  return Number(numDeletedRows);
}
