/** One node as several processes: the first only starts the others, replaces those that end, and joins their numbers. */

import cluster, { type Worker } from 'node:cluster';
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { joinMetrics, labelMetrics, type Metrics, readMetrics } from './http/ops.ts';

/** What a worker does: a command of the command line. */
export type Task = 'serve' | 'work';

/** The number of this worker, as log and metrics show it; undefined in a process that is a node by itself. */
export const worker_number = cluster.worker?.id;

/** What workers and the first process say to each other. */
interface Message {
  is_ready?: true;
  asks?: 'metrics';
  metrics?: Metrics;
}

/** To be called first in a process that may be a worker: it then takes a name and answers the first process. */
export function enterCrew(task: Task): void {
  const { worker } = cluster;
  if (!worker) return;
  // The channel must not keep alive what has nothing left to do. When the first process dies, its workers end at once.
  process.channel?.unref();
  process.title = `gapura ${task} ${worker.id}`;
  labelMetrics(worker.id);
  process.on('message', async ({ asks }: Message) => {
    if (asks === 'metrics') worker.send({ metrics: await readMetrics().catch(() => []) } satisfies Message);
  });
}

/** Tells the first process, where there is one, that this worker has started. */
export function reportReady(): void {
  cluster.worker?.send({ is_ready: true } satisfies Message);
}

/** The numbers of all workers as text, each with the label `worker`; one that does not answer at once is left out. */
export async function readCrewMetrics(): Promise<string> {
  const workers = Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
  const found = await Promise.all(workers.map(askMetrics));
  return joinMetrics(found.filter((metrics) => metrics !== undefined));
}

const longest_answer_ms = 2000;

function askMetrics(worker: Worker): Promise<Metrics | undefined> {
  return new Promise((resolve) => {
    const end = (metrics?: Metrics) => {
      clearTimeout(late);
      worker.off('message', take);
      resolve(metrics);
    };
    const take = ({ metrics }: Message) => metrics && end(metrics);
    const late = setTimeout(end, longest_answer_ms);
    worker.on('message', take);
    worker.send({ asks: 'metrics' } satisfies Message, (error) => error && end());
  });
}

/** Times in milliseconds. */
const pace = {
  /** Before a worker that ended is replaced; doubled each time, unless it had stayed for `settled`. */
  shortest_pause: 200,
  longest_pause: 30_000,
  settled: 60_000,
};

/**
 * Runs a worker for each task until `stopped`, then lets all of them finish. The first is started alone: what is wrong with
 * the installation is then said once, by that worker. A worker that ends is replaced, after a pause that grows while it keeps ending.
 * @param workers how many serve, which each of them is told
 * @returns the exit code: what `stopped` gives, or 1 when a worker cannot start and none is there that did
 */
export async function runCrew(
  tasks: [Task, ...Task[]],
  workers: number,
  log: Logger,
  stopped: Promise<0 | 1>,
): Promise<number> {
  process.title = 'gapura';
  const stopping = new AbortController();
  const { signal } = stopping;
  // Every worker that waits to be replaced listens.
  setMaxListeners(0, signal);
  const ready = new Set<Worker>();
  let code: 0 | 1 = 0;

  const keep = async (task: Task, tellReady?: () => void) => {
    for (let pause = pace.shortest_pause; !signal.aborted; ) {
      const begun = process.uptime();
      const worker = startWorker(task === 'serve' ? [task, '--workers', String(workers)] : [task]);
      log.info({ worker: worker.id, pid: worker.process.pid, task }, 'a worker starts');
      const exit = await waitForExit(worker, () => {
        ready.add(worker);
        tellReady?.();
      });
      const was_ready = ready.delete(worker);
      if (signal.aborted) return;
      log.error({ worker: worker.id, task, ...exit }, 'a worker has ended');
      if (!was_ready && ready.size === 0) {
        code = 1;
        stopping.abort();
        return;
      }
      if ((process.uptime() - begun) * 1000 > pace.settled) pause = pace.shortest_pause;
      await sleep(pause, undefined, { signal }).catch(() => undefined);
      pause = Math.min(pause * 2, pace.longest_pause);
    }
  };

  signal.addEventListener('abort', () => {
    for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill('SIGTERM');
  });
  void stopped.then((asked) => {
    code = asked;
    stopping.abort();
  });
  const [first, ...others] = tasks;
  let rest: Promise<void>[] = [];
  await keep(first, () => {
    if (rest.length === 0 && !signal.aborted) rest = others.map((task) => keep(task));
  });
  await Promise.all(rest);
  return code;
}

function startWorker(args: string[]): Worker {
  // Each takes its connections from the system. Handed over by this process, one would hang for ever whose worker dies just then.
  cluster.schedulingPolicy = cluster.SCHED_NONE;
  cluster.setupPrimary({ args });
  // With one arena glibc gives the memory of a password's hash back; with many it keeps some 80 MB in each process.
  return cluster.fork({ MALLOC_ARENA_MAX: '1' });
}

/** Waits until a worker has ended; `onReady` is called when it says that it has started. */
function waitForExit(worker: Worker, onReady: () => void): Promise<{ code: number; signal: string | null }> {
  return new Promise((resolve) => {
    worker.on('message', ({ is_ready }: Message) => is_ready && onReady());
    // A channel that breaks while something is sent: the end of the process follows and says more.
    worker.on('error', () => undefined);
    worker.once('exit', (code, signal) => resolve({ code, signal }));
  });
}
