/** Notices of what happened to a person's ways into the account, each with a button for "that was not me". */

import { lockAccount } from '../accounts/account.ts';
import { findAccount, listAddresses } from '../accounts/store.ts';
import { type AuditRequest, record } from '../audit/audit.ts';
import { now } from '../clock.ts';
import { inTransaction, type Transaction } from '../database.ts';
import { sendMail } from '../delivery/outbox.ts';
import { formatDateTime } from '../i18n/dates.ts';
import { nameDevice, networkOf } from '../i18n/devices.ts';
import { translator } from '../i18n/messages.ts';
import { findProof, issueProof, spendProof } from '../proofs.ts';
import type { RecoveryStore } from './recovery.ts';
import { listProven } from './store.ts';

/** What a notice tells of. */
export type NoticeKind =
  | 'new_browser'
  | 'password_changed'
  | 'password_reset'
  | 'recovery_address_added'
  | 'recovery_address_removed'
  | 'recovery_used';

/** What a mail tells of: also of what the button itself has done, and that one has no further button. */
type MailKind = NoticeKind | 'account_frozen';

/**
 * Tells every address at which the person is known, and those in `also`, but not the one in `but`. Each mail has a link of
 * its own, whose page can only freeze the account.
 */
export async function tellEverywhere(
  tx: Transaction,
  store: RecoveryStore,
  kind: MailKind,
  { account_id, request, shown, also = [], but }: NoticeOrder,
): Promise<void> {
  const account = await findAccount(tx, account_id);
  if (!account) return;
  const { language, time_zone, full_name, username } = account;
  const proven = (await listProven(tx, account_id)).map(({ address }) => address);
  const known = [...(await listAddresses(tx, account_id)), ...proven, ...also];
  const addresses = new Map(known.map((address) => [address.toLowerCase(), address]));
  if (but) addresses.delete(but.toLowerCase());
  const values = {
    name: full_name,
    username,
    time: formatDateTime(language, now(), time_zone),
    device: nameDevice(translator(language), request.user_agent),
    network: networkOf(request.address),
    ...(shown === undefined ? {} : { address: shown }),
    support: store.support,
  };
  for (const to of addresses.values()) {
    const mail = { account_id, to, language, template: kind, values };
    if (kind === 'account_frozen') {
      await sendMail(tx, store.jobs, mail);
      continue;
    }
    const proof = { purpose: 'not_me', subject: account_id, target: kind, keeps_others: true } as const;
    const { secret } = await issueProof(tx, store.keys, proof);
    const link = { text: `${store.url}/notices/${secret}`, keys: store.mail_keys };
    await sendMail(tx, store.jobs, { ...mail, secret: link });
  }
}

/** Tells of a sign-in in a new browser; of the same device in the same network not again within the hour. */
export function tellOfBrowser(store: RecoveryStore) {
  return async (tx: Transaction, { account_id, request }: NoticeOrder): Promise<void> => {
    const device = nameDevice(translator('id'), request.user_agent);
    // In the transaction: where the sign-in is undone, nobody has been told.
    const spent = await store.limits.spend(tx, 'new_browser', [account_id, device, networkOf(request.address)]);
    if (spent.state === 'allowed') await tellEverywhere(tx, store, 'new_browser', { account_id, request });
  };
}

/** Tells of a password that was changed in a session of the person's. */
export function tellOfPassword(store: RecoveryStore) {
  return (tx: Transaction, order: NoticeOrder): Promise<void> => tellEverywhere(tx, store, 'password_changed', order);
}

export interface NoticeOrder {
  account_id: string;
  request: AuditRequest;
  /** The address that it is about, masked. */
  shown?: string;
  also?: string[];
  but?: string;
}

/** The notice behind a link, while it can be answered. Looking at it takes nothing. */
export async function findNotice(
  { db, keys }: RecoveryStore,
  token: string,
): Promise<{ kind: NoticeKind } | undefined> {
  const proof = await findProof(db, keys, { purpose: 'not_me', flow: token });
  return proof && { kind: proof.target as NoticeKind };
}

/**
 * The person says that it was not they: the account is frozen, with all that was begun under it, until an officer has looked.
 * Nothing is restored and nobody signed in, for the holder of an old mailbox may be anybody.
 * @returns whether the link was still good
 */
export async function disown(store: RecoveryStore, token: string, request: AuditRequest): Promise<boolean> {
  return inTransaction(store.db, async (tx) => {
    const spent = await spendProof(tx, store.keys, { purpose: 'not_me', secret: token });
    if (spent.state !== 'spent' || !spent.proof.subject) return false;
    const { subject: account_id, target: told } = spent.proof;
    await record(tx, { kind: 'disowned', account_id, detail: { told }, request });
    await lockAccount(tx, account_id, 'frozen', { because: `not_me: ${told}` });
    // It may have been the holder of a mailbox that is the person's no more.
    await tellEverywhere(tx, store, 'account_frozen', { account_id, request });
    return true;
  });
}
