/** The door through which clients register themselves (RFC 7591, RFC 7592): whether it is open, and what they may say there. */

import type { Context, Next } from 'koa';
import { type ClientMetadata, type Configuration, errors, type KoaContextWithOIDC, type Provider } from 'oidc-provider';
import { checkAddresses, isLoopback } from '../../clients/addresses.ts';
import type { ClientStore } from '../../clients/client.ts';
import { ownMetadata } from '../../clients/engine-client.ts';
import { signsWithSecret } from '../../clients/secret-use.ts';
import { isClientSecret } from '../../clients/secrets.ts';
import type { Config } from '../../config.ts';
import { randomToken } from '../../crypto.ts';
import type { Database } from '../../database.ts';
import { refuse } from '../../http/errors.ts';
import type { RequestContext } from '../../http/guard.ts';
import { translator } from '../../i18n/messages.ts';
import type { Limits } from '../../limits/limits.ts';
import { mayReach } from '../../outbound.ts';
import { policy } from '../../policy/policy.ts';
import { registration_rules } from './initial-tokens.ts';

// What an agency or an officer is told is not for whoever nobody has looked at.
const scopes = ['openid', 'profile', 'email', 'phone', 'address', 'offline_access', 'organization'];
const grant_types = ['authorization_code', 'refresh_token'];
// No ID token by the browser: whoever needs one there is looked at first.
const response_types = ['code', 'none'];

/** Addresses that this service calls itself. */
const called = ['jwks_uri', 'sector_identifier_uri', 'backchannel_logout_uri'] as const;

const longest_name = 100;
const deepest = 6;

/** The engine's two features. For the engine they are always on; `guardRegistration` decides whether they are reached. */
export const registrationFeatures = {
  registration: {
    enabled: true,
    initialAccessToken: true,
    // Never to be mistaken for a person's subject (RFC 9700 section 4.15).
    idFactory: () => `dynamic-${randomToken(16)}`,
    secretFactory: () => randomToken(),
    policies: { [registration_rules]: checkMetadata },
  },
  registrationManagement: { enabled: true, rotateRegistrationAccessToken: true },
} satisfies Configuration['features'];

/**
 * A registration access token does not end while its client lives: whoever lost it could never put anything right (RFC 7592
 * section 5). Fifty years in seconds, since the engine's records all have an end.
 */
export const registration_token_lifetime = 50 * 365 * 86_400;

interface RegistrationDoor {
  db: Database;
  limits: Limits;
  /** Keeps the picture that a client names (registered-logo.ts). */
  keepLogo: (client_id: string, logo_uri: unknown) => Promise<void>;
}

/**
 * Stands before the engine. While the policy is off there is no such address, and discovery names none; a change of the
 * policy holds from the next request on. While it is on, tries that fail are counted by address.
 */
export function guardRegistration({ db, limits, keepLogo }: RegistrationDoor) {
  return async (ctx: Context, next: Next): Promise<void> => {
    const is_open = policy('clients.dynamic_registration');
    // The engine compares paths without regard to case.
    if (!/^\/connect\/register(\/|$)/i.test(ctx.path)) {
      await next();
      if (!is_open) dropFields(ctx.body, ['registration_endpoint']);
      return;
    }
    if (!is_open) return;
    const { address } = ctx.state;
    const spent = await limits.spend(db, 'registration_address', address);
    if (spent.state === 'refused') {
      const words = { title: 'errors.too_many.title', text: 'errors.too_many.text' };
      refuse(ctx as unknown as RequestContext, 429, 'too_many', words, { retry_after: spent.retry_after });
      return;
    }
    await next();
    if (ctx.status >= 400) return;
    await limits.giveBack(db, 'registration_address', address, spent.count);
    tidy(ctx as unknown as KoaContextWithOIDC);
    const { oidc } = ctx as unknown as KoaContextWithOIDC;
    const { client_id, logo_uri } = (ctx.body ?? {}) as { client_id?: unknown; logo_uri?: unknown };
    // At a change the engine has the client as it was; a picture that it goes on naming stays, also one that we put in its place.
    const names_logo =
      oidc.route === 'registration' || (oidc.route === 'client_update' && oidc.client?.logoUri !== logo_uri);
    if (names_logo && typeof client_id === 'string') await keepLogo(client_id, logo_uri);
  };
}

/**
 * Takes out of the answer what is not the client's. Its secret, of which only a keyed hash is kept, is told while it is new
 * and left out of every later answer (RFC 7591 section 3.2.1 lets it be absent): a reading that made a new one each time would
 * put the application out of work whenever an answer is lost.
 */
function tidy({ body, oidc }: KoaContextWithOIDC): void {
  dropFields(body, ownMetadata);
  const { client_secret } = (body ?? {}) as { client_secret?: unknown };
  if (oidc.route !== 'registration' && client_secret === oidc.client?.clientSecret) dropFields(body, ['client_secret']);
}

function dropFields(body: unknown, fields: readonly string[]): void {
  if (typeof body !== 'object' || body === null) return;
  for (const field of fields) delete (body as Record<string, unknown>)[field];
}

/**
 * Our rules for what a client says of itself, before the engine's. What is ours is left out and not refused, as everything
 * that is not understood (RFC 7591 section 2).
 * @throws InvalidClientMetadata whose description names the field
 */
function checkMetadata({ oidc }: KoaContextWithOIDC, metadata: ClientMetadata): void {
  dropFields(metadata, ownMetadata);
  // What would turn a name around on the consent page, and what PostgreSQL keeps in no text.
  if (!isPlain(metadata, deepest)) throw invalid('metadata must not hold control characters or deep nesting');
  for (const [name, value] of Object.entries(metadata)) {
    if (name.startsWith('client_name') && String(value).length > longest_name)
      throw invalid(`${name} must have at most ${longest_name} characters`);
  }
  const [wrong] = Object.entries(checkAddresses(metadata));
  if (wrong) throw invalid(`${wrong[0]}: ${translator('en')(wrong[1])}`);
  if ([metadata.grant_types ?? []].flat().some((type) => !grant_types.includes(type)))
    throw invalid(`grant_types can only contain ${grant_types.join(', ')}`);
  if ([metadata.response_types ?? []].flat().some((type) => !response_types.includes(type)))
    throw invalid(`response_types can only contain ${response_types.join(', ')}`);
  // Never without a list: the engine lets a client that has none ask for everything.
  metadata.scope ??= scopes.join(' ');
  if (typeof metadata.scope === 'string' && metadata.scope.split(' ').some((scope) => !scopes.includes(scope)))
    throw invalid(`scope can only contain ${scopes.join(', ')}`);
  // What it could never have is left out (RFC 7591 section 2), or our own rules would refuse its next change.
  const grants = [metadata.grant_types ?? 'authorization_code'].flat();
  if (typeof metadata.scope === 'string' && !grants.includes('refresh_token')) {
    metadata.scope = metadata.scope
      .split(' ')
      .filter((scope) => scope !== 'offline_access')
      .join(' ');
    if (metadata.scope === '') throw invalid('scope must not be offline_access alone without refresh tokens');
  }
  // From now on it signs with its secret, and of the one it has there is only a hash.
  const before = oidc.route === 'client_update' ? oidc.client?.metadata() : undefined;
  if (before?.client_secret && signsWithSecret(metadata) && !signsWithSecret(before))
    Object.assign(metadata, { client_secret: randomToken(), client_secret_expires_at: 0 });
}

function isPlain(value: unknown, depth: number): boolean {
  if (typeof value === 'string') return !/[\p{C}\p{Zl}\p{Zp}]/u.test(value);
  if (typeof value !== 'object' || value === null) return true;
  return depth > 0 && Object.entries(value).every(([name, part]) => isPlain(name, 0) && isPlain(part, depth - 1));
}

function invalid(description: string): errors.InvalidClientMetadata {
  return new errors.InvalidClientMetadata(description);
}

/**
 * Our checks of metadata beside the engine's own, for every way by which a client is registered or changed; those that hold
 * for as long as it lives also whenever one is read.
 */
export function checkBesideEngine(config: Pick<Config, 'private_hosts' | 'url'>) {
  const checks = [refusePrivateHosts(config), refuseOurAddress(config)];
  return (...[ctx, key, value, metadata]: Parameters<(typeof checks)[0]>): void => {
    for (const check of checks) check(ctx, key, value, metadata);
  };
}

/** Codes end at an application, never at a page of ours, which would take them for its own: a trial's, or the portal's. */
function refuseOurAddress({ url }: Pick<Config, 'url'>) {
  const ours = new URL(url).origin;
  return (
    _ctx: KoaContextWithOIDC | undefined,
    key: string,
    _value: unknown,
    metadata: ClientMetadata & { origin?: unknown },
  ): void => {
    // What is kept has an origin; our own clients, which do come back here, are among that.
    if (key !== 'origin' || metadata.origin !== undefined) return;
    const addresses: unknown[] = [metadata.redirect_uris ?? []].flat();
    if (addresses.some((address) => URL.parse(String(address))?.origin === ours))
      throw invalid('redirect_uris must not lead to this service');
  };
}

/**
 * The engine's check of metadata beside its own, run at a registration and whenever a client is read. What a dynamic client
 * has us call is on the open network: hosts on private ones that the operator confirmed are not for it, nor those to come.
 */
export function refusePrivateHosts({ private_hosts }: Pick<Config, 'private_hosts'>) {
  const isOpen = onOpenNetwork({ private_hosts });
  return (
    ctx: KoaContextWithOIDC | undefined,
    key: string,
    _value: unknown,
    metadata: ClientMetadata & { origin?: unknown },
  ): void => {
    // A context is there at a registration only, whose client has no origin yet.
    if (key !== 'origin' || (!ctx && metadata.origin !== 'dynamic')) return;
    for (const name of called) {
      const address = metadata[name];
      const url = typeof address === 'string' ? URL.parse(address) : null;
      if (url && !isOpen(url)) throw invalid(`${name} must be an https address that everybody can reach`);
    }
  };
}

/** Whether an address that nobody of ours has looked at may be called: by https, and on the open network. */
export function onOpenNetwork({ private_hosts }: Pick<Config, 'private_hosts'>): (url: URL) => boolean {
  const confirmed = new Set(private_hosts.map((host) => host.toLowerCase().replace(/:\d+$/, '')));
  return (url) => url.protocol === 'https:' && !isPrivate(url.hostname, confirmed);
}

// Names are looked up when they are called (outbound.ts).
function isPrivate(hostname: string, confirmed: ReadonlySet<string>): boolean {
  const is_number = /^[\d.]+$|^\[/.test(hostname);
  const is_reached = !is_number || mayReach(hostname.replace(/^\[|\]$/g, ''), false);
  return isLoopback(hostname) || confirmed.has(hostname) || !is_reached;
}

/**
 * A change may name the secret that the client has (RFC 7592 section 2.2), and the engine compares it with the stand-in that
 * it holds. One that is right by its hash is taken out before that; a wrong one stays and is refused.
 */
export function acceptOwnSecret(provider: Provider, clients: ClientStore): void {
  const { prototype } = provider.OIDCContext as unknown as { prototype: object };
  if ('body' in prototype) throw new Error('the engine changed: OIDCContext has a body of its own');
  const bodies = new WeakMap<object, unknown>();
  Object.defineProperty(prototype, 'body', {
    configurable: true,
    get() {
      return bodies.get(this);
    },
    set(this: KoaContextWithOIDC['oidc'], body: { client_secret?: unknown } | null | undefined) {
      const { client_secret } = body ?? {};
      if (this.route === 'client_update' && typeof client_secret === 'string') {
        if (isClientSecret(clients, this.client?.secret_hashes, client_secret)) dropFields(body, ['client_secret']);
      }
      bodies.set(this, body);
    },
  });
}
