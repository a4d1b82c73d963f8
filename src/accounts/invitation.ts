/** Invitations: a person whose account somebody else opened makes its first password, by a link sent to their address. */

import { type AuditRequest, record } from '../audit/audit.ts';
import { now } from '../clock.ts';
import type { Config } from '../config.ts';
import { deriveKeys } from '../crypto.ts';
import { type Database, inTransaction, type Transaction } from '../database.ts';
import { mailKeys, sendMail } from '../delivery/outbox.ts';
import { formatDateTime } from '../i18n/dates.ts';
import type { Jobs } from '../jobs.ts';
import { listRoles } from '../permissions.ts';
import { policy } from '../policy/policy.ts';
import { findProof, issueProof, spendProof, voidProofs } from '../proofs.ts';
import { isOpen } from './locks.ts';
import { hashPassword } from './password.ts';
import { checkNewPassword, daysOf } from './password-rules.ts';
import { findPasswordHash, writePassword } from './password-store.ts';
import { findAccount, verifyEmail } from './store.ts';

/** What inviting needs. */
export interface InvitationStore {
  db: Database;
  jobs: Jobs;
  /** Of proofs. */
  keys: Buffer[];
  /** Of what mails carry sealed. */
  mail_keys: Buffer[];
  /** Gapura's own address; the link in the mail begins with it, whatever a request said. */
  url: string;
  /** Whom people turn to; stands in the mail. */
  support: string;
}

export function openInvitations(db: Database, jobs: Jobs, config: Config): InvitationStore {
  return {
    db,
    jobs,
    keys: deriveKeys(config.secrets, 'proofs'),
    mail_keys: mailKeys(config),
    url: config.url,
    support: `${config.support_name}, ${config.support_email}`,
  };
}

export interface InvitationOrder {
  account_id: string;
  /** Who invites; without one, the support stands in the mail. */
  by?: string;
  request?: AuditRequest;
}

export type InviteOutcome =
  | { state: 'invited'; expires_at: Date }
  | { state: 'refused'; because: 'unknown' | 'closed' | 'has_password' | 'no_address' };

/** Invites the person of an account without password, by mail, in the caller's transaction. */
export function inviteAccount(tx: Transaction, store: InvitationStore, order: InvitationOrder): Promise<InviteOutcome> {
  return invite(tx, store, order, false);
}

/** Invites again: the link that was sent before opens nothing any more, wherever it went. */
export function resendInvitation(
  tx: Transaction,
  store: InvitationStore,
  order: InvitationOrder,
): Promise<InviteOutcome> {
  return invite(tx, store, order, true);
}

async function invite(
  tx: Transaction,
  store: InvitationStore,
  { account_id, by, request }: InvitationOrder,
  again: boolean,
): Promise<InviteOutcome> {
  const account = await findAccount(tx, account_id);
  if (!account) return { state: 'refused', because: 'unknown' };
  if (!(await isOpen(tx, account_id))) return { state: 'refused', because: 'closed' };
  if (await findPasswordHash(tx, account_id)) return { state: 'refused', because: 'has_password' };
  if (!account.email) return { state: 'refused', because: 'no_address' };

  const { link, proof_id, expires_at } = await issueLink(tx, store, account_id, account.email);
  const { language, time_zone, full_name, username } = account;
  const inviter = by === undefined ? undefined : await findAccount(tx, by);
  const mail = await sendMail(tx, store.jobs, {
    account_id,
    to: account.email,
    language,
    template: 'invitation',
    values: {
      name: full_name,
      username,
      inviter: inviter?.full_name ?? store.support,
      time: formatDateTime(language, expires_at, time_zone),
      support: store.support,
    },
    secret: { text: link, keys: store.mail_keys, proof_id },
  });
  if (mail.state === 'refused') {
    await voidProofs(tx, { purpose: 'invitation', subject: account_id });
    return { state: 'refused', because: 'no_address' };
  }
  await record(tx, { kind: 'account_invited', account_id, actor_id: by ?? null, detail: { again }, request });
  return { state: 'invited', expires_at };
}

/** A link for the first administrator of an installation, shown at the terminal: it proves no address. */
export async function printInvitation(
  tx: Transaction,
  store: Pick<InvitationStore, 'keys' | 'url'>,
  account_id: string,
): Promise<{ link: string; expires_at: Date }> {
  const { link, expires_at } = await issueLink(tx, store, account_id, 'terminal');
  await record(tx, { kind: 'account_invited', account_id, detail: { again: false } });
  return { link, expires_at };
}

/** The one link of an account: what was sent before opens nothing, also where the address has been corrected since. */
async function issueLink(
  tx: Transaction,
  { keys, url }: Pick<InvitationStore, 'keys' | 'url'>,
  account_id: string,
  target: string,
): Promise<{ link: string; proof_id: string; expires_at: Date }> {
  await voidProofs(tx, { purpose: 'invitation', subject: account_id });
  const place = await tx
    .selectFrom('account_organisations')
    .select('organisation_id')
    .where('account_id', '=', account_id)
    .orderBy('created_at')
    .executeTakeFirst();
  const lifetime = policy('invitation.lifetime', { organisation_id: place?.organisation_id }) * 86_400;
  const proof = { purpose: 'invitation', subject: account_id, target, lifetime } as const;
  const { id: proof_id, secret } = await issueProof(tx, keys, proof);
  return { link: `${url}/invitation/${secret}`, proof_id, expires_at: new Date(now().getTime() + lifetime * 1000) };
}

/** What the page of an invitation shows. */
export interface Invitation {
  account_id: string;
  username: string;
  full_name: string;
  roles: string[];
}

/** The invitation behind a link, if it can still be accepted. Looking at it takes nothing. */
export async function findInvitation({ db, keys }: InvitationStore, token: string): Promise<Invitation | undefined> {
  const proof = await findProof(db, keys, { purpose: 'invitation', flow: token });
  if (!proof?.subject || !(await isWaiting(db, proof.subject))) return undefined;
  const [account, roles] = await Promise.all([findAccount(db, proof.subject), listRoles(db, proof.subject)]);
  if (!account) return undefined;
  const { id, username, full_name } = account;
  return { account_id: id, username, full_name, roles: roles.map(({ role }) => role) };
}

/** Whether an account is open and has no password yet. */
async function isWaiting(db: Database, account_id: string): Promise<boolean> {
  return (await isOpen(db, account_id)) && (await findPasswordHash(db, account_id)) === undefined;
}

export type AcceptOutcome =
  | { state: 'accepted'; username: string }
  /** `broken` are the keys of the rules that the password breaks; the invitation still stands. */
  | { state: 'refused'; because: 'rules'; broken: string[] }
  /** Used, too late, replaced, unknown, or of an account that is closed or has a password: not told apart. */
  | { state: 'refused'; because: 'over' };

/**
 * Makes the first password. The link is spent in the same transaction that writes it, so that of many at once one wins; and
 * since it came by mail, the address it was sent to is proven by it.
 * @throws QueueFull when too many passwords are being hashed
 */
export async function acceptInvitation(
  store: InvitationStore,
  { token, password, request }: { token: string; password: string; request: AuditRequest },
): Promise<AcceptOutcome> {
  const { db, keys } = store;
  const invitation = await findInvitation(store, token);
  // What no link opens costs no hash.
  if (!invitation) return refuse(store, token, request);
  const broken = await checkNewPassword(db, { ...invitation, password });
  // Where another was first meanwhile, its password is what the rules object to: the link is over then.
  if (broken.length > 0)
    return (await findInvitation(store, token))
      ? { state: 'refused', because: 'rules', broken }
      : refuse(store, token, request);
  const hash = await hashPassword(password);
  const { account_id, username } = invitation;
  const accepted = await inTransaction(db, async (tx) => {
    const spent = await spendProof(tx, keys, { purpose: 'invitation', secret: token, subject: account_id });
    if (spent.state !== 'spent' || !(await isWaiting(tx, account_id))) return false;
    await writePassword(tx, account_id, hash, daysOf(invitation.roles));
    const verified = await verifyEmail(tx, account_id, spent.proof.target);
    await record(tx, { kind: 'invitation_accepted', account_id, detail: { verified }, request });
    return true;
  });
  return accepted ? { state: 'accepted', username } : refuse(store, token, request);
}

/** Says only that it is over; why, the audit keeps. A token that nobody was sent concerns nobody. */
async function refuse({ db, keys }: InvitationStore, token: string, request: AuditRequest): Promise<AcceptOutcome> {
  // Of a closed account it stays as it is: the account may be opened again in time.
  const waiting = await findProof(db, keys, { purpose: 'invitation', flow: token });
  const spent = waiting ? undefined : await spendProof(db, keys, { purpose: 'invitation', secret: token });
  const because = spent?.state === 'refused' ? spent.because : 'closed';
  const account_id = waiting?.subject ?? (spent?.state === 'refused' ? spent.subject : null);
  if (account_id)
    await inTransaction(db, (tx) =>
      record(tx, { kind: 'invitation_refused', account_id, detail: { because }, request }),
    );
  return { state: 'refused', because: 'over' };
}
