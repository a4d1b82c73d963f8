/** What a second person is asked to agree to: from what to what it would change things as they stand, in words. */

import { canonicalise } from '../accounts/identifiers.ts';
import { findAccount } from '../accounts/store.ts';
import { readAsked } from '../approvals.ts';
import { type Database, inTransaction, type Transaction } from '../database.ts';
import { translator } from '../i18n/messages.ts';
import { findAgency } from '../organisations/agency.ts';
import { findOrganisation } from '../organisations/organisation.ts';
import { time_zones } from '../organisations/shapes.ts';
import { isWithin } from '../permissions.ts';
import { type FieldChange, isFilled, listChanges, readBefore } from './comparison.ts';
import { labelOf, readSources, showValue } from './facts.ts';
import { isUnseen, listFields, optionsOf } from './fields.ts';
import { findEntry } from './listing.ts';
import { inputOf, reachOfActor } from './operation.ts';
import type { Desk, Entry, Operation, Resource } from './resource.ts';
import { type Reader, wordOf } from './words.ts';

/** One field in words; both are null for whoever may not do it and learns only that the field is part of it. */
export interface ProposedChange {
  field: string;
  from: string | null;
  to: string | null;
}

/** A way to do something, with the entry that it would be done to. */
interface Target {
  resource: Resource;
  operation: Operation;
  entry: Entry | undefined;
}

/** What an approval would do; of one that is decided nothing is kept but what the histories tell. */
export async function tellProposal(desk: Desk, approval: Entry): Promise<ProposedChange[]> {
  const found = findOperation(desk, approval);
  if (!found || approval.state !== 'waiting') return [];
  const told = await inTransaction(desk.db, (tx) => tellTarget({ ...desk, db: tx }, found, approval));
  const { resource, operation } = found;
  const name = (field: string) => {
    const known = listFields(operation.input).find((one) => one.name === field);
    const reader = readerOf(desk);
    return known ? labelOf(reader, resource, known) : (wordOf(reader, `admin.${resource.name}.${field}`) ?? field);
  };
  return told ?? (approval.fields as string[]).map((field) => ({ field: name(field), from: null, to: null }));
}

/** What an approval is called: of which kind, what would be done, and to what, where whoever reads may see that. */
export async function nameProposal(desk: Desk, approval: Entry): Promise<string> {
  const { resource, operation } = findOperation(desk, approval) ?? {};
  if (!resource || !operation) return `${approval.resource}: ${approval.operation}`;
  const t = translator(desk.language);
  const deed = `${t(`admin.${resource.name}.title`)}: ${t(`admin.${resource.name}.op_${operation.name}`)}`;
  if (approval.entry_id === null) return deed;
  const reach = reachOfActor(desk.actor, resource.permission);
  const entry = reach && (await findEntry(desk.db, resource, reach, String(approval.entry_id)));
  return `${deed} – ${entry ? await resource.title(entry, desk.language, desk) : approval.entry_id}`;
}

function findOperation(desk: Desk, approval: Entry): Omit<Target, 'entry'> | undefined {
  const resource = desk.findResource(String(approval.resource));
  const operation = resource?.operations.find(({ name }) => name === approval.operation);
  return resource && operation && { resource, operation };
}

/** Undefined for whoever could not do it: values are for those alone who could also have typed them. */
async function tellTarget(
  desk: Desk & { db: Transaction },
  { resource, operation }: Omit<Target, 'entry'>,
  approval: Entry,
): Promise<ProposedChange[] | undefined> {
  const reach = reachOfActor(desk.actor, operation.permission);
  const input = await readAsked(desk.db, desk.config, approval.id);
  if (!reach || !input) return undefined;
  const is_new = operation.kind === 'create';
  const entry = is_new ? undefined : await findEntry(desk.db, resource, reach, String(approval.entry_id));
  if (!is_new && !entry) return undefined;
  if (reach !== 'everything' && (operation.place || is_new)) {
    const place = (await operation.place?.(desk.db, input, entry)) ?? {};
    if (!isWithin(reach, place)) return undefined;
  }
  const account = desk.actor.account_id ? await findAccount(desk.db, desk.actor.account_id) : undefined;
  const zone = account?.time_zone ?? time_zones[0];
  const target = { resource, operation, entry };
  const changes = await listProposed(desk, target, input);
  const sources = await readSources(
    desk,
    resource,
    changes.map(({ field }) => field),
    entry,
  );
  const reader = readerOf(desk);
  return Promise.all(
    changes.map(async (change) => ({
      field: labelOf(reader, resource, change.field),
      from: await tell(change, change.from),
      to: await tell(change, change.to),
    })),
  );

  async function tell({ field }: FieldChange, value: unknown): Promise<string> {
    if (!isFilled(value)) return '';
    // Not even to whoever decides: a secret is between its owner and the place where it is used.
    if (isUnseen(field)) return reader.state.t('admin.approvals.unseen');
    const name = await names[field.name]?.(desk.db, String(value));
    if (name) return name;
    const options = field.meta.options ? optionsOf(field, sources, String) : [];
    const labels = [value].flat().map((one) => options.find((option) => option.value === one)?.label);
    if (labels.length > 0 && labels.every((label) => label !== undefined)) return labels.join(', ');
    return showValue(reader, resource, field, value, zone).text;
  }
}

async function listProposed(desk: Desk, { resource, operation, entry }: Target, input: Record<string, unknown>) {
  const gone =
    operation.kind === 'remove' && entry
      ? listFields(resource.entry)
          .map((field) => ({ field, from: entry[field.name], to: null }))
          .filter(({ from }) => isFilled(from))
      : [];
  return [...gone, ...listChanges(inputOf(operation, entry), await readBefore(desk, operation, entry), input)];
}

/** What is typed as a number or a code, by the name that people know. */
const names: Record<string, (db: Database, value: string) => Promise<string | undefined>> = {
  async account(db, value) {
    const row = await db
      .selectFrom('account_identifiers')
      .select('account_id')
      .where('canonical', '=', canonicalise(value))
      .executeTakeFirst();
    const account = row && (await findAccount(db, row.account_id));
    return account && `${account.full_name} (${account.username})`;
  },
  async agency_code(db, value) {
    const agency = await findAgency(db, value);
    return agency && `${agency.name} (${agency.code})`;
  },
  async organisation_id(db, value) {
    const organisation = await findOrganisation(db, value);
    return organisation && `${organisation.name} (${organisation.npwp})`;
  },
};

function readerOf({ language }: Desk): Reader {
  return { state: { language, t: translator(language) } };
}
