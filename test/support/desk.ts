/** The console and its interface, for tests: people of each role with their browser, and programs with a token. */

import { expect } from '@jest/globals';
import { sql } from 'kysely';
import { createAccount } from '../../src/accounts/account.ts';
import { hashPassword } from '../../src/accounts/password.ts';
import { writePassword } from '../../src/accounts/password-store.ts';
import { type Desk, resources } from '../../src/admin/resource.ts';
import { nowSeconds } from '../../src/clock.ts';
import { addPerson } from '../../src/organisations/organisation.ts';
import { grantRole, listRoles, type Role } from '../../src/permissions.ts';
import { demo_password, registerClient, signIn, type TestGapura } from './gapura.ts';
import { type Answer, type HttpVisitor, newHttpVisitor } from './http.ts';
import { authorize, openParty } from './relying-party.ts';

/** Of everybody's password, made once: what it costs is the promise of other tests. */
let hash: Promise<string> | undefined;

/** A person with one role, made for the test; the password is everybody's. */
export async function addOfficer(
  { db }: Pick<TestGapura, 'db'>,
  username: string,
  role: Role | undefined,
  at: { agency_code?: string; organisation_id?: string } = {},
): Promise<string> {
  const { id } = await createAccount(db, {
    username,
    full_name: `Petugas ${username}`,
    email: `${username}@contoh.example`,
    email_verified: true,
  });
  hash ??= hashPassword(demo_password);
  await writePassword(db, id, await hash);
  if (at.organisation_id) await addPerson(db, id, at.organisation_id);
  if (role) await grantRole(db, id, role, at);
  return id;
}

/** A visitor who has come into the console. */
export async function openConsole(gapura: Pick<TestGapura, 'url'>, username: string): Promise<HttpVisitor> {
  const visitor = newHttpVisitor(gapura.url);
  const home = await signIn(visitor, await visitor.get('/admin'), username);
  expect([home.status, home.url.pathname]).toEqual([200, '/admin']);
  return visitor;
}

/** An answer of the interface; `body` is what JSON it holds. */
export interface ApiAnswer {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: each test knows what it asked for
  body: any;
}

/** Asks the interface with a token. */
export type ApiClient = (
  method: string,
  path: string,
  body?: unknown,
  headers?: Record<string, string>,
) => Promise<ApiAnswer>;

/** A program that asks with this token, or without any. */
export function newApiClient(url: string, token: string | undefined): ApiClient {
  return async (method, path, body, headers = {}) => {
    const response = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const is_json = /json/.test(response.headers.get('content-type') ?? '');
    return { status: response.status, headers: response.headers, body: is_json && text ? JSON.parse(text) : text };
  };
}

/** The refusals of an answer: by field the key of its message. */
export const errorsOf = ({ body }: ApiAnswer): Record<string, string> =>
  Object.fromEntries((body.errors as { field: string; code: string }[]).map(({ field, code }) => [field, code]));

/** Two programs that act for themselves: one as an administrator, one as an officer of BPOM. */
export async function openPrograms(gapura: TestGapura): Promise<{ admin: ApiClient; officer: ApiClient }> {
  const admin = await getClientToken(gapura, 'mesin', 'administrator');
  const officer = await getClientToken(gapura, 'mesin-bpom', 'agency_officer', { agency_code: 'BPOM' });
  return { admin: newApiClient(gapura.url, admin), officer: newApiClient(gapura.url, officer) };
}

/** Registers a client that acts for itself in a role, and gives its token. */
export async function getClientToken(
  gapura: Pick<TestGapura, 'db' | 'config'>,
  id: string,
  role: 'administrator' | 'agency_officer' | undefined,
  { agency_code, scope = 'admin:read admin:write' }: { agency_code?: string; scope?: string } = {},
): Promise<string> {
  const { client_id, client_secret } = await registerClient(gapura, id, {
    ...(role ? { api_role: role } : {}),
    ...(agency_code ? { agency_code } : {}),
    metadata: { grant_types: ['client_credentials'], redirect_uris: [], response_types: [], scope },
  });
  const response = await fetch(`${gapura.config.issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${client_id}:${client_secret}`).toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope }),
  });
  const body = (await response.json()) as { access_token?: string };
  if (!body.access_token) throw new Error(`no token for ${id}: ${JSON.stringify(body)}`);
  return body.access_token;
}

/** Has somebody sign in, or come back with a live session, and gives the token that asks in their name. */
export type TokenOf = (visitor: HttpVisitor, username: string, parameters?: Record<string, string>) => Promise<string>;

/** Registers a client through which people ask the interface. */
export async function openPersonClient(
  gapura: Pick<TestGapura, 'db' | 'config'>,
  id: string,
  scope = 'admin:read admin:write',
): Promise<TokenOf> {
  const client = await registerClient(gapura, id, { metadata: { scope: `openid ${scope}` } });
  const party = await openParty(gapura.config.issuer, client, `openid ${scope}`);
  return async (visitor, identifier, parameters) => {
    const { address, checks } = await party.begin(parameters);
    const answers = { identifier, password: demo_password };
    const returned = await authorize(visitor, address, client.redirect_uri, answers);
    return (await party.redeem(returned, checks)).access_token;
  };
}

/** The token of somebody who signs in for it, at a client of its own. */
export async function getPersonToken(
  gapura: Pick<TestGapura, 'db' | 'config' | 'url'>,
  id: string,
  username: string,
  scope?: string,
): Promise<string> {
  return (await openPersonClient(gapura, id, scope))(newHttpVisitor(gapura.url), username);
}

/** A person at the console, as `carryOut` is given them; `findResource` also knows the resources of the test's making. */
export async function deskOf(gapura: TestGapura, account_id: string, more: Partial<Desk> = {}): Promise<Desk> {
  const { db, config } = gapura;
  return {
    db,
    config,
    jobs: gapura.gapura.jobs,
    clients: gapura.gapura.clients,
    links: {} as Desk['links'],
    engine: {} as Desk['engine'],
    actor: {
      account_id,
      client_id: null,
      roles: await listRoles(db, account_id),
      scopes: null,
      session_uid: null,
      signed_in_at: nowSeconds(),
    },
    request: { address: '127.0.0.1', user_agent: 'test', request_id: 'r1' },
    language: 'id',
    findResource: (name) => resources.find((resource) => resource.name === name),
    ...more,
  };
}

/** The audit's rows of what was done to one entry, the latest first. */
export async function listOperations({ db }: Pick<TestGapura, 'db'>, resource: string, id: string) {
  const rows = await db
    .selectFrom('audit_events')
    .selectAll()
    .where('kind', '=', 'operation')
    .where(sql<boolean>`detail->>'resource' = ${resource} AND detail->>'id' = ${id}`)
    .orderBy('id', 'desc')
    .execute();
  return rows.map((row) => ({ ...row, detail: row.detail as Record<string, unknown> }));
}

/** Sends a form of the console that is open, with `values` over its fields, and expects to be led on. */
export async function submitWell(visitor: HttpVisitor, page: Answer, values: Record<string, string>): Promise<Answer> {
  const answer = await visitor.submit(page, values);
  expect([answer.status, problemsOf(answer)]).toEqual([200, []]);
  return answer;
}

/** The sentences of a page's summary of errors. */
export function problemsOf({ body }: Answer): string[] {
  const [, list = ''] = /id="problems"[\s\S]*?<ul>([\s\S]*?)<\/ul>/.exec(body) ?? [];
  return [...list.matchAll(/<a[^>]*>([\s\S]*?)<\/a>/g)].map(([, text = '']) => text.trim());
}
