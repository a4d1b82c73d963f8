/** Row: how long `serve` takes until it is ready, with the database running. */

import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import { findFreePort } from '../../src/demo/postgres.ts';
import { judgeAlone } from './figures.ts';
import type { Found, Run } from './measure.ts';
import { type Bench, settingsFor, startProgram } from './servers.ts';

/** From the start of the process to a 200 at /readyz. */
export async function measureStart({ bench, scale }: Run): Promise<Found> {
  const taken: number[] = [];
  for (let start = 0; start < scale.starts; start++) taken.push(await startOnce(bench));
  return { rows: [judgeAlone({ work: 'serve, from its start to ready', unit: 'µs', target: 1_500_000 }, taken)] };
}

async function startOnce({ place, env }: Bench): Promise<number> {
  const port = await findFreePort();
  const began = performance.now();
  const { child, gone } = startProgram(new URL('../../src/gapura.mjs', import.meta.url), {
    env: settingsFor(port, env.DATABASE_URL ?? ''),
    argv: ['serve'],
    log: place.log,
  });
  try {
    while (!(await isReady(port))) {
      if (child.exitCode !== null) throw new Error(`serve ended with ${child.exitCode}; its words are in ${place.log}`);
      await wait(5);
    }
    return (performance.now() - began) * 1000;
  } finally {
    if (child.exitCode === null && child.kill('SIGTERM')) await once(child, 'exit');
    await gone;
  }
}

function isReady(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/readyz`).then(
    (answer) => answer.ok,
    () => false,
  );
}
