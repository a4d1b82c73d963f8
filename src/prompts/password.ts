/** A new password before anything opens: the old one was given by somebody else, or its time is over. */

import { z } from 'zod';
import type { PasswordOutcome } from '../accounts/password-change.ts';
import { changePassword } from '../accounts/password-change.ts';
import { describeRules } from '../accounts/password-rules.ts';
import { findDuePassword } from '../accounts/password-store.ts';
import { findAccount } from '../accounts/store.ts';
import { readForm } from '../http/form.ts';
import type { Translate } from '../i18n/messages.ts';
import { listRoles } from '../permissions.ts';
import { page } from '../views.ts';
import type { Prompt, Visit } from './prompt.ts';

const form = z.object({
  new_password: z.string().max(1024, 'errors.password.too_long').default(''),
  confirm_password: z.string().max(1024, 'errors.password.too_long').default(''),
  cancel: z.string().max(20).default(''),
});

/** What a form for a new password says beside its fields, already in words, and the rules that the last try broke. */
export interface PasswordProblems {
  old_password?: string;
  new_password?: string;
  confirm_password?: string;
  form?: string;
  broken?: string[];
}

export const passwordPrompt: Prompt = {
  name: 'password',

  async show(visit) {
    const because = await findReason(visit);
    if (!because) return visit.finish({ password: {} });
    await show(visit, because, {});
  },

  async submit(visit) {
    const { ctx, store, interaction } = visit;
    const { t } = ctx.state;
    const read = await readForm(ctx, form);
    if (read.state === 'read' && read.values.cancel) return visit.abandon();
    // Changed a moment ago, by a second click or in another tab: the question is answered, whatever was sent now.
    const because = await findReason(visit);
    if (!because) return visit.finish({ password: {} });
    if (read.state === 'refused') return refuse(visit, because, explainForm(t, read.errors));
    const { new_password, confirm_password } = read.values;

    const problems = checkFields(t, new_password, confirm_password);
    if (problems) return refuse(visit, because, problems);
    const outcome = await changePassword(store.passwords, {
      account_id: interaction.session?.accountId ?? '',
      session_uid: interaction.session?.uid ?? '',
      old_password: undefined,
      new_password,
      request: { address: ctx.state.address, user_agent: ctx.get('user-agent'), request_id: ctx.state.request_id },
    });
    if (outcome.state === 'changed') return visit.finish({ password: {} });
    return refuse(visit, because, explainChange(t, outcome));
  },
};

type Reason = NonNullable<Awaited<ReturnType<typeof findDuePassword>>>;

async function findReason({ store, interaction: { session } }: Visit): Promise<Reason | undefined> {
  return session && findDuePassword(store.db, session.accountId);
}

/** What is missing in a form for a new password, before any rule; undefined when nothing is. */
export function checkFields(
  t: Translate,
  new_password: string,
  confirm_password: string,
): PasswordProblems | undefined {
  if (!new_password) return { new_password: t('errors.password.new_missing') };
  if (!confirm_password) return { confirm_password: t('errors.password.confirm_missing') };
  // Composed on one keyboard and not on another, it is the same password (the hash is of the composed form).
  if (new_password.normalize('NFC') === confirm_password.normalize('NFC')) return undefined;
  return { confirm_password: t('errors.password.confirm_differs') };
}

/** The words for a form that could not be read. */
export function explainForm(t: Translate, errors: Record<string, string>): PasswordProblems {
  return Object.fromEntries(Object.entries(errors).map(([field, key]) => [field, t(key)]));
}

/** The words for each way in which a password was not changed, for the pages of prompt and portal alike. */
export function explainChange(t: Translate, outcome: Exclude<PasswordOutcome, { state: 'changed' }>): PasswordProblems {
  if (outcome.state === 'waiting') return { form: waitingText(t, outcome.retry_after) };
  switch (outcome.because) {
    case 'old_password':
      return { old_password: t('errors.password.old_wrong') };
    case 'rules':
      return {
        new_password: outcome.broken.map((key) => t(key)).join(' '),
        broken: outcome.broken.map((key) => key.split('.').at(-1) ?? ''),
      };
    default:
      return { form: t(`errors.password.${outcome.because}`) };
  }
}

function waitingText(t: Translate, seconds: number): string {
  if (seconds < 60) return t('errors.sign_in.wait_seconds', { seconds });
  return t('errors.sign_in.wait_minutes', { minutes: Math.ceil(seconds / 60) });
}

function refuse(visit: Visit, because: Reason, problems: PasswordProblems): Promise<void> {
  visit.ctx.status = 422;
  return show(visit, because, problems);
}

async function show(
  { ctx, store, interaction, client, action }: Visit,
  because: Reason,
  problems: PasswordProblems,
): Promise<void> {
  const { broken = [], ...errors } = problems;
  const account_id = interaction.session?.accountId ?? '';
  const [account, roles] = await Promise.all([findAccount(store.db, account_id), listRoles(store.db, account_id)]);
  page(ctx, 'prompts/password', {
    client: client.asking,
    action,
    because,
    identifier: account?.username ?? '',
    rules: describeRules(roles.map(({ role }) => role)),
    broken,
    errors,
  });
}
