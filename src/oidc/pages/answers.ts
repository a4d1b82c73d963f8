/** How the engine's answers leave: programs get JSON with the standard's code and nothing of what they sent, and our failures are noted. */

import type { Context } from 'koa';
import type { Provider } from 'oidc-provider';
import { isDatabaseGone } from '../../database.ts';
import { describeError } from '../../http/errors.ts';
import { insw_claim } from '../claims/claims.ts';

/** Addresses where no person comes by; the device's page, the sign-in and the sign-out are for people. */
const for_programs =
  /^\/connect\/(token|userinfo|introspection|revocation|par|register|jwks|device\/auth|\.well-known)(\/|$)/i;
const description = /^\/connect\/\.well-known\/[\w-]+$/i;

/** Seconds for which others may keep the description of this service; a change in it is for them to notice this soon. */
const described_for = 300;

/** By request: what the engine could not help. */
const failures = new WeakMap<object, Error>();

/** Remembers the engine's failures, which it turns into an answer without a word. */
export function noteFailures(provider: Provider): void {
  provider.on('server_error', (ctx, error) => {
    failures.set(ctx.req, error);
  });
}

/** Some libraries ask for HTML whatever they read; an error as a page would tell them nothing. */
export function preferJson(ctx: Context): void {
  if (for_programs.test(ctx.path) && ctx.accepts('json', 'html') === 'html')
    ctx.req.headers.accept = 'application/json';
}

/** Puts an answer right that is neither a page nor a redirect. */
export function tidyAnswer(ctx: Context): void {
  const { body } = ctx as { body: unknown };
  if (typeof body !== 'object' || body === null) return;
  const failure = failures.get(ctx.req);
  // Also where people come by, to whoever asks for no page in particular.
  if (failure) ctx.body = tellFailure(ctx, failure);
  if (failure || !for_programs.test(ctx.path)) return;
  if (ctx.status >= 400) ctx.body = tidyError(ctx, body as EngineError);
  else if (description.test(ctx.path)) describe(ctx, body as Record<string, unknown>);
}

interface EngineError {
  error?: unknown;
  error_description?: unknown;
}

/** The engine's sentences that repeat what was sent, and what is said in their place. */
const repeating: [sentence: RegExp, instead: string][] = [
  [/^origin .* not allowed for client/, 'the origin is not allowed for this client'],
  [/ content-type bodies are supported on /, 'only application/x-www-form-urlencoded bodies are supported'],
];

/** The engine has one word for them, the standard a better one (RFC 6749 section 5.2). */
const words: Record<string, string> = { 'requested grant type is not allowed for this client': 'unauthorized_client' };

const introspection = /^\/connect\/introspection\/?$/i;

function tidyError(ctx: Context, { error, error_description }: EngineError): object {
  const told = String(error_description ?? '');
  const [, instead] = repeating.find(([sentence]) => sentence.test(told)) ?? [];
  // RFC 6749 section 5.2 names the characters that may stand there.
  const safe = (instead ?? told).replace(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, ' ');
  // A token that is not answered for is told as any other that is not (RFC 7662 section 2.2).
  if (error === 'unsupported_token_type' && introspection.test(ctx.path)) {
    ctx.status = 200;
    return { active: false };
  }
  return { error: words[told] ?? error, ...(safe ? { error_description: safe } : {}) };
}

/** Our own failure, or a lost dependency: logged once, and told without its cause. */
function tellFailure(ctx: Context, failure: Error): object {
  const is_lost = isDatabaseGone(failure);
  ctx.status = is_lost ? 503 : 500;
  if (is_lost) ctx.set('retry-after', '5');
  ctx.state.log.error({ error: describeError(failure), status: ctx.status }, 'request failed');
  return { error: is_lost ? 'temporarily_unavailable' : 'server_error', error_description: 'please try again later' };
}

/** What the engine does not say of itself, or should not. */
function describe(ctx: Context, body: Record<string, unknown>): void {
  ctx.set('cache-control', `public, max-age=${described_for}`);
  // A word of today's gateway, which a client has to be registered for; the standard means something else by it.
  const claims = body.claims_supported as string[];
  body.claims_supported = claims.filter((claim) => claim !== insw_claim);
  // Without them the usual way would be the only one (RFC 8414 section 2).
  for (const endpoint of ['introspection', 'revocation']) {
    for (const what of ['methods', 'signing_alg_values'])
      body[`${endpoint}_endpoint_auth_${what}_supported`] = body[`token_endpoint_auth_${what}_supported`];
  }
  // Lists of nothing are left out (section 3.2).
  for (const [name, value] of Object.entries(body)) {
    if (Array.isArray(value) && value.length === 0) delete body[name];
  }
}
