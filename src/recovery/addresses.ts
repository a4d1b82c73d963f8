/** Recovery addresses: added by the person, proven by a code, removed again (document A, part I). */

import { canonicalise } from '../accounts/identifiers.ts';
import { emailShape } from '../accounts/profile.ts';
import { isPublicDomain } from '../accounts/public-domains.ts';
import { findAccount, listAddresses } from '../accounts/store.ts';
import { type AuditRequest, record } from '../audit/audit.ts';
import { now } from '../clock.ts';
import { type Database, inTransaction, type Transaction } from '../database.ts';
import { sendMail } from '../delivery/outbox.ts';
import { formatDateTime } from '../i18n/dates.ts';
import { listMailDomainsOf } from '../organisations/mail-domains.ts';
import { policy } from '../policy/policy.ts';
import { findProof, issueProof, spendProof, voidProofs } from '../proofs.ts';
import { maskAddress } from './mask.ts';
import { tellEverywhere } from './notices.ts';
import type { RecoveryStore } from './recovery.ts';
import * as store from './store.ts';

/** The first code of an address, and ten more. */
const most_sends = 11;
const code_lifetime = 86_400;

/** Who acts, on their own addresses. */
export interface AddressDeed {
  account_id: string;
  request: AuditRequest;
}

export type AddOutcome =
  | { state: 'added'; id: string }
  | { state: 'refused'; because: 'shape' | 'own' | 'domain' | 'too_many' | 'present' }
  | { state: 'waiting'; retry_after: number };

/**
 * Adds an address and sends its code. What leads to another person gets the same answer and a mail that says so to its owner,
 * for the answer must not tell whose addresses we know.
 */
export async function addAddress(
  parts: RecoveryStore,
  { account_id, request, typed }: AddressDeed & { typed: string },
): Promise<AddOutcome> {
  const { db, limits } = parts;
  const shape = emailShape.safeParse(typed.normalize('NFKC'));
  if (!shape.success) return { state: 'refused', because: 'shape' };
  const address = shape.data;
  const canonical = canonicalise(address);
  const because = await findFault(parts, account_id, canonical);
  if (because) return { state: 'refused', because };
  const spent = await limits.spend(db, 'recovery_address', account_id);
  if (spent.state === 'refused') return { state: 'waiting', retry_after: spent.retry_after };
  return inTransaction(db, async (tx): Promise<AddOutcome> => {
    const most = policy('recovery.addresses');
    const added = await store.insertAddress(tx, { account_id, address, canonical, verified_at: null }, most);
    if (!added) {
      const has = (await store.listAddressesOf(tx, account_id)).some((one) => one.canonical === canonical);
      return { state: 'refused', because: has ? 'present' : 'too_many' };
    }
    await sendProof(tx, parts, added);
    await record(tx, { kind: 'recovery_address_added', account_id, request });
    return { state: 'added', id: added.id };
  });
}

const domainOf = (address: string) => address.slice(address.lastIndexOf('@') + 1);

/** What an address must not be: one's own, or of a domain that is closed together with the account. */
async function findFault(
  { db, own_domains }: RecoveryStore,
  account_id: string,
  canonical: string,
): Promise<'own' | 'domain' | undefined> {
  const own = (await listAddresses(db, account_id)).map(canonicalise);
  if (own.includes(canonical)) return 'own';
  const offices = await listMailDomainsOf(db, account_id);
  const closed = [...own.map(domainOf), ...own_domains, ...offices].filter((one) => one && !isPublicDomain(one));
  const domain = domainOf(canonical);
  const isBelow = (one: string, other: string) => one === other || one.endsWith(`.${other}`);
  return closed.some((one) => isBelow(domain, one) || isBelow(one, domain)) ? 'domain' : undefined;
}

/** Sends a code to an address that waits for one; of somebody else's address only its owner is told. */
async function sendProof(tx: Transaction, parts: RecoveryStore, row: store.RecoveryAddress): Promise<void> {
  const { account_id, address, canonical, id } = row;
  const account = await findAccount(tx, account_id);
  if (!account) throw new Error('the account of a live session is gone');
  const is_anothers = await store.isOfAnother(tx, canonical, account_id);
  const { id: proof_id, secret } = await issueProof(tx, parts.keys, {
    purpose: 'recovery_address',
    subject: is_anothers ? null : account_id,
    target: canonical,
    flow: id,
    lifetime: code_lifetime,
  });
  const mail = await parts.limits.spend(parts.db, 'recovery_mail', ['address', canonical]);
  const { language, time_zone, full_name: name } = account;
  const time = formatDateTime(language, new Date(now().getTime() + code_lifetime * 1000), time_zone);
  const { support, mail_keys: keys } = parts;
  const common = { to: address, language, is_decoy: mail.state === 'refused' } as const;
  if (is_anothers)
    await sendMail(tx, parts.jobs, {
      ...common,
      account_id: null,
      template: 'recovery_address_taken',
      values: { time: formatDateTime(language, now(), parts.zone), support },
    });
  else
    await sendMail(tx, parts.jobs, {
      ...common,
      account_id,
      template: 'recovery_address_code',
      values: { name, time, support },
      secret: { text: `${secret.slice(0, 4)} ${secret.slice(4)}`, keys, proof_id },
    });
}

export type ResendOutcome = 'sent' | 'too_soon' | 'used_up' | 'gone';

/** Sends another code; the one before it is void. */
export async function resendCode(
  parts: RecoveryStore,
  { account_id, id }: AddressDeed & { id: string },
): Promise<ResendOutcome> {
  return inTransaction(parts.db, async (tx) => {
    const is_noted = await store.noteSend(tx, account_id, id, most_sends);
    const row = (await store.listAddressesOf(tx, account_id)).find((one) => one.id === id);
    if (!row || row.verified_at) return 'gone';
    if (!is_noted) return row.sends >= most_sends ? 'used_up' : 'too_soon';
    await sendProof(tx, parts, row);
    return 'sent';
  });
}

export type VerifyOutcome =
  | { state: 'verified' }
  | { state: 'wrong'; left: number }
  /** `gone`: there is nothing to verify any more, or a second click has done it. */
  | { state: 'expired' | 'used_up' | 'gone' };

/** Checks the typed code of an address; a right one makes it one that opens a recovery, and all others are told. */
export async function verifyAddress(
  parts: RecoveryStore,
  { account_id, id, code, request }: AddressDeed & { id: string; code: string },
): Promise<VerifyOutcome> {
  const row = (await store.listAddressesOf(parts.db, account_id)).find((one) => one.id === id);
  if (!row || row.verified_at) return { state: 'gone' };
  try {
    return await inTransaction(parts.db, async (tx): Promise<VerifyOutcome> => {
      const brought = { secret: code, flow: id, subject: account_id, target: row.canonical };
      const spent = await spendProof(tx, parts.keys, { purpose: 'recovery_address', ...brought });
      if (spent.state !== 'spent') {
        const because = spent.state === 'refused' ? spent.because : 'wrong';
        await record(tx, { kind: 'recovery_address_refused', account_id, detail: { because }, request });
        if (spent.state === 'wrong' && spent.left > 0) return { state: 'wrong', left: spent.left };
        if (spent.state === 'wrong' || because === 'used_up') return { state: 'used_up' };
        return { state: because === 'spent' ? 'gone' : 'expired' };
      }
      if (!(await store.proveAddress(tx, account_id, id))) return { state: 'gone' };
      await record(tx, { kind: 'recovery_address_verified', account_id, request });
      const shown = maskAddress(row.address);
      await tellEverywhere(tx, parts, 'recovery_address_added', { account_id, request, shown, but: row.address });
      return { state: 'verified' };
    });
  } catch (error) {
    // Somebody else has proven the same address in this instant.
    if ((error as { code?: unknown }).code === unique_violation) return { state: 'expired' };
    throw error;
  }
}

const unique_violation = '23505';

/** Removes an address, and with it what was begun by a code sent there; false when it is not there. */
export async function removeAddress(
  parts: RecoveryStore,
  { account_id, id, request }: AddressDeed & { id: string },
): Promise<boolean> {
  return inTransaction(parts.db, async (tx) => {
    const row = await store.deleteAddress(tx, account_id, id);
    if (!row) return false;
    await record(tx, {
      kind: 'recovery_address_removed',
      account_id,
      detail: { verified: row.verified_at !== null },
      request,
    });
    if (!row.verified_at) return true;
    // Whoever reads that mailbox may be why it is removed.
    await voidProofs(tx, { purpose: 'reset', subject: account_id });
    await store.endAll(tx, account_id);
    const notice = { account_id, request, shown: maskAddress(row.address), also: [row.address] };
    await tellEverywhere(tx, parts, 'recovery_address_removed', notice);
    return true;
  });
}

/** A person's recovery address as its page shows it. */
export type ShownAddress = Awaited<ReturnType<typeof store.listAddressesOf>>[number] & {
  /** Tries and codes that are left, of one that waits for its code; no tries when the code's time is over. */
  entries_left: number | undefined;
  sends_left: number;
};

export async function listRecoveryAddresses(parts: RecoveryStore, account_id: string): Promise<ShownAddress[]> {
  const rows = await store.listAddressesOf(parts.db, account_id);
  return Promise.all(
    rows.map(async (row) => {
      const proof = row.verified_at
        ? undefined
        : await findProof(parts.db, parts.keys, { purpose: 'recovery_address', flow: row.id });
      return {
        ...row,
        entries_left: proof && proof.attempts_allowed - proof.attempts,
        sends_left: most_sends - row.sends,
      };
    }),
  );
}

/** Writes down an address that was proven elsewhere; nobody is told. */
export async function saveProvenAddress(
  tx: Transaction | Database,
  account_id: string,
  address: string,
): Promise<void> {
  const canonical = canonicalise(address);
  const row = { account_id, address, canonical, verified_at: now() };
  await inTransaction(tx, (inside) => store.insertAddress(inside, row, policy('recovery.addresses')));
}
