/** Rows: what applications ask without a browser: new tokens for old, tokens of their own, what a token says. */

import { askForItself, introspect, redeem, refresh } from './calls.ts';
import { apis, clients } from './fill.ts';
import { authorize, type Site, type Visitor } from './flows.ts';
import { type Found, measureRequest, type Run } from './measure.ts';
import { signInAll } from './sign-in.ts';

/** A refresh token is replaced by the next, one after the other for each person. */
export function measureRefresh(run: Run): Promise<Found> {
  const names = { work: 'refresh, each token replaced by the next', step: 'refresh' };
  return measureRequest(run, names, async (site, callers) => {
    const web = asWeb(site);
    const tokens = await Promise.all(
      (await signInAll(web, run.bench.people, callers)).map(
        async (visitor) => (await redeem(web, await authorize(web, visitor))).refresh_token,
      ),
    );
    return async (who) => {
      const before = tokens[who] ?? '';
      tokens[who] = (await refresh(web, before)).refresh_token;
      if (!tokens[who] || tokens[who] === before) throw new Error('the refresh token was not replaced');
    };
  });
}

/** A service's token for itself that names no API: opaque, so it is kept. */
export function measureOwnToken(run: Run): Promise<Found> {
  const names = { work: 'client credentials, opaque token', step: 'client credentials' };
  return measureRequest(run, names, async (site) => {
    const service = asService(site);
    return async () => expectForm('opaque', (await askForItself(service)).access_token);
  });
}

/** The same for an API: a JWT, as an API's tokens are where nothing else is chosen. */
export function measureApiToken(run: Run): Promise<Found> {
  const names = { work: 'client credentials for an API, JWT', step: 'client credentials, JWT' };
  return measureRequest(run, names, async (site) => {
    const service = asService(site, 'jwt');
    return async () => expectForm('jwt', (await askForItself(service)).access_token);
  });
}

/** An API asks what a person's opaque token says, without a word of which kind it is. */
export function measureIntrospection(run: Run): Promise<Found> {
  const names = { work: "introspection of a person's token by its API", step: 'introspection' };
  return measureRequest(run, names, async (site, callers) => {
    const tokens = await getApiTokens(site, run.bench.people, callers);
    return async (who) => {
      const { active } = await introspect(site, tokens[who] ?? '', clients.api);
      if (active !== true) throw new Error('the token says nothing');
    };
  });
}

/** Tokens of `count` people for the API that asks about them. */
export async function getApiTokens(site: Site, people: string[], count: number): Promise<string[]> {
  const web: Site = { ...asWeb(site), scope: `openid ${apis.opaque.scope}`, resource: apis.opaque.identifier };
  const visitors = await signInAll(web, people, count);
  const getToken = async (visitor: Visitor) => (await redeem(web, await authorize(web, visitor))).access_token;
  return Promise.all(visitors.map(getToken));
}

/** The site as the application that goes on with refresh tokens talks to it. */
export function asWeb(site: Site): Site {
  return { ...site, client: clients.web };
}

/** The site as a service talks to it: for itself, or for an API. */
export function asService(site: Site, form?: keyof typeof apis): Site {
  const service = { ...site, client: clients.service };
  return form ? { ...service, scope: apis[form].scope, resource: apis[form].identifier } : service;
}

function expectForm(form: 'jwt' | 'opaque', token: string): void {
  if ((token.split('.').length === 3) !== (form === 'jwt')) throw new Error(`the token is not ${form}`);
}
