/** How long a session lives, and what is granted in it: limits of policy that fit each other. */

import { nowSeconds } from '../../clock.ts';
import { policy } from '../../policy/policy.ts';

/** A session, as much as its lifetime hangs on. */
export interface LivingSession {
  /** Seconds since the epoch of the sign-in; none while nobody is signed in. */
  loginTs?: number | undefined;
  /** "Ingat perangkat ini" was ticked, by somebody who may. */
  remembered?: boolean | undefined;
}

/** Seconds without use after which a session ends. */
function idleLimit({ remembered }: LivingSession): number {
  return policy(remembered ? 'session.remembered_idle' : 'session.idle');
}

/** When a session ends at the latest, however much it is used: seconds since the epoch. */
export function latestEnd({ loginTs = nowSeconds(), remembered }: LivingSession): number {
  return loginTs + policy(remembered ? 'session.remembered_absolute' : 'session.absolute');
}

/** Seconds until a session ends if it is not used again: the idle limit, cut by what is left of the absolute one. */
export function sessionLifetime(session: LivingSession): number {
  const idle = idleLimit(session);
  if (session.loginTs === undefined) return Math.min(idle, policy('interaction.lifetime'));
  return Math.max(1, Math.min(idle, latestEnd(session) - nowSeconds()));
}

/** Whether use is to be written down: not at every page, and often enough that the idle limit counts from the last one. */
export function isUnseen(session: LivingSession & { unseen?: number | undefined }): boolean {
  return (session.unseen ?? 0) >= Math.min(300, idleLimit(session) / 10);
}

/**
 * Seconds that a refresh token lives. One that is bound to a session ends with it, whatever this says, so it is given the
 * longest that any has; one that is meant to outlive the session lives as long as its grant.
 */
export function refreshLifetime({ expiresWithSession }: { expiresWithSession?: boolean | undefined }): number {
  return policy(expiresWithSession ? 'session.remembered_absolute' : 'grant.lifetime');
}
