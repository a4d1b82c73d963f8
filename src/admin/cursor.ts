/** Cursors: where a page of a list ended, as it goes out in an address and comes back in one. */

import { z } from 'zod';
import type { SortType } from './resource.ts';

/** The place between two entries: the sort value and id of one of them, and which way to go from there. */
export interface Cursor {
  value: string;
  id: string;
  is_backward: boolean;
}

const shapes: Record<SortType, RegExp> = {
  // PostgreSQL keeps no NUL in text.
  text: /^[^\0]{0,1000}$/,
  integer: /^-?\d{1,9}$/,
  bigint: /^-?\d{1,18}$/,
  timestamptz: /^[1-9]\d{3}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?[+-](0\d|1[0-4])(:[0-5]\d)?$/,
};
const moments = z.iso.datetime({ offset: true });

// PostgreSQL fails over a thirtieth of February.
function isOfType(value: string, type: SortType): boolean {
  if (!shapes[type].test(value)) return false;
  if (type !== 'timestamptz') return true;
  return moments.safeParse(value.replace(' ', 'T').replace(/([+-]\d\d)$/, '$1:00')).success;
}

/** A cursor as it stands in an address. */
export function writeCursor(
  { cursor_value, id }: { cursor_value: string; id: string },
  order: string,
  is_backward: boolean,
): string {
  return Buffer.from(JSON.stringify([cursor_value, id, order, is_backward ? 1 : 0])).toString('base64url');
}

/** Reads a cursor. It comes back from outside, so every part of it is read as strictly as a form's field. */
export function readCursor(text: string, order: string, type: SortType, id_shape: RegExp): Cursor | undefined {
  if (!/^[\w-]{8,6000}$/.test(text)) return undefined;
  try {
    const [value, id, made_for, backward, ...more] = JSON.parse(
      Buffer.from(text, 'base64url').toString('utf8'),
    ) as unknown[];
    if (typeof value !== 'string' || typeof id !== 'string' || made_for !== order || more.length > 0) return undefined;
    if (!isOfType(value, type) || !id_shape.test(id) || (backward !== 0 && backward !== 1)) return undefined;
    return { value, id, is_backward: backward === 1 };
  } catch {
    return undefined;
  }
}
