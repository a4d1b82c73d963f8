/** Who holds which role, where; the table of what each role may do grows with the console. */

import { type Selectable, sql } from 'kysely';
import type { Database } from './database.ts';
import type { RoleAssignments } from './tables.ts';

/** The roles, as claims and the console name them; an importer is a trader. */
export const roles = [
  'trader',
  'company_administrator',
  'agency_officer',
  'service_desk',
  'administrator',
  'auditor',
] as const;

export type Role = (typeof roles)[number];

export type RoleAssignment = Selectable<RoleAssignments>;

/** A person's roles, the highest level first. */
export async function listRoles(db: Database, account_id: string): Promise<RoleAssignment[]> {
  return db
    .selectFrom('role_assignments')
    .selectAll()
    .where('account_id', '=', account_id)
    .orderBy('level', 'desc')
    .orderBy('granted_at')
    .execute();
}

/** Gives a role, at an agency or in an organisation where the role belongs to one; giving it twice changes nothing. */
export async function grantRole(
  db: Database,
  account_id: string,
  role: Role,
  where: { agency_code?: string; organisation_id?: string; level?: number; granted_by?: string } = {},
): Promise<void> {
  await db
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
    .execute();
}
