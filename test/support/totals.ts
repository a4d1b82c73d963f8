/** Prints the one line that a machine reads, as the very last of a run: `N passed, N failed`. */

import { writeSync } from 'node:fs';

export interface RunResults {
  numPassedTests: number;
  numFailedTests: number;
  numRuntimeErrorTestSuites: number;
  numPendingTests: number;
  numTodoTests: number;
}

/** A suite that did not run at all counts as one failure, so that a broken import is never a green run. */
export function countTotals(results: RunResults): string {
  const failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
  const skipped = results.numPendingTests + results.numTodoTests;
  return `${results.numPassedTests} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

/** A reporter of jest; the class is what jest asks for. */
export default class Totals {
  onRunComplete(_contexts: unknown, results: RunResults): void {
    // The other reporters are still to speak; when the process ends they have.
    process.once('exit', () => writeSync(1, `${countTotals(results)}\n`));
  }
}
