/** What every request to a demonstration application carries, and how it is led elsewhere. */

import type { RouterContext } from '@koa/router';
import type { languages, translator } from '../i18n/messages.ts';

export type Language = (typeof languages)[number];

export interface SiteState {
  language: Language;
  t: ReturnType<typeof translator>;
}

export type SiteContext = RouterContext<SiteState>;

/** Leads the browser to another page, by GET whatever the method was. */
export function leadTo(ctx: SiteContext, address: string): void {
  ctx.status = 303;
  ctx.redirect(address);
}
