/** What a person sees when the engine refuses a request and there is no application to tell. */

import type { Context } from 'koa';
import { refuse } from '../../http/errors.ts';
import type { RequestContext } from '../../http/guard.ts';
import { followUiLocales } from '../../http/language.ts';
import type { Engine } from '../../prompts/prompt.ts';
import { type Client, describeClient } from '../clients/clients.ts';

/** A person's page for what went wrong in the engine: known errors get words of their own, everything has a way on. */
export async function showEngineError(
  ctx: Context,
  error: Error & { statusCode?: number; error_detail?: string },
  prompts: Engine,
): Promise<void> {
  const { oidc } = ctx as unknown as { oidc?: { client?: Client } };
  const status = error.statusCode ?? 500;
  // Ours to explain: a bug, or a lost dependency. The app's own error page does, with the request's id.
  if (status >= 500) throw error;
  followUiLocales(ctx, ctx.query.ui_locales);
  // Sent again from another tab, or after going back: asked anew, or told that nobody is signed in any more.
  if (ctx.path === '/session/end/confirm' && error.name === 'InvalidRequest') {
    ctx.status = 303;
    ctx.redirect('/connect/session/end');
    return;
  }
  const known = ['SessionNotFound', 'InvalidClient', 'InvalidRedirectUri', 'InvalidRequestUri', 'AccessDenied'];
  // An application's request to sign out that cannot be believed: the person may still want to.
  const is_sign_out = ctx.path === '/session/end';
  const key = is_sign_out ? 'sign_out' : known.includes(error.name) ? error.name : 'other';
  // Resumed too late or twice: the interaction is gone, but not whose it was.
  const [, uid] = /^\/auth\/([\w-]+)$/.exec(ctx.path) ?? [];
  const past = uid && !oidc?.client ? await prompts.findPast(uid) : undefined;
  const described = oidc?.client
    ? describeClient(oidc.client, ctx.state.language)
    : past && (await prompts.findClient(past.client_id, ctx.state.language));
  const back = described?.way_back
    ? [{ href: described.way_back, label: ctx.state.t('words.back_to', { client: described.asking.name }) }]
    : [];
  ctx.state.log.info({ error: error.name, detail: error.error_detail }, 'refused by the engine');
  refuse(
    ctx as unknown as RequestContext,
    status,
    key,
    { title: `errors.engine.${key}.title`, text: `errors.engine.${key}.text` },
    {
      ways: [
        ...(is_sign_out ? [{ href: '/connect/session/end', label: ctx.state.t('words.sign_out') }] : []),
        ...back,
        { href: '/portal', label: ctx.state.t(is_sign_out ? 'words.to_portal' : 'words.sign_in') },
        { href: '/', label: ctx.state.t('words.to_start') },
      ],
    },
  );
}
