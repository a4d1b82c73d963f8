/** An error that an application nobody has checked would get before the person has done anything: they are asked first. */

import type { Context } from 'koa';
import type { KoaContextWithOIDC, Provider } from 'oidc-provider';
import { followUiLocales } from '../../http/language.ts';
import { page } from '../../views.ts';
import { describeClient } from '../clients/clients.ts';
import { readForwardForm } from './forward-page.ts';

/** By request: the error that is on its way to the application. */
const refused = new WeakMap<object, string>();

/** Notes which answers are errors. */
export function noteRefusals(provider: Provider): void {
  provider.on('authorization.error', (ctx, error) => {
    refused.set(ctx.req, error.message);
  });
}

/**
 * Whoever registers a client of their own could lead people to any address by way of ours, with nothing but a request that
 * fails (RFC 9700 section 4.11.2). So the page names the client and where it leads, and the person goes there or not. An
 * application that asks without anybody looking (prompt=none) gets its answer at once, as the standard wants.
 * @returns whether the page stands in the answer's place
 */
export function holdError(ctx: Context): boolean {
  const { oidc } = ctx as unknown as Partial<KoaContextWithOIDC>;
  const error = refused.get(ctx.req);
  if (!error || oidc?.route !== 'authorization' || oidc.client?.origin !== 'dynamic') return false;
  const { prompt, redirect_uri, ui_locales } = oidc.params ?? ctx.query;
  if (typeof prompt === 'string' && prompt.split(' ').includes('none')) return false;
  const location = ctx.response.get('location');
  const form = readForwardForm(ctx);
  // Neither: it is a page already.
  if (!location && !form) return false;
  const address = URL.parse(String(location || redirect_uri));
  // A trial at the console comes back to us (trial.ts); no client can register an address of ours.
  if (address?.origin === new URL(oidc.provider.issuer).origin) return false;
  followUiLocales(ctx, ui_locales);
  const { asking } = describeClient(oidc.client, ctx.state.language);
  ctx.remove('location');
  page(ctx, 'oidc/held', {
    client: asking,
    host: address?.host || (address?.protocol ?? ''),
    error,
    request_id: ctx.state.request_id,
    ...(form ? { form } : { href: location }),
  });
  ctx.status = 400;
  return true;
}
