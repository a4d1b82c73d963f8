/** What operations on accounts have in common: whom nobody touches, reasons and days, how an invitation is told. */

import { sql } from 'kysely';
import { z } from 'zod';
import { type InviteOutcome, openInvitations } from '../../accounts/invitation.ts';
import type { Account } from '../../accounts/store.ts';
import type { Transaction } from '../../database.ts';
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
