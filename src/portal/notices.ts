/** Where applications push their notices (RFC 8935): the one address here that a machine and not a person opens. */

import type Router from '@koa/router';
import type { Context } from 'koa';
import readBody from 'raw-body';
import { type NoticeStore, receiveNotice } from '../links/notices.ts';

const largest_notice = 16_384;

/** Serves POST /links/notices/:application; 202 when a notice was taken, also one that was taken before. */
export function mountNotices(router: Router, store: NoticeStore): void {
  router.post('/links/notices/:application', async (ctx) => {
    if (!ctx.request.is('application/secevent+jwt')) return answer(ctx, 400, 'invalid_request');
    const token = await readToken(ctx);
    if (token === undefined) return answer(ctx, 400, 'invalid_request');
    const outcome = await receiveNotice(store, String(ctx.params.application), token);
    if (outcome.state === 'refused') return answer(ctx, 400, outcome.err);
    if (outcome.state === 'unavailable') {
      ctx.set('Retry-After', '60');
      return answer(ctx, 503, 'unavailable');
    }
    ctx.status = 202;
    ctx.body = null;
    ctx.status = 202;
  });
}

async function readToken(ctx: Context): Promise<string | undefined> {
  try {
    return await readBody(ctx.req, { limit: largest_notice, encoding: 'utf8' });
  } catch {
    ctx.set('connection', 'close');
    return undefined;
  }
}

function answer(ctx: Context, status: number, err: string): void {
  ctx.status = status;
  ctx.body = { err };
}
