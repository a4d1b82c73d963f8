/** A real relying party on openid-client: it begins authorizations, redeems codes and uses tokens over HTTP. */

import * as oidc from 'openid-client';
import type { Answer, HttpVisitor } from './http.ts';

export interface TestParty {
  configuration: oidc.Configuration;
  redirect_uri: string;
  /** The address that begins an authorization, and what its answer is checked against. */
  begin(parameters?: Record<string, string>): Promise<{ address: string; checks: oidc.AuthorizationCodeGrantChecks }>;
  /** Redeems the code of the address that a visitor was sent back to. */
  redeem(
    returned: URL,
    checks: oidc.AuthorizationCodeGrantChecks,
  ): Promise<oidc.TokenEndpointResponse & oidc.TokenEndpointResponseHelpers>;
}

/** Discovers the issuer as any relying party does; one without a secret runs in a browser and proves nothing. */
export async function openParty(
  issuer: string,
  client: { client_id: string; client_secret: string | undefined; redirect_uri: string },
  scope = 'openid profile',
): Promise<TestParty> {
  const { client_id, client_secret, redirect_uri } = client;
  const configuration = await oidc.discovery(
    new URL(issuer),
    client_id,
    client_secret,
    client_secret === undefined ? oidc.None() : oidc.ClientSecretBasic(client_secret),
    {
      execute: [oidc.allowInsecureRequests],
    },
  );
  return {
    configuration,
    redirect_uri,
    async begin(parameters = {}) {
      const pkceCodeVerifier = oidc.randomPKCECodeVerifier();
      const expectedState = oidc.randomState();
      const expectedNonce = oidc.randomNonce();
      const address = oidc.buildAuthorizationUrl(configuration, {
        redirect_uri,
        scope,
        state: expectedState,
        nonce: expectedNonce,
        code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
        code_challenge_method: 'S256',
        ...parameters,
      });
      return {
        address: address.href,
        checks: { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true },
      };
    },
    redeem: (returned, checks) => oidc.authorizationCodeGrant(configuration, returned, checks),
  };
}

/** Follows redirects until one leads to `redirect_uri`, which nothing listens on; gives that address, or the last page. */
export async function followTo(
  visitor: HttpVisitor,
  redirect_uri: string,
  first: Answer,
): Promise<{ returned: URL } | { page: Answer }> {
  let answer = first;
  for (let hops = 0; hops < 12; hops++) {
    const location = answer.headers.get('location');
    if (!location || answer.status < 300 || answer.status > 399) return { page: answer };
    const next = new URL(location, answer.url);
    if (next.href.startsWith(redirect_uri)) return { returned: next };
    answer = await visitor.get(next, { follow: false });
  }
  throw new Error('redirects without end');
}

/** What a person answers on the way: the password page, and the directorate by its name. */
export interface Answers {
  identifier?: string;
  password?: string;
  directorate?: string;
}

/** Goes from an authorization's address through the prompts to where the application gets its answer, as a person would. */
export async function authorize(
  visitor: HttpVisitor,
  address: string,
  redirect_uri: string,
  answers: Answers = {},
): Promise<URL> {
  let answer = await visitor.get(address, { follow: false });
  for (let pages = 0; pages < 5; pages++) {
    const reached = await followTo(visitor, redirect_uri, answer);
    if ('returned' in reached) return reached.returned;
    answer = await answerPage(visitor, reached.page, answers);
  }
  throw new Error(`the prompts do not end: ${answer.url}`);
}

async function answerPage(visitor: HttpVisitor, page: Answer, answers: Answers): Promise<Answer> {
  const post = (fields: Record<string, string>) => visitor.post(page.url, fields, { follow: false });
  if (/name="identifier"/.test(page.body) && answers.identifier) {
    return post({ identifier: answers.identifier, password: answers.password ?? '' });
  }
  if (/name="directorate"/.test(page.body) && answers.directorate) {
    const option = new RegExp(`<option[^>]*value="([^"]+)"[^>]*>\\s*${answers.directorate}`).exec(page.body);
    if (!option?.[1]) throw new Error(`no directorate ${answers.directorate} in:\n${page.body}`);
    return post({ directorate: option[1] });
  }
  throw new Error(
    `an unexpected page (${page.status} ${page.url}):\n${page.body
      .replace(/<[^>]+>/g, ' ')
      .replace(/\s+/g, ' ')
      .slice(0, 800)}`,
  );
}
