/** What the portal's pages show of the person who looks at them, and of the application a visitor came from. */

import type { Context } from 'koa';
import { type Account, findAccount } from '../accounts/store.ts';
import { now } from '../clock.ts';
import type { Database } from '../database.ts';
import { findOrganisationOf, type Organisation } from '../organisations/organisation.ts';
import { hasConsole, listRoles, reachOf } from '../permissions.ts';
import type { PortalStore } from './portal.ts';

/** The head of each page of the portal: "budi [Importir]", the date in the person's zone, where one is. */
export interface Header {
  identifier: string;
  role: string;
  full_name: string;
  now: Date;
  zone: string;
  /** The console has something for the person. */
  has_console: boolean;
  /** Registers applications of an agency. */
  is_developer: boolean;
  current: 'home' | 'applications' | 'profile' | 'credentials' | 'sessions' | 'consents' | 'clients';
}

export interface Person {
  header: Header;
  account: Account & { username: string };
  organisation: Organisation | undefined;
}

/**
 * Reads the person of a signed-in page.
 * @throws Error when the account is gone; the session's own read has just found it
 */
export async function readPerson(db: Database, account_id: string, current: Header['current']): Promise<Person> {
  const [account, organisation, roles] = await Promise.all([
    findAccount(db, account_id),
    findOrganisationOf(db, account_id),
    listRoles(db, account_id),
  ]);
  if (!account) throw new Error('the account of a live session is gone');
  const header = {
    identifier: account.username,
    role: roles[0]?.role ?? '',
    full_name: account.full_name,
    now: now(),
    zone: account.time_zone,
    has_console: hasConsole(roles),
    is_developer: reachOf(roles, 'clients:submit') !== undefined,
    current,
  };
  return { header, account, organisation };
}

/** The way back to the application that sent the visitor (`?client_id=`), or to the start page. */
export async function findWayBack(ctx: Context, store: PortalStore): Promise<{ href: string; label: string }> {
  const { t } = ctx.state;
  const id = ctx.query.client_id;
  const client = typeof id === 'string' && id.length <= 100 ? await store.findClient(id) : undefined;
  if (!client?.way_back) return { href: '/', label: t('words.to_start') };
  return { href: client.way_back, label: t('words.back_to', { client: client.asking.name }) };
}
