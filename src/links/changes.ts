/** What a person changes about a link that stands: its name, which one is the default, and its end. */

import { type AuditKind, type AuditRequest, record } from '../audit/audit.ts';
import { inTransaction, type Transaction } from '../database.ts';
import { type LinkTemplate, tell } from './letters.ts';
import type { LinkStore } from './link.ts';
import { deleteLink, findLink, type Link, labelLink, lineUp, makeDefault } from './store.ts';

/** Gives a link a name of the person's own, or takes it away. Undefined when it is not this person's. */
export function renameLink(
  store: LinkStore,
  account_id: string,
  id: string,
  label: string | null,
  request: AuditRequest,
): Promise<Link | undefined> {
  return change(store, account_id, id, request, { kind: 'link_changed', template: 'link_renamed' }, (tx) =>
    labelLink(tx, account_id, id, label),
  );
}

/** Makes a link the one that its application is told of where no directorate decides. */
export function chooseDefault(
  store: LinkStore,
  account_id: string,
  id: string,
  request: AuditRequest,
): Promise<Link | undefined> {
  return change(
    store,
    account_id,
    id,
    request,
    { kind: 'link_changed', template: 'link_default_changed' },
    async (tx, link) => {
      await makeDefault(tx, link);
      return { ...link, is_default: true };
    },
  );
}

/** Removes a link: from the next token on the application is told nothing of it. */
export function removeLink(
  store: LinkStore,
  account_id: string,
  id: string,
  request: AuditRequest,
): Promise<Link | undefined> {
  return change(store, account_id, id, request, { kind: 'link_removed', template: 'link_removed' }, (tx) =>
    deleteLink(tx, account_id, id),
  );
}

/** A change of one's own link: one after the other, with its audit row and its mail, all or nothing. */
async function change(
  store: LinkStore,
  account_id: string,
  id: string,
  request: AuditRequest,
  said: { kind: AuditKind; template: LinkTemplate },
  work: (tx: Transaction, link: Link) => Promise<Link | undefined>,
): Promise<Link | undefined> {
  const known = await findLink(store.db, account_id, id);
  if (!known) return undefined;
  return inTransaction(store.db, async (tx) => {
    await lineUp(tx, account_id, known.application_id);
    const link = await findLink(tx, account_id, id);
    const changed = link && (await work(tx, link));
    if (!changed) return undefined;
    await record(tx, { kind: said.kind, account_id, detail: { application: known.application_id }, request });
    await tell(store, tx, account_id, said.template, known.application_name, known.username);
    return changed;
  });
}
