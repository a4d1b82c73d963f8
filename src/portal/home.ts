/** The portal's first page: the organisation and the user of document D's screen D2. */

import type { Context } from 'koa';
import { findPasswordEnd } from '../accounts/password-store.ts';
import { page } from '../views.ts';
import { readPerson } from './person.ts';
import type { PortalStore } from './portal.ts';

/** The last days of a password, in which its owner is warned of its end. */
const warned_days = 14;

export async function showHome(ctx: Context, { db }: PortalStore, account_id: string): Promise<void> {
  const person = await readPerson(db, account_id, 'home');
  const password = await findPasswordEnd(db, account_id, { within: warned_days, zone: person.header.zone });
  page(ctx, 'portal/home', { ...person, password });
}
