/** The claims in the shape that the applications of today's SSO INSW read; what is not held here is left out. */

import type { Database } from '../../database.ts';
import { findAgency } from '../../organisations/agency.ts';
import type { RoleAssignment } from '../../permissions.ts';
import type { Known, Telling } from './claims.ts';

/**
 * `profile`, `role` and `organization` in that shape. Each part stands only where the scope that brings the same in the standard
 * shape reaches: a mail address is no part of `profile` there.
 */
export async function shapeAsInsw(db: Database, known: Known, telling: Telling): Promise<Record<string, unknown>> {
  const { roles, organisation } = known;
  return {
    profile: known.account && telling.names.has('profile') ? await profileOf(db, known, telling) : undefined,
    // The highest one: these applications know one role of a person.
    role: roles?.[0] && roleOf(roles[0]),
    organization: organisation && organisationOf(organisation),
  };
}

async function profileOf(db: Database, { account, organisation, roles }: Known, { reach, subject }: Telling) {
  const also = (name: string, value: unknown) => (reach.has(name) ? value : undefined);
  const agency_code = roles?.find((role) => role.agency_code !== null)?.agency_code;
  const agency = agency_code && reach.has('role') ? await findAgency(db, agency_code) : undefined;
  return dense({
    details: {
      // Never the account's own: a client that is told another name for the person must not recognise them by this one.
      id: await subject(),
      full_name: account?.full_name,
      username: account?.username,
      position: organisation?.position,
      active: true,
      verified: account?.email_verified,
      kd_ga: agency?.code,
      ur_ga: agency?.name,
      // Whoever has one is an officer there, anybody else a trader; of units within an agency nothing is held.
      kd_detail_ga: agency?.code,
      admin: also(
        'role',
        roles?.some(({ role }) => role === 'administrator'),
      ),
    },
    address: also('address', {
      address: account?.address,
      postal_code: account?.postal_code,
      city: account?.city,
    }),
    contact: {
      mobile_phone: account?.mobile_number,
      phone_number: also('phone_number', account?.phone_number),
      email: also('email', account?.email),
    },
    email: also('email', account?.email),
  });
}

function roleOf({ agency_code, role, level }: RoleAssignment) {
  return dense({ kd_ga: agency_code, name: role, level });
}

function organisationOf(organisation: NonNullable<Known['organisation']>) {
  const { id, name, active, nib, npwp, phone_number, fax_number } = organisation;
  const { address, postal_code, city } = organisation;
  return dense({
    details: { id, name, active },
    address: { address, postal_code, city },
    nib,
    npwp,
    contact: { phone_number, fax_number },
  });
}

/** Without what is empty, and without the parts that are empty then. */
function dense(value: Record<string, unknown>): Record<string, unknown> | undefined {
  const entries = Object.entries(value)
    .map(([name, part]) => [name, isParts(part) ? dense(part) : part] as const)
    .filter(([, part]) => part !== undefined && part !== null && part !== '');
  return entries.length > 0 ? Object.fromEntries(entries) : undefined;
}

function isParts(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
