/** The work that no request waits for: the duties, now and then, and the queues. */

import { purgeBrowsers } from './accounts/browsers.ts';
import { purgeSignIns } from './accounts/sign-ins.ts';
import { purgeAnswers } from './admin/idempotency.ts';
import { forgetExpired } from './approvals.ts';
import { purgePersonal } from './audit/audit.ts';
import { seal_size, sealAudit } from './audit/seals.ts';
import { warnOfSecrets } from './clients/warnings.ts';
import type { Database } from './database.ts';
import { deliverMail, type Outbox, purgeMails } from './delivery/outbox.ts';
import { runInBatches, runPeriodically } from './duties.ts';
import { purgeHumanChecks } from './human-check/store.ts';
import { type JobLog, type Jobs, work } from './jobs.ts';
import { purgeLimits } from './limits/statements.ts';
import { purgeNotices } from './links/notices.ts';
import { removeUnusedClients } from './oidc/clients/dynamic-clients.ts';
import { purgeInitialAccessTokens } from './oidc/clients/initial-tokens.ts';
import type { RunningEngine } from './oidc/provider.ts';
import { purgeRecords } from './oidc/records/write.ts';
import { sendLogout, sweepSessions } from './oidc/sessions/session.ts';
import { purgeSessions } from './oidc/sessions/session-store.ts';
import { purgeTrials } from './oidc/trial/trial.ts';
import { policy } from './policy/policy.ts';
import { purgeProofs } from './proofs.ts';
import { purgeRecoveries } from './recovery/store.ts';

interface Duty {
  name: string;
  /** Seconds between two runs. */
  every: number;
  run: (db: Database, engine: RunningEngine, jobs: Jobs) => Promise<unknown>;
}

/** Each duty runs on one node at a time. */
const duties: Duty[] = [
  { name: 'turn signing keys', every: 300, run: (_db, engine) => engine.keys.turn() },
  { name: 'purge initial access tokens', every: 3600, run: (db) => purgeInitialAccessTokens(db) },
  { name: 'warn of secrets', every: 3600, run: (db, _engine, jobs) => warnOfSecrets(db, jobs) },
  { name: 'forget expired approvals', every: 3600, run: (db) => forgetExpired(db) },
];

interface BatchedDuty {
  name: string;
  /** Seconds between two turns. */
  every: number;
  batch?: number;
  /** Deals with up to `batch` rows and gives their number. */
  run: (db: Database, batch: number, engine: RunningEngine) => Promise<number>;
}

/** Of what there may be any number, above all what is over. */
export const batched_duties: BatchedDuty[] = [
  {
    name: 'sweep sessions',
    every: 10,
    batch: 100,
    run: (_db, batch, engine) => sweepSessions(engine.records, batch),
  },
  { name: 'seal the audit', every: 60, batch: seal_size, run: sealAudit },
  {
    name: 'remove unused clients',
    every: 3600,
    batch: 100,
    run: (_db, batch, engine) => removeUnusedClients(engine.records, batch),
  },
  { name: 'purge records', every: 60, run: purgeRecords },
  { name: 'purge sessions', every: 60, run: purgeSessions },
  { name: 'purge trials', every: 60, run: purgeTrials },
  { name: 'purge sign-ins', every: 300, run: purgeSignIns },
  { name: 'purge recoveries', every: 300, run: purgeRecoveries },
  { name: 'purge proofs', every: 300, run: purgeProofs },
  { name: 'purge limits', every: 300, run: purgeLimits },
  { name: 'purge human checks', every: 300, run: purgeHumanChecks },
  { name: 'purge browsers', every: 3600, run: purgeBrowsers },
  { name: 'purge notices', every: 3600, run: purgeNotices },
  { name: 'purge mails', every: 3600, run: purgeMails },
  { name: 'purge answers', every: 3600, run: purgeAnswers },
  {
    name: 'purge personal audit',
    every: 3600,
    run: (db, batch) => purgePersonal(db, policy('audit.personal_retention'), batch),
  },
];

/** Starts the duties and the queues; `stop` takes nothing more and waits for what is in work, for the jobs 15 s at most. */
export async function startWorker(
  db: Database,
  jobs: Jobs,
  engine: RunningEngine,
  mail: Outbox,
  log: JobLog,
): Promise<{ stop(): Promise<void> }> {
  const queues = await Promise.all([
    work(jobs, 'logout', sendLogout(engine.provider), { concurrency: 8 }),
    work(jobs, 'mail', deliverMail(db, mail, log)),
  ]);
  const running = [
    ...duties.map(({ name, every, run }) => runPeriodically(db, name, every, () => run(db, engine, jobs), log)),
    ...batched_duties.map(({ name, every, batch = 1000, run }) =>
      runPeriodically(db, name, every, (signal) => runInBatches(() => run(db, batch, engine), signal, { batch }), log),
    ),
  ];
  return {
    async stop() {
      await Promise.all([...running, ...queues].map((one) => one.stop()));
    },
  };
}
