/** What an application keeps in a visitor's browser: random cookies, of which the database knows only the hash. */

import { createHash, randomBytes } from 'node:crypto';
import type { SiteContext } from './context.ts';

/** 32 random bytes for a browser to keep. */
export function newToken(): string {
  return randomBytes(32).toString('base64url');
}

/** The form in which a token stands in a table: a copied database signs nobody in. */
export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

/** The value of a cookie, or undefined when it is absent or cannot be one of ours. */
export function readCookie(ctx: SiteContext, name: string): string | undefined {
  const value = ctx.cookies.get(name, { signed: false });
  return value !== undefined && /^[\w-]{1,64}$/.test(value) ? value : undefined;
}

/** Sets a cookie for `seconds`. Lax, not Strict: the way back from Gapura is a navigation that another site started. */
export function setCookie(ctx: SiteContext, name: string, value: string, seconds: number): void {
  ctx.cookies.set(name, value, { ...attributes, maxAge: seconds * 1000 });
}

/** Takes a cookie away. */
export function clearCookie(ctx: SiteContext, name: string): void {
  ctx.cookies.set(name, null, attributes);
}

const attributes = { httpOnly: true, sameSite: 'lax', signed: false, overwrite: true } as const;
