/** Stylesheet, script and mark, answered from memory and compressed when first asked for; what crawlers and old browsers ask for by name. */

import { promisify } from 'node:util';
import { brotliCompress, gzip } from 'node:zlib';
import { type Asset, assets } from '../views.ts';
import type { Middleware } from './guard.ts';

interface Stored {
  type: string;
  plain: Buffer;
  /** In that encoding; one work for all who ask. */
  encoded: (encoding: 'br' | 'gzip') => Promise<Buffer>;
}

const for_ever = 'public, max-age=31536000, immutable';
const for_a_day = 'public, max-age=86400';

/**
 * Answers `/assets/…`, `/favicon.ico` and `/robots.txt`. An address with another hash is not found: an older or invented one
 * must not give today's file, to be kept under that name for ever.
 */
export function serveAssets(): Middleware {
  const stored = new Map([...assets.values()].map((asset) => [asset.url, store(asset)]));
  const mark = assets.get('mark.svg');
  const robots = store({ type: 'text/plain; charset=utf-8', body: Buffer.from('User-agent: *\nDisallow: /\n') });
  const by_name = new Map([
    ['/favicon.ico', mark && store(mark)],
    ['/robots.txt', robots],
  ]);
  return async (ctx, next) => {
    const named = by_name.get(ctx.path);
    const found = named ?? stored.get(ctx.path);
    if (!found) return next();
    if (ctx.method !== 'GET' && ctx.method !== 'HEAD') ctx.throw(405, { headers: { allow: 'GET, HEAD' } });
    // Asked one by one: asked together, a browser's own order (gzip first) would win over the smaller of the two.
    const encoding = (['br', 'gzip'] as const).find((name) => ctx.acceptsEncodings(name) === name);
    ctx.vary('accept-encoding');
    ctx.set('cache-control', named ? for_a_day : for_ever);
    ctx.set('x-content-type-options', 'nosniff');
    ctx.type = found.type;
    if (encoding) ctx.set('content-encoding', encoding);
    ctx.body = encoding ? await found.encoded(encoding) : found.plain;
  };
}

// Best compression takes a good part of a second for all of them together: a node that starts does not wait for it.
function store({ type, body }: Pick<Asset, 'type' | 'body'>): Stored {
  const done = new Map<string, Promise<Buffer>>();
  const compress = { br: () => promisify(brotliCompress)(body), gzip: () => promisify(gzip)(body, { level: 9 }) };
  return {
    type,
    plain: body,
    encoded(encoding) {
      const work = done.get(encoding) ?? compress[encoding]();
      done.set(encoding, work);
      return work;
    },
  };
}
