/** How hard a password is to guess, by the words, names, dates and keys that people make passwords of. */

import type { ZxcvbnFactory } from '@zxcvbn-ts/core';

// Its time grows with more than the square of the length, on the thread that answers everybody: what stands behind the first
// characters makes no password weaker.
const judged = 40;

let estimator: Promise<ZxcvbnFactory> | undefined;

/**
 * Judges a password, knowing what else the guesser knows: the person's names.
 * @returns 0 to 4; from 2 on more than a million guesses, from 3 on more than a hundred million, from 4 on ten thousand million
 */
export async function judgePassword(password: string, known: readonly string[]): Promise<number> {
  estimator ??= openEstimator();
  const first = [...password].slice(0, judged).join('');
  return (await estimator).check(first, [...known]).score;
}

// The dictionaries take half a second and some megabytes: a node that starts does not wait for them, and most never need them.
async function openEstimator(): Promise<ZxcvbnFactory> {
  const [{ ZxcvbnFactory: Factory }, { adjacencyGraphs, dictionary: common }, { dictionary: indonesian }] =
    await Promise.all([
      import('@zxcvbn-ts/core'),
      import('@zxcvbn-ts/language-common'),
      import('@zxcvbn-ts/language-id'),
    ]);
  return new Factory({ dictionary: { ...common, ...indonesian }, graphs: adjacencyGraphs });
}
