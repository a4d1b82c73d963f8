/** The table of applications (document D, screen D2), what is picked in it, and the page of one application. */

import type { Context } from 'koa';
import {
  type ApplicationRow,
  findApplicationRow,
  listAgenciesWithApplications,
  listApplications,
} from '../applications/table.ts';
import type { Database } from '../database.ts';
import { formatDate, formatDateTime } from '../i18n/dates.ts';
import { listDecided, listRequests } from '../links/requests.ts';
import { listLinks, type ShownLink } from '../links/store.ts';
import { listDirectoratesOf, nameDirectorate } from '../organisations/directorate.ts';
import { page } from '../views.ts';
import { readPerson } from './person.ts';
import type { PortalStore } from './portal.ts';

const page_size = 20;
const application_id = /^[a-z0-9-]{2,40}$/;

/** What the page of an application says has just been done. */
const done = ['linked', 'held', 'renamed', 'default', 'removed'] as const;

/** A name that was refused, to be shown again beside its link. */
export interface RefusedLabel {
  link_id: string;
  label: string;
  error: string;
}

/** GET /portal/applications?agency=&page= */
export function showApplications(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  return showTable(ctx, store, account_id);
}

/** GET /portal/applications/selection: Create SSO for the first of the picked applications, the others after it. */
export async function pickApplications(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  const [first, ...next] = readIds(ctx.query.application);
  if (!first) {
    ctx.status = 422;
    return showTable(ctx, store, account_id, ctx.state.t('errors.link.none_selected'));
  }
  ctx.status = 303;
  ctx.redirect(addressOfLink(first, next));
}

/** GET /portal/applications/:id */
export function showApplication(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  return showDetail(ctx, store, account_id, String(ctx.params.id));
}

/** The page on which a user name is proven; `next` are the applications whose turn it is afterwards, `said` what was done before. */
export function addressOfLink(id: string, next: string[], said?: 'linked'): string {
  const query = [...(said ? [['done', said]] : []), ...next.map((name) => ['next', name])];
  return addQuery(`/portal/applications/${id}/link`, new URLSearchParams(query));
}

/** Where the way to an application that wants to see the person itself begins. */
export function addressOfVerification(id: string, next: string[]): string {
  return addQuery(`/portal/applications/${id}/verification`, new URLSearchParams(next.map((name) => ['next', name])));
}

/** The page of an application, saying what has just been done there. */
export function addressOfDetail(id: string, said: (typeof done)[number], next: string[] = []): string {
  return addQuery(
    `/portal/applications/${id}`,
    new URLSearchParams([['done', said], ...next.map((name) => ['next', name])]),
  );
}

/** The ids of applications in a query, each once and no more than a page holds. */
export function readIds(value: string | string[] | undefined): string[] {
  const ids = new Set([value ?? []].flat().filter((id) => application_id.test(id)));
  return [...ids].slice(0, page_size);
}

/** The names of an application and its agency, what it is, in the person's language, and where it is opened. */
export function nameApplication(row: ApplicationRow, language: 'id' | 'en', issuer: string) {
  const { id, name, is_supported, needs_no_link } = row;
  const is_english = language === 'en';
  const agency = is_english ? row.agency_name_en : row.agency_name;
  const url = addressToOpen(row, issuer);
  return { id, name, url, is_supported, needs_no_link, agency, about: is_english ? row.about_en : row.about };
}

/**
 * Where a person is led who opens it: its own front door, or where it begins to sign people in by itself, told by whom it is asked
 * and where to go on (OpenID Connect Core 4).
 */
function addressToOpen({ url, initiate_login_uri }: ApplicationRow, issuer: string): string {
  const begin = initiate_login_uri ? URL.parse(initiate_login_uri) : null;
  if (!begin) return url;
  begin.searchParams.set('iss', issuer);
  begin.searchParams.set('target_link_uri', url);
  return begin.href;
}

async function showTable(ctx: Context, store: PortalStore, account_id: string, problem?: string): Promise<void> {
  const { language, t } = ctx.state;
  const agency = typeof ctx.query.agency === 'string' ? ctx.query.agency : '';
  const [{ header }, agencies, found] = await Promise.all([
    readPerson(store.db, account_id, 'applications'),
    listAgenciesWithApplications(store.db),
    findPage(store.db, account_id, agency || undefined, readPage(ctx.query.page)),
  ]);
  const before = (found.page - 1) * page_size;
  page(ctx, 'portal/applications', {
    header,
    problem,
    agency,
    agencies: agencies.map(({ code, name, name_en }) => ({ code, name: language === 'en' ? name_en : name })),
    rows: found.rows.map((row, place) => ({
      ...nameApplication(row, language, store.config.issuer),
      number: before + place + 1,
      links: row.links,
      chips: statusOf(row).map(([kind, status]) => ({ kind, text: t(`portal.applications.${status}`) })),
      since: row.linked_since ? formatDate(language, row.linked_since, header.zone) : undefined,
    })),
    paging: {
      from: Math.min(before + 1, found.total),
      to: before + found.rows.length,
      total: found.total,
      page: found.page,
      last: found.last,
      addresses: listAddresses(agency, found.page, found.last),
    },
  });
}

/** A page of the table; beyond the end it is the last one. */
async function findPage(db: Database, account_id: string, agency_code: string | undefined, asked: number) {
  const find = (number: number) => listApplications(db, account_id, { agency_code, page: number, size: page_size });
  const found = await find(asked);
  const last = Math.max(1, Math.ceil(found.total / page_size));
  return asked <= last ? { ...found, page: asked, last } : { ...(await find(last)), page: last, last };
}

// Of more digits the database could not count the offset.
function readPage(value: unknown): number {
  return typeof value === 'string' && /^\d{1,6}$/.test(value) ? Math.max(1, Number(value)) : 1;
}

function listAddresses(agency: string, at: number, last: number): Record<string, string> {
  const address = (number: number) => {
    const query = [...(agency ? [['agency', agency]] : []), ...(number > 1 ? [['page', String(number)]] : [])];
    return addQuery('/portal/applications', new URLSearchParams(query));
  };
  return {
    ...(at > 1 ? { first: address(1), previous: address(at - 1) } : {}),
    ...(at < last ? { next: address(at + 1), last: address(last) } : {}),
  };
}

function addQuery(path: string, query: URLSearchParams): string {
  return query.size > 0 ? `${path}?${query}` : path;
}

function statusOf({
  links,
  stale_links,
  is_supported,
  needs_no_link,
}: ApplicationRow): [kind: string, status: string][] {
  if (links > 0) return [['good', 'linked'], ...(stale_links > 0 ? [['warn', 'stale'] as [string, string]] : [])];
  return [['quiet', is_supported ? 'not_linked' : needs_no_link ? 'not_needed' : 'unsupported']];
}

/** The page of an application with the person's links to it. */
export async function showDetail(
  ctx: Context,
  store: PortalStore,
  account_id: string,
  id: string,
  refused?: RefusedLabel,
): Promise<void> {
  const { language, t } = ctx.state;
  const { db } = store;
  const row = await findApplicationRow(db, account_id, id);
  if (!row) return ctx.throw(404);
  const [{ header }, links, requests, decided, directorates] = await Promise.all([
    readPerson(db, account_id, 'applications'),
    listLinks(db, account_id, id),
    listRequests(db, account_id, id),
    listDecided(db, account_id, id),
    listDirectoratesOf(db, account_id, row.agency_code),
  ]);
  const names = new Map(directorates.map((one) => [one.code, nameDirectorate(one, language)]));
  const time = (at: Date) => formatDateTime(language, at, header.zone);
  const application = nameApplication(row, language, store.config.issuer);
  const [next, ...others] = readIds(ctx.query.next);
  // An address that says "linked" proves nothing to somebody who has no link.
  const said = done.find((word) => word === ctx.query.done && (links.length > 0 || word !== 'linked'));
  page(ctx, 'portal/application', {
    header,
    application,
    notice: said && {
      kind: said === 'held' ? 'warn' : 'good',
      text: t(`portal.application.done_${said}`, { application: row.name, agency: application.agency }),
    },
    next: next && addressOfLink(next, others),
    links: links.map((link) => describeLink(link, names, time(link.verified_at), refused)),
    requests: requests.map(({ username, proved_at }) => ({ username, since: time(proved_at) })),
    decided: decided.map(({ username, decision, decided_at, because }) => ({
      decision,
      text: t(`portal.application.${decision}`, { username, agency: application.agency, time: time(decided_at) }),
      because,
    })),
  });
}

function describeLink(link: ShownLink, directorates: Map<string, string>, verified: string, refused?: RefusedLabel) {
  const { id, username, display_name, directorate, label, is_default, is_stale } = link;
  const wrong = refused?.link_id === id ? refused : undefined;
  return {
    id,
    username,
    display_name,
    directorate: directorate && (directorates.get(directorate) ?? directorate),
    label,
    is_default,
    is_stale,
    verified,
    typed: wrong?.label ?? label ?? '',
    error: wrong?.error,
  };
}
