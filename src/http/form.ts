/** Reading a posted form: its bytes, its fields once each, and their shape. */

import busboy from 'busboy';
import type { Context } from 'koa';
import readBody from 'raw-body';
import type { z } from 'zod';

/** The fields, or for each wrong one (or `form` for the whole) the key of its message; `values` fill the form again. */
export type Form<Values> =
  | { state: 'read'; values: Values }
  | { state: 'refused'; errors: Record<string, string>; values: Record<string, string> };

type FormContext = Pick<Context, 'req' | 'request' | 'throw' | 'set'>;

const largest = 32 * 1024;
const most_fields = 100;
const longest_refill = 500;

/** What a page never shows again, nor keeps in its history. */
const secret_fields = /password|secret|token|code|captcha|xsrf/;

/** What was sent under each name, in the order it was sent; `is_broken` when a part of it is no text. */
export interface Fields {
  fields: Map<string, string[]>;
  /** Names whose value is no text; `form` where a name is none, or the whole is unreadable. */
  broken: Set<string>;
}

/**
 * Reads an urlencoded form as it was sent; for forms whose fields are known only when they are drawn.
 * @throws HttpError 415 for another type or encoding, 413 above `limit` bytes or 100 fields, 400 when the body breaks off
 */
export async function readFields(ctx: FormContext, limit = largest): Promise<Fields> {
  const text = await readText(ctx, limit);
  const pairs = text === undefined ? [] : text.split('&').filter((pair) => pair !== '');
  if (pairs.length > most_fields) ctx.throw(413);
  const broken = new Set<string>(text === undefined ? ['form'] : []);
  const fields = new Map<string, string[]>();
  for (const pair of pairs) {
    const at = pair.indexOf('=');
    const name = decode(at < 0 ? pair : pair.slice(0, at));
    if (name === undefined) {
      broken.add('form');
      continue;
    }
    const value = decode(at < 0 ? '' : pair.slice(at + 1));
    if (value === undefined) broken.add(name);
    fields.set(name, [...(fields.get(name) ?? []), value ?? '']);
  }
  return { fields, broken };
}

/** One file, and a little more than the largest thing that anybody has to send here. */
const upload_limits = { files: 1, fileSize: 200 * 1024, fields: most_fields, fieldSize: largest };
const longest_name = 100;
/** Of the whole, with what stands around the fields. */
const most_uploaded = 512 * 1024;

/**
 * Reads a form with a file (multipart, RFC 7578) as `readFields` reads one without; the file's bytes come as base64, and its
 * name and type, which say nothing that could be trusted, not at all.
 * @throws HttpError 415 for another type or encoding, 413 above the limits; what cannot be read is `broken`
 */
export async function readUpload(ctx: FormContext): Promise<Fields> {
  if (!ctx.request.is('multipart/form-data')) ctx.throw(415);
  if (Number(ctx.req.headers['content-length'] ?? 0) > most_uploaded) refuseRest(ctx);
  const fields = new Map<string, string[]>();
  const broken = new Set<string>();
  let is_too_much = false;
  const tooMuch = () => {
    is_too_much = true;
  };
  const keep = (name: string, value: string | undefined) => {
    if (name.length > longest_name) tooMuch();
    if (controls.test(name)) broken.add('form');
    else if (value === undefined) broken.add(name);
    fields.set(name, [...(fields.get(name) ?? []), value ?? '']);
  };
  await new Promise<void>((resolve) => {
    const fail = () => {
      broken.add('form');
      resolve();
    };
    const parser = openParser(ctx.req);
    if (!parser) return fail();
    parser.on('field', (name, value, { valueTruncated }) => {
      if (valueTruncated) tooMuch();
      // What was no UTF-8 was read as this sign.
      keep(name ?? '', controls.test(value) || value.includes('\ufffd') ? undefined : value);
    });
    parser.on('file', (name, file) => {
      const chunks: Buffer[] = [];
      file.on('data', (chunk: Buffer) => chunks.push(chunk));
      file.on('limit', tooMuch);
      file.on('error', fail);
      file.on('end', () => keep(name ?? '', Buffer.concat(chunks).toString('base64')));
    });
    parser.on('filesLimit', tooMuch);
    parser.on('fieldsLimit', tooMuch);
    parser.on('error', fail);
    parser.on('close', resolve);
    let sent = 0;
    ctx.req.on('data', (chunk: Buffer) => {
      sent += chunk.length;
      if (sent <= most_uploaded) return;
      tooMuch();
      resolve();
    });
    ctx.req.on('aborted', fail);
    ctx.req.on('error', fail);
    ctx.req.pipe(parser);
  });
  if (is_too_much) refuseRest(ctx);
  return { fields, broken };
}

function openParser(req: FormContext['req']): ReturnType<typeof busboy> | undefined {
  try {
    return busboy({ headers: req.headers, limits: upload_limits });
  } catch {
    // A boundary that is none.
    return undefined;
  }
}

/** What is left of the body stays unread, so the connection cannot serve another request. */
function refuseRest(ctx: FormContext): never {
  ctx.req.unpipe();
  ctx.req.resume();
  ctx.set('connection', 'close');
  return ctx.throw(413);
}

/**
 * Reads an urlencoded form against a schema of string fields, whose messages are message keys. Fields that the schema does
 * not know are left out.
 * @throws HttpError as `readFields`
 */
export async function readForm<Shape extends z.ZodRawShape>(
  ctx: FormContext,
  schema: z.ZodObject<Shape>,
): Promise<Form<z.output<z.ZodObject<Shape>>>> {
  const sent = await readFields(ctx);
  const errors = new Map<string, string>();
  if (sent.broken.has('form')) errors.set('form', 'errors.field.unreadable');
  const fields = new Map<string, string>();
  for (const [name, values] of sent.fields) {
    if (!Object.hasOwn(schema.shape, name)) continue;
    // Which of two would count is a question that proxies, logs and we would answer differently (HTTP parameter pollution).
    if (values.length > 1) errors.set(name, 'errors.field.repeated');
    else if (sent.broken.has(name)) errors.set(name, 'errors.field.unreadable');
    fields.set(name, values.at(-1) ?? '');
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

async function readText(ctx: FormContext, limit: number): Promise<string | undefined> {
  const { headers } = ctx.req;
  if (!ctx.request.is('application/x-www-form-urlencoded')) ctx.throw(415);
  if (headers['content-encoding'] && headers['content-encoding'] !== 'identity') ctx.throw(415);
  const length = headers['content-length'];
  try {
    const bytes = await readBody(ctx.req, { limit, ...(length === undefined ? {} : { length }) });
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
