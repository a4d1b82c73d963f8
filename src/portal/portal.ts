/** The portal's own addresses: who may see them, and how a person gets in, out and back. */

import type Router from '@koa/router';
import type { Context } from 'koa';
import type { Config } from '../config.ts';
import type { Database } from '../database.ts';
import { page } from '../views.ts';
import { showCredentials } from './credentials.ts';
import { showHome } from './home.ts';
import { showProfile } from './profile.ts';
import { showRecovery } from './recover.ts';
import { showRegistration } from './registration.ts';

/** The client under which the portal asks the engine who is there. */
export const portal_client = 'portal';

/** What the portal needs; the engine is handed in as the two questions that are asked of it. */
export interface PortalStore {
  db: Database;
  config: Config;
  findSignedIn(ctx: Context): Promise<{ account_id: string; signed_in_at: number } | undefined>;
  /** The application that sent a visitor here: its name and where it begins. */
  findClient(id: string): Promise<{ asking: { name: string }; way_back: string | undefined } | undefined>;
}

/** A page of somebody who is signed in. */
export type PersonalPage = (ctx: Context, store: PortalStore, account_id: string) => Promise<void>;

/** The pages of the portal, by address. */
const pages: Record<string, PersonalPage> = {
  '/portal': showHome,
  '/portal/profile': showProfile,
  '/portal/credentials': showCredentials,
};

/** Serves the portal, its entry and its way out, and the pages for those who cannot sign in. */
export function mountPortal(router: Router, store: PortalStore): void {
  for (const [address, show] of Object.entries(pages)) {
    router.get(address, async (ctx) => {
      const person = await store.findSignedIn(ctx);
      if (person) return show(ctx, store, person.account_id);
      ctx.status = 303;
      ctx.redirect(signInAddress(store.config, address));
    });
  }
  router.get('/portal/entry', (ctx) => enter(ctx, store));
  router.get('/portal/sign-out', (ctx) => {
    ctx.status = 303;
    ctx.redirect(`${store.config.issuer}/session/end?client_id=${portal_client}`);
  });
  router.get('/.well-known/change-password', (ctx) => {
    ctx.status = 303;
    ctx.redirect('/portal/credentials');
  });
  router.get('/registration', (ctx) => showRegistration(ctx, store));
  router.get('/recovery', (ctx) => showRecovery(ctx, store));
}

/** Asks the engine for a session in which every question of the portal's was answered; `state` brings the person back. */
function signInAddress({ issuer, url }: Config, address: string): string {
  const query = new URLSearchParams({
    client_id: portal_client,
    response_type: 'none',
    scope: 'openid',
    redirect_uri: `${url}/portal/entry`,
    state: address,
  });
  return `${issuer}/auth?${query}`;
}

/** Where the engine's answer arrives. A browser that keeps no cookies would go round for ever, so it is told instead. */
async function enter(ctx: Context, store: PortalStore): Promise<void> {
  const { t } = ctx.state;
  const again = [
    { href: '/portal', label: t('words.sign_in') },
    { href: '/', label: t('words.to_start') },
  ];
  if (ctx.query.error) {
    const was_cancelled = ctx.query.error === 'access_denied';
    ctx.status = was_cancelled ? 200 : 400;
    const key = was_cancelled ? 'cancelled' : 'failed';
    return page(ctx, 'errors/page', {
      status: ctx.status,
      title: t(`portal.entry.${key}_title`),
      text: t(`portal.entry.${key}_text`),
      ways: again,
    });
  }
  if (!(await store.findSignedIn(ctx))) {
    ctx.status = 400;
    return page(ctx, 'errors/page', {
      status: 400,
      title: t('portal.entry.no_session_title'),
      text: t('portal.entry.no_session_text'),
      ways: again,
    });
  }
  const wanted = String(ctx.query.state);
  ctx.status = 303;
  ctx.redirect(Object.hasOwn(pages, wanted) ? wanted : '/portal');
}
