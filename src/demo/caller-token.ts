/** Verifies the token by which Gapura signs a request to an application's verification endpoint. */

import { createHash } from 'node:crypto';
import { type JWTVerifyGetKey, jwtVerify } from 'jose';
import { now } from '../clock.ts';
import { isRefusedToken } from './logout-token.ts';

/** A request that Gapura did not make, or not for this endpoint and body; the message may be told to the caller. */
export class CallerTokenError extends Error {}

export interface ExpectedCaller {
  issuer: string;
  /** The endpoint's own address. */
  audience: string;
  keys: JWTVerifyGetKey;
}

const longest_life = 60;
const clock_tolerance = 10;

/**
 * Reads the bearer token of a request with `body`: signed by the issuer for this endpoint alone (RFC 7519), living at
 * most a minute, and bound to the body by `body_sha256`. The answer's `jti` must be remembered until `forget_at`.
 * @throws CallerTokenError, or what the key source throws when it cannot be reached
 */
export async function readCallerToken(
  token: string,
  body: Buffer,
  expected: ExpectedCaller,
): Promise<{ jti: string; forget_at: Date }> {
  const { aud, iat = 0, exp = 0, jti, body_sha256 } = await verify(token, expected);
  // Not one of several: whoever the others are could bring the token here.
  if (aud !== expected.audience) refuse('aud');
  if (exp - iat > longest_life) refuse('exp');
  if (typeof jti !== 'string' || jti === '' || jti.length > 256) return refuse('jti');
  if (body_sha256 !== createHash('sha256').update(body).digest('base64url')) refuse('body_sha256');
  return { jti, forget_at: new Date((exp + clock_tolerance + 1) * 1000) };
}

async function verify(token: string, { issuer, audience, keys }: ExpectedCaller) {
  try {
    const { payload } = await jwtVerify(token, keys, {
      issuer,
      audience,
      // Never HS256: the key that verifies would then be able to sign; and never none.
      algorithms: ['ES256', 'EdDSA', 'Ed25519', 'RS256', 'PS256'],
      requiredClaims: ['iat', 'exp', 'jti', 'body_sha256'],
      maxTokenAge: longest_life,
      clockTolerance: clock_tolerance,
      currentDate: now(),
    });
    return payload;
  } catch (error) {
    if (isRefusedToken(error)) throw new CallerTokenError((error as Error).message);
    throw error;
  }
}

function refuse(claim: string): never {
  throw new CallerTokenError(`unexpected ${claim}`);
}
