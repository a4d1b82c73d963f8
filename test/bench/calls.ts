/** What an application asks Gapura by itself, without a browser: tokens, userinfo, what a token says, the keys. */

import type { BenchClient } from './fill.ts';
import { type Site, verifier } from './flows.ts';

/** As much of a token answer as a flow goes on with. */
export interface Tokens {
  access_token: string;
  id_token: string;
  refresh_token: string;
}

/** The tokens of a code. */
export function redeem(site: Site, code: string): Promise<Tokens> {
  const { redirect_uri } = site.client;
  const for_api: { resource?: string } = site.resource ? { resource: site.resource } : {};
  return askTokens(site, { grant_type: 'authorization_code', code, redirect_uri, code_verifier: verifier, ...for_api });
}

/** New tokens for a refresh token. */
export function refresh(site: Site, refresh_token: string): Promise<Tokens> {
  return askTokens(site, { grant_type: 'refresh_token', refresh_token });
}

/** A token for the application itself; for an API where the site names one. */
export function askForItself(site: Site): Promise<Tokens> {
  const for_api: Record<string, string> = site.resource ? { resource: site.resource, scope: site.scope } : {};
  return askTokens(site, { grant_type: 'client_credentials', ...for_api });
}

/** What userinfo tells. */
export async function readUserinfo(site: Site, access_token: string): Promise<Record<string, unknown>> {
  const headers = { authorization: `Bearer ${access_token}` };
  const { statusCode, body } = await site.pool.request({ path: '/connect/userinfo', method: 'GET', headers });
  return readJson('userinfo', statusCode, await body.text());
}

/** What a token says, asked by the API to which it is addressed (RFC 7662). */
export async function introspect(site: Site, token: string, asker: BenchClient): Promise<Record<string, unknown>> {
  return post(site, '/connect/introspection', asker, { token });
}

/** The keys by which anybody checks a signature. */
export async function readKeys(site: Pick<Site, 'pool'>): Promise<unknown> {
  const { statusCode, body } = await site.pool.request({ path: '/connect/jwks', method: 'GET' });
  return readJson('keys', statusCode, await body.text());
}

async function askTokens(site: Site, fields: Record<string, string>): Promise<Tokens> {
  return (await post(site, '/connect/token', site.client, fields)) as unknown as Tokens;
}

async function post(
  { pool }: Site,
  path: string,
  { client_id, client_secret }: BenchClient,
  fields: Record<string, string>,
): Promise<Record<string, unknown>> {
  const { statusCode, body } = await pool.request({
    path,
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`${client_id}:${client_secret}`).toString('base64')}`,
      'content-type': 'application/x-www-form-urlencoded',
    },
    body: new URLSearchParams(fields).toString(),
  });
  return readJson(fields.grant_type ?? path, statusCode, await body.text());
}

function readJson(what: string, status: number, text: string): Record<string, unknown> {
  if (status !== 200) throw new Error(`${what}: ${status} ${text.slice(0, 500)}`);
  return JSON.parse(text);
}
