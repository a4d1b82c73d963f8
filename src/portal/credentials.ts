/** Ubah Kata Sandi (document B, step 6): the old password, the new one twice, what a new one must be; and the ways back in. */

import type { Context } from 'koa';
import { z } from 'zod';
import { changePassword } from '../accounts/password-change.ts';
import { describeRules } from '../accounts/password-rules.ts';
import { digest } from '../crypto.ts';
import { readForm } from '../http/form.ts';
import { formatDateTime } from '../i18n/dates.ts';
import { listRoles } from '../permissions.ts';
import { policy } from '../policy/policy.ts';
import { checkFields, explainChange, explainForm, type PasswordProblems } from '../prompts/password.ts';
import { listRecoveryAddresses } from '../recovery/addresses.ts';
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

export const address = '/portal/credentials';

/** What is said in place of nothing, by the `done` of the address. */
const done = ['changed', 'added', 'sent', 'verified', 'removed'] as const;

/** What went wrong with one recovery address: its id, and the words beside its code. */
export interface RecoveryProblem {
  id: string;
  code: string;
}

/** GET /portal/credentials?done= */
export async function showCredentials(
  ctx: Context,
  store: PortalStore,
  account_id: string,
  _session_uid: string,
  is_recovered: boolean,
): Promise<void> {
  return show(ctx, store, account_id, {}, is_recovered);
}

/** The same page with what went wrong at one of its recovery addresses. */
export function showWith(
  ctx: Context,
  store: PortalStore,
  account_id: string,
  problem: RecoveryProblem,
): Promise<void> {
  return show(ctx, store, account_id, {}, false, problem);
}

/** POST /portal/credentials */
export async function submitCredentials(
  ctx: Context,
  store: PortalStore,
  account_id: string,
  session_uid: string,
  is_recovered: boolean,
): Promise<void> {
  const { t } = ctx.state;
  const refuse = (problems: PasswordProblems, status = 422) => {
    ctx.status = status;
    return show(ctx, store, account_id, problems, is_recovered);
  };
  const read = await readForm(ctx, form);
  if (read.state === 'refused') return refuse(explainForm(t, read.errors));
  const { old_password, new_password, confirm_password, person } = read.values;
  if (person && person !== digest(account_id)) return refuse({ form: t('errors.password.other_person') });
  const problems = {
    ...(old_password || is_recovered ? {} : { old_password: t('errors.password.old_missing') }),
    ...checkFields(t, new_password, confirm_password),
  };
  if (Object.keys(problems).length > 0) return refuse(problems);

  const outcome = await changePassword(store.passwords, {
    account_id,
    session_uid,
    // Proven by the code of a recovery, in the same few minutes: the old one is what the person does not know.
    old_password: is_recovered ? undefined : old_password,
    new_password,
    request: { address: ctx.state.address, user_agent: ctx.get('user-agent'), request_id: ctx.state.request_id },
  });
  if (outcome.state !== 'changed') {
    if (outcome.state === 'waiting') ctx.set('Retry-After', String(outcome.retry_after));
    return refuse(explainChange(t, outcome), outcome.state === 'waiting' ? 429 : 422);
  }
  // Whoever had copied the cookie is out as well.
  await store.renewSession(ctx);
  ctx.status = 303;
  ctx.redirect(`${address}?done=changed`);
}

async function show(
  ctx: Context,
  store: PortalStore,
  account_id: string,
  problems: PasswordProblems,
  is_recovered: boolean,
  problem?: RecoveryProblem,
): Promise<void> {
  const { broken = [], ...errors } = problems;
  const [{ header }, roles, addresses] = await Promise.all([
    readPerson(store.db, account_id, 'credentials'),
    listRoles(store.db, account_id),
    listRecoveryAddresses(store.recoveries, account_id),
  ]);
  const { t, language } = ctx.state;
  const said = done.find((word) => word === ctx.query.done);
  const at = (moment: Date | null) => moment && formatDateTime(language, moment, header.zone);
  const is_quiet = Object.keys(problems).length === 0 && !problem;
  page(ctx, 'portal/credentials', {
    header,
    action: address,
    person: digest(account_id),
    said: is_quiet && said === 'changed' ? t('portal.credentials.changed') : undefined,
    // Where the page is opened at, which on a phone is far below its head.
    said_of_addresses: is_quiet && said && said !== 'changed' ? t(`portal.credentials.${said}`) : undefined,
    asks_old: !is_recovered,
    rules: describeRules(roles.map(({ role }) => role)),
    broken,
    errors,
    addresses: addresses.map(({ added_at, verified_at, used_at, ...row }) => ({
      ...row,
      is_verified: verified_at !== null,
      added: at(added_at),
      verified: at(verified_at),
      used: at(used_at),
      error: row.id === problem?.id ? problem.code : undefined,
    })),
    can_add: addresses.length < policy('recovery.addresses'),
  });
}
