/** Sign-out of a relying application: the person's own, and the one that Gapura sends. */

import * as oidc from 'openid-client';
import { leadTo, type SiteContext } from './context.ts';
import { readForm } from './form.ts';
import { LogoutTokenError, readLogoutToken } from './logout-token.ts';
import type { RelyingParty } from './relying-party.ts';
import { closeSession, receiveLogout } from './sessions.ts';
import { clearCookie, newToken, readCookie, setCookie } from './visitor.ts';

/** Where Gapura posts logout tokens; not a form of a page. */
export const backchannel_logout_path = '/backchannel-logout';

/** Adds /logout and /signed-out (OIDC RP-Initiated Logout 1.0) and the back-channel address (OIDC Back-Channel Logout 1.0). */
export function addLogout(party: RelyingParty): void {
  const { router } = party.ground;
  router.post('/logout', (ctx) => signOut(party, ctx));
  router.get('/signed-out', (ctx) => showSignedOut(party, ctx));
  router.post(backchannel_logout_path, (ctx) => receiveLogoutToken(party, ctx));
}

async function signOut(party: RelyingParty, ctx: SiteContext): Promise<void> {
  const { ground, cookies } = party;
  const visitor = await party.findVisitor(ctx);
  if (visitor.state !== 'signed_in') return leadTo(ctx, '/signed-out');
  await closeSession(ground.db, party.manner.name, visitor.session);
  clearCookie(ctx, cookies.session);
  const state = newToken();
  setCookie(ctx, cookies.sign_out, state, 3600);
  const provider = await party.findProvider().catch(() => undefined);
  if (!provider?.config.serverMetadata().end_session_endpoint) return leadTo(ctx, '/signed-out?because=unavailable');
  const address = oidc.buildEndSessionUrl(provider.config, {
    id_token_hint: visitor.session.id_token,
    post_logout_redirect_uri: `${party.options.url}/signed-out`,
    state,
  });
  leadTo(ctx, address.href);
}

async function showSignedOut(party: RelyingParty, ctx: SiteContext): Promise<void> {
  const { t } = ctx.state;
  const application = party.ground.title;
  const visitor = await party.findVisitor(ctx);
  if (visitor.state === 'signed_in') return leadTo(ctx, '/');
  const begun = readCookie(ctx, party.cookies.sign_out);
  const is_unavailable = begun !== undefined && ctx.query.because === 'unavailable';
  // Only a sign-out that began in this browser is confirmed: anyone can link to this address.
  const is_ours = is_unavailable || (begun !== undefined && ctx.query.state === begun);
  const is_ended = visitor.state === 'ended' || ctx.query.because === 'ended';
  party.ground.page(ctx, 'demo/relying-party/signed-out', {
    title:
      is_ours || is_ended ? t('demo.relying-party.signed-out.title') : t('demo.relying-party.signed-out.nobody_title'),
    text: is_ended
      ? t('demo.relying-party.signed-out.ended', { application })
      : is_ours
        ? t('demo.relying-party.signed-out.text', { application })
        : t('demo.relying-party.signed-out.nobody', { application }),
    gapura_href: is_unavailable ? `${party.options.gapura_url}/portal` : undefined,
    has_home: party.manner.has_public_home,
  });
}

async function receiveLogoutToken(party: RelyingParty, ctx: SiteContext): Promise<void> {
  const { issuer, client_id } = party.options;
  try {
    const form = await readForm(ctx).catch(() => undefined);
    const { keys } = await party.findProvider();
    const logout = await readLogoutToken(form?.get('logout_token') ?? '', { issuer, client_id, keys });
    const is_first = await receiveLogout(party.ground.db, party.manner.name, logout);
    if (!is_first) throw new LogoutTokenError('the jti was used before');
    ctx.status = 200;
    ctx.body = '';
  } catch (error) {
    // 503 for what is not the sender's fault, such as keys that cannot be read now: it may send again.
    const is_refused = error instanceof LogoutTokenError;
    ctx.status = is_refused ? 400 : 503;
    ctx.body = is_refused
      ? { error: 'invalid_request', error_description: error.message }
      : { error: 'temporarily_unavailable' };
  }
}
