/** Registration: until a person can ask for an account here, whom to turn to and what to have at hand. */

import type { Context } from 'koa';
import { page } from '../views.ts';
import { findWayBack } from './person.ts';
import type { PortalStore } from './portal.ts';

export async function showRegistration(ctx: Context, store: PortalStore): Promise<void> {
  page(ctx, 'portal/registration', { back: await findWayBack(ctx, store) });
}
