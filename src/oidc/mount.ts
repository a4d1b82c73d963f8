/** Where the engine stands: under the issuer's path, behind what must happen to a request before the engine reads it. */

import type Koa from 'koa';
import mount from 'koa-mount';
import type { Config } from '../config.ts';
import { readFields } from '../http/form.ts';
import { takeCodeFromLink } from './device/device.ts';
import { noteFailures, preferJson, tidyAnswer } from './pages/answers.ts';
import { showForwardPage } from './pages/forward-page.ts';
import { holdError, noteRefusals } from './pages/held-error.ts';
import type { RunningEngine } from './provider.ts';

/** The engine under the issuer's path, and RFC 8414's address of its metadata, where the path stands at the end (section 3.1). */
export function mountEngine(provider: RunningEngine['provider'], config: Pick<Config, 'url'>): Koa.Middleware {
  noteFailures(provider);
  noteRefusals(provider);
  const mounted = mount('/connect', provider as unknown as Koa);
  return async (ctx, next) => {
    if (ctx.path === '/.well-known/oauth-authorization-server/connect') {
      ctx.path = '/connect/.well-known/oauth-authorization-server';
      ctx.req.url = ctx.url;
    }
    if (ctx.method === 'POST' && is_posted_to.test(ctx.path)) return turnPosted(ctx, config);
    // It resumes by its cookie alone; of a query there it would read what the request never was, and fail over it.
    if (/^\/connect\/(auth|device)\/[^/]+$/.test(ctx.path)) ctx.querystring = '';
    takeCodeFromLink(ctx);
    preferJson(ctx);
    await mounted(ctx, next);
    tidyAnswer(ctx);
    if (!holdError(ctx)) await showForwardPage(ctx);
  };
}

/** Addresses that must accept forms too (OpenID Connect Core 3.1.2.1, RP-Initiated Logout 1.0 section 2). */
const is_posted_to = /^\/connect\/(auth|session\/end)\/?$/i;
/** As a link it must still be read by us (guard.ts). */
const longest_link = 16_000;

/**
 * Leads a request that came as a form to the same request as a link. A form from another site brings no SameSite cookie, so
 * whoever is signed in would be a stranger to it, and the engine answers forms only to cookies that every site may use.
 */
async function turnPosted(ctx: Koa.Context, { url }: Pick<Config, 'url'>): Promise<void> {
  const { fields, broken } = await readFields(ctx);
  if (broken.size > 0) ctx.throw(400);
  const query = new URLSearchParams();
  // Repeated ones too: the engine refuses them in its own words.
  for (const [name, values] of fields) for (const value of values) query.append(name, value);
  const link = `${url}${ctx.path}?${query}`;
  if (link.length > longest_link) ctx.throw(413);
  ctx.status = 303;
  ctx.redirect(link);
}
