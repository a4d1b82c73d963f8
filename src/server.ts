/** The parts put together, and the koa app: middleware in order, then the surfaces. */

import Router from '@koa/router';
import Koa from 'koa';
import { sql } from 'kysely';
import type { Logger } from 'pino';
import { openInvitations } from './accounts/invitation.ts';
import { countHashes, prepareHashing } from './accounts/password.ts';
import type { PasswordStore } from './accounts/password-change.ts';
import { findAccount } from './accounts/store.ts';
import type { Watch } from './changes.ts';
import { type ClientStore, openClients } from './clients/client.ts';
import { serveLogos } from './clients/logos.ts';
import type { Config } from './config.ts';
import { deriveKeys, open, type Secret, seal } from './crypto.ts';
import { type Database, isSchemaCurrent, openDatabase } from './database.ts';
import { type Outbox, openMail } from './delivery/outbox.ts';
import { serveAssets } from './http/assets.ts';
import { catchErrors } from './http/errors.ts';
import { isOfEngine, openRequest, pinHost, refuseCrossSite, refuseOddRequests } from './http/guard.ts';
import { setHeaders } from './http/headers.ts';
import { chooseLanguage } from './http/language.ts';
import { answerOperators, measureRequests, showHashQueue, showJobs } from './http/ops.ts';
import { openChecks } from './human-check/mail-code.ts';
import { mountPictures } from './human-check/page.ts';
import { countJobs, type Jobs, openJobs } from './jobs.ts';
import { type Limits, openLimits } from './limits/limits.ts';
import { type LinkStore, verifiers as own_verifiers, type Verifiers } from './links/link.ts';
import { slowFailures } from './oidc/clients/client-failures.ts';
import { fetchOfEngine } from './oidc/clients/private-hosts.ts';
import { keepRegisteredLogo } from './oidc/clients/registered-logo.ts';
import { guardRegistration } from './oidc/clients/registration.ts';
import { slowGuesses } from './oidc/device/device.ts';
import { createRequestSigner } from './oidc/keys/request-signer.ts';
import { hasSigningKeys, type KeySet } from './oidc/keys/signing-keys.ts';
import { mountEngine } from './oidc/mount.ts';
import { showEngineError } from './oidc/pages/error-page.ts';
import { createEngine, type RunningEngine } from './oidc/provider.ts';
import { findSignedIn } from './oidc/sessions/session.ts';
import { liftSession } from './oidc/sessions/session-store.ts';
import { createOutbound, type Outbound } from './outbound.ts';
import { listRoles } from './permissions.ts';
import { openPolicies } from './policy/policy.ts';
import { mountNotices } from './portal/notices.ts';
import { mountPortal, portal_client } from './portal/portal.ts';
import { mountPrompts } from './prompts/prompt.ts';
import { tellOfBrowser, tellOfPassword } from './recovery/notices.ts';
import { openRecoveries, type RecoveryStore } from './recovery/recovery.ts';
import { openRootSecrets } from './root-secrets.ts';
import { openSignIns } from './sign-in.ts';
import { mountDesk, viewOfPortal } from './surfaces.ts';
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
  mail: Outbox;
  app: Koa;
  close(): Promise<void>;
}

/** The database's schema is older than this release. */
export class OldSchema extends Error {}

/**
 * Opens database and queues, makes the engine and the app.
 * @throws OldSchema when `migrate` has not run; UnknownSecret when no configured secret fits; what pg throws when the
 * database cannot be reached
 */
export async function openGapura(
  settings: Config,
  log: Logger,
  { works = false, verifiers = own_verifiers }: { works?: boolean; verifiers?: Verifiers } = {},
): Promise<Gapura> {
  const db = openDatabase(settings.database_url.reveal(), { max: settings.database_pool });
  const watches: Watch[] = [];
  try {
    if (!(await isSchemaCurrent(db)))
      throw new OldSchema('The database has no schema of this release: run `gapura migrate` first.');
    const config = await openRootSecrets(db, settings);
    watches.push(await openPolicies(db, config, log));
    const jobs = await openJobs(config, { works, log });
    const clients = openClients(db, config);
    const outbound = createOutbound({ private_hosts: config.private_hosts });
    const mail = openMail(config);
    const engine: RunningEngine = await createEngine({
      config,
      db,
      jobs,
      clients,
      log,
      fetch: fetchOfEngine(outbound),
      renderError: (ctx, error) => showEngineError(ctx, error, engine.prompts),
    });
    watches.push(engine.keys);
    await prepareHashing(config.workers);
    showHashQueue(countHashes);
    showJobs(() => countJobs(jobs));
    const limits = openLimits(config.secrets[0] as Secret);
    const links = openLinks(config, db, jobs, limits, outbound, verifiers, engine.keys);
    const recoveries = await openRecoveries({ db, jobs, limits }, config);
    const app = createApp({ config, log, db, jobs, clients, engine }, limits, links, recoveries);
    const parts = { db, jobs, mail, outbound, watches };
    return { config, log, db, jobs, clients, engine, mail, app, close: () => close(parts) };
  } catch (error) {
    await Promise.all(watches.map((watch) => watch.close()));
    await db.destroy();
    throw error;
  }
}

async function close({
  db,
  jobs,
  mail,
  outbound,
  watches,
}: Pick<Gapura, 'db' | 'jobs' | 'mail'> & { outbound: Outbound; watches: Watch[] }): Promise<void> {
  await jobs.stop();
  await Promise.all(watches.map((watch) => watch.close()));
  mail.channel.close();
  await outbound.close();
  await db.destroy();
}

/** What linking user names needs; it says who it is by a signature, and reaches applications by the one way out. */
function openLinks(
  config: Config,
  db: Database,
  jobs: Jobs,
  limits: Limits,
  { call }: Outbound,
  verifiers: Verifiers,
  signing_keys: KeySet,
): LinkStore {
  const keys = deriveKeys(config.secrets, 'application settings');
  return {
    db,
    jobs,
    limits,
    verifiers,
    keys: deriveKeys(config.secrets, 'proofs'),
    seal: (secret) => seal(keys[0] as Buffer, secret, 'applications.verifier_settings'),
    url: config.url,
    support: `${config.support_name}, ${config.support_email}`,
    tools: {
      call,
      signRequest: createRequestSigner(config.issuer, signing_keys),
      unseal: (sealed) => open(keys, sealed, 'applications.verifier_settings'),
    },
  };
}

function createApp(
  { config, log, db, jobs, clients, engine }: Omit<Gapura, 'app' | 'mail' | 'close'>,
  limits: Limits,
  links: LinkStore,
  recoveries: RecoveryStore,
): Koa {
  const { provider } = engine;
  const app = new Koa();
  // The cookies of a mounted engine are signed with the outer app's keys (engine.md 0.5).
  app.keys = provider.keys;
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
  app.use(serveLogos(db));

  const router = new Router();
  const passwords: PasswordStore = {
    ...{ db, limits, keepSession: liftSession },
    tellOfPassword: tellOfPassword(recoveries),
  };
  router.get('/', async (ctx) => {
    const person = await findSignedIn(provider, ctx, portal_client);
    page(ctx, 'start', person ? { signed_in: await describePerson(db, person.account_id) } : {});
  });
  const checks = openChecks(db, limits, jobs, config);
  mountPictures(router, checks);
  const sign_ins = openSignIns({ db, limits, tellOfBrowser: tellOfBrowser(recoveries) }, config);
  mountPrompts(router, { db, engine: engine.prompts, sign_ins, checks, links, passwords, recoveries });
  mountNotices(router, { db, audience: config.issuer, call: links.tools.call });
  mountPortal(router, {
    db,
    config,
    links,
    invitations: openInvitations(db, links.jobs, config),
    passwords,
    recoveries,
    checks,
    clients,
    ...viewOfPortal(engine),
  });
  mountDesk(router, { config, db, jobs, clients, links, engine });
  app.use(ofPages(router.routes() as Koa.Middleware)).use(ofPages(router.allowedMethods() as Koa.Middleware));
  app.use(guardRegistration({ db, limits, keepLogo: keepRegisteredLogo(db, links.tools, config) }));
  app.use(slowFailures({ db, limits }));
  app.use(slowGuesses({ db, limits }));
  app.use(mountEngine(provider, config));
  return app;
}

/** Steps that only our own pages need: no address of the engine is among them, and each would be compared with all of theirs. */
function ofPages(step: Koa.Middleware): Koa.Middleware {
  return (ctx, next) => (isOfEngine(ctx.path) ? next() : step(ctx, next));
}

/** Whether a connection ended in the middle of a request or its answer: whoever was there has gone, and nothing of ours failed. */
function isHangUp(error: { code?: unknown }): boolean {
  return /^(HPE_|ECONNRESET$|EPIPE$|ERR_STREAM_|ERR_HTTP_REQUEST_TIMEOUT$)/.test(String(error.code ?? ''));
}

/** Who is greeted on the start page. */
async function describePerson(db: Database, account_id: string): Promise<{ identifier: string; role: string }> {
  const [account, roles] = await Promise.all([findAccount(db, account_id), listRoles(db, account_id)]);
  return { identifier: account?.username ?? '', role: roles[0]?.role ?? '' };
}

const isAnswering = async (db: Database) => (await sql`SELECT`.execute(db)).rows.length === 1;
