/** The parts of the engine that internals.ts reaches into and that are typed nowhere. */

declare module 'oidc-provider/lib/helpers/als.js' {
  import type { AsyncLocalStorage } from 'node:async_hooks';

  const als: AsyncLocalStorage<object>;
  export default als;
}

declare module 'oidc-provider/lib/helpers/weak_cache.js' {
  import type { JWK } from 'jose';
  import type { KoaContextWithOIDC, Provider } from 'oidc-provider';

  type Step = (ctx: KoaContextWithOIDC, next: () => Promise<void>) => Promise<void>;
  export default function instance(provider: Provider): {
    grantTypeHandlers: Map<string, Step>;
    configuration: { scopes: Set<string>; claimsSupported: Set<string> };
    jwks: { keys: JWK[] };
    DPoPNonces?: { nextChallenge(): string };
  };
}

declare module 'oidc-provider/lib/actions/userinfo.js' {
  import type { KoaContextWithOIDC } from 'oidc-provider';

  const steps: ((ctx: KoaContextWithOIDC, next: () => Promise<void>) => Promise<void> | void)[];
  export default steps;
}
