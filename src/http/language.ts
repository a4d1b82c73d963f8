/** In which language a request is answered: what the person chose, else what an application asks for, else Indonesian. */

import type { Context } from 'koa';
import type { Config } from '../config.ts';
import { type Language, languages, translator } from '../i18n/messages.ts';
import { isOfEngine, type Middleware, type RequestContext } from './guard.ts';

const language_cookie = 'gapura_lang';
/** Until the browser is closed: the person has chosen nothing yet. */
const asked_language_cookie = 'gapura_asked_lang';
const year_ms = 365 * 86_400_000;

/** Chooses the language; `?lang=` is the person's own choice, kept in a cookie and then gone from the address. */
export function chooseLanguage(config: Config): Middleware {
  return async (ctx, next) => {
    const known = readLanguage(ctx, language_cookie) ?? readLanguage(ctx, asked_language_cookie);
    if (known) useLanguage(ctx, known);
    // Of the engine's addresses only those that show pages: the others belong to programs.
    const shows_pages = !isOfEngine(ctx.path) || /^\/connect\/(auth|device|session)(\/|$)/.test(ctx.path);
    const asked = shows_pages ? languages.find((language) => language === ctx.query.lang) : undefined;
    if (asked) {
      setLanguage(ctx, asked);
      if (ctx.method === 'GET') {
        const rest = new URLSearchParams(ctx.querystring);
        rest.delete('lang');
        ctx.status = 303;
        // With our own origin in front: a path that begins with two slashes would lead to another host.
        ctx.redirect(`${config.url}${ctx.path}${rest.size > 0 ? `?${rest}` : ''}`);
        return;
      }
    }
    await next();
  };
}

function readLanguage(ctx: Context | RequestContext, cookie: string): Language | undefined {
  return languages.find((language) => language === ctx.cookies.get(cookie, { signed: false }));
}

/**
 * Speaks as an application asks by `ui_locales` (OpenID Connect Core 3.1.2.1), here and on the pages after this one, unless the
 * person has chosen a language. What is not spoken here is ignored.
 */
export function followUiLocales(ctx: Context | RequestContext, ui_locales: unknown): void {
  if (typeof ui_locales !== 'string' || readLanguage(ctx, language_cookie)) return;
  const tags = ui_locales.split(' ').map((locale) => locale.split('-')[0]?.toLowerCase());
  const wanted = tags.flatMap((tag) => languages.find((language) => language === tag) ?? [])[0];
  if (!wanted) return;
  useLanguage(ctx, wanted);
  ctx.cookies.set(asked_language_cookie, wanted, { signed: false, sameSite: 'lax', overwrite: true });
}

/** Sets the language that the person chose, for this answer and the next requests of this browser. */
function setLanguage(ctx: Context | RequestContext, language: Language): void {
  useLanguage(ctx, language);
  ctx.cookies.set(language_cookie, language, { signed: false, sameSite: 'lax', maxAge: year_ms, overwrite: true });
}

function useLanguage(ctx: Context | RequestContext, language: Language): void {
  ctx.state.language = language;
  ctx.state.t = translator(language);
}
