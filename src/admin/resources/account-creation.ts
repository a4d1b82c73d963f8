/** A new account: opened with its company and first role, and its person invited to make the password. */

import { z } from 'zod';
import { inviteAccount, resendInvitation } from '../../accounts/invitation.ts';
import {
  emailShape,
  fullNameShape,
  mobileNumberShape,
  openAccount,
  profileSchema,
  usernameShape,
} from '../../accounts/profile.ts';
import type { Transaction } from '../../database.ts';
import { findAgency } from '../../organisations/agency.ts';
import { addPerson, findOrganisation } from '../../organisations/organisation.ts';
import { findMisplaced, grantRole, mayGive, role_places, roles } from '../../permissions.ts';
import { plain_text } from '../../text.ts';
import { reachOfActor } from '../operation.ts';
import type { Desk, Operation, Outcome, Said } from '../resource.ts';
import { noteRole } from './account-letters.ts';
import { by, day, endOf, invitationsOf, mayTouch, type Person, refuseTaken, tellInvited } from './account-rules.ts';

const creationSchema = z.object({
  username: usernameShape.meta({ personal: true }),
  full_name: fullNameShape.meta({ personal: true }),
  email: emailShape.meta({ personal: true }),
  mobile_number: mobileNumberShape.meta({ personal: true }),
  organisation_id: z
    .string()
    .trim()
    .max(60, 'errors.too_long')
    .nullish()
    .meta({ group: 'work', label: 'words.organisation' }),
  position: z
    .string()
    .trim()
    .max(100, 'errors.too_long')
    .regex(plain_text, 'errors.field.unreadable')
    .nullish()
    .meta({ group: 'work' }),
  role: z.enum(roles).nullish().meta({ group: 'work', options: 'roles' }),
  agency_code: z.string().trim().max(20, 'errors.too_long').nullish().meta({ group: 'work', options: 'agencies' }),
  expires_at: day.meta({ group: 'ways' }),
  language: profileSchema.shape.language.default('id'),
  time_zone: profileSchema.shape.time_zone.default('Asia/Jakarta'),
});

type Creation = z.output<typeof creationSchema>;

/** Where the first role is held, as far as the form says. */
function placeOf({ role, agency_code }: Creation, organisation_id: string | null) {
  const place = role && role_places[role];
  return {
    agency_code: agency_code || null,
    organisation_id: place === 'organisation' ? organisation_id : null,
  };
}

/** What of an organisation, an agency and a role does not fit together, or is not this person's to give. */
async function judgeCreation(tx: Transaction, desk: Desk, input: unknown): Promise<Record<string, Said> | undefined> {
  const values = input as Creation;
  const { role, agency_code } = values;
  const organisation = values.organisation_id ? await findOrganisation(tx, values.organisation_id) : undefined;
  if (values.organisation_id && !organisation) return { organisation_id: 'errors.organisation.unknown' };
  if (agency_code && !(await findAgency(tx, agency_code))) return { agency_code: 'errors.agency.unknown' };
  if (!role) return agency_code ? { role: 'errors.role.missing' } : undefined;
  const at = placeOf(values, organisation?.id ?? null);
  const misplaced = findMisplaced(role, at);
  if (misplaced) return { [misplaced]: `errors.role.${misplaced}_${role_places[role]}` };
  return mayGive(desk.actor.roles, { role, ...at }) ? undefined : { role: 'errors.role.not_yours' };
}

export const creation: Operation = {
  name: 'creation',
  kind: 'create',
  permission: 'accounts:create',
  input: creationSchema,
  is_weighty: true,
  async begin(desk, _entry, query) {
    const reach = reachOfActor(desk.actor, 'accounts:create');
    const own = reach && reach !== 'everything' ? reach.organisations[0] : undefined;
    const npwp = own && (await findOrganisation(desk.db, own))?.npwp;
    return {
      language: 'id',
      time_zone: 'Asia/Jakarta',
      organisation_id: query.organisation_id ?? npwp,
      role: query.role,
      agency_code: query.agency_code,
      ...(own ? { role: 'trader' } : {}),
    };
  },
  async place(tx, { organisation_id }) {
    const found = organisation_id ? await findOrganisation(tx, String(organisation_id)) : undefined;
    return { organisation_id: found?.id ?? null };
  },
  judge: judgeCreation,
  four_eyes: (_entry, { role }) => (role ? 'four_eyes.role' : undefined),
  run: (tx, desk, input) => create(tx, desk, input as Creation),
};

async function create(tx: Transaction, desk: Desk, values: Creation): Promise<Outcome> {
  const { username, full_name, email, mobile_number = null, language, time_zone, role } = values;
  const organisation = values.organisation_id ? await findOrganisation(tx, values.organisation_id) : undefined;
  const expires_at = values.expires_at
    ? await endOf(tx, values.expires_at, organisation?.time_zone ?? time_zone)
    : null;
  if (expires_at === undefined) return { state: 'refused', errors: { expires_at: 'errors.account.expiry_past' } };
  const person = { username, full_name, email, mobile_number, language, time_zone, expires_at };
  const opened = await openAccount(tx, person);
  if (opened.state !== 'done') return refuseTaken(opened);
  const { id } = opened.account;
  if (organisation) await addPerson(tx, id, organisation.id, values.position || undefined);
  if (role) {
    const at = placeOf(values, organisation?.id ?? null);
    await grantRole(tx, id, role, {
      ...(at.agency_code ? { agency_code: at.agency_code } : {}),
      ...(at.organisation_id ? { organisation_id: at.organisation_id } : {}),
      ...(desk.actor.account_id ? { granted_by: desk.actor.account_id } : {}),
    });
    await noteRole(tx, desk, 'role_given', { account_id: id, role, ...at });
  }
  const invited = await inviteAccount(tx, invitationsOf(desk), { account_id: id, ...by(desk), request: desk.request });
  return tellInvited(invited, id, { role: role ?? null });
}

/** Sends the invitation again; the link that was sent before opens nothing any more. */
export const invitation: Operation = {
  name: 'invitation',
  kind: 'act',
  permission: 'accounts:create',
  input: z.object({}),
  applies: (entry, desk) => entry.status === 'invited' && mayTouch(entry, desk),
  async run(tx, desk, _input, entry) {
    const { id } = entry as Person;
    const order = { account_id: id, ...by(desk), request: desk.request };
    return tellInvited(await resendInvitation(tx, invitationsOf(desk), order), id);
  },
};
