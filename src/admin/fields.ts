/** The fields of a form, drawn from a schema; and what was typed into them, turned into the JSON that the schema reads. */

import { z } from 'zod';
import type { Option } from './resource.ts';

/** What a field's `meta` may say; all of it is optional. */
export interface FieldMeta {
  /** Message keys; without them `admin.<resource>.<field>` and, if there is one, `admin.<resource>.<field>_help`. */
  label?: string;
  help?: string;
  /** A name of a group of fields: `admin.<resource>.group_<name>` is its heading. */
  group?: string;
  /** Several lines of text. */
  long?: boolean;
  /** The choices come from the resource's `options` of this name. */
  options?: string;
  /** Goes into no history, only that it changed. */
  personal?: boolean;
  /** Is typed unseen and shown by nobody. */
  secret?: boolean;
  /** A message key of what is counted, behind a number. */
  unit?: string;
  /** A time with its zone. */
  moment?: boolean;
  autocomplete?: string;
  /** Bytes, as base64 for programs and from a file for people. */
  file?: boolean;
}

declare module 'zod' {
  interface GlobalMeta extends FieldMeta {}
}

export type FieldKind =
  | 'text' // one line
  | 'long' // many
  | 'secret'
  | 'file'
  | 'lines' // an array of strings, one on each line
  | 'json' // an object
  | 'number'
  | 'switch'
  | 'choice' // one of an enum or of options
  | 'choices' // several of them
  | 'date'; // a day, as YYYY-MM-DD

export interface Field {
  name: string;
  kind: FieldKind;
  meta: FieldMeta;
  is_required: boolean;
  /** Of an enum. */
  values?: string[];
}

/** A time in an answer: RFC 3339 in UTC for programs, in the person's zone on pages. */
export function moment() {
  return z.iso.datetime().meta({ moment: true });
}

/** The fields of a schema in their order. */
export function listFields(schema: z.ZodObject): Field[] {
  return Object.entries(schema.shape).map(([name, type]) => describe(name, type as z.ZodType));
}

function describe(name: string, type: z.ZodType): Field {
  // What stands outside counts: a meta on the optional type over one on the inner.
  let meta: FieldMeta = {};
  let inner = type;
  let is_required = true;
  for (;;) {
    meta = { ...(inner.meta() as FieldMeta | undefined), ...meta };
    const { def } = inner as unknown as { def: { type: string; innerType?: z.ZodType; in?: z.ZodType } };
    if (['optional', 'nullable', 'default', 'prefault'].includes(def.type)) is_required = false;
    const next = def.innerType ?? (def.type === 'pipe' ? def.in : undefined);
    if (!next) break;
    inner = next;
  }
  return { name, meta, is_required, ...kindOf(inner, meta) };
}

function kindOf(type: z.ZodType, meta: FieldMeta): { kind: FieldKind; values?: string[] } {
  const { def } = type as unknown as { def: { type: string; element?: z.ZodType; entries?: Record<string, string> } };
  if (meta.secret) return { kind: 'secret' };
  if (meta.file) return { kind: 'file' };
  switch (def.type) {
    case 'boolean':
      return { kind: 'switch' };
    case 'number':
    case 'int':
      return { kind: 'number' };
    case 'enum':
      return { kind: 'choice', values: Object.values(def.entries ?? {}) };
    case 'array': {
      const element = kindOf(def.element as z.ZodType, meta);
      return element.values || meta.options ? { ...element, kind: 'choices' } : { kind: 'lines' };
    }
    case 'string':
      if (type instanceof z.ZodISODate) return { kind: 'date' };
      return { kind: meta.options ? 'choice' : meta.long ? 'long' : 'text' };
    default:
      return { kind: 'json' };
  }
}

/** What was typed: a field's name with every value sent under it. */
export type Typed = ReadonlyMap<string, string[]>;

/**
 * Turns what was typed into JSON for the schema. An empty field is left out when nothing need be there and null when the
 * schema knows null, so that emptying a field empties it.
 * @returns the values, and for what cannot be JSON at all the key of its message
 */
export function readTyped(
  schema: z.ZodObject,
  typed: Typed,
): { values: Record<string, unknown>; errors: Record<string, string> } {
  const values: Record<string, unknown> = {};
  const errors: Record<string, string> = {};
  for (const field of listFields(schema)) {
    const sent = typed.get(field.name) ?? [];
    if (field.kind !== 'choices' && sent.length > 1) {
      errors[field.name] = 'errors.field.repeated';
      continue;
    }
    const text = (sent[0] ?? '').trim();
    const is_nullable = (schema.shape[field.name] as z.ZodType).safeParse(null).success;
    switch (field.kind) {
      case 'switch':
        values[field.name] = text !== '';
        break;
      case 'choices':
        values[field.name] = sent.filter((one) => one !== '');
        break;
      case 'lines':
        values[field.name] = text
          .split(/\r?\n/)
          .map((line) => line.trim())
          .filter((line) => line !== '');
        break;
      default:
        if (text === '') {
          if (is_nullable) values[field.name] = null;
        } else if (field.kind === 'number') {
          if (/^-?\d{1,15}$/.test(text)) values[field.name] = Number(text);
          else errors[field.name] = 'errors.field.number';
        } else if (field.kind === 'json') {
          try {
            values[field.name] = JSON.parse(text);
          } catch {
            errors[field.name] = 'errors.field.json';
          }
        } else {
          values[field.name] = field.kind === 'secret' ? sent[0] : text;
        }
    }
  }
  return { values, errors };
}

/** What no page shows again once it was sent. */
export function isUnseen({ kind }: Field): boolean {
  return kind === 'secret' || kind === 'file';
}

/** A value as a form shows it; the reverse of `readTyped`. */
export function showTyped(field: Field, value: unknown): string[] {
  if (value === null || value === undefined || isUnseen(field)) return [];
  if (field.kind === 'switch') return value ? ['on'] : [];
  if (field.kind === 'choices') return (value as string[]).map(String);
  if (field.kind === 'lines') return [(value as string[]).join('\n')];
  if (field.kind === 'json') return [JSON.stringify(value, null, 2)];
  return [String(value)];
}

/** The choices of a field, in words. */
export function optionsOf(field: Field, sources: Record<string, Option[]>, word: (value: string) => string): Option[] {
  const named = field.meta.options ? sources[field.meta.options] : undefined;
  return named ?? (field.values ?? []).map((value) => ({ value, label: word(value) }));
}
