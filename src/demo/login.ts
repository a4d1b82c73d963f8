/** Sign-in of a relying application: to Gapura and back, and the page for every way in which that can fail. */

import * as oidc from 'openid-client';
import { leadTo, type SiteContext } from './context.ts';
import { explainFailure, type Failure, failures, type Provider, readIdentity } from './gapura.ts';
import type { RelyingParty } from './relying-party.ts';
import {
  beginLogin,
  type Identity,
  type Login,
  login_seconds,
  openSession,
  session_seconds,
  spendLogin,
} from './sessions.ts';
import { newToken, readCookie, setCookie } from './visitor.ts';

const failure_status: Record<Failure, number> = { denied: 403, expired: 400, refused: 400, unavailable: 503 };

/** Adds /login, /callback and /login/failed: code flow with PKCE, state and nonce (OIDC Core 1.0 section 3.1). */
export function addLogin(party: RelyingParty): void {
  const { router } = party.ground;
  router.get('/login', (ctx) => startLogin(party, ctx));
  router.get('/callback', (ctx) => finishLogin(party, ctx));
  router.get('/login/failed', (ctx) => showFailure(party, ctx));
}

async function startLogin(party: RelyingParty, ctx: SiteContext): Promise<void> {
  const { ground, options, manner, cookies } = party;
  const provider = await party.findProvider().catch(() => undefined);
  if (!provider) return showUnavailable(party, ctx);
  const browser = readCookie(ctx, cookies.browser) ?? newToken();
  const login = {
    nonce: oidc.randomNonce(),
    code_verifier: oidc.randomPKCECodeVerifier(),
    return_to: manner.pages.find((path) => path === ctx.query.return_to) ?? manner.pages[0],
  };
  const state = await beginLogin(ground.db, manner.name, browser, login);
  const prompt = manner.prompts.find((value) => value === ctx.query.prompt);
  const address = oidc.buildAuthorizationUrl(provider.config, {
    redirect_uri: `${options.url}/callback`,
    scope: manner.scope,
    state,
    nonce: login.nonce,
    code_challenge: await oidc.calculatePKCECodeChallenge(login.code_verifier),
    code_challenge_method: 'S256',
    ui_locales: ctx.state.language,
    ...(prompt === undefined ? {} : { prompt }),
  });
  // One cookie for all tabs; each tab's sign-in is a row of its own.
  setCookie(ctx, cookies.browser, browser, login_seconds);
  leadTo(ctx, address.href);
}

async function finishLogin(party: RelyingParty, ctx: SiteContext): Promise<void> {
  const { db } = party.ground;
  const { manner, cookies } = party;
  const state = typeof ctx.query.state === 'string' ? ctx.query.state : '';
  const login = await spendLogin(db, manner.name, readCookie(ctx, cookies.browser) ?? '', state);
  if (!login) {
    // The back button or a reload leads here again after all went well.
    const visitor = await party.findVisitor(ctx);
    return visitor.state === 'signed_in' ? leadTo(ctx, manner.pages[0]) : fail(ctx, 'expired');
  }
  const outcome = await findIdentity(party, ctx, { ...login, state });
  if (outcome.state === 'failed') return fail(ctx, outcome.because);
  const id = await openSession(db, manner.name, outcome.identity, readCookie(ctx, cookies.session));
  if (id === undefined) return fail(ctx, 'expired');
  setCookie(ctx, cookies.session, id, session_seconds);
  leadTo(ctx, login.return_to);
}

type Outcome = { state: 'found'; identity: Identity } | { state: 'failed'; because: Failure };

async function findIdentity(party: RelyingParty, ctx: SiteContext, login: Login & { state: string }): Promise<Outcome> {
  let provider: Provider;
  try {
    provider = await party.findProvider();
  } catch {
    return { state: 'failed', because: 'unavailable' };
  }
  try {
    const address = new URL(party.options.url + ctx.path + ctx.search);
    return { state: 'found', identity: await readIdentity(provider, address, login) };
  } catch (error) {
    const because = explainFailure(error);
    if (because === 'refused') {
      const { message, error: code } = error as Error & { error?: string };
      console.error(`${party.ground.title}: sign-in refused: ${JSON.stringify(code ?? message)}`);
    }
    return { state: 'failed', because };
  }
}

/** To an address without code and state: it can be reloaded, kept, and read in another language. */
function fail(ctx: SiteContext, because: Failure): void {
  leadTo(ctx, `/login/failed?because=${because}`);
}

async function showFailure(party: RelyingParty, ctx: SiteContext): Promise<void> {
  const because = failures.find((failure) => failure === ctx.query.because);
  if (!because) return;
  const { t } = ctx.state;
  const visitor = await party.findVisitor(ctx);
  const text = {
    denied: t('demo.relying-party.failed.denied'),
    expired: t('demo.relying-party.failed.expired'),
    refused: t('demo.relying-party.failed.refused'),
    unavailable: t('demo.relying-party.failed.unavailable'),
  }[because];
  party.ground.page(ctx, 'demo/relying-party/failed', {
    title: t('demo.relying-party.failed.title'),
    text,
    has_home: party.manner.has_public_home || visitor.state === 'signed_in',
  });
  ctx.status = failure_status[because];
}

function showUnavailable(party: RelyingParty, ctx: SiteContext): void {
  const title = ctx.state.t('demo.relying-party.unavailable.title');
  party.ground.page(ctx, 'demo/relying-party/unavailable', {
    title,
    retry: ctx.url,
    has_home: party.manner.has_public_home,
  });
  ctx.status = 503;
  ctx.set('retry-after', '5');
}
