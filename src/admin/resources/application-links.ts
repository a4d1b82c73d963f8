/** How links to an application come about: its verifier, the settings of that, a trial, who shares a name, how long a proof holds. */

import { z } from 'zod';
import { type Application, sharings, updateApplication } from '../../applications/application.ts';
import { shareNames } from '../../links/holders.ts';
import type { Verification } from '../../links/link.ts';
import { findSettingsSchema, listNewPrivateHosts, sealSettings, verifier_kinds } from '../../links/settings.ts';
import { tryVerifier } from '../../links/trial.ts';
import { reachOfActor } from '../operation.ts';
import type { Entry, Operation } from '../resource.ts';

const entryOf = (entry: Entry | undefined) => entry as Entry & Application;

export const verifier: Operation = {
  name: 'verifier',
  kind: 'act',
  permission: 'applications:verify',
  is_weighty: true,
  tells_changes: true,
  input: z.object({ verifier: z.enum(verifier_kinds as [string, ...string[]]).nullish() }),
  begin: async (_desk, entry) => ({ verifier: entry?.verifier }),
  async run(tx, _desk, { verifier = null }, entry) {
    const { id, version, verifier: before } = entryOf(entry);
    const at = verifier === null ? {} : { go_to: `/admin/applications/${id}/settings` };
    if (verifier === before) return { state: 'done', id, ...at };
    // The settings of one kind say nothing to another; until the new ones are saved nobody is asked to prove anything.
    const change = { verifier: verifier as string | null, verifier_settings: '{}' };
    const saved = await updateApplication(tx, { id, version }, change);
    return saved.state === 'done' ? { state: 'done', id, ...at } : saved;
  },
};

export const settings: Operation = {
  name: 'settings',
  kind: 'act',
  permission: 'applications:verify',
  is_weighty: true,
  tells_changes: true,
  input: z.looseObject({}),
  inputOf: (entry) => findSettingsSchema(entry.verifier) ?? z.object({}),
  applies: ({ verifier }) => findSettingsSchema(verifier) !== undefined,
  // A secret is shown to nobody: its field begins empty, and left empty keeps what stands.
  begin: async (_desk, entry) => ({ ...(entry?.settings as object) }),
  async run(tx, { actor, links }, input, entry) {
    const { id, version, verifier, verifier_settings } = entryOf(entry);
    const [strange] = listNewPrivateHosts(input, verifier_settings);
    if (strange !== undefined && reachOfActor(actor, 'applications:verify') !== 'everything')
      return {
        state: 'refused',
        errors: { private_hosts: { key: 'errors.application.private_host', values: { host: strange } } },
      };
    const sealed = sealSettings(links, verifier, input, verifier_settings);
    const saved = await updateApplication(tx, { id, version }, { verifier_settings: JSON.stringify(sealed) });
    return saved.state === 'done' ? { state: 'done', id } : saved;
  },
};

const credentials = z.object({
  username: z
    .string()
    .trim()
    .min(1, 'errors.link.username_missing')
    .max(200, 'errors.too_long')
    .regex(/^\P{Cc}*$/u, 'errors.field.unreadable')
    .meta({ personal: true, label: 'admin.applications.trial_username' }),
  password: z
    .string()
    .min(1, 'errors.link.password_missing')
    .max(1024, 'errors.too_long')
    .meta({ secret: true, label: 'admin.applications.trial_password' }),
});

/** "Coba": what the application answers, there and then. */
export const trial: Operation = {
  name: 'trial',
  kind: 'act',
  permission: 'applications:verify',
  is_weighty: true,
  // Somebody's password for the application belongs in no program.
  is_console_only: true,
  input: credentials,
  applies: ({ verifier, settings }, { links }) =>
    links.verifiers.password.some(({ kind }) => kind === verifier) && Object.keys(settings as object).length > 0,
  async run(tx, { links }, input, entry) {
    const tried = await tryVerifier(links, tx, entryOf(entry), input as z.output<typeof credentials>);
    switch (tried.state) {
      case 'waiting':
        return {
          state: 'refused',
          errors: { form: { key: 'errors.link.waiting', values: { minutes: Math.ceil(tried.retry_after / 60) } } },
        };
      case 'unsupported':
        return { state: 'conflict' };
      case 'answered': {
        const { answer } = tried;
        const told = answer.state === 'unavailable' ? answer.because : answer.state;
        return {
          state: 'done',
          id: String(entry?.id),
          shown_once: { answer: told, ...detailOf(answer) },
          // Not whose name it was: the audit is for ever.
          detail: { answer: told, ...(answer.state === 'unavailable' ? { reason: answer.reason ?? null } : {}) },
        };
      }
    }
  },
};

function detailOf(answer: Verification): Record<string, string> {
  if (answer.state === 'unavailable') return answer.reason === undefined ? {} : { reason: answer.reason };
  if (answer.state !== 'verified') return {};
  const told = Object.entries(answer.name).filter(([, value]) => value !== null);
  return Object.fromEntries(told) as Record<string, string>;
}

export const sharing: Operation = {
  name: 'sharing',
  kind: 'act',
  permission: 'applications:verify',
  is_weighty: true,
  tells_changes: true,
  input: z.object({ sharing: z.enum(sharings) }),
  begin: async (_desk, entry) => ({ sharing: entry?.sharing }),
  async run(tx, _desk, input, entry) {
    const { id, version } = entryOf(entry);
    const to = input.sharing as (typeof sharings)[number];
    // First the application: whoever is just proving a name waits, or is waited for.
    const saved = await updateApplication(tx, { id, version }, { sharing: to });
    if (saved.state !== 'done') return saved;
    const names = await shareNames(tx, id, to);
    if (names.length === 0) return { state: 'done', id };
    const key = `errors.application.shared_${to}`;
    return { state: 'refused', errors: { sharing: { key, values: { names: names.join(', ') } } } };
  },
};

export const validity: Operation = {
  name: 'validity',
  kind: 'act',
  permission: 'applications:verify',
  is_weighty: true,
  tells_changes: true,
  input: z.object({ proof_lasts: z.int().min(1).max(3650).nullish().meta({ unit: 'words.days' }) }),
  begin: async (_desk, entry) => ({ proof_lasts: entry?.proof_lasts }),
  async run(tx, _desk, { proof_lasts = null }, entry) {
    const { id, version } = entryOf(entry);
    const saved = await updateApplication(tx, { id, version }, { proof_lasts: proof_lasts as number | null });
    return saved.state === 'done' ? { state: 'done', id } : saved;
  },
};
