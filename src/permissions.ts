/** Who may what, and where: the roles, what each may do, how far that reaches, and who gives which role. */

import { type Selectable, sql } from 'kysely';
import type { Database, Transaction } from './database.ts';
import { prepare } from './statements.ts';
import type { RoleAssignments } from './tables.ts';

/** The roles, as claims and the console name them; an importer is a trader. */
export const roles = [
  'trader',
  'company_administrator',
  'developer',
  'agency_officer',
  'service_desk',
  'administrator',
  'auditor',
] as const;

export type Role = (typeof roles)[number];

export type RoleAssignment = Selectable<RoleAssignments>;

/** Where a role is held: at an agency, in an organisation, or simply. */
export const role_places: Record<Role, 'agency' | 'organisation' | 'everywhere'> = {
  trader: 'organisation',
  company_administrator: 'organisation',
  developer: 'agency',
  agency_officer: 'agency',
  service_desk: 'everywhere',
  administrator: 'everywhere',
  auditor: 'everywhere',
};

/** People who work for the gateway or an agency; only an administrator changes their accounts. */
export const staff_roles: readonly Role[] = ['agency_officer', 'service_desk', 'administrator', 'auditor'];

/** Whose sessions are kept on no device: more than their own account hangs on them. */
export const unremembered_roles: readonly Role[] = roles.filter((role) => role !== 'trader');

/** How far a permission reaches: over everything, or over what belongs to the place where the role is held. */
type Extent = 'everything' | 'own';

const everybody = {
  administrator: 'everything',
  auditor: 'everything',
  service_desk: 'everything',
  agency_officer: 'everything',
} as const;
const readers = { administrator: 'everything', auditor: 'everything', agency_officer: 'own' } as const;
const owners = { administrator: 'everything', agency_officer: 'own' } as const;
const desk = { administrator: 'everything', service_desk: 'everything', company_administrator: 'own' } as const;

/**
 * The whole table; what does not stand in it is not allowed. `own` is the agency of an officer or developer and the
 * organisation of a company administrator.
 */
export const permissions = {
  'agencies:read': everybody,
  'agencies:write': { administrator: 'everything' },
  'directorates:read': everybody,
  'directorates:write': owners,
  'organisations:read': { ...everybody, company_administrator: 'own' },
  'organisations:write': { administrator: 'everything', service_desk: 'everything' },
  'memberships:read': { ...everybody, agency_officer: 'own', company_administrator: 'own' },
  'memberships:write': owners,
  'applications:read': readers,
  'applications:write': owners,
  // Whose application it is, what it may call in our name and who may share a name there is more than its words.
  'applications:verify': owners,
  'clients:read': readers,
  'clients:write': owners,
  // Clients without a consent page, and clients that may use this very interface.
  'clients:trust': { administrator: 'everything' },
  'clients:submit': { developer: 'own' },
  'submissions:read': readers,
  'submissions:decide': owners,
  'links:read': readers,
  'links:decide': owners,
  'accounts:read': { ...desk, auditor: 'everything', agency_officer: 'own' },
  'accounts:create': desk,
  'accounts:write': { administrator: 'everything', service_desk: 'everything' },
  'accounts:lock': desk,
  'roles:read': { ...desk, auditor: 'everything', agency_officer: 'own' },
  // What may be given is narrower still: see `gives`.
  'roles:write': { administrator: 'everything', agency_officer: 'own', company_administrator: 'own' },
  'policies:read': { administrator: 'everything', auditor: 'everything' },
  'policies:write': { administrator: 'everything' },
  'resource-servers:read': owners,
  'resource-servers:write': { administrator: 'everything' },
  'initial-access-tokens:read': { administrator: 'everything', auditor: 'everything' },
  'initial-access-tokens:write': { administrator: 'everything' },
  'signing-keys:read': { administrator: 'everything', auditor: 'everything' },
  'signing-keys:write': { administrator: 'everything' },
  'mails:read': { administrator: 'everything', auditor: 'everything', service_desk: 'everything' },
  'mails:write': { administrator: 'everything', service_desk: 'everything' },
  'approvals:read': { ...readers, service_desk: 'everything', company_administrator: 'own' },
  'audit:read': { administrator: 'everything', auditor: 'everything' },
} as const satisfies Record<string, Partial<Record<Role, Extent>>>;

export type Permission = keyof typeof permissions;

/** The scopes of the interface for programs: two wide ones, and every permission by its own name. */
export const api_scopes: readonly string[] = ['admin:read', 'admin:write', ...Object.keys(permissions)];

/** What somebody may touch under a permission. */
export type Reach = 'everything' | { agencies: string[]; organisations: string[] };

/** How far a permission reaches for somebody with these roles; undefined when they have it nowhere. */
export function reachOf(assignments: readonly RoleAssignment[], permission: Permission): Reach | undefined {
  const extents: Partial<Record<string, Extent>> = permissions[permission];
  const held = assignments.filter(({ role }) => extents[role] !== undefined);
  if (held.some(({ role }) => extents[role] === 'everything')) return 'everything';
  const agencies = held.flatMap(({ agency_code }) => agency_code ?? []);
  const organisations = held.flatMap(({ organisation_id }) => organisation_id ?? []);
  return agencies.length + organisations.length > 0 ? { agencies, organisations } : undefined;
}

/** Whether the console has anything for somebody with these roles. */
export function hasConsole(assignments: readonly RoleAssignment[]): boolean {
  return (Object.keys(permissions) as Permission[]).some(
    (permission) => permission.endsWith(':read') && reachOf(assignments, permission) !== undefined,
  );
}

/** Whether something at this agency or organisation lies within a reach. */
export function isWithin(reach: Reach | undefined, at: { agency_code?: unknown; organisation_id?: unknown }): boolean {
  if (reach === undefined || reach === 'everything') return reach === 'everything';
  return (
    reach.agencies.some((code) => code === at.agency_code) ||
    reach.organisations.some((id) => id === at.organisation_id)
  );
}

/** Which roles the holder of a role may give and take, each within the place where the own role is held. */
const gives: Partial<Record<Role, readonly Role[]>> = {
  administrator: roles,
  agency_officer: ['developer'],
  company_administrator: ['trader'],
};

/** Whether somebody may give or take a role at a place. */
export function mayGive(
  assignments: readonly RoleAssignment[],
  given: { role: string; agency_code: string | null; organisation_id: string | null },
): boolean {
  return assignments.some((own) => {
    const givable: readonly string[] = gives[own.role as Role] ?? [];
    if (!givable.includes(given.role)) return false;
    if (own.role === 'administrator') return true;
    // A role that is held nowhere gives nothing where nothing is named.
    if (own.agency_code) return own.agency_code === given.agency_code;
    return own.organisation_id !== null && own.organisation_id === given.organisation_id;
  });
}

/** The roles of which somebody may give one or another. */
export function listGivable(assignments: readonly RoleAssignment[]): Role[] {
  return roles.filter((role) => assignments.some((own) => gives[own.role as Role]?.includes(role)));
}

/** What of a place is not as its role wants it (`role_places`): missing, or there where the role belongs elsewhere. */
export function findMisplaced(
  role: Role,
  at: { agency_code: string | null; organisation_id: string | null },
): 'agency_code' | 'organisation_id' | undefined {
  const place = role_places[role];
  if ((at.agency_code === null) === (place === 'agency')) return 'agency_code';
  return (at.organisation_id === null) === (place === 'organisation') ? 'organisation_id' : undefined;
}

/** A person's roles, the highest level first. */
export async function listRoles(db: Database, account_id: string): Promise<RoleAssignment[]> {
  return (await readRoles(db, { account_id })).rows;
}

const readRoles = prepare<{ account_id: string }, RoleAssignment>('roles', 'read', (db, value) =>
  db
    .selectFrom('role_assignments')
    .selectAll()
    .where('account_id', '=', value('account_id'))
    .orderBy('level', 'desc')
    .orderBy('granted_at'),
);

/**
 * Gives a role, at an agency or in an organisation where the role belongs to one; giving it twice changes nothing.
 * @returns the id of the new assignment, undefined when it stood already
 */
export async function grantRole(
  db: Database,
  account_id: string,
  role: Role,
  where: { agency_code?: string; organisation_id?: string; level?: number; granted_by?: string } = {},
): Promise<string | undefined> {
  const row = await db
    .insertInto('role_assignments')
    .values({
      account_id,
      role,
      agency_code: where.agency_code ?? null,
      organisation_id: where.organisation_id ?? null,
      level: where.level ?? 1,
      granted_by: where.granted_by ?? null,
      granted_at: sql`gapura_now()`,
    })
    .onConflict((conflict) => conflict.doNothing())
    .returning('id')
    .executeTakeFirst();
  return row?.id;
}

/**
 * Takes a role back; it counts no more from the commit on, for every request reads the roles. The last administrator who can
 * sign in stays one.
 */
export async function takeRole(
  tx: Transaction,
  { id, account_id, role }: Pick<RoleAssignment, 'id' | 'account_id' | 'role'>,
): Promise<'taken' | 'gone' | 'last_administrator'> {
  if (role === 'administrator' && !(await hasOtherAdministrator(tx, account_id))) return 'last_administrator';
  const result = await tx.deleteFrom('role_assignments').where('id', '=', id).executeTakeFirst();
  return result.numDeletedRows === 1n ? 'taken' : 'gone';
}

/**
 * Whether there is an administrator beside this person whose account is open, for good, and has a password. Whoever asks
 * next waits for this transaction: two administrators who close each other in one instant would leave none.
 */
export async function hasOtherAdministrator(tx: Transaction, account_id: string): Promise<boolean> {
  await sql`SELECT pg_advisory_xact_lock(hashtextextended('administrators', 0))`.execute(tx);
  return hasAdministrator(tx, account_id);
}

/** Whether there is an administrator who can sign in, beside one person where one is named. */
export async function hasAdministrator(db: Database, beside?: string): Promise<boolean> {
  const { rows } = await sql`SELECT FROM role_assignments g JOIN accounts a ON a.id = g.account_id
    WHERE g.role = 'administrator' AND a.id IS DISTINCT FROM ${beside ?? null}::uuid AND a.expires_at IS NULL
      AND EXISTS (SELECT FROM passwords p WHERE p.account_id = a.id)
      AND NOT EXISTS (SELECT FROM account_locks l WHERE l.account_id = a.id) LIMIT 1`.execute(db);
  return rows.length === 1;
}
