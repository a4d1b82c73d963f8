/** The named limits: how many tries each allows, and how the wait grows after them. */

/** How a limit counts. */
export interface Limit {
  /** Tries that cost no waiting; the one that uses them up starts the first wait. */
  free: number;
  /** Seconds of the first wait; each further try doubles it. */
  first_wait: number;
  longest_wait: number;
  /** Seconds after which the counter is forgotten. */
  forget: number;
  /** Whether `forget` runs from the first try of the count (a window) or starts anew with each try. */
  forget_from: 'first' | 'last';
}

export const limits = {
  // Of one name, from strangers; the same for names that nobody has.
  sign_in_account: { free: 5, first_wait: 30, longest_wait: 3600, forget: 86_400, forget_from: 'last' },
  // Of one name from one address.
  sign_in_pair: { free: 5, first_wait: 30, longest_wait: 3600, forget: 86_400, forget_from: 'last' },
  // Of one address. A window, since behind one address there may be a whole office: typing errors of a week must not add up.
  sign_in_address: { free: 50, first_wait: 30, longest_wait: 3600, forget: 3600, forget_from: 'first' },
  // Of one name in a browser that has signed it in before: strangers cannot fill this lane.
  sign_in_browser: { free: 10, first_wait: 30, longest_wait: 3600, forget: 86_400, forget_from: 'last' },
  // The old password, asked once more before a change: of one person.
  password_change: { free: 10, first_wait: 60, longest_wait: 3600, forget: 86_400, forget_from: 'last' },
  // Recoveries begun from one address, and codes typed there: a window, for there may be an office behind it.
  recovery_start: { free: 30, first_wait: 60, longest_wait: 3600, forget: 3600, forget_from: 'first' },
  recovery_code: { free: 50, first_wait: 60, longest_wait: 3600, forget: 3600, forget_from: 'first' },
  // Codes sent for one name from one address or known browser: the first, ten more, and then none for a day.
  recovery_send: { free: 11, first_wait: 86_400, longest_wait: 86_400, forget: 86_400, forget_from: 'last' },
  // Mails with a code to one mail address, whoever asks for them; the next ones are left out silently.
  recovery_mail: { free: 10, first_wait: 86_400, longest_wait: 86_400, forget: 86_400, forget_from: 'first' },
  // Notices of a sign-in in a new browser: to one person about one device and network, once an hour. Several windows that are
  // opened at once, or a browser that keeps no cookie, must not teach anybody to throw such mails away.
  new_browser: { free: 1, first_wait: 3600, longest_wait: 3600, forget: 3600, forget_from: 'first' },
  // Recovery addresses that one person adds.
  recovery_address: { free: 10, first_wait: 3600, longest_wait: 86_400, forget: 86_400, forget_from: 'last' },
  // Proving links: of one person, and of one user name at one application.
  link_person: { free: 10, first_wait: 60, longest_wait: 3600, forget: 86_400, forget_from: 'last' },
  link_username: { free: 5, first_wait: 30, longest_wait: 3600, forget: 86_400, forget_from: 'last' },
  // Calls to one application without an answer: it is left alone for a while and then tried again.
  link_breaker: { free: 5, first_wait: 15, longest_wait: 120, forget: 600, forget_from: 'last' },
  // "Coba" at the console: of one application. A window, since a programmer tries often and then never again.
  link_trial: { free: 20, first_wait: 60, longest_wait: 3600, forget: 3600, forget_from: 'first' },
  // Clients that register themselves: failures of one address, with tokens that nobody issued or words that are refused.
  registration_address: { free: 30, first_wait: 60, longest_wait: 3600, forget: 3600, forget_from: 'first' },
  // Proofs that fail in the name of one client, from one address; one that is right always counts.
  client_failure: { free: 100, first_wait: 30, longest_wait: 3600, forget: 3600, forget_from: 'first' },
  // Codes that no device shows, typed from one address.
  device_code: { free: 20, first_wait: 60, longest_wait: 3600, forget: 3600, forget_from: 'first' },
  // Codes by mail in place of a picture: to one name, and asked for from one address.
  human_check_mail_name: { free: 5, first_wait: 60, longest_wait: 3600, forget: 86_400, forget_from: 'last' },
  human_check_mail_address: { free: 20, first_wait: 60, longest_wait: 3600, forget: 3600, forget_from: 'first' },
  // Requests of one program or person to the interface: so many in a minute.
  api: { free: 600, first_wait: 60, longest_wait: 60, forget: 60, forget_from: 'first' },
} as const satisfies Record<string, Limit>;

export type LimitName = keyof typeof limits;

/** How many tries a limit allows without waiting, and in how many seconds they are forgotten. */
export function numbersOf(name: LimitName): { free: number; forget: number } {
  return limits[name];
}
