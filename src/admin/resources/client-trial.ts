/** Trying a client before anybody depends on it: what is asked for, and where the person who tries is led. */

import { z } from 'zod';
import { client_scopes } from '../../clients/choices.ts';
import { api_scopes } from '../../permissions.ts';
import type { Entry, Operation } from '../resource.ts';
import { isInHand } from './client-registration.ts';

export const trial: Operation = {
  name: 'trial',
  kind: 'act',
  permission: 'clients:write',
  is_weighty: true,
  // It goes through a browser, and what comes of it is for a person to read.
  is_console_only: true,
  input: z.object({
    trial_scope: z.string().trim().max(1000, 'errors.too_long').default(''),
    trial_prompt: z.enum(['none', 'login', 'consent', 'select_directorate']).nullish(),
    trial_acr_values: z.string().trim().max(200, 'errors.too_long').nullish(),
  }),
  applies: (entry, desk) => isInHand(entry, desk) && entry.active === true,
  begin: async (_desk, entry) => ({
    trial_scope: ((entry?.scope ?? ['openid']) as string[]).filter((scope) => !api_scopes.includes(scope)).join(' '),
  }),
  async run(tx, { actor, engine, request }, { trial_scope, trial_prompt, trial_acr_values }, entry) {
    const id = String(entry?.id);
    const { account_id, session_uid } = actor;
    if (!account_id || !session_uid) return { state: 'refused', errors: { form: 'errors.admin.needs_person' } };
    const may_ask = listScopes(entry);
    const asked = String(trial_scope).split(' ');
    if (may_ask && !asked.some((scope) => may_ask.includes(scope))) {
      const values = { scopes: may_ask.join(' ') };
      return { state: 'refused', errors: { trial_scope: { key: 'errors.client.trial_scope', values } } };
    }
    const begun = await engine.beginTrial(tx, {
      client_id: id,
      account_id,
      session_uid,
      by: request,
      scope: String(trial_scope),
      ...(trial_prompt ? { prompt: String(trial_prompt) } : {}),
      ...(trial_acr_values ? { acr_values: String(trial_acr_values) } : {}),
    });
    if (begun.state === 'begun') return { state: 'done', id, go_to: begun.address };
    if (begun.state !== 'untriable') return { state: 'done', id, trial: begun };
    return { state: 'refused', errors: { form: `errors.client.untriable_${begun.because}` } };
  },
};

/**
 * Of which scopes one at least must be asked for where a person is; undefined where none is. A request for nothing that can
 * be had would end, without any page, as if the person had refused.
 */
function listScopes(entry: Entry | undefined): string[] | undefined {
  const { grant_types, scope } = (entry ?? {}) as { grant_types?: string[]; scope?: string[] };
  if (!(grant_types ?? ['authorization_code']).includes('authorization_code')) return undefined;
  const own = (scope ?? client_scopes).filter((one) => one !== 'offline_access' && !api_scopes.includes(one));
  return ['openid', ...own.filter((one) => one !== 'openid')];
}
