/** The page on which a user of e-BPOM changes the password that e-BPOM itself keeps; Gapura is told. */

import type { SiteContext } from './context.ts';
import { readForm } from './form.ts';
import type { Notices } from './notices.ts';
import type { KnownUser, OwnUsers } from './own-users.ts';
import type { RelyingParty } from './relying-party.ts';
import { inTurn } from './turn.ts';

interface PasswordPage {
  party: RelyingParty;
  users: OwnUsers;
  notices: Notices;
}

/** The field that an error belongs to. */
type Field = 'password' | 'new_password' | 'confirm_password';

interface Refusal {
  status: number;
  username: string;
  field: Field;
  error: string;
}

const least_length = 10;
const longest = 200;

/** Adds /own-password. */
export function addOwnPassword(page: PasswordPage): void {
  const { router } = page.party.ground;
  router.get('/own-password', (ctx) => showForm(page, ctx));
  router.post('/own-password', (ctx) => changePassword(page, ctx));
}

function showForm({ party }: PasswordPage, ctx: SiteContext, refusal?: Refusal): void {
  party.ground.page(ctx, 'demo/e-bpom/own-password', {
    title: ctx.state.t('demo.e-bpom.own-password.title'),
    username: refusal?.username ?? '',
    field: refusal?.field,
    error: refusal?.error,
    least_length,
  });
  if (refusal) ctx.status = refusal.status;
}

async function changePassword(page: PasswordPage, ctx: SiteContext): Promise<void> {
  const { t } = ctx.state;
  const form = await readForm(ctx);
  const username = (form.get('username') ?? '').trim().slice(0, 200);
  const new_password = form.get('new_password') ?? '';
  const refuse = (field: Field, error: string, status = 422) => showForm(page, ctx, { status, username, field, error });

  const password = form.get('password') ?? '';
  if (new_password.length < least_length || new_password.length > longest) {
    return refuse('new_password', t('demo.e-bpom.own-password.short', { least_length }));
  }
  if (new_password === password) return refuse('new_password', t('demo.e-bpom.own-password.same'));
  if (new_password !== form.get('confirm_password')) {
    return refuse('confirm_password', t('demo.e-bpom.own-password.unequal'));
  }
  const check = await page.users.check(username, password);
  if (check.state === 'waiting') {
    ctx.set('retry-after', String(check.retry_after));
    return refuse('password', t('demo.e-bpom.own-password.wait', { seconds: check.retry_after }), 429);
  }
  if (check.state === 'locked') return refuse('password', t('demo.e-bpom.own-password.locked'));
  const is_changed = check.state === 'right' && (await keepPassword(page, check.user, new_password));
  if (!is_changed) return refuse('password', t('demo.e-bpom.own-password.wrong'));
  page.party.ground.page(ctx, 'demo/e-bpom/own-password-changed', {
    title: t('demo.e-bpom.own-password.changed_title'),
    username,
    applications_href: `${page.party.options.gapura_url}/portal/applications`,
  });
}

/** The password and the notice of it, both or neither. */
async function keepPassword(
  { party, users, notices }: PasswordPage,
  user: KnownUser,
  password: string,
): Promise<boolean> {
  const is_changed = await inTurn(party.ground.db, `e_bpom_users ${user.id}`, async (client) => {
    if (!(await users.changePassword(client, user, password))) return false;
    await notices.addNotice(client, user.id);
    return true;
  });
  if (is_changed) notices.send();
  return is_changed;
}
