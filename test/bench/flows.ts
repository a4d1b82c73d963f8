/** The driver's side of the flows: visitors with cookies who come from an application and go back to it, over kept connections. */

import { createHash } from 'node:crypto';
import type { BenchClient } from './fill.ts';
import type { Measured } from './servers.ts';

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
  client: BenchClient;
  password: string;
  scope: string;
  /** The API for which tokens are asked, where it is not userinfo. */
  resource?: string;
}

/** Proves with the code that its request was ours (RFC 7636). */
export const verifier = 'a-verifier-of-the-bench-that-is-at-least-43-characters-long';
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
      if (!answer.text.includes('name="identifier"')) break;
      answer = await step('password', () => send(site, visitor, 'POST', path, passwordForm(site, visitor)));
    }
  }
  throw new Error(`no code for ${visitor.identifier}: ${answer.status} ${answer.path}\n${answer.text.slice(0, 500)}`);
}

/** Opens a page of Gapura's own and signs in on the way; ends on the page. */
export async function enter(site: Site, visitor: Visitor, path: string): Promise<void> {
  let answer = await send(site, visitor, 'GET', path);
  for (let hops = 0; hops < 12; hops++) {
    const { location, text } = answer;
    if (location) {
      const next = new URL(location, site.origin);
      answer = await send(site, visitor, 'GET', next.pathname + next.search);
    } else if (text.includes('name="identifier"')) {
      answer = await send(site, visitor, 'POST', answer.path, passwordForm(site, visitor));
    } else break;
  }
  if (answer.status !== 200 || answer.path !== path)
    throw new Error(`${visitor.identifier} came to ${answer.status} ${answer.path}, not to ${path}`);
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

/** Runs `work` for 0 … `times` − 1, `at_once` at a time. */
export async function spread(times: number, at_once: number, work: (at: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    for (let at = next++; at < times; at = next++) await work(at);
  };
  await Promise.all(Array.from({ length: Math.min(at_once, times) }, worker));
}

function authorizationPath({ client, scope, resource }: Site): string {
  const query = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: client.redirect_uri,
    response_type: 'code',
    scope,
    state: 'a-state-of-the-bench',
    nonce: 'a-nonce-of-the-bench',
    code_challenge: challenge,
    code_challenge_method: 'S256',
    ...(resource && { resource }),
  });
  return `/connect/auth?${query}`;
}

function passwordForm({ password }: Site, { identifier }: Visitor): string {
  return new URLSearchParams({ identifier, password }).toString();
}

function readCode({ client }: Site, location: string): string | undefined {
  if (!location.startsWith(client.redirect_uri)) return undefined;
  return new URL(location).searchParams.get('code') ?? undefined;
}

/** What came back to a visitor's request. */
export interface Sent {
  status: number;
  location: string | undefined;
  path: string;
  text: string;
}

/** Opens a page, or sends its form, with the visitor's cookies. */
export async function send(
  site: Site,
  visitor: Visitor,
  method: 'GET' | 'POST',
  path: string,
  form?: string,
): Promise<Sent> {
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
