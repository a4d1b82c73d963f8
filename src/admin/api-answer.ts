/** The words of the interface for programs: JSON bodies read, problem documents (RFC 9457), and the answer to an operation. */

import type { Context } from 'koa';
import readBody from 'raw-body';
import type { KeptAnswer } from './idempotency.ts';
import { tellEntry } from './listing.ts';
import type { Carried, Order } from './operation.ts';
import type { Desk, Entry, Said } from './resource.ts';
import { say, wordOf } from './words.ts';

const largest_body = 256 * 1024;

/**
 * Reads a JSON object (`application/json` or `application/merge-patch+json`). No body is an empty object, for operations that
 * ask nothing.
 */
export async function readJson(
  ctx: Context,
): Promise<{ state: 'read'; value: Record<string, unknown> } | { state: 'refused'; status: number; code: string }> {
  const refuse = (status: number, code: string) => ({ state: 'refused' as const, status, code });
  const { headers } = ctx.req;
  if (headers['content-encoding'] && headers['content-encoding'] !== 'identity')
    return refuse(415, 'unsupported_encoding');
  let text: string;
  try {
    const bytes = await readBody(ctx.req, { limit: largest_body });
    if (bytes.length === 0) return { state: 'read', value: {} };
    if (!ctx.request.is('application/json', 'application/merge-patch+json')) return refuse(415, 'unsupported_type');
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    ctx.set('connection', 'close');
    return refuse(
      (error as { status?: number }).status === 413 ? 413 : 400,
      (error as { status?: number }).status === 413 ? 'too_large' : 'unreadable',
    );
  }
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return refuse(400, 'not_an_object');
    if (!isKeepable(value)) return refuse(400, 'unreadable');
    return { state: 'read', value: value as Record<string, unknown> };
  } catch {
    return refuse(400, 'not_json');
  }
}

const deepest = 20;

// PostgreSQL keeps no NUL in text and no half of a pair in JSON, and what is nested without end ends every stack.
function isKeepable(value: unknown, depth = 0): boolean {
  if (typeof value === 'string') return !value.includes('\0') && value.isWellFormed();
  if (typeof value !== 'object' || value === null) return true;
  return (
    depth < deepest &&
    Object.entries(value)
      .flat()
      .every((part) => isKeepable(part, depth + 1))
  );
}

/** A problem document's text. `code` is stable; `errors` are by field, in the words of the reader and as their keys. */
export function writeProblem(
  ctx: Context,
  status: number,
  code: string,
  more: { errors?: Record<string, Said>; [name: string]: unknown } = {},
): string {
  const { errors, ...rest } = more;
  const title = wordOf(ctx, `admin.api.problem_${code}`) ?? ctx.state.t('admin.api.problem');
  return JSON.stringify({
    type: 'about:blank',
    title,
    status,
    code,
    request_id: ctx.state.request_id,
    ...rest,
    ...(errors
      ? {
          errors: Object.entries(errors).map(([field, said]) => ({
            field,
            code: typeof said === 'string' ? said : said.key,
            detail: say(ctx, said),
          })),
        }
      : {}),
  });
}

/** Answers a problem. */
export function problem(ctx: Context, status: number, code: string, more?: Parameters<typeof writeProblem>[3]): void {
  ctx.status = status;
  ctx.body = writeProblem(ctx, status, code, more);
  ctx.type = 'application/problem+json';
}

/** The answer to an operation, as it is given and, under an `Idempotency-Key`, kept. */
export function answerCarried(
  ctx: Context,
  desk: Desk,
  { resource, operation }: Pick<Order, 'resource' | 'operation'>,
  carried: Carried | { state: 'mismatch' | 'version_missing' },
  now?: Entry,
): KeptAnswer {
  const refuse = (
    status: number,
    code: string,
    more?: Parameters<typeof writeProblem>[3],
    headers = {},
  ): KeptAnswer => ({
    status,
    headers: { 'content-type': 'application/problem+json', ...headers },
    body: writeProblem(ctx, status, code, more),
  });
  const address = (id: string) => `${desk.config.url}/api/v1/${resource.name}/${encodeURIComponent(id)}`;
  switch (carried.state) {
    case 'done': {
      if (operation.kind === 'remove' || (!now && !carried.shown_once)) return { status: 204, headers: {}, body: '' };
      const is_new = operation.kind === 'create';
      return {
        status: is_new ? 201 : 200,
        headers: {
          'content-type': 'application/json; charset=utf-8',
          ...(now?.version === undefined ? {} : { etag: `"${now.version}"` }),
          ...(is_new ? { location: address(carried.id) } : {}),
        },
        body: JSON.stringify({
          ...(now ? tellEntry(resource, now) : { id: carried.id }),
          ...(carried.shown_once ? { shown_once: carried.shown_once } : {}),
        }),
      };
    }
    case 'waiting':
      return {
        status: 202,
        headers: {
          'content-type': 'application/json; charset=utf-8',
          location: `${desk.config.url}/api/v1/approvals/${carried.approval_id}`,
        },
        body: JSON.stringify({ state: 'waiting', approval_id: carried.approval_id }),
      };
    case 'refused':
      return refuse(422, 'invalid_input', { errors: carried.errors });
    case 'conflict':
      return refuse(
        412,
        'version_conflict',
        { current: tellEntry(resource, carried.entry) },
        carried.entry.version === undefined ? {} : { etag: `"${carried.entry.version}"` },
      );
    case 'inapplicable':
      return refuse(409, 'not_applicable', { current: tellEntry(resource, carried.entry) });
    case 'stale_sign_in':
      // RFC 9470: the client asks the person to sign in again.
      return refuse(
        401,
        'recent_sign_in_needed',
        {},
        { 'www-authenticate': `Bearer error="insufficient_user_authentication", max_age="${carried.max_age}"` },
      );
    case 'version_missing':
      return refuse(428, 'version_missing');
    case 'mismatch':
      return refuse(422, 'idempotency_key_reused');
    case 'forbidden':
      return refuse(403, 'out_of_reach');
    case 'not_found':
      return refuse(404, 'not_found');
  }
}
