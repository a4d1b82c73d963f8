/** Requests to the engine's token and userinfo endpoints that come over no wire: a trial asks them in its client's place. */

import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import { errors, type KoaContextWithOIDC, type Provider } from 'oidc-provider';
import { nowSeconds } from '../../clock.ts';
import { digest, randomToken } from '../../crypto.ts';
import type { Client } from '../clients/clients.ts';
import { engineSteps, type RunningTrial } from '../internals.ts';

/** Who asks: a client, for a trial where a person takes part in it, with a key of its own where its tokens are bound to one. */
export interface Asker {
  provider: Provider;
  client: Client;
  trial: RunningTrial | undefined;
  key: ProofKey | undefined;
}

interface ProofKey {
  jwk: JWK;
  private_key: CryptoKey;
}

/** What the token endpoint answers (RFC 6749 section 5.1). It holds the tokens themselves, so it goes nowhere as it is. */
export interface TokenAnswer {
  access_token: string;
  token_type: string;
  expires_in?: number;
  id_token?: string;
  refresh_token?: string;
  scope?: string;
}

/** An asker; a client whose tokens must be bound to a key (RFC 9449) gets one that nobody keeps. */
export async function openAsker(provider: Provider, client: Client, trial: RunningTrial | undefined): Promise<Asker> {
  return { provider, client, trial, key: client.dpopBoundAccessTokens ? await makeKey() : undefined };
}

async function makeKey(): Promise<ProofKey> {
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  return { jwk: await exportJWK(publicKey), private_key: privateKey };
}

/**
 * A request to the token endpoint from behind the client's authentication: the engine's own handler of the grant runs, with
 * every check it makes.
 * @throws an OAuth error of the engine
 */
export async function askToken(asker: Asker, params: Record<string, string | undefined>): Promise<TokenAnswer> {
  const { provider, client } = asker;
  const { grant_type = '' } = params;
  const handle = engineSteps(provider).grant(grant_type);
  if (!handle) throw new Error(`the engine changed: it has no handler for ${grant_type}`);
  if (!client.grantTypeAllowed(grant_type)) {
    throw new errors.InvalidRequest('requested grant type is not allowed for this client');
  }
  const ctx = await openContext(asker, 'POST', 'token');
  ctx.oidc.entity('Client', client);
  Object.assign(ctx.oidc, { params });
  await inContext(asker, ctx, () => handle(ctx, async () => undefined));
  return ctx.body as TokenAnswer;
}

/**
 * A request to the userinfo endpoint (OpenID Connect Core 5.3).
 * @returns the claims, or a JWT where the client is registered for one
 * @throws an OAuth error of the engine
 */
export async function askUserinfo(
  asker: Asker,
  { access_token, token_type }: TokenAnswer,
): Promise<Record<string, unknown> | string> {
  const ctx = await openContext(asker, 'GET', 'userinfo', { access_token, token_type });
  const steps = engineSteps(asker.provider).userinfo;
  const goOn = async (at: number): Promise<void> => steps[at]?.(ctx, () => goOn(at + 1));
  await inContext(asker, ctx, () => goOn(0));
  return ctx.body as Record<string, unknown> | string;
}

/** Reads something of the engine as this request would find it. */
export async function readAs<T>(asker: Asker, read: (ctx: KoaContextWithOIDC) => Promise<T>): Promise<T> {
  const ctx = await openContext(asker, 'POST', 'token');
  ctx.oidc.entity('Client', asker.client);
  return inContext(asker, ctx, () => read(ctx));
}

function inContext<T>({ provider }: Asker, ctx: KoaContextWithOIDC, work: () => Promise<T>): Promise<T> {
  return engineSteps(provider).answering(ctx, work);
}

/** A context as the engine's router makes it, over a request and an answer that belong to no connection. */
async function openContext(
  asker: Asker,
  method: 'GET' | 'POST',
  route: 'token' | 'userinfo',
  token?: Pick<TokenAnswer, 'access_token' | 'token_type'>,
): Promise<KoaContextWithOIDC> {
  const { provider, trial } = asker;
  const { host, pathname } = new URL(provider.issuer);
  const request = Object.assign(new IncomingMessage(new Socket()), { method, url: `${pathname}/${route}` });
  request.headers.host = host;
  if (token) request.headers.authorization = `${token.token_type} ${token.access_token}`;
  const ctx = provider.createContext(request, new ServerResponse(request)) as unknown as KoaContextWithOIDC;
  Object.assign(ctx, { _matchedRouteName: route, mountPath: pathname });
  Object.assign(ctx.state, { trial });
  Object.assign(ctx, { oidc: new provider.OIDCContext(ctx) });
  if (asker.key) request.headers.dpop = await prove(asker, method, ctx.oidc.urlFor(route), token?.access_token);
  return ctx;
}

/** A proof of possession for one request (RFC 9449 section 4.2). */
async function prove({ provider, key }: Asker, htm: string, htu: string, token: string | undefined): Promise<string> {
  const { jwk, private_key } = key as ProofKey;
  const nonce = engineSteps(provider).dpopNonce();
  return new SignJWT({ htm, htu, ...(nonce ? { nonce } : {}), ...(token ? { ath: digest(token) } : {}) })
    .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk })
    .setIssuedAt(nowSeconds())
    .setJti(randomToken(16))
    .sign(private_key);
}
