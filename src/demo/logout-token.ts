/** Verifies the logout tokens that Gapura posts to a relying application. */

import { errors, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { now } from '../clock.ts';
import type { Logout } from './sessions.ts';

const logout_event = 'http://schemas.openid.net/event/backchannel-logout';

/** A token that must not end anything; the message may be told to the sender. */
export class LogoutTokenError extends Error {}

export interface LogoutAudience {
  issuer: string;
  client_id: string;
  keys: JWTVerifyGetKey;
}

/**
 * Reads a logout token by the rules of OIDC Back-Channel Logout 1.0 section 2.6, all but the jti, which needs a memory.
 * Throws LogoutTokenError, or what the key source throws when it cannot be reached.
 */
export async function readLogoutToken(token: string, audience: LogoutAudience): Promise<Logout> {
  const { payload, protectedHeader } = await verify(token, audience);
  // Section 2.4: a token that says what it is must not be an ID token or an access token in disguise.
  if (protectedHeader.typ !== undefined && !/^(application\/)?logout\+jwt$/i.test(protectedHeader.typ)) refuse('typ');
  const events = payload.events;
  if (typeof events !== 'object' || events === null) refuse('events');
  const event = (events as Record<string, unknown>)[logout_event];
  if (typeof event !== 'object' || event === null || Array.isArray(event)) refuse('events');
  if ('nonce' in payload) refuse('nonce');
  const { sid, sub, jti, iat } = payload;
  if (sid !== undefined && (typeof sid !== 'string' || sid === '')) refuse('sid');
  if (sub === undefined && sid === undefined) refuse('sub or sid');
  if (typeof jti !== 'string' || jti === '' || jti.length > 256) refuse('jti');
  return {
    jti: jti as string,
    subject: sub ?? null,
    sid: typeof sid === 'string' ? sid : null,
    issued_at: new Date((iat ?? 0) * 1000),
  };
}

async function verify(token: string, audience: LogoutAudience) {
  try {
    return await jwtVerify(token, audience.keys, {
      issuer: audience.issuer,
      audience: audience.client_id,
      // Never HS256: the key that verifies would then be able to sign; and never none.
      algorithms: ['ES256', 'EdDSA', 'Ed25519', 'RS256', 'PS256'],
      requiredClaims: ['iat', 'exp', 'jti', 'events'],
      maxTokenAge: '10 minutes',
      clockTolerance: 30,
      currentDate: now(),
    });
  } catch (error) {
    if (isRefusedToken(error)) throw new LogoutTokenError((error as Error).message);
    throw error;
  }
}

const refusals = [
  errors.JWSInvalid,
  errors.JWTInvalid,
  errors.JWTExpired,
  errors.JWTClaimValidationFailed,
  errors.JWSSignatureVerificationFailed,
  errors.JWKSNoMatchingKey,
  errors.JWKSMultipleMatchingKeys,
  errors.JOSEAlgNotAllowed,
  errors.JOSENotSupported,
];

/** Whether an error of jose is about the token, and not about keys that cannot be reached. */
export function isRefusedToken(error: unknown): boolean {
  return refusals.some((kind) => error instanceof kind);
}

function refuse(claim: string): never {
  throw new LogoutTokenError(`unexpected ${claim}`);
}
