/** What an application was granted in a session: scopes and the chosen directorate, written in this one place. */

import type { KoaContextWithOIDC } from 'oidc-provider';
import { randomToken } from '../crypto.ts';
import type { Database } from '../database.ts';
import { type Directorate, listDirectoratesOf } from '../organisations.ts';
import { policy } from '../policy.ts';
import type { ChosenDirectorate } from './claims.ts';
import { claimEntry, sessionIsOver } from './session-store.ts';
import { endGrant } from './store.ts';

type Grant = InstanceType<KoaContextWithOIDC['oidc']['provider']['Grant']> & {
  generation?: number;
  directorate?: ChosenDirectorate;
};

/**
 * The engine's `loadExistingGrant`; it runs at every authorization and again at every resume. Gives the grant of this
 * client in this session, brought up to what was asked and answered, or nothing while a question is open: a grant saved
 * then would be left over by everyone who walks away.
 *
 * A changed directorate makes a new grant and ends the old one with all its codes and tokens: those that are bound to the
 * session would lose their grant anyway, the others would keep telling the old directorate.
 * @throws SessionNotFound when the session ended meanwhile
 */
export async function loadExistingGrant(db: Database, ctx: KoaContextWithOIDC): Promise<Grant | undefined> {
  const { client, session, provider } = ctx.oidc;
  if (!client || !session?.accountId) return undefined;
  // Each turn of the loop follows another tab that came first with a grant of its own.
  for (let turns = 0; turns < 10; turns += 1) {
    const grant_id = session.grantIdFor(client.clientId);
    const stored = grant_id ? ((await provider.Grant.find(grant_id)) as Grant | undefined) : undefined;
    // Until the consent page exists, only first-party clients are granted anything; the others meet the engine's question.
    if (!client.first_party) return stored;

    const directorate = await decideDirectorate(db, ctx, stored);
    if (directorate === 'open') return undefined;
    const is_same = stored?.directorate?.id === directorate?.id;
    if (stored && is_same) return widen(stored, ctx);

    const grant = await makeGrant(ctx, directorate);
    if (await replaceGrant(db, ctx, grant_id, grant)) return grant;
  }
  throw sessionIsOver();
}

async function makeGrant(ctx: KoaContextWithOIDC, directorate: ChosenDirectorate | undefined): Promise<Grant> {
  const { client, session, provider } = ctx.oidc;
  const owners = { accountId: session?.accountId as string, clientId: client?.clientId as string };
  const grant = new provider.Grant(owners) as Grant;
  const { generation } = session as { generation?: number };
  if (generation !== undefined) grant.generation = generation;
  if (directorate) grant.directorate = directorate;
  addScopes(grant, ctx);
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
  const held = await claimEntry(db, session.uid, client_id, old_id, { sid, grantId: jti });
  if (held?.grantId !== jti) await endGrant(db, jti);
  if (!held?.grantId || !held.sid) throw sessionIsOver();
  session.sidFor(client_id, held.sid);
  session.grantIdFor(client_id, held.grantId);
  if (held.grantId !== jti) return false;
  if (old_id) await endGrant(db, old_id);
  return true;
}

/** Adds scopes that this request asks for and the grant has not; a grant that has them is not written again. */
async function widen(grant: Grant, ctx: KoaContextWithOIDC): Promise<Grant> {
  const before = grant.getOIDCScope();
  addScopes(grant, ctx);
  if (grant.getOIDCScope() !== before) await grant.save();
  return grant;
}

function addScopes(grant: Grant, { oidc }: KoaContextWithOIDC): void {
  const scopes = [...oidc.requestParamOIDCScopes];
  if (scopes.length > 0) grant.addOIDCScope(scopes.join(' '));
  const claims = [...oidc.requestParamClaims];
  if (claims.length > 0) grant.addOIDCClaims(claims);
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
    if (choice) return carried(choice);
  }
  return 'open';
}

function carried({ id, agency_code, code, name }: Directorate): ChosenDirectorate {
  return { id, agency: agency_code, code, name };
}

/** Whether the person must be asked for a directorate before this client gets an answer. */
export function mustChooseDirectorate({ oidc }: KoaContextWithOIDC): boolean {
  return oidc.client?.directorate_required === true && (oidc.grant as Grant | undefined)?.directorate === undefined;
}

/** How long a grant lives from its making: longer than any session (policy). */
export function grantLifetime(): number {
  return policy('grant.lifetime');
}
