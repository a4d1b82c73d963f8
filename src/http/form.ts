/** Reading a posted form: its bytes, its fields once each, and their shape. */

import type { Context } from 'koa';
import readBody from 'raw-body';
import type { z } from 'zod';

/** The fields, or for each wrong one (or `form` for the whole) the key of its message; `values` fill the form again. */
export type Form<Values> =
  | { state: 'read'; values: Values }
  | { state: 'refused'; errors: Record<string, string>; values: Record<string, string> };

const largest = 32 * 1024;
const most_fields = 100;
const longest_refill = 500;

/** What a page never shows again, nor keeps in its history. */
const secret_fields = /password|secret|token|code|captcha|xsrf/;

/**
 * Reads an urlencoded form against a schema of string fields, whose messages are message keys. Fields that the schema does
 * not know are left out.
 * @throws HttpError 415 for another type or encoding, 413 above 32 KB or 100 fields, 400 when the body breaks off
 */
export async function readForm<Shape extends z.ZodRawShape>(
  ctx: Pick<Context, 'req' | 'request' | 'throw' | 'set'>,
  schema: z.ZodObject<Shape>,
): Promise<Form<z.output<z.ZodObject<Shape>>>> {
  const text = await readText(ctx);
  const pairs = text === undefined ? [] : text.split('&').filter((pair) => pair !== '');
  if (pairs.length > most_fields) ctx.throw(413);
  const errors = new Map<string, string>();
  if (text === undefined) errors.set('form', 'errors.field.unreadable');
  const fields = new Map<string, string>();
  for (const pair of pairs) {
    const at = pair.indexOf('=');
    const name = decode(at < 0 ? pair : pair.slice(0, at));
    if (name === undefined) errors.set('form', 'errors.field.unreadable');
    if (name === undefined || !Object.hasOwn(schema.shape, name)) continue;
    const value = decode(at < 0 ? '' : pair.slice(at + 1));
    // Which of two would count is a question that proxies, logs and we would answer differently (HTTP parameter pollution).
    if (fields.has(name)) errors.set(name, 'errors.field.repeated');
    else if (value === undefined) errors.set(name, 'errors.field.unreadable');
    fields.set(name, value ?? '');
  }
  const read = schema.safeParse(Object.fromEntries(fields));
  if (read.success && errors.size === 0) return { state: 'read', values: read.data };
  for (const issue of read.error?.issues ?? []) {
    const field = String(issue.path[0] ?? 'form');
    if (!errors.has(field)) errors.set(field, fields.has(field) ? issueKey(issue.message) : 'errors.field.required');
  }
  const refill = [...fields].filter(([name]) => !secret_fields.test(name));
  return {
    state: 'refused',
    errors: Object.fromEntries(errors),
    values: Object.fromEntries(refill.map(([name, value]) => [name, value.slice(0, longest_refill)])),
  };
}

async function readText(ctx: Pick<Context, 'req' | 'request' | 'throw' | 'set'>): Promise<string | undefined> {
  const { headers } = ctx.req;
  if (!ctx.request.is('application/x-www-form-urlencoded')) ctx.throw(415);
  if (headers['content-encoding'] && headers['content-encoding'] !== 'identity') ctx.throw(415);
  const length = headers['content-length'];
  try {
    const bytes = await readBody(ctx.req, { limit: largest, ...(length === undefined ? {} : { length }) });
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    const { status } = error as { status?: unknown };
    if (typeof status !== 'number') return undefined;
    // What is left of the body stays unread, so the connection cannot serve another request.
    ctx.set('connection', 'close');
    return ctx.throw(status === 413 ? 413 : 400);
  }
}

// C0 controls have no place in a field but tab and line ends; a NUL would not fit into PostgreSQL.
// biome-ignore lint/suspicious/noControlCharactersInRegex: controls are what is looked for
const controls = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/;

function decode(text: string): string | undefined {
  try {
    const value = decodeURIComponent(text.replaceAll('+', ' '));
    return controls.test(value) ? undefined : value;
  } catch {
    return undefined;
  }
}

// A message that is no key is zod's own English sentence, which nobody should read.
function issueKey(message: string): string {
  return /^[a-z_]+(\.[a-z_]+)+$/.test(message) ? message : 'errors.field.invalid';
}
