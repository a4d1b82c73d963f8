/** Persetujuan: what an application that is not ours wants to know of the person, who decides and is remembered. */

import { z } from 'zod';
import { findAccount } from '../accounts/store.ts';
import { people_scopes } from '../clients/choices.ts';
import type { Database } from '../database.ts';
import { readForm } from '../http/form.ts';
import type { Translate } from '../i18n/messages.ts';
import { policy } from '../policy/policy.ts';
import { listApis, nameApi } from '../resource-servers/resource-server.ts';
import { page } from '../views.ts';
import type { Prompt, Visit } from './prompt.ts';

/** What the page asks; the engine's details of the prompt under `consent`. */
export interface ConsentQuestion {
  scopes: string[];
  /** Asked for by name, and brought by none of the scopes. */
  claims: string[];
  /** APIs by their identifiers, and scopes there as `<identifier> <scope>`. */
  api_access: string[];
  /** What of it was allowed before. */
  known_scopes: string[];
  known_claims: string[];
  known_access: string[];
  /** Nobody can tell which program will get the answer, so every request is asked about. */
  is_unproven: boolean;
  /** The host, or a native application's own name, that the answer goes to. */
  returns_to: string;
}

/** The result under `consent`: who allowed what. */
export interface ConsentAnswer {
  account_id: string;
  scopes: string[];
  claims: string[];
  api_access: string[];
}

const form = z.object({
  allow: z.string().max(20).default(''),
  offline_access: z.string().max(20).default(''),
  cancel: z.string().max(20).default(''),
});

const offline = 'offline_access';

const no_access = { api_access: [], known_access: [] };

/** The claims there are words for, in the order of a page. */
const claims = [
  'name',
  'preferred_username',
  'email_verified',
  'phone_number',
  'phone_number_verified',
  'mobile_number',
  'fax_number',
  'locale',
  'zoneinfo',
  'updated_at',
  'account_expires_at',
];

export const consentPrompt: Prompt = {
  name: 'consent',

  show: (visit) => show(visit, true),

  async submit(visit) {
    const { ctx, interaction } = visit;
    const read = await readForm(ctx, form);
    if (read.state === 'read' && read.values.cancel) return visit.abandon();
    const is_offline = read.values.offline_access !== undefined && read.values.offline_access !== '';
    if (read.state === 'refused' || read.values.allow !== '1') {
      ctx.status = 422;
      return show(visit, is_offline, ctx.state.t('errors.consent'));
    }
    const asked = questionOf(visit);
    const answer: ConsentAnswer = {
      account_id: interaction.session?.accountId ?? '',
      scopes: asked.scopes.filter((scope) => scope !== offline || is_offline),
      claims: asked.claims,
      api_access: asked.api_access,
    };
    await visit.finish({ consent: answer });
  },
};

/** What scopes and claims let an application know, in words a person understands; what has none yet stands by its name. */
export function describeAccess(t: Translate, asked: { scopes: string[]; claims: string[] }): string[] {
  // Several claims have the name of the scope that brings the same.
  const wanted = new Set([...asked.scopes, ...asked.claims]);
  return [
    ...people_scopes.filter((name) => wanted.delete(name)).map((name) => t(`words.scope_${name}`)),
    ...claims.filter((name) => wanted.delete(name)).map((name) => t(`words.claim_${name}`)),
    ...wanted,
  ];
}

/** An API as pages tell of it: its name, and what may be done there in words. */
export interface DescribedApi {
  name: string;
  scopes: string[];
}

/** The APIs that are named among what is asked or allowed; one that was removed meanwhile is not there. */
export function findApis(db: Database, api_access: string[]) {
  return listApis(db, [...new Set(api_access.map((one) => one.split(' ')[0] ?? ''))]);
}

/** What may be done at which of these APIs, in words a person understands. */
export function describeApis(
  apis: Awaited<ReturnType<typeof findApis>>,
  language: 'id' | 'en',
  api_access: string[],
): DescribedApi[] {
  return apis
    .filter(({ identifier }) => api_access.some((one) => one.split(' ')[0] === identifier))
    .map((api) => ({
      name: nameApi(api, language),
      scopes: api.scopes
        .filter(({ name }) => api_access.includes(`${api.identifier} ${name}`))
        .map((scope) => scope[`text_${language}`]),
    }));
}

function questionOf({ interaction }: Visit): ConsentQuestion {
  // One that was asked by the release before knows of no API.
  return { ...no_access, ...(interaction.prompt.details?.consent as ConsentQuestion) };
}

/** Never fewer than it may last. */
function days(seconds: number): number {
  return Math.ceil(seconds / 86_400);
}

async function show(visit: Visit, is_offline: boolean, error?: string): Promise<void> {
  const { ctx, store, interaction, client, action } = visit;
  const { t } = ctx.state;
  const asked = questionOf(visit);
  const account = await findAccount(store.db, interaction.session?.accountId ?? '');
  const knows = (scope: string) => asked.known_scopes.includes(scope);
  // What it does while nobody is there has a box of its own.
  const told = asked.scopes.filter((scope) => scope !== offline);
  const fresh = {
    scopes: told.filter((scope) => !knows(scope)),
    claims: asked.claims.filter((claim) => !asked.known_claims.includes(claim)),
  };
  const known = { scopes: told.filter(knows), claims: asked.known_claims };
  const apis = await findApis(store.db, asked.api_access);
  const fresh_access = asked.api_access.filter((one) => !asked.known_access.includes(one));
  page(ctx, 'prompts/consent', {
    client: client.asking,
    action,
    person: { full_name: account?.full_name ?? '', username: account?.username ?? '' },
    fresh: describeAccess(t, fresh),
    known: describeAccess(t, known),
    fresh_apis: describeApis(apis, ctx.state.language, fresh_access),
    known_apis: describeApis(apis, ctx.state.language, asked.known_access),
    offers_offline: asked.scopes.includes(offline),
    is_offline,
    is_unchecked: client.is_unchecked,
    is_unproven: asked.is_unproven,
    returns_to: asked.returns_to,
    days: days(policy('session.remembered_absolute')),
    offline_days: days(policy('grant.lifetime')),
    error,
  });
}
