/** What a browser holds of its recovery: one token in a cookie, changed once the code was right. */

import type { Context } from 'koa';

const name = 'gapura_recovery';

export function readToken(ctx: Context): string | undefined {
  const value = ctx.cookies.get(cookieName(ctx), { signed: false });
  return value && /^[\w-]{43}$/.test(value) ? value : undefined;
}

/** Keeps it until the browser is closed; how long it is good for stands in the row. */
export function keepToken(ctx: Context, token: string | null): void {
  ctx.cookies.set(cookieName(ctx), token, {
    httpOnly: true,
    sameSite: 'lax',
    secure: ctx.secure,
    signed: false,
    overwrite: true,
  });
}

function cookieName(ctx: Context): string {
  return ctx.secure ? `__Host-${name}` : name;
}
