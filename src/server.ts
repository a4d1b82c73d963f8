/** The parts put together, and the koa app: middleware in order, then the surfaces. */

import { createServer, type Server } from 'node:http';
import Router from '@koa/router';
import Koa, { type Context } from 'koa';
import mount from 'koa-mount';
import type { Logger } from 'pino';
import { countHashes, prepareHashing } from './accounts/password.ts';
import { type ClientStore, openClients } from './clients.ts';
import type { Config } from './config.ts';
import type { Secret } from './crypto.ts';
import { type Database, isSchemaCurrent, openDatabase } from './database.ts';
import { serveAssets } from './http/assets.ts';
import { catchErrors, refuse } from './http/errors.ts';
import {
  chooseLanguage,
  openRequest,
  pinHost,
  type RequestContext,
  refuseCrossSite,
  refuseOddRequests,
} from './http/guard.ts';
import { setHeaders } from './http/headers.ts';
import { answerOperators, measureRequests, showHashQueue, showJobs } from './http/ops.ts';
import { countJobs, type Jobs, openJobs } from './jobs.ts';
import { openLimits } from './limits.ts';
import { describeClient } from './oidc/clients.ts';
import { createEngine, type RunningEngine } from './oidc/provider.ts';
import { findSignedIn } from './oidc/session.ts';
import { hasSigningKeys } from './oidc/signing-keys.ts';
import { createOutbound } from './outbound.ts';
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
    const engine = await createEngine({
      config,
      db,
      jobs,
      clients,
      fetch: outbound.asFetch(),
      renderError: showEngineError,
    });
    await prepareHashing();
    showHashQueue(countHashes);
    showJobs(() => countJobs(jobs));
    const app = createApp(config, log, db, engine);
    return { config, log, db, jobs, clients, engine, app, close: () => close(db, jobs, outbound) };
  } catch (error) {
    await db.destroy();
    throw error;
  }
}

async function close(db: Database, jobs: Jobs, outbound: { close(): Promise<void> }): Promise<void> {
  await jobs.stop();
  await outbound.close();
  await db.destroy();
}

function createApp(config: Config, log: Logger, db: Database, engine: RunningEngine): Koa {
  const { provider } = engine;
  const app = new Koa();
  // The cookies of a mounted engine are signed with the outer app's keys (engine.md 0.5).
  app.keys = provider.keys as string[];
  // Scheme and address are read from headers that openRequest wrote from configuration; all others are gone by then.
  app.proxy = true;
  app.on('error', (error) => log.error({ err: error }, 'koa failed'));
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
  router.get('/', (ctx) => page(ctx, 'start', {}));
  mountPrompts(router, {
    db,
    engine: engine.prompts,
    sign_ins: openSignIns(db, openLimits(config.secrets[0] as Secret), config),
  });
  mountPortal(router, {
    db,
    config,
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

async function isAnswering(db: Database): Promise<boolean> {
  await db.selectNoFrom((eb) => eb.lit(1).as('one')).execute();
  return true;
}

/** The engine under the issuer's path, and RFC 8414's address of its metadata, where the path stands at the end (section 3.1). */
function mountEngine(provider: RunningEngine['provider']): Koa.Middleware {
  const mounted = mount('/connect', provider as unknown as Koa);
  return (ctx, next) => {
    if (ctx.path === '/.well-known/oauth-authorization-server/connect') {
      ctx.path = '/connect/.well-known/oauth-authorization-server';
      ctx.req.url = ctx.url;
    }
    return mounted(ctx, next);
  };
}

/** A person's page for what went wrong in the engine: known errors get words of their own, everything has a way on. */
async function showEngineError(
  ctx: Context,
  error: Error & { statusCode?: number; retry_after?: number },
): Promise<void> {
  const oidc = (ctx as unknown as { oidc?: { client?: Parameters<typeof describeClient>[0] } }).oidc;
  const status = error.statusCode ?? 500;
  // Ours to explain: a bug, or a lost dependency. The app's own error page does, with the request's id.
  if (status >= 500) throw error;
  const known = ['SessionNotFound', 'InvalidClient', 'InvalidRedirectUri', 'InvalidRequestUri', 'AccessDenied'];
  const key = known.includes(error.name) ? error.name : 'other';
  const described = oidc?.client && describeClient(oidc.client, ctx.state.language);
  const back = described?.way_back
    ? [{ href: described.way_back, label: ctx.state.t('words.back_to', { client: described.asking.name }) }]
    : [];
  ctx.state.log.info(
    { error: error.name, detail: (error as { error_detail?: string }).error_detail },
    'refused by the engine',
  );
  refuse(
    ctx as unknown as RequestContext,
    status,
    key,
    { title: `errors.engine.${key}.title`, text: `errors.engine.${key}.text` },
    {
      ways: [
        ...back,
        { href: '/portal', label: ctx.state.t('words.sign_in') },
        { href: '/', label: ctx.state.t('words.to_start') },
      ],
    },
  );
}

/**
 * Listens. Slow senders of headers and bodies are cut off, and idle connections do not stay.
 * @throws the system's error (EADDRINUSE) when the port is taken
 */
export async function listen(app: Koa, host: string, port: number): Promise<Server> {
  const server = createServer(
    {
      headersTimeout: 10_000,
      requestTimeout: 30_000,
      keepAliveTimeout: 65_000,
      connectionsCheckingInterval: 5_000,
      maxHeaderSize: 32_768,
    },
    app.callback(),
  );
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  return server;
}

/** Takes no new requests, lets those in work finish (at most 10 s), closes. */
export async function stopListening(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const cut = setTimeout(() => server.closeAllConnections(), 10_000);
  await closed;
  clearTimeout(cut);
}
