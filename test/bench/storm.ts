/** Rows: how long keys and tokens take while many people sign in with their passwords at once, against a quiet minute. */

import { setTimeout as wait } from 'node:timers/promises';
import { Pool } from 'undici';
import { askForItself, readKeys } from './calls.ts';
import { judgePairs } from './figures.ts';
import type { Site } from './flows.ts';
import { type Found, type Run, takePairs } from './measure.ts';
import { signInNew } from './sign-in.ts';
import { asService } from './tokens.ts';

type Latencies = Record<'keys' | 'token', number>;

/** p99 in the storm over p99 without it. */
export async function measureStorm({ bench, ours, scale }: Run): Promise<Found> {
  const { at_once, seconds, per_second } = scale.storm;
  // Connections of its own, so that no probe waits behind a sign-in in the driver.
  const pool = new Pool(ours.origin, { connections: 32, pipelining: 1 });
  const service = asService({ ...ours, pool });
  const probe = () => probeSteadily(service, seconds, per_second);
  let signed_in = 0;
  const inStorm = async () => {
    let is_over = false;
    const storm = Array.from({ length: at_once }, async () => {
      while (!is_over) await signInNew(ours, bench.people, signed_in++);
    });
    // The line of hashes is full from here on.
    await wait(250);
    const taken = await probe().finally(() => {
      is_over = true;
    });
    await Promise.all(storm);
    return taken;
  };
  try {
    await probe();
    const taken = await takePairs(Math.min(scale.pairs, 3), probe, inStorm);
    const rowOf = (what: keyof Latencies, work: string) =>
      judgePairs(
        { work, measure: 'ratio', target: 3 },
        taken.map(({ floor, ours }) => ({ floor: floor[what], ours: ours[what] })),
      );
    return {
      rows: [
        rowOf('keys', `keys, p99 while ${at_once} people sign in at once`),
        rowOf('token', `client credentials, p99 while ${at_once} people sign in at once`),
      ],
    };
  } finally {
    await pool.close();
  }
}

/** Asks at a steady pace, whether the last answer has come or not: a line that forms counts in full. p99 in µs. */
async function probeSteadily(service: Site, seconds: number, per_second: number): Promise<Latencies> {
  const taken: Record<keyof Latencies, number[]> = { keys: [], token: [] };
  const asked: Promise<void>[] = [];
  const ask = async (what: keyof Latencies, work: () => Promise<unknown>) => {
    const began = performance.now();
    await work();
    taken[what].push((performance.now() - began) * 1000);
  };
  const began = performance.now();
  for (let at = 0; at < Math.max(2, seconds * per_second); at++) {
    await wait(Math.max(0, (at * 1000) / per_second - (performance.now() - began)));
    asked.push(at % 2 === 0 ? ask('keys', () => readKeys(service)) : ask('token', () => askForItself(service)));
  }
  await Promise.all(asked);
  return { keys: percentile(taken.keys, 0.99), token: percentile(taken.token, 0.99) };
}

/** The value that this share of all does not exceed. */
export function percentile(values: number[], share: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}
