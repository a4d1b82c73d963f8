/** Notices of what happened to a person's ways into the account, each with a button for "that was not me". */

import { lockAccount } from '../accounts/account.ts';
import { findAccount, listAddresses } from '../accounts/store.ts';
import { type AuditRequest, record } from '../audit/audit.ts';
import { now } from '../clock.ts';
import { inTransaction, type Transaction } from '../database.ts';
import { sendMail } from '../delivery/outbox.ts';
import { formatDateTime } from '../i18n/dates.ts';
import { translator } from '../i18n/messages.ts';
import { findProof, issueProof, spendProof } from '../proofs.ts';
import type { RecoveryStore } from './recovery.ts';
import { listProven } from './store.ts';

/** What a notice tells of. */
export type NoticeKind =
  | 'new_browser'
  | 'password_reset'
  | 'recovery_address_added'
  | 'recovery_address_removed'
  | 'recovery_used';

/**
 * Tells every address at which the person is known, and those in `also`, but not the one in `but`. Each mail has a link of
 * its own, whose page can only freeze the account.
 */
export async function tellEverywhere(
  tx: Transaction,
  store: RecoveryStore,
  kind: NoticeKind,
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
    const proof = { purpose: 'not_me', subject: account_id, target: kind, keeps_others: true } as const;
    const { secret } = await issueProof(tx, store.keys, proof);
    const link = { text: `${store.url}/notices/${secret}`, keys: store.mail_keys };
    await sendMail(tx, store.jobs, { account_id, to, language, template: kind, values, secret: link });
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
    return true;
  });
}

type Words = ReturnType<typeof translator>;

const browsers: [RegExp, string][] = [
  [/\bEdgA?\//, 'Edge'],
  [/\b(?:OPR|Opera)\b/, 'Opera'],
  [/\bSamsungBrowser\//, 'Samsung Internet'],
  [/\b(?:Firefox|FxiOS)\//, 'Firefox'],
  [/\b(?:Chrome|CriOS)\//, 'Chrome'],
  [/\bSafari\//, 'Safari'],
];
const systems: [RegExp, string][] = [
  [/\bAndroid\b/, 'Android'],
  [/\b(?:iPhone|iPad)\b/, 'iOS'],
  [/\bWindows\b/, 'Windows'],
  [/\bMac OS X\b/, 'macOS'],
  [/\bLinux\b/, 'Linux'],
];

/** A device as a person knows it. Of a list: what a stranger's program calls itself is no text of ours. */
function nameDevice(t: Words, user_agent = ''): string {
  const find = (list: [RegExp, string][]) => list.find(([sign]) => sign.test(user_agent))?.[1];
  const [browser, system] = [find(browsers), find(systems)];
  if (browser && system) return t('words.device', { browser, system });
  return browser ?? system ?? t('words.device_unknown');
}

/** The network of an address; the last part would name a household. */
function networkOf(address: string): string {
  if (address.includes(':')) {
    const [before = '', after] = address.split('::');
    const groups = before.split(':').filter(Boolean);
    const whole = after === undefined ? groups : [...groups, '0', '0', '0'];
    return `${whole.slice(0, 3).join(':')}::/48`;
  }
  return `${address.split('.').slice(0, 3).join('.')}.0/24`;
}
