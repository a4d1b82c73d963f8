/** Settings for Express with express-openid-connect. */

import type { Snippet } from '../snippets.ts';
import { type Facts, quote } from './facts.ts';

/** The whole of a small application; everything in it needs a sign-in. */
export function writeExpress(facts: Facts): Snippet {
  return {
    name: 'express-openid-connect',
    title: 'Express (express-openid-connect)',
    file: 'app.js',
    language: 'javascript',
    text: `import { env } from 'node:process';
import express from ${quote('express')};
import { auth } from ${quote('express-openid-connect')};

const app = express();
app.use(
  auth({
    issuerBaseURL: ${quote(facts.issuer)},
    baseURL: ${quote(facts.origin)},
    clientID: ${quote(facts.id)},
    clientSecret: env.GAPURA_CLIENT_SECRET,
    clientAuthMethod: ${quote(facts.method)},
    // The application's own: it seals the session cookie.
    secret: env.SESSION_SECRET,
    authorizationParams: { response_type: 'code', scope: ${quote(facts.scope)} },
    idTokenSigningAlg: ${quote(facts.algorithm)},
    routes: { callback: ${quote(facts.path)}${facts.signed_out ? `, postLogoutRedirect: ${quote(facts.signed_out)}` : ''} },
    idpLogout: true,${facts.hears_of_logout ? '\n    // Needs a session store; see the documentation of backchannelLogout.\n    backchannelLogout: true,' : ''}
  }),
);
`,
  };
}
