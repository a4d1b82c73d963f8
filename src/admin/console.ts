/** The console: its addresses, who may come in, and what stands behind each address. */

import type Router from '@koa/router';
import type { Context } from 'koa';
import type { Database } from '../database.ts';
import { askSignIn, enter, type Surface } from '../oidc/sessions/entry.ts';
import type { SignedInPerson } from '../oidc/sessions/session.ts';
import { listRoles } from '../permissions.ts';
import { policy } from '../policy/policy.ts';
import { page } from '../views.ts';
import { showEntry, showHome, showList } from './browse.ts';
import { showOperation, submitOperation } from './edit.ts';
import { mustSignInAgain, reachOfActor } from './operation.ts';
import { listVisible, readHeader } from './page.ts';
import { type Desk, type Resource, resources } from './resource.ts';
import { takeTrial } from './trials.ts';

/** The client under which the console asks the engine who is there. */
export const console_client = 'console';

/** What the console needs; the engine is handed in. */
export interface ConsoleStore extends Omit<Desk, 'actor' | 'request' | 'language' | 'findResource'> {
  findSignedIn(ctx: Context): Promise<SignedInPerson | undefined>;
}

/** A page of the console: of somebody who is signed in and may see it. */
export type ConsolePage = (ctx: Context, desk: Desk) => Promise<void>;

const surface: Surface = {
  client_id: console_client,
  home: '/admin',
  isOwn: (address) => /^\/admin(\/[a-z0-9-]{2,40}(\/[\w.~-]{1,200}(\/[a-z0-9-]{2,40})?)?)?$/.test(address),
};

/** Serves the console. What is no address of it is 404, what its visitor may not see 403. */
export function mountConsole(router: Router, store: ConsoleStore): void {
  const open = (show: ConsolePage) => async (ctx: Context) => {
    const person = await store.findSignedIn(ctx);
    // A form that comes too late cannot be kept over a sign-in; back at its page the person begins anew.
    if (!person) return askSignIn(ctx, store.config, surface, ctx.path);
    const desk = await openDesk(ctx, store, person);
    if (listVisible(desk).length === 0) return showStranger(ctx, store.db, desk);
    return show(ctx, desk);
  };
  const withResource = (show: (ctx: Context, desk: Desk, resource: Resource) => Promise<void>) =>
    open(async (ctx, desk) => {
      const resource = desk.findResource(String(ctx.params.resource)) ?? ctx.throw(404);
      if (!reachOfActor(desk.actor, resource.permission)) return ctx.throw(403);
      return show(ctx, desk, resource);
    });
  const withOperation = (name: (ctx: Context) => string, show: typeof showOperation) =>
    withResource(async (ctx, desk, resource) => {
      const operation = resource.operations.find((one) => one.name === name(ctx)) ?? ctx.throw(404);
      if ((operation.kind === 'create') !== (ctx.params.id === undefined)) return ctx.throw(404);
      if (!reachOfActor(desk.actor, operation.permission)) return ctx.throw(403);
      if (ctx.method !== 'POST' && mustSignInAgain(desk, operation))
        return askSignIn(ctx, store.config, surface, ctx.path, Number(policy('session.console_fresh')));
      return show(ctx, desk, resource, operation);
    });

  router.get('/admin', open(showHome));
  router.get('/admin/entry', (ctx) => enter(ctx, surface, async () => Boolean(await store.findSignedIn(ctx))));
  router.get('/admin/sign-out', (ctx) => {
    ctx.status = 303;
    ctx.redirect(`${store.config.issuer}/session/end?client_id=${console_client}`);
  });
  // As a query or as a form that sends itself, whichever the client is registered for.
  router.get('/admin/trials/callback', open(takeTrial));
  router.post('/admin/trials/callback', open(takeTrial));
  router.get('/admin/:resource', withResource(showList));
  router.get(
    '/admin/:resource/creation',
    withOperation(() => 'creation', showOperation),
  );
  router.post(
    '/admin/:resource/creation',
    withOperation(() => 'creation', submitOperation),
  );
  router.get('/admin/:resource/:id', withResource(showEntry));
  router.get(
    '/admin/:resource/:id/:operation',
    withOperation((ctx) => String(ctx.params.operation), showOperation),
  );
  router.post(
    '/admin/:resource/:id/:operation',
    withOperation((ctx) => String(ctx.params.operation), submitOperation),
  );
}

async function openDesk(
  ctx: Context,
  { findSignedIn: _, ...store }: ConsoleStore,
  { account_id, session_uid, signed_in_at }: SignedInPerson,
): Promise<Desk> {
  const { address, request_id, language } = ctx.state;
  const assignments = await listRoles(store.db, account_id);
  return {
    ...store,
    actor: { account_id, client_id: null, roles: assignments, scopes: null, signed_in_at, session_uid },
    request: { address, user_agent: ctx.get('user-agent'), request_id },
    language,
    findResource: (name) => resources.find((resource) => resource.name === name),
  };
}

/** Somebody who has nothing to do here: said plainly, with the way to where they have. */
async function showStranger(ctx: Context, _db: Database, desk: Desk): Promise<void> {
  const { t } = ctx.state;
  ctx.status = 403;
  page(ctx, 'admin/stranger', {
    header: { ...(await readHeader(ctx, desk, '')), area: 'console' },
    ways: [{ href: '/portal', label: t('words.to_portal') }],
  });
}
