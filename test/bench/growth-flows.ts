/** What people, applications and officers do on a small and on a large database, each as one operation. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAccount } from '../../src/accounts/account.ts';
import { saveApplication } from '../../src/applications/application.ts';
import { grantRole } from '../../src/permissions.ts';
import { readUserinfo, redeem, refresh } from './calls.ts';
import { authorize, enter, newVisitor, type Site, send, type Visitor } from './flows.ts';
import type { Installation } from './servers.ts';
import { signInAll, signInNew } from './sign-in.ts';
import { asWeb } from './tokens.ts';

/** One operation, `at` of many; `callers` of them at once, each with its own visitor. */
export interface Operation {
  name: string;
  callers: number;
  /** How many make one half of a pair. */
  times: number;
  run(at: number, who: number): Promise<unknown>;
}

const administrator = 'pengelola';
const application_id = 'aplikasi-ukur';

/** Adds whoever the operations need besides the people: an officer for the console, an application that knows every user name. */
export async function prepareFlows({ db }: Installation, password: string, endpoint: string): Promise<void> {
  const { id } = await createAccount(db, { username: administrator, password, full_name: 'Pengelola Ukur' });
  await grantRole(db, id, 'administrator');
  await saveApplication(db, {
    id: application_id,
    agency_code: 'BPOM',
    name: 'Aplikasi Ukur',
    about: 'Aplikasi Ukur',
    about_en: 'Aplikasi Ukur',
    url: 'http://aplikasi.example/',
    verifier: 'http',
    verifier_settings: JSON.stringify({ endpoint, private_hosts: [new URL(endpoint).host] }),
  });
}

/** The application's side of a link: says yes to every user name. */
export async function openApplication(): Promise<{ endpoint: string; stop(): void }> {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { username } = JSON.parse(Buffer.concat(chunks).toString()) as { username: string };
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ result: 'verified', subject: `s-${username}`, username }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { endpoint: `http://127.0.0.1:${port}/verification`, stop: () => void server.close() };
}

let linked = 0;

/** Links a user name that nobody has linked yet, by the form of the portal. */
export async function link(site: Site, visitor: Visitor): Promise<void> {
  linked += 1;
  const form = new URLSearchParams({ username: `nama${linked}`, password: 'Kenari-Kuning-77!' }).toString();
  const { status, text } = await send(site, visitor, 'POST', `/portal/applications/${application_id}/link`, form);
  if (status !== 303) throw new Error(`no link: ${status} ${text.slice(0, 2000)}`);
}

/** Everything that is compared, for people who are signed in. */
export async function openOperations(site: Site, people: string[], callers: number): Promise<Operation[]> {
  const visitors = await signInAll(site, people, callers);
  const web = asWeb(site);
  const tokens: string[] = [];
  for (const [who, visitor] of visitors.entries()) {
    tokens[who] = (await redeem(web, await authorize(web, visitor))).refresh_token;
    await enter(site, visitor, '/portal');
  }
  const officer = newVisitor(administrator);
  await enter(site, officer, '/admin');
  const { text } = await send(site, officer, 'GET', `/admin/accounts?q=${people[0]}`);
  const [entry] = /\/admin\/accounts\/[0-9a-f-]{36}/.exec(text) ?? [];
  if (!entry) throw new Error('the console does not list the first of the people');
  const open = (path: string) => async () => {
    const answer = await send(site, officer, 'GET', path);
    if (answer.status !== 200) throw new Error(`${answer.status} at ${path}`);
  };
  const of = (who: number) => visitors[who] as Visitor;
  return [
    { name: 'password sign-in', callers: 2, times: 60, run: (at) => signInNew(site, people, at) },
    {
      name: 'single sign-on',
      callers,
      times: 300,
      run: async (_at, who) => readUserinfo(site, (await redeem(site, await authorize(site, of(who)))).access_token),
    },
    {
      name: 'refresh',
      callers,
      times: 400,
      run: async (_at, who) => {
        tokens[who] = (await refresh(web, tokens[who] ?? '')).refresh_token;
      },
    },
    { name: 'link', callers, times: 160, run: (_at, who) => link(site, of(who)) },
    { name: 'portal, table of applications', callers, times: 160, run: (_at, who) => openOwn(site, of(who)) },
    { name: 'console, list of accounts', callers: 4, times: 80, run: open('/admin/accounts') },
    { name: 'console, accounts by age', callers: 4, times: 80, run: open('/admin/accounts?sort=-created_at') },
    { name: 'console, a search', callers: 4, times: 80, run: open(`/admin/accounts?q=${people[0]}`) },
    { name: 'console, list of organisations', callers: 4, times: 80, run: open('/admin/organisations') },
    { name: 'console, list of links', callers: 4, times: 80, run: open('/admin/links') },
    { name: 'console, the audit', callers: 4, times: 80, run: open('/admin/audit') },
    { name: 'console, page of an account', callers: 4, times: 80, run: open(entry) },
  ];
}

async function openOwn(site: Site, visitor: Visitor): Promise<void> {
  const { status } = await send(site, visitor, 'GET', '/portal/applications');
  if (status !== 200) throw new Error(`${status} at the table of applications`);
}
