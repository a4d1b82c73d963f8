/** The commands `serve` and `work`: one process, or several under a first one, until they are asked to end. */

import { parseArgs } from 'node:util';
import type { Config } from './config.ts';
import { waitForEnd } from './end.ts';
import { listen, stopListening } from './http/listen.ts';
import { startMetrics } from './http/ops.ts';
import { openLog } from './log.ts';
import { openGapura } from './server.ts';
import { settings as table } from './settings.ts';
import { startWorker } from './worker.ts';
import { enterCrew, readCrewMetrics, reportReady, runCrew, type Task, worker_number } from './workers.ts';

/** How `serve` is called. */
export const serve_usage = `gapura serve [--work] [--workers NUMBER]

Serves people and applications. --work also runs the jobs; --workers (else GAPURA_WORKERS) shares the port among so many
processes, auto for one for each core. With several, the jobs have one of their own, a process that dies is replaced, and
/metrics has the numbers of all. SIGTERM lets what is in work finish.`;

/** Runs `serve`. Gives the exit code. */
export async function serve(settings: () => Config, argv: string[]): Promise<number> {
  enterCrew('serve');
  const options = readOptions(argv);
  if (typeof options === 'string') {
    process.stderr.write(`${options}\n\n${serve_usage}\n`);
    return 2;
  }
  const { works, ...given } = options;
  const config = { ...settings(), ...given };
  // A worker is told how many there are as well, for its share of the cores.
  return config.workers > 1 && worker_number === undefined ? serveTogether(config, works) : serveAlone(config, works);
}

function readOptions(argv: string[]): { works: boolean; workers?: number } | string {
  try {
    const options = { work: { type: 'boolean', default: false }, workers: { type: 'string' } } as const;
    const { work: works, workers } = parseArgs({ args: argv, options }).values;
    return { works, ...(workers === undefined ? {} : { workers: readWorkers(workers) }) };
  } catch (error) {
    return (error as Error).message;
  }
}

function readWorkers(text: string): number {
  try {
    return table.workers.parse(text);
  } catch (error) {
    throw new Error(`--workers ${(error as Error).message}`);
  }
}

/** The jobs get a process of their own, so that no duty makes a request wait. */
async function serveTogether(config: Config, works: boolean): Promise<number> {
  const others: Task[] = Array.from({ length: config.workers - 1 }, () => 'serve');
  if (works) others.push('work');
  const log = createLog(config);
  // Above what a worker gives itself.
  const end = waitForEnd(log, { longest_ms: 30_000 });
  const metrics = await startMetrics(config, readCrewMetrics);
  try {
    return await runCrew(['serve', ...others], config.workers, log, end);
  } finally {
    await metrics?.close();
  }
}

/** Milliseconds in which a proxy finds out by /readyz that a node stops; docker/haproxy.cfg needs less. */
const noticed_after = 4000;

async function serveAlone(config: Config, works: boolean): Promise<number> {
  const log = createLog(config);
  const end = waitForEnd(log);
  const gapura = await openGapura(config, log, { works });
  let metrics: Metrics;
  try {
    metrics = await showMetrics(config);
    const server = await listen(gapura.app, config.listen_host, config.listen_port);
    const worker = works ? await startWorker(gapura.db, gapura.jobs, gapura.engine, gapura.mail, log) : undefined;
    log.info({ url: config.url, port: config.listen_port }, 'ready');
    reportReady();
    const code = await end;
    const pause_ms = config.production && config.trusted_proxies.length > 0 ? noticed_after : 0;
    await Promise.all([stopListening(server, { pause_ms }), worker?.stop()]);
    return code;
  } finally {
    await metrics?.close();
    await gapura.close();
  }
}

/** Runs `work`. Gives the exit code. */
export async function work(settings: () => Config): Promise<number> {
  enterCrew('work');
  const config = settings();
  const log = createLog(config);
  const end = waitForEnd(log);
  const gapura = await openGapura(config, log, { works: true });
  let metrics: Metrics;
  try {
    metrics = await showMetrics(config);
    const worker = await startWorker(gapura.db, gapura.jobs, gapura.engine, gapura.mail, log);
    log.info('working');
    reportReady();
    const code = await end;
    await worker.stop();
    return code;
  } finally {
    await metrics?.close();
    await gapura.close();
  }
}

type Metrics = Awaited<ReturnType<typeof startMetrics>>;

/** The numbers of a worker are shown by the first process. */
async function showMetrics(config: Config): Promise<Metrics> {
  return worker_number === undefined ? startMetrics(config) : undefined;
}

function createLog(config: Config) {
  return openLog(config, worker_number === undefined ? null : { worker: worker_number });
}
