/** The language of an application's pages: a cookie of its own, set by `?lang=`, Indonesian at first. */

import { languages } from '../i18n/messages.ts';
import type { Language, SiteContext } from './context.ts';
import { clearCookie, readCookie, setCookie } from './visitor.ts';

/** The language this browser chose at the application called `name`. */
export function readLanguage(name: string, ctx: SiteContext): Language {
  const wish = readCookie(ctx, `${name}_language`);
  return languages.find((language) => language === wish) ?? 'id';
}

/** Answers `?lang=` with the same address without it, so that a reload or a copied address does not choose again. */
export function chooseLanguage(name: string, ctx: SiteContext): boolean {
  if (ctx.method !== 'GET' || ctx.query.lang === undefined) return false;
  const chosen = languages.find((language) => language === ctx.query.lang);
  if (chosen) setCookie(ctx, `${name}_language`, chosen, 365 * 24 * 3600);
  else clearCookie(ctx, `${name}_language`);
  ctx.status = 303;
  ctx.redirect(withLanguage(ctx));
  return true;
}

/** For each language, this page's address in it. */
export function linkLanguages(ctx: SiteContext): Record<Language, string> {
  const links = languages.map((language) => [language, withLanguage(ctx, language)]);
  return Object.fromEntries(links) as Record<Language, string>;
}

function withLanguage(ctx: SiteContext, language?: Language): string {
  const query = new URLSearchParams(ctx.querystring);
  query.delete('lang');
  if (language) query.set('lang', language);
  // A path that begins with two slashes (or one of each kind) would be read as the name of another host.
  return ctx.path.replace(/^[/\\]+/, '/') + (query.size > 0 ? `?${query}` : '');
}
