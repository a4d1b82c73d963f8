/** Where a recovery stands in this browser, and the pages for whoever comes too early, too late or with an old form. */

import type { Context } from 'koa';
import { readToken } from '../recovery/cookie.ts';
import { findRecovery, type Recovery } from '../recovery/recovery.ts';
import { page } from '../views.ts';
import { goTo } from './links.ts';
import type { PortalStore } from './portal.ts';

/** The page of each state. */
const places: Record<Recovery['state'], string> = {
  begun: '/recovery/address',
  code_sent: '/recovery/code',
  verified: '/recovery/choice',
  signing_in: '/recovery/session',
  done: '/recovery/done',
  used_up: '/recovery/code',
};

/**
 * The recovery of this browser, if it is at one of these states. Otherwise a page or a redirect has answered: a page that
 * was asked for too early or too late leads to the one whose turn it is, and a form says so first.
 */
export async function findStep(
  ctx: Context,
  store: PortalStore,
  states: Recovery['state'][],
): Promise<Recovery | undefined> {
  const token = readToken(ctx);
  const recovery = token ? await findRecovery(store.recoveries, token) : undefined;
  if (!recovery) {
    showEnd(ctx, 'over');
    return undefined;
  }
  if (states.includes(recovery.state)) return recovery;
  if (recovery.state === 'used_up') showEnd(ctx, 'used_up', recovery);
  else if (ctx.method === 'POST') showMoved(ctx, recovery);
  else goTo(ctx, places[recovery.state]);
  return undefined;
}

/** Whether a form is of this recovery; in another tab one for somebody else may have begun since. */
export function isOfThis(ctx: Context, recovery: Recovery, sent: string): boolean {
  if (sent === recovery.id) return true;
  showMoved(ctx, recovery);
  return false;
}

/** A form of a page that is no longer, or not yet, the one to fill in. */
export function showMoved(ctx: Context, recovery: Recovery): void {
  const { t } = ctx.state;
  ctx.status = 409;
  page(ctx, 'errors/page', {
    status: ctx.status,
    title: t('portal.recover.moved_title'),
    text: t('portal.recover.moved_text'),
    ways: [
      { href: places[recovery.state], label: t('words.continue') },
      { href: addressOfStart(recovery), label: t('portal.recover.again') },
    ],
  });
}

/** A recovery that leads nowhere any more. */
export function showEnd(ctx: Context, why: 'over' | 'used_up' | 'closed', origin: Origin = {}): void {
  const { t } = ctx.state;
  ctx.status = 410;
  page(ctx, 'errors/page', {
    status: ctx.status,
    title: t(`portal.recover.${why}_title`),
    text: t(`portal.recover.${why}_text`),
    ways: [
      { href: addressOfStart(origin), label: t('portal.recover.again') },
      { href: addressOfSignIn(origin), label: t('words.sign_in') },
    ],
  });
}

/** What a recovery keeps of where it began. */
type Origin = Pick<Recovery, 'client_id' | 'interaction'>;

/** The sign-in page that a recovery began from, or the portal's. */
export function addressOfSignIn({ interaction }: Origin): string {
  return interaction ? `/interaction/${interaction}` : '/portal';
}

/** The page on which a recovery begins anew, and leads back to where the first one began. */
export function addressOfStart({ client_id, interaction }: Origin): string {
  const query = new URLSearchParams({ ...(client_id ? { client_id } : {}), ...(interaction ? { interaction } : {}) });
  return query.size > 0 ? `/recovery?${query}` : '/recovery';
}

/** The way out of a recovery: back to the sign-in page or the application that it began from. */
export async function findWayOut(
  ctx: Context,
  store: PortalStore,
  origin: Origin,
): Promise<{ href: string; label: string }> {
  const { t } = ctx.state;
  const client = origin.interaction || !origin.client_id ? undefined : await store.findClient(origin.client_id);
  if (client?.way_back) return { href: client.way_back, label: t('words.back_to', { client: client.asking.name }) };
  return { href: addressOfSignIn(origin), label: t('portal.recover.to_sign_in') };
}
