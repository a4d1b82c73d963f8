/** Forms sent to a demonstration application: who may send them, and their fields. */

import getRawBody from 'raw-body';
import type { SiteContext } from './context.ts';

/**
 * A form sent from another site's page. Every browser names the sender of a POST in at least one of the two headers; a
 * program that sends neither has no visitor's cookie to abuse.
 */
export function isForeignPost(origin: string, ctx: SiteContext): boolean {
  if (ctx.method === 'GET' || ctx.method === 'HEAD') return false;
  const sender = ctx.get('origin');
  if (sender !== '') return sender !== origin;
  const relation = ctx.get('sec-fetch-site');
  return relation !== '' && relation !== 'same-origin' && relation !== 'none';
}

/** The fields of a sent form. Throws 415, 413 or 400 for what is not a small plain form. */
export async function readForm(ctx: SiteContext): Promise<URLSearchParams> {
  if (!ctx.is('application/x-www-form-urlencoded')) ctx.throw(415);
  const length = ctx.request.length;
  const text = await getRawBody(ctx.req, {
    limit: 20_000,
    encoding: 'utf8',
    ...(length === undefined ? {} : { length }),
  });
  const form = new URLSearchParams(text);
  // PostgreSQL has no NUL in a text, and no person types one.
  for (const value of form.values()) if (value.includes('\0')) ctx.throw(400);
  return form;
}
