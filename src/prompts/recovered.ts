/** The sign-in page of somebody whose recovery ended with "Lanjutkan Sesi": its code takes the place of the password, once. */

import { readToken } from '../recovery/cookie.ts';
import { findRecovery } from '../recovery/recovery.ts';
import { acceptsRecovered, takeSession } from '../recovery/reset.ts';
import type { Visit } from './prompt.ts';

/**
 * Answers the sign-in by the recovery of this browser, where the application accepts that; where it does not, the person goes
 * to the portal's page for a new password instead.
 * @returns whether the request is answered
 */
export async function takeRecovered(visit: Visit): Promise<boolean> {
  const { ctx, store, client, interaction } = visit;
  const token = readToken(ctx);
  const recovery = token ? await findRecovery(store.recoveries, token) : undefined;
  if (recovery?.state !== 'signing_in') return false;
  if (!acceptsRecovered(interaction.params.acr_values)) {
    ctx.status = 303;
    ctx.redirect('/recovery/session');
    return true;
  }
  const request = { address: ctx.state.address, user_agent: ctx.get('user-agent'), request_id: ctx.state.request_id };
  const login = await takeSession(store.recoveries, recovery, client.asking.id, request);
  if (!login) return false;
  // A code from a mailbox is good for this once, and for no device.
  await visit.finish({ login: { ...login, remember: false } });
  return true;
}
