/** What stands for the certification suite: Gapura on two processes behind a proxy, relying parties, a browser without scripts. */

import * as oidc from 'openid-client';
import type { ClientRegistration } from '../../src/clients/client.ts';
import { inTransaction } from '../../src/database.ts';
import { findFreePort } from '../../src/demo/postgres.ts';
import { issueInitialAccessToken } from '../../src/oidc/clients/initial-tokens.ts';
import { recordKey } from '../../src/oidc/records/store.ts';
import { setPolicy, whole_system } from '../../src/policy/store.ts';
import { openRootSecrets } from '../../src/root-secrets.ts';
import {
  demo_password,
  registerClient,
  startNodes,
  type TestGapuraOptions,
  type TestNodes,
} from '../support/gapura.ts';
import { type Answer, findForm, type HttpVisitor, newHttpVisitor } from '../support/http.ts';
import { askNode, until } from '../support/nodes.ts';
import { followTo } from '../support/relying-party.ts';
import { type RoundRobin, startRoundRobin } from '../support/round-robin.ts';
import { startServer } from '../support/server.ts';

export interface Suite extends TestNodes {
  issuer: string;
  proxy: RoundRobin;
  /** What a client registers itself with. */
  initial_access_token: string;
}

/** Two server processes that are reached through the proxy alone; clients may register themselves. */
export async function openSuite(
  options: TestGapuraOptions & { tls?: { key: string; cert: string } } = {},
): Promise<Suite> {
  const { tls, env, ...rest } = options;
  const port = await findFreePort();
  const url = `${tls ? 'https' : 'http'}://localhost:${port}`;
  const gapura = await startNodes({ ...rest, env: { GAPURA_URL: url, GAPURA_TRUSTED_PROXIES: '127.0.0.1', ...env } });
  const proxy = await startRoundRobin(gapura.nodes, { port, ...(tls ? { tls } : {}) });
  const initial_access_token = await openDoor(gapura);
  return {
    ...gapura,
    issuer: gapura.config.issuer,
    proxy,
    initial_access_token,
    async stop() {
      await proxy.close();
      await gapura.stop();
    },
  };
}

/** Lets clients register themselves, without the challenge of PKCE, which the suite sends in one module only. */
async function openDoor(gapura: TestNodes): Promise<string> {
  const change = { scope: whole_system, version: 0, by: null, because: 'a test' };
  const id_key = recordKey(await openRootSecrets(gapura.db, gapura.config));
  const { token } = await inTransaction(gapura.db, async (tx) => {
    await setPolicy(tx, { ...change, key: 'clients.dynamic_pkce', value: false });
    await setPolicy(tx, { ...change, key: 'clients.dynamic_registration', value: true });
    return issueInitialAccessToken(tx, { id_key }, { by: null, expires_in: 3600, clients: 100 });
  });
  const isOpen = async (at: number) =>
    (await askNode(gapura, at, '/connect/.well-known/openid-configuration')).body.includes('registration_endpoint');
  await until(async () => (await isOpen(0)) && (await isOpen(1)));
  return token;
}

/** Runs a command of the operator's, to the line that says what it did. */
export async function runCommand({ config }: Suite, command: string[], said: RegExp): Promise<void> {
  const database_url = config.database_url.reveal();
  const run = await startServer({ database_url, env: { GAPURA_URL: config.url }, command });
  await until(() => run.log.some(({ text }) => typeof text === 'string' && said.test(text)));
  await run.stop();
}

/** A relying party of the suite. */
export interface Party {
  suite: Suite;
  client_id: string;
  client_secret: string | undefined;
  redirect_uri: string;
  configuration: oidc.Configuration;
}

const execute = [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks];

/** A client that an administrator registered before; it proves itself by its secret, and no challenge is asked of it. */
export async function openStaticParty(
  suite: Suite,
  client_id: string,
  registration: Partial<ClientRegistration> = {},
  way: (secret: string) => oidc.ClientAuth = oidc.ClientSecretBasic,
): Promise<Party> {
  const client = await registerClient(suite, client_id, { first_party: false, pkce_required: false, ...registration });
  const { client_secret } = client;
  const configuration = await oidc.discovery(new URL(suite.issuer), client_id, undefined, way(client_secret), {
    execute,
  });
  return { suite, ...client, configuration };
}

/** Where the dynamic clients of the suite get their answers; nothing listens there. */
export const suite_redirect_uri = 'https://suite.contoh.example/callback';

/** A client that registers itself. */
export async function openDynamicParty(
  suite: Suite,
  metadata: Partial<oidc.ClientMetadata> = {},
  way?: oidc.ClientAuth,
): Promise<Party> {
  const configuration = await oidc.dynamicClientRegistration(
    new URL(suite.issuer),
    { client_name: 'Suite', redirect_uris: [suite_redirect_uri], ...metadata } as Partial<oidc.ClientMetadata>,
    way,
    { initialAccessToken: suite.initial_access_token, execute },
  );
  const { client_id, client_secret, redirect_uris } = configuration.clientMetadata();
  const [redirect_uri = ''] = redirect_uris as string[];
  return { suite, client_id, client_secret, redirect_uri, configuration };
}

/** Parameters of a request; undefined leaves out what is usually sent. */
export type Parameters = Record<string, string | undefined>;

/** Who asks, and how the request is sent. */
export interface Person {
  visitor?: HttpVisitor;
  identifier?: string;
  /** As a form instead of a link. */
  posts?: boolean;
  /** The parameters in the reverse of their usual order. */
  backwards?: boolean;
}

/** One authorization request and what became of it. */
export interface Visit {
  visitor: HttpVisitor;
  /** The ids of the forms that had to be answered, in their order, and the pages they stood on. */
  asked: string[];
  pages: Answer[];
  /** Where the application was called, with the answer's parameters, whichever way they came. */
  returned: URL | undefined;
  /** How they came. */
  mode: 'query' | 'form_post' | undefined;
  /** The last page of ours: of an error, or the one that carried the answer. */
  page: Answer | undefined;
  checks: oidc.AuthorizationCodeGrantChecks;
}

/** Sends one authorization request in a browser and answers what it asks, up to the application's address or an error page. */
export async function authorize(party: Party, parameters: Parameters = {}, person: Person = {}): Promise<Visit> {
  const { visitor = newHttpVisitor(party.suite.url), identifier = 'budi', posts, backwards } = person;
  const sent = {
    scope: 'openid',
    redirect_uri: party.redirect_uri,
    state: oidc.randomState(),
    nonce: oidc.randomNonce(),
    ...parameters,
  };
  const address = oidc.buildAuthorizationUrl(party.configuration, withoutUndefined(sent));
  if ('response_type' in parameters && parameters.response_type === undefined)
    address.searchParams.delete('response_type');
  if (backwards) address.search = new URLSearchParams([...address.searchParams].reverse()).toString();
  const first = posts
    ? await visitor.post(`${party.suite.issuer}/auth`, address.searchParams, { follow: false })
    : await visitor.get(address, { follow: false });
  const visit = await answerPages(visitor, first, party.redirect_uri, identifier);
  if (Number(visit.page?.status) >= 500) throw new Error(describeFailure(party.suite));
  return { visitor, checks: checksOf(sent), ...visit };
}

/** What the processes themselves say of the last thing that failed. */
function describeFailure({ nodes }: Suite): string {
  const lines = nodes.flatMap(({ log }) => log).filter(({ level }) => Number(level) >= 50);
  return lines.map((line) => JSON.stringify(line)).join('\n');
}

function checksOf({ state, nonce }: Parameters): oidc.AuthorizationCodeGrantChecks {
  return {
    idTokenExpected: true,
    ...(state === undefined ? {} : { expectedState: state }),
    ...(nonce === undefined ? {} : { expectedNonce: nonce }),
  };
}

function withoutUndefined(parameters: Parameters): Record<string, string> {
  return Object.fromEntries(
    Object.entries(parameters).filter((pair): pair is [string, string] => pair[1] !== undefined),
  );
}

async function answerPages(visitor: HttpVisitor, first: Answer, redirect_uri: string, identifier: string) {
  const asked: string[] = [];
  const pages: Answer[] = [];
  const answers: Record<string, Record<string, string>> = {
    login: { identifier, password: demo_password },
    consent: { allow: '1' },
  };
  let answer = first;
  for (let hops = 0; hops < 6; hops++) {
    const reached = await followTo(visitor, redirect_uri, answer);
    if ('returned' in reached)
      return { asked, pages, returned: reached.returned, mode: 'query' as const, page: undefined };
    const { page } = reached;
    const [, id = ''] = /<form id="(login|consent|forward)"/.exec(page.body) ?? [];
    if (id === 'forward') {
      const { action, fields } = findForm(page.body, id);
      const returned = new URL(action);
      for (const [name, value] of Object.entries(fields)) returned.searchParams.append(name, value);
      return { asked, pages, returned, mode: 'form_post' as const, page };
    }
    // Of an application that nobody has looked at a person is told before an error leads there.
    const [, link] = /<a class="button" id="submit" href="([^"]+)"/.exec(page.body) ?? [];
    if (link) {
      const returned = new URL(link.replaceAll('&amp;', '&'));
      return { asked: [...asked, 'held'], pages: [...pages, page], returned, mode: 'query' as const, page };
    }
    const form = id && findForm(page.body, id);
    if (!form) return { asked, pages, returned: undefined, mode: undefined, page };
    asked.push(id);
    pages.push(page);
    const target = new URL(form.action || page.url.href, page.url);
    answer = await visitor.post(target, { ...form.fields, ...answers[id] }, { follow: false });
  }
  throw new Error(`the prompts do not end: ${asked.join(', ')}`);
}

/** The answer's parameters. @throws Error with the words of the page that came instead */
export function answerOf({ returned, page }: Visit): Record<string, string> {
  if (returned) return Object.fromEntries(returned.searchParams);
  const words = page?.body.replace(/<[^>]+>/g, ' ').replace(/\s+/g, ' ');
  throw new Error(`no answer but a page (${page?.status} ${page?.url}): ${words?.slice(0, 800)}`);
}

/** Redeems the code of a visit; signature, issuer, audience, nonce and state are checked on the way. */
export async function redeem(party: Party, visit: Visit, checks: oidc.AuthorizationCodeGrantChecks = {}) {
  answerOf(visit);
  return oidc.authorizationCodeGrant(party.configuration, visit.returned as URL, { ...visit.checks, ...checks });
}

/** The whole way: a request, its pages, the tokens. */
export async function signInAt(party: Party, parameters: Parameters = {}, person: Person = {}) {
  const visit = await authorize(party, parameters, person);
  const tokens = await redeem(party, visit);
  return { visit, tokens, claims: tokens.claims() as oidc.IDToken };
}

/** The claims of userinfo, asked for by GET with the token in the header. */
export function readUserinfo({ configuration }: Party, { access_token }: { access_token: string }, sub: string) {
  return oidc.fetchUserInfo(configuration, access_token, sub);
}

/** Whether an access token still opens userinfo. */
export async function opensUserinfo({ suite }: Party, access_token: string): Promise<boolean> {
  const answer = await fetch(`${suite.issuer}/userinfo`, { headers: { authorization: `Bearer ${access_token}` } });
  await answer.body?.cancel();
  return answer.status === 200;
}

/** A request to the token endpoint by a client with a secret, as it is answered. */
export async function askForTokens({ suite, client_id, client_secret = '' }: Party, form: Record<string, string>) {
  const answer = await fetch(`${suite.issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${client_id}:${client_secret}`).toString('base64')}` },
    body: new URLSearchParams(form),
  });
  return { status: answer.status, headers: answer.headers, body: (await answer.json()) as Record<string, unknown> };
}

/** What the issuer says of itself. */
export async function discover({ issuer }: Pick<Suite, 'issuer'>): Promise<Record<string, unknown>> {
  return (await fetch(`${issuer}/.well-known/openid-configuration`)).json() as Promise<Record<string, unknown>>;
}

/** The letter of the error page: it says no, leads nowhere else, and is for people. */
export function isErrorPage({ returned, page }: Visit): boolean {
  return returned === undefined && page?.status === 400 && /<h1>/.test(page.body);
}
