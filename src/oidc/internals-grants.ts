/** The steps that the engine's own grants take, for grants of ours, and a check at start that they are still there. */

import { Provider as EngineProvider, type KoaContextWithOIDC, type Provider } from 'oidc-provider';
import { checkDpopReplay, checkDpopRequired, checkMtlsCert, validateDpop } from 'oidc-provider/lib/helpers/grants.js';

/** As much of an access token as learns to which key it is bound. */
interface Bindable {
  setThumbprint(kind: 'jkt' | 'x5t', value: string): void;
}

/** @throws Error when the engine no longer has a step */
export function checkGrantSteps(): void {
  const steps = { checkDpopReplay, checkDpopRequired, checkMtlsCert, validateDpop };
  for (const [name, step] of Object.entries(steps))
    if (typeof step !== 'function') throw new Error(`the engine changed: ${name} is gone`);
}

/**
 * Holds what a grant gives to what its client is registered for now: a scope that was taken from a client leaves every token
 * at its next use, also of grants that had it before (OWASP ASVS 5.0, 10.4.11).
 * @throws Error when the engine no longer asks a grant in this way
 */
export function limitGrants(provider: Provider): void {
  const { prototype } = provider.Grant;
  const filtered = prototype.getOIDCScopeFiltered;
  if (typeof filtered !== 'function') throw new Error('the engine changed: Grant.getOIDCScopeFiltered is gone');
  prototype.getOIDCScopeFiltered = function (filter) {
    const scope = filtered.call(this, filter);
    const client = EngineProvider.ctx?.oidc.client;
    if (!client?.scope || client.clientId !== this.clientId) return scope;
    const registered = client.scope.split(' ');
    return scope
      .split(' ')
      .filter((one) => registered.includes(one))
      .join(' ');
  };
}

/**
 * Binds a token to the key that this request proves (RFC 9449 section 5, RFC 8705 section 3). A proof counts once.
 * @throws an OAuth error when a proof is wrong, or missing where the client must have one
 */
export async function bindToProof(provider: Provider, ctx: KoaContextWithOIDC, token: Bindable): Promise<void> {
  const proof = await validateDpop(provider, ctx);
  checkDpopRequired(provider, ctx, proof);
  const certificate = checkMtlsCert(provider, ctx);
  if (certificate) token.setThumbprint('x5t', certificate as string);
  if (!proof) return;
  await checkDpopReplay(provider, ctx, proof, ctx.oidc.client?.clientId ?? '');
  token.setThumbprint('jkt', proof.thumbprint);
}
