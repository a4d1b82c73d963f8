/** Who asks the interface for programs: the token, what its bearer may do, what is left of the rate, in which language. */

import type { Context } from 'koa';
import { translator } from '../i18n/messages.ts';
import { numbersOf } from '../limits/table.ts';
import type { Bearer } from '../oidc/apis/bearer.ts';
import { listRoles, type RoleAssignment } from '../permissions.ts';
import { problem } from './api-answer.ts';
import type { ConsoleStore } from './console.ts';
import { type Desk, resources } from './resource.ts';

/** What the interface needs: what the console needs, and the engine's word on tokens. */
export interface ApiStore extends ConsoleStore {
  findBearer(raw: string): Promise<Bearer | undefined>;
  /** The role with which a client acts for itself, and its agency; undefined when it may not. */
  findClientRole(client_id: string): Promise<{ role: string; agency_code: string | null } | undefined>;
}

/** Who asks, by the token in the Authorization header (RFC 6750 section 2.1; nowhere else, so that no log keeps it). */
export async function authenticate(
  ctx: Context,
  { findSignedIn: _, findBearer, findClientRole, ...store }: ApiStore,
): Promise<Desk | undefined> {
  speak(ctx);
  const [, raw] = /^Bearer ([\w.~+/-]+=*)$/i.exec(ctx.get('authorization')) ?? [];
  const bearer = raw === undefined ? undefined : await findBearer(raw);
  if (!bearer) {
    ctx.set(
      'www-authenticate',
      `Bearer realm="${store.config.issuer}"${raw === undefined ? '' : ', error="invalid_token"'}`,
    );
    problem(ctx, 401, raw === undefined ? 'token_missing' : 'invalid_token');
    return undefined;
  }
  const { account_id, client_id, scopes, signed_in_at } = bearer;
  const roles = account_id ? await listRoles(store.db, account_id) : await rolesOfClient(findClientRole, client_id);
  return {
    ...store,
    actor: { account_id, client_id, roles, scopes, signed_in_at, session_uid: null },
    request: { address: ctx.state.address, user_agent: ctx.get('user-agent'), request_id: ctx.state.request_id },
    language: ctx.state.language,
    findResource: (name) => resources.find((resource) => resource.name === name),
  };
}

// A client that acts for itself has the one role that an administrator gave it, at its agency; the same table decides then.
async function rolesOfClient(find: ApiStore['findClientRole'], client_id: string): Promise<RoleAssignment[]> {
  const held = await find(client_id);
  if (!held) return [];
  const { role, agency_code } = held;
  const nobody = { id: '', account_id: '', organisation_id: null, level: 1, granted_by: null, granted_at: new Date(0) };
  return [{ ...nobody, role, agency_code }];
}

/** Pays for the request and says what is left (the RateLimit header fields). */
export async function payRate(ctx: Context, { db, links, actor }: Desk): Promise<boolean> {
  const { free, forget } = numbersOf('api');
  const spent = await links.limits.spend(db, 'api', [actor.account_id ?? '', actor.client_id ?? '']);
  const left = spent.state === 'allowed' ? Math.max(0, free - spent.count) : 0;
  const reset = spent.state === 'allowed' ? forget : spent.retry_after;
  ctx.set('ratelimit-policy', `"api";q=${free};w=${forget}`);
  ctx.set('ratelimit', `"api";r=${left};t=${reset}`);
  if (spent.state === 'allowed') return true;
  ctx.set('retry-after', String(spent.retry_after));
  problem(ctx, 429, 'too_many_requests');
  return false;
}

/** Says which scope would do it (RFC 6750 section 3.1). */
export function refuseScope(ctx: Context, permission: string): void {
  ctx.set('www-authenticate', `Bearer error="insufficient_scope", scope="${permission}"`);
  problem(ctx, 403, 'insufficient_scope');
}

// Programs keep no cookie of a language, so they say with each request in which one they read problems.
function speak(ctx: Context): void {
  const language = ctx.get('accept-language') && ctx.acceptsLanguages('id', 'en');
  if (language !== 'id' && language !== 'en') return;
  ctx.state.language = language;
  ctx.state.t = translator(language);
}
