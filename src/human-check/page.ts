/** The human check on a page: its fields, the cookie of the browser that is asked, its buttons, and the picture's address. */

import type Router from '@koa/router';
import type { Context } from 'koa';
import { z } from 'zod';
import { randomToken } from '../crypto.ts';
import type { Lane } from '../limits/limits.ts';
import {
  answerCheck,
  type Check,
  type CheckAnswer,
  findCheck,
  findPicture,
  issueCheck,
  mustCheck,
} from './human-check.ts';
import { type CheckStore, sendCode } from './mail-code.ts';

/**
 * The fields that a form with a check has besides its own; spread them into its schema. A page that asks does, in this order:
 * `offerCheck` where `mustCheck` says so, and the two parts of views/parts in its form, with the script `human-check.js`; of
 * what comes back first `turnCheck`, for the check's own buttons, and then `demandCheck`, before the work itself. Where the
 * form is shown again, `keepCheck`. (The sign-in page is the example; its work demands the answer itself.)
 */
export const check_fields = {
  captcha: z.string().max(40, 'errors.too_long').default(''),
  captcha_id: z.string().max(40, 'errors.too_long').default(''),
  captcha_work: z.string().max(20, 'errors.too_long').default(''),
  /** The buttons `refresh` and `mail`. */
  check: z.string().max(20, 'errors.too_long').default(''),
};

type CheckValues = Record<keyof typeof check_fields, string>;

const cookie = 'gapura_check';

/** Asks this browser anew; the outcome is what `parts/human-check` and `parts/human-check-ways` draw. */
export async function offerCheck(ctx: Context, { db, keys }: CheckStore): Promise<Check> {
  const browser = readBrowser(ctx) ?? randomToken();
  ctx.cookies.set(cookieName(ctx), browser, {
    httpOnly: true,
    sameSite: 'lax',
    secure: ctx.secure,
    signed: false,
    overwrite: true,
  });
  return issueCheck(db, keys, browser);
}

/** The check that a form was sent with, while nobody has answered it: a person keeps the picture they are reading. */
export async function keepCheck(ctx: Context, store: CheckStore, id: string): Promise<Check> {
  return (await findCheck(store.db, store.keys, id, readBrowser(ctx))) ?? offerCheck(ctx, store);
}

/** What a form brought, for `answerCheck`. */
export function readAnswer(ctx: Context, values: CheckValues): CheckAnswer {
  return { id: values.captcha_id, browser: readBrowser(ctx), typed: values.captcha, work: values.captcha_work };
}

/** The form is to be shown again with its check: after a press on one of the check's buttons, or because an answer is due. */
export interface Turn {
  check: Check;
  status: 200 | 422 | 429;
  because?: 'name_missing' | 'missing' | 'wrong' | 'over';
  /** Seconds until the next mail may be asked for. */
  retry_after?: number;
}

/**
 * Does what a button of the check asks for, before the form's own fields are looked at: another picture, or a code by mail
 * to whoever has the name. Undefined when none of them was pressed.
 * @param canonical the typed name as accounts/identifiers.ts writes it, empty when none was typed
 */
export async function turnCheck(
  ctx: Context,
  store: CheckStore,
  values: CheckValues,
  canonical: string,
): Promise<Turn | undefined> {
  if (values.check === 'refresh') return { check: await offerCheck(ctx, store), status: 200 };
  if (values.check !== 'mail') return undefined;
  const check = await keepCheck(ctx, store, values.captcha_id);
  const browser = readBrowser(ctx);
  if (!browser || check.id !== values.captcha_id) return { check, status: 422, because: 'over' };
  if (canonical === '') return { check, status: 422, because: 'name_missing' };
  const { address } = ctx.state;
  const outcome = await sendCode(store, { id: check.id, browser, canonical, address });
  if (outcome.state === 'sent') return { check: { ...check, way: 'mail' }, status: 200 };
  if (outcome.state === 'waiting') return { check, status: 429, retry_after: outcome.retry_after };
  return { check: await offerCheck(ctx, store), status: 422, because: 'over' };
}

/**
 * Lets a form through that needs no check or brings the answer to one; else what it is to be shown again with. For pages
 * whose work does not hold tries back by itself, as signing in does: ask `turnCheck` first, then this, then do the work.
 * @param lanes the counters that the work pays
 */
export async function demandCheck(
  ctx: Context,
  store: CheckStore,
  values: CheckValues,
  lanes: readonly Lane[],
): Promise<Turn | undefined> {
  if (!(await mustCheck(store.db, store.limits, lanes))) return undefined;
  const { state } = await answerCheck(store.db, store.keys, readAnswer(ctx, values));
  if (state === 'right') return undefined;
  return { check: await keepCheck(ctx, store, values.captcha_id), status: 422, because: state };
}

/** Serves GET /human-check/:id.svg to the browser that was asked, until the check is answered; to all others there is nothing. */
export function mountPictures(router: Router, { db, keys }: CheckStore): void {
  router.get('/human-check/:id.svg', async (ctx) => {
    const picture = await findPicture(db, keys, String(ctx.params.id), readBrowser(ctx as unknown as Context));
    if (picture === undefined) return ctx.throw(404);
    ctx.type = 'image/svg+xml';
    ctx.set('cache-control', 'no-store');
    ctx.body = picture;
  });
}

function readBrowser(ctx: Context): string | undefined {
  const value = ctx.cookies.get(cookieName(ctx), { signed: false });
  return value && /^[\w-]{43}$/.test(value) ? value : undefined;
}

function cookieName(ctx: Context): string {
  return ctx.secure ? `__Host-${cookie}` : cookie;
}
