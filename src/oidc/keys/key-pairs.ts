/** A pair of keys that signs: which kinds there are, how one is made, sealed for its row and opened again. */

import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK } from 'jose';
import { type Insertable, type Selectable, sql } from 'kysely';
import type { Config } from '../../config.ts';
import { deriveKeys, open, seal } from '../../crypto.ts';
import type { SigningKeys } from '../../tables.ts';

// RS256 stands first: it is what a client gets that asks for nothing (OpenID Connect Core 3.1.3.7).
export const key_algorithms = ['RS256', 'PS256', 'ES256', 'EdDSA'] as const;

export type KeyAlgorithm = (typeof key_algorithms)[number];

/** The secrets from which the sealing keys are derived. */
export type Secrets = Pick<Config, 'secrets'>;

// 128 bits of strength, as the elliptic curves have (NIST SP 800-57 part 1, table 2).
const rsa_bits = 3072;

/** Makes a key as the row that it becomes. */
export async function createKey(
  config: Secrets,
  alg: KeyAlgorithm,
  state: 'next' | 'current',
): Promise<Insertable<SigningKeys>> {
  const more = /^[RP]S/.test(alg) ? { modulusLength: rsa_bits } : {};
  const pair = await generateKeyPair(alg, { extractable: true, ...more });
  const public_part = await exportJWK(pair.publicKey);
  const kid = await calculateJwkThumbprint(public_part);
  const shown = { kid, alg, use: 'sig' };
  const jwk = { ...(await exportJWK(pair.privateKey)), ...shown };
  return {
    kid,
    alg,
    state,
    public_jwk: JSON.stringify({ ...public_part, ...shown }),
    sealed_jwk: seal(sealsOf(config)[0] as Buffer, JSON.stringify(jwk), contextOf(kid)),
    current_at: state === 'current' ? sql<Date>`gapura_now()` : null,
  } as Insertable<SigningKeys>;
}

/**
 * The private key of a row.
 * @throws Error when it was sealed with another secret, or for another row
 */
export function openKey(config: Secrets, row: Pick<Selectable<SigningKeys>, 'kid' | 'sealed_jwk'>): JWK {
  return JSON.parse(open(sealsOf(config), row.sealed_jwk, contextOf(row.kid))) as JWK;
}

function sealsOf({ secrets }: Secrets): Buffer[] {
  return deriveKeys(secrets, 'signing keys');
}

function contextOf(kid: string): string {
  return `signing_keys.sealed_jwk:${kid}`;
}
