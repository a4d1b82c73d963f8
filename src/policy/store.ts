/** What officers have set instead of the release's policies: rows with who, when and why, each for one place. */

import { sql } from 'kysely';
import type { Database, Transaction } from '../database.ts';
import {
  hasScope,
  isPolicyKey,
  meaningOf,
  orders,
  type Policy,
  type PolicyKey,
  policies,
  type ScopeKind,
  schemaOf,
} from './keys.ts';

/** Where a value is set; `id` is the role's name, the agency's code or an id, and empty for the whole system. */
export interface PolicyScope {
  kind: ScopeKind;
  id: string;
}

export const whole_system: PolicyScope = { kind: 'system', id: '' };

/** A value that somebody set. */
export interface SetPolicy {
  scope: PolicyScope;
  value: number | boolean | string;
  version: number;
  changed_by: string | null;
  changed_at: Date;
  because: string;
}

/** A policy with everything that is set for it, the whole system first. */
export type ListedPolicy = Policy & {
  key: PolicyKey;
  /** Message key of what it means. */
  meaning: string;
  set: SetPolicy[];
};

export type PolicyOutcome =
  /** `version` is what the next change must name; 0 once nothing is set. */
  | { state: 'done'; version: number }
  | { state: 'refused'; because: 'value' | 'scope' }
  /** It would be longer than `other`, or shorter: they belong together. */
  | { state: 'refused'; because: 'order'; other: PolicyKey }
  /** Somebody changed it since it was looked at. */
  | { state: 'conflict' };

/** Which value of which policy, and who says so. */
export interface PolicyChange {
  key: PolicyKey;
  scope: PolicyScope;
  /** Of the value that was looked at; 0 where none was set. */
  version: number;
  /** The account; null for a program that acts for itself. */
  by: string | null;
  because: string;
}

// What a table of places may call its rows: roles, codes, ids.
const scope_id = /^[\w-]{1,100}$/;

/** Sets a value for a place. It holds on every node seconds after the commit; the caller writes the audit. */
export async function setPolicy(tx: Transaction, change: PolicyChange & { value: unknown }): Promise<PolicyOutcome> {
  const { key, scope, version, by, because } = change;
  const read = schemaOf(key).safeParse(change.value);
  if (!read.success) return { state: 'refused', because: 'value' };
  if (!isScope(key, scope)) return { state: 'refused', because: 'scope' };
  await lineUp(tx);
  if ((await findVersion(tx, key, scope)) !== version) return { state: 'conflict' };
  const other = await findBreach(tx, key, read.data);
  if (other) return { state: 'refused', because: 'order', other };
  const columns = { value: JSON.stringify(read.data), changed_by: by, because };
  const row = await tx
    .insertInto('policy_values')
    .values({ key, scope_kind: scope.kind, scope_id: scope.id, ...columns })
    .onConflict((conflict) =>
      conflict
        .columns(['key', 'scope_kind', 'scope_id'])
        .doUpdateSet({ ...columns, changed_at: sql`gapura_now()`, version: sql`DEFAULT` })
        .where('policy_values.version', '=', version),
    )
    .returning('version')
    .executeTakeFirst();
  return row ? { state: 'done', version: row.version } : { state: 'conflict' };
}

/** Takes a value away: the next wider place decides again. The row goes; who did it and why is the audit's to keep. */
export async function clearPolicy(
  tx: Transaction,
  { key, scope, version }: Pick<PolicyChange, 'key' | 'scope' | 'version'>,
): Promise<PolicyOutcome> {
  if (!isScope(key, scope)) return { state: 'refused', because: 'scope' };
  await lineUp(tx);
  if ((await findVersion(tx, key, scope)) !== version) return { state: 'conflict' };
  const other = await findBreach(tx, key, policies[key].default);
  if (other) return { state: 'refused', because: 'order', other };
  await tx
    .deleteFrom('policy_values')
    .where('key', '=', key)
    .where('scope_kind', '=', scope.kind)
    .where('scope_id', '=', scope.id)
    .where('version', '=', version)
    .execute();
  return { state: 'done', version: 0 };
}

/** Every policy in the order of the table, with what is set for it in which place, by whom and why. */
export async function listPolicies(db: Database): Promise<ListedPolicy[]> {
  const rows = await db.selectFrom('policy_values').selectAll().orderBy('scope_kind').orderBy('scope_id').execute();
  return (Object.entries(policies) as [PolicyKey, Policy][]).map(([key, policy]) => ({
    ...policy,
    key,
    meaning: meaningOf(key),
    set: rows
      .filter((row) => row.key === key && hasScope(key, row.scope_kind))
      .map(({ scope_kind, scope_id: id, value, version, changed_by, changed_at, because }) => ({
        scope: { kind: scope_kind, id },
        value,
        version,
        changed_by,
        changed_at,
        because,
      }))
      .sort((one, other) => Number(other.scope.kind === 'system') - Number(one.scope.kind === 'system')),
  }));
}

/**
 * All values that this release understands, by key, then by kind and id of the place. A key, place or value of another
 * release is passed over: while nodes of two releases run, each keeps to what it knows.
 */
export async function readPolicies(db: Database): Promise<Map<string, Map<string, unknown>>> {
  const values = new Map<string, Map<string, unknown>>();
  for (const { key, scope_kind, scope_id: id, value } of await db.selectFrom('policy_values').selectAll().execute()) {
    if (!isPolicyKey(key) || !hasScope(key, scope_kind) || !schemaOf(key).safeParse(value).success) continue;
    values.set(key, (values.get(key) ?? new Map()).set(`${scope_kind} ${id}`, value));
  }
  return values;
}

function isScope(key: PolicyKey, { kind, id }: PolicyScope): boolean {
  return hasScope(key, kind) && (kind === 'system' ? id === '' : scope_id.test(id));
}

/** One change after the other, so that two of them that fit alone do not pass together what they break together. */
async function lineUp(tx: Transaction): Promise<void> {
  await tx.selectFrom('topics').select('version').where('name', '=', 'policies').forUpdate().execute();
}

async function findVersion(tx: Transaction, key: PolicyKey, { kind, id }: PolicyScope): Promise<number> {
  const row = await tx
    .selectFrom('policy_values')
    .select('version')
    .where('key', '=', key)
    .where('scope_kind', '=', kind)
    .where('scope_id', '=', id)
    .executeTakeFirst();
  return row?.version ?? 0;
}

/** Which policy would stand in the wrong order to this one if it had that value. */
async function findBreach(tx: Transaction, key: PolicyKey, value: unknown): Promise<PolicyKey | undefined> {
  const order = orders.find((keys) => keys.includes(key));
  if (!order) return undefined;
  const rows = await tx
    .selectFrom('policy_values')
    .select(['key', 'value'])
    .where('scope_kind', '=', 'system')
    .where('key', 'in', order)
    .execute();
  const values = order.map((one) =>
    Number(one === key ? value : (rows.find((row) => row.key === one)?.value ?? policies[one].default)),
  );
  const at = order.indexOf(key);
  if (at > 0 && Number(values[at - 1]) > Number(values[at])) return order[at - 1];
  return Number(values[at]) > Number(values[at + 1]) ? order[at + 1] : undefined;
}
