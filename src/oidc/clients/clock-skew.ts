/** How far the clock of a client may be ahead of ours: a minute, and never longer (FAPI 2.0 Security Profile, 5.3.2.1). */

import { decodeJwt } from 'jose';
import type { KoaContextWithOIDC } from 'oidc-provider';
import { nowSeconds } from '../../clock.ts';

const most_ahead = 60;

/** Whether a token says that it was made in a future that no clock's error explains; the engine asks that of few. */
export function isFromFuture(iat: unknown): boolean {
  return typeof iat === 'number' && iat > nowSeconds() + most_ahead;
}

/**
 * The engine's `requireNonce`: a proof of possession (RFC 9449) may do without a nonce, except where its time cannot be
 * believed. The engine itself believes five minutes.
 */
export function needsNonce(ctx: KoaContextWithOIDC): boolean {
  try {
    return isFromFuture(decodeJwt(ctx.get('DPoP')).iat);
  } catch {
    // What cannot be read is refused a moment later.
    return false;
  }
}
