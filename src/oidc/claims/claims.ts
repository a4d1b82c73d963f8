/** What a relying application is told of a person: by scope or by name, and of an agency's own only to that agency (DESIGN 5). */

import type { AccountWithName } from '../../accounts/store.ts';
import { findApplicationOfClient } from '../../applications/application.ts';
import type { Database } from '../../database.ts';
import { findServingLink } from '../../links/store.ts';
import { findOrganisationOf, type Organisation } from '../../organisations/organisation.ts';
import { listRoles, type RoleAssignment } from '../../permissions.ts';
import { shapeAsInsw } from './insw-claims.ts';

/** The directorate that a person chose for one client; it stands on the grant. */
export interface ChosenDirectorate {
  id: string;
  agency: string;
  code: string;
  name: string;
}

/** The claims of each scope, in the form of the engine's `claims` setting. */
export const claimsByScope = {
  // These stand in every ID token too; the other scopes' only in userinfo (OpenID Connect Core 5.4).
  openid: ['sub', 'acr', 'amr', 'auth_time', 'directorate', 'linked_account'],
  profile: [
    'name',
    'preferred_username',
    'locale',
    'zoneinfo',
    'updated_at',
    'mobile_number',
    'fax_number',
    'account_expires_at',
  ],
  email: ['email', 'email_verified'],
  phone: ['phone_number', 'phone_number_verified'],
  address: ['address'],
  organization: ['organization'],
  role: ['role'],
  directorate: ['directorate'],
  linked_account: ['linked_account'],
};

/** The one claim that only today's gateway has: an object where the standard has the address of a web page. */
export const insw_claim = 'profile';

/** A client, as far as it decides what it may be told. */
export interface ToldClient {
  /** The scopes it is registered for; without any it may ask for everything. */
  scope?: string | undefined;
  claim_shape?: unknown;
}

/** Of an agency's own, and told with their scopes alone: what stands there depends on what the person chose or linked for it. */
const by_scope_alone = ['directorate', 'linked_account'];

/**
 * Whether a client may ask for a claim by its name (OpenID Connect Core 5.5): where it is registered for a scope that brings it.
 * Otherwise the parameter would be a way around the scopes of its registration.
 */
export function mayAskFor({ scope, claim_shape }: ToldClient, claim: string): boolean {
  if (by_scope_alone.includes(claim) || (claim === insw_claim && claim_shape !== 'insw')) return false;
  const registered = scope?.split(' ') ?? Object.keys(claimsByScope);
  return registered.some((one) => listBrought([one]).includes(claim));
}

/** The claims that scopes bring. What stands under `openid` is told only with its own scope. */
export function listBrought(scopes: string[]): string[] {
  const bringing = scopes.filter((scope) => scope !== 'openid') as (keyof typeof claimsByScope)[];
  const claims = bringing.flatMap((scope) => claimsByScope[scope] ?? []);
  return scopes.includes('profile') ? [...claims, insw_claim] : claims;
}

/** What is told to whom. */
export interface Telling {
  /** The claims wanted here; what is not wanted is not read. */
  names: ReadonlySet<string>;
  /** All that this client may know of the person, also where it is not wanted here. */
  reach: ReadonlySet<string>;
  client_id: string | undefined;
  shape: 'standard' | 'insw';
  /** What the client calls the person. */
  subject: () => Promise<string>;
  directorate: ChosenDirectorate | undefined;
  findAccount(): Promise<AccountWithName | undefined>;
}

/** What is read for the claims; a part that none of them needs stays away. */
export interface Known {
  account: AccountWithName | undefined;
  organisation: (Organisation & { position: string | null }) | undefined;
  roles: RoleAssignment[] | undefined;
}

/**
 * The claims of a person (OpenID Connect Core 5.1 and DESIGN 5). Empty values are left out; `directorate` comes from the
 * grant that the engine has loaded, without a read of its own.
 */
export async function collectClaims(
  db: Database,
  account_id: string,
  telling: Telling,
): Promise<Record<string, unknown>> {
  const { names, client_id, directorate } = telling;
  const wants = (...some: string[]) => some.some((name) => names.has(name));
  const is_insw = telling.shape === 'insw';
  const has_profile = is_insw && names.has(insw_claim);
  const [account, organisation, roles, linked_account] = await Promise.all([
    has_profile || wants(...personal_claims) ? telling.findAccount() : undefined,
    has_profile || wants('organization') ? findOrganisationOf(db, account_id) : undefined,
    (has_profile && telling.reach.has('role')) || wants('role') ? listRoles(db, account_id) : undefined,
    wants('linked_account') && client_id ? linkedAccountClaim(db, account_id, client_id, directorate?.code) : undefined,
  ]);
  const claims = withoutEmpty({
    ...(account ? personalClaims(account) : {}),
    organization: organisation && organisationClaim(organisation),
    role: roles?.map((role) => withoutEmpty({ agency: role.agency_code, name: role.role, level: role.level })),
    directorate: directorate && { agency: directorate.agency, code: directorate.code, name: directorate.name },
    linked_account,
    ...(is_insw ? await shapeAsInsw(db, { account, organisation, roles }, telling) : {}),
  });
  return { sub: account_id, ...Object.fromEntries(Object.entries(claims).filter(([name]) => names.has(name))) };
}

const personal_claims = (['profile', 'email', 'phone', 'address'] as const).flatMap((scope) => claimsByScope[scope]);

function personalClaims(account: AccountWithName): Record<string, unknown> {
  return {
    name: account.full_name,
    preferred_username: account.username,
    locale: account.language,
    zoneinfo: account.time_zone,
    updated_at: Math.floor(account.updated_at.getTime() / 1000),
    mobile_number: account.mobile_number,
    fax_number: account.fax_number,
    account_expires_at: account.expires_at?.toISOString(),
    email: account.email,
    email_verified: account.email ? account.email_verified : undefined,
    phone_number: account.phone_number ?? account.mobile_number,
    phone_number_verified:
      account.phone_number || account.mobile_number
        ? !account.phone_number && account.mobile_number_verified
        : undefined,
    address: addressClaim(account),
  };
}

/** The user name that this client's own application gave the person, for the chosen directorate; read anew each time. */
async function linkedAccountClaim(
  db: Database,
  account_id: string,
  client_id: string,
  directorate: string | undefined,
) {
  const application = await findApplicationOfClient(db, client_id);
  const link = application && (await findServingLink(db, account_id, application.id, directorate));
  return (
    link &&
    withoutEmpty({
      username: link.username,
      directorate: link.directorate,
      verified_at: link.verified_at.toISOString(),
    })
  );
}

function addressClaim(account: { address: string | null; city: string | null; postal_code: string | null }) {
  if (!account.address && !account.city && !account.postal_code) return undefined;
  const formatted = [account.address, [account.postal_code, account.city].filter(Boolean).join(' ')]
    .filter(Boolean)
    .join('\n');
  return withoutEmpty({
    formatted,
    street_address: account.address,
    locality: account.city,
    postal_code: account.postal_code,
    country: 'ID',
  });
}

function organisationClaim(organisation: Organisation) {
  return withoutEmpty({
    id: organisation.id,
    name: organisation.name,
    npwp: organisation.npwp,
    nib: organisation.nib,
    edi_number: organisation.edi_number,
    srp: organisation.srp,
    address: [organisation.address, organisation.city, organisation.postal_code].filter(Boolean).join(', '),
    phone_number: organisation.phone_number,
    fax_number: organisation.fax_number,
    department: organisation.department,
    active: organisation.active,
  });
}

function withoutEmpty(claims: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(claims).filter(([, value]) => value !== null && value !== undefined && value !== ''),
  );
}
