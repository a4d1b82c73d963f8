/** How a figure is taken: a site under load, what it used for each request, and the floor's turn beside ours. */

import type { Usage } from './answers.ts';
import { judgePairs, type Row, spreadOf, type Table } from './figures.ts';
import { type Site, spread } from './flows.ts';
import type { Bench, Measured } from './servers.ts';

/** How much is done; `flows` are those of one half of a pair. */
export interface Scale {
  pairs: number;
  warm_up: Amounts;
  flows: Amounts;
  at_once: Omit<Amounts, 'request'>;
  /** The sign-ins at once that make a storm, how long one half of a pair is, and how many requests in a second time it. */
  storm: { at_once: number; seconds: number; per_second: number };
  /** How often `serve` is started. */
  starts: number;
  /** The requests after which memory is judged. */
  requests: number;
}

interface Amounts {
  sign_in: number;
  single_sign_on: number;
  /** Of the rows that are one request. */
  request: number;
}

/** What a measurement works with. */
export interface Run {
  bench: Bench;
  ours: Site;
  floor: Site;
  scale: Scale;
}

/** One step, floor and ours, medians. */
export interface StepFigures {
  step: string;
  floor: Taken;
  ours: Taken;
}

/** What a measurement found. */
export interface Found {
  rows: Row[];
  steps?: StepFigures[];
  tables?: Table[];
}

/** What one request or flow took: CPU in µs as in `Usage`, and how many were answered in a second. */
export interface Taken extends Pick<Usage, 'cpu' | 'kernel' | 'main_thread'> {
  per_second: number;
}

/** What `work` costs the process under measurement, for one of `times`. */
export async function take(
  measured: Pick<Measured, 'usage'>,
  times: number,
  work: () => Promise<unknown>,
): Promise<Taken> {
  const before = await measured.usage();
  const began = performance.now();
  await work();
  const seconds = (performance.now() - began) / 1000;
  const after = await measured.usage();
  return {
    cpu: (after.cpu - before.cpu) / times,
    kernel: (after.kernel - before.kernel) / times,
    main_thread: (after.main_thread - before.main_thread) / times,
    per_second: times / seconds,
  };
}

/** The medians of several. */
export function medianOf(all: Taken[]): Taken {
  const median = (key: keyof Taken) => spreadOf(all.map((one) => one[key])).median;
  return {
    cpu: median('cpu'),
    kernel: median('kernel'),
    main_thread: median('main_thread'),
    per_second: median('per_second'),
  };
}

/** Floor and ours in turns, so that a slow minute of the machine counts on both sides. */
export async function takePairs<T>(
  pairs: number,
  floor: () => Promise<T>,
  ours: () => Promise<T>,
): Promise<{ floor: T; ours: T }[]> {
  const taken: { floor: T; ours: T }[] = [];
  for (let pair = 0; pair < pairs; pair++) taken.push({ floor: await floor(), ours: await ours() });
  return taken;
}

/** Runs `work` as often as said, for callers who each wait for their own answer: `who` is one of them. */
export async function inTurns(
  callers: number,
  times: number,
  work: (at: number, who: number) => Promise<void>,
): Promise<void> {
  await spread(callers, callers, async (who) => {
    for (let at = who; at < times; at += callers) await work(at, who);
  });
}

/** A row that is one request, over and over: `prepare` gets ready what each caller needs, and gives the request of one of them. */
export async function measureRequest(
  { floor, ours, scale }: Run,
  names: { work: string; step: string },
  prepare: (site: Site, callers: number) => Promise<(who: number) => Promise<void>>,
): Promise<Found> {
  const callers = scale.at_once.single_sign_on;
  const { request: times } = scale.flows;
  const pass = async (site: Site) => {
    const ask = await prepare(site, callers);
    const askAll = (count: number) => inTurns(callers, count, (_at, who) => ask(who));
    await askAll(scale.warm_up.request);
    return () => take(site, times, () => askAll(times));
  };
  const taken = await takePairs(scale.pairs, await pass(floor), await pass(ours));
  const pairs = taken.map((pair) => ({ floor: pair.floor.cpu, ours: pair.ours.cpu }));
  return {
    rows: [judgePairs({ work: names.work, measure: 'ratio', target: 1.35 }, pairs)],
    steps: [
      {
        step: names.step,
        floor: medianOf(taken.map((pair) => pair.floor)),
        ours: medianOf(taken.map((pair) => pair.ours)),
      },
    ],
  };
}
