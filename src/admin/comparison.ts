/** What an operation would change: its form held against how the entry stands. */

import type { z } from 'zod';
import { type Field, listFields } from './fields.ts';
import type { Desk, Entry, Operation } from './resource.ts';

export interface FieldChange {
  field: Field;
  from: unknown;
  to: unknown;
}

/** How an entry stands, in the fields of the form; undefined for an operation that is told without it. */
export async function readBefore(
  desk: Desk,
  operation: Operation,
  entry: Entry | undefined,
): Promise<Record<string, unknown> | undefined> {
  const is_change = operation.kind === 'change' || operation.tells_changes;
  return is_change ? operation.begin?.(desk, entry, {}) : undefined;
}

/** What differs; without a `before`, all that is filled. */
export function listChanges(
  schema: z.ZodObject,
  before: Record<string, unknown> | undefined,
  after: Record<string, unknown>,
): FieldChange[] {
  return listFields(schema)
    .map((field) => ({ field, from: before?.[field.name] ?? null, to: after[field.name] ?? null }))
    .filter(({ from, to }) => (before ? JSON.stringify(from) !== JSON.stringify(to) : isFilled(to)));
}

/** What changed from what to what, as the audit keeps it; of personal and secret fields only that they did. */
export function compare(schema: z.ZodObject, before: Record<string, unknown>, after: Record<string, unknown>) {
  const changes: Record<string, { from: unknown; to: unknown } | null> = {};
  for (const { field, from, to } of listChanges(schema, before, after)) {
    const { personal, secret } = field.meta;
    changes[field.name] = personal || secret ? null : { from: shorten(from), to: shorten(to) };
  }
  return changes;
}

export function isFilled(value: unknown): boolean {
  return value !== null && value !== undefined && value !== '' && !(Array.isArray(value) && value.length === 0);
}

function shorten(value: unknown): unknown {
  const text = JSON.stringify(value);
  return text.length <= 1000 ? value : `${text.slice(0, 1000)}…`;
}
