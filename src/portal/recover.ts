/** The forgotten password: until a person gets back in alone, whom to turn to and what to have at hand. */

import type { Context } from 'koa';
import { page } from '../views.ts';
import { findWayBack } from './person.ts';
import type { PortalStore } from './portal.ts';

export async function showRecovery(ctx: Context, store: PortalStore): Promise<void> {
  page(ctx, 'portal/recover', { back: await findWayBack(ctx, store) });
}
