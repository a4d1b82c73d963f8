/** What a trial shows: its tokens decoded claim by claim, and never the tokens themselves. */

import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose';
import type { KoaContextWithOIDC } from 'oidc-provider';
import { now, nowSeconds } from '../../clock.ts';
import { engineSteps } from '../internals.ts';
import { type Asker, readAs, type TokenAnswer } from './in-process.ts';

/** A token, or the answer of userinfo, as it may be shown. */
export interface TriedToken {
  kind: 'access_token' | 'id_token' | 'refresh_token' | 'userinfo';
  /** `encrypted`: only the client's own key opens it. `plain`: userinfo as JSON. */
  format: 'opaque' | 'signed' | 'encrypted' | 'plain';
  /** The token itself is in no part of this. */
  raw_hidden: true;
  /** The protected header of a signed or encrypted one. */
  header: Record<string, unknown> | undefined;
  /** What it says; of an opaque one what the engine keeps for it; undefined where only the client can read it. */
  claims: Record<string, unknown> | undefined;
  /** Seconds from now to its end. */
  lifetime: number | undefined;
  /** Signature, issuer, audience, expiry and nonce fit the published keys and the request; or the engine knows the opaque one. */
  verified: boolean;
}

/** Decodes what came. */
export async function describeTokens(
  asker: Asker,
  {
    answer,
    userinfo,
    nonce,
  }: { answer: TokenAnswer; userinfo?: Record<string, unknown> | string | undefined; nonce?: string },
): Promise<{ tokens: TriedToken[]; userinfo: TriedToken | undefined }> {
  const { access_token, id_token, refresh_token } = answer;
  const tokens = [await describe(asker, 'access_token', access_token)];
  if (id_token) tokens.push(await describe(asker, 'id_token', id_token, nonce));
  if (refresh_token) tokens.push(await describe(asker, 'refresh_token', refresh_token));
  if (typeof userinfo === 'string') return { tokens, userinfo: await describe(asker, 'userinfo', userinfo) };
  const plain = { ...hidden('userinfo'), format: 'plain', claims: userinfo, verified: true } as const;
  return { tokens, userinfo: userinfo && plain };
}

const hidden = (kind: TriedToken['kind']) =>
  ({ kind, raw_hidden: true, header: undefined, lifetime: undefined }) as const;

async function describe(asker: Asker, kind: TriedToken['kind'], token: string, nonce?: string): Promise<TriedToken> {
  const parts = token.split('.').length;
  if (parts === 5) {
    const header = { ...decodeProtectedHeader(token) };
    return { ...hidden(kind), format: 'encrypted', header, claims: undefined, verified: false };
  }
  if (parts !== 3) return describeOpaque(asker, kind, token);
  const claims = decodeJwt(token);
  const fits = (kind !== 'id_token' || claims.nonce === nonce) && (await isSigned(asker, kind, token));
  return {
    ...hidden(kind),
    format: 'signed',
    header: { ...decodeProtectedHeader(token) },
    claims,
    lifetime: claims.exp === undefined ? undefined : claims.exp - nowSeconds(),
    verified: fits,
  };
}

/** What an application's own library checks, with the keys it would find (OpenID Connect Core 3.1.3.7). */
async function isSigned({ provider, client }: Asker, kind: TriedToken['kind'], token: string): Promise<boolean> {
  const published = createLocalJWKSet(engineSteps(provider).jwks);
  const secret = new TextEncoder().encode(client.clientSecret ?? '');
  try {
    await jwtVerify(token, async (header) => (header.alg?.startsWith('HS') ? secret : published(header)), {
      issuer: provider.issuer,
      // An access token is for the resource it names.
      ...(kind === 'access_token' ? {} : { audience: client.clientId }),
      currentDate: now(),
    });
    return true;
  } catch {
    return false;
  }
}

/** As introspection would tell it (RFC 7662 section 2.2). */
async function describeOpaque(asker: Asker, kind: TriedToken['kind'], token: string): Promise<TriedToken> {
  const { AccessToken, ClientCredentials, RefreshToken } = asker.provider;
  const { found, sub } = await readAs(asker, async (ctx) => {
    const held =
      kind === 'refresh_token'
        ? await RefreshToken.find(token)
        : ((await AccessToken.find(token)) ?? (await ClientCredentials.find(token)));
    return {
      found: held,
      sub: held && 'accountId' in held ? await nameSubject(asker, ctx, held.accountId) : undefined,
    };
  });
  if (!found) return { ...hidden(kind), format: 'opaque', claims: undefined, verified: false };
  const { jkt, extra, aud, sid } = found as unknown as Record<string, unknown>;
  const claims = {
    client_id: found.clientId,
    sub,
    scope: found.scope,
    aud,
    sid,
    iat: found.iat,
    exp: found.exp,
    token_type: kind === 'refresh_token' ? undefined : jkt ? 'DPoP' : 'Bearer',
    cnf: jkt ? { jkt } : undefined,
    ...(extra as object | undefined),
  };
  const told = Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined));
  const lifetime = found.exp === undefined ? undefined : found.exp - nowSeconds();
  return { ...hidden(kind), format: 'opaque', claims: told, lifetime, verified: true };
}

/** What the client calls the person: a name of its own where it must not know the one that others know. */
async function nameSubject({ provider }: Asker, ctx: KoaContextWithOIDC, account_id: string): Promise<unknown> {
  const { Claims } = provider as unknown as {
    Claims: new (available: object, from: object) => { mask(of: object): void; result(): Promise<{ sub?: unknown }> };
  };
  const claims = new Claims({ sub: account_id }, { ctx });
  claims.mask({ sub: null });
  return (await claims.result()).sub;
}
