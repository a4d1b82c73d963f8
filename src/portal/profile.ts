/** The profile: every field of document D's screen D7. */

import type { Context } from 'koa';
import { page } from '../views.ts';
import { readPerson } from './person.ts';
import type { PortalStore } from './portal.ts';

export async function showProfile(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  page(ctx, 'portal/profile', await readPerson(store.db, account_id, 'profile'));
}
