/** The work that no request waits for: the duties, now and then, and the queues. */

import { purgePersonal, sealAudit } from './audit.ts';
import type { Database } from './database.ts';
import { type Channel, deliverMail, purgeMails } from './delivery/outbox.ts';
import { type JobLog, type Jobs, runPeriodically, work } from './jobs.ts';
import { purgeLimits } from './limits.ts';
import { purgeNotices } from './links/notices.ts';
import type { RunningEngine } from './oidc/provider.ts';
import { sendLogout, sweepSessions } from './oidc/session.ts';
import { purgeSessions } from './oidc/session-store.ts';
import { purgeRecords } from './oidc/store.ts';
import { policy } from './policy.ts';
import { purgeSignIns } from './sign-in.ts';

interface Duty {
  name: string;
  /** Seconds between two runs. */
  every: number;
  run: (db: Database, engine: RunningEngine) => Promise<unknown>;
}

/** Each duty runs on one node at a time. */
const duties: Duty[] = [
  { name: 'sweep sessions', every: 10, run: (_db, engine) => sweepSessions(engine.records) },
  { name: 'seal the audit', every: 60, run: (db) => sealAudit(db) },
  { name: 'purge records', every: 60, run: (db) => purgeAll(purgeRecords, db) },
  { name: 'purge sessions', every: 60, run: (db) => purgeAll(purgeSessions, db) },
  { name: 'purge sign-ins', every: 300, run: (db) => purgeAll(purgeSignIns, db) },
  { name: 'purge notices', every: 3600, run: (db) => purgeNotices(db) },
  { name: 'purge mails', every: 3600, run: (db) => purgeAll(purgeMails, db) },
  { name: 'purge limits', every: 300, run: (db) => purgeLimits(db) },
  { name: 'purge personal audit', every: 3600, run: (db) => purgePersonal(db, policy('audit.personal_retention')) },
];

/** Starts the duties and the queues; `stop` waits for what is in work. */
export async function startWorker(
  db: Database,
  jobs: Jobs,
  engine: RunningEngine,
  mail: Channel,
  log: JobLog,
): Promise<{ stop(): Promise<void> }> {
  await work(jobs, 'logout', sendLogout(engine.provider), { concurrency: 8 });
  await work(jobs, 'mail', deliverMail(db, mail, log));
  const running = duties.map(({ name, every, run }) => runPeriodically(db, name, every, () => run(db, engine), log));
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
