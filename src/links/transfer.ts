/** What an officer decides about a user name that two people have proven: it passes to the one who asks, or stays. */

import { holdSharing } from '../applications/application.ts';
import { type AuditRequest, record } from '../audit/audit.ts';
import type { Transaction } from '../database.ts';
import { giveName, listHolders } from './holders.ts';
import { holderOf } from './keep.ts';
import { tell } from './letters.ts';
import type { LinkStore } from './link.ts';
import { type Decision, decideRequest, findRequest, type LinkRequest } from './requests.ts';
import { dateLink, deleteLink, lineUp, listLinks, writeLink } from './store.ts';

/** Who decides what. */
export interface TransferDecision {
  id: string;
  decision: Decision;
  /** The officer. */
  by: string;
  /** Why; the one who asked is told. */
  because: string;
  /** Of the application, for the mails. */
  application_name: string;
  request: AuditRequest;
}

export type DecisionOutcome =
  | { state: 'decided' }
  /** Nobody decides what concerns themselves. */
  | { state: 'refused'; because: 'own' }
  /** Somebody else was first, or the name changed hands meanwhile. */
  | { state: 'conflict' };

/** Decides a request in the caller's transaction, which must be rolled back unless it is decided. */
export async function decideTransfer(
  store: Pick<LinkStore, 'jobs' | 'support'>,
  tx: Transaction,
  { id, decision, by, because, application_name, request }: TransferDecision,
): Promise<DecisionOutcome> {
  const asked = await findRequest(tx, id);
  if (!asked) return { state: 'conflict' };
  const { account_id, application_id, subject, username } = asked;
  const holders = await listHolders(tx, application_id, subject);
  if (account_id === by || holders.includes(by)) return { state: 'refused', because: 'own' };
  if (!(await decideRequest(tx, id, { decision, by, because }))) return { state: 'conflict' };
  await record(tx, {
    kind: 'link_transfer_decided',
    account_id,
    actor_id: by,
    detail: { application: application_id, decision },
    request,
  });
  if (decision === 'refused') {
    await tell(store, tx, account_id, 'link_transfer_refused', application_name, username, { because });
    return { state: 'decided' };
  }
  const losers = await passName(tx, asked, holders);
  if (!losers) return { state: 'conflict' };
  for (const loser of losers) {
    await record(tx, {
      kind: 'link_removed',
      account_id: loser,
      actor_id: by,
      detail: { application: application_id, transferred: true },
      request,
    });
    await tell(store, tx, loser, 'link_transferred_away', application_name, username);
  }
  await tell(store, tx, account_id, 'link_transfer_granted', application_name, username);
  return { state: 'decided' };
}

/**
 * Passes a name on: its holder, the link of the one who asked, and the end of the others', of which each leaves a default.
 * @returns who had it; undefined when somebody has just come to it whose links were not lined up
 */
async function passName(tx: Transaction, asked: LinkRequest, holders: string[]): Promise<string[] | undefined> {
  const { account_id, application_id, subject, username, display_name, directorate, proved_at } = asked;
  // Always in the same order, so that of two officers none waits for the other for ever.
  const concerned = new Set([account_id, ...holders]);
  for (const person of [...concerned].sort()) await lineUp(tx, person, application_id);
  const sharing = (await holdSharing(tx, application_id)) ?? 'one_person';
  const heir = await holderOf(tx, account_id, sharing);
  const held_by = await giveName(tx, application_id, subject, heir);
  const found = await listHolders(tx, application_id, subject);
  if (!found.every((person) => concerned.has(person))) return undefined;
  const link = await writeLink(tx, account_id, application_id, { subject, username, display_name, directorate });
  await dateLink(tx, link, proved_at);
  // The people of one organisation share it from now on.
  if (held_by === heir) return [];
  const losers = found.filter((person) => person !== account_id);
  for (const loser of losers) {
    const lost = (await listLinks(tx, loser, application_id)).find((one) => one.subject === subject);
    if (lost) await deleteLink(tx, loser, lost.id);
  }
  return losers;
}
