/** The end of a recovery (document A, steps 14 to 16): a new password, or on with a session, and the page that says so. */

import type Router from '@koa/router';
import type { Context } from 'koa';
import { z } from 'zod';
import { readForm } from '../http/form.ts';
import { rememberBrowser } from '../prompts/login.ts';
import { checkFields, explainChange, explainForm, type PasswordProblems } from '../prompts/password.ts';
import type { Recovery } from '../recovery/recovery.ts';
import { chooseSession, describeRulesOf, offersSession, resetPassword } from '../recovery/reset.ts';
import { page } from '../views.ts';
import { goTo, requestOf } from './links.ts';
import type { PortalStore } from './portal.ts';
import { addressOfSignIn, findStep, isOfThis, showEnd, showMoved } from './recover-step.ts';

const form = z.object({
  recovery: z.string().max(64).default(''),
  new_password: z.string().max(1024, 'errors.password.too_long').default(''),
  confirm_password: z.string().max(1024, 'errors.password.too_long').default(''),
});

/**
 * Serves the pages after the right code.
 * @param enterPortal asks the engine for a session by the code, for the one page of the portal that opens by it
 */
export function mountRecoveryEnd(router: Router, store: PortalStore, enterPortal: (ctx: Context) => void): void {
  router.get('/recovery/choice', (ctx) => showChoice(ctx, store));
  router.get('/recovery/password', (ctx) => showPassword(ctx, store));
  router.post('/recovery/password', (ctx) => submitPassword(ctx, store));
  router.get('/recovery/session', async (ctx) => {
    if (await findStep(ctx, store, ['signing_in'])) enterPortal(ctx);
  });
  router.post('/recovery/session', (ctx) => submitSession(ctx, store));
  router.get('/recovery/done', (ctx) => showDone(ctx, store));
}

/** GET /recovery/choice */
async function showChoice(ctx: Context, store: PortalStore): Promise<void> {
  const recovery = await findStep(ctx, store, ['verified']);
  if (!recovery) return;
  page(ctx, 'portal/recover-choice', { recovery: recovery.id, name: recovery.name, offers_session: offersSession() });
}

/** GET /recovery/password */
async function showPassword(ctx: Context, store: PortalStore): Promise<void> {
  const recovery = await findStep(ctx, store, ['verified']);
  if (recovery) await drawPassword(ctx, store, recovery, {});
}

async function drawPassword(
  ctx: Context,
  store: PortalStore,
  recovery: Recovery,
  problems: PasswordProblems,
): Promise<void> {
  const { broken = [], ...errors } = problems;
  page(ctx, 'portal/recover-password', {
    recovery: recovery.id,
    name: recovery.name,
    rules: await describeRulesOf(store.recoveries, recovery),
    broken,
    errors,
  });
}

/** POST /recovery/password, fields `new_password` and `confirm_password`. */
async function submitPassword(ctx: Context, store: PortalStore): Promise<void> {
  const { t } = ctx.state;
  const recovery = await findStep(ctx, store, ['verified']);
  if (!recovery) return;
  const read = await readForm(ctx, form);
  const sent = read.state === 'read' ? read.values.recovery : (read.values.recovery ?? '');
  if (!isOfThis(ctx, recovery, sent)) return;
  const refuse = (problems: PasswordProblems) => {
    ctx.status = 422;
    return drawPassword(ctx, store, recovery, problems);
  };
  if (read.state === 'refused') return refuse(explainForm(t, read.errors));
  const { new_password, confirm_password } = read.values;
  const problems = checkFields(t, new_password, confirm_password);
  if (problems) return refuse(problems);
  const outcome = await resetPassword(store.recoveries, recovery, { password: new_password, request: requestOf(ctx) });
  if (outcome.state === 'moved') return showMoved(ctx, recovery);
  if (outcome.state === 'closed') return showEnd(ctx, 'closed', recovery);
  if (outcome.state === 'refused') return refuse(explainChange(t, outcome));
  rememberBrowser(ctx, outcome.browser);
  goTo(ctx, '/recovery/done');
}

/** POST /recovery/session: Lanjutkan Sesi. */
async function submitSession(ctx: Context, store: PortalStore): Promise<void> {
  const recovery = await findStep(ctx, store, ['verified']);
  if (!recovery) return;
  const read = await readForm(ctx, form);
  const sent = read.state === 'read' ? read.values.recovery : (read.values.recovery ?? '');
  if (!isOfThis(ctx, recovery, sent)) return;
  const { state } = await chooseSession(store.recoveries, recovery);
  if (state === 'moved') return showMoved(ctx, recovery);
  if (state === 'closed') return showEnd(ctx, 'closed', recovery);
  goTo(ctx, recovery.interaction ? addressOfSignIn(recovery) : '/recovery/session');
}

/** GET /recovery/done */
async function showDone(ctx: Context, store: PortalStore): Promise<void> {
  const { t } = ctx.state;
  const recovery = await findStep(ctx, store, ['done']);
  if (!recovery) return;
  const client = recovery.client_id === undefined ? undefined : await store.findClient(recovery.client_id);
  const back = client?.way_back
    ? [{ href: client.way_back, label: t('words.back_to', { client: client.asking.name }) }]
    : [];
  page(ctx, 'errors/page', {
    status: 200,
    title: t('portal.recover.done_title'),
    text: t('portal.recover.done_text'),
    ways: [{ href: addressOfSignIn(recovery), label: t('words.sign_in') }, ...back],
  });
}
