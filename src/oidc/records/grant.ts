/** What an application was granted in a session: scopes, claims and the chosen directorate, written in this one place. */

import type { KoaContextWithOIDC } from 'oidc-provider';
import { nowSeconds } from '../../clock.ts';
import { isConsentCurrent } from '../../consents.ts';
import { randomToken } from '../../crypto.ts';
import type { Database } from '../../database.ts';
import { type Directorate, listDirectoratesOf, nameDirectorate } from '../../organisations/directorate.ts';
import { policy } from '../../policy/policy.ts';
import { readAccess } from '../apis/resources.ts';
import type { ChosenDirectorate } from '../claims/claims.ts';
import { type Allowance, decideConsent, rememberConsent } from '../claims/consent.ts';
import { runningTrial } from '../internals.ts';
import { sessionIsOver } from '../sessions/session-change.ts';
import { type LivingSession, latestEnd } from '../sessions/session-life.ts';
import { claimEntry } from '../sessions/session-store.ts';
import { claimTrialEntry } from '../trial/trial-entry.ts';
import { endGrant } from './write.ts';

type Grant = InstanceType<KoaContextWithOIDC['oidc']['provider']['Grant']> & {
  generation?: number;
  directorate?: ChosenDirectorate;
};

/** By request: the directorate that is decided while the consent is open. */
const waiting = new WeakMap<object, ChosenDirectorate>();

/**
 * The engine's `loadExistingGrant`; it runs at every authorization and again at every resume. Gives the grant of this
 * client in this session, brought up to what was asked and answered, or nothing while a question is open: a grant saved
 * then would be left over by everyone who walks away, and an entry in the session would tell the client of its end.
 *
 * A changed directorate makes a new grant and ends the old one with all its codes and tokens: those that are bound to the
 * session would lose their grant anyway, the others would keep telling the old directorate. So does a scope that the person
 * no longer allows.
 * @throws SessionNotFound when the session ended meanwhile
 */
export async function loadExistingGrant(db: Database, ctx: KoaContextWithOIDC): Promise<Grant | undefined> {
  const { client, session, provider } = ctx.oidc;
  if (!client || !session?.accountId) return undefined;
  await rememberConsent(db, ctx);
  // Each turn of the loop follows another tab that came first: with a grant of its own, or with a withdrawal.
  for (let turns = 0; turns < 10; turns += 1) {
    const grant_id = session.grantIdFor(client.clientId);
    const stored = grant_id ? ((await provider.Grant.find(grant_id)) as Grant | undefined) : undefined;
    const directorate = await decideDirectorate(db, ctx, stored);
    if (directorate === 'open') return undefined;
    const allowance = await decideConsent(db, ctx, stored);
    if (allowance === 'open') {
      if (directorate) waiting.set(ctx.oidc, directorate);
      return undefined;
    }

    const held = stored?.getOIDCScope().split(' ');
    const is_same =
      stored?.directorate?.id === directorate?.id && !allowance.declined.some((scope) => held?.includes(scope));
    const grant =
      stored && is_same ? await widen(stored, allowance, session) : await makeGrant(ctx, directorate, allowance);
    if (!(stored && is_same) && !(await replaceGrant(db, ctx, grant_id, grant))) continue;
    const { consent } = allowance;
    if (!consent || (await isConsentCurrent(db, consent))) return encountered(grant, allowance);
    // Withdrawn while this was written: the grant must not outlive that.
    await endGrant(db, grant.jti);
  }
  throw sessionIsOver();
}

async function makeGrant(
  ctx: KoaContextWithOIDC,
  directorate: ChosenDirectorate | undefined,
  allowance: Allowance,
): Promise<Grant> {
  const { client, session, provider } = ctx.oidc;
  const owners = { accountId: session?.accountId as string, clientId: client?.clientId as string };
  const grant = new provider.Grant(owners) as Grant;
  const { generation } = session as { generation?: number };
  if (generation !== undefined) grant.generation = generation;
  if (directorate) grant.directorate = directorate;
  allow(grant, allowance);
  await grant.save();
  return grant;
}

/**
 * Puts a new grant in the place of the one this request began with, which ends. Where another tab was first, the new one
 * ends instead and the session takes over the other's entry.
 * @returns whether the new grant stands
 * @throws SessionNotFound when the session ended meanwhile
 */
async function replaceGrant(
  db: Database,
  { oidc: { session, client } }: KoaContextWithOIDC,
  old_id: string | undefined,
  { jti }: Grant,
): Promise<boolean> {
  const client_id = client?.clientId ?? '';
  // A session that this request begins has no row yet, and nobody else knows it.
  if (!session || !(session as { stored?: boolean }).stored) return true;
  const sid = session.sidFor(client_id) ?? randomToken(16);
  const claim = runningTrial() ? claimTrialEntry : claimEntry;
  const held = await claim(db, session.uid, client_id, old_id, { sid, grantId: jti });
  if (held?.grantId !== jti) await endGrant(db, jti);
  if (!held?.grantId || !held.sid) throw sessionIsOver();
  session.sidFor(client_id, held.sid);
  session.grantIdFor(client_id, held.grantId);
  if (held.grantId !== jti) return false;
  if (old_id) await endGrant(db, old_id);
  return true;
}

/**
 * Adds what this request may have and the grant has not; a grant that has it is not written again. Nor may it end before the
 * session in which it is used, whose person may have signed in anew since: the application's tokens would end in mid-work.
 */
async function widen(grant: Grant, allowance: Allowance, session: LivingSession): Promise<Grant> {
  const before = tellHeld(grant);
  allow(grant, allowance);
  const is_short = !runningTrial() && (grant.exp ?? 0) < latestEnd(session);
  if (is_short) grant.exp = nowSeconds() + grantLifetime();
  if (is_short || tellHeld(grant) !== before) await grant.save();
  return grant;
}

function tellHeld(grant: Grant): string {
  return JSON.stringify([grant.getOIDCScope(), grant.getOIDCClaims(), grant.resources]);
}

function allow(grant: Grant, { scopes, claims, api_access }: Allowance): void {
  if (scopes.length > 0) grant.addOIDCScope(scopes.join(' '));
  if (claims.length > 0) grant.addOIDCClaims(claims);
  for (const { identifier, scope } of api_access.map(readAccess)) if (scope) grant.addResourceScope(identifier, scope);
}

/** Tells the engine what was declined, or it would ask again; never stored, so that the next page may be answered otherwise. */
function encountered(grant: Grant, { declined }: Allowance): Grant {
  if (declined.length > 0) grant.rejectOIDCScope(declined.join(' '));
  return grant;
}

/**
 * The directorate a grant is to carry: the one just chosen, else the one it has, else the only one there is; each only
 * while the person's organisation still has a user there. `open` while the person must be asked, or has none.
 */
async function decideDirectorate(
  db: Database,
  ctx: KoaContextWithOIDC,
  stored: Grant | undefined,
): Promise<ChosenDirectorate | 'open' | undefined> {
  const { client, session, result } = ctx.oidc;
  const agency = client?.agency;
  if (!client?.directorate_required || typeof agency !== 'string') return undefined;
  const choices = await listDirectoratesOf(db, session?.accountId ?? '', agency);
  const chosen = (result?.select_directorate as { directorate?: string } | undefined)?.directorate;
  const only = choices.length === 1 ? choices[0]?.id : undefined;
  for (const id of [chosen, stored?.directorate?.id, only]) {
    const choice = id && choices.find((candidate) => candidate.id === id);
    if (choice) return carried(choice, ctx.state.language);
  }
  return 'open';
}

/** As it is told to the application, in the language in which the person came by. */
function carried(directorate: Directorate, language: string): ChosenDirectorate {
  const { id, agency_code, code } = directorate;
  return { id, agency: agency_code, code, name: nameDirectorate(directorate, language) };
}

/** Whether the person must be asked for a directorate before this client gets an answer. */
export function mustChooseDirectorate(ctx: KoaContextWithOIDC): boolean {
  return ctx.oidc.client?.directorate_required === true && directorateOf(ctx) === undefined;
}

/** The directorate on the grant that the engine has loaded, or the one that a grant is to carry which waits for consent. */
export function directorateOf({ oidc }: KoaContextWithOIDC): ChosenDirectorate | undefined {
  return (oidc.grant as Grant | undefined)?.directorate ?? waiting.get(oidc);
}

/** How long a grant lives from its making: longer than any session (policy). */
export function grantLifetime(): number {
  return policy('grant.lifetime');
}
