/** What describes a person, as somebody who runs the house writes it: its shapes, a new account, and a change of one. */

import { sql } from 'kysely';
import { z } from 'zod';
import type { Transaction } from '../database.ts';
import { languages } from '../i18n/messages.ts';
import { voidProofs } from '../proofs.ts';
import { plain_text } from '../text.ts';
import { createAccount, type NewAccount } from './account.ts';
import { canonicalise } from './identifiers.ts';
import { type Account, type Description, updateAccount } from './store.ts';

function line(longest: number) {
  return z.string().trim().max(longest, 'errors.too_long').regex(plain_text, 'errors.field.unreadable');
}

const optionalLine = (longest: number) =>
  line(longest)
    .transform((text) => text || null)
    .nullish();

/** A name to sign in with: it begins with a letter, so that nobody takes another's number or address for a name. */
export const usernameShape = z
  .string()
  .trim()
  .regex(/^[a-z][a-z0-9._-]{2,49}$/i, 'errors.account.username');

export const fullNameShape = line(200).min(2, 'errors.too_short');

export const emailShape = z
  .string()
  .trim()
  .max(254, 'errors.too_long')
  .pipe(z.email({ error: 'errors.account.email' }));

/** An Indonesian mobile number as people write it, kept as +62… (domain 2.9). */
export const mobileNumberShape = z
  .string()
  .trim()
  .max(40, 'errors.too_long')
  .transform((typed, check) => {
    const number = typed === '' ? null : canonicalise(typed);
    if (number !== null && !/^\+628\d{8,11}$/.test(number))
      check.addIssue({ code: 'custom', message: 'errors.account.mobile_number' });
    return number;
  })
  .nullish();

/** Indonesia's three times. */
const time_zones = ['Asia/Jakarta', 'Asia/Pontianak', 'Asia/Makassar', 'Asia/Jayapura'] as const;

/** What of a person can be changed, all of it personal but the language and the zone. */
export const profileSchema = z.object({
  full_name: fullNameShape.meta({ personal: true }),
  email: emailShape.nullable().meta({ group: 'contact', personal: true }),
  mobile_number: mobileNumberShape.meta({ group: 'contact', personal: true }),
  phone_number: optionalLine(30).meta({ group: 'contact', personal: true }),
  fax_number: optionalLine(30).meta({ group: 'contact', personal: true }),
  address: optionalLine(300).meta({ group: 'contact', personal: true }),
  city: optionalLine(100).meta({ group: 'contact', personal: true }),
  postal_code: optionalLine(10).meta({ group: 'contact', personal: true }),
  language: z.enum(languages).meta({ group: 'ways' }),
  time_zone: z.enum(time_zones).meta({ group: 'ways', options: 'time_zones' }),
});

export type SavedAccount =
  | { state: 'done'; account: Account }
  | { state: 'refused'; because: 'username_taken' | 'email_taken' }
  | { state: 'conflict' };

/**
 * Opens an account; of two with one name or one address at once one comes first. An address belongs to one person even
 * before it is proven, or the second could never sign in with it.
 */
export async function openAccount(tx: Transaction, account: NewAccount): Promise<SavedAccount> {
  if (account.email && (await isAddressTaken(tx, account.email))) return { state: 'refused', because: 'email_taken' };
  // The name may be taken in this very instant; without the savepoint that would spoil the caller's transaction.
  await sql`SAVEPOINT account`.execute(tx);
  try {
    return { state: 'done', account: await createAccount(tx, account) };
  } catch (error) {
    if ((error as { code?: unknown }).code !== unique_violation) throw error;
    await sql`ROLLBACK TO SAVEPOINT account`.execute(tx);
    return { state: 'refused', because: 'username_taken' };
  }
}

const unique_violation = '23505';

/**
 * Changes what describes a person, unless somebody did since. An address that changes takes every code and link with it that
 * was sent to the old one: whoever reads mail there is not this person.
 */
export async function changeAccount(
  tx: Transaction,
  before: Pick<Account, 'id' | 'version' | 'email' | 'mobile_number'>,
  change: Description,
): Promise<SavedAccount> {
  const is_new = change.email !== undefined && change.email !== before.email;
  if (is_new && change.email && (await isAddressTaken(tx, change.email, before.id)))
    return { state: 'refused', because: 'email_taken' };
  const account = await updateAccount(tx, before, change);
  if (!account) return { state: 'conflict' };
  if (is_new) await voidProofs(tx, { subject: account.id });
  return { state: 'done', account };
}

/** Whether another person has this address, proven or not; whoever asks for the same one waits until this is decided. */
async function isAddressTaken(tx: Transaction, email: string, account_id?: string): Promise<boolean> {
  const canonical = canonicalise(email);
  await sql`SELECT pg_advisory_xact_lock(hashtextextended(${`address ${canonical}`}, 0))`.execute(tx);
  const { rows } = await sql`SELECT FROM (
      SELECT account_id FROM account_identifiers WHERE canonical = ${canonical}
      UNION ALL SELECT id FROM accounts WHERE lower(email) = ${email.toLowerCase()}) AS known
    WHERE account_id IS DISTINCT FROM ${account_id ?? null}::uuid LIMIT 1`.execute(tx);
  return rows.length > 0;
}
