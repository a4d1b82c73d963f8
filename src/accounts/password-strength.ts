/** How hard a password is to guess, by the words, names, dates and keys that people make passwords of. */

import { ZxcvbnFactory } from '@zxcvbn-ts/core';
import { adjacencyGraphs, dictionary as common } from '@zxcvbn-ts/language-common';
import { dictionary as indonesian } from '@zxcvbn-ts/language-id';

// Its time grows with more than the square of the length, on the thread that answers everybody: what stands behind the first
// characters makes no password weaker.
const judged = 40;

let estimator: ZxcvbnFactory | undefined;

/**
 * Judges a password, knowing what else the guesser knows: the person's names.
 * @returns 0 to 4; from 2 on more than a million guesses, from 3 on more than a hundred million, from 4 on ten thousand million
 */
export function judgePassword(password: string, known: readonly string[]): number {
  // The dictionaries take a moment and some megabytes, and most nodes' requests never need them.
  estimator ??= new ZxcvbnFactory({ dictionary: { ...common, ...indonesian }, graphs: adjacencyGraphs });
  const first = [...password].slice(0, judged).join('');
  return estimator.check(first, [...known]).score;
}
