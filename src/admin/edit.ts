/** The console's forms: shown, sent, refused with everything still in them, or done. */

import type { Context } from 'koa';
import { readFields, readUpload } from '../http/form.ts';
import { policy } from '../policy/policy.ts';
import { page } from '../views.ts';
import { showConflict, showInapplicable, showOnce, showPresets } from './edit-pages.ts';
import { type Field, isUnseen, listFields, readTyped, type Typed } from './fields.ts';
import { beginForm, drawForm } from './forms.ts';
import { findEntry } from './listing.ts';
import { type Carried, carryOut, inputOf, mayWait, reachOfActor } from './operation.ts';
import { readHeader, readNotice } from './page.ts';
import type { Desk, Entry, Operation, Resource, Said } from './resource.ts';
import { showTrial } from './trials.ts';
import { say, wordOf } from './words.ts';

// A client's keys and many addresses in one form.
const largest_form = 256 * 1024;

/** GET /admin/:resource/creation and /admin/:resource/:id/:operation */
export async function showOperation(ctx: Context, desk: Desk, resource: Resource, operation: Operation): Promise<void> {
  const entry = await findTarget(ctx, desk, resource, operation);
  if (entry && operation.applies && !operation.applies(entry, desk))
    return showInapplicable(ctx, desk, resource, entry);
  const query = Object.fromEntries(
    Object.entries(ctx.query).filter(([, value]) => typeof value === 'string'),
  ) as Record<string, string>;
  if (operation.presets && !operation.presets.includes(query.preset ?? ''))
    return showPresets(ctx, desk, resource, operation);
  await showForm(ctx, desk, resource, operation, entry, await beginForm(desk, operation, entry, query), {});
}

/** POST to the same */
export async function submitOperation(
  ctx: Context,
  desk: Desk,
  resource: Resource,
  operation: Operation,
): Promise<void> {
  const entry = await findTarget(ctx, desk, resource, operation);
  const takes_files = listFields(inputOf(operation, entry)).some(({ kind }) => kind === 'file');
  const sent = await (takes_files ? readUpload(ctx) : readFields(ctx, largest_form)).catch(refuseTooLarge);
  if (!sent) {
    ctx.status = 413;
    const begun = await beginForm(desk, operation, entry, {});
    return showForm(ctx, desk, resource, operation, entry, begun, { form: 'errors.field.form_too_large' });
  }
  const { fields, broken } = sent;
  const { values, errors } = readTyped(inputOf(operation, entry), fields);
  for (const name of broken) errors[name] = 'errors.field.unreadable';
  if (broken.has('form') || Object.keys(errors).length > 0)
    return refuse(ctx, desk, resource, operation, entry, fields, errors);
  // A form without the version it was drawn of would overwrite what nobody saw; no entry has the version that stands in for it.
  const is_change = operation.kind === 'change' && entry?.version !== undefined;
  const carried = await carryOut(desk, {
    resource,
    operation,
    id: entry?.id,
    input: values,
    version: readVersion(fields) ?? (is_change ? -1 : undefined),
    because: fields.get('approval_reason')?.[0] ?? '',
  });
  await answer(ctx, desk, resource, operation, entry, fields, carried);
}

/** What is too large was not read, so nothing of it can be shown again; everything else goes on as it was thrown. */
function refuseTooLarge(error: { status?: unknown }): undefined {
  if (error.status !== 413) throw error;
}

async function answer(
  ctx: Context,
  desk: Desk,
  resource: Resource,
  operation: Operation,
  entry: Entry | undefined,
  fields: Typed,
  carried: Carried,
): Promise<void> {
  switch (carried.state) {
    case 'done': {
      if (carried.trial) return showTrial(ctx, desk, carried.id, carried.trial);
      if (carried.go_to) {
        ctx.status = 303;
        return ctx.redirect(carried.go_to);
      }
      if (carried.shown_once) return showOnce(ctx, desk, resource, operation, carried.id, carried.shown_once);
      const at = operation.kind === 'remove' ? '' : `/${encodeURIComponent(carried.id)}`;
      ctx.status = 303;
      return ctx.redirect(`/admin/${resource.name}${at}?done=${operation.name}`);
    }
    case 'waiting':
      ctx.status = 303;
      return ctx.redirect(`/admin/approvals/${carried.approval_id}`);
    case 'refused':
      return refuse(ctx, desk, resource, operation, entry, fields, carried.errors);
    case 'conflict':
      return showConflict(ctx, desk, resource, operation, carried.entry, fields);
    case 'inapplicable':
      return showInapplicable(ctx, desk, resource, carried.entry);
    case 'stale_sign_in':
      return refuse(ctx, desk, resource, operation, entry, fields, {
        form: {
          key: 'errors.admin.stale_sign_in',
          values: { minutes: Math.ceil(Number(policy('session.console_fresh')) / 60) },
        },
      });
    case 'forbidden':
      return refuse(ctx, desk, resource, operation, entry, fields, { form: 'errors.admin.out_of_reach' }, 403);
    case 'not_found':
      return ctx.throw(404);
  }
}

/** The entry of the address, within the reach of the operation; undefined only for one that creates. */
async function findTarget(
  ctx: Context,
  desk: Desk,
  resource: Resource,
  operation: Operation,
): Promise<Entry | undefined> {
  if (operation.kind === 'create') return undefined;
  const reach = reachOfActor(desk.actor, operation.permission);
  return (reach && (await findEntry(desk.db, resource, reach, String(ctx.params.id)))) || ctx.throw(404);
}

async function refuse(
  ctx: Context,
  desk: Desk,
  resource: Resource,
  operation: Operation,
  entry: Entry | undefined,
  fields: Typed,
  errors: Record<string, Said>,
  status = 422,
): Promise<void> {
  ctx.status = status;
  const typed = (field: Field) => (isUnseen(field) ? [] : (fields.get(field.name) ?? []));
  const kept = { version: readVersion(fields), because: fields.get('approval_reason')?.[0] };
  await showForm(ctx, desk, resource, operation, entry, typed, errors, kept);
}

async function showForm(
  ctx: Context,
  desk: Desk,
  resource: Resource,
  operation: Operation,
  entry: Entry | undefined,
  typed: (field: Field) => string[],
  errors: Record<string, Said>,
  { version = entry?.version, because = '' }: { version?: number | undefined; because?: string | undefined } = {},
): Promise<void> {
  const { t } = ctx.state;
  const header = await readHeader(ctx, desk, resource.name);
  const groups = await drawForm(ctx, desk, resource, inputOf(operation, entry), entry, typed, errors);
  const controls = groups.flatMap((group) => group.controls);
  // Where the operation itself asks for a reason, that is the one.
  const asks_why = mayWait(operation, entry) && !controls.some(({ name }) => name === 'because');
  const reason = asks_why && errors.approval_reason ? say(ctx, errors.approval_reason) : undefined;
  const named = [...controls, { name: 'approval_reason', error: reason }].flatMap(({ name, error }) =>
    error ? [{ text: error, field: name }] : [],
  );
  const others = Object.entries(errors).filter(([name]) => !named.some(({ field }) => field === name));
  page(ctx, 'admin/form', {
    header,
    name: resource.name,
    trail: entry
      ? {
          href: `/admin/${resource.name}/${encodeURIComponent(entry.id)}`,
          title: await resource.title(entry, desk.language, desk),
        }
      : { href: `/admin/${resource.name}`, title: t(`admin.${resource.name}.title`) },
    title: t(`admin.${resource.name}.op_${operation.name}`),
    text: wordOf(ctx, `admin.${resource.name}.op_${operation.name}_text`),
    notice: operation.kind === 'create' ? readNotice(ctx, resource) : undefined,
    warnings: entry ? ((await operation.warn?.(desk, entry)) ?? []).map((said) => say(ctx, said)) : [],
    // With the query: what the form began with is asked again when it comes back refused.
    action: `${ctx.path}${ctx.search}`,
    version,
    groups,
    takes_files: controls.some(({ kind }) => kind === 'file'),
    problems: [...named, ...others.map(([, said]) => ({ text: say(ctx, said), field: 'title' }))],
    asks_why,
    because,
    reason_problem: reason,
    is_grave: operation.kind === 'remove',
  });
}

function readVersion(fields: Typed): number | undefined {
  const text = fields.get('version')?.[0] ?? '';
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
