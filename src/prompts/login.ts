/** The sign-in page: who are you, and your password. */

import type { Context } from 'koa';
import { z } from 'zod';
import { canonicalise } from '../accounts/identifiers.ts';
import { findAccount } from '../accounts/store.ts';
import type { Database } from '../database.ts';
import { readForm } from '../http/form.ts';
import { countSignIn } from '../http/ops.ts';
import type { Check } from '../human-check/human-check.ts';
import { check_fields, keepCheck, offerCheck, readAnswer, turnCheck } from '../human-check/page.ts';
import { listRoles, unremembered_roles } from '../permissions.ts';
import { policy } from '../policy/policy.ts';
import { mustCheckAddress, submitPassword } from '../sign-in.ts';
import { page } from '../views.ts';
import type { Prompt, Visit } from './prompt.ts';
import { takeRecovered } from './recovered.ts';

const form = z.object({
  identifier: z.string().max(254, 'errors.too_long').default(''),
  password: z.string().max(1024, 'errors.too_long').default(''),
  /** "Ingat perangkat ini". */
  remember: z.string().max(20).default(''),
  cancel: z.string().max(20).default(''),
  ...check_fields,
});

const browser_cookie = 'gapura_browser';

interface Problems {
  identifier?: string;
  password?: string;
  captcha?: string;
  form?: string;
}

/** What a refused form is filled with again. */
interface Typed {
  identifier: string;
  remember: boolean;
}

export const loginPrompt: Prompt = {
  name: 'login',

  async show(visit) {
    if (await takeRecovered(visit)) return;
    const { session, params } = visit.interaction;
    const hint = typeof params.login_hint === 'string' ? params.login_hint.slice(0, 254) : '';
    // Whoever proves once more to be there is not asked for the name as well; another person writes over it.
    const known = session && !hint ? await findAccount(visit.store.db, session.accountId) : undefined;
    const identifier = hint || (known?.username ?? '');
    show(visit, { identifier, remember: false }, {}, await offerIfNeeded(visit));
  },

  async submit(visit) {
    const { ctx, store, interaction, client } = visit;
    const { t } = ctx.state;
    const read = await readForm(ctx, form);
    const typed = { identifier: read.values.identifier ?? '', remember: Boolean(read.values.remember) };
    if (read.state === 'refused') {
      const problems: Problems = {};
      for (const [field, key] of Object.entries(read.errors)) problems[fieldOf(field)] = t(key);
      const check = problems.captcha ? await offerCheck(ctx, store.checks) : await offerIfNeeded(visit);
      ctx.status = 422;
      return show(visit, typed, problems, check);
    }
    const { identifier, password, cancel, captcha_id } = read.values;
    if (cancel) return visit.abandon();
    const turn = await turnCheck(ctx, store.checks, read.values, canonicalise(identifier));
    if (turn) {
      ctx.status = turn.status;
      return show(visit, typed, explainCheck(visit, turn.because), turn.check, turn.retry_after);
    }

    const keep = () => keepCheck(ctx, store.checks, captcha_id);
    const problems = missing(visit, identifier, password);
    if (problems) {
      ctx.status = 422;
      return show(visit, typed, problems, captcha_id ? await keep() : undefined);
    }
    const outcome = await submitPassword(store.sign_ins, {
      interaction: interaction.uid,
      client_id: client.asking.id,
      identifier,
      password,
      browser: readBrowser(ctx),
      answer: readAnswer(ctx, read.values),
      request: { address: ctx.state.address, user_agent: ctx.get('user-agent'), request_id: ctx.state.request_id },
    });
    countSignIn(outcome.state === 'refused' ? outcome.because : outcome.state);
    switch (outcome.state) {
      case 'waiting': {
        ctx.status = 429;
        const check = policy('human_check.when') === 'never' ? undefined : await keep();
        return show(visit, typed, {}, check, outcome.retry_after);
      }
      case 'unchecked':
        ctx.status = 422;
        return show(visit, typed, explainCheck(visit, outcome.because), await keep());
      case 'refused': {
        ctx.status = 422;
        const check = outcome.must_check ? await keep() : undefined;
        return show(visit, typed, { form: t(`errors.sign_in.${outcome.because}`) }, check);
      }
      case 'done':
        rememberBrowser(ctx, outcome.browser);
        return visit.finish({ login: { ...outcome.login, ...(await decideRemembering(visit, typed, outcome.login)) } });
    }
  },
};

/** Whoever proves once more to be there is not asked: their session stays what it was chosen to be. */
const isAgain = ({ interaction }: Visit) => interaction.session?.accountId !== undefined;

/**
 * What the tick comes to. It never stands in for a sign-in: the session only lives longer, and its cookie with it. Officers
 * are not remembered, whatever they tick.
 */
async function decideRemembering(
  visit: Visit,
  { remember }: Typed,
  { accountId }: { accountId: string },
): Promise<{ remember: boolean; is_again?: true }> {
  if (isAgain(visit)) return { remember: false, is_again: true };
  return { remember: remember && !(await isOfficer(visit.store.db, accountId)) };
}

async function isOfficer(db: Database, account_id: string): Promise<boolean> {
  return (await listRoles(db, account_id)).some(({ role }) => unremembered_roles.some((one) => one === role));
}

/** A check from the start, where this address has failed too often or policy says so. */
async function offerIfNeeded({ ctx, store }: Visit): Promise<Check | undefined> {
  return (await mustCheckAddress(store.sign_ins, ctx.state.address)) ? offerCheck(ctx, store.checks) : undefined;
}

/** Beside which field an error stands; what the check sends besides has none of its own. */
function fieldOf(name: string): keyof Problems {
  if (name === 'identifier' || name === 'password') return name;
  return name.startsWith('captcha') ? 'captcha' : 'form';
}

/** A wrong code stands beside its field; all else is said of the whole form, for a browser that works has no such field. */
function explainCheck({ ctx }: Visit, because: 'name_missing' | 'missing' | 'wrong' | 'over' | undefined): Problems {
  const { t } = ctx.state;
  if (because === undefined) return {};
  if (because === 'name_missing') return { identifier: t('errors.sign_in.identifier_missing') };
  const text = t(`errors.human_check.${because}`);
  return because === 'wrong' ? { captcha: text } : { form: text };
}

function missing({ ctx }: Visit, identifier: string, password: string): Problems | undefined {
  const { t } = ctx.state;
  if (identifier.trim() && password) return undefined;
  return {
    ...(identifier.trim() ? {} : { identifier: t('errors.sign_in.identifier_missing') }),
    ...(password ? {} : { password: t('errors.sign_in.password_missing') }),
  };
}

function show(visit: Visit, values: Typed, errors: Problems, check: Check | undefined, retry_after?: number): void {
  const { ctx, client, interaction, action } = visit;
  const from = `?client_id=${encodeURIComponent(client.asking.id)}`;
  if (retry_after !== undefined) ctx.set('Retry-After', String(retry_after));
  page(ctx, 'prompts/login', {
    client: client.asking,
    action,
    values,
    is_again: isAgain(visit),
    errors,
    check,
    waiting: retry_after === undefined ? undefined : waitingText(ctx.state.t, retry_after),
    registration_href: `/registration${from}`,
    recovery_href: `/recovery${from}&interaction=${interaction.uid}`,
  });
}

function waitingText(t: (key: string, values?: Record<string, string | number>) => string, seconds: number): string {
  if (seconds < 60) return t('errors.sign_in.wait_seconds', { seconds });
  return t('errors.sign_in.wait_minutes', { minutes: Math.ceil(seconds / 60) });
}

/** The value by which a browser is known in which somebody signed in before. */
export function readBrowser(ctx: Context): string | undefined {
  return ctx.cookies.get(browserCookie(ctx.secure));
}

function browserCookie(secure: boolean): string {
  return secure ? `__Host-${browser_cookie}` : browser_cookie;
}

/** The browser gets a value of its own; at the next sign-in strangers' failures do not slow this person down. */
export function rememberBrowser(ctx: Context, browser: string): void {
  ctx.cookies.set(browserCookie(ctx.secure), browser, {
    httpOnly: true,
    sameSite: 'lax',
    secure: ctx.secure,
    signed: false,
    overwrite: true,
    maxAge: 365 * 24 * 3600 * 1000,
  });
}
