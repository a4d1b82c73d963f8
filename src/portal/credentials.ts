/** Ubah Kata Sandi (document B, step 6): the old password, the new one twice, and what a new one must be. */

import type { Context } from 'koa';
import { z } from 'zod';
import { changePassword } from '../accounts/password-change.ts';
import { describeRules } from '../accounts/password-rules.ts';
import { digest } from '../crypto.ts';
import { readForm } from '../http/form.ts';
import { listRoles } from '../permissions.ts';
import { checkFields, explainChange, explainForm, type PasswordProblems } from '../prompts/password.ts';
import { page } from '../views.ts';
import { readPerson } from './person.ts';
import type { PortalStore } from './portal.ts';

const form = z.object({
  old_password: z.string().max(1024, 'errors.too_long').default(''),
  new_password: z.string().max(1024, 'errors.password.too_long').default(''),
  confirm_password: z.string().max(1024, 'errors.password.too_long').default(''),
  /** Whose page it was: in another tab somebody else may have signed in since. */
  person: z.string().max(64).default(''),
});

const address = '/portal/credentials';

/** GET /portal/credentials?done=changed */
export async function showCredentials(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  return show(ctx, store, account_id, {});
}

/** POST /portal/credentials */
export async function submitCredentials(
  ctx: Context,
  store: PortalStore,
  account_id: string,
  session_uid: string,
): Promise<void> {
  const { t } = ctx.state;
  const read = await readForm(ctx, form);
  if (read.state === 'refused') return refuse(ctx, store, account_id, explainForm(t, read.errors));
  const { old_password, new_password, confirm_password, person } = read.values;
  if (person && person !== digest(account_id))
    return refuse(ctx, store, account_id, { form: t('errors.password.other_person') });
  const problems = {
    ...(old_password ? {} : { old_password: t('errors.password.old_missing') }),
    ...checkFields(t, new_password, confirm_password),
  };
  if (Object.keys(problems).length > 0) return refuse(ctx, store, account_id, problems);

  const outcome = await changePassword(store.passwords, {
    account_id,
    session_uid,
    old_password,
    new_password,
    request: { address: ctx.state.address, user_agent: ctx.get('user-agent'), request_id: ctx.state.request_id },
  });
  if (outcome.state !== 'changed') {
    if (outcome.state === 'waiting') ctx.set('Retry-After', String(outcome.retry_after));
    return refuse(ctx, store, account_id, explainChange(t, outcome), outcome.state === 'waiting' ? 429 : 422);
  }
  ctx.status = 303;
  ctx.redirect(`${address}?done=changed`);
}

function refuse(
  ctx: Context,
  store: PortalStore,
  account_id: string,
  problems: PasswordProblems,
  status = 422,
): Promise<void> {
  ctx.status = status;
  return show(ctx, store, account_id, problems);
}

async function show(ctx: Context, store: PortalStore, account_id: string, problems: PasswordProblems): Promise<void> {
  const { broken = [], ...errors } = problems;
  const [{ header }, roles] = await Promise.all([
    readPerson(store.db, account_id, 'credentials'),
    listRoles(store.db, account_id),
  ]);
  page(ctx, 'portal/credentials', {
    header,
    action: address,
    person: digest(account_id),
    was_changed: ctx.query.done === 'changed' && Object.keys(problems).length === 0,
    rules: describeRules(roles.map(({ role }) => role)),
    broken,
    errors,
  });
}
