/** Chance that a number repeats: what was drawn in a run is drawn again from the same number. */

/** Numbers from 0 to 1 (xorshift, 32 bits); good for variety, worth nothing as a secret. */
export function drawFrom(seed: number): () => number {
  let state = (seed ^ 0x9e3779b9) | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
