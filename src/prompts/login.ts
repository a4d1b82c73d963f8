/** The sign-in page: who are you, and your password. */

import { z } from 'zod';
import { readForm } from '../http/form.ts';
import { countSignIn } from '../http/ops.ts';
import { submitPassword } from '../sign-in.ts';
import { page } from '../views.ts';
import type { Prompt, Visit } from './prompt.ts';

const form = z.object({
  identifier: z.string().max(254, 'errors.too_long').default(''),
  password: z.string().max(1024, 'errors.too_long').default(''),
  cancel: z.string().max(20).default(''),
});

const browser_cookie = 'gapura_browser';

interface Problems {
  identifier?: string;
  password?: string;
  form?: string;
}

export const loginPrompt: Prompt = {
  name: 'login',

  async show(visit) {
    const hint = visit.interaction.params.login_hint;
    show(visit, typeof hint === 'string' ? hint.slice(0, 254) : '', {});
  },

  async submit(visit) {
    const { ctx, store, interaction, client } = visit;
    const read = await readForm(ctx, form);
    if (read.state === 'refused') {
      const problems = Object.fromEntries(Object.entries(read.errors).map(([field, key]) => [field, ctx.state.t(key)]));
      ctx.status = 422;
      return show(visit, read.values.identifier ?? '', problems);
    }
    const { identifier, password, cancel } = read.values;
    if (cancel) return visit.abandon();

    const problems = missing(visit, identifier, password);
    if (problems) {
      ctx.status = 422;
      return show(visit, identifier, problems);
    }
    const outcome = await submitPassword(store.sign_ins, {
      interaction: interaction.uid,
      client_id: client.asking.id,
      identifier,
      password,
      browser: ctx.cookies.get(browserCookie(ctx.secure)),
      request: { address: ctx.state.address, user_agent: ctx.get('user-agent'), request_id: ctx.state.request_id },
    });
    countSignIn(outcome.state === 'refused' ? outcome.because : outcome.state);
    switch (outcome.state) {
      case 'waiting':
        ctx.status = 429;
        ctx.set('Retry-After', String(outcome.retry_after));
        return show(visit, identifier, {}, outcome.retry_after);
      case 'refused':
        ctx.status = 422;
        return show(visit, identifier, { form: ctx.state.t(`errors.sign_in.${outcome.because}`) });
      case 'done':
        rememberBrowser(visit, outcome.browser);
        return visit.finish({ login: { ...outcome.login, remember: true } });
    }
  },
};

function missing({ ctx }: Visit, identifier: string, password: string): Problems | undefined {
  const { t } = ctx.state;
  if (identifier.trim() && password) return undefined;
  return {
    ...(identifier.trim() ? {} : { identifier: t('errors.sign_in.identifier_missing') }),
    ...(password ? {} : { password: t('errors.sign_in.password_missing') }),
  };
}

function show({ ctx, client, action }: Visit, identifier: string, errors: Problems, retry_after?: number): void {
  const from = `?client_id=${encodeURIComponent(client.asking.id)}`;
  page(ctx, 'prompts/login', {
    client: client.asking,
    action,
    values: { identifier },
    errors,
    waiting: retry_after === undefined ? undefined : waitingText(ctx.state.t, retry_after),
    registration_href: `/registration${from}`,
    recovery_href: `/recovery${from}`,
  });
}

function waitingText(t: (key: string, values?: Record<string, string | number>) => string, seconds: number): string {
  if (seconds < 60) return t('errors.sign_in.wait_seconds', { seconds });
  return t('errors.sign_in.wait_minutes', { minutes: Math.ceil(seconds / 60) });
}

function browserCookie(secure: boolean): string {
  return secure ? `__Host-${browser_cookie}` : browser_cookie;
}

/** The browser gets a value of its own; at the next sign-in strangers' failures do not slow this person down. */
function rememberBrowser({ ctx }: Visit, browser: string): void {
  ctx.cookies.set(browserCookie(ctx.secure), browser, {
    httpOnly: true,
    sameSite: 'lax',
    secure: ctx.secure,
    signed: false,
    overwrite: true,
    maxAge: 365 * 24 * 3600 * 1000,
  });
}
