/** Which questions the engine asks before it answers a request, in their order (DESIGN 5). */

import { interactionPolicy, type KoaContextWithOIDC } from 'oidc-provider';
import { findDuePassword } from '../accounts/password-store.ts';
import type { Database } from '../database.ts';
import { mustLink } from '../prompts/link.ts';
import { acceptsRecovered, recovered_acr } from '../recovery/reset.ts';
import { describeQuestion, mustAskConsent } from './consent.ts';
import { directorateOf, mustChooseDirectorate } from './grant.ts';

/** The questions between a request and its answer, in their order; those of later prompts slot in between. */
export function questions(db: Database) {
  const { Check, Prompt, base } = interactionPolicy;
  const policies = base();
  extendConsent(db, policies.get('consent'));
  askForPassword(policies.get('login'));
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

/** A session that a recovery's code began opens only what says that it accepts that; for all else the password is asked. */
function askForPassword(prompt: interactionPolicy.Prompt | undefined): void {
  if (!prompt) throw new Error('the engine changed: there is no prompt login');
  const { Check } = interactionPolicy;
  prompt.checks.add(
    new Check('recovered_only', 'the password must be given', 'login_required', ({ oidc }) =>
      oidc.session?.acr === recovered_acr && !acceptsRecovered(oidc.params?.acr_values)
        ? Check.REQUEST_PROMPT
        : Check.NO_NEED_TO_PROMPT,
    ),
  );
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
