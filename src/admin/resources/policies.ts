/** Policies: every number of behaviour, what is set for it and where, with who, when and why. */

import { sql } from 'kysely';
import { z } from 'zod';
import type { Database, Transaction } from '../../database.ts';
import { roles } from '../../permissions.ts';
import {
  isPolicyKey,
  policies as keys,
  meaningOf,
  type Policy,
  type PolicyKey,
  type ScopeKind,
  schemaOf,
} from '../../policy/keys.ts';
import { clearPolicy, type PolicyOutcome, setPolicy } from '../../policy/store.ts';
import { moment } from '../fields.ts';
import type { Desk, Entry, Outcome, Resource } from '../resource.ts';

const entry = z.object({
  /** The key, and for an exception its place. */
  id: z.string(),
  key: z.string(),
  value: z.union([z.number(), z.boolean(), z.string()]),
  unit: z.string(),
  /** The value in the largest unit that needs no fraction; a time that nobody reads in seconds. */
  amount: z.union([z.number(), z.boolean(), z.string()]),
  amount_unit: z.string(),
  default: z.union([z.number(), z.boolean(), z.string()]),
  scope: z.string(),
  scope_id: z.string().nullable(),
  is_set: z.boolean(),
  because: z.string().nullable(),
  changed_by: z.string().nullable(),
  changed_at: moment().nullable(),
  version: z.int(),
});

const because = z.string().trim().min(3, 'errors.policy.because').max(500, 'errors.too_long');

/** The value as this policy's unit wants it; what JSON says of a number or a switch. */
function valueSchema(key: string): z.ZodType {
  if (!isPolicyKey(key)) return z.never();
  const schema = schemaOf(key);
  return keys[key].unit === 'switch' ? schema : schema.meta({ unit: `admin.policies.unit_${keys[key].unit}` });
}

export const policies: Resource = {
  name: 'policies',
  group: 'system',
  permission: 'policies:read',
  // A key, and where it is set for a narrower place its kind and id.
  id: /^[a-z_]+(\.[a-z_]+)+(~(role|organisation|agency|application)~[\w-]{1,100})?$/,
  entry,
  select,
  read: (row) => ({ ...row, ...inWords(row) }),
  list: {
    columns: ['key', 'amount', 'amount_unit', 'is_set', 'scope', 'changed_at'],
    size: 100,
    sorts: { key: { type: 'text', by: sql`r.id` } },
    filters: {
      set: { schema: z.enum(['yes', 'no']), where: (value: string) => sql<boolean>`r.is_set = ${value === 'yes'}` },
    },
  },
  title: ({ key, scope_id }) => (scope_id ? `${key} (${scope_id})` : String(key)),
  describe: ({ key }) => meaningOf(key as PolicyKey),
  operations: [
    {
      name: 'change',
      kind: 'change',
      permission: 'policies:write',
      is_weighty: true,
      input: z.object({ value: z.union([z.number(), z.boolean(), z.string()]), because }),
      inputOf: ({ key }) => z.object({ value: valueSchema(String(key)), because }),
      begin: async (_desk, found) => ({ value: found?.value }),
      run: (tx, desk, input, found) => change(tx, desk, found as Entry, input),
    },
    {
      name: 'exception',
      kind: 'act',
      permission: 'policies:write',
      is_weighty: true,
      input: z.object({
        scope: z.enum(['role', 'organisation', 'agency', 'application']),
        scope_id: z.string().trim().min(1, 'errors.field.required').max(100, 'errors.too_long'),
        value: z.union([z.number(), z.boolean(), z.string()]),
        because,
      }),
      inputOf: ({ key }) =>
        z.object({
          scope: z.enum((narrowerOf(String(key)) as [string, ...string[]]) ?? []),
          scope_id: z.string().trim().min(1, 'errors.field.required').max(100, 'errors.too_long'),
          value: valueSchema(String(key)),
          because,
        }),
      applies: ({ key, scope_id }) => scope_id === null && narrowerOf(String(key)).length > 0,
      async run(tx, desk, input, found) {
        const scope = { kind: input.scope as ScopeKind, id: String(input.scope_id) };
        if (!(await isPlace(tx, scope.kind, scope.id)))
          return { state: 'refused', errors: { scope_id: 'errors.policy.place' } };
        const outcome = await setPolicy(tx, {
          ...changeOf(desk, found as Entry, input),
          scope,
          version: 0,
          value: input.value,
        });
        return tell(outcome, `${found?.key}~${scope.kind}~${scope.id}`);
      },
    },
    {
      name: 'default',
      kind: 'act',
      permission: 'policies:write',
      is_weighty: true,
      input: z.object({}),
      applies: ({ is_set }) => is_set === true,
      async run(tx, _desk, _input, found) {
        const { key, version } = found as Entry & { key: PolicyKey; version: number };
        return tell(await clearPolicy(tx, { key, scope: scopeOf(found as Entry), version }), String(found?.id));
      },
    },
  ],
};

function select(db: Database) {
  const lines = Object.entries(keys).map(
    ([key, policy]) => sql`(${key}, ${policy.unit}, ${JSON.stringify(policy.default)}::jsonb)`,
  );
  return db
    .selectFrom(
      sql<Record<string, unknown>>`(
      SELECT k.key AS id, k.key, coalesce(v.value, k.default_value) AS value, k.unit, k.default_value AS "default", 'system' AS scope,
        NULL AS scope_id, v.key IS NOT NULL AS is_set, v.because, a.full_name AS changed_by, v.changed_at, coalesce(v.version, 0) AS version
      FROM (VALUES ${sql.join(lines)}) AS k (key, unit, default_value)
      LEFT JOIN policy_values v ON v.key = k.key AND v.scope_kind = 'system'
      LEFT JOIN accounts a ON a.id = v.changed_by
      UNION ALL
      SELECT v.key || '~' || v.scope_kind || '~' || v.scope_id, v.key, v.value, k.unit, k.default_value, v.scope_kind, v.scope_id, true,
        v.because, a.full_name, v.changed_at, v.version
      FROM policy_values v JOIN (VALUES ${sql.join(lines)}) AS k (key, unit, default_value) ON k.key = v.key
      LEFT JOIN accounts a ON a.id = v.changed_by
      WHERE v.scope_kind <> 'system')`.as('p'),
    )
    .selectAll();
}

/** Whether there is such a place; a value for one that nobody ever asks about would only look like one that holds. */
async function isPlace(tx: Transaction, kind: ScopeKind, id: string): Promise<boolean> {
  if (kind === 'role') return roles.some((role) => role === id);
  const found = {
    organisation: sql`organisations WHERE id::text = ${id}`,
    agency: sql`agencies WHERE code = ${id}`,
    application: sql`applications WHERE id = ${id}`,
    system: sql`agencies WHERE false`,
  }[kind];
  const { rows } = await sql`SELECT 1 FROM ${found}`.execute(tx);
  return rows.length > 0;
}

const longer: [unit: string, seconds: number][] = [
  ['days', 86_400],
  ['hours', 3_600],
  ['minutes', 60],
];

function inWords({ value, unit }: Entry): { amount: unknown; amount_unit: unknown } {
  const [name, seconds] = longer.find(([, size]) => unit === 'seconds' && Number(value) % size === 0) ?? [unit, 1];
  return { amount: typeof value === 'number' ? value / Number(seconds) : value, amount_unit: name };
}

function narrowerOf(key: string): readonly string[] {
  const policy: Policy | undefined = isPolicyKey(key) ? keys[key] : undefined;
  return policy?.narrower ?? [];
}

function scopeOf({ scope, scope_id }: Entry) {
  return { kind: scope as ScopeKind, id: String(scope_id ?? '') };
}

function changeOf({ actor }: Desk, { key }: Entry, input: Record<string, unknown>) {
  return { key: key as PolicyKey, by: actor.account_id, because: String(input.because) };
}

async function change(tx: Transaction, desk: Desk, found: Entry, input: Record<string, unknown>): Promise<Outcome> {
  const version = found.version ?? 0;
  return tell(
    await setPolicy(tx, { ...changeOf(desk, found, input), scope: scopeOf(found), version, value: input.value }),
    found.id,
  );
}

function tell(outcome: PolicyOutcome, id: string): Outcome {
  if (outcome.state === 'done') return { state: 'done', id };
  if (outcome.state === 'conflict') return outcome;
  if (outcome.because === 'order')
    return { state: 'refused', errors: { value: { key: 'errors.policy.order', values: { other: outcome.other } } } };
  return {
    state: 'refused',
    errors: outcome.because === 'scope' ? { scope_id: 'errors.field.invalid' } : { value: 'errors.field.invalid' },
  };
}
