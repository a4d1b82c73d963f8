/** The keys that sign tokens: made once, sealed in the database, given to the engine. */

import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from 'jose';
import { sql } from 'kysely';
import { nowSeconds } from '../clock.ts';
import type { Config } from '../config.ts';
import { deriveKeys, open, randomToken, seal } from '../crypto.ts';
import { type Database, inTransaction } from '../database.ts';

// RS256 stands first: it is what a client gets that asks for nothing (OpenID Connect Core 3.1.3.7).
const algorithms = ['RS256', 'ES256', 'EdDSA'] as const;

const creation_lock = 5_731_003;

/**
 * The private keys as a JWK set for the engine, current ones first. Missing ones are made; of several nodes that start at
 * once, one makes them and the others read them.
 * @throws Error when a key was sealed with a secret that is not configured
 */
export async function loadSigningKeys(db: Database, config: Pick<Config, 'secrets'>): Promise<{ keys: JWK[] }> {
  const seals = deriveKeys(config.secrets, 'signing keys');
  await createMissing(db, seals[0] as Buffer);
  const rows = await db.selectFrom('signing_keys').selectAll().where('state', 'in', ['current', 'next']).execute();
  const rank = (row: (typeof rows)[number]) =>
    (row.state === 'current' ? 0 : 10) + (algorithms as readonly string[]).indexOf(row.alg);
  return {
    keys: rows
      .sort((one, other) => rank(one) - rank(other))
      .map((row) => JSON.parse(open(seals, row.sealed_jwk, `signing_keys.sealed_jwk:${row.kid}`)) as JWK),
  };
}

/** Signs what Gapura says to other machines in its own name: a JWT for one audience that lives one minute. */
export function createRequestSigner(issuer: string, { keys }: { keys: JWK[] }) {
  const jwk = keys.find((key) => key.alg === 'ES256') as JWK;
  const key = importJWK(jwk, 'ES256');
  return async (audience: string, claims: Record<string, unknown>): Promise<string> =>
    new SignJWT(claims)
      .setProtectedHeader({ alg: 'ES256', kid: jwk.kid as string, typ: 'JWT' })
      .setIssuer(issuer)
      .setAudience(audience)
      .setIssuedAt(nowSeconds())
      .setExpirationTime(nowSeconds() + 60)
      .setJti(randomToken(16))
      .sign(await key);
}

/** Whether every algorithm has a key that signs. */
export async function hasSigningKeys(db: Database): Promise<boolean> {
  const rows = await db.selectFrom('signing_keys').select('alg').where('state', '=', 'current').execute();
  return algorithms.every((alg) => rows.some((row) => row.alg === alg));
}

/** Whether every key that may still sign opens with the configured secrets; without any there is nothing that does not. */
export async function canOpenSigningKeys(db: Database, { secrets }: Pick<Config, 'secrets'>): Promise<boolean> {
  const seals = deriveKeys(secrets, 'signing keys');
  const rows = await db
    .selectFrom('signing_keys')
    .select(['kid', 'sealed_jwk'])
    .where('state', '<>', 'retired')
    .execute();
  try {
    for (const { kid, sealed_jwk } of rows) open(seals, sealed_jwk, `signing_keys.sealed_jwk:${kid}`);
    return true;
  } catch {
    return false;
  }
}

async function createMissing(db: Database, sealing_key: Buffer): Promise<void> {
  if (await hasSigningKeys(db)) return;
  await inTransaction(db, async (tx) => {
    await sql`SELECT pg_advisory_xact_lock(${creation_lock})`.execute(tx);
    const rows = await tx.selectFrom('signing_keys').select('alg').where('state', '=', 'current').execute();
    for (const alg of algorithms.filter((candidate) => !rows.some((row) => row.alg === candidate))) {
      const { jwk, kid, public_jwk } = await createKey(alg);
      await tx
        .insertInto('signing_keys')
        .values({
          kid,
          alg,
          state: 'current',
          public_jwk: JSON.stringify(public_jwk),
          sealed_jwk: seal(sealing_key, JSON.stringify(jwk), `signing_keys.sealed_jwk:${kid}`),
          current_at: sql`gapura_now()`,
        })
        .execute();
    }
  });
}

async function createKey(alg: (typeof algorithms)[number]): Promise<{ jwk: JWK; kid: string; public_jwk: JWK }> {
  const pair = await generateKeyPair(alg, { extractable: true, ...(alg === 'RS256' ? { modulusLength: 3072 } : {}) });
  const public_part = await exportJWK(pair.publicKey);
  const kid = await calculateJwkThumbprint(public_part);
  const shown = { kid, alg, use: 'sig' };
  return { kid, jwk: { ...(await exportJWK(pair.privateKey)), ...shown }, public_jwk: { ...public_part, ...shown } };
}
