/** Runs once after all tests: stops what start-run.ts started. */

import type { EndRun } from './start-run.ts';

export default async function endRun(): Promise<void> {
  await (globalThis as { end_run?: EndRun }).end_run?.();
}
