/** Which questions the engine asks before it answers a request, in their order (DESIGN 5). */

import { errors, interactionPolicy, type KoaContextWithOIDC } from 'oidc-provider';
import { findDuePassword } from '../accounts/password-store.ts';
import type { Database } from '../database.ts';
import { mustLink } from '../prompts/link.ts';
import { acceptsRecovered, recovered_acr } from '../recovery/reset.ts';
import { describeQuestion, mustAskConsent } from './claims/consent.ts';
import { nameBySector } from './claims/pairwise.ts';
import type { Client } from './clients/clients.ts';
import { directorateOf, mustChooseDirectorate } from './records/grant.ts';

/** The questions between a request and its answer, in their order; those of later prompts slot in between. */
export function questions(db: Database) {
  const { Check, Prompt, base } = interactionPolicy;
  const policies = base();
  extendConsent(db, policies.get('consent'));
  extendLogin(db, policies.get('login'));
  policies.add(
    new Prompt(
      { name: 'password', requestable: false },
      new Check('password_due', 'a new password must be chosen', 'interaction_required', async (ctx) =>
        (await isPasswordDue(db, ctx)) ? Check.REQUEST_PROMPT : Check.NO_NEED_TO_PROMPT,
      ),
    ),
    1,
  );
  policies.add(
    new Prompt(
      { name: 'select_directorate', requestable: true },
      new Check('directorate_missing', 'a directorate must be chosen', 'interaction_required', (ctx) =>
        mustChooseDirectorate(ctx) ? Check.REQUEST_PROMPT : Check.NO_NEED_TO_PROMPT,
      ),
    ),
    2,
  );
  policies.add(
    new Prompt(
      { name: 'link', requestable: false },
      (ctx) => ({ directorate: directorateOf(ctx)?.name }),
      new Check('link_missing', 'a user name of the application must be linked', 'interaction_required', async (ctx) =>
        (await lacksLink(db, ctx)) ? Check.REQUEST_PROMPT : Check.NO_NEED_TO_PROMPT,
      ),
    ),
    3,
  );
  return policies;
}

/** The ways to sign in that there are, as `acr` tells them; the first is the usual one. */
export const acr_values = ['urn:gapura:acr:password', recovered_acr];

/**
 * A session that a recovery's code began opens only what says that it accepts that; for all else the password is asked. What
 * signing in cannot give is refused, or the same page would come back for ever.
 */
function extendLogin(db: Database, prompt: interactionPolicy.Prompt | undefined): void {
  if (!prompt) throw new Error('the engine changed: there is no prompt login');
  const { Check } = interactionPolicy;
  prompt.checks.add(
    new Check('out_of_reach', 'signing in cannot give what is asked for', 'login_required', async (ctx) => {
      if (lacksAcr(ctx))
        throw new errors.UnmetAuthenticationRequirements('the authentication asked for cannot be given');
      if (await isSomebodyElse(db, ctx)) throw new errors.LoginRequired('somebody else signed in than was asked for');
      return Check.NO_NEED_TO_PROMPT;
    }),
  );
  prompt.checks.add(
    new Check('recovered_only', 'the password must be given', 'login_required', ({ oidc }) =>
      oidc.session?.acr === recovered_acr && !acceptsRecovered(oidc.params?.acr_values)
        ? Check.REQUEST_PROMPT
        : Check.NO_NEED_TO_PROMPT,
    ),
  );
}

/** Whether an `acr` that must be given (OpenID Connect Core 5.5.1.1) is none of ours, or was not reached by the sign-in just done. */
function lacksAcr({ oidc }: KoaContextWithOIDC): boolean {
  const { essential, value, values } = (oidc.claims.id_token?.acr ?? {}) as Record<string, unknown>;
  const wanted = [...(value === undefined ? [] : [value]), ...(Array.isArray(values) ? values : [])];
  if (essential !== true || wanted.length === 0 || wanted.includes(oidc.acr)) return false;
  return oidc.result?.login !== undefined || !wanted.some((one) => acr_values.includes(String(one)));
}

/** Whether the sign-in just done is another person's than the one whom the application named (OpenID Connect Core 3.1.2.1). */
async function isSomebodyElse(db: Database, ctx: KoaContextWithOIDC): Promise<boolean> {
  const { claims, client, params, result, session } = ctx.oidc;
  const { value } = (claims.id_token?.sub ?? {}) as { value?: unknown };
  const hint = params?.id_token_hint;
  if (!result?.login || !session?.accountId || !client || (hint === undefined && value === undefined)) return false;
  const { accountId } = session;
  const subject = client.subjectType === 'pairwise' ? await nameBySector(db)(ctx, accountId, client) : accountId;
  if (value !== undefined && value !== subject) return true;
  return hint !== undefined && (await readHint(ctx, String(hint))) !== subject;
}

/** Whom a hint names. The engine reads it when the request comes, and not again when the person comes back from the page. */
async function readHint({ oidc: { provider, client } }: KoaContextWithOIDC, hint: string): Promise<unknown> {
  const { validate } = provider.IdToken as unknown as {
    validate(jwt: string, client: Client | undefined): Promise<{ payload: { sub?: unknown } }>;
  };
  try {
    return (await validate(hint, client)).payload.sub;
  } catch {
    // Its key was taken away meanwhile: it names nobody any more.
    return undefined;
  }
}

/** A live session was read together with the answer; whoever signs in with this very request is asked about now. */
async function isPasswordDue(db: Database, { oidc: { session } }: KoaContextWithOIDC): Promise<boolean> {
  if (!session?.accountId) return false;
  const { password_due } = session as { password_due?: boolean };
  return password_due ?? (await findDuePassword(db, session.accountId)) !== undefined;
}

async function lacksLink(db: Database, ctx: KoaContextWithOIDC): Promise<boolean> {
  const { client, session } = ctx.oidc;
  if (!client?.link_required || !session?.accountId) return false;
  return mustLink(db, client.clientId, session.accountId, directorateOf(ctx)?.code);
}

/**
 * The engine's own question stays for what a grant lacks. It is asked besides where what was allowed before does not
 * count, and its page is told what is asked for.
 */
function extendConsent(db: Database, prompt: interactionPolicy.Prompt | undefined): void {
  if (!prompt) throw new Error('the engine changed: there is no prompt consent');
  const { Check } = interactionPolicy;
  for (const reason of ['consent_prompt', 'native_client_prompt']) prompt.checks.remove(reason);
  prompt.checks.add(
    new Check('consent_unanswered', 'the person must be asked', 'consent_required', (ctx) =>
      mustAskConsent(ctx) ? Check.REQUEST_PROMPT : Check.NO_NEED_TO_PROMPT,
    ),
  );
  prompt.details = (ctx) => describeQuestion(db, ctx);
}
