/** What the people of the crowd do: each act asks as a browser does, and puts into the ledger what the answer said. */

import * as oidc from 'openid-client';
import type { Answer } from '../support/http.ts';
import { followTo } from '../support/relying-party.ts';
import { Broken, Interrupted, isInterrupted, pass, tell, Unexpected } from './answers.ts';
import { type ClientId, own_password, type Party } from './application.ts';
import { ask, asksWhoItIs, type Ground, send } from './asking.ts';
import { noteEnd, type Person } from './ledger.ts';

/** The directorates of the company that all belong to, by code and by the beginning of their names. */
const directorates: Record<string, string> = {
  PANGAN: 'Inspeksi dan Sertifikasi Produk Pangan',
  OT: 'Inspeksi dan Sertifikasi Obat',
};

/** For how long a client with a grace may come back with the token whose answer it lost, less what asking takes. */
const grace_ms = 50_000;

/** Finds out what became of everything whose answer is missing. */
export async function settle(person: Person): Promise<void> {
  if (person.session === 'unknown') await lookAtSession(person);
  const is_unsure = [...person.links.values()].includes(undefined);
  if (person.session === 'open' && is_unsure) await lookAtLinks(person);
}

async function lookAtSession(person: Person): Promise<void> {
  const home = pass(await person.visitor.get('/portal'));
  if (home.status === 200 && home.url.pathname === '/portal') {
    person.session = 'open';
    // The reset whose answer is missing would have ended it.
    if (person.is_resetting) person.passwords.pop();
    person.is_resetting = false;
  } else if (asksWhoItIs(home)) {
    // It ended with the reset, which is then done whole.
    if (person.is_resetting) person.passwords.splice(0, person.passwords.length - 1);
    noteEnd(person);
  } else throw new Unexpected(tell('a look at the portal', home));
}

async function lookAtLinks(person: Person): Promise<void> {
  const page = await openPortal(person, '/portal/applications/e-bpom');
  for (const name of person.links.keys()) person.links.set(name, findLink(page, name) !== undefined);
}

/** A page of the portal, for somebody who is signed in. */
async function openPortal(person: Person, address: string): Promise<Answer> {
  const page = pass(await person.visitor.get(address));
  if (asksWhoItIs(page)) throw signedOut(person, address);
  if (page.status !== 200) throw new Unexpected(tell(address, page));
  return page;
}

/** A living session that is asked who it is was lost; from now on it counts as closed, so that this is told once. */
function signedOut(person: Person, where: string): Broken {
  noteEnd(person);
  person.ended = [];
  return new Broken(`${person.username} is signed out without having signed out (${where})`);
}

export async function signIn(person: Person): Promise<void> {
  let page = pass(await person.visitor.get('/portal'));
  if (!asksWhoItIs(page)) {
    if (page.url.pathname === '/portal')
      throw new Broken(`${person.username} is signed in after the end of the session`);
    throw new Unexpected(tell('the sign-in page', page));
  }
  for (const password of person.passwords.toReversed()) {
    const told = ask(person, 'sign_in');
    person.session = 'unknown';
    page = await send(person.visitor, page, { identifier: person.username, password });
    if (page.status === 200 && page.url.pathname === '/portal') {
      told();
      person.session = 'open';
      person.passwords = [password];
      return;
    }
    if (page.status !== 422 || !asksWhoItIs(page)) throw new Unexpected(tell('a sign-in', page));
    // A refusal is an answer, too: nothing was done.
    person.tally.sign_in.sent -= 1;
    person.session = 'closed';
  }
  throw new Broken(`${person.username} cannot sign in with a password that was acknowledged`);
}

export async function signOut(person: Person, { parties }: Ground): Promise<void> {
  const question = pass(await person.visitor.get('/connect/session/end'));
  const told = ask(person, 'sign_out');
  person.session = 'unknown';
  const end = await send(person.visitor, question, { logout: 'yes' }, 'sign-out');
  if (end.status !== 200 || end.url.pathname !== '/connect/session/end/success')
    throw new Unexpected(tell('a sign-out', end));
  told();
  const [first] = [...person.opened].filter(([, { lost_at }]) => lost_at === undefined);
  noteEnd(person);
  const [id, opened] = first ?? [];
  if (!id || !opened?.refresh_token) return;
  const outcome = await renew(parties[id], opened.refresh_token);
  if (outcome !== 'refused')
    throw new Broken(`${person.username} has signed out, and a refresh token of ${id} still works`);
}

export async function link(person: Person, { random }: Ground): Promise<void> {
  const names = [...person.links];
  const [name = '', is_linked] = names[Math.floor(random() * names.length)] ?? [];
  if (is_linked) return unlink(person, name);
  const page = await openPortal(person, '/portal/applications/e-bpom/link');
  const told = ask(person, 'link_added');
  person.links.set(name, undefined);
  const done = await send(person.visitor, page, { username: name, password: own_password }, 'link');
  if (done.status !== 200 || !done.url.search.includes('done=linked')) throw new Unexpected(tell('a link', done));
  told();
  person.links.set(name, true);
}

async function unlink(person: Person, name: string): Promise<void> {
  const id = findLink(await openPortal(person, '/portal/applications/e-bpom'), name);
  if (id === undefined) {
    person.links.set(name, undefined);
    throw new Broken(`${name} was linked, and the link is lost`);
  }
  const question = await openPortal(person, `/portal/links/${id}/removal`);
  const told = ask(person, 'link_removed');
  person.links.set(name, undefined);
  const done = await send(person.visitor, question, {}, 'removal');
  if (done.status !== 200 || !done.url.search.includes('done=removed'))
    throw new Unexpected(tell('an unlinking', done));
  told();
  person.links.set(name, false);
}

const findLink = ({ body }: Answer, name: string) => new RegExp(`id="link-([0-9a-f-]{36})">${name}<`).exec(body)?.[1];

/** Goes to an application and back, and redeems its code; with `switches` the person chooses the other directorate on the way. */
export async function open(person: Person, ground: Ground, id: ClientId, switches = false): Promise<void> {
  const party = ground.parties[id];
  const wanted =
    switches && person.has_directorate ? (person.directorates.at(-1) === 'OT' ? 'PANGAN' : 'OT') : undefined;
  const { returned, checks } = await goThere(person, ground, party, wanted);
  if (id === 'sekali') return redeemTwice(person, party, returned, checks);
  const tokens = await redeem(party, returned, checks);
  await keep(person, party, tokens);
  if (wanted && person.directorates[0] !== wanted)
    throw new Broken(`${person.username} chose ${wanted} and got ${person.directorates[0]}`);
}

type Checks = Awaited<ReturnType<Party['begin']>>['checks'];
type Tokens = Awaited<ReturnType<Party['redeem']>>;

async function goThere(person: Person, { random }: Ground, party: Party, wanted: string | undefined) {
  const { address, checks } = await party.begin(wanted ? { prompt: 'select_directorate' } : {});
  let answer = pass(await person.visitor.get(address, { follow: false }));
  for (let pages = 0; pages < 4; pages++) {
    const reached = await followTo(person.visitor, party.redirect_uri, answer);
    if ('returned' in reached) {
      const { searchParams } = reached.returned;
      if (searchParams.has('code')) return { returned: reached.returned, checks };
      throw new Unexpected(`${party.id}: ${searchParams.get('error')} ${searchParams.get('error_description')}`);
    }
    const page = pass(reached.page);
    if (asksWhoItIs(page)) throw signedOut(person, party.id);
    if (!page.body.includes('id="choose-directorate"')) throw new Unexpected(tell(`the way to ${party.id}`, page));
    if (!wanted && person.has_directorate)
      throw new Broken(`${person.username} is asked again for a directorate that was chosen`);
    const chosen = wanted ?? (random() < 0.5 ? 'OT' : 'PANGAN');
    const option = new RegExp(`<option value="([^"]+)"[^>]*>${directorates[chosen]}`).exec(page.body)?.[1] ?? '';
    const told = ask(person, 'directorate_chosen');
    person.directorates = [...new Set([...person.directorates, chosen])];
    // A new choice ends what the old one opened.
    person.opened.delete(party.id);
    answer = pass(await person.visitor.post(page.url, { directorate: option }, { follow: false }));
    if (answer.status >= 300 && answer.status < 400) told();
  }
  throw new Unexpected(`the way to ${party.id} does not end`);
}

async function redeem(party: Party, returned: URL, checks: Checks): Promise<Tokens> {
  try {
    return await party.redeem(returned, checks);
  } catch (error) {
    if (isInterrupted(error)) throw new Interrupted(503);
    throw new Unexpected(`${party.id}: the code is refused: ${explain(error)}`);
  }
}

/** What the tokens say must be what was acknowledged. */
async function keep(person: Person, party: Party, tokens: Tokens): Promise<void> {
  const claims = await party.verify(tokens.id_token ?? '').catch((error) => {
    if (isInterrupted(error) || /HTTP response/.test(String(error))) throw new Interrupted(503);
    throw new Broken(`an ID token of ${party.id} is not verified by the published keys: ${error}`);
  });
  person.opened.set(party.id, { refresh_token: tokens.refresh_token });
  if (claims.sub !== person.account_id) throw new Broken(`${person.username} got a token of somebody else`);
  person.sids.set(party.id, String(claims.sid));
  if (party.id !== 'e-bpom') return;
  const { code = '' } = (claims.directorate ?? {}) as { code?: string };
  if (!person.directorates.includes(code))
    throw new Broken(`${person.username} chose ${person.directorates.join(' or ')} and a token says ${code}`);
  person.directorates = [code];
  person.has_directorate = true;
}

/** A code that is redeemed twice at once gives tokens once at most; what it gave ends with the second try. */
async function redeemTwice(person: Person, party: Party, returned: URL, checks: Checks): Promise<void> {
  const tries = await Promise.allSettled([party.redeem(returned, checks), party.redeem(returned, checks)]);
  const given = tries.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  if (given.length > 1) throw new Broken(`a code of ${party.id} was redeemed twice`);
  if (tries.some((one) => one.status === 'rejected' && isInterrupted(one.reason))) throw new Interrupted(503);
  const [tokens] = given;
  if (!tokens) throw new Unexpected(`a code of ${party.id} was refused twice`);
  person.sids.set(party.id, String(tokens.claims()?.sid));
}

/** Renews the tokens of an application that is open; opens it where it is not. */
export async function refresh(person: Person, ground: Ground, id: ClientId): Promise<void> {
  const party = ground.parties[id];
  const opened = person.opened.get(id);
  if (!opened?.refresh_token) return open(person, ground, id);
  const { lost_at } = opened;
  const must_work = lost_at === undefined || (id === 'e-bpom' && performance.now() - lost_at < grace_ms);
  opened.lost_at ??= performance.now();
  const outcome = await renew(party, opened.refresh_token);
  if (outcome !== 'refused') return keep(person, party, outcome);
  person.opened.delete(id);
  if (must_work) throw new Broken(`${person.username}: a refresh token of ${id} that was acknowledged is refused`);
}

async function renew(party: Party, refresh_token: string): Promise<Tokens | 'refused'> {
  try {
    return await party.refresh(refresh_token);
  } catch (error) {
    if (isInterrupted(error)) throw new Interrupted(503);
    if (error instanceof oidc.ResponseBodyError && error.error === 'invalid_grant') return 'refused';
    throw new Unexpected(`${party.id}: a refresh failed: ${explain(error)}`);
  }
}

function explain(error: unknown): string {
  if (error instanceof oidc.ResponseBodyError) return `${error.status} ${error.error} ${error.error_description}`;
  return `${error} ${JSON.stringify((error as Error).cause ?? '')}`;
}
