/** What Gapura says to other machines in its own name, signed so that they know it by the published keys. */

import { importJWK, type JWK, SignJWT } from 'jose';
import { nowSeconds } from '../../clock.ts';
import { randomToken } from '../../crypto.ts';
import type { KeySet } from './signing-keys.ts';

/** Signs with the key that is current then: a JWT for one audience that lives one minute (RFC 7519). */
export function createRequestSigner(issuer: string, set: KeySet) {
  return async (audience: string, claims: Record<string, unknown>): Promise<string> => {
    const jwk = set.keys.find((key) => key.alg === 'ES256') as JWK;
    return new SignJWT(claims)
      .setProtectedHeader({ alg: 'ES256', kid: jwk.kid as string, typ: 'JWT' })
      .setIssuer(issuer)
      .setAudience(audience)
      .setIssuedAt(nowSeconds())
      .setExpirationTime(nowSeconds() + 60)
      .setJti(randomToken(16))
      .sign(await importJWK(jwk, 'ES256'));
  };
}
