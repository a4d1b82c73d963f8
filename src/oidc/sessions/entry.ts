/** How people come into our own surfaces: the engine asks who is there, and what comes back leads to the page they wanted. */

import type { Context } from 'koa';
import type { Config } from '../../config.ts';
import { page } from '../../views.ts';

/** A surface that is a client of the engine: its client's id and where it begins. */
export interface Surface {
  client_id: string;
  /** `/portal`; its entry is below it. */
  home: string;
  /** Whether what came back in `state` is an address of its own. It is anybody's, so: whole addresses and nothing beside them. */
  isOwn(address: string): boolean;
}

/** Asks the engine for a session in which every question of the surface's was answered; `state` brings the person back. */
export function askSignIn(
  ctx: Context,
  { issuer, url }: Config,
  { client_id, home }: Surface,
  address: string,
  max_age?: number,
  also: { prompt?: string; acr_values?: string } = {},
): void {
  const query = new URLSearchParams({
    client_id,
    response_type: 'none',
    scope: 'openid',
    redirect_uri: `${url}${home}/entry`,
    state: address,
    ...(max_age === undefined ? {} : { max_age: String(max_age) }),
    ...also,
  });
  ctx.status = 303;
  ctx.redirect(`${issuer}/auth?${query}`);
}

/** Where the engine's answer arrives. A browser that keeps no cookies would go round for ever, so it is told instead. */
export async function enter(ctx: Context, { home, isOwn }: Surface, isSignedIn: () => Promise<boolean>): Promise<void> {
  const { t } = ctx.state;
  const say = (status: number, key: 'cancelled' | 'failed' | 'no_session') => {
    ctx.status = status;
    page(ctx, 'errors/page', {
      status,
      title: t(`oidc.entry.${key}_title`),
      text: t(`oidc.entry.${key}_text`),
      ways: [
        { href: home, label: t('words.sign_in') },
        { href: '/', label: t('words.to_start') },
      ],
    });
  };
  if (ctx.query.error) return ctx.query.error === 'access_denied' ? say(200, 'cancelled') : say(400, 'failed');
  if (!(await isSignedIn())) return say(400, 'no_session');
  const address = typeof ctx.query.state === 'string' ? ctx.query.state : '';
  ctx.status = 303;
  ctx.redirect(isOwn(address) ? address : home);
}
