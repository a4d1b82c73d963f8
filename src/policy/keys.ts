/** The table of policies: every number of behaviour that an operator may want to change, with its unit, bounds and default. */

import { z } from 'zod';

/** Where a value may be set, the widest place first. */
export type ScopeKind = 'system' | 'role' | 'organisation' | 'agency' | 'application';

interface Scoped {
  /** Places narrower than the whole system for which a value of its own makes sense; whoever reads the key names them. */
  narrower?: readonly Exclude<ScopeKind, 'system'>[];
}

/** What a policy means stands in the catalogues, under `policies.` and its key with each dot as an underscore. */
export type Policy = Scoped &
  (
    | {
        unit: 'seconds' | 'count' | 'days' | 'kibibytes' | 'percent';
        default: number;
        /** Both may be taken themselves. */
        min: number;
        max: number;
      }
    | { unit: 'switch'; default: boolean }
    | { unit: 'choice'; default: string; options: readonly string[] }
  );

const minute = 60;
const hour = 60 * minute;
const day = 24 * hour;
const year = 365 * day;

/** The table. A key stands in it from the day on which something reads it. */
export const policies = {
  'session.idle': { unit: 'seconds', default: 24 * hour, min: 5 * minute, max: 30 * day },
  'session.absolute': { unit: 'seconds', default: 7 * day, min: 15 * minute, max: 90 * day },
  // "Ingat perangkat ini" on the sign-in page.
  'session.remembered_idle': { unit: 'seconds', default: 14 * day, min: 5 * minute, max: 90 * day },
  'session.remembered_absolute': { unit: 'seconds', default: 30 * day, min: 15 * minute, max: 90 * day },
  'session.console_fresh': { unit: 'seconds', default: 5 * minute, min: minute, max: hour },
  'grant.lifetime': { unit: 'seconds', default: 30 * day, min: hour, max: year },
  'interaction.lifetime': { unit: 'seconds', default: hour, min: 5 * minute, max: day },
  'interaction.memory': { unit: 'seconds', default: 7 * day, min: hour, max: 30 * day },
  'browsers.memory': { unit: 'seconds', default: year, min: day, max: 3 * year },
  'audit.personal_retention': { unit: 'seconds', default: year, min: 30 * day, max: 5 * year },
  // Never shorter than the days in which sending a mail is tried (jobs.ts).
  'mail.retention': { unit: 'seconds', default: 30 * day, min: 7 * day, max: year },
  // The floor of OWASP ASVS 5.0, appendix C.
  'password.hash_memory': { unit: 'kibibytes', default: 19_456, min: 19_456, max: 262_144 },
  'password.hash_passes': { unit: 'count', default: 2, min: 2, max: 10 },
  'password.hash_lanes': { unit: 'count', default: 1, min: 1, max: 4 },
  'password.hash_queue': { unit: 'count', default: 64, min: 1, max: 1000 },
  'password.trader_length': { unit: 'count', default: 8, min: 8, max: 64 },
  'password.trader_classes': { unit: 'switch', default: true },
  'password.officer_length': { unit: 'count', default: 15, min: 8, max: 64 },
  'password.officer_classes': { unit: 'switch', default: false },
  // From the day on which a person sets one; 0 is for ever.
  'password.trader_days': { unit: 'days', default: 90, min: 0, max: 3650 },
  'password.officer_days': { unit: 'days', default: 90, min: 0, max: 3650 },
  'password.longest': { unit: 'count', default: 256, min: 64, max: 256 },
  // As judgePassword counts, from 0 to 4; eight characters drawn by chance are 2.
  'password.strength': { unit: 'count', default: 2, min: 1, max: 4 },
  'password.history': { unit: 'count', default: 5, min: 1, max: 24 },
  'human_check.when': { unit: 'choice', default: 'after_failures', options: ['never', 'after_failures', 'always'] },
  'human_check.after': { unit: 'count', default: 3, min: 1, max: 20 },
  // Of a whole address, behind which there may be an office.
  'human_check.after_shared': { unit: 'count', default: 20, min: 1, max: 1000 },
  // Zero bits: each further one doubles it. 13 are some half a second on a telephone of the middle.
  'human_check.work': { unit: 'count', default: 13, min: 6, max: 20 },
  'four_eyes.role': { unit: 'switch', default: false },
  'four_eyes.client_address': { unit: 'switch', default: false },
  'four_eyes.administrator_unlock': { unit: 'switch', default: false },
  'four_eyes.signing_key': { unit: 'switch', default: false },
  'four_eyes.lifetime': { unit: 'days', default: 7, min: 1, max: 30 },
  'clients.secret_warning': { unit: 'days', default: 14, min: 1, max: 90 },
  'clients.dynamic_registration': { unit: 'switch', default: false },
  // Off only while an old client, or a certification, must be let in without.
  'clients.dynamic_pkce': { unit: 'switch', default: true },
  // Never shorter than it takes until everybody has fetched it (oidc/keys/signing-keys.ts).
  'keys.publish_ahead': { unit: 'seconds', default: day, min: 10 * minute, max: 7 * day },
  'keys.rotation_days': { unit: 'days', default: 90, min: 7, max: 730 },
  'organisations.npwp_check': { unit: 'choice', default: 'warn', options: ['warn', 'error'] },
  // Its place among the ways to recover an account; 0 closes the way.
  'recovery.email_code': { unit: 'count', default: 1, min: 0, max: 9 },
  'recovery.code_lifetime': { unit: 'seconds', default: 10 * minute, min: 2 * minute, max: hour },
  'recovery.addresses': { unit: 'count', default: 2, min: 1, max: 5 },
  'recovery.session': { unit: 'switch', default: true },
  'invitation.lifetime': { unit: 'days', default: 7, min: 1, max: 30, narrower: ['organisation'] },
} as const satisfies Record<string, Policy>;

export type PolicyKey = keyof typeof policies;

/** The switches that ask for a second person. */
export type FourEyesKey = Exclude<Extract<PolicyKey, `four_eyes.${string}`>, 'four_eyes.lifetime'>;

type Definition<Key extends PolicyKey> = (typeof policies)[Key];

/** What reading a policy gives: a whole number in its unit, a boolean for a switch, one of the options for a choice. */
export type PolicyValue<Key extends PolicyKey = PolicyKey> =
  Definition<Key> extends { unit: 'choice'; options: readonly (infer Option)[] }
    ? Option
    : Definition<Key>['default'] extends boolean
      ? boolean
      : number;

/**
 * Policies that belong together: none may be longer than the one after it. A grant that ended before its session would ask
 * a signed-in person again in the middle of the work, nothing that a session opens may live on the session's own clock, and
 * a sign-in page must be remembered for as long as it can be finished. Such keys have no narrower places.
 */
export const orders: readonly (readonly PolicyKey[])[] = [
  ['session.idle', 'session.absolute', 'session.remembered_absolute', 'grant.lifetime'],
  ['interaction.lifetime', 'interaction.memory'],
];

/** Whether there is a policy of that name, as programs and older releases may ask for any. */
export function isPolicyKey(key: string): key is PolicyKey {
  return Object.hasOwn(policies, key);
}

/** What a value of a policy must be, as its unit and bounds say. */
export function schemaOf(key: PolicyKey): z.ZodType<number | boolean | string> {
  return schemaFor(policies[key]);
}

/** The same for one line of the table. */
export function schemaFor(policy: Policy): z.ZodType<number | boolean | string> {
  if (policy.unit === 'switch') return z.boolean();
  if (policy.unit === 'choice') return z.enum(policy.options);
  return z.int().min(policy.min).max(policy.max);
}

/** Whether a value of its own may be set for such a place. */
export function hasScope(key: PolicyKey, kind: ScopeKind): boolean {
  const { narrower = [] }: Policy = policies[key];
  return kind === 'system' || narrower.includes(kind);
}

/** The message key of what a policy means. */
export function meaningOf(key: PolicyKey): string {
  return `policies.${key.replaceAll('.', '_')}`;
}
