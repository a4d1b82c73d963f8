/** Token exchange (RFC 8693): a service changes a token that was sent to it for one of another API, in the same person's name. */

import { createLocalJWKSet, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { errors, type KoaContextWithOIDC, type Provider } from 'oidc-provider';
import { record } from '../../audit/audit.ts';
import { now, nowSeconds } from '../../clock.ts';
import type { Config } from '../../config.ts';
import { type Database, inTransaction } from '../../database.ts';
import { findExchange } from '../../resource-servers/exchanges.ts';
import { engineSteps, requestOfEngine } from '../internals.ts';
import { bindToProof, checkGrantSteps } from '../internals-grants.ts';
import { actorOf, describeTarget, openOrigin, originKeys, passOn } from './resources.ts';

export const exchange_grant = 'urn:ietf:params:oauth:grant-type:token-exchange';

const access_token_type = 'urn:ietf:params:oauth:token-type:access_token';

const parameters = [
  'subject_token',
  'subject_token_type',
  'requested_token_type',
  'actor_token',
  'actor_token_type',
  'resource',
  'audience',
  'scope',
];

// Services that pass a request on to each other in a ring would otherwise make a token longer and longer.
const most_actors = 5;

// Seconds that whole numbers of them can add on the way into a row and out again: the new token ends first, not last.
const rounding = 2;

interface Exchange {
  provider: Provider;
  db: Database;
  /** What opens the origin of a JWT. */
  keys: Buffer[];
}

/** A token that was brought, with everything behind it that must still stand. */
interface Subject {
  account_id: string;
  client_id: string;
  audience: string;
  scopes: string[];
  grant_id: string;
  /** Where it ends with a session. */
  session_uid: string | undefined;
  /** Seconds since the epoch. */
  expires_at: number;
  /** What it says of the sign-in, and who acted before. */
  said: Record<string, unknown>;
  /** The keys it is bound to (RFC 7800). */
  bound_to: { jkt?: string; 'x5t#S256'?: string };
}

/** Registers the grant with the engine. */
export function offerTokenExchange(
  provider: Provider,
  { config, db }: { config: Pick<Config, 'secrets'>; db: Database },
): void {
  checkGrantSteps();
  const offer: Exchange = { provider, db, keys: originKeys(config) };
  const handle = (ctx: KoaContextWithOIDC) => exchangeToken(offer, ctx);
  provider.registerGrantType(exchange_grant, handle, parameters, ['resource', 'audience']);
}

/**
 * The token endpoint's part for this grant. The new token is the old one's client's and ends with its grant: what the person
 * withdraws, a lock or a sign-out ends both. Its subject is what the old one's was, also where that is a pairwise one.
 * @throws an OAuth error (RFC 8693 section 2.2.2)
 */
async function exchangeToken(offer: Exchange, ctx: KoaContextWithOIDC): Promise<void> {
  const { provider, db } = offer;
  const { client } = ctx.oidc;
  if (!client || client.clientAuthMethod === 'none') throw new errors.UnauthorizedClient('client must authenticate');
  const { subject_token, target } = readParameters(ctx);
  const subject = await findSubject(offer, subject_token);
  if (!subject) throw unacceptable();
  const { account_id, client_id, audience, said } = subject;

  const actor = actorOf(said);
  const pair = await findExchange(db, client.clientId, { audience, client_id, actor }, target);
  if (pair === 'foreign') throw unacceptable();
  if (!pair || countActors(said) >= most_actors) throw new errors.InvalidTarget();
  const server = describeTarget(ctx, { ...pair, scopes: narrowScopes(ctx, subject, pair.scopes) });

  const grant = await findGrant(provider, subject);
  const owner = grant && (await provider.Client.find(client_id));
  if (!owner) throw unacceptable();
  ctx.oidc.entity('Grant', grant);
  const token = new provider.AccessToken({
    accountId: account_id,
    client: owner,
    grantId: subject.grant_id,
    gty: exchange_grant,
    expiresWithSession: subject.session_uid !== undefined,
    sessionUid: subject.session_uid,
    expiresIn: Math.min(pair.token_lifetime, subject.expires_at - rounding - nowSeconds()),
  } as ConstructorParameters<Provider['AccessToken']>[0]);
  await bindToProof(provider, ctx, token);
  if (!isBoundAlike(token as Subject['bound_to'], subject.bound_to)) throw unacceptable();
  token.resourceServer = new provider.ResourceServer(pair.identifier, server);
  token.scope = server.scope;
  passOn(ctx, { ...said, act: { sub: client.clientId, ...(said.act ? { act: said.act } : {}) } });
  ctx.oidc.entity('AccessToken', token);
  const access_token = await token.save();

  const detail = { source: audience, target: pair.identifier, scopes: server.scope, of: client_id };
  const request = requestOfEngine()?.sent_by;
  await inTransaction(db, (tx) =>
    record(tx, { kind: 'token_exchanged', account_id, client_id: client.clientId, detail, request }),
  );
  ctx.body = {
    access_token,
    issued_token_type: access_token_type,
    token_type: token.tokenType,
    expires_in: token.expiration,
    scope: server.scope,
  };
}

/** A token that is not ours, not this client's business, or not good any more: the error is one and the same. */
function unacceptable(): errors.InvalidRequest {
  return new errors.InvalidRequest('subject_token is invalid or not acceptable');
}

function readParameters({ oidc }: KoaContextWithOIDC): { subject_token: string; target: string } {
  const params = oidc.params as Record<string, string | string[] | undefined>;
  const { subject_token, subject_token_type, requested_token_type = access_token_type } = params;
  if (typeof subject_token !== 'string') throw new errors.InvalidRequest("missing required parameter 'subject_token'");
  if (subject_token_type !== access_token_type)
    throw new errors.InvalidRequest('subject_token_type must be that of an access token');
  if (requested_token_type !== access_token_type)
    throw new errors.InvalidRequest('requested_token_type must be that of an access token');
  if (params.actor_token !== undefined || params.actor_token_type !== undefined)
    throw new errors.InvalidRequest('actor_token is not supported');
  const named = new Set([params.resource ?? [], params.audience ?? []].flat());
  const [target, ...more] = named;
  if (target === undefined || more.length > 0 || target.includes('\0')) throw new errors.InvalidTarget();
  return { subject_token, target };
}

/** Never more than the old token had and than the pair passes on; asked for or, without a word, all of that. */
function narrowScopes({ oidc }: KoaContextWithOIDC, { scopes }: Subject, passed: string[]): string[] {
  const allowed = passed.filter((scope) => scopes.includes(scope));
  const asked = oidc.params?.scope === undefined ? allowed : [...oidc.requestParamScopes];
  const beyond = asked.find((scope) => !allowed.includes(scope));
  if (beyond !== undefined || asked.length === 0)
    throw new errors.InvalidScope('requested scope is not allowed', beyond ?? '');
  return asked;
}

async function findSubject(offer: Exchange, raw: string): Promise<Subject | undefined> {
  return raw.includes('.') ? readJwt(offer, raw) : findOpaque(offer, raw);
}

async function findOpaque({ provider }: Exchange, raw: string): Promise<Subject | undefined> {
  if (!/^[\w-]{20,200}$/.test(raw)) return undefined;
  const token = await provider.AccessToken.find(raw);
  if (!token?.accountId || !token.clientId || !token.grantId || typeof token.aud !== 'string') return undefined;
  const { jkt, 'x5t#S256': x5t } = token as Subject['bound_to'];
  return {
    account_id: token.accountId,
    client_id: token.clientId,
    audience: token.aud,
    scopes: [...token.scopes],
    grant_id: token.grantId,
    session_uid: token.expiresWithSession ? token.sessionUid : undefined,
    expires_at: token.exp ?? 0,
    said: { ...token.extra },
    bound_to: { ...(jkt ? { jkt } : {}), ...(x5t ? { 'x5t#S256': x5t } : {}) },
  };
}

/** By the set that the engine has at a time, which is another one after every turn of the keys. */
const published = new WeakMap<object, JWTVerifyGetKey>();

function publishedKeys(provider: Provider): JWTVerifyGetKey {
  const { jwks } = engineSteps(provider);
  const known = published.get(jwks) ?? createLocalJWKSet(jwks);
  published.set(jwks, known);
  return known;
}

/** One of our own, signed by a key that we publish; of the account behind it only we can read. */
async function readJwt({ provider, keys }: Exchange, raw: string): Promise<Subject | undefined> {
  const checks = { issuer: provider.issuer, typ: 'at+jwt', currentDate: now() };
  const payload = await jwtVerify(raw, publishedKeys(provider), checks).then(
    (verified) => verified.payload,
    () => undefined,
  );
  const origin = payload && openOrigin(keys, payload.exchange, payload.jti);
  if (!origin || typeof payload.aud !== 'string') return undefined;
  const { auth_time, acr, amr, act } = payload;
  return {
    account_id: origin.account_id,
    client_id: origin.client_id,
    audience: payload.aud,
    scopes: String(payload.scope ?? '').split(' '),
    grant_id: origin.grant_id,
    session_uid: origin.session_uid ?? undefined,
    expires_at: payload.exp ?? 0,
    said: Object.fromEntries(Object.entries({ auth_time, acr, amr, act }).filter(([, value]) => value !== undefined)),
    bound_to: (payload.cnf ?? {}) as Subject['bound_to'],
  };
}

/**
 * The grant behind a token, read with the account's standing: a locked account, an older generation, a withdrawal and a
 * sign-out all leave none.
 */
async function findGrant(provider: Provider, subject: Subject) {
  const { account_id, client_id, grant_id, session_uid, expires_at } = subject;
  if (expires_at - rounding <= nowSeconds()) return undefined;
  const grant = await provider.Grant.find(grant_id);
  if (!grant || grant.isExpired || grant.accountId !== account_id || grant.clientId !== client_id) return undefined;
  if (session_uid === undefined) return grant;
  const session = await provider.Session.findByUid(session_uid);
  return session?.accountId === account_id && session.grantIdFor(client_id) === grant_id ? grant : undefined;
}

/** Whoever brings a token that is bound to a key proves that key, or a stolen one would become one that is bound to nothing. */
function isBoundAlike(token: Subject['bound_to'], subject: Subject['bound_to']): boolean {
  return (['jkt', 'x5t#S256'] as const).every((name) => subject[name] === undefined || subject[name] === token[name]);
}

function countActors(said: Record<string, unknown>): number {
  let count = 0;
  for (let at = said.act as { act?: unknown } | undefined; at; at = at.act as typeof at) count += 1;
  return count;
}
