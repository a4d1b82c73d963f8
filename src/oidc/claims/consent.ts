/** Whether a person must be asked before an application is told anything, and how far the answer reaches. */

import type { KoaContextWithOIDC } from 'oidc-provider';
import { type Consent, findConsent, giveConsent } from '../../consents.ts';
import { type Database, inTransaction } from '../../database.ts';
import type { ConsentAnswer, ConsentQuestion } from '../../prompts/consent.ts';
import { listAskedAccess, readAccess } from '../apis/resources.ts';
import type { Client } from '../clients/clients.ts';
import { requestOfEngine } from '../internals.ts';
import { listBrought, mayAskFor } from './claims.ts';

/** How far a grant may reach in this request; `consent` is the row that allows it, where one is needed. */
export interface Allowance {
  scopes: string[];
  claims: string[];
  /** APIs, and scopes there (resources.ts). */
  api_access: string[];
  /** Asked for and not allowed: what the person has just unticked. */
  declined: string[];
  consent?: Consent;
}

/** As much of a grant as tells what it holds. */
export interface HeldGrant {
  getOIDCScope(): string;
  getOIDCClaims(): string[];
  getResourceScope(identifier: string): string;
}

// They tell of the sign-in and not of the person, and the engine grants them to everybody.
const technical_claims = ['sub', 'sid', 'auth_time', 'acr', 'amr', 'iss'];

const offline = 'offline_access';

/** Ours and the agencies' own are not asked for consent; who registered itself is neither (a rule of the table). */
function isFirstParty(client: Client): boolean {
  return client.first_party === true;
}

/**
 * Whether this request is asked about, whatever was allowed before, and has no answer yet: the application wants it
 * (`prompt=consent`), or nobody can tell which program will get the answer.
 */
export function mustAskConsent(ctx: KoaContextWithOIDC): boolean {
  return (ctx.oidc.prompts.has('consent') || isUnproven(ctx)) && !answerOf(ctx);
}

/**
 * A program on the person's own device has no secret, and any other could claim its address: an own scheme or loopback
 * (RFC 8252 section 8.6). An https address that it has claimed is its own.
 */
function isUnproven({ oidc: { client, params, route } }: KoaContextWithOIDC): boolean {
  // Whatever asked for a code may say that it is this client (RFC 8628 section 5.5).
  if (route === 'code_verification' || route === 'device_resume') return true;
  if (params?.response_type === 'none') return false;
  const address = URL.parse(String(params?.redirect_uri));
  const is_web = address?.protocol === 'https:' || (address?.protocol === 'http:' && !isLoopback(address.hostname));
  return !is_web && (client?.applicationType === 'native' || client?.tokenEndpointAuthMethod === 'none');
}

function isLoopback(host: string): boolean {
  return ['localhost', '127.0.0.1', '[::1]'].includes(host);
}

/** The answer to the page, if it is that of the person who is signed in now: within one request somebody else may sign in. */
function answerOf({ oidc: { result, session } }: KoaContextWithOIDC): ConsentAnswer | undefined {
  const answer = result?.consent as ConsentAnswer | undefined;
  return answer && answer.account_id === session?.accountId ? answer : undefined;
}

/** Remembers what the person has just allowed. Only what this request asks for, and nothing for our own applications. */
export async function rememberConsent(db: Database, ctx: KoaContextWithOIDC): Promise<void> {
  const { client, session } = ctx.oidc;
  const answer = answerOf(ctx);
  if (!answer || !client || !session?.accountId || isFirstParty(client)) return;
  const { scopes, claims, api_access } = asked(ctx);
  const given = {
    account_id: session.accountId,
    client_id: client.clientId,
    scopes: scopes.filter((scope) => answer.scopes.includes(scope)),
    claims: claims.filter((claim) => answer.claims.includes(claim)),
    api_access: api_access.filter((one) => answer.api_access.includes(one)),
    declined: scopes.filter((scope) => scope === offline && !answer.scopes.includes(scope)),
    request: requestOfEngine()?.sent_by,
  };
  await inTransaction(db, (tx) => giveConsent(tx, given));
}

/**
 * How far this client's grant may reach, from what it asks for and what the person allowed; `open` while the person must be
 * asked. `stored` is the grant it has in this session: a withdrawal ends it, so what it holds is allowed without a look, as
 * long as nothing has to be written.
 */
export async function decideConsent(
  db: Database,
  ctx: KoaContextWithOIDC,
  stored: HeldGrant | undefined,
): Promise<Allowance | 'open'> {
  const { client, session, requestParamClaims } = ctx.oidc;
  if (mustAskConsent(ctx)) return 'open';
  const wanted = asked(ctx);
  const answer = answerOf(ctx);
  const declined = wanted.scopes.filter((scope) => scope === offline && answer && !answer.scopes.includes(scope));
  const allowance: Allowance = {
    scopes: wanted.scopes.filter((scope) => !declined.includes(scope)),
    claims: [...requestParamClaims],
    api_access: wanted.api_access,
    declined,
  };
  if (!client || isFirstParty(client)) return allowance;
  if (stored && !answer && isHeld(stored, allowance)) return allowance;
  const consent = await findConsent(db, session?.accountId ?? '', client.clientId);
  if (!consent) return 'open';
  // Another tab may have declined since what this one allows: the later word counts.
  if (answer && !declined.includes(offline) && !consent.scopes.includes(offline)) {
    allowance.declined = wanted.scopes.filter((scope) => scope === offline);
    allowance.scopes = allowance.scopes.filter((scope) => scope !== offline);
  }
  return isCovered({ ...wanted, scopes: allowance.scopes }, consent) ? { ...allowance, consent } : 'open';
}

/** What the page says: everything that is asked for, and what of it the person has allowed before. */
export async function describeQuestion(
  db: Database,
  ctx: KoaContextWithOIDC,
): Promise<{ consent: ConsentQuestion } & Record<string, unknown>> {
  const { client, session, params } = ctx.oidc;
  const address = URL.parse(String(params?.redirect_uri));
  const consent = await findConsent(db, session?.accountId ?? '', client?.clientId ?? '');
  const { scopes, claims, api_access } = asked(ctx);
  return {
    consent: {
      scopes,
      claims,
      api_access,
      known_scopes: scopes.filter((scope) => consent?.scopes.includes(scope)),
      known_claims: claims.filter(
        (claim) => consent && isCovered({ scopes: [], claims: [claim], api_access: [] }, consent),
      ),
      known_access: api_access.filter((one) => consent?.api_access.includes(one)),
      is_unproven: isUnproven(ctx),
      returns_to: address?.host || (address?.protocol.replace(/:$/, '') ?? ''),
    },
  };
}

/** What is asked for, or was allowed. */
type Access = Pick<Consent, 'scopes' | 'claims' | 'api_access'>;

/** What a request asks for; claims only as far as the client may have them and no scope of the same request brings them. */
function asked(ctx: KoaContextWithOIDC): Access {
  const { oidc } = ctx;
  const scopes = [...oidc.requestParamOIDCScopes];
  const { client } = oidc;
  const claims = [...oidc.requestParamClaims].filter(
    (claim) => !technical_claims.includes(claim) && client && mayAskFor(client, claim),
  );
  return { scopes, claims: claims.filter((claim) => !isBrought(claim, scopes)), api_access: listAskedAccess(ctx) };
}

function isHeld(grant: HeldGrant, { scopes, claims, api_access }: Allowance): boolean {
  const [held_scopes, held_claims] = [grant.getOIDCScope().split(' '), grant.getOIDCClaims()];
  return (
    scopes.every((scope) => held_scopes.includes(scope)) &&
    claims.every((claim) => held_claims.includes(claim)) &&
    api_access.every((one) => isAccessHeld(grant, one))
  );
}

// An API that is reached without any scope leaves no trace in a grant, so it is looked up in the consent each time.
function isAccessHeld(grant: HeldGrant, access: string): boolean {
  const { identifier, scope } = readAccess(access);
  const held = grant.getResourceScope(identifier);
  return held !== '' && (scope === undefined || held.split(' ').includes(scope));
}

function isCovered(wanted: Access, allowed: Access): boolean {
  return (
    wanted.scopes.every((scope) => allowed.scopes.includes(scope)) &&
    wanted.claims.every((claim) => allowed.claims.includes(claim) || isBrought(claim, allowed.scopes)) &&
    wanted.api_access.every((one) => allowed.api_access.includes(one))
  );
}

function isBrought(claim: string, scopes: string[]): boolean {
  return listBrought(scopes).includes(claim);
}
