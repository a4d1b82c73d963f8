/** The parts put together, and the koa app: middleware in order, then the surfaces. */

import Router from '@koa/router';
import Koa from 'koa';
import mount from 'koa-mount';
import type { Logger } from 'pino';
import { countHashes, prepareHashing } from './accounts/password.ts';
import { findAccount } from './accounts/store.ts';
import { type ClientStore, openClients } from './clients/client.ts';
import type { Config } from './config.ts';
import { deriveKeys, open, type Secret } from './crypto.ts';
import { type Database, isSchemaCurrent, openDatabase } from './database.ts';
import { type Channel, openMail } from './delivery/outbox.ts';
import { serveAssets } from './http/assets.ts';
import { catchErrors } from './http/errors.ts';
import { chooseLanguage, openRequest, pinHost, refuseCrossSite, refuseOddRequests } from './http/guard.ts';
import { setHeaders } from './http/headers.ts';
import { answerOperators, measureRequests, showHashQueue, showJobs } from './http/ops.ts';
import { countJobs, type Jobs, openJobs } from './jobs.ts';
import { type Limits, openLimits } from './limits.ts';
import type { LinkStore } from './links/link.ts';
import { describeClient } from './oidc/clients.ts';
import { showEngineError } from './oidc/error-page.ts';
import { showForwardPage } from './oidc/forward-page.ts';
import { createEngine, type RunningEngine } from './oidc/provider.ts';
import { findSignedIn } from './oidc/session.ts';
import { createRequestSigner, hasSigningKeys, loadSigningKeys } from './oidc/signing-keys.ts';
import { createOutbound, type Outbound } from './outbound.ts';
import { listRoles } from './permissions.ts';
import { mountNotices } from './portal/notices.ts';
import { mountPortal, portal_client } from './portal/portal.ts';
import { mountPrompts } from './prompts/prompt.ts';
import { openSignIns } from './sign-in.ts';
import { page } from './views.ts';

/** Everything of a running node but its listening socket. */
export interface Gapura {
  config: Config;
  log: Logger;
  db: Database;
  jobs: Jobs;
  clients: ClientStore;
  engine: RunningEngine;
  /** The way out for mail. */
  mail: Channel;
  app: Koa;
  close(): Promise<void>;
}

/** The database's schema is older than this release. */
export class OldSchema extends Error {}

/**
 * Opens database and queues, makes the engine and the app.
 * @throws OldSchema when `migrate` has not run; what pg throws when the database cannot be reached
 */
export async function openGapura(config: Config, log: Logger, { works = false } = {}): Promise<Gapura> {
  const db = openDatabase(config.database_url.reveal(), { max: config.database_pool });
  try {
    if (!(await isSchemaCurrent(db)))
      throw new OldSchema('The database has no schema of this release: run `gapura migrate` first.');
    const jobs = await openJobs(config, { works, log });
    const clients = openClients(db, config);
    const outbound = createOutbound({ private_hosts: config.private_hosts });
    const mail = openMail(config);
    const engine: RunningEngine = await createEngine({
      config,
      db,
      jobs,
      clients,
      fetch: outbound.asFetch(),
      renderError: (ctx, error) => showEngineError(ctx, error, engine.prompts),
    });
    await prepareHashing();
    showHashQueue(countHashes);
    showJobs(() => countJobs(jobs));
    const limits = openLimits(config.secrets[0] as Secret);
    const links = await openLinks(config, db, jobs, limits, outbound);
    const app = createApp(config, log, db, engine, limits, links);
    return { config, log, db, jobs, clients, engine, mail, app, close: () => close(db, jobs, mail, outbound) };
  } catch (error) {
    await db.destroy();
    throw error;
  }
}

async function close(db: Database, jobs: Jobs, mail: Channel, outbound: { close(): Promise<void> }): Promise<void> {
  await jobs.stop();
  mail.close();
  await outbound.close();
  await db.destroy();
}

/** What linking user names needs; it says who it is by a signature, and reaches applications by the one way out. */
async function openLinks(
  config: Config,
  db: Database,
  jobs: Jobs,
  limits: Limits,
  { call }: Outbound,
): Promise<LinkStore> {
  const keys = deriveKeys(config.secrets, 'application settings');
  return {
    db,
    jobs,
    limits,
    support: `${config.support_name}, ${config.support_email}`,
    tools: {
      call,
      signRequest: createRequestSigner(config.issuer, await loadSigningKeys(db, config)),
      unseal: (sealed) => open(keys, sealed, 'applications.verifier_settings'),
    },
  };
}

function createApp(
  config: Config,
  log: Logger,
  db: Database,
  engine: RunningEngine,
  limits: Limits,
  links: LinkStore,
): Koa {
  const { provider } = engine;
  const app = new Koa();
  // The cookies of a mounted engine are signed with the outer app's keys (engine.md 0.5).
  app.keys = provider.keys as string[];
  // Scheme and address are read from headers that openRequest wrote from configuration; all others are gone by then.
  app.proxy = true;
  app.on('error', (error) => (isHangUp(error) ? log.debug : log.error).call(log, { err: error }, 'koa failed'));
  app.context.site = {
    support: { name: config.support_name, email: config.support_email, phone: config.support_phone },
  };

  app.use(openRequest(config, log) as Koa.Middleware);
  app.use(setHeaders(config) as Koa.Middleware);
  app.use(measureRequests as Koa.Middleware);
  app.use(catchErrors(config) as Koa.Middleware);
  app.use(
    answerOperators({
      checks: { database: () => isAnswering(db), schema: () => isSchemaCurrent(db), keys: () => hasSigningKeys(db) },
      shows_metrics: !config.production && config.metrics_port === 0,
    }) as Koa.Middleware,
  );
  app.use(pinHost(config) as Koa.Middleware);
  app.use(refuseOddRequests as Koa.Middleware);
  app.use(chooseLanguage(config) as Koa.Middleware);
  app.use(refuseCrossSite(config) as Koa.Middleware);
  app.use(serveAssets());

  const router = new Router();
  router.get('/', async (ctx) => {
    const person = await findSignedIn(provider, ctx, portal_client);
    page(ctx, 'start', person ? { signed_in: await describePerson(db, person.account_id) } : {});
  });
  mountPrompts(router, {
    db,
    engine: engine.prompts,
    sign_ins: openSignIns(db, limits, config),
    links,
  });
  mountNotices(router, { db, audience: config.issuer, call: links.tools.call });
  mountPortal(router, {
    db,
    config,
    links,
    findSignedIn: (ctx) => findSignedIn(provider, ctx, portal_client),
    findClient: async (id) => {
      const client = await provider.Client.find(id);
      return client && describeClient(client, 'id');
    },
  });
  app.use(router.routes()).use(router.allowedMethods());
  app.use(mountEngine(provider));
  return app;
}

/** Whether a connection ended in the middle of a request or its answer: whoever was there has gone, and nothing of ours failed. */
function isHangUp(error: { code?: unknown }): boolean {
  return /^(HPE_|ECONNRESET$|EPIPE$|ERR_STREAM_)/.test(String(error.code ?? ''));
}

/** Who is greeted on the start page. */
async function describePerson(db: Database, account_id: string): Promise<{ identifier: string; role: string }> {
  const [account, roles] = await Promise.all([findAccount(db, account_id), listRoles(db, account_id)]);
  return { identifier: account?.username ?? '', role: roles[0]?.role ?? '' };
}

async function isAnswering(db: Database): Promise<boolean> {
  await db.selectNoFrom((eb) => eb.lit(1).as('one')).execute();
  return true;
}

/** The engine under the issuer's path, and RFC 8414's address of its metadata, where the path stands at the end (section 3.1). */
function mountEngine(provider: RunningEngine['provider']): Koa.Middleware {
  const mounted = mount('/connect', provider as unknown as Koa);
  return async (ctx, next) => {
    if (ctx.path === '/.well-known/oauth-authorization-server/connect') {
      ctx.path = '/connect/.well-known/oauth-authorization-server';
      ctx.req.url = ctx.url;
    }
    // It resumes by its cookie alone; of a query there it would read what the request never was, and fail over it.
    if (/^\/connect\/auth\/[^/]+$/.test(ctx.path)) ctx.querystring = '';
    await mounted(ctx, next);
    await showForwardPage(ctx);
  };
}
