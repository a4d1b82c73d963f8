/** What officers do to accounts: change, close and open again, set the expiry, end all sessions. */

import { z } from 'zod';
import { endEverything, lockAccount, unlockAccount } from '../../accounts/account.ts';
import { resendInvitation } from '../../accounts/invitation.ts';
import { lock_kinds } from '../../accounts/locks.ts';
import { changeAccount, profileSchema } from '../../accounts/profile.ts';
import { updateAccount } from '../../accounts/store.ts';
import { hasOtherAdministrator } from '../../permissions.ts';
import { reachOfActor } from '../operation.ts';
import type { Desk, Operation } from '../resource.ts';
import { creation, invitation } from './account-creation.ts';
import { tellPerson } from './account-letters.ts';
import {
  because,
  by,
  day,
  endOf,
  invitationsOf,
  judge,
  mayLift,
  mayTouch,
  type Person,
  refuseTaken,
  tellInvited,
} from './account-rules.ts';

const change: Operation = {
  name: 'change',
  kind: 'change',
  permission: 'accounts:write',
  input: profileSchema,
  is_weighty: true,
  applies: mayTouch,
  begin: async (_desk, entry) =>
    Object.fromEntries(Object.keys(profileSchema.shape).map((name) => [name, entry?.[name] ?? null])),
  async run(tx, desk, input, entry) {
    const person = entry as Person;
    const values = input as z.output<typeof profileSchema>;
    const told = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
    const saved = await changeAccount(tx, person, told);
    if (saved.state !== 'done') return refuseTaken(saved);
    if (person.email === values.email) return { state: 'done', id: person.id };
    // To where it was read until now: whoever had the address taken from them learns of it there.
    if (person.email) await tellPerson(tx, desk, person.id, { template: 'account_email_changed' }, person.email);
    if (person.status !== 'invited' || !values.email) return { state: 'done', id: person.id };
    const order = { account_id: person.id, ...by(desk), request: desk.request };
    return tellInvited(await resendInvitation(tx, invitationsOf(desk), order), person.id);
  },
};

const given_locks = ['locked', 'disabled', 'frozen'] as const;

/** A company locks its people; to close an account for a reason of its own is the gateway's. */
const maySet = (desk: Desk, kind: (typeof given_locks)[number]) =>
  kind === 'locked' || reachOfActor(desk.actor, 'accounts:lock') === 'everything';

const lock: Operation = {
  name: 'lock',
  kind: 'act',
  permission: 'accounts:lock',
  input: z.object({ lock: z.enum(given_locks), because }),
  applies: (entry, desk) =>
    mayTouch(entry, desk) && given_locks.some((kind) => !(entry as Person).locks.includes(kind)),
  begin: async () => ({ lock: given_locks[0] }),
  judge,
  async run(tx, desk, input, entry) {
    const { id, locks, roles: held } = entry as Person;
    const values = input as { lock: (typeof given_locks)[number]; because: string };
    if (!maySet(desk, values.lock)) return { state: 'refused', errors: { lock: 'errors.account.lock_of_gateway' } };
    if (locks.includes(values.lock)) return { state: 'refused', errors: { lock: 'errors.account.lock_stands' } };
    if (held.includes('administrator') && !(await hasOtherAdministrator(tx, id)))
      return { state: 'refused', errors: { form: 'errors.account.last_administrator' } };
    await lockAccount(tx, id, values.lock, { ...by(desk), because: values.because });
    await tellPerson(tx, desk, id, { template: 'account_locked' });
    return { state: 'done', id, detail: values };
  },
};

const unlock: Operation = {
  name: 'unlock',
  kind: 'act',
  permission: 'accounts:lock',
  input: z.object({ lock: z.enum(lock_kinds), because }),
  inputOf: (entry) => z.object({ lock: z.enum((entry as Person).locks as [string, ...string[]]), because }),
  is_weighty: true,
  applies: (entry, desk) => mayTouch(entry, desk) && (entry as Person).locks.length > 0,
  begin: async (_desk, entry) => ({ lock: (entry as Person | undefined)?.locks[0] }),
  async judge(tx, desk, input, entry) {
    const against = await judge(tx, desk, input, entry);
    if (against) return against;
    const may_lift = await mayLift(tx, desk, (entry as Person).id, String(input.lock));
    return may_lift ? undefined : { lock: 'errors.account.lock_of_gateway' };
  },
  four_eyes: (entry) =>
    (entry as Person).roles.includes('administrator') ? 'four_eyes.administrator_unlock' : undefined,
  async run(tx, desk, input, entry) {
    const { id } = entry as Person;
    const values = input as { lock: (typeof lock_kinds)[number]; because: string };
    await unlockAccount(tx, id, values.lock, { ...by(desk), because: values.because });
    await tellPerson(tx, desk, id, { template: 'account_unlocked' });
    return { state: 'done', id, detail: values };
  },
};

const expiry: Operation = {
  name: 'expiry',
  kind: 'act',
  permission: 'accounts:write',
  input: z.object({ expires_at: day, because }),
  is_weighty: true,
  applies: mayTouch,
  begin: async (_desk, entry) => {
    const { expires_at, organisation_zone, time_zone } = entry as Person;
    const timeZone = organisation_zone ?? time_zone;
    return { expires_at: expires_at && new Intl.DateTimeFormat('sv-SE', { timeZone }).format(expires_at) };
  },
  judge,
  async run(tx, desk, input, entry) {
    const person = entry as Person;
    const values = input as { expires_at?: string | null; because: string };
    const zone = person.organisation_zone ?? person.time_zone;
    const expires_at = values.expires_at ? await endOf(tx, values.expires_at, zone) : null;
    if (expires_at === undefined) return { state: 'refused', errors: { expires_at: 'errors.account.expiry_past' } };
    if (expires_at && person.roles.includes('administrator') && !(await hasOtherAdministrator(tx, person.id)))
      return { state: 'refused', errors: { form: 'errors.account.last_administrator' } };
    if (!(await updateAccount(tx, person, { expires_at }))) return { state: 'conflict' };
    await tellPerson(tx, desk, person.id, { template: 'account_expiry_changed', expires_at });
    return {
      state: 'done',
      id: person.id,
      detail: { expires_at: expires_at?.toISOString() ?? null, because: values.because },
    };
  },
};

const sessionsEnd: Operation = {
  name: 'sessions-end',
  kind: 'act',
  permission: 'accounts:lock',
  input: z.object({ because }),
  applies: mayTouch,
  judge,
  async run(tx, desk, input, entry) {
    const { id } = entry as Person;
    await endEverything(tx, id, { ...by(desk), because: String(input.because) });
    return { state: 'done', id, detail: { because: String(input.because) } };
  },
};

export const account_operations: Operation[] = [creation, invitation, change, lock, unlock, expiry, sessionsEnd];
