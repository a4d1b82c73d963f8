/** How hard a password is to guess, by the words, names, dates and keys that people make passwords of. */

// Its time grows with more than the square of the length, on the thread that answers everybody: what stands behind the first
// characters makes no password weaker.
const judged = 40;

/**
 * Judges a password, knowing what else the guesser knows: the person's names.
 * @returns 0 to 4; from 2 on more than a million guesses, from 3 on more than a hundred million, from 4 on ten thousand million
 */
export async function judgePassword(password: string, known: readonly string[]): Promise<number> {
  // Its dictionaries take half a second and some megabytes: a node that starts does not wait for them, and most never need them.
  const { estimator } = await import('./estimator.ts');
  const first = [...password].slice(0, judged).join('');
  return estimator.check(first, [...known]).score;
}
