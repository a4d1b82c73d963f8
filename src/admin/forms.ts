/** Forms of the console, drawn from the schemas of the resources in the words of the reader. */

import type { Context } from 'koa';
import type { z } from 'zod';
import { labelOf, readSources } from './facts.ts';
import { type Field, listFields, optionsOf, showTyped } from './fields.ts';
import type { Desk, Entry, Operation, Option, Resource, Said } from './resource.ts';
import { say, wordOf } from './words.ts';

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

function helpOf(ctx: Context, resource: Resource, { name, meta }: Field): string | undefined {
  return meta.help ? ctx.state.t(meta.help) : wordOf(ctx, `admin.${resource.name}.${name}_help`);
}
