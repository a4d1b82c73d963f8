/** The portal's first page: the organisation and the user of document D's screen D2. */

import type { Context } from 'koa';
import { page } from '../views.ts';
import { readPerson } from './person.ts';
import type { PortalStore } from './portal.ts';

export async function showHome(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  page(ctx, 'portal/home', await readPerson(store.db, account_id, 'home'));
}
