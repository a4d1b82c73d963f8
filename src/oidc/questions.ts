/** Which questions the engine asks before it answers a request, in their order (DESIGN 5). */

import { interactionPolicy, type KoaContextWithOIDC } from 'oidc-provider';
import type { Database } from '../database.ts';
import { mustLink } from '../prompts/link.ts';
import type { ChosenDirectorate } from './claims.ts';
import { mustChooseDirectorate } from './grant.ts';

/** The questions between a request and its answer, in their order; those of later prompts slot in between. */
export function questions(db: Database) {
  const { Check, Prompt, base } = interactionPolicy;
  const policies = base();
  policies.add(
    new Prompt(
      { name: 'select_directorate', requestable: true },
      new Check('directorate_missing', 'a directorate must be chosen', 'interaction_required', (ctx) =>
        mustChooseDirectorate(ctx) ? Check.REQUEST_PROMPT : Check.NO_NEED_TO_PROMPT,
      ),
    ),
    1,
  );
  policies.add(
    new Prompt(
      { name: 'link', requestable: false },
      (ctx) => ({ directorate: directorateOf(ctx)?.name }),
      new Check('link_missing', 'a user name of the application must be linked', 'interaction_required', async (ctx) =>
        (await lacksLink(db, ctx)) ? Check.REQUEST_PROMPT : Check.NO_NEED_TO_PROMPT,
      ),
    ),
    2,
  );
  return policies;
}

async function lacksLink(db: Database, ctx: KoaContextWithOIDC): Promise<boolean> {
  const { client, session } = ctx.oidc;
  if (!client?.link_required || !session?.accountId) return false;
  return mustLink(db, client.clientId, session.accountId, directorateOf(ctx)?.code);
}

/** The directorate on the grant that the engine has loaded. */
export function directorateOf(ctx: KoaContextWithOIDC): ChosenDirectorate | undefined {
  return (ctx.oidc.grant as { directorate?: ChosenDirectorate } | undefined)?.directorate;
}
