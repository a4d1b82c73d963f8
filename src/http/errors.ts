/** What a person or a program sees when there is no answer: pages and problem documents for every failing status. */

import { isNativeError } from 'node:util/types';
import type { Config } from '../config.ts';
import { isDatabaseGone } from '../database.ts';
import { translator } from '../i18n/messages.ts';
import { page } from '../views.ts';
import type { Middleware, RequestContext } from './guard.ts';

/** A way on from a page that says no: an address and the words on it (already translated). */
export interface Way {
  href: string;
  label: string;
}

/** The keys of a page's words, and what `{…}` in them stands for. */
export interface Words {
  title: string;
  text: string;
  values?: Record<string, string | number>;
}

const words = {
  bad_request: { title: 'errors.bad_request.title', text: 'errors.bad_request.text' },
  forbidden: { title: 'errors.forbidden.title', text: 'errors.forbidden.text' },
  cross_site: { title: 'errors.cross_site.title', text: 'errors.cross_site.text' },
  not_found: { title: 'errors.not_found.title', text: 'errors.not_found.text' },
  method_not_allowed: { title: 'errors.method_not_allowed.title', text: 'errors.method_not_allowed.text' },
  too_large: { title: 'errors.too_large.title', text: 'errors.too_large.text' },
  address_too_long: { title: 'errors.address_too_long.title', text: 'errors.address_too_long.text' },
  unsupported_type: { title: 'errors.unsupported_type.title', text: 'errors.unsupported_type.text' },
  wrong_host: { title: 'errors.wrong_host.title', text: 'errors.wrong_host.text' },
  too_many: { title: 'errors.too_many.title', text: 'errors.too_many.text' },
  busy: { title: 'errors.busy.title', text: 'errors.busy.text' },
  unavailable: { title: 'errors.unavailable.title', text: 'errors.unavailable.text' },
  failure: { title: 'errors.failure.title', text: 'errors.failure.text' },
} as const satisfies Record<string, Words>;

type Code = keyof typeof words;

const codes: Record<number, Code> = {
  403: 'forbidden',
  404: 'not_found',
  405: 'method_not_allowed',
  413: 'too_large',
  414: 'address_too_long',
  415: 'unsupported_type',
  421: 'wrong_host',
  429: 'too_many',
};

interface Failure {
  status: number;
  code: string;
  words: Words;
  ways: Way[];
  /** A failure of ours, or of what we depend on: it is logged. */
  is_ours?: boolean;
  retry_after?: number;
}

/**
 * Answers a page (or a problem document) that says no; for what the surface itself decides.
 * @param code stable word for programs
 * @param ways where to go on; without any, home
 */
export function refuse(
  ctx: RequestContext,
  status: number,
  code: string,
  said: Words,
  { ways = [], retry_after }: { ways?: Way[]; retry_after?: number } = {},
): void {
  answer(ctx, { status, code, words: said, ways, ...(retry_after === undefined ? {} : { retry_after }) });
}

/**
 * The outermost step after the headers: turns whatever is thrown, and every answer without a body, into words. Thrown is only
 * a bug or a lost dependency; it is logged once, without the values that a database error carries.
 */
export function catchErrors(config: Config): Middleware {
  return async (ctx, next) => {
    const ways = (again: boolean): Way[] => [
      ...wayBack(ctx, config),
      // Absolute, since a path of two slashes would name another host.
      ...(again && ctx.method === 'GET'
        ? [{ href: `${config.url}${ctx.path}${ctx.search}`, label: ctx.state.t('errors.way.again') }]
        : []),
      { href: `${config.url}/`, label: ctx.state.t('errors.way.home') },
    ];
    try {
      await next();
    } catch (error) {
      const failure = judge(error, config);
      if (failure.is_ours)
        ctx.state.log.error({ error: describeError(error), status: failure.status }, 'request failed');
      if (ctx.headerSent || !ctx.writable) {
        ctx.res.destroy();
        return;
      }
      const { allow } = (error as { headers?: { allow?: string } } | undefined)?.headers ?? {};
      for (const name of ['content-length', 'content-encoding', 'etag', 'last-modified', 'location', 'set-cookie']) {
        ctx.remove(name);
      }
      if (allow) ctx.set('allow', allow);
      answer(ctx, { ...failure, ways: ways(failure.status >= 500) });
      return;
    }
    if (ctx.respond === false || ctx.body != null || ctx.headerSent) return;
    const { status } = ctx;
    if (status < 400) return;
    const code = codes[status] ?? (status >= 500 ? 'failure' : 'bad_request');
    answer(ctx, { status, code, words: words[code], ways: ways(false) });
  };
}

/** Within the console a page that says no leads back to the list it belongs to; a form that was too large, to that form. */
function wayBack(ctx: RequestContext, { url }: Config): Way[] {
  const { t } = ctx.state;
  const [, place] = /^(\/admin\/[a-z-]{2,40})(\/|$)/.exec(ctx.path) ?? [];
  if (!place) return [];
  const form = ctx.method === 'POST' ? [{ href: `${url}${ctx.path}`, label: t('errors.way.form') }] : [];
  return [...form, { href: `${url}${place}`, label: t('errors.way.list') }];
}

function judge(error: unknown, config: Config): Failure {
  const { status, expose, code, retry_after } = (error ?? {}) as Record<string, unknown>;
  const say = (number: number, said: Code, more: Partial<Failure> = {}): Failure => {
    return { status: number, code: said, words: words[said], ways: [], ...more };
  };
  if (typeof retry_after === 'number') return say(503, 'busy', { retry_after });
  if (isNativeError(error) && isDatabaseGone(error)) return say(503, 'unavailable', { retry_after: 5, is_ours: true });
  if (typeof status === 'number' && expose === true && status >= 400 && status < 500) {
    if (status === 421)
      return say(421, 'wrong_host', { words: { ...words.wrong_host, values: { address: config.url } } });
    return say(status, status === 403 && code === 'cross_site' ? 'cross_site' : (codes[status] ?? 'bad_request'));
  }
  return say(500, 'failure', { is_ours: true });
}

/** An error for the log; also the logger's serializer. pg's errors carry the row in question, which stays out. */
export function describeError(error: unknown): Record<string, unknown> {
  if (!isNativeError(error)) return { message: `thrown: ${typeof error}` };
  const { name, message, stack, cause } = error;
  const { code } = error as { code?: unknown };
  return { type: name, message, stack, code, ...(isNativeError(cause) ? { cause: describeError(cause) } : {}) };
}

function answer(ctx: RequestContext, failure: Failure): void {
  const { status, retry_after } = failure;
  const { request_id } = ctx.state;
  // Programs name their language with each request; people chose theirs, and it is settled by now.
  const named = ctx.path.startsWith('/api/') && ctx.get('accept-language') ? ctx.acceptsLanguages('id', 'en') : false;
  const t = named === 'id' || named === 'en' ? translator(named) : ctx.state.t;
  const title = t(failure.words.title, failure.words.values);
  const text = t(failure.words.text, failure.words.values);
  ctx.status = status;
  ctx.set('cache-control', 'no-store');
  if (retry_after !== undefined) ctx.set('retry-after', String(retry_after));
  if (ctx.path.startsWith('/api/') || ctx.accepts('html', 'json') === 'json') {
    ctx.body = JSON.stringify({ type: 'about:blank', title, status, detail: text, code: failure.code, request_id });
    ctx.type = 'application/problem+json';
    return;
  }
  const ways = failure.ways.length > 0 ? failure.ways : [{ href: '/', label: t('errors.way.home') }];
  try {
    page(ctx, 'errors/page', {
      status,
      title,
      text,
      ways,
      // By which the log says more, to whomever the person turns.
      request_id,
      ...(retry_after === undefined ? {} : { retry_after }),
    });
  } catch (error) {
    ctx.state.log.error({ error: describeError(error) }, 'the error page failed');
    ctx.body = `${title}\n\n${text}\n\n${request_id}\n`;
    ctx.type = 'text/plain; charset=utf-8';
  }
  // A body sets the status to 200 where none was chosen explicitly.
  ctx.status = status;
}
