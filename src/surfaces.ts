/** The surfaces put on the router that people and programs who run the house use, and the engine as each surface sees it. */

import type Router from '@koa/router';
import { mountApi } from './admin/api.ts';
import { console_client, mountConsole } from './admin/console.ts';
import type { DeskEngine } from './admin/resource.ts';
import type { ClientStore } from './clients/client.ts';
import { findApiRole } from './clients/engine-client.ts';
import type { Config } from './config.ts';
import type { Database } from './database.ts';
import type { Jobs } from './jobs.ts';
import type { LinkStore } from './links/link.ts';
import { findBearer } from './oidc/apis/bearer.ts';
import { describeClient } from './oidc/clients/clients.ts';
import { issueInitialAccessToken } from './oidc/clients/initial-tokens.ts';
import type { RunningEngine } from './oidc/provider.ts';
import { endGrantsOf, endGrantsOfClient, endRegistrationTokens } from './oidc/records/write.ts';
import { findSession, findSignedIn, leaveBrowser, renewSession } from './oidc/sessions/session.ts';
import { endSession } from './oidc/sessions/session-store.ts';
import { beginTrial, finishTrial } from './oidc/trial/trial.ts';
import { type PortalEngine, portal_client } from './portal/portal.ts';
import { recovered_acr } from './recovery/reset.ts';
import { findTrial } from './trials.ts';

interface Parts {
  config: Config;
  db: Database;
  jobs: Jobs;
  clients: ClientStore;
  links: LinkStore;
  engine: RunningEngine;
}

/** Puts /admin and /api/v1 on the router. */
export function mountDesk(router: Router, { engine, ...parts }: Parts): void {
  const { provider } = engine;
  const store = {
    ...parts,
    engine: viewOfDesk(engine),
    // A code from a mailbox opens no console, not even one that this browser had open before.
    findSignedIn: async (ctx: Parameters<typeof findSignedIn>[1]) => {
      const person = await findSignedIn(provider, ctx, console_client);
      return person?.acr === recovered_acr ? undefined : person;
    },
  };
  mountConsole(router, store);
  mountApi(router, {
    ...store,
    findBearer: (raw) => findBearer(provider, raw),
    findClientRole: (id) => findApiRole(parts.clients, id),
  });
}

/** The engine as the portal sees it. */
export function viewOfPortal({ provider, records }: RunningEngine): PortalEngine {
  return {
    findSignedIn: (ctx) => findSignedIn(provider, ctx, portal_client),
    findSession: (ctx) => findSession(provider, ctx),
    endGrantsOf,
    endSession: (tx, uid, owner) => endSession({ ...records, db: tx }, uid, 'owner', owner),
    renewSession: (ctx) => renewSession(provider, ctx),
    leaveBrowser: (ctx) => leaveBrowser(provider, ctx),
    validateClient: async (metadata) => {
      await provider.Client.validate(metadata as never);
    },
    findClient: async (id) => {
      const client = await provider.Client.find(id);
      return client && describeClient(client, 'id');
    },
  };
}

/** The engine as the console sees it. */
function viewOfDesk(engine: RunningEngine): DeskEngine {
  const { provider, records, trials } = engine;
  return {
    validateClient: async (metadata) => {
      await provider.Client.validate(metadata as never);
    },
    endGrantsOfClient,
    endRegistrationTokens: async (tx, client_id) => {
      await endRegistrationTokens(tx, records, client_id);
    },
    beginTrial: (tx, asked) => beginTrial({ provider, trials: { ...trials, db: tx } }, asked),
    async finishTrial(answer, owner) {
      // Once it is spent nothing tells any more whose trial it was.
      const found = typeof answer.state === 'string' ? await findTrial(trials, answer.state) : undefined;
      const outcome = await finishTrial(engine, { answer, ...owner });
      return { client_id: outcome.state === 'over' ? undefined : found?.client_id, outcome };
    },
    issueInitialToken: (tx, order) => issueInitialAccessToken(tx, records, order),
    endSession: (tx, uid) => endSession({ ...records, db: tx }, uid, 'session_ended'),
  };
}
