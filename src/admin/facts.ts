/** What fields are called and what their values mean, in the words of the reader. */

import { formatDate, formatDateTime, formatMoment } from '../i18n/dates.ts';
import { type Field, type FieldMeta, listFields } from './fields.ts';
import type { Desk, Entry, Option, Resource } from './resource.ts';
import { type Reader, wordOf } from './words.ts';

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
  ctx: Reader,
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
  ctx: Reader,
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

/** What a field is called. */
export function labelOf(ctx: Reader, resource: Resource, { name, meta }: { name: string; meta: FieldMeta }): string {
  return meta.label ? ctx.state.t(meta.label) : ctx.state.t(`admin.${resource.name}.${name}`);
}

/** The choices of the fields that take them from their resource. */
export async function readSources(
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
