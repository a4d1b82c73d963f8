/** Create SSO on the way in: a client that works with its own user names sends a person here who has none that serves. */

import { z } from 'zod';
import { findApplicationOfClient } from '../applications.ts';
import type { Database } from '../database.ts';
import { readForm } from '../http/form.ts';
import type { Translate } from '../i18n/messages.ts';
import { type LinkOutcome, password_verifiers, proveLink } from '../links/link.ts';
import { findServingLink, listLinks } from '../links/store.ts';
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

  show: (visit) => show(visit, '', {}),

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
    const problems = missing(visit, username, password);
    if (problems) {
      ctx.status = 422;
      return show(visit, username, problems);
    }
    const application = await findApplicationOfClient(store.db, client.asking.id);
    const outcome = await proveLink(store.links, {
      account_id: interaction.session?.accountId ?? '',
      application_id: application?.id ?? '',
      username,
      password,
      request: { address: ctx.state.address, user_agent: ctx.get('user-agent'), request_id: ctx.state.request_id },
    });
    // The engine asks again when what was linked belongs to another directorate than the chosen one.
    if (outcome.state === 'linked') return visit.finish({ link: {} });
    answer(visit, outcome);
    return show(visit, username, { form: explainLink(ctx.state.t, client.asking.name, outcome) });
  },
};

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

async function show(
  { ctx, store, interaction, client, action }: Visit,
  username: string,
  errors: Problems,
): Promise<void> {
  const application = await findApplicationOfClient(store.db, client.asking.id);
  const links = application ? await listLinks(store.db, interaction.session?.accountId ?? '', application.id) : [];
  const is_supported = password_verifiers.some((verifier) => verifier.kind === application?.verifier);
  const { directorate } = interaction.prompt.details ?? {};
  page(ctx, 'prompts/link', {
    client: client.asking,
    action,
    is_supported,
    directorate: typeof directorate === 'string' ? directorate : undefined,
    // What is linked already and does not serve: proven for another directorate, or to be proven again.
    links: links.map((link) => ({ username: link.username, is_stale: link.is_stale })),
    values: { username },
    errors,
  });
}
