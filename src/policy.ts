/** Every number of behaviour that an operator may want to change: key, unit, scope, default and meaning. */

interface Policy {
  unit: 'seconds' | 'count' | 'kibibytes' | 'switch';
  /** The narrowest place for which a value of its own makes sense. */
  scope: 'system' | 'organisation' | 'role' | 'application';
  default: number | boolean;
  what: string;
}

const minute = 60;
const hour = 60 * minute;
const day = 24 * hour;

// The lifetimes of sessions and grants belong together: a grant that ends before its session would ask a signed-in person
// again in the middle of the work, and nothing that a session opens may live on the session's own clock (DESIGN 9).
export const policies = {
  'session.idle': {
    unit: 'seconds',
    scope: 'system',
    default: 24 * hour,
    what: 'A session without any use ends after this time.',
  },
  'session.absolute': {
    unit: 'seconds',
    scope: 'system',
    default: 7 * day,
    what: 'A session ends this long after the sign-in, however much it is used.',
  },
  'grant.lifetime': {
    unit: 'seconds',
    scope: 'system',
    default: 30 * day,
    what: 'What a person allowed an application to know is forgotten after this time; longer than any session.',
  },
  'interaction.lifetime': {
    unit: 'seconds',
    scope: 'system',
    default: hour,
    what: 'A sign-in that was begun can be finished within this time.',
  },
  'interaction.memory': {
    unit: 'seconds',
    scope: 'system',
    default: 7 * day,
    what: 'An expired sign-in page still leads back to its application for this time.',
  },
  'browsers.memory': {
    unit: 'seconds',
    scope: 'system',
    default: 365 * day,
    what: 'A browser in which a person signed in is known for this time after its last use.',
  },
  'audit.personal_retention': {
    unit: 'seconds',
    scope: 'system',
    default: 365 * day,
    what: 'Addresses and browsers in the audit are erased after this time; the events stay.',
  },
  'mail.retention': {
    unit: 'seconds',
    scope: 'system',
    default: 30 * day,
    what: 'Mails are deleted after this time, sent or not; longer than the days in which sending is tried.',
  },
  'password.hash_memory': {
    unit: 'kibibytes',
    scope: 'system',
    default: 19_456,
    what: 'Memory of one password hash (argon2id m); a raise takes hold at the next sign-in of each person.',
  },
  'password.hash_passes': {
    unit: 'count',
    scope: 'system',
    default: 2,
    what: 'Passes of one password hash (argon2id t).',
  },
  'password.hash_lanes': {
    unit: 'count',
    scope: 'system',
    default: 1,
    what: 'Lanes of one password hash (argon2id p).',
  },
  'password.hash_queue': {
    unit: 'count',
    scope: 'system',
    default: 64,
    what: 'Password hashes that may wait in one process; who comes after them is asked to try again shortly.',
  },
} as const satisfies Record<string, Policy>;

export type PolicyKey = keyof typeof policies;

type Value<Key extends PolicyKey> = (typeof policies)[Key]['default'] extends boolean ? boolean : number;

/** The value that holds for the whole system: seconds, counts or kibibytes as the policy's unit says. */
export function policy<Key extends PolicyKey>(key: Key): Value<Key> {
  return policies[key].default as Value<Key>;
}
