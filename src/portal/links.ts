/** Create SSO (document D, screen D3) and what a person does with a link afterwards: name it, make it the default, remove it. */

import type { Context } from 'koa';
import { z } from 'zod';
import { findApplication } from '../applications/application.ts';
import { type ApplicationRow, findApplicationRow } from '../applications/table.ts';
import type { AuditRequest } from '../audit/audit.ts';
import { digest } from '../crypto.ts';
import { readForm } from '../http/form.ts';
import { chooseDefault, removeLink, renameLink } from '../links/changes.ts';
import { findWay, proveLink } from '../links/link.ts';
import { listOrigins } from '../links/redirect.ts';
import { findLink, listLinks } from '../links/store.ts';
import { explainLink } from '../prompts/link.ts';
import { page } from '../views.ts';
import {
  addressOfDetail,
  addressOfLink,
  addressOfVerification,
  nameApplication,
  readIds,
  showDetail,
} from './applications.ts';
import { readPerson } from './person.ts';
import type { PortalStore } from './portal.ts';

const proof = z.object({
  username: z.string().trim().max(200, 'errors.too_long').default(''),
  password: z.string().max(1024, 'errors.too_long').default(''),
  /** Whose page it was: in another tab somebody else may have signed in since. */
  person: z.string().max(64).default(''),
});

const naming = z.object({ label: z.string().trim().max(60, 'errors.too_long').default('') });

const link_id = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

type Problems = Partial<Record<'username' | 'password' | 'form', string>>;

/** GET /portal/applications/:id/link?next=&again=; `again` is a link that must be proven anew. */
export async function showLink(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  const row = await findSupported(ctx, store, account_id);
  const links = ctx.query.again ? await listLinks(store.db, account_id, row.id) : [];
  const again = links.find((link) => link.id === ctx.query.again);
  return showForm(ctx, store, account_id, row, again?.username ?? '', {});
}

/** POST /portal/applications/:id/link */
export async function submitLink(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  const { t } = ctx.state;
  const row = await findSupported(ctx, store, account_id);
  const read = await readForm(ctx, proof);
  if (read.state === 'refused') {
    const said = Object.entries(read.errors).map(([field, key]) => [field, t(key)]);
    ctx.status = 422;
    return showForm(ctx, store, account_id, row, read.values.username ?? '', Object.fromEntries(said));
  }
  const { username, password, person } = read.values;
  if (isOfAnother(person, account_id)) return refuseOther(ctx, store, account_id, row);
  if (!username || !password) {
    ctx.status = 422;
    return showForm(ctx, store, account_id, row, username, {
      ...(username ? {} : { username: t('errors.link.username_missing') }),
      ...(password ? {} : { password: t('errors.link.password_missing') }),
    });
  }
  const attempt = { account_id, application_id: row.id, username, password, request: requestOf(ctx) };
  const outcome = await proveLink(store.links, attempt);
  const [next, ...others] = readIds(ctx.query.next);
  switch (outcome.state) {
    case 'linked':
      return goTo(ctx, next ? addressOfLink(next, others, 'linked') : addressOfDetail(row.id, 'linked'));
    case 'held':
      return goTo(ctx, addressOfDetail(row.id, 'held', next ? [next, ...others] : []));
    case 'unsupported':
      return ctx.throw(404);
    default:
      ctx.status = outcome.state === 'waiting' ? 429 : 422;
      if ('retry_after' in outcome && outcome.retry_after) ctx.set('retry-after', String(outcome.retry_after));
      return showForm(ctx, store, account_id, row, username, { form: explainLink(ctx.state.t, row.name, outcome) });
  }
}

/** POST /portal/links/:id/label, field `label`; an empty one takes the name away. */
export async function submitLabel(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  const link = await findOwn(ctx, store, account_id);
  const read = await readForm(ctx, naming);
  if (read.state === 'refused') {
    const error = ctx.state.t(read.errors.label ?? read.errors.form ?? 'errors.field.invalid');
    ctx.status = 422;
    const refused = { link_id: link.id, label: read.values.label ?? '', error };
    return showDetail(ctx, store, account_id, link.application_id, refused);
  }
  const label = read.values.label || null;
  // Pressed twice, or sent as it was: nothing has changed, so nobody is told of a change.
  const is_new = label !== link.label;
  if (is_new && !(await renameLink(store.links, account_id, link.id, label, requestOf(ctx)))) return ctx.throw(404);
  return goTo(ctx, addressOfDetail(link.application_id, 'renamed'));
}

/** POST /portal/links/:id/default */
export async function submitDefault(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  const link = await findOwn(ctx, store, account_id);
  const is_new = !link.is_default;
  if (is_new && !(await chooseDefault(store.links, account_id, link.id, requestOf(ctx)))) return ctx.throw(404);
  return goTo(ctx, addressOfDetail(link.application_id, 'default'));
}

/** GET /portal/links/:id/removal asks first. */
export async function showRemoval(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  const link = await findOwn(ctx, store, account_id);
  const [{ header }, all] = await Promise.all([
    readPerson(store.db, account_id, 'applications'),
    listLinks(store.db, account_id, link.application_id),
  ]);
  const { id, username, application_id, application_name, is_default } = link;
  // The oldest of the others becomes the default.
  const heir = is_default ? all.find((other) => other.id !== id)?.username : undefined;
  page(ctx, 'portal/removal', { header, link: { id, username, application_id, application_name }, heir });
}

/** POST /portal/links/:id/removal */
export async function submitRemoval(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  const { id } = await findOwn(ctx, store, account_id);
  const removed = await removeLink(store.links, account_id, id, requestOf(ctx));
  if (!removed) return ctx.throw(404);
  return goTo(ctx, addressOfDetail(removed.application_id, 'removed'));
}

/** Whether a page was another person's, by the mark that its form brings. */
export function isOfAnother(mark: string, account_id: string): boolean {
  return mark !== '' && mark !== digest(account_id);
}

/** Shows the form to whoever is signed in now: it was opened by somebody else. */
export async function refuseOther(
  ctx: Context,
  store: PortalStore,
  account_id: string,
  row: ApplicationRow,
): Promise<void> {
  const { header } = await readPerson(store.db, account_id, 'applications');
  ctx.status = 422;
  const form = ctx.state.t('errors.link.other_person', { name: header.full_name });
  return showForm(ctx, store, account_id, row, '', { form });
}

/** An application to which links can be made. */
export async function findSupported(ctx: Context, { db }: PortalStore, account_id: string): Promise<ApplicationRow> {
  const row = await findApplicationRow(db, account_id, String(ctx.params.id));
  return row?.is_supported ? row : ctx.throw(404);
}

/** A link of this person's. Another's and one that never was are the same 404. */
async function findOwn(ctx: Context, { db }: PortalStore, account_id: string) {
  const id = String(ctx.params.id);
  return (link_id.test(id) && (await findLink(db, account_id, id))) || ctx.throw(404);
}

/** Create SSO of one application: the form for its user name and password, or the button that leads there. */
export async function showForm(
  ctx: Context,
  store: PortalStore,
  account_id: string,
  row: ApplicationRow,
  username: string,
  errors: Problems,
): Promise<void> {
  const { header } = await readPerson(store.db, account_id, 'applications');
  const next = readIds(ctx.query.next);
  const [first, ...others] = next;
  const is_redirect = findWay(store.links, await findApplication(store.db, row.id)) === 'redirect';
  if (is_redirect) ctx.state.csp.form_action.push(...(await listOrigins(store.links, row.id)));
  page(ctx, 'portal/link', {
    header,
    application: nameApplication(row, ctx.state.language, store.config.issuer),
    action: is_redirect ? addressOfVerification(row.id, next) : addressOfLink(row.id, next),
    is_redirect,
    person: digest(account_id),
    was_linked: ctx.query.done === 'linked',
    rest: next.length,
    skip: first && addressOfLink(first, others),
    values: { username },
    errors,
  });
}

/** Where a request came from, for the audit. */
export function requestOf(ctx: Context): AuditRequest {
  const { address, request_id } = ctx.state;
  return { address, user_agent: ctx.get('user-agent'), request_id };
}

/** Goes on by GET. */
export function goTo(ctx: Context, address: string): void {
  ctx.status = 303;
  ctx.redirect(address);
}
