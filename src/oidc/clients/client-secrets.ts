/** How the engine compares a client's secrets: by their hashes, an older one as well as the newest, each use noted now and then. */

import { errors, type KoaContextWithOIDC, type Provider } from 'oidc-provider';
import type { ClientStore } from '../../clients/client.ts';
import { findClientSecret, findSigningSecret, noteSecretUse } from '../../clients/secrets.ts';
import { isFromFuture } from './clock-skew.ts';

/** What the engine's client carries of its secrets; `older_secrets` only where it signs with them. */
interface SecretHolder {
  clientSecret?: string;
  secret_hashes: unknown;
  older_secrets?: string[];
  symmetricKeyStore: { add(key: object): void };
}

/** Replaces the engine's comparison, which wants the secret itself. Called once, before the engine answers anything. */
export function compareSecretsByHash(provider: Provider, clients: ClientStore): void {
  const prototype = provider.Client.prototype as unknown as SecretHolder & {
    compareClientSecret(actual: string): boolean | Promise<boolean>;
  };
  if (typeof prototype.compareClientSecret !== 'function')
    throw new Error('the engine changed: Client.compareClientSecret is gone');
  prototype.compareClientSecret = async function (actual) {
    const found = findClientSecret(clients, this.secret_hashes, actual);
    if (found) await noteSecretUse(clients, found);
    return found !== undefined;
  };
  acceptOlderSecrets(provider);
}

/** The engine knows one secret to sign with; while a client changes over, what the older one signed is verified too. */
function acceptOlderSecrets({ Client }: Provider): void {
  const find = Client.find;
  const extended = new WeakSet<object>();
  Client.find = async (id) => {
    const client = await find.call(Client, id);
    const { older_secrets, symmetricKeyStore } = (client ?? {}) as unknown as Partial<SecretHolder>;
    if (client && older_secrets && !extended.has(client)) {
      if (!symmetricKeyStore) throw new Error('the engine changed: Client.symmetricKeyStore is gone');
      extended.add(client);
      // Behind the newest, which stays the one that the engine itself signs with.
      for (const secret of older_secrets) {
        const k = Buffer.from(secret).toString('base64url');
        symmetricKeyStore.add({ kty: 'oct', use: 'sig', alg: 'HS256', k });
      }
    }
    return client;
  };
}

/**
 * The engine's `assertJwtClientAuthClaimsAndHeader`, asked once the signature of a client's assertion is verified: FAPI 2.0
 * takes the issuer alone as its audience and nothing that is dated far ahead (5.3.2.1), and the secret that signed it has been
 * used.
 */
export function acceptAssertion(clients: ClientStore) {
  return async (ctx: KoaContextWithOIDC, claims: Record<string, unknown>): Promise<void> => {
    const { client, issuer, params } = ctx.oidc;
    if (ctx.oidc.isFapi('2.0') && claims.aud !== issuer)
      throw new errors.InvalidClientAuth('audience (aud) must equal the issuer identifier url');
    if (ctx.oidc.isFapi('2.0') && isFromFuture(claims.iat)) throw new errors.InvalidClientAuth('iat is in the future');
    const { clientSecret, older_secrets = [], secret_hashes } = client as unknown as SecretHolder;
    if (client?.clientAuthMethod !== 'client_secret_jwt' || !clientSecret) return;
    const secret = findSigningSecret([clientSecret, ...older_secrets], String(params?.client_assertion));
    const found = secret && findClientSecret(clients, secret_hashes, secret);
    if (found) await noteSecretUse(clients, found);
  };
}
