/** Two piles of times set beside each other, and whether a stranger could tell by them which pile is which. */

/** Milliseconds. */
export interface Shape {
  min: number;
  median: number;
  /** From the 10 % to the 90 % quantile. */
  spread: number;
}

export interface Comparison {
  known: Shape;
  unknown: Shape;
  /** How likely the ranks would lie this far apart by chance alone. */
  p: number;
  /** Of the medians, in ms; above zero when the known side takes longer. */
  distance: number;
  /** Whether the two can be told apart. */
  is_told: boolean;
}

// A machine is noisy: ranks tell a tenth of a millisecond apart, which nobody can use over a network.
const least_p = 0.001;
const least_distance = 2;
const least_part = 0.02;

/** Compares two piles of times, in ms. */
export function compare(known: number[], unknown: number[]): Comparison {
  const [one, other] = [shapeOf(known), shapeOf(unknown)];
  const p = mannWhitney(known, unknown);
  const distance = one.median - other.median;
  const part = Math.abs(distance) / Math.min(one.median, other.median);
  const is_told = p < least_p && Math.abs(distance) >= least_distance && part >= least_part;
  return { known: one, unknown: other, p, distance, is_told };
}

/** Least value, median and distance of the outer tenths. */
export function shapeOf(values: number[]): Shape {
  const sorted = values.toSorted((one, other) => one - other);
  const at = (part: number) => {
    const place = (sorted.length - 1) * part;
    const [below, above] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
    if (below === undefined || above === undefined) throw new Error('no values');
    return below + (above - below) * (place - Math.floor(place));
  };
  return { min: at(0), median: at(0.5), spread: at(0.9) - at(0.1) };
}

/**
 * The two-sided rank test of Mann and Whitney, by the normal distribution: ties share their ranks and narrow the variance,
 * and half a step is taken off, for ranks are whole.
 */
export function mannWhitney(one: number[], other: number[]): number {
  const [few, many, all] = [one.length, other.length, one.length + other.length];
  if (few === 0 || many === 0) throw new Error('no values');
  const sorted = [...one.map((value) => ({ value, own: 1 })), ...other.map((value) => ({ value, own: 0 }))];
  sorted.sort((left, right) => left.value - right.value);
  let [rank_sum, tied] = [0, 0];
  for (let from = 0; from < all; ) {
    let to = from;
    while (to < all && sorted[to]?.value === sorted[from]?.value) to += 1;
    const size = to - from;
    const rank = (from + 1 + to) / 2;
    rank_sum += rank * sorted.slice(from, to).reduce((sum, { own }) => sum + own, 0);
    tied += size ** 3 - size;
    from = to;
  }
  const wins = rank_sum - (few * (few + 1)) / 2;
  const variance = ((few * many) / 12) * (all + 1 - tied / (all * (all - 1)));
  if (variance === 0) return 1;
  const away = Math.max(0, Math.abs(wins - (few * many) / 2) - 0.5) / Math.sqrt(variance);
  return Math.min(1, 2 * tailOf(away));
}

/** What of the normal distribution lies above `z`, by Simpson's rule over the ten units that count. */
function tailOf(z: number): number {
  const [steps, width] = [1000, 0.01];
  let sum = 0;
  for (let step = 0; step <= steps; step += 1) {
    const weight = step === 0 || step === steps ? 1 : step % 2 === 1 ? 4 : 2;
    sum += weight * Math.exp(-((z + step * width) ** 2) / 2);
  }
  return (sum * width) / 3 / Math.sqrt(2 * Math.PI);
}
