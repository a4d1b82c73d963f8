/** The ground every demonstration application stands on: its web server, headers, language, forms, error pages and database pool. */

import { createServer, type Server } from 'node:http';
import Router from '@koa/router';
import Koa from 'koa';
import pg from 'pg';
import { translator } from '../i18n/messages.ts';
import type { SiteContext, SiteState } from './context.ts';
import { isForeignPost } from './form.ts';
import { chooseLanguage, linkLanguages, readLanguage } from './language.ts';
import { type Pages, readPages } from './pages.ts';

/** A running application. */
export interface Site {
  url: string;
  close(): Promise<void>;
}

export interface SiteOptions {
  /** The interface to listen on; absent: this machine alone. */
  host?: string;
  port: number;
  /** The origin under which browsers reach it, such as http://localhost:3001. */
  url: string;
  /** A PostgreSQL database of the demonstration's own. */
  database_url: string;
}

/** What makes one application different from its neighbours. */
export interface SiteLook {
  /** Prefix of its tables and cookies. */
  name: 'e_bpom' | 'cargolink' | 'portal_insw' | 'inbox';
  title: string;
  /** The view that surrounds every page. */
  layout: string;
  /** Its stylesheet and mark in views/demo/assets. */
  assets: string;
  /** Origins that its forms may lead to besides itself: Chromium checks every redirect after a form was sent. */
  form_origins?: string[];
  /** Paths whose POST comes from a machine, so that the check of the sending page does not apply. */
  machine_paths?: string[];
  /** Data that its layout needs on every page. */
  surroundings?: Record<string, unknown>;
}

/** What an application builds itself from. */
export interface SiteGround {
  url: string;
  title: string;
  db: pg.Pool;
  router: Router<SiteState>;
  /** Answers with a view in the application's layout; `title` heads the browser's tab. */
  page(ctx: SiteContext, view: string, data: { title: string; [name: string]: unknown }): void;
}

/**
 * Starts an application. `build` makes its tables and routes; what it returns is called when the site closes.
 * Rejects with the untouched error of the socket (EADDRINUSE) or of the database.
 */
export async function startSite(
  look: SiteLook,
  options: SiteOptions,
  build: (ground: SiteGround) => Promise<undefined | (() => Promise<void>)>,
): Promise<Site> {
  const pages = readPages(look.assets);
  const db = new pg.Pool({ connectionString: options.database_url, max: 4, application_name: look.name });
  // A lost idle connection is replaced at the next query; without a listener it would end the process.
  db.on('error', () => undefined);
  const router = new Router<SiteState>();
  const ground: SiteGround = {
    url: options.url,
    title: look.title,
    db,
    router,
    page: (ctx, view, page) => showPage(pages, look, ctx, view, page),
  };
  let closeParts: undefined | (() => Promise<void>);
  try {
    closeParts = await build(ground);
    const server = await listen(buildApp(look, options, pages, ground), options);
    return {
      url: options.url,
      async close() {
        server.close();
        server.closeAllConnections();
        await closeParts?.();
        await db.end();
      },
    };
  } catch (error) {
    await closeParts?.();
    await db.end();
    throw error;
  }
}

function buildApp(look: SiteLook, options: SiteOptions, pages: Pages, ground: SiteGround): Koa<SiteState> {
  const app = new Koa<SiteState>();
  const secure = options.url.startsWith('https:');
  const policy = [
    "default-src 'none'",
    "style-src 'self'",
    "img-src 'self'",
    "frame-src 'self'",
    `form-action ${["'self'", ...(look.form_origins ?? [])].join(' ')}`,
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
  app.use(async (ctx, next) => {
    ctx.cookies.secure = secure;
    ctx.set({
      'content-security-policy': policy,
      'x-content-type-options': 'nosniff',
      // Not no-referrer: that would send `Origin: null` with our own forms.
      'referrer-policy': 'same-origin',
      'cache-control': 'no-store',
    });
    ctx.state.language = readLanguage(look.name, ctx as SiteContext);
    ctx.state.t = translator(ctx.state.language);
    try {
      if (!look.machine_paths?.includes(ctx.path) && isForeignPost(options.url, ctx as SiteContext)) ctx.throw(403);
      if (chooseLanguage(look.name, ctx as SiteContext)) return;
      await next();
      if (ctx.status === 404 && ctx.body == null) ctx.throw(404);
    } catch (error) {
      showError(ground, ctx as SiteContext, error);
    }
  });
  for (const asset of [pages.stylesheet, pages.mark]) {
    ground.router.get(asset.path, (ctx) => {
      ctx.set('cache-control', 'public, max-age=31536000, immutable');
      ctx.type = asset.type;
      ctx.body = asset.body;
    });
  }
  ground.router.get('/favicon.ico', (ctx) => {
    ctx.type = pages.mark.type;
    ctx.body = pages.mark.body;
  });
  app.use(ground.router.routes());
  return app;
}

function showPage(pages: Pages, look: SiteLook, ctx: SiteContext, view: string, page: { title: string }): void {
  const shared = {
    ...look.surroundings,
    t: ctx.state.t,
    language: ctx.state.language,
    site_title: look.title,
    stylesheet: pages.stylesheet.path,
    mark: pages.mark.path,
    path: ctx.path,
    language_links: linkLanguages(ctx),
  };
  ctx.type = 'html';
  ctx.body = pages.render(look.layout, { ...shared, ...page, body: pages.render(view, { ...shared, ...page }) });
}

function showError(ground: SiteGround, ctx: SiteContext, error: unknown): void {
  const { status: found, expose } = error as { status?: number; expose?: boolean };
  const status = expose && found !== undefined && found >= 400 && found < 500 ? found : 500;
  if (status === 500) console.error(`${ground.title}: ${error instanceof Error ? error.stack : String(error)}`);
  const { t } = ctx.state;
  const [title, text] =
    status === 404
      ? [t('demo.site.error.not_found_title'), t('demo.site.error.not_found')]
      : status === 500
        ? [t('demo.site.error.broken_title'), t('demo.site.error.broken')]
        : [t('demo.site.error.refused_title'), t('demo.site.error.refused')];
  ground.page(ctx, 'demo/site/error', { title, text });
  ctx.status = status;
}

function listen(app: Koa<SiteState>, { host = '127.0.0.1', port }: SiteOptions): Promise<Server> {
  const server = createServer(app.callback());
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve(server));
  });
}
