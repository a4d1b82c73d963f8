/** The parts of the engine that internals.ts reaches into and that are typed nowhere. */

declare module 'oidc-provider/lib/helpers/als.js' {
  import type { AsyncLocalStorage } from 'node:async_hooks';

  const als: AsyncLocalStorage<object>;
  export default als;
}

declare module 'oidc-provider/lib/helpers/initialize_keystore.js' {
  import type { JWK } from 'jose';
  import type { Provider } from 'oidc-provider';

  export default function initialize(this: Provider, jwks: { keys: JWK[] }): void;
}

declare module 'oidc-provider/lib/helpers/weak_cache.js' {
  import type { JWK } from 'jose';
  import type { KoaContextWithOIDC, Provider } from 'oidc-provider';

  type Step = (ctx: KoaContextWithOIDC, next: () => Promise<void>) => Promise<void>;
  export default function instance(provider: Provider): {
    grantTypeHandlers: Map<string, Step>;
    configuration: {
      scopes: Set<string>;
      claimsSupported: Set<string>;
      cookies: { long: { httpOnly: boolean; sameSite: 'lax'; signed: boolean; overwrite: boolean } };
    };
    jwks: { keys: JWK[] };
    keystore: Iterable<JWK>;
    DPoPNonces?: { nextChallenge(): string };
  };
}

declare module 'oidc-provider/lib/actions/userinfo.js' {
  import type { KoaContextWithOIDC } from 'oidc-provider';

  const steps: ((ctx: KoaContextWithOIDC, next: () => Promise<void>) => Promise<void> | void)[];
  export default steps;
}

declare module 'oidc-provider/lib/helpers/grants.js' {
  import type { X509Certificate } from 'node:crypto';
  import type { KoaContextWithOIDC, Provider } from 'oidc-provider';

  interface Proof {
    thumbprint: string;
    jti: string;
  }
  type Step<Asked extends unknown[], Answer> = (provider: Provider, ctx: KoaContextWithOIDC, ...asked: Asked) => Answer;
  export const validateDpop: Step<[], Promise<Proof | undefined>>;
  export const checkDpopRequired: Step<[Proof | undefined], void>;
  export const checkDpopReplay: Step<[Proof | undefined, string], Promise<void>>;
  export const checkMtlsCert: Step<[], X509Certificate | string | undefined>;
}

declare module 'oidc-provider/lib/helpers/re_render_errors.js' {
  /** The engine shows the field for the code again, with what was wrong. */
  export class AlreadyUsedError extends Error {
    constructor(user_code?: string);
  }
}
