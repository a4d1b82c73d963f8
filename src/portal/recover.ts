/** The forgotten password (document A, steps 9 to 13): the ways, the name, the masked address, the code. */

import type Router from '@koa/router';
import type { Context } from 'koa';
import { z } from 'zod';
import { now } from '../clock.ts';
import { readForm } from '../http/form.ts';
import type { Check } from '../human-check/human-check.ts';
import { check_fields } from '../human-check/page.ts';
import { formatDateTime } from '../i18n/dates.ts';
import { policy } from '../policy/policy.ts';
import { readBrowser } from '../prompts/login.ts';
import { type Asker, readCounters, requestCode, type SendOutcome, submitCode } from '../recovery/codes.ts';
import { keepToken } from '../recovery/cookie.ts';
import { beginRecovery, listMasks, listWays, type Recovery } from '../recovery/recovery.ts';
import { page } from '../views.ts';
import { goTo, requestOf } from './links.ts';
import { findWayBack } from './person.ts';
import type { PortalStore } from './portal.ts';
import { type Held, holdUnchecked, showCheck, turn } from './recover-check.ts';
import { mountRecoveryEnd } from './recover-end.ts';
import { addressOfSignIn, addressOfStart, findStep, findWayOut, isOfThis, showEnd, showMoved } from './recover-step.ts';

const short = z.string().max(64, 'errors.too_long').default('');

const nameForm = z.object({
  username: z.string().trim().max(254, 'errors.too_long').default(''),
  client_id: z.string().max(100).default(''),
  interaction: z.string().max(100).default(''),
  way: short,
  ...check_fields,
});
const addressForm = z.object({ recovery: short, address: z.string().max(2).default('0') });
const codeForm = z.object({ recovery: short, code: short });

/** Serves every page of /recovery; `enterPortal` as mountRecoveryEnd wants it. */
export function mountRecovery(router: Router, store: PortalStore, enterPortal: (ctx: Context) => void): void {
  router.get('/recovery', async (ctx) => showEntry(ctx, store, '', {}, await showCheck(ctx, store)));
  router.post('/recovery', (ctx) => submitName(ctx, store));
  router.get('/recovery/address', (ctx) => showAddress(ctx, store));
  router.post('/recovery/address', (ctx) => submitRequest(ctx, store));
  router.get('/recovery/code', (ctx) => showCode(ctx, store));
  router.post('/recovery/code', (ctx) => submitTypedCode(ctx, store));
  router.post('/recovery/resend', (ctx) => submitRequest(ctx, store));
  mountRecoveryEnd(router, store, enterPortal);
}

/** What the sign-in page and applications send along: who asks, and the page to return to. */
function readOrigin(values: Record<string, unknown>): { client_id?: string; interaction?: string } {
  const { client_id, interaction } = values;
  return {
    ...(typeof client_id === 'string' && /^[\w.~-]{1,100}$/.test(client_id) ? { client_id } : {}),
    ...(typeof interaction === 'string' && /^[\w-]{16,64}$/.test(interaction) ? { interaction } : {}),
  };
}

type Problems = Partial<Record<'username' | 'code' | 'captcha' | 'form', string>>;

/** GET /recovery?client_id=&interaction=&way= */
async function showEntry(
  ctx: Context,
  store: PortalStore,
  username: string,
  errors: Problems,
  check: Check | undefined,
): Promise<void> {
  const ways = listWays();
  const chosen = ways.find(({ name }) => name === ctx.query.way) ?? ways[0];
  const origin = readOrigin(ctx.query);
  const labelOf = (name: string) => ctx.state.t(`portal.recover.way_${name}`);
  const query = new URLSearchParams(origin);
  const addressOf = (way: string) => `/recovery?${new URLSearchParams([...query, ['way', way]])}`;
  page(ctx, 'portal/recover', {
    way: chosen && { name: chosen.name, label: labelOf(chosen.name) },
    others: ways.filter((way) => way !== chosen).map(({ name }) => ({ label: labelOf(name), href: addressOf(name) })),
    action: query.size > 0 ? `/recovery?${query}` : '/recovery',
    origin,
    values: { username },
    errors,
    check,
    back: origin.interaction
      ? { href: addressOfSignIn(origin), label: ctx.state.t('portal.recover.to_sign_in') }
      : await findWayBack(ctx, store),
  });
}

/** POST /recovery, field `username`. */
async function submitName(ctx: Context, store: PortalStore): Promise<void> {
  const { t } = ctx.state;
  const read = await readForm(ctx, nameForm);
  const refuse = async (status: number, typed: string, errors: Problems) => {
    ctx.status = status;
    const id = read.state === 'read' ? read.values.captcha_id : '';
    return showEntry(ctx, store, typed, errors, await showCheck(ctx, store, id));
  };
  if (read.state === 'refused') {
    const fieldOf = (name: string) => (name === 'username' || name === 'captcha' ? name : 'form');
    const problems = Object.entries(read.errors).map(([field, key]) => [fieldOf(field), t(key)]);
    return refuse(422, read.values.username ?? '', Object.fromEntries(problems));
  }
  const { username, way: wanted } = read.values;
  const hold = ({ status, check, errors, retry_after }: Held) => {
    ctx.status = status;
    if (retry_after !== undefined) ctx.set('retry-after', String(retry_after));
    return showEntry(ctx, store, username, errors, check);
  };
  const turned = await turn(ctx, store, read.values);
  if (turned) return hold(turned);
  const ways = listWays();
  const way = ways.find(({ name }) => name === wanted) ?? ways[0];
  if (!way) return refuse(422, '', {});
  if (!username) return refuse(422, '', { username: t('errors.recovery.name_missing') });
  const held = await holdUnchecked(ctx, store, read.values);
  if (held) return hold(held);
  const visit = { name: username, ...readOrigin(read.values) };
  const outcome = await beginRecovery(store.recoveries, { way, visit, request: requestOf(ctx) });
  if (outcome.state === 'waiting') {
    ctx.set('retry-after', String(outcome.retry_after));
    return refuse(429, username, { form: sayWait(ctx, 'wait_start', outcome.retry_after) });
  }
  keepToken(ctx, outcome.token);
  goTo(ctx, '/recovery/address');
}

/** GET /recovery/address: where a code would go, as far as a stranger may see it. */
async function showAddress(ctx: Context, store: PortalStore): Promise<void> {
  const recovery = await findStep(ctx, store, ['begun']);
  if (recovery) await drawAddress(ctx, store, recovery, {});
}

async function drawAddress(ctx: Context, store: PortalStore, recovery: Recovery, errors: Problems): Promise<void> {
  page(ctx, 'portal/recover-address', {
    recovery: recovery.id,
    name: recovery.name,
    masks: await listMasks(store.recoveries, recovery),
    minutes: Math.round(policy('recovery.code_lifetime') / 60),
    errors,
    back: await findWayOut(ctx, store, recovery),
    again: addressOfStart(recovery),
  });
}

/** POST /recovery/address and /recovery/resend: Minta Kode and Kirim Ulang. */
async function submitRequest(ctx: Context, store: PortalStore): Promise<void> {
  const recovery = await findStep(ctx, store, ['begun', 'code_sent']);
  if (!recovery) return;
  const read = await readForm(ctx, addressForm);
  if (!isOfThis(ctx, recovery, (read.values as { recovery?: string }).recovery ?? '')) return;
  const choice = Number(read.state === 'read' ? read.values.address : 0) || 0;
  const outcome = await requestCode(store.recoveries, recovery, { ...askerOf(ctx), choice });
  if (outcome.state === 'moved') return showMoved(ctx, recovery);
  // The second of two clicks or tabs: the code is on its way.
  if (outcome.state === 'sent' || recovery.state === 'begun') {
    if (outcome.state !== 'closed') return goTo(ctx, '/recovery/code');
  }
  const errors = { form: explainSend(ctx, store, outcome) };
  ctx.status = 429;
  return recovery.state === 'begun'
    ? drawAddress(ctx, store, recovery, errors)
    : drawCode(ctx, store, recovery, errors);
}

function explainSend(ctx: Context, { config }: PortalStore, outcome: SendOutcome): string {
  const { t, language } = ctx.state;
  if (!('retry_after' in outcome)) return '';
  const { state, retry_after } = outcome;
  ctx.set('retry-after', String(retry_after));
  if (state === 'too_soon') return t('errors.recovery.too_soon', { seconds: retry_after });
  const until = new Date(now().getTime() + retry_after * 1000);
  return t('errors.recovery.closed', { time: formatDateTime(language, until, config.time_zone) });
}

function askerOf(ctx: Context): Asker {
  return { browser: readBrowser(ctx), request: requestOf(ctx) };
}

/** GET /recovery/code */
async function showCode(ctx: Context, store: PortalStore): Promise<void> {
  const recovery = await findStep(ctx, store, ['code_sent']);
  if (recovery) await drawCode(ctx, store, recovery, {});
}

async function drawCode(ctx: Context, store: PortalStore, recovery: Recovery, errors: Problems): Promise<void> {
  page(ctx, 'portal/recover-code', {
    recovery: recovery.id,
    name: recovery.name,
    minutes: Math.round(policy('recovery.code_lifetime') / 60),
    resend_in: recovery.resend_in,
    ...(await readCounters(store.recoveries, recovery, askerOf(ctx))),
    errors,
    back: await findWayOut(ctx, store, recovery),
    again: addressOfStart(recovery),
  });
}

/** POST /recovery/code, field `code`: Verifikasi Kode. */
async function submitTypedCode(ctx: Context, store: PortalStore): Promise<void> {
  const { t } = ctx.state;
  const recovery = await findStep(ctx, store, ['code_sent']);
  if (!recovery) return;
  const read = await readForm(ctx, codeForm);
  const sent = read.state === 'read' ? read.values.recovery : (read.values.recovery ?? '');
  if (!isOfThis(ctx, recovery, sent)) return;
  const refuse = (status: number, code: string) => {
    ctx.status = status;
    return drawCode(ctx, store, recovery, { code });
  };
  if (read.state === 'refused') return refuse(422, t(read.errors.code ?? 'errors.field.invalid'));
  const code = read.values.code.trim();
  if (!code) return refuse(422, t('errors.recovery.code_missing'));
  const outcome = await submitCode(store.recoveries, recovery, { code, request: requestOf(ctx) });
  switch (outcome.state) {
    case 'verified':
      keepToken(ctx, outcome.token);
      return goTo(ctx, '/recovery/choice');
    case 'wrong':
      return refuse(422, t('errors.recovery.code_wrong', { left: outcome.left }));
    case 'expired':
      return refuse(422, t('errors.recovery.code_expired'));
    case 'waiting':
      ctx.set('retry-after', String(outcome.retry_after));
      return refuse(429, sayWait(ctx, 'wait_code', outcome.retry_after));
    case 'used_up':
      return showEnd(ctx, 'used_up', recovery);
    case 'moved':
      return showMoved(ctx, recovery);
  }
}

function sayWait(ctx: Context, key: 'wait_start' | 'wait_code', seconds: number): string {
  return ctx.state.t(`errors.recovery.${key}`, { minutes: Math.ceil(seconds / 60) });
}
