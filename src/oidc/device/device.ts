/** The pages on which a person lets a device in that cannot show a sign-in itself (RFC 8628): a code, a question, an end. */

import type { Context, Next } from 'koa';
import type { Configuration, KoaContextWithOIDC } from 'oidc-provider';
import type { Database } from '../../database.ts';
import { refuse } from '../../http/errors.ts';
import type { RequestContext } from '../../http/guard.ts';
import type { Limits } from '../../limits/limits.ts';
import { page } from '../../views.ts';
import { type Client, describeClient } from '../clients/clients.ts';

type DeviceFlow = NonNullable<NonNullable<Configuration['features']>['deviceFlow']>;

/** The engine's setting: 20 letters that spell no word, eight of them; what it knows of the device is nobody's concern. */
export const device_flow: DeviceFlow = {
  enabled: true,
  charset: 'base-20',
  mask: '****-****',
  deviceInfo: () => ({}),
  userCodeInputSource: async (ctx, _form, _out, error) => askForCode(ctx, error),
  userCodeConfirmSource: async (ctx, _form, client, _device, user_code) => askWhetherItIs(ctx, client, user_code),
  successSource: async (ctx) => showEnd(ctx, true),
};

const code_address = '/connect/device';
const code_page = /^\/connect\/device\/?$/i;

/**
 * Takes the code out of the link that a device shows as a picture: the page comes with the field filled, and the person
 * still looks and presses the button (RFC 8628, section 5.4). The engine would send the form on by itself.
 */
export function takeCodeFromLink(ctx: Context): void {
  if (!code_page.test(ctx.path) || (ctx.method !== 'GET' && ctx.method !== 'HEAD')) return;
  const { user_code } = ctx.query;
  if (typeof user_code === 'string' && user_code.length <= 40) ctx.state.user_code = user_code;
  if (user_code !== undefined) ctx.querystring = '';
}

/** Stands before the engine and counts codes that nobody was shown, by address: of some ten billion, few can be tried. */
export function slowGuesses({ db, limits }: { db: Database; limits: Limits }) {
  return async (ctx: Context, next: Next): Promise<void> => {
    if (ctx.method !== 'POST' || !code_page.test(ctx.path)) return next();
    const { address } = ctx.state;
    const spent = await limits.spend(db, 'device_code', address);
    if (spent.state === 'refused') {
      const { retry_after } = spent;
      const words = { title: 'errors.too_many.title', text: 'oidc.device.wait', values: minutes(retry_after) };
      ctx.set('retry-after', String(retry_after));
      refuse(ctx as unknown as RequestContext, 429, 'too_many', words, { retry_after });
      return;
    }
    await next();
    if (!ctx.state.is_unknown_code) await limits.giveBack(db, 'device_code', address, spent.count);
  };
}

const minutes = (seconds: number) => ({ minutes: Math.ceil(seconds / 60) });

/** What went wrong with a code, by the engine's name of it. */
const problems: Record<string, string> = {
  NoCodeError: 'errors.field.required',
  NotFoundError: 'errors.device_code.unknown',
  ExpiredError: 'errors.device_code.expired',
  AlreadyUsedError: 'errors.device_code.used',
  SessionNotFound: 'errors.device_code.late',
  InvalidRequest: 'errors.device_code.stale',
};

/** The field for the code, with what was wrong with the last one. */
function askForCode(engine_ctx: KoaContextWithOIDC, error?: Error & { status?: number; userCode?: string }): void {
  const ctx = engine_ctx as unknown as Context;
  // Ours to explain, and not the person's mistake.
  if (error && (error.status ?? 500) >= 500) throw error;
  if (error?.name === 'AbortedError') {
    showEnd(engine_ctx, false);
    return;
  }
  const { params, session } = engine_ctx.oidc;
  // Whose browser brought no session gets one with the page; the engine keeps none that begins with an error.
  if (error && session && !(session as { stored?: boolean }).stored) {
    Object.assign(session, { touched: false });
    ctx.status = 303;
    ctx.redirect(code_address);
    return;
  }
  const typed = error ? (error.userCode ?? params?.user_code) : ctx.state.user_code;
  if (error?.name === 'NotFoundError') ctx.state.is_unknown_code = true;
  page(ctx, 'oidc/device', {
    xsrf: session?.state?.secret ?? '',
    value: typeof typed === 'string' ? typed.slice(0, 40) : '',
    error: error && ctx.state.t(problems[error.name] ?? 'errors.device_code.failed'),
  });
  ctx.status = error ? 422 : 200;
}

/** Which application waits for which code: whoever was sent the code by somebody else must see what they would let in. */
function askWhetherItIs(engine_ctx: KoaContextWithOIDC, client: Client, user_code: string): void {
  const ctx = engine_ctx as unknown as Context;
  const { asking, is_unchecked } = describeClient(client, ctx.state.language);
  page(ctx, 'oidc/device-confirm', {
    client: asking,
    is_unchecked,
    user_code,
    xsrf: engine_ctx.oidc.session?.state?.secret ?? '',
  });
}

/** How it ended; the device hears of it the next time it asks. */
function showEnd(engine_ctx: KoaContextWithOIDC, is_done: boolean): void {
  const ctx = engine_ctx as unknown as Context;
  const { client } = engine_ctx.oidc;
  page(ctx, 'oidc/device-end', {
    client: client && describeClient(client, ctx.state.language).asking,
    is_done,
    ways: [{ href: '/portal', label: ctx.state.t('words.to_portal') }],
  });
  ctx.status = 200;
}
