/** The page behind "that was not me" in a notice: its button freezes the account for an officer, and nothing else. */

import type { Context } from 'koa';
import { disown, findNotice } from '../recovery/notices.ts';
import { page } from '../views.ts';
import { requestOf } from './links.ts';
import type { PortalStore } from './portal.ts';

/** GET /notices/:token shows and takes nothing: mail scanners open every link. */
export async function showNotice(ctx: Context, store: PortalStore): Promise<void> {
  ctx.set('referrer-policy', 'no-referrer');
  const notice = await findNotice(store.recoveries, String(ctx.params.token));
  if (!notice) return showOver(ctx);
  page(ctx, 'portal/not-me', { action: ctx.path, happened: ctx.state.t(`portal.not-me.${notice.kind}`) });
}

/** POST /notices/:token */
export async function submitNotice(ctx: Context, store: PortalStore): Promise<void> {
  const { t } = ctx.state;
  ctx.set('referrer-policy', 'no-referrer');
  if (!(await disown(store.recoveries, String(ctx.params.token), requestOf(ctx)))) return showOver(ctx);
  page(ctx, 'errors/page', {
    status: 200,
    title: t('portal.not-me.done_title'),
    text: t('portal.not-me.done_text', { support: store.recoveries.support }),
    ways: [{ href: '/', label: t('words.to_start') }],
  });
}

/** Used, too late, or never sent: one page for all of them. */
function showOver(ctx: Context): void {
  const { t } = ctx.state;
  ctx.status = 410;
  page(ctx, 'errors/page', {
    status: ctx.status,
    title: t('portal.not-me.over_title'),
    text: t('portal.not-me.over_text'),
    ways: [{ href: '/', label: t('words.to_start') }],
  });
}
