/** Forms and facts of the console, drawn from the schemas of the resources in the words of the reader. */

import type { Context } from 'koa';
import type { z } from 'zod';
import { formatDate, formatDateTime, formatMoment } from '../i18n/dates.ts';
import { type Field, type FieldMeta, listFields, optionsOf, showTyped } from './fields.ts';
import { say, wordOf } from './page.ts';
import type { Desk, Entry, Operation, Option, Resource, Said } from './resource.ts';

/** A field as `views/parts/control.ejs` draws it. */
export interface Control {
  name: string;
  kind: Field['kind'];
  label: string;
  help: string | undefined;
  error: string | undefined;
  is_required: boolean;
  /** What stands in it; several for `choices`. */
  typed: string[];
  options: Option[];
  unit: string | undefined;
  autocomplete: string;
}

export interface ControlGroup {
  title: string | undefined;
  controls: Control[];
}

/** The groups of a form's fields, in the order of the schema. */
export async function drawForm(
  ctx: Context,
  desk: Desk,
  resource: Resource,
  input: z.ZodObject,
  entry: Entry | undefined,
  typed: (field: Field) => string[],
  errors: Record<string, Said>,
): Promise<ControlGroup[]> {
  const fields = listFields(input);
  const sources = await readSources(desk, resource, fields, entry);
  const groups = new Map<string, Control[]>();
  for (const field of fields) {
    const { group = '', unit, autocomplete = 'off' } = field.meta;
    const error = errors[field.name];
    const control = {
      name: field.name,
      kind: field.kind,
      label: labelOf(ctx, resource, field),
      help: helpOf(ctx, resource, field),
      error: error && say(ctx, error),
      is_required: field.is_required,
      typed: typed(field),
      options: optionsOf(
        field,
        sources,
        (value) => wordOf(ctx, `admin.${resource.name}.${field.name}_${value}`) ?? value,
      ),
      unit: unit && ctx.state.t(unit),
      autocomplete,
    };
    // A choice among nothing that need not be made would only puzzle.
    const is_idle = field.meta.options && !field.is_required && control.options.length === 0 && !error;
    if (!is_idle) groups.set(group, [...(groups.get(group) ?? []), control]);
  }
  return [...groups].map(([group, controls]) => ({
    title: group ? ctx.state.t(`admin.${resource.name}.group_${group}`) : undefined,
    controls,
  }));
}

/** The values of an operation's form before anybody typed. */
export async function beginForm(
  desk: Desk,
  operation: Operation,
  entry: Entry | undefined,
  query: Record<string, string>,
): Promise<(field: Field) => string[]> {
  const values = (await operation.begin?.(desk, entry, query)) ?? {};
  return (field) => showTyped(field, values[field.name]);
}

async function readSources(
  desk: Desk,
  resource: Resource,
  fields: Field[],
  entry: Entry | undefined,
): Promise<Record<string, Option[]>> {
  const names = [...new Set(fields.flatMap(({ meta }) => meta.options ?? []))];
  const sources = await Promise.all(
    names.map(async (name) => [name, (await resource.options?.[name]?.(desk, entry)) ?? []]),
  );
  return Object.fromEntries(sources) as Record<string, Option[]>;
}

function labelOf(ctx: Context, resource: Resource, { name, meta }: { name: string; meta: FieldMeta }): string {
  return meta.label ? ctx.state.t(meta.label) : ctx.state.t(`admin.${resource.name}.${name}`);
}

function helpOf(ctx: Context, resource: Resource, { name, meta }: Field): string | undefined {
  return meta.help ? ctx.state.t(meta.help) : wordOf(ctx, `admin.${resource.name}.${name}_help`);
}

/** A name and its value, as `views/parts/facts.ejs` draws them. */
export interface Fact {
  label: string;
  text: string;
  lines?: string[];
}

/** Facts that belong together, as the form of the entry groups them. */
export interface FactGroup {
  title: string | undefined;
  facts: Fact[];
}

/** The facts of an entry; in a group, which is one of many, what may be empty and is stays away. */
export function drawFacts(
  ctx: Context,
  resource: Resource,
  schema: Resource['entry'],
  row: Record<string, unknown>,
  zone: string,
): FactGroup[] {
  const groups = new Map<string, Fact[]>();
  for (const field of listFields(schema)) {
    const { group = '' } = field.meta;
    const fact = { label: labelOf(ctx, resource, field), ...showValue(ctx, resource, field, row[field.name], zone) };
    if (group && !field.is_required && fact.text === '') continue;
    groups.set(group, [...(groups.get(group) ?? []), fact]);
  }
  return [...groups].map(([group, facts]) => ({
    title: group ? ctx.state.t(`admin.${resource.name}.group_${group}`) : undefined,
    facts,
  }));
}

/** A value in words: times in the reader's zone, choices and switches by their names. */
export function showValue(
  ctx: Context,
  { name }: Resource,
  field: Field,
  value: unknown,
  zone: string,
  is_narrow = false,
): { text: string; lines?: string[] } {
  const { language, t } = ctx.state;
  if (value === null || value === undefined || value === '') return { text: '' };
  if (value instanceof Date) return { text: (is_narrow ? formatMoment : formatDateTime)(language, value, zone) };
  if (typeof value === 'boolean') {
    return { text: wordOf(ctx, `admin.${name}.${field.name}_${value}`) ?? t(value ? 'words.yes' : 'words.no') };
  }
  const word = (one: unknown) => wordOf(ctx, `admin.${name}.${field.name}_${String(one)}`) ?? String(one);
  if (Array.isArray(value)) {
    const lines = value.map((one) => (typeof one === 'object' ? JSON.stringify(one) : word(one)));
    return { text: lines.join(', '), lines };
  }
  if (typeof value === 'object') return { text: JSON.stringify(value) };
  if (field.kind === 'date') return { text: formatDate(language, new Date(`${value}T00:00:00Z`), 'UTC') };
  const unit = field.meta.unit ? ` ${t(field.meta.unit)}` : '';
  return { text: `${word(value)}${unit}` };
}
