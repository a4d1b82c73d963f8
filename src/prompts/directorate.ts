/** Pilih Direktorat (document D, screen D5): for which directorate of the application's agency the person acts. */

import { z } from 'zod';
import { findAccount } from '../accounts/store.ts';
import { record } from '../audit/audit.ts';
import { inTransaction } from '../database.ts';
import { readForm } from '../http/form.ts';
import { findAgency } from '../organisations/agency.ts';
import { type Directorate, listDirectoratesOf, nameDirectorate } from '../organisations/directorate.ts';
import { findOrganisationOf } from '../organisations/organisation.ts';
import { page } from '../views.ts';
import type { Prompt, Visit } from './prompt.ts';

const form = z.object({
  directorate: z.string().max(64).default(''),
  cancel: z.string().max(20).default(''),
});

export const directoratePrompt: Prompt = {
  name: 'select_directorate',

  async show(visit) {
    if (!isAsked(visit)) return visit.finish({ select_directorate: {} });
    await show(visit, await listChoices(visit));
  },

  async submit(visit) {
    const { ctx, store, interaction, client } = visit;
    const choices = await listChoices(visit);
    const read = await readForm(ctx, form);
    if (read.state === 'read' && read.values.cancel) return visit.abandon();

    const chosen = read.state === 'read' ? choices.find((choice) => choice.id === read.values.directorate) : undefined;
    if (!chosen) {
      ctx.status = 422;
      return show(visit, choices, ctx.state.t('errors.directorate'));
    }
    await inTransaction(store.db, (tx) =>
      record(tx, {
        kind: 'directorate_chosen',
        account_id: interaction.session?.accountId ?? null,
        client_id: client.asking.id,
        detail: { agency: chosen.agency_code, directorate: chosen.code },
        request: { address: ctx.state.address, user_agent: ctx.get('user-agent'), request_id: ctx.state.request_id },
      }),
    );
    await visit.finish({ select_directorate: { directorate: chosen.id } });
  },
};

/** A client that needs no directorate may still send `prompt=select_directorate`; there is nothing to ask then. */
function isAsked({ client }: Visit): boolean {
  return client.directorate_required && client.agency_code !== undefined;
}

async function listChoices({ store, interaction, client }: Visit): Promise<Directorate[]> {
  if (!interaction.session || !client.agency_code) return [];
  return listDirectoratesOf(store.db, interaction.session.accountId, client.agency_code);
}

async function show(
  { ctx, store, interaction, client, action }: Visit,
  choices: Directorate[],
  error?: string,
): Promise<void> {
  const account_id = interaction.session?.accountId ?? '';
  const [account, organisation, agency] = await Promise.all([
    findAccount(store.db, account_id),
    findOrganisationOf(store.db, account_id),
    findAgency(store.db, client.agency_code ?? ''),
  ]);
  const common = {
    client: client.asking,
    action,
    organisation: organisation && { name: organisation.name, npwp: organisation.npwp },
    agency: { name: (ctx.state.language === 'en' ? agency?.name_en : agency?.name) ?? '' },
  };
  if (choices.length === 0) return page(ctx, 'prompts/no-directorate', common);
  page(ctx, 'prompts/directorate', {
    ...common,
    person: { full_name: account?.full_name ?? '' },
    directorates: nameChoices(choices, ctx.state.language),
    errors: error ? { directorate: error } : {},
  });
}

/** The choices by the names a person reads, in the order of those names. */
function nameChoices(choices: Directorate[], language: string): { id: string; name: string }[] {
  return choices
    .map((choice) => ({ id: choice.id, name: nameDirectorate(choice, language) }))
    .sort((one, other) => one.name.localeCompare(other.name, language));
}
