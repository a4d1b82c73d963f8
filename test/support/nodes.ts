/** What tests of several server processes share: requests to one node or the other, applications, winners counted. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { demo_password, registerClient, type TestNodes } from './gapura.ts';
import { type Answer, type HttpVisitor, newHttpVisitor } from './http.ts';
import { authorize, openParty, type TestParty } from './relying-party.ts';
import { type StormAnswer, type StormRequest, storm } from './storm.ts';

/** A request to one of the nodes as the proxy in front of them would send it: a visitor's cookies, the common Host. */
export function requestTo(
  { url, nodes }: Pick<TestNodes, 'url' | 'nodes'>,
  at: number,
  address: string | URL,
  {
    visitor,
    form,
    headers = {},
  }: { visitor?: HttpVisitor; form?: Record<string, string>; headers?: Record<string, string> } = {},
): StormRequest {
  const target = new URL(address, url);
  const cookie = (visitor?.cookies ?? [])
    .filter((one) => one.host === target.hostname && `${target.pathname}/`.startsWith(one.path.replace(/\/?$/, '/')))
    .map((one) => `${one.name}=${one.value}`)
    .join('; ');
  const common = { host: target.host, ...(cookie && { cookie }), ...headers };
  target.port = String(nodes[at % 2 === 0 ? 0 : 1].port);
  return { url: target.href, headers: common, ...(form && { body: new URLSearchParams(form).toString() }) };
}

/** One request to one node. */
export async function askNode(...request: Parameters<typeof requestTo>): Promise<StormAnswer> {
  const [answer] = await storm(1, () => requestTo(...request));
  return answer as StormAnswer;
}

/** A relying party whose token requests can go to either node. */
export interface App extends TestParty {
  id: string;
  /** A request to the token endpoint, with the client's secret. */
  ask(at: number, form: Record<string, string>, path?: string): StormRequest;
}

/** Registers a client and discovers the issuer as it. */
export async function openApp(
  gapura: TestNodes,
  id: string,
  registration: Parameters<typeof registerClient>[2] = {},
  scope?: string,
): Promise<App> {
  const client = await registerClient(gapura, id, registration);
  const party = await openParty(gapura.config.issuer, client, scope);
  const authorization = `Basic ${Buffer.from(`${id}:${client.client_secret}`).toString('base64')}`;
  return {
    ...party,
    id,
    ask: (at, form, path = '/connect/token') => requestTo(gapura, at, path, { form, headers: { authorization } }),
  };
}

export type Checks = Awaited<ReturnType<TestParty['begin']>>['checks'];

/** What a token request with a code carries. */
export function codeForm(app: App, returned: URL, checks: Checks): Record<string, string> {
  return {
    grant_type: 'authorization_code',
    code: returned.searchParams.get('code') ?? '',
    redirect_uri: app.redirect_uri,
    code_verifier: checks.pkceCodeVerifier ?? '',
  };
}

/** The fields of the sign-in page, filled by one of the demonstration's people. */
export const password = (identifier: string) => ({ identifier, password: demo_password });

/** Opens an application as a person would, signing in where asked. */
export async function openAs(
  app: App,
  visitor: HttpVisitor,
  identifier: string,
  parameters: Record<string, string> = {},
) {
  const { address, checks } = await app.begin(parameters);
  const returned = await authorize(visitor, address, app.redirect_uri, password(identifier));
  return { visitor, returned, checks };
}

/** One page of a browser that asks something, and what the answer's code is checked against. */
export interface Tab {
  page: Answer;
  checks: Checks;
}

/** Opens an application up to the first page that asks something. */
export async function openTab(visitor: HttpVisitor, app: App, parameters: Record<string, string> = {}): Promise<Tab> {
  const { address, checks } = await app.begin(parameters);
  return { page: await visitor.get(address), checks };
}

/** The codes that a storm's answers carry to an application. */
export function codesOf(answers: StormAnswer[], { redirect_uri }: App): URL[] {
  return answers.flatMap(({ headers: { location = '' } }) =>
    location.startsWith(redirect_uri) && location.includes('code=') ? [new URL(location)] : [],
  );
}

/**
 * How many answers had which status.
 * @throws Error with the nodes' own words when one of them failed
 */
export function count({ nodes }: TestNodes, answers: StormAnswer[]): Record<string, number> {
  const tally: Record<string, number> = {};
  for (const { status } of answers) tally[status] = (tally[status] ?? 0) + 1;
  if (answers.some(({ status }) => status >= 500)) {
    const lines = nodes.flatMap(({ log }) => log).filter(({ level }) => Number(level) >= 50);
    throw new Error([JSON.stringify(tally), ...lines.map((line) => JSON.stringify(line))].join('\n'));
  }
  return tally;
}

/** What the answers of a storm leave in the browser: each cookie as the last of them sets it. */
export function keepCookies({ cookies }: HttpVisitor, answers: StormAnswer[]): void {
  for (const line of answers.flatMap((answer) => answer.cookies)) {
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    const path = /; path=([^;]+)/i.exec(line)?.[1] ?? '/';
    const at = cookies.findIndex((one) => one.name === name && one.path === path);
    if (at >= 0) cookies.splice(at, 1);
    if (value !== '') cookies.push({ name, value, path, host: 'localhost', secure: false });
  }
}

/** A visitor with the same cookies as another has now: what somebody holds who copied them. */
export function copyVisitor(url: string, { cookies }: HttpVisitor): HttpVisitor {
  const copy = newHttpVisitor(url);
  copy.cookies.push(...cookies.map((cookie) => ({ ...cookie })));
  return copy;
}

export async function findAccountId({ db }: Pick<TestNodes, 'db'>, username: string): Promise<string> {
  const found = db.selectFrom('account_identifiers').select('account_id').where('canonical', '=', username);
  return (await found.executeTakeFirstOrThrow()).account_id;
}

export async function listSessions(gapura: Pick<TestNodes, 'db'>, username: string) {
  const account_id = await findAccountId(gapura, username);
  return gapura.db.selectFrom('oidc_sessions').selectAll().where('account_id', '=', account_id).execute();
}

/** The engine's records of one client. */
export function listRecords({ db }: Pick<TestNodes, 'db'>, client_id: string, model: string) {
  const records = db.selectFrom('oidc_records').selectAll();
  return records.where('client_id', '=', client_id).where('model', '=', model).execute();
}

/** The audit's rows of one kind about one client. */
export function listAudit({ db }: Pick<TestNodes, 'db'>, client_id: string, kind: string) {
  const events = db.selectFrom('audit_events').selectAll();
  return events.where('client_id', '=', client_id).where('kind', '=', kind).execute();
}

/** Whether a visitor's cookies open the portal, as each node sees it. */
export async function signedInAt(gapura: TestNodes, visitor: HttpVisitor): Promise<boolean[]> {
  const answers = await Promise.all([0, 1].map((at) => askNode(gapura, at, '/portal', { visitor })));
  return answers.map(({ status }) => status === 200);
}

/** An application that hears of sign-outs at an address of its own. */
export interface Listener {
  port: number;
  /** The logout tokens that came, and the status each was answered with. */
  heard: { token: string; status: number }[];
  /** What it answers. */
  status: number;
  /** What it waits for before it answers. */
  before: () => Promise<void>;
  listen(): Promise<void>;
  close(): Promise<void>;
}

const listening: Listener[] = [];

/** Closes what a test opened. */
export async function closeListeners(): Promise<void> {
  await Promise.all(listening.splice(0).map((one) => one.close()));
}

/** Listens for sign-outs on a free port. */
export async function startListener(): Promise<Listener> {
  const server = createServer(async (req, res) => {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk);
    const token = new URLSearchParams(Buffer.concat(chunks).toString()).get('logout_token') ?? '';
    listener.heard.push({ token, status: listener.status });
    await listener.before();
    res.writeHead(listener.status).end();
  });
  const listener: Listener = {
    port: 0,
    heard: [],
    status: 200,
    before: async () => undefined,
    listen: () =>
      new Promise((resolve) => {
        server.listen(listener.port, '127.0.0.1', () => {
          listener.port = (server.address() as AddressInfo).port;
          resolve();
        });
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  await listener.listen();
  listening.push(listener);
  return listener;
}

/** An application that has an address for sign-outs, and one to return to after its own. */
export async function openListeningApp(gapura: TestNodes, id: string): Promise<{ app: App; listener: Listener }> {
  const listener = await startListener();
  const app = await openApp(gapura, id, {
    metadata: {
      backchannel_logout_uri: `http://127.0.0.1:${listener.port}/keluar`,
      backchannel_logout_session_required: true,
      post_logout_redirect_uris: [`http://${id}.localhost:4999/selesai`],
    },
  });
  return { app, listener };
}

/** Waits until something is so; the test's own time limit ends it. */
export async function until(is_so: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await is_so())) await new Promise((resolve) => setTimeout(resolve, 20));
}
