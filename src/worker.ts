/** The work that no request waits for: the duties, now and then, and the queues. */

import { purgeBrowsers } from './accounts/browsers.ts';
import { purgeAnswers } from './admin/idempotency.ts';
import { forgetExpired } from './approvals.ts';
import { purgePersonal } from './audit/audit.ts';
import { sealAudit } from './audit/seals.ts';
import { warnOfSecrets } from './clients/warnings.ts';
import type { Database } from './database.ts';
import { deliverMail, type Outbox, purgeMails } from './delivery/outbox.ts';
import { runPeriodically } from './duties.ts';
import { purgeHumanChecks } from './human-check/store.ts';
import { type JobLog, type Jobs, work } from './jobs.ts';
import { purgeLimits } from './limits.ts';
import { purgeNotices } from './links/notices.ts';
import { removeUnusedClients } from './oidc/clients/dynamic-clients.ts';
import { purgeInitialAccessTokens } from './oidc/clients/initial-tokens.ts';
import type { RunningEngine } from './oidc/provider.ts';
import { purgeRecords } from './oidc/records/store.ts';
import { sendLogout, sweepSessions } from './oidc/sessions/session.ts';
import { purgeSessions } from './oidc/sessions/session-store.ts';
import { purgeTrials } from './oidc/trial/trial.ts';
import { policy } from './policy/policy.ts';
import { purgeProofs } from './proofs.ts';
import { purgeRecoveries } from './recovery/store.ts';
import { purgeSignIns } from './sign-in.ts';

interface Duty {
  name: string;
  /** Seconds between two runs. */
  every: number;
  run: (db: Database, engine: RunningEngine, jobs: Jobs) => Promise<unknown>;
}

/** Each duty runs on one node at a time. */
const duties: Duty[] = [
  { name: 'sweep sessions', every: 10, run: (_db, engine) => sweepSessions(engine.records) },
  { name: 'seal the audit', every: 60, run: (db) => sealAudit(db) },
  { name: 'purge records', every: 60, run: (db) => purgeAll(purgeRecords, db) },
  { name: 'purge sessions', every: 60, run: (db) => purgeAll(purgeSessions, db) },
  { name: 'purge sign-ins', every: 300, run: (db) => purgeAll(purgeSignIns, db) },
  { name: 'purge browsers', every: 3600, run: (db) => purgeAll(purgeBrowsers, db) },
  { name: 'purge recoveries', every: 300, run: (db) => purgeAll(purgeRecoveries, db) },
  { name: 'purge notices', every: 3600, run: (db) => purgeNotices(db) },
  {
    name: 'remove unused clients',
    every: 3600,
    run: (db, engine) => Promise.all([removeUnusedClients(engine.records), purgeInitialAccessTokens(db)]),
  },
  { name: 'warn of secrets', every: 3600, run: (db, _engine, jobs) => warnOfSecrets(db, jobs) },
  { name: 'turn signing keys', every: 300, run: (_db, engine) => engine.keys.turn() },
  { name: 'purge trials', every: 60, run: (db) => purgeAll(purgeTrials, db) },
  { name: 'purge proofs', every: 300, run: (db) => purgeAll(purgeProofs, db) },
  { name: 'purge human checks', every: 300, run: (db) => purgeAll(purgeHumanChecks, db) },
  { name: 'purge mails', every: 3600, run: (db) => purgeAll(purgeMails, db) },
  { name: 'purge answers', every: 3600, run: (db) => purgeAll(purgeAnswers, db) },
  { name: 'purge limits', every: 300, run: (db) => purgeLimits(db) },
  { name: 'forget expired approvals', every: 3600, run: (db) => forgetExpired(db) },
  { name: 'purge personal audit', every: 3600, run: (db) => purgePersonal(db, policy('audit.personal_retention')) },
];

/** Starts the duties and the queues; `stop` waits for what is in work. */
export async function startWorker(
  db: Database,
  jobs: Jobs,
  engine: RunningEngine,
  mail: Outbox,
  log: JobLog,
): Promise<{ stop(): Promise<void> }> {
  await work(jobs, 'logout', sendLogout(engine.provider), { concurrency: 8 });
  await work(jobs, 'mail', deliverMail(db, mail, log));
  const running = duties.map(({ name, every, run }) =>
    runPeriodically(db, name, every, () => run(db, engine, jobs), log),
  );
  return {
    async stop() {
      await Promise.all(running.map((duty) => duty.stop()));
    },
  };
}

/** Purges batch by batch, so that no statement holds many locks. */
async function purgeAll(purge: (db: Database, batch?: number) => Promise<number>, db: Database): Promise<void> {
  while ((await purge(db)) > 0);
}
