/** Work that outlives its request: pg-boss queues in the schema `jobs`, filled in the caller's transaction. */

import { setTimeout as sleep } from 'node:timers/promises';
import { isNativeError } from 'node:util/types';
import { fromKysely, PgBoss } from 'pg-boss';
import type { Secret } from './crypto.ts';
import type { Transaction } from './database.ts';

interface Queue {
  name: QueueName;
  /** Tries after the first. */
  retry_limit: number;
  /** Where a job goes after its last try. */
  dead_letter?: QueueName;
}

/** What each queue's jobs carry. */
export interface Payloads {
  /** A back-channel logout to send; its token is minted when it is sent (OIDC Back-Channel Logout 1.0). */
  logout: { client_id: string; subject: string; sid: string | null };
  logout_dead: Payloads['logout'];
  /** A mail to send; who gets it and what it says stands in its row. */
  mail: { mail_id: string };
  mail_dead: Payloads['mail'];
}

export type QueueName = keyof Payloads;

// Dead letter queues come first: a queue may only name one that exists. 34 tries are about 24 hours, 100 about three days:
// a mail server may be down over a weekend.
const queues: Queue[] = [
  { name: 'logout_dead', retry_limit: 0 },
  { name: 'logout', retry_limit: 34, dead_letter: 'logout_dead' },
  { name: 'mail_dead', retry_limit: 0 },
  { name: 'mail', retry_limit: 100, dead_letter: 'mail_dead' },
];

/** The first retry after 10 s, each further one after twice that less a random part, up to an hour; a try may last 60 s. */
const pace = { retryDelay: 10, retryBackoff: true, retryDelayMax: 3600, expireInSeconds: 60 };

/** A PostgreSQL that went away without a word is noticed; by itself TCP waits a quarter of an hour. Milliseconds. */
const outlast = {
  connectionTimeoutMillis: 5_000,
  query_timeout: 60_000,
  keepAlive: true,
  keepAliveInitialDelayMillis: 10_000,
};

const schema = 'jobs';
const day = 86_400;

/** Where errors of queues and duties go; a pino logger fits. */
export interface JobLog {
  error(fields: object, message: string): void;
}

/** An open connection to the queues. */
export interface Jobs {
  boss: PgBoss;
  /** Takes no more jobs, waits for those in work, hands back what takes longer to be tried again, and closes. */
  stop(patience_ms?: number): Promise<void>;
}

/** Creates or migrates the schema `jobs` and its queues; many nodes may do so at once. Part of `migrate`. */
export async function prepareJobs(database_url: Secret): Promise<void> {
  const boss = new PgBoss({
    connectionString: database_url.reveal(),
    schema,
    max: 2,
    supervise: false,
    schedule: false,
  });
  boss.on('error', () => undefined);
  await boss.start();
  try {
    const now = new Set((await boss.getQueues()).map((queue) => queue.name));
    for (const { name, ...queue } of queues) {
      const options = {
        ...pace,
        retryLimit: queue.retry_limit,
        retentionSeconds: 90 * day,
        deleteAfterSeconds: day,
        notify: true,
        ...(queue.dead_letter ? { deadLetter: queue.dead_letter } : {}),
      };
      if (now.has(name)) await boss.updateQueue(name, options);
      else await boss.createQueue(name, options);
    }
  } finally {
    await boss.stop();
  }
}

/**
 * Opens the queues: with `works` for a worker, which also listens and keeps them tidy, otherwise only to enqueue.
 * Listening takes a connection of its own for the whole session, so not one of pgBouncer's transaction mode; without it jobs
 * are found by polling every few seconds.
 * @throws Error when `prepareJobs` of this release has not run
 */
export async function openJobs(
  config: { database_url: Secret },
  { max = 1, works = false, log }: { max?: number; works?: boolean; log?: JobLog } = {},
): Promise<Jobs> {
  const boss = new PgBoss({
    connectionString: config.database_url.reveal(),
    schema,
    application_name: works ? 'gapura jobs (worker)' : 'gapura jobs',
    max: works ? Math.max(max, 2) : max,
    ...outlast,
    migrate: false,
    createSchema: false,
    schedule: false,
    supervise: works,
    useListenNotify: works,
  });
  boss.on('error', (error) => log?.error({ err: toError(error) }, 'the job queues failed'));
  boss.on('warning', (warning) => log?.error({ warning }, 'the job queues warn'));
  try {
    await boss.start();
  } catch (error) {
    await boss.stop({ graceful: false });
    throw error;
  }
  return { boss, stop: (patience_ms = 5_000) => boss.stop({ graceful: true, timeout: patience_ms }) };
}

/** Differs from the queue's own table where given; seconds. */
export interface EnqueueOptions {
  start_after?: number;
  retry_limit?: number;
  retry_delay?: number;
  retry_backoff?: boolean;
}

/**
 * Puts a job into a queue in the caller's transaction: it runs once that is committed, at once, and never if it is rolled back.
 * @returns the job's id
 */
export async function enqueue<Name extends QueueName>(
  tx: Transaction,
  jobs: Jobs,
  queue: Name,
  payload: Payloads[Name],
  options: EnqueueOptions = {},
): Promise<string> {
  const id = await jobs.boss.send(queue, payload, {
    db: fromKysely(tx),
    ...(options.start_after === undefined ? {} : { startAfter: options.start_after }),
    ...(options.retry_limit === undefined ? {} : { retryLimit: options.retry_limit }),
    ...(options.retry_delay === undefined ? {} : { retryDelay: options.retry_delay }),
    ...(options.retry_backoff === undefined ? {} : { retryBackoff: options.retry_backoff }),
  });
  if (!id) throw new Error(`the job for ${queue} was not taken`);
  return id;
}

/** A job in work; `attempt` counts from 1, `is_last` says that a failure now ends in the dead letter queue. */
export interface Job<Payload> {
  id: string;
  payload: Payload;
  attempt: number;
  is_last: boolean;
  signal: AbortSignal;
}

/**
 * Runs `fn` for each job of a queue, at most `concurrency` at once in this process. A job that throws is retried as its
 * queue says. It is woken by each commit and looks by itself every few seconds; a job may run twice when a node dies in it.
 * `stop` takes no more and waits for those in work; the queues' own stop hands back what takes longer than that.
 */
export async function work<Name extends QueueName>(
  jobs: Jobs,
  queue: Name,
  fn: (job: Job<Payloads[Name]>) => Promise<void>,
  { concurrency = 4, poll_seconds = 5, patience_ms = 15_000 }: WorkOptions = {},
): Promise<{ stop(): Promise<void> }> {
  for (let loops = 0; loops < concurrency; loops += 1) {
    let loop: string | undefined;
    loop = await jobs.boss.work<Payloads[Name], void, { includeMetadata: true }>(
      queue,
      {
        includeMetadata: true,
        pollingIntervalSeconds: poll_seconds,
        notifyPollingIntervalSeconds: poll_seconds,
      } as { includeMetadata: true },
      async (taken) => {
        // Many jobs of one transaction give one notice: who had a job looks for the next at once.
        if (loop) jobs.boss.notifyWorker(loop);
        for (const { id, data: payload, retryCount, retryLimit, signal } of taken) {
          await fn({ id, payload, attempt: retryCount + 1, is_last: retryCount >= retryLimit, signal });
        }
      },
    );
  }
  return {
    async stop() {
      const late = new AbortController();
      const patience = sleep(patience_ms, undefined, { signal: late.signal }).catch(() => undefined);
      await Promise.race([jobs.boss.offWork(queue, { wait: true }), patience]);
      late.abort();
    },
  };
}

export interface WorkOptions {
  concurrency?: number;
  poll_seconds?: number;
  /** How long a stop waits for the jobs in work. */
  patience_ms?: number;
}

/** How many jobs stand in each queue: waiting, in work, and failed for good. */
export async function countJobs(
  jobs: Jobs,
): Promise<{ queue: string; waiting: number; active: number; failed: number }[]> {
  const found = await jobs.boss.getQueues(queues.map((queue) => queue.name));
  return found.map(({ name, queuedCount, activeCount, failedCount }) => ({
    queue: name,
    waiting: queuedCount,
    active: activeCount,
    failed: failedCount,
  }));
}

/** What fails at a queue is told as an object that only looks like its error; a log would not say what it was. */
function toError(told: Error & { code?: unknown }): Error {
  if (isNativeError(told)) return told;
  const { message, stack = '', code } = told;
  return Object.assign(new Error(message), { stack, ...(code === undefined ? {} : { code }) });
}
