/** Accounts at the console and for programs: found by any name of a person, with all that belongs to them on one page. */

import { sql } from 'kysely';
import { z } from 'zod';
import { canonicalise } from '../../accounts/identifiers.ts';
import { lock_kinds } from '../../accounts/locks.ts';
import type { Database } from '../../database.ts';
import { languages, translator } from '../../i18n/messages.ts';
import { listGivable, role_places, roles, staff_roles } from '../../permissions.ts';
import { moment } from '../fields.ts';
import { organisationFilter, uuid } from '../filters.ts';
import type { Filter, Resource } from '../resource.ts';
import { account_operations } from './account-operations.ts';
import { account_sections } from './account-sections.ts';
import { listAgencyOptions } from './agencies.ts';
import { organisations, prefixQuery } from './organisations.ts';

/** What an account is; what closes it comes before what it waits for. */
const states = [...lock_kinds, 'expired', 'invited', 'open'] as const;

/** Of what begins like nothing in particular this many are enough. */
const most_found = 1000;

/**
 * How a name to sign in with or an address begins, or words of the person's name. The names are looked up first, so that the
 * rest is one bitmap over two indexes, whatever is typed.
 */
const search: Filter = {
  schema: z
    .string()
    .trim()
    .min(1)
    .max(200)
    .regex(/^\P{Cc}*$/u),
  where(typed: string) {
    const words = prefixQuery(typed);
    const by_name = words === '' ? sql`false` : sql`to_tsvector('simple', r.full_name) @@ ${words}::tsquery`;
    const canonical = canonicalise(typed);
    const begun = beginNumber(typed);
    const named = (begun ? [canonical, begun] : [canonical]).map(
      (prefix) => sql`(SELECT i.account_id FROM account_identifiers i WHERE ${begins(sql`i.canonical`, prefix)}
        ORDER BY i.canonical USING ~<~ LIMIT ${most_found})`,
    );
    const by_address = sql`(SELECT m.id FROM accounts m WHERE m.email IS NOT NULL AND ${begins(sql`lower(m.email)`, canonical)}
      ORDER BY lower(m.email) USING ~<~ LIMIT ${most_found})`;
    return sql<boolean>`(r.id = ANY (ARRAY(${sql.join([...named, by_address], sql` UNION ALL `)})) OR ${by_name})`;
  },
};

/** As a range of bytes, which the indexes of prefixes serve. */
function begins(column: ReturnType<typeof sql>, prefix: string) {
  return sql`(${column} ~>=~ ${prefix} AND ${column} ~<~ ${`${prefix}\u{10ffff}`})`;
}

/** The beginning of a mobile number as it is kept; too short to be one, it would be compared as it was typed. */
function beginNumber(typed: string): string | undefined {
  const digits = typed.replace(/[\s().-]/g, '');
  const [, rest] = /^(?:(?:\+|00)?62|0)(8\d*)$/.exec(digits) ?? [];
  return rest === undefined ? undefined : `+62${rest}`;
}

const organisation = organisationFilter({
  npwp: (npwp) => workingAt(sql`o.npwp = ${npwp}`),
  id: (id) => workingAt(sql`o.id = ${id}::uuid`),
});

function workingAt(which: ReturnType<typeof sql>) {
  return sql<boolean>`r.id IN (SELECT p.account_id FROM account_organisations p
    JOIN organisations o ON o.id = p.organisation_id WHERE ${which})`;
}

const is_over = sql<boolean>`coalesce(r.expires_at <= gapura_now(), false)`;

/** The same as the column `status`, said so that an index finds the few of a kind among many of another. */
const status: Filter = {
  schema: z.enum(states),
  where(value: (typeof states)[number]) {
    const locked = sql`SELECT FROM account_locks l WHERE l.account_id = r.id`;
    const at = (lock_kinds as readonly string[]).indexOf(value);
    if (at >= 0)
      return sql<boolean>`(r.id IN (SELECT account_id FROM account_locks WHERE kind = ${value})
        AND NOT EXISTS (${locked} AND l.kind = ANY (${lock_kinds.slice(0, at)})))`;
    if (value === 'expired') return sql<boolean>`(r.expires_at <= gapura_now() AND NOT EXISTS (${locked}))`;
    const has_password = value === 'open' ? sql`r.has_password` : sql`NOT r.has_password`;
    return sql<boolean>`(${has_password} AND NOT ${is_over} AND NOT EXISTS (${locked}))`;
  },
};

function select(db: Database) {
  const staff = sql`SELECT FROM role_assignments g WHERE g.account_id = a.id AND g.role = ANY (${[...staff_roles]})`;
  const company = (what: string) => sql<string | null>`(SELECT ${sql.ref(`o.${what}`)} FROM account_organisations p
    JOIN organisations o ON o.id = p.organisation_id WHERE p.account_id = a.id ORDER BY p.created_at, o.npwp LIMIT 1)`;
  return db.selectFrom('accounts as a').select([
    'a.id',
    'a.full_name',
    'a.email',
    'a.email_verified',
    'a.mobile_number',
    'a.phone_number',
    'a.fax_number',
    'a.address',
    'a.city',
    'a.postal_code',
    'a.language',
    'a.time_zone',
    'a.expires_at',
    'a.created_at',
    'a.version',
    'a.has_password',
    sql<string>`(SELECT i.value FROM account_identifiers i WHERE i.account_id = a.id AND i.kind = 'username' LIMIT 1)`.as(
      'username',
    ),
    sql<string>`coalesce(
        (SELECT l.kind FROM account_locks l WHERE l.account_id = a.id
          ORDER BY array_position(${[...lock_kinds]}::text[], l.kind) LIMIT 1),
        CASE WHEN a.expires_at <= gapura_now() THEN 'expired'
          WHEN a.has_password THEN 'open' ELSE 'invited' END)`.as('status'),
    sql<string[]>`ARRAY(SELECT l.kind FROM account_locks l WHERE l.account_id = a.id ORDER BY l.kind)`.as('locks'),
    sql<string[]>`ARRAY(SELECT DISTINCT g.role FROM role_assignments g WHERE g.account_id = a.id ORDER BY 1)`.as(
      'roles',
    ),
    sql<boolean>`EXISTS (${staff})`.as('is_staff'),
    company('id').as('organisation_id'),
    company('name').as('organisation_name'),
    company('time_zone').as('organisation_zone'),
    sql<string[]>`ARRAY(SELECT p.organisation_id::text FROM account_organisations p WHERE p.account_id = a.id)`.as(
      'organisation_ids',
    ),
    sql<Date | null>`(SELECT max(b.last_seen_at) FROM browsers b WHERE b.account_id = a.id)`.as('last_sign_in_at'),
  ]);
}

const text = z.string().nullable();

export const accounts: Resource = {
  name: 'accounts',
  group: 'people',
  permission: 'accounts:read',
  id: uuid,
  entry: z.object({
    id: z.uuid(),
    username: text,
    full_name: z.string(),
    status: z.enum(states),
    locks: z.array(z.enum(lock_kinds)),
    roles: z.array(z.enum(roles)),
    organisation_id: z.uuid().nullable(),
    organisation_name: text,
    email: text,
    email_verified: z.boolean(),
    mobile_number: text,
    phone_number: text,
    fax_number: text,
    address: text,
    city: text,
    postal_code: text,
    language: z.enum(languages),
    time_zone: z.string(),
    expires_at: moment().nullable(),
    last_sign_in_at: moment().nullable(),
    created_at: moment(),
    version: z.int(),
  }),
  select,
  within: ({ agencies, organisations }) => sql<boolean>`r.id IN (
    SELECT account_id FROM role_assignments WHERE agency_code = ANY (${agencies})
    UNION SELECT account_id FROM account_organisations WHERE organisation_id = ANY (${organisations}::uuid[]))`,
  list: {
    columns: ['full_name', 'username', 'organisation_name', 'roles', 'status', 'created_at'],
    sorts: { full_name: { type: 'text', by: sql`lower(r.full_name)` }, created_at: 'timestamptz' },
    filters: { q: search, status, organisation_id: organisation },
  },
  describe: ({ is_staff, status: is }) => (is_staff ? 'admin.accounts.about_staff' : `admin.accounts.about_${is}`),
  title: ({ full_name }) => String(full_name),
  operations: account_operations,
  sections: account_sections,
  options: {
    // Of use only to whoever may give a role at one of them.
    agencies: async (desk) =>
      listGivable(desk.actor.roles).some((role) => role_places[role] === 'agency')
        ? listAgencyOptions(desk, 'agencies:read')
        : [],
    roles: async ({ actor, language }) =>
      listGivable(actor.roles).map((role) => ({ value: role, label: translator(language)(`words.role_${role}`) })),
    time_zones: async (desk) => (await organisations.options?.time_zones?.(desk, undefined)) ?? [],
  },
};
