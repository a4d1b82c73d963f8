/** The portal's own addresses: who may see them, and how a person gets in, out and back. */

import type Router from '@koa/router';
import type { Context } from 'koa';
import { nowSeconds } from '../clock.ts';
import type { Config } from '../config.ts';
import type { Database } from '../database.ts';
import type { LinkStore } from '../links/link.ts';
import { page } from '../views.ts';
import { pickApplications, showApplication, showApplications } from './applications.ts';
import { showCredentials } from './credentials.ts';
import { showHome } from './home.ts';
import { showLink, showRemoval, submitDefault, submitLabel, submitLink, submitRemoval } from './links.ts';
import { showProfile } from './profile.ts';
import { showRecovery } from './recover.ts';
import { showRegistration } from './registration.ts';

/** The client under which the portal asks the engine who is there. */
export const portal_client = 'portal';

/** What the portal needs; the engine is handed in as the two questions that are asked of it. */
export interface PortalStore {
  db: Database;
  config: Config;
  links: LinkStore;
  findSignedIn(ctx: Context): Promise<{ account_id: string; signed_in_at: number } | undefined>;
  /** The application that sent a visitor here: its name and where it begins. */
  findClient(id: string): Promise<{ asking: { name: string }; way_back: string | undefined } | undefined>;
}

/** A page of somebody who is signed in. */
export type PersonalPage = (ctx: Context, store: PortalStore, account_id: string) => Promise<void>;

interface Page {
  method: 'get' | 'post';
  /** `:id` is one name of small letters, digits and dashes. */
  address: string;
  show: PersonalPage;
  /** Seconds: whoever signed in longer ago proves first that it is still the same person. */
  max_age?: number;
  /** Where a sign-in on the way here leads, when it is not this address. */
  entry?: string;
}

const fresh = 300;
const table = '/portal/applications';

/** The pages of the portal; of two addresses that fit, the first counts. */
const pages: Page[] = [
  { method: 'get', address: '/portal', show: showHome },
  { method: 'get', address: table, show: showApplications },
  { method: 'get', address: `${table}/selection`, show: pickApplications, entry: table },
  { method: 'get', address: `${table}/:id`, show: showApplication },
  { method: 'get', address: `${table}/:id/link`, show: showLink },
  { method: 'post', address: `${table}/:id/link`, show: submitLink },
  { method: 'post', address: '/portal/links/:id/label', show: submitLabel, entry: table },
  { method: 'post', address: '/portal/links/:id/default', show: submitDefault, entry: table },
  { method: 'get', address: '/portal/links/:id/removal', show: showRemoval, max_age: fresh },
  { method: 'post', address: '/portal/links/:id/removal', show: submitRemoval, max_age: fresh },
  { method: 'get', address: '/portal/profile', show: showProfile },
  { method: 'get', address: '/portal/credentials', show: showCredentials },
];

/** Where the entry may lead. Whole addresses and nothing beside them: what comes back in `state` is anybody's. */
const entries = pages
  .filter(({ method, entry }) => method === 'get' && !entry)
  .map(({ address }) => new RegExp(`^${address.replace(':id', '[a-z0-9-]{2,40}')}$`));

/** Serves the portal, its entry and its way out, and the pages for those who cannot sign in. */
export function mountPortal(router: Router, store: PortalStore): void {
  for (const { method, address, show, max_age, entry } of pages) {
    router[method](address, async (ctx) => {
      const person = await store.findSignedIn(ctx);
      const is_fresh = person && (max_age === undefined || nowSeconds() - person.signed_in_at <= max_age);
      if (is_fresh) return show(ctx, store, person.account_id);
      ctx.status = 303;
      ctx.redirect(signInAddress(store.config, entry ?? ctx.path, max_age));
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
function signInAddress({ issuer, url }: Config, address: string, max_age?: number): string {
  const query = new URLSearchParams({
    client_id: portal_client,
    response_type: 'none',
    scope: 'openid',
    redirect_uri: `${url}/portal/entry`,
    state: address,
    ...(max_age === undefined ? {} : { max_age: String(max_age) }),
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
  ctx.redirect(entries.some((entry) => entry.test(wanted)) ? wanted : '/portal');
}
