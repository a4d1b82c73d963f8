/** Settings for Node.js with openid-client 6, which can do whatever a client may be registered for. */

import type { Snippet } from '../snippets.ts';
import { type Facts, quote } from './facts.ts';

/** How the application says who it is, as an expression. */
const ways: Record<string, string> = {
  none: 'client.None()',
  private_key_jwt: 'client.PrivateKeyJwt(privateKey)',
  client_secret_basic: 'client.ClientSecretBasic(env.GAPURA_CLIENT_SECRET)',
  client_secret_post: 'client.ClientSecretPost(env.GAPURA_CLIENT_SECRET)',
  client_secret_jwt: 'client.ClientSecretJwt(env.GAPURA_CLIENT_SECRET)',
  tls_client_auth: 'client.TlsClientAuth()',
  self_signed_tls_client_auth: 'client.TlsClientAuth()',
};

const private_key = `// The private half of a key whose public half is registered: ES256, PKCS #8, base64.
const bytes = Buffer.from(env.GAPURA_PRIVATE_KEY, 'base64');
const privateKey = await crypto.subtle.importKey('pkcs8', bytes, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']);

`;

const certificate = `// Every call shows the client's certificate and the chain behind it, if there is one (npm install undici).
const connect = { cert: Buffer.from(env.GAPURA_CERTIFICATE, 'base64'), key: Buffer.from(env.GAPURA_PRIVATE_KEY, 'base64') };
const dispatcher = new Agent({ connect });
const options = { [client.customFetch]: (url, init) => fetch(url, { ...init, dispatcher }) };

`;

const bound = `// Tokens are bound to this key; keep it as long as them.
const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'));

`;

/** A module with what begins a sign-in and what finishes it; for a service, what asks for a token. */
export function writeOpenidClient(facts: Facts): Snippet {
  const metadata = `{ id_token_signed_response_alg: ${quote(facts.algorithm)} }`;
  const shows_certificate = facts.method.endsWith('tls_client_auth');
  const asked = [`new URL(${quote(facts.issuer)})`, quote(facts.id), metadata, ways[facts.method]];
  // Only the demonstration speaks plain http, and the library wants to be told.
  const more = facts.issuer.startsWith('http:') ? ['{ execute: [client.allowInsecureRequests] }'] : [];
  const discovery = [...asked, ...(shows_certificate ? ['options'] : more)].join(',\n  ');
  return {
    name: 'openid-client',
    title: 'Node.js (openid-client 6)',
    file: 'sign-in.js',
    language: 'javascript',
    // What runs in a browser has neither a secret nor that module.
    text: `${facts.method === 'none' ? '' : "import { env } from 'node:process';\n"}import * as client from ${quote('openid-client')};
${shows_certificate ? "import { Agent, fetch } from 'undici';\n" : ''}
${facts.method === 'private_key_jwt' ? private_key : ''}${shows_certificate ? certificate : ''}const config = await client.discovery(
  ${discovery},
);

${facts.is_bound ? bound : ''}${facts.is_service ? writeService(facts) : writeSignIn(facts)}`,
  };
}

function writeService({ scope, is_bound }: Facts): string {
  const more = is_bound ? ', { DPoP }' : '';
  return `const tokens = await client.clientCredentialsGrant(config, { scope: ${quote(scope)} }${more});
`;
}

function writeSignIn({ returns, scope, is_pushed, is_bound }: Facts): string {
  const is_offline = scope.split(' ').includes('offline_access');
  const build = is_pushed ? 'await client.buildAuthorizationUrlWithPAR' : 'client.buildAuthorizationUrl';
  return `// To sign in: keep codeVerifier and state with the visitor, and send them to the address.
export async function begin() {
  const codeVerifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const parameters = {
    redirect_uri: ${quote(returns)},
    scope: ${quote(scope)},${is_offline ? `\n    // Without this question nobody is given access while the person is away.\n    prompt: ${quote('consent')},` : ''}
    code_challenge: await client.calculatePKCECodeChallenge(codeVerifier),
    code_challenge_method: 'S256',
    state,
  };
  const address = ${build}(config, parameters${is_pushed && is_bound ? ', { DPoP }' : ''});
  return { address, codeVerifier, state };
}

// When they come back: currentUrl is the address that was called.
export async function finish(currentUrl, { codeVerifier, state }) {
  const checks = { pkceCodeVerifier: codeVerifier, expectedState: state };
  const tokens = await client.authorizationCodeGrant(config, currentUrl, checks${is_bound ? ', undefined, { DPoP }' : ''});
  return client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub${is_bound ? ', { DPoP }' : ''});
}
`;
}
