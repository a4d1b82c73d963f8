/** Create SSO on the way in: a client that works with its own user names sends a person here who has none that serves. */

import { z } from 'zod';
import { findApplicationOfClient } from '../applications/application.ts';
import type { AuditRequest } from '../audit/audit.ts';
import type { Database } from '../database.ts';
import { readForm } from '../http/form.ts';
import type { Translate } from '../i18n/messages.ts';
import { findWay, type LinkOutcome, proveLink } from '../links/link.ts';
import { beginRedirect, listOrigins } from '../links/redirect.ts';
import { findServingLink, listLinks, type ShownLink } from '../links/store.ts';
import { page } from '../views.ts';
import type { Prompt, Visit } from './prompt.ts';

const form = z.object({
  username: z.string().max(200, 'errors.too_long').default(''),
  password: z.string().max(1024, 'errors.too_long').default(''),
  cancel: z.string().max(20).default(''),
});

type Problems = Partial<Record<'username' | 'password' | 'form', string>>;

/** Whether a person must link a user name before a client gets its answer: it has none that serves the chosen directorate. */
export async function mustLink(
  db: Database,
  client_id: string,
  account_id: string,
  directorate: string | undefined,
): Promise<boolean> {
  const application = await findApplicationOfClient(db, client_id);
  return !application || !(await findServingLink(db, account_id, application.id, directorate));
}

export const linkPrompt: Prompt = {
  name: 'link',

  async show(visit) {
    // Back from the application with a link (portal/link-callback.ts): the engine judges whether it serves, and asks again if not.
    if (visit.ctx.query.done === 'linked' && (await findLinks(visit)).length > 0) return visit.finish({ link: {} });
    return show(visit, '', {});
  },

  async submit(visit) {
    const { ctx, store, interaction, client } = visit;
    const read = await readForm(ctx, form);
    if (read.state === 'refused') {
      ctx.status = 422;
      const said = Object.entries(read.errors).map(([field, key]) => [field, ctx.state.t(key)]);
      return show(visit, read.values.username ?? '', Object.fromEntries(said));
    }
    const { username, password, cancel } = read.values;
    if (cancel) return visit.abandon();
    const application = await findApplicationOfClient(store.db, client.asking.id);
    if (findWay(store.links, application) === 'redirect') return leave(visit, application?.id ?? '');
    const problems = missing(visit, username, password);
    if (problems) {
      ctx.status = 422;
      return show(visit, username, problems);
    }
    const outcome = await proveLink(store.links, {
      account_id: interaction.session?.accountId ?? '',
      application_id: application?.id ?? '',
      username,
      password,
      request: requestOf(visit),
    });
    // The engine asks again when what was linked belongs to another directorate than the chosen one.
    if (outcome.state === 'linked') return visit.finish({ link: {} });
    answer(visit, outcome);
    return show(visit, username, { form: explainLink(ctx.state.t, client.asking.name, outcome) });
  },
};

/** Sends the person to the application; it sends them back to this interaction. */
async function leave(visit: Visit, application_id: string): Promise<void> {
  const { ctx, store, interaction, client } = visit;
  const outcome = await beginRedirect(store.links, {
    account_id: interaction.session?.accountId ?? '',
    session_uid: interaction.session?.uid ?? '',
    application_id,
    interaction: interaction.uid,
    request: requestOf(visit),
  });
  if (outcome.state === 'begun') {
    ctx.status = 303;
    return ctx.redirect(outcome.address);
  }
  answer(visit, outcome);
  return show(visit, '', { form: explainLink(ctx.state.t, client.asking.name, outcome) });
}

function requestOf({ ctx }: Visit): AuditRequest {
  const { address, request_id } = ctx.state;
  return { address, user_agent: ctx.get('user-agent'), request_id };
}

/** The person's links to the application that asks, whether they serve or not. */
async function findLinks({ store, interaction, client }: Visit): Promise<ShownLink[]> {
  const application = await findApplicationOfClient(store.db, client.asking.id);
  return application ? listLinks(store.db, interaction.session?.accountId ?? '', application.id) : [];
}

function missing({ ctx }: Visit, username: string, password: string): Problems | undefined {
  const { t } = ctx.state;
  if (username.trim() && password) return undefined;
  return {
    ...(username.trim() ? {} : { username: t('errors.link.username_missing') }),
    ...(password ? {} : { password: t('errors.link.password_missing') }),
  };
}

function answer({ ctx }: Visit, outcome: LinkOutcome): void {
  ctx.status = outcome.state === 'waiting' ? 429 : 422;
  if ('retry_after' in outcome && outcome.retry_after) ctx.set('Retry-After', String(outcome.retry_after));
}

/** The words for each way in which a link was not made, for the pages of prompts and portal alike. */
export function explainLink(
  t: Translate,
  application: string,
  outcome: Exclude<LinkOutcome, { state: 'linked' }>,
): string {
  switch (outcome.state) {
    case 'held':
      return t('errors.link.held', { application, username: outcome.username });
    case 'refused':
    case 'unavailable':
      return t(`errors.link.${outcome.because}`, { application });
    case 'waiting':
      return t('errors.link.waiting', { minutes: Math.ceil(outcome.retry_after / 60) });
    case 'unsupported':
      return t('errors.link.unsupported', { application });
  }
}

async function show(visit: Visit, username: string, errors: Problems): Promise<void> {
  const { ctx, store, interaction, client, action } = visit;
  const application = await findApplicationOfClient(store.db, client.asking.id);
  const links = await findLinks(visit);
  const way = findWay(store.links, application);
  if (way === 'redirect') ctx.state.csp.form_action.push(...(await listOrigins(store.links, application?.id ?? '')));
  const { directorate } = interaction.prompt.details ?? {};
  page(ctx, 'prompts/link', {
    client: client.asking,
    action,
    is_supported: way !== undefined,
    is_redirect: way === 'redirect',
    directorate: typeof directorate === 'string' ? directorate : undefined,
    // What is linked already and does not serve: proven for another directorate, or to be proven again.
    links: links.map((link) => ({ username: link.username, is_stale: link.is_stale })),
    values: { username },
    errors,
  });
}
