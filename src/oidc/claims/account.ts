/** A person as the engine asks for them: who, and which claims this request and this client come to. */

import type { Configuration, KoaContextWithOIDC } from 'oidc-provider';
import { findAccount } from '../../accounts/store.ts';
import type { Database } from '../../database.ts';
import type { Client } from '../clients/clients.ts';
import { directorateOf } from '../records/grant.ts';
import { takePerson } from '../records/one-read.ts';
import { claimsByScope, collectClaims, insw_claim, listBrought, mayAskFor } from './claims.ts';
import { nameBySector } from './pairwise.ts';

/** The engine's `claims` setting: what each scope brings at the most. */
export const engineClaims = { ...claimsByScope, profile: [...claimsByScope.profile, insw_claim] };

/** What is asked for by name: null, or what is wanted of the value (OpenID Connect Core 5.5.1). */
type Asked = Record<string, { value?: unknown; values?: unknown } | null | undefined>;

/** The engine's `findAccount`. Whether the account stands is part of every read of a record (store.ts), so nobody is missing here. */
export function findPerson(db: Database): NonNullable<Configuration['findAccount']> {
  return (ctx, account_id) => ({
    accountId: account_id,
    async claims(use, scope, asked = {}) {
      const { client } = ctx.oidc;
      const by_name = Object.keys(asked).filter((claim) => client && mayAskFor(client as Client, claim));
      const brought = listBrought(scope.split(' '));
      const by_scope = use === 'id_token' && !isWhole(ctx) ? brought.filter(standsInIdToken) : brought;
      const claims = await collectClaims(db, account_id, {
        names: new Set([...by_scope, ...by_name]),
        reach: new Set([...brought, ...by_name]),
        client_id: client?.clientId,
        shape: client?.claim_shape === 'insw' ? 'insw' : 'standard',
        subject: async () =>
          client?.subjectType === 'pairwise' ? nameBySector(db)(ctx, account_id, client as Client) : account_id,
        directorate: directorateOf(ctx),
        findAccount: async () => (await takePerson(account_id)) ?? findAccount(db, account_id),
      });
      // A claim that is wanted only if it has a certain value is not told where it has another (5.5.1), and is no error.
      for (const claim of by_name) {
        if (!by_scope.includes(claim) && !isWanted((asked as Asked)[claim], claims[claim])) delete claims[claim];
      }
      return claims as { sub: string };
    },
  });
}

function standsInIdToken(claim: string): boolean {
  return claimsByScope.openid.includes(claim);
}

/** Where tokens are for an interface, userinfo cannot be asked with them: the engine puts everything into the ID token then. */
function isWhole({ oidc: { params, entities } }: KoaContextWithOIDC): boolean {
  return [params, entities.AuthorizationCode, entities.RefreshToken, entities.DeviceCode].some(
    (one) => (one as { resource?: unknown } | undefined)?.resource !== undefined,
  );
}

function isWanted(asked: Asked[string], held: unknown): boolean {
  const wanted = [
    ...(asked && 'value' in asked ? [asked.value] : []),
    ...(asked && Array.isArray(asked.values) ? asked.values : []),
  ];
  return wanted.length === 0 || wanted.some((one) => JSON.stringify(one) === JSON.stringify(held));
}
