/** The page behind an invitation's link: a person whom somebody opened an account for makes its first password. */

import type { Context } from 'koa';
import { z } from 'zod';
import { acceptInvitation, findInvitation, type Invitation } from '../accounts/invitation.ts';
import { describeRules } from '../accounts/password-rules.ts';
import { readForm } from '../http/form.ts';
import { checkFields, explainChange, explainForm, type PasswordProblems } from '../prompts/password.ts';
import { page } from '../views.ts';
import { requestOf } from './links.ts';
import type { PortalStore } from './portal.ts';

const form = z.object({
  new_password: z.string().max(1024, 'errors.password.too_long').default(''),
  confirm_password: z.string().max(1024, 'errors.password.too_long').default(''),
});

/** GET /invitation/:token shows and takes nothing: mail scanners open every link. */
export async function showInvitation(ctx: Context, store: PortalStore): Promise<void> {
  hideAddress(ctx);
  const invitation = await findInvitation(store.invitations, String(ctx.params.token));
  return invitation ? show(ctx, invitation, {}) : showOver(ctx);
}

/** POST /invitation/:token, fields `new_password` and `confirm_password`. */
export async function submitInvitation(ctx: Context, store: PortalStore): Promise<void> {
  hideAddress(ctx);
  const { t } = ctx.state;
  const token = String(ctx.params.token);
  const read = await readForm(ctx, form);
  const invitation = await findInvitation(store.invitations, token);
  if (invitation) {
    if (read.state === 'refused') return refuse(ctx, invitation, explainForm(t, read.errors));
    const problems = checkFields(t, read.values.new_password, read.values.confirm_password);
    if (problems) return refuse(ctx, invitation, problems);
  }
  const password = read.state === 'read' ? read.values.new_password : '';
  const outcome = await acceptInvitation(store.invitations, { token, password, request: requestOf(ctx) });
  if (outcome.state === 'accepted') return showDone(ctx, outcome.username);
  return invitation && outcome.because === 'rules' ? refuse(ctx, invitation, explainChange(t, outcome)) : showOver(ctx);
}

/** The address opens something: it is told to no other page, this site's own included. */
function hideAddress(ctx: Context): void {
  ctx.set('referrer-policy', 'no-referrer');
}

function refuse(ctx: Context, invitation: Invitation, problems: PasswordProblems): Promise<void> {
  ctx.status = 422;
  return show(ctx, invitation, problems);
}

async function show(ctx: Context, { username, roles }: Invitation, problems: PasswordProblems): Promise<void> {
  const { broken = [], ...errors } = problems;
  page(ctx, 'portal/invitation', { action: ctx.path, username, rules: describeRules(roles), broken, errors });
}

/** Not signed in by it: whoever holds the link has shown that they read the mail, and nothing else. */
function showDone(ctx: Context, username: string): void {
  const { t } = ctx.state;
  page(ctx, 'errors/page', {
    status: 200,
    title: t('portal.invitation.done_title'),
    text: t('portal.invitation.done_text', { username }),
    ways: [{ href: '/portal', label: t('words.sign_in') }],
  });
}

/** Used, too late, replaced by a newer one, or never sent: one page for all of them. */
function showOver(ctx: Context): void {
  const { t } = ctx.state;
  ctx.status = 410;
  page(ctx, 'errors/page', {
    status: ctx.status,
    title: t('portal.invitation.over_title'),
    text: t('portal.invitation.over_text'),
    ways: [
      { href: '/portal', label: t('words.sign_in') },
      { href: '/', label: t('words.to_start') },
    ],
  });
}
