/** Ubah Kata Sandi: until a person can change it here, whom to turn to. */

import type { Context } from 'koa';
import { page } from '../views.ts';
import { readPerson } from './person.ts';
import type { PortalStore } from './portal.ts';

export async function showCredentials(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  const { header } = await readPerson(store.db, account_id, 'credentials');
  page(ctx, 'portal/credentials', { header });
}
