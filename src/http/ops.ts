/** What operators read: whether the process lives, whether it can serve, and its numbers. */

import { createServer } from 'node:http';
import { AggregatorRegistry, Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Config } from '../config.ts';
import type { Middleware, RequestContext } from './guard.ts';

const registry = new Registry();
collectDefaultMetrics({ register: registry });

const durations = new Histogram({
  name: 'gapura_http_request_seconds',
  help: 'Time from the first byte of a request to its answer.',
  labelNames: ['method', 'route', 'status'],
  buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
  registers: [registry],
});

const sign_ins = new Counter({
  name: 'gapura_sign_ins_total',
  help: 'Sign-ins by outcome.',
  labelNames: ['outcome'],
  registers: [registry],
});

/** Counts a sign-in: `done`, or the reason of a refusal; a word of a fixed list, never what a person typed. */
export function countSignIn(outcome: string): void {
  sign_ins.inc({ outcome });
}

/** Shows the line for password hashing, read each time the numbers are asked for. */
export function showHashQueue(read: () => { waiting: number; running: number }): void {
  showGauge('gapura_password_hashes', 'Password hashes waiting and running in this process.', 'state', async () => {
    return Object.entries(read()).filter(([state]) => state === 'waiting' || state === 'running');
  });
}

/** Shows the job queues, read each time the numbers are asked for. */
export function showJobs(
  read: () => Promise<{ queue: string; waiting: number; active: number; failed: number }[]>,
): void {
  showGauge('gapura_jobs_waiting', 'Jobs that wait, by queue.', 'queue', async () => {
    return (await read()).map(({ queue, waiting }) => [queue, waiting]);
  });
}

function showGauge(name: string, help: string, label: string, read: () => Promise<[string, number][]>): void {
  registry.removeSingleMetric(name);
  new Gauge({
    name,
    help,
    labelNames: [label],
    registers: [registry],
    async collect() {
      // A number that cannot be read now is left out; the others are still worth having.
      for (const [value, number] of await read().catch(() => [])) this.set({ [label]: value }, number);
    },
  });
}

const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** Measures every request by its route, never by its address: the set of labels stays small whatever is asked for. */
export const measureRequests: Middleware = async (ctx, next) => {
  const began = performance.now();
  try {
    await next();
  } finally {
    const method = methods.has(ctx.method) ? ctx.method : 'other';
    durationsOf(method, nameRoute(ctx), `${Math.floor(ctx.status / 100)}xx`).observe(
      (performance.now() - began) / 1000,
    );
  }
};

type Observer = ReturnType<typeof durations.labels>;
const observers = new Map<string, Observer>();

/** Looking up the labels costs more than counting: each set of them is looked up once. */
function durationsOf(method: string, route: string, status: string): Observer {
  const key = `${method} ${route} ${status}`;
  const known = observers.get(key) ?? durations.labels({ method, route, status });
  observers.set(key, known);
  return known;
}

function nameRoute(ctx: RequestContext): string {
  const { _matchedRoute: matched, oidc } = ctx as { _matchedRoute?: unknown; oidc?: { route?: unknown } };
  if (typeof matched === 'string') return matched;
  if (typeof oidc?.route === 'string') return `connect:${oidc.route}`;
  return ctx.path.startsWith('/assets/') ? '/assets' : 'none';
}

/** Named questions whose answers decide whether this process should get requests. */
export type Checks = Record<string, () => Promise<boolean>>;

const longest_check_ms = 2000;

/**
 * Answers `/healthz` (this process is alive), `/readyz` (200 when every check says yes within 2 s, else 503; names and
 * booleans only; 503 also while the server stops) and, where `shows_metrics`, `/metrics`.
 */
export function answerOperators({ checks, shows_metrics }: { checks: Checks; shows_metrics: boolean }): Middleware {
  const runChecks = shareRuns(() => askAll(checks));
  return async (ctx, next) => {
    if (!['/healthz', '/readyz', '/metrics'].includes(ctx.path) || !['GET', 'HEAD'].includes(ctx.method)) return next();
    if (ctx.path === '/metrics') {
      if (!shows_metrics) return next();
      ctx.body = await registry.metrics();
      ctx.type = registry.contentType;
      return;
    }
    if (ctx.path === '/readyz' && ctx.stopping?.aborted) {
      ctx.status = 503;
      ctx.body = { status: 'stopping', checks: {} };
      return;
    }
    const answers = ctx.path === '/readyz' ? await runChecks() : {};
    const is_good = Object.values(answers).every(Boolean);
    ctx.status = is_good ? 200 : 503;
    ctx.body = { status: is_good ? 'ok' : 'failing', checks: answers };
  };
}

// Whoever asks while an answer is on its way gets the same one: a storm of probes costs one round of checks.
function shareRuns<T>(run: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined;
  return () => {
    running ??= run().finally(() => {
      running = undefined;
    });
    return running;
  };
}

async function askAll(checks: Checks): Promise<Record<string, boolean>> {
  const ask = async ([name, check]: [string, () => Promise<boolean>]): Promise<[string, boolean]> => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(resolve, longest_check_ms, false);
    });
    const answer = Promise.resolve().then(check);
    const is_good = await Promise.race([answer.catch(() => false), late]);
    clearTimeout(timer);
    return [name, is_good === true];
  };
  return Object.fromEntries(await Promise.all(Object.entries(checks).map(ask)));
}

/** The numbers of one process as it tells them to another. */
export type Metrics = Awaited<ReturnType<Registry['getMetricsAsJSON']>>;

/** Says with each number of this process which worker of its node it is of. */
export function labelMetrics(worker: number): void {
  registry.setDefaultLabels({ worker: String(worker) });
}

export const readMetrics = (): Promise<Metrics> => registry.getMetricsAsJSON();

/** The numbers of several workers as one text. They are not added up: one that ends would make all of them go back. */
export const joinMetrics = (found: Metrics[]): Promise<string> => AggregatorRegistry.aggregate(found).metrics();

/**
 * Serves `/metrics` alone on its own port, of this process unless `read` gives others; without a port there is nothing to serve.
 * @throws Error (EADDRINUSE) when the port is taken
 */
export async function startMetrics(
  config: Pick<Config, 'listen_host' | 'metrics_port'>,
  read?: () => Promise<string>,
): Promise<{ port: number; close(): Promise<void> } | undefined> {
  if (config.metrics_port === 0) return undefined;
  return serveMetrics(config.listen_host, config.metrics_port, read);
}

/** The server behind `startMetrics`; port 0 takes a free one. */
export async function serveMetrics(
  host: string,
  port: number,
  read = () => registry.metrics(),
): Promise<{ port: number; close(): Promise<void> }> {
  const server = createServer(async (req, res) => {
    if (req.url !== '/metrics' || req.method !== 'GET') {
      res.writeHead(404).end();
      return;
    }
    res.setHeader('content-type', registry.contentType);
    res.end(await read().catch(() => ''));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
