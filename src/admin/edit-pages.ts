/** The console's pages beside a form: kinds to choose from, somebody was first, a secret shown once, too late. */

import type { Context } from 'koa';
import { page } from '../views.ts';
import { isUnseen, listFields, readTyped, showTyped, type Typed } from './fields.ts';
import { beginForm } from './forms.ts';
import { inputOf } from './operation.ts';
import { readHeader } from './page.ts';
import type { Desk, Entry, Operation, Resource } from './resource.ts';
import { wordOf } from './words.ts';

/** What kind of thing it is to be, before the form: each kind fills most of it. */
export async function showPresets(ctx: Context, desk: Desk, { name }: Resource, operation: Operation): Promise<void> {
  const { t } = ctx.state;
  page(ctx, 'admin/presets', {
    header: await readHeader(ctx, desk, name),
    trail: { href: `/admin/${name}`, title: t(`admin.${name}.title`) },
    title: t(`admin.${name}.op_${operation.name}`),
    presets: (operation.presets ?? []).map((preset) => ({
      href: `${ctx.path}?${new URLSearchParams({ ...ctx.query, preset } as Record<string, string>)}`,
      label: t(`admin.${name}.preset_${preset}`),
      help: t(`admin.${name}.preset_${preset}_help`),
    })),
  });
}

/** Both versions side by side: what the person typed, and what somebody else saved meanwhile (412). */
export async function showConflict(
  ctx: Context,
  desk: Desk,
  resource: Resource,
  operation: Operation,
  entry: Entry,
  fields: Typed,
): Promise<void> {
  const header = await readHeader(ctx, desk, resource.name);
  const now = await beginForm(desk, operation, entry, {});
  const { values } = readTyped(inputOf(operation, entry), fields);
  const unseen = listFields(inputOf(operation, entry)).filter(isUnseen);
  const rows = listFields(inputOf(operation, entry))
    .filter((field) => !isUnseen(field))
    .map((field) => ({ field, yours: showTyped(field, values[field.name]), theirs: now(field) }))
    .filter(({ yours, theirs }) => yours.join('\n') !== theirs.join('\n'));
  ctx.status = 412;
  page(ctx, 'admin/conflict', {
    header,
    title: await resource.title(entry, desk.language, desk),
    action: ctx.path,
    version: entry.version,
    again: ctx.path,
    rows: rows.map(({ field, yours, theirs }) => ({
      label: ctx.state.t(field.meta.label ?? `admin.${resource.name}.${field.name}`),
      yours: yours.join('\n'),
      theirs: theirs.join('\n'),
    })),
    // Everything typed but secrets and files goes along, so that it can be sent once more on top of what stands now.
    sent: [...fields]
      .filter(([name]) => name !== 'version' && !unseen.some((field) => field.name === name))
      .flatMap(([name, all]) => all.map((value) => ({ name, value }))),
  });
}

/** What is told this once, with the way on. */
export async function showOnce(
  ctx: Context,
  desk: Desk,
  resource: Resource,
  operation: Operation,
  id: string,
  shown: Record<string, string>,
): Promise<void> {
  const header = await readHeader(ctx, desk, resource.name);
  page(ctx, 'admin/shown-once', {
    header,
    title: ctx.state.t(`admin.${resource.name}.op_${operation.name}`),
    // Not everything that is told once is a secret to be copied.
    text: wordOf(ctx, `admin.${resource.name}.op_${operation.name}_shown`, 'admin.shown-once.text'),
    shown: Object.entries(shown).map(([name, value]) => ({
      label: ctx.state.t(`admin.${resource.name}.once_${name}`),
      value: wordOf(ctx, `admin.${resource.name}.once_${name}_${value}`) ?? value,
    })),
    way: {
      href: `/admin/${resource.name}/${encodeURIComponent(id)}`,
      label: wordOf(ctx, `admin.${resource.name}.op_${operation.name}_go_on`, 'admin.shown-once.go_on'),
    },
  });
}

/** It makes no sense for the entry any more. */
export async function showInapplicable(ctx: Context, desk: Desk, resource: Resource, entry: Entry): Promise<void> {
  const { t } = ctx.state;
  ctx.status = 409;
  page(ctx, 'admin/inapplicable', {
    header: await readHeader(ctx, desk, resource.name),
    title: t('admin.inapplicable.title'),
    text: t('admin.inapplicable.text', { title: await resource.title(entry, desk.language, desk) }),
    way: { href: `/admin/${resource.name}/${encodeURIComponent(entry.id)}`, label: t('admin.inapplicable.way') },
  });
}
