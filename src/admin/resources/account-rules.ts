/** What operations on accounts have in common: whom nobody touches, reasons and days, how an invitation is told. */

import { sql } from 'kysely';
import { z } from 'zod';
import { type InviteOutcome, openInvitations } from '../../accounts/invitation.ts';
import type { Account } from '../../accounts/store.ts';
import type { Transaction } from '../../database.ts';
import { staff_roles } from '../../permissions.ts';
import { reachOfActor } from '../operation.ts';
import type { Desk, Entry, Outcome } from '../resource.ts';

/** An account as `select` reads it. */
export type Person = Entry &
  Account & {
    status: string;
    locks: string[];
    roles: string[];
    is_staff: boolean;
    organisation_ids: string[];
    organisation_zone: string | null;
  };

/** Read by the next officer, and kept with the event. */
export const because = z
  .string()
  .trim()
  .min(3, 'errors.account.because')
  .max(500, 'errors.too_long')
  .meta({ long: true });

/** A day in this millennium; further away, it is a slip of the finger. */
export const day = z.iso
  .date({ error: 'errors.account.expiry' })
  .refine((typed) => /^2[0-9]{3}-/.test(typed), 'errors.account.expiry')
  .nullish();

export const isAdministrator = ({ actor }: Desk) => actor.roles.some(({ role }) => role === 'administrator');

/** People who work for the gateway or an agency are the administrators' matter, whatever else somebody may do. */
export const mayTouch = (entry: Entry, desk: Desk) => !(entry as Person).is_staff || isAdministrator(desk);

/** Nobody closes the own account by a slip; and a company does not close an account that another one needs as well. */
export async function judge(_tx: Transaction, desk: Desk, _input: unknown, entry: Entry | undefined) {
  const { id, organisation_ids } = entry as Person;
  if (id === desk.actor.account_id) return { form: 'errors.account.own' };
  const reach = reachOfActor(desk.actor, 'accounts:lock');
  if (reach === undefined || reach === 'everything') return undefined;
  const is_shared = organisation_ids.some((one) => !reach.organisations.includes(one));
  return is_shared ? { form: 'errors.account.shared' } : undefined;
}

/**
 * Whether whoever gives a role knows of this person already. A company gives its roles to its own people; an agency to whom it
 * works with: who holds a role there, who acts for a company of one of its directorates, and who has no role and no company yet.
 * Of anybody else, staff included, nobody learns here that they have an account, and no role draws them into sight.
 */
export async function isReached(
  tx: Transaction,
  desk: Desk,
  account_id: string,
  { agency_code, organisation_id }: { agency_code: string | null; organisation_id: string | null },
): Promise<boolean> {
  if (isAdministrator(desk)) return true;
  const roles_held = sql`SELECT FROM role_assignments g WHERE g.account_id = ${account_id}`;
  const companies = sql`SELECT FROM account_organisations p WHERE p.account_id = ${account_id}`;
  const { rows } = await sql<{ is_reached: boolean }>`SELECT CASE WHEN ${organisation_id}::uuid IS NOT NULL
    THEN EXISTS (${companies} AND p.organisation_id = ${organisation_id})
    ELSE EXISTS (${roles_held} AND g.agency_code = ${agency_code})
      OR EXISTS (${companies} AND EXISTS (SELECT FROM memberships m JOIN directorates d ON d.id = m.directorate_id
        WHERE m.organisation_id = p.organisation_id AND d.agency_code = ${agency_code}))
      OR NOT (EXISTS (${roles_held}) OR EXISTS (${companies})) END AS is_reached`.execute(tx);
  return rows[0]?.is_reached ?? false;
}

/** Whether the person is of the staff, whose roles are the administrators' matter. */
export async function isKeptFrom(tx: Transaction, desk: Desk, account_id: string): Promise<boolean> {
  if (isAdministrator(desk)) return false;
  const { rows } = await sql`SELECT FROM role_assignments
    WHERE account_id = ${account_id} AND role = ANY (${[...staff_roles]}) LIMIT 1`.execute(tx);
  return rows.length > 0;
}

/**
 * Whether whoever acts may lift a lock of this kind: a company lifts what its own administrators set, and what came of not
 * signing in; a lock that the gateway's people or the house itself set is theirs to lift. The row is held until it is lifted,
 * so that nobody changes it for a graver one of the same kind meanwhile.
 */
export async function mayLift(tx: Transaction, desk: Desk, account_id: string, kind: string): Promise<boolean> {
  if (kind === 'revoked') return isAdministrator(desk);
  const reach = reachOfActor(desk.actor, 'accounts:lock');
  if (reach === 'everything' || kind === 'dormant') return reach !== undefined;
  const { rows } = await sql`SELECT FROM account_locks l
    WHERE l.account_id = ${account_id} AND l.kind = ${kind} AND l.kind = 'locked'
      AND EXISTS (SELECT FROM role_assignments g WHERE g.account_id = l.locked_by AND g.role = 'company_administrator'
        AND g.organisation_id = ANY (${reach?.organisations ?? []}::uuid[]))
      AND NOT EXISTS (SELECT FROM role_assignments g WHERE g.account_id = l.locked_by AND g.role = ANY (${[...staff_roles]}))
    FOR UPDATE`.execute(tx);
  return rows.length === 1;
}

/** The second that a day ends in a zone, if it lies ahead. */
export async function endOf(tx: Transaction, typed: string, zone: string): Promise<Date | undefined> {
  const { rows } = await sql<{ at: Date; is_ahead: boolean }>`SELECT at, at > gapura_now() AS is_ahead
    FROM (SELECT (${typed}::date + 1)::timestamp AT TIME ZONE ${zone} - interval '1 second' AS at) AS ends`.execute(tx);
  return rows[0]?.is_ahead ? rows[0].at : undefined;
}

/** Who acts, where it is a person. */
export function by({ actor }: Desk) {
  return actor.account_id ? { by: actor.account_id } : {};
}

/** What of a person belongs to somebody else already, beside its field. */
export function refuseTaken(saved: { state: 'conflict' } | { state: 'refused'; because: string }): Outcome {
  if (saved.state === 'conflict') return saved;
  const field = saved.because === 'email_taken' ? 'email' : 'username';
  return { state: 'refused', errors: { [field]: `errors.account.${saved.because}` } };
}

export const invitationsOf = ({ db, jobs, config }: Desk) => openInvitations(db, jobs, config);

/** How an invitation ended. */
export function tellInvited(invited: InviteOutcome, id: string, detail: Record<string, string | null> = {}): Outcome {
  if (invited.state === 'invited') return { state: 'done', id, detail };
  return { state: 'refused', errors: { form: `errors.account.invite_${invited.because}` } };
}
