/** Why a trial shows less than was asked for: scopes not granted, claims that nobody has, a registration that hides them. */

import type { Provider } from 'oidc-provider';
import { findApplicationOfClient } from '../../applications/application.ts';
import type { Database } from '../../database.ts';
import type { TrialRequest } from '../../trials.ts';
import { claimsByScope, listBrought, mayAskFor } from '../claims/claims.ts';
import type { Client } from '../clients/clients.ts';
import { engineSteps } from '../internals.ts';

/** Something that was asked for and did not come. */
export interface Missing {
  scope?: string;
  /** A claim, or a part of one: `organization.nib`. */
  claim?: string;
  because: MissingReason;
}

export type MissingReason =
  /** The scope is not among those of the client's registration. */
  | 'not_allowed'
  /** There is no such scope, or claim. */
  | 'unknown'
  /** offline_access: the client is not registered for refresh tokens. */
  | 'no_refresh'
  /** offline_access: it is only given where the person is asked, by prompt=consent. */
  | 'no_consent_asked'
  /** The person did not allow the scope. */
  | 'not_granted'
  /** Without the scope openid there is neither an ID token nor userinfo. */
  | 'no_openid'
  /** A claim asked for by name is told only to a client that is registered for its scope. */
  | 'no_scope'
  /** The client is not registered as one that needs a directorate. */
  | 'no_directorate'
  /** No application stands for the client, so nobody can link a user name to it. */
  | 'no_application'
  /** The person has linked no user name of the client's application that serves. */
  | 'no_link'
  /** A way of signing in was asked for that this session was not begun with. */
  | 'not_reached'
  /** The person's record, or their organisation's, has nothing there. */
  | 'empty';

/** What came of a trial, as far as it explains what did not. */
export interface Came {
  request: TrialRequest;
  /** The scopes granted. */
  scope: string;
  /** The claims of the ID token and of userinfo; undefined where there is none, or only the client can read it. */
  id_token: Record<string, unknown> | undefined;
  userinfo: Record<string, unknown> | undefined;
}

/** The parts of claims that are objects (DESIGN 5; OpenID Connect Core 5.1.1). */
const parts: Record<string, string[]> = {
  organization: [
    ...['id', 'name', 'npwp', 'nib', 'edi_number', 'srp', 'address', 'phone_number', 'fax_number', 'department'],
    'active',
  ],
  address: ['formatted', 'street_address', 'locality', 'postal_code', 'country'],
};

/** Everything asked for that did not come, each with its reason; scopes first. */
export async function listMissing(
  db: Database,
  { provider, client }: { provider: Provider; client: Client },
  came: Came,
): Promise<Missing[]> {
  const granted = words(came.scope);
  const scopes = words(came.request.scope)
    .filter((scope) => !granted.includes(scope))
    .map((scope) => ({ scope, because: whyNotGranted(provider, client, scope, came.request) }));
  const claims = await listEmptyClaims(db, client, granted, came);
  const named = listUntold(provider, client, came).filter((one) => !claims.some(({ claim }) => claim === one.claim));
  const acr_values = words(came.request.acr_values);
  const is_reached = acr_values.length === 0 || !came.id_token || acr_values.includes(String(came.id_token.acr));
  return [...scopes, ...claims, ...named, ...(is_reached ? [] : [{ claim: 'acr', because: 'not_reached' as const }])];
}

/** The scopes for which the engine refuses the whole request of a client. */
export function listRefused(provider: Provider, client: Client, request: TrialRequest): Missing[] {
  return words(request.scope)
    .filter((scope) => !isAllowed(provider, client, scope))
    .map((scope) => ({ scope, because: 'not_allowed' }));
}

function isAllowed(provider: Provider, client: Client, scope: string): boolean {
  if (!client.scope || !engineSteps(provider).scopes.has(scope)) return true;
  return words(client.scope).includes(scope);
}

function whyNotGranted(provider: Provider, client: Client, scope: string, { prompt }: TrialRequest): MissingReason {
  if (!engineSteps(provider).scopes.has(scope)) return 'unknown';
  if (!isAllowed(provider, client, scope)) return 'not_allowed';
  if (scope !== 'offline_access') return 'not_granted';
  if (!client.grantTypeAllowed('refresh_token')) return 'no_refresh';
  return words(prompt).includes('consent') ? 'not_granted' : 'no_consent_asked';
}

/** The claims of the granted scopes that are neither in the ID token nor in userinfo. */
async function listEmptyClaims(db: Database, client: Client, granted: string[], came: Came): Promise<Missing[]> {
  const telling = granted.filter((scope) => scope !== 'openid' && scope in claimsByScope);
  if (!granted.includes('openid')) return telling.map((scope) => ({ scope, because: 'no_openid' }));
  // Only the client can read what was encrypted for it, so nothing is said of what it lacks.
  if (!came.userinfo) return [];
  const told = { ...came.id_token, ...came.userinfo };
  const missing = telling.flatMap((scope) =>
    claimsByScope[scope as keyof typeof claimsByScope]
      .flatMap((claim) => lacking(client, claim, told[claim]))
      .map((claim) => ({ scope, claim, because: 'empty' as MissingReason })),
  );
  return Promise.all(missing.map(async (one) => ({ ...one, because: await whyEmpty(db, client, one.claim) })));
}

/** The names of a claim that did not come, or of those parts of it that did not. */
function lacking(client: Client, claim: string, value: unknown): string[] {
  if (value === undefined) return [claim];
  // In the other shape it has other parts, and which of them are held is no news.
  if (claim === 'organization' && client.claim_shape === 'insw') return [];
  const held = Object.keys(Object(value));
  return (parts[claim] ?? []).filter((part) => !held.includes(part)).map((part) => `${claim}.${part}`);
}

async function whyEmpty(db: Database, client: Client, claim: string): Promise<MissingReason> {
  if (claim === 'directorate' && !client.directorate_required) return 'no_directorate';
  if (claim !== 'linked_account') return 'empty';
  return (await findApplicationOfClient(db, client.clientId)) ? 'no_link' : 'no_application';
}

/** The claims asked for by name that did not come where they were asked for. */
function listUntold(provider: Provider, client: Client, came: Came): Missing[] {
  const { id_token, userinfo } = came.request.claims ?? {};
  const places = [
    { asked: id_token, told: came.id_token },
    { asked: userinfo, told: came.userinfo },
  ];
  const names = places.flatMap(({ asked, told }) =>
    told ? Object.keys(asked ?? {}).filter((claim) => told[claim] === undefined) : [],
  );
  return [...new Set(names)].map((claim) => ({ claim, because: whyUntold(provider, client, claim) }));
}

function whyUntold(provider: Provider, client: Client, claim: string): MissingReason {
  if (!engineSteps(provider).claims.has(claim)) return 'unknown';
  const is_personal = listBrought(Object.keys(claimsByScope)).includes(claim);
  return is_personal && !mayAskFor(client, claim) ? 'no_scope' : 'empty';
}

function words(text: string | undefined): string[] {
  return [...new Set((text ?? '').split(' ').filter(Boolean))];
}
