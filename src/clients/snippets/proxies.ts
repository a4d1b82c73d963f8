/** Settings for what stands before an application: Apache with mod_auth_openidc, and oauth2-proxy. */

import type { Snippet } from '../snippets.ts';
import { apacheQuote, type Facts, quote } from './facts.ts';

/** A file for conf.d; the passwords come from the server's environment. */
export function writeApache(facts: Facts): Snippet {
  return {
    name: 'mod_auth_openidc',
    title: 'Apache (mod_auth_openidc)',
    file: 'gapura.conf',
    language: 'apache',
    text: `OIDCProviderMetadataURL ${apacheQuote(`${facts.issuer}/.well-known/openid-configuration`)}
OIDCClientID ${apacheQuote(facts.id)}
OIDCClientSecret "\${GAPURA_CLIENT_SECRET}"
OIDCProviderTokenEndpointAuth ${facts.method}
OIDCRedirectURI ${apacheQuote(facts.returns)}
OIDCScope ${apacheQuote(facts.scope)}
OIDCPKCEMethod S256
OIDCIDTokenSignedResponseAlg ${facts.algorithm}
OIDCCryptoPassphrase "\${SESSION_SECRET}"
${facts.signed_out ? `OIDCDefaultLoggedOutURL ${apacheQuote(facts.signed_out)}\n` : ''}OIDCRemoteUserClaim sub

<Location "/">
  AuthType openid-connect
  Require valid-user
</Location>
`,
  };
}

/** A configuration file. */
export function writeProxy(facts: Facts): Snippet {
  return {
    name: 'oauth2-proxy',
    title: 'oauth2-proxy',
    file: 'oauth2-proxy.cfg',
    language: 'toml',
    text: `# client_secret and cookie_secret: OAUTH2_PROXY_CLIENT_SECRET and OAUTH2_PROXY_COOKIE_SECRET in the environment.
provider = "oidc"
oidc_issuer_url = ${quote(facts.issuer)}
client_id = ${quote(facts.id)}
redirect_url = ${quote(facts.returns)}
scope = ${quote(facts.scope)}
code_challenge_method = "S256"
email_domains = ["*"]
cookie_secure = ${facts.returns.startsWith('https:')}
upstreams = ["http://127.0.0.1:8080"]
`,
  };
}
