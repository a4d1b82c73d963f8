/** What each person of the crowd was told, kept beside what was asked without an answer, and its comparison with the rows. */

import { sql } from 'kysely';
import { verifyPassword } from '../../src/accounts/password.ts';
import { findPasswordHash } from '../../src/accounts/password-store.ts';
import type { Database } from '../../src/database.ts';
import type { HttpVisitor } from '../support/http.ts';
import type { Applications, ClientId } from './application.ts';
import { codeOf, type Mailbox } from './mailbox.ts';

/** What is done at most once for each time that it was asked for, by the kind of its audit event. */
export const deeds = [
  'sign_in',
  'sign_out',
  'link_added',
  'link_removed',
  'directorate_chosen',
  'recovery_code_sent',
  'recovery_verified',
  'password_reset',
] as const;
export type Deed = (typeof deeds)[number];

/** An application that is open: its refresh token, and since when the answer to its use is missing. */
export interface Opened {
  refresh_token: string | undefined;
  lost_at?: number | undefined;
}

/** The way back of somebody who forgot a password: begun, and waiting for its mail. */
export interface Recovery {
  visitor: HttpVisitor;
  page: Awaited<ReturnType<HttpVisitor['get']>>;
  is_code_sent: boolean;
}

export interface Person {
  username: string;
  account_id: string;
  /** Where mails with codes go. */
  mailbox: string;
  visitor: HttpVisitor;
  session: 'open' | 'closed' | 'unknown';
  /** What the password can be, the newest last; one, where that is known. */
  passwords: string[];
  /** A reset was asked for in a living session, and its answer is missing. */
  is_resetting: boolean;
  /** The user names at e-BPOM, and whether they are linked; undefined where an answer is missing. */
  links: Map<string, boolean | undefined>;
  /** The directorates that the session can have at e-BPOM; none before it was asked. */
  directorates: string[];
  /** A token has said which. */
  has_directorate: boolean;
  opened: Map<ClientId, Opened>;
  /** By which number each application knows the session. */
  sids: Map<ClientId, string>;
  recovery: Recovery | undefined;
  /** Codes that were typed. */
  tried: Set<string>;
  tally: Record<Deed, { sent: number; told: number }>;
  /** The sessions that ended, by the numbers of the applications: each of them must hear of it. */
  ended: { client_id: ClientId; sid: string }[];
}

export function newPerson(
  one: Pick<Person, 'username' | 'account_id' | 'mailbox' | 'visitor'>,
  password: string,
): Person {
  return {
    ...one,
    session: 'closed',
    passwords: [password],
    is_resetting: false,
    links: new Map([`${one.username}_a`, `${one.username}_b`].map((name) => [name, false])),
    directorates: [],
    has_directorate: false,
    opened: new Map(),
    sids: new Map(),
    recovery: undefined,
    tried: new Set(),
    tally: Object.fromEntries(deeds.map((deed) => [deed, { sent: 0, told: 0 }])) as Person['tally'],
    ended: [],
  };
}

/** The session is over, by its person's own wish; what it had opened is closed with it. */
export function noteEnd(person: Person): void {
  person.session = 'closed';
  for (const [client_id, sid] of person.sids) person.ended.push({ client_id, sid });
  person.sids.clear();
  person.opened.clear();
  person.directorates = [];
  person.has_directorate = false;
  person.is_resetting = false;
}

interface Sources {
  db: Database;
  people: readonly Person[];
  applications: Pick<Applications, 'heard' | 'refused'>;
  mailbox: Mailbox;
}

/** Every difference between what people were told and what is; a sentence each. All of it has come to rest by now. */
export async function compareLedger({ db, people, applications, mailbox }: Sources): Promise<string[]> {
  const differences: string[] = [];
  for (const person of people) {
    const found = [
      ...(await compareDeeds(db, person)),
      ...(await compareLinks(db, person)),
      ...(await comparePassword(db, person)),
      ...(await compareSessions(db, person)),
      ...compareLogouts(applications, person),
      ...compareMails(mailbox, person),
    ];
    differences.push(...found.map((text) => `${person.username}: ${text}`));
  }
  differences.push(...(await compareMailRows(db, mailbox)), ...(await compareJobs(db)), ...(await compareKeys(db)));
  return differences;
}

/** Nothing that was told is lost, nothing that was asked for once was done twice. */
async function compareDeeds(db: Database, { account_id, tally }: Person): Promise<string[]> {
  const rows = await db
    .selectFrom('audit_events')
    .select(['kind', (eb) => eb.fn.countAll<string>().as('events')])
    .where('account_id', '=', account_id)
    .groupBy('kind')
    .execute();
  return deeds.flatMap((deed) => {
    const events = Number(rows.find(({ kind }) => kind === deed)?.events ?? 0);
    const { sent, told } = tally[deed];
    return events >= told && events <= sent ? [] : [`${deed}: asked ${sent} times, told ${told}, done ${events}`];
  });
}

async function compareLinks(db: Database, { account_id, links }: Person): Promise<string[]> {
  const rows = await db.selectFrom('links').select('username').where('account_id', '=', account_id).execute();
  const found = rows.map(({ username }) => username);
  const twice = found.filter((name, at) => found.indexOf(name) !== at).map((name) => `${name} is linked twice`);
  const other = [...links].filter(([name, is_linked]) => is_linked !== undefined && is_linked !== found.includes(name));
  return [
    ...twice,
    ...other.map(([name, told]) => `${name}: told ${told ? 'linked' : 'not linked'}, and it is not so`),
  ];
}

async function comparePassword(db: Database, { account_id, passwords }: Person): Promise<string[]> {
  const hash = await findPasswordHash(db, account_id);
  for (const password of passwords) if (hash && (await verifyPassword(hash, password))) return [];
  return ['the password is none that it can be'];
}

/** Whoever is signed in has a session, and whoever is not has none; where no answer was lost there is no other. */
async function compareSessions(db: Database, person: Person): Promise<string[]> {
  const { account_id, session, tally } = person;
  const rows = await db.selectFrom('oidc_sessions').select('uid').where('account_id', '=', account_id).execute();
  const expected = session === 'open' ? 1 : 0;
  const is_sure = tally.sign_in.sent === tally.sign_in.told;
  if (rows.length === expected || (!is_sure && rows.length > expected)) return [];
  return [`the session is ${session}, and there are ${rows.length}`];
}

/** Each application hears of each session that ended, and of no other. */
function compareLogouts({ heard }: Pick<Applications, 'heard'>, { account_id, ended, sids }: Person): string[] {
  const own = heard.filter(({ sub }) => sub === account_id);
  const isIn = (list: { client_id: string; sid: string }[], one: { client_id: string; sid: string }) =>
    list.some(({ client_id, sid }) => client_id === one.client_id && sid === one.sid);
  const missing = ended
    .filter((one) => !isIn(own, one))
    .map(({ client_id }) => `${client_id} did not hear of a sign-out`);
  const living = [...sids].map(([client_id, sid]) => ({ client_id, sid }));
  const wrong = living
    .filter((one) => isIn(own, one))
    .map(({ client_id }) => `${client_id} was told that a living session ended`);
  return [...missing, ...wrong];
}

/** Every code that was promised arrived, and one code for each time that it was asked for. */
function compareMails({ arrived }: Mailbox, { mailbox, tally }: Person): string[] {
  const codes = new Map(
    arrived.filter((mail) => mail.to === mailbox && codeOf(mail)).map((mail) => [mail.message_id, codeOf(mail)]),
  );
  const { sent, told } = tally.recovery_code_sent;
  if (codes.size >= told && codes.size <= sent && new Set(codes.values()).size === codes.size) return [];
  return [`codes: asked ${sent} times, told ${told}, arrived ${codes.size}`];
}

/** Every mail of the outbox arrived, or became needless before that; what is noted as sent did. */
async function compareMailRows(db: Database, { arrived }: Mailbox): Promise<string[]> {
  const rows = await db.selectFrom('mails').select(['id', 'template', 'sent_at', 'because']).execute();
  const ids = new Set(arrived.map(({ message_id }) => /^<([^@]+)@/.exec(message_id)?.[1]));
  return rows.flatMap(({ id, template, sent_at, because }) => {
    if (ids.has(id) || (!sent_at && (because === 'void' || because === 'decoy'))) return [];
    return [`a mail (${template}) ${sent_at ? 'was noted as sent and ' : ''}did not arrive`];
  });
}

/** Nothing was given up. A job that lost its worker or its database in the middle waits for its next try. */
async function compareJobs(db: Database): Promise<string[]> {
  const { rows } = await sql<{ name: string; jobs: number }>`
    SELECT name, count(*)::int AS jobs FROM jobs.job
    WHERE name IN ('logout', 'mail') AND state IN ('failed', 'cancelled') OR name IN ('logout_dead', 'mail_dead')
    GROUP BY 1`.execute(db);
  return rows.map(({ name, jobs }) => `${jobs} given up in the queue ${name}`);
}

async function compareKeys(db: Database): Promise<string[]> {
  const rows = await db.selectFrom('signing_keys').select(['alg', 'state']).execute();
  const algorithms = new Set(rows.map(({ alg }) => alg));
  return [...algorithms].flatMap((alg) => {
    const current = rows.filter((row) => row.alg === alg && row.state === 'current').length;
    return current === 1 ? [] : [`${current} keys sign by ${alg}`];
  });
}
