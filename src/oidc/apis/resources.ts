/** Tokens for registered APIs (RFC 8707, RFC 9068): who gets one, what it says, and who may ask what an opaque one says. */

import { errors, type KoaContextWithOIDC } from 'oidc-provider';
import type { Config } from '../../config.ts';
import { deriveKeys, open, seal } from '../../crypto.ts';
import type { Database } from '../../database.ts';
import { type AddressedToken, findTarget, servesToken, type TokenTarget } from '../../resource-servers/grants.ts';
import { isReserved } from '../../resource-servers/resource-server.ts';
import type { Client } from '../clients/clients.ts';
import { Kept } from '../clients/kept.ts';

const longest_identifier = 300;

/** By request: the APIs for which it may get a token, by their identifiers. */
const targets = new WeakMap<object, Map<string, TokenTarget>>();

/** By request: what a token tells of a sign-in that another token told of. */
const passed_on = new WeakMap<object, Record<string, unknown>>();

/**
 * The engine's `getResourceServerInfo`: asked at an authorization and again for every token, so that what is taken back or
 * narrowed meanwhile does not come out of a code or a refresh token.
 */
export function findResource(db: Database) {
  const kept = new Kept<TokenTarget>();
  return async (ctx: KoaContextWithOIDC, identifier: string, client: Client) => {
    // PostgreSQL keeps no NUL in text; no API has one in its name.
    if (identifier.length > longest_identifier || identifier.includes('\0')) throw new errors.InvalidTarget();
    const is_own = ctx.oidc.route === 'token' && ctx.oidc.params?.grant_type === 'client_credentials';
    const purpose = is_own ? 'for_itself' : 'for_people';
    const { clientId: client_id } = client;
    const find = () => findTarget(db, identifier, { client_id, purpose });
    const target = await kept.get(db, JSON.stringify([identifier, client_id, purpose]), find);
    if (!target) throw new errors.InvalidTarget();
    const described = describeTarget(ctx, target);
    // Less than was asked for is told; nothing of it, the engine would give without a word (RFC 6749 section 5.1).
    const asked = is_own
      ? String(ctx.oidc.params?.scope ?? '')
          .split(' ')
          .filter(Boolean)
      : [];
    const allowed = described.scope.split(' ');
    if (asked.length > 0 && !asked.some((scope) => allowed.includes(scope)))
      throw new errors.InvalidScope('requested scope is not allowed for this resource', asked.join(' '));
    return described;
  };
}

/** An API in the engine's words; the token for it is addressed to it alone. */
export function describeTarget({ oidc }: KoaContextWithOIDC, target: TokenTarget) {
  targets.set(oidc, (targets.get(oidc) ?? new Map()).set(target.identifier, target));
  const { identifier, scopes, token_format, token_lifetime, signing_alg } = target;
  return {
    // A later release may take a name for itself that an API had before.
    scope: scopes.filter((scope) => !isReserved(scope)).join(' '),
    audience: identifier,
    accessTokenTTL: token_lifetime,
    accessTokenFormat: token_format,
    ...(token_format === 'jwt' ? { jwt: { sign: { alg: signing_alg } } } : {}),
  };
}

/** What a request asks for at APIs, in the words of a consent: each API, and each scope behind the API's identifier. */
export function listAskedAccess({ oidc }: KoaContextWithOIDC): string[] {
  return Object.entries(oidc.resourceServers ?? {}).flatMap(([identifier, { scope }]) => {
    const there = new Set(scope.split(' '));
    const asked = [...oidc.requestParamScopes].filter((one) => there.has(one));
    return [identifier, ...asked.map((one) => `${identifier} ${one}`)];
  });
}

/** A scope of an API as it stands in a consent, taken apart; none where it names the API alone. */
export function readAccess(access: string): { identifier: string; scope: string | undefined } {
  const [identifier = '', scope] = access.split(' ');
  return { identifier, scope };
}

/** As much of an access token as this file reads. */
interface Issued {
  kind: string;
  jti?: string;
  aud?: string | string[] | undefined;
  accountId?: string;
  clientId?: string | undefined;
  grantId?: string;
  sessionUid?: string | undefined;
  expiresWithSession?: boolean | undefined;
}

/** What a token for an API says of the sign-in behind it (RFC 9068 section 2.2.1); that of a client for itself says nothing. */
export function tellSignIn({ oidc }: KoaContextWithOIDC, token: object): Record<string, unknown> | undefined {
  const { kind, aud } = token as Issued;
  if (kind !== 'AccessToken' || aud === undefined) return undefined;
  const { AuthorizationCode, RefreshToken, DeviceCode } = oidc.entities;
  const source = AuthorizationCode ?? RefreshToken ?? DeviceCode;
  return passed_on.get(oidc) ?? (source && { auth_time: source.authTime, acr: source.acr, amr: source.amr });
}

/** Has the token that this request issues say what another said of its sign-in, and who acts now. */
export function passOn({ oidc }: KoaContextWithOIDC, said: Record<string, unknown>): void {
  passed_on.set(oidc, said);
}

/** Behind a JWT: what ends with it, and the account that a pairwise subject does not tell. */
export interface Origin {
  account_id: string;
  client_id: string;
  grant_id: string;
  /** The session with which it ends; null where it outlives that. */
  session_uid: string | null;
}

const sealing = 'token exchange';

/**
 * The engine's last look at a JWT. Where it may be exchanged it gets, sealed, what that must know of it: no row is kept of it,
 * and a token that never comes back needs none. One that came of an exchange names the client that asked for it (RFC 8693
 * section 4.3); for the engine it stays that of the client which the person let in.
 */
export function completeJwt({ secrets }: Pick<Config, 'secrets'>) {
  const [key] = deriveKeys(secrets, sealing);
  return (ctx: KoaContextWithOIDC | undefined, token: object, { payload }: { payload?: Record<string, unknown> }) => {
    const { kind, jti, aud, accountId, clientId, grantId, sessionUid, expiresWithSession } = token as Issued;
    if (kind !== 'AccessToken' || !payload) return;
    const actor = actorOf(payload);
    if (actor !== undefined) payload.client_id = actor;
    const target = ctx && targets.get(ctx.oidc)?.get(String(aud));
    if (!target?.is_passed_on || !accountId || !clientId || !grantId) return;
    const session_uid = expiresWithSession ? (sessionUid ?? null) : null;
    const origin: Origin = { account_id: accountId, client_id: clientId, grant_id: grantId, session_uid };
    payload.exchange = seal(key as Buffer, JSON.stringify(origin), `access token:${jti}`);
  };
}

/** Opens what `completeJwt` put into a JWT whose signature was checked; undefined when there is nothing to open. */
export function openOrigin(keys: Buffer[], sealed: unknown, jti: unknown): Origin | undefined {
  if (typeof sealed !== 'string') return undefined;
  try {
    return JSON.parse(open(keys, sealed, `access token:${jti}`)) as Origin;
  } catch {
    // Sealed with a secret that is configured no more.
    return undefined;
  }
}

/** The keys that open what stands sealed in a JWT. */
export function originKeys({ secrets }: Pick<Config, 'secrets'>): Buffer[] {
  return deriveKeys(secrets, sealing);
}

/** Who acts in a token that came of an exchange (RFC 8693 section 4.1). */
export function actorOf(extra: unknown): string | undefined {
  const { sub } = ((extra ?? {}) as { act?: { sub?: unknown } }).act ?? {};
  return typeof sub === 'string' ? sub : undefined;
}

/**
 * The engine's policy of introspection: a client asks about its own tokens, and about opaque access tokens that are addressed to
 * its API. Who cannot prove to be that client learns nothing.
 */
export function mayIntrospect(db: Database) {
  const kept = new Kept<true>();
  const isServed = (asker: string, token: AddressedToken) =>
    kept.get(db, JSON.stringify([asker, token]), async () => (await servesToken(db, asker, token)) || undefined);
  return async (ctx: KoaContextWithOIDC, client: Client, token: object): Promise<boolean> => {
    const { kind, aud, clientId, extra } = token as Issued & { extra?: unknown };
    if (kind === 'RefreshToken' || typeof aud !== 'string' || clientId === undefined)
      return clientId === client.clientId;
    const actor = actorOf(extra);
    const is_own = clientId === client.clientId && actor === undefined;
    if (!is_own && client.clientAuthMethod === 'none') return false;
    if (!is_own && !(await isServed(client.clientId, { audience: aud, client_id: clientId, actor }))) return false;
    if (actor !== undefined) nameActor(ctx, actor);
    return true;
  };
}

/** The engine goes on to name the client that the person let in; what came of an exchange names the one that asked for it. */
function nameActor({ body }: KoaContextWithOIDC, actor: string): void {
  Object.defineProperty(body, 'client_id', { enumerable: true, get: () => actor, set: () => undefined });
}
