/** What every way of proving shares: the tries that are paid for, the breaker of an application, and the link that is kept. */

import { type Application, holdSharing } from '../applications/application.ts';
import { type AuditRequest, record } from '../audit/audit.ts';
import { inTransaction, type Transaction } from '../database.ts';
import type { LimitKey } from '../limits/limits.ts';
import type { LimitName } from '../limits/table.ts';
import { findOrganisationOf } from '../organisations/organisation.ts';
import { listHolders, takeName } from './holders.ts';
import { tell } from './letters.ts';
import type { LinkOutcome, LinkStore, Refused, Unavailable, Verification } from './link.ts';
import { addRequest, dropRequest } from './requests.ts';
import { lineUp, type ProvenName, writeLink } from './store.ts';

/** Whose link it is to be, and from where it is asked for. */
export interface Claimant {
  account_id: string;
  request: AuditRequest;
}

export type Paid =
  | { state: 'paid'; counts: number[]; giveBack(): Promise<void> }
  | Extract<LinkOutcome, { state: 'waiting' }>;

/** Pays for one try on every lane before it is made; where one refuses, what was paid before it is given back. */
export async function payForTry(
  { db, limits }: LinkStore,
  lanes: readonly (readonly [LimitName, LimitKey])[],
): Promise<Paid> {
  const counts: number[] = [];
  const giveBack = async () => {
    for (const [at, count] of counts.entries()) {
      const lane = lanes[at];
      if (lane) await limits.giveBack(db, lane[0], lane[1], count);
    }
  };
  for (const [limit, key] of lanes) {
    const spent = await limits.spend(db, limit, key);
    if (spent.state === 'refused') {
      await giveBack();
      return { state: 'waiting', retry_after: spent.retry_after };
    }
    counts.push(spent.count);
  }
  return { state: 'paid', counts, giveBack };
}

/**
 * Asks an application, unless it is being left alone. What it does not answer counts against it and is given back to the
 * person: a try that no application answered was no guess, so an outage keeps nobody from a user name of their own.
 */
export async function askApplication<Answer extends { state: string }>(
  store: LinkStore,
  application_id: string,
  giveBack: () => Promise<void>,
  ask: () => Promise<Answer | Unavailable>,
): Promise<Answer | Extract<LinkOutcome, { state: 'unavailable' }>> {
  const { db, limits } = store;
  const paused = await askBreaker(store, application_id);
  if (paused > 0) {
    await giveBack();
    return { state: 'unavailable', because: 'paused', retry_after: paused };
  }
  const answer = await ask();
  if (isUnavailable(answer)) {
    const { state, because } = answer;
    // An answer that makes no sense may be the fault of what was typed: it counts against the person, not the application.
    if (because === 'broken') return { state, because };
    await giveBack();
    if (paused === 0) await limits.spend(db, 'link_breaker', application_id);
    return { state, because };
  }
  // It answered: the line is sound, whatever it said.
  await limits.forget(db, 'link_breaker', application_id);
  return answer;
}

function isUnavailable(answer: { state: string }): answer is Unavailable {
  return answer.state === 'unavailable';
}

/**
 * Whether an application may be called now. Only calls without an answer count; once they are too many, it is left alone for
 * a while and then tried again by one at a time, who pays before the call.
 * @returns seconds to wait; 0 to call; less than 0 to call as the one who tries again
 */
async function askBreaker({ db, limits }: LinkStore, application_id: string): Promise<number> {
  const { is_used_up, retry_after } = await limits.look(db, 'link_breaker', application_id);
  if (retry_after > 0) return retry_after;
  if (!is_used_up) return 0;
  const probe = await limits.spend(db, 'link_breaker', application_id);
  return probe.state === 'refused' ? probe.retry_after : -1;
}

/** Acts on what an application said: the link, or a row in the audit. `no` is what its plain refusal means here. */
export async function settle(
  store: LinkStore,
  claimant: Claimant,
  application: Application,
  answer: Exclude<Verification, Unavailable>,
  no: Refused['because'],
): Promise<LinkOutcome> {
  if (answer.state === 'verified') return keepLink(store, claimant, application, answer.name);
  const because = answer.state === 'locked' ? 'locked' : no;
  const { account_id, request } = claimant;
  await inTransaction(store.db, (tx) =>
    record(tx, { kind: 'link_refused', account_id, detail: { application: application.id, because }, request }),
  );
  return { state: 'refused', because };
}

async function keepLink(
  store: LinkStore,
  { account_id, request }: Claimant,
  application: Application,
  name: ProvenName,
): Promise<LinkOutcome> {
  return inTransaction(store.db, async (tx) => {
    await lineUp(tx, account_id, application.id);
    // As it is now, and until the link stands: who holds the names is written anew when it changes.
    const sharing = (await holdSharing(tx, application.id)) ?? application.sharing;
    // What is linked to a person already is not another's, however the application's policy of sharing changed since.
    const is_theirs =
      (await listHolders(tx, application.id, name.subject)).includes(account_id) ||
      (await takeName(tx, application.id, name.subject, await holderOf(tx, account_id, sharing)));
    if (!is_theirs) {
      if (await addRequest(tx, account_id, application.id, name)) {
        await record(tx, { kind: 'link_requested', account_id, detail: { application: application.id }, request });
        await tell(store, tx, account_id, 'link_requested_claimant', application.name, name.username);
        for (const holder of await listHolders(tx, application.id, name.subject)) {
          await tell(store, tx, holder, 'link_requested_holder', application.name, name.username);
        }
      }
      return { state: 'held', username: name.username };
    }
    const link = await writeLink(tx, account_id, application.id, name);
    await dropRequest(tx, account_id, application.id, name.subject);
    await record(tx, {
      kind: 'link_added',
      account_id,
      detail: { application: application.id, renewed: !link.is_new },
      request,
    });
    if (link.is_new) await tell(store, tx, account_id, 'link_added', application.name, link.username);
    return { state: 'linked', link };
  });
}

/** Who holds a name: the person, or the organisation where the application lets its people share. */
export async function holderOf(tx: Transaction, account_id: string, sharing: Application['sharing']): Promise<string> {
  if (sharing === 'one_person') return account_id;
  return (await findOrganisationOf(tx, account_id))?.id ?? account_id;
}
