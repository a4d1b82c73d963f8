/** Create SSO at an application that wants to see the person itself: the way there, and what comes back. */

import type { Context } from 'koa';
import { z } from 'zod';
import { readForm } from '../http/form.ts';
import { beginRedirect, finishRedirect, type ReturnOutcome } from '../links/redirect.ts';
import { explainLink } from '../prompts/link.ts';
import { page } from '../views.ts';
import { addressOfDetail, addressOfLink, readIds } from './applications.ts';
import { findSupported, goTo, isOfAnother, refuseOther, requestOf, showForm } from './links.ts';
import type { PortalStore } from './portal.ts';

const departure = z.object({ person: z.string().max(64).default('') });

/** POST /portal/applications/:id/verification?next= sends the person to the application. */
export async function submitVerification(
  ctx: Context,
  store: PortalStore,
  account_id: string,
  session_uid: string,
): Promise<void> {
  const { t } = ctx.state;
  const row = await findSupported(ctx, store, account_id);
  const read = await readForm(ctx, departure);
  if (read.state === 'refused') {
    ctx.status = 422;
    return showForm(ctx, store, account_id, row, '', { form: t(Object.values(read.errors)[0] ?? '') });
  }
  if (isOfAnother(read.values.person, account_id)) return refuseOther(ctx, store, account_id, row);
  const outcome = await beginRedirect(store.links, {
    account_id,
    application_id: row.id,
    session_uid,
    next: readIds(ctx.query.next),
    request: requestOf(ctx),
  });
  if (outcome.state === 'begun') return goTo(ctx, outcome.address);
  if (outcome.state === 'unsupported') return ctx.throw(404);
  ctx.status = outcome.state === 'waiting' ? 429 : 422;
  if (outcome.retry_after) ctx.set('retry-after', String(outcome.retry_after));
  return showForm(ctx, store, account_id, row, '', { form: explainLink(t, row.name, outcome) });
}

/**
 * GET /portal/links/callback/:kind, where an application sends people back. Not a page of the portal alone: a prompt's way ends
 * here too, so it is the session in which it was begun that counts, whichever applications that has opened.
 */
export async function takeReturn(ctx: Context, store: PortalStore): Promise<void> {
  const session = await store.findSession(ctx);
  const { state, ...query } = ctx.query;
  // Of two values which would count is a question that the application and we might answer differently.
  const is_plain = Object.values(query).every((value) => typeof value === 'string');
  if (!session || typeof state !== 'string' || !is_plain) return showOver(ctx);
  const outcome = await finishRedirect(store.links, {
    ...session,
    kind: String(ctx.params.kind),
    state,
    query: query as Record<string, string>,
    request: requestOf(ctx),
  });
  return outcome.state === 'over' ? showOver(ctx) : goOn(ctx, outcome);
}

async function goOn(
  ctx: Context,
  { outcome, application, interaction, next }: Extract<ReturnOutcome, { state: 'back' }>,
): Promise<void> {
  const { t } = ctx.state;
  const [first, ...others] = next;
  if (outcome.state === 'linked') {
    if (interaction) return goTo(ctx, `/interaction/${interaction}?done=linked`);
    return goTo(ctx, first ? addressOfLink(first, others, 'linked') : addressOfDetail(application.id, 'linked'));
  }
  if (outcome.state === 'held' && !interaction) return goTo(ctx, addressOfDetail(application.id, 'held', next));
  ctx.status = 422;
  if ('retry_after' in outcome && outcome.retry_after) ctx.set('retry-after', String(outcome.retry_after));
  const again = interaction ? `/interaction/${interaction}` : addressOfLink(application.id, next);
  page(ctx, 'errors/page', {
    status: ctx.status,
    title: t('portal.link-callback.refused_title', { application: application.name }),
    text: explainLink(t, application.name, outcome),
    ways: [
      { href: again, label: t('portal.link-callback.again') },
      { href: '/portal/applications', label: t('portal.link-callback.to_table') },
    ],
  });
}

/** Of another person or browser, taken already, too late, or never begun: one page for all of them. */
function showOver(ctx: Context): void {
  const { t } = ctx.state;
  ctx.status = 410;
  page(ctx, 'errors/page', {
    status: ctx.status,
    title: t('portal.link-callback.over_title'),
    text: t('portal.link-callback.over_text'),
    ways: [
      { href: '/portal/applications', label: t('portal.link-callback.to_table') },
      { href: '/', label: t('words.to_start') },
    ],
  });
}
