/** The driver's side of the flows: visitors with cookies who come from an application and go back to it, over kept connections. */

import { createHash } from 'node:crypto';
import type { Bench, Measured } from './servers.ts';

/** Somebody with a browser, at an address of its own. */
export interface Visitor {
  identifier: string;
  address: string;
  cookies: Map<string, { value: string; path: string }>;
}

/** Runs one step of a flow; whoever lists statements wraps each step in its own. */
export type Step = <T>(name: string, work: () => Promise<T>) => Promise<T>;

/** A server with what the driver needs to talk to it as the application and as its visitors. */
export interface Site extends Measured {
  client: Bench['client'];
  password: string;
  scope: string;
}

const verifier = 'a-verifier-of-the-bench-that-is-at-least-43-characters-long';
const challenge = createHash('sha256').update(verifier).digest('base64url');
const runStep: Step = (_name, work) => work();

let visitors = 0;

/** A visitor whom no server has seen. */
export function newVisitor(identifier: string): Visitor {
  visitors += 1;
  const address = `10.${(visitors >> 16) & 255}.${(visitors >> 8) & 255}.${visitors & 255}`;
  return { identifier, address, cookies: new Map() };
}

/** The whole way from the application's request to its code, with the password where it is asked for. */
export async function signIn(site: Site, visitor: Visitor, step: Step = runStep): Promise<string> {
  let answer = await step('authorization request', () => send(site, visitor, 'GET', authorizationPath(site)));
  for (let hops = 0; hops < 6; hops++) {
    const { location = '', path } = answer;
    const code = readCode(site, location);
    if (code) return code;
    const next = location && new URL(location, site.origin);
    if (next) {
      const name = next.pathname.startsWith('/interaction/') ? 'sign-in page' : 'return to the application';
      answer = await step(name, () => send(site, visitor, 'GET', next.pathname + next.search));
    } else {
      const { identifier } = visitor;
      const form = new URLSearchParams({ identifier, password: site.password }).toString();
      if (!answer.text.includes('name="identifier"')) break;
      answer = await step('password', () => send(site, visitor, 'POST', path, form));
    }
  }
  throw new Error(`no code for ${visitor.identifier}: ${answer.status} ${answer.path}\n${answer.text.slice(0, 500)}`);
}

/** The address of the sign-in page, where a visitor who is not signed in ends up. */
export async function openSignInPage(site: Site, visitor: Visitor): Promise<string> {
  const { location = '' } = await send(site, visitor, 'GET', authorizationPath(site));
  return new URL(location, site.origin).pathname;
}

/** A code at once, for a visitor with a session. */
export async function authorize(site: Site, visitor: Visitor): Promise<string> {
  const answer = await send(site, visitor, 'GET', authorizationPath(site));
  const code = readCode(site, answer.location ?? '');
  if (!code) throw new Error(`no code: ${answer.status} ${answer.location ?? answer.text.slice(0, 500)}`);
  return code;
}

/** The tokens of a code. */
export async function redeem(site: Site, code: string): Promise<{ access_token: string; id_token: string }> {
  const { client_id, client_secret, redirect_uri } = site.client;
  const { statusCode, body } = await site.pool.request({
    path: '/connect/token',
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`${client_id}:${client_secret}`).toString('base64')}`,
      'content-type': 'application/x-www-form-urlencoded',
    },
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      code,
      redirect_uri,
      code_verifier: verifier,
    }).toString(),
  });
  const text = await body.text();
  if (statusCode !== 200) throw new Error(`no tokens: ${statusCode} ${text.slice(0, 500)}`);
  return JSON.parse(text);
}

/** What userinfo tells. */
export async function readUserinfo(site: Site, access_token: string): Promise<Record<string, unknown>> {
  const headers = { authorization: `Bearer ${access_token}` };
  const { statusCode, body } = await site.pool.request({ path: '/connect/userinfo', method: 'GET', headers });
  const text = await body.text();
  if (statusCode !== 200) throw new Error(`no userinfo: ${statusCode} ${text.slice(0, 500)}`);
  return JSON.parse(text);
}

/** Runs `work` for 0 … `times` − 1, `at_once` at a time. */
export async function spread(times: number, at_once: number, work: (at: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    for (let at = next++; at < times; at = next++) await work(at);
  };
  await Promise.all(Array.from({ length: Math.min(at_once, times) }, worker));
}

function authorizationPath({ client, scope }: Site): string {
  const query = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: client.redirect_uri,
    response_type: 'code',
    scope,
    state: 'a-state-of-the-bench',
    nonce: 'a-nonce-of-the-bench',
    code_challenge: challenge,
    code_challenge_method: 'S256',
  });
  return `/connect/auth?${query}`;
}

function readCode({ client }: Site, location: string): string | undefined {
  if (!location.startsWith(client.redirect_uri)) return undefined;
  return new URL(location).searchParams.get('code') ?? undefined;
}

async function send(site: Site, visitor: Visitor, method: 'GET' | 'POST', path: string, form?: string) {
  const { address, cookies } = visitor;
  const cookie = [...cookies]
    .filter(([, one]) => path.startsWith(one.path))
    .map(([name, { value }]) => `${name}=${value}`)
    .join('; ');
  const { statusCode, headers, body } = await site.pool.request({
    path,
    method,
    headers: {
      'x-forwarded-for': address,
      'accept-language': 'id',
      'user-agent':
        'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36',
      ...(cookie && { cookie }),
      ...(form && { 'content-type': 'application/x-www-form-urlencoded', origin: site.origin }),
    },
    ...(form && { body: form }),
  });
  for (const line of [headers['set-cookie'] ?? []].flat()) keep(cookies, line);
  const location = headers.location as string | undefined;
  return { status: statusCode, location, path, text: await body.text() };
}

function keep(cookies: Visitor['cookies'], line: string): void {
  const [pair = '', ...attributes] = line.split('; ');
  const name = pair.slice(0, pair.indexOf('='));
  const value = pair.slice(name.length + 1);
  const path = attributes.find((attribute) => attribute.toLowerCase().startsWith('path='))?.slice(5) ?? '/';
  if (value) cookies.set(name, { value, path });
  else cookies.delete(name);
}
