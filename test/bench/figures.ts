/** From repetitions to figures, from figures to words: medians with their spread, the distance to a target, tables. */

export interface Spread {
  median: number;
  min: number;
  max: number;
}

/** What a row is judged by: ours over the floor, ours less the floor, or ours alone. */
export type Measure = 'ratio' | 'beyond' | 'size';

/** Figures that are judged by nobody, ready to be printed. */
export interface Table {
  head: string[];
  rows: string[][];
}

export interface Row {
  work: string;
  measure: Measure;
  unit: 'µs' | 'bytes' | 'trips';
  floor?: Spread;
  ours: Spread;
  /** The figure that is judged, over the pairs. */
  judged: Spread;
  target: number;
}

/** The median of the values, with the least and the greatest; of an even number, the mean of the middle two. */
export function spreadOf(values: number[]): Spread {
  const sorted = [...values].sort((one, other) => one - other);
  const [min, max] = [sorted[0], sorted.at(-1)];
  if (min === undefined || max === undefined) throw new Error('no values');
  const middle = (sorted.length - 1) / 2;
  const median = ((sorted[Math.floor(middle)] ?? min) + (sorted[Math.ceil(middle)] ?? max)) / 2;
  return { median, min, max };
}

/** A row of pairs that were taken one right after the other: each pair is judged by itself, then their median is taken. */
export function judgePairs(
  row: Pick<Row, 'work' | 'target'> & { measure: 'ratio' | 'beyond' },
  pairs: { floor: number; ours: number }[],
): Row {
  const judge = ({ floor, ours }: { floor: number; ours: number }) =>
    row.measure === 'ratio' ? ours / floor : ours - floor;
  return {
    ...row,
    unit: 'µs',
    floor: spreadOf(pairs.map((pair) => pair.floor)),
    ours: spreadOf(pairs.map((pair) => pair.ours)),
    judged: spreadOf(pairs.map(judge)),
  };
}

/** A row that is set beside nothing. */
export function judgeAlone(row: Pick<Row, 'work' | 'unit' | 'target'>, values: number[]): Row {
  const ours = spreadOf(values);
  return { ...row, measure: 'size', ours, judged: ours };
}

const isMet = ({ judged, target }: Row) => judged.median <= target;

/** How many of the rows are as they should be. */
export function countMet(rows: Row[]): string {
  return `${rows.filter(isMet).length} of ${rows.length} targets met`;
}

/** `met`, or how far it is. */
export function sayVerdict(row: Row): string {
  const { measure, unit, judged, target, floor, ours } = row;
  if (isMet(row)) return 'met';
  const above = judged.median - target;
  if (measure !== 'ratio' || !floor) return `not yet: ${write(above, unit)} too much`;
  const surplus = ours.median - target * floor.median;
  return `not yet: ${above.toFixed(2)} above; ${write(surplus, unit)} of ${write(ours.median, unit)} must go`;
}

/** The rows as lines of text. */
export function printRows(rows: Row[]): string {
  return printTable({
    head: ['work', 'floor', 'ours', 'judged', 'spread', 'target', ''],
    rows: rows.map((row) => {
      const say = (value: number) => (row.measure === 'ratio' ? `${value.toFixed(2)} ×` : write(value, row.unit));
      const { judged } = row;
      return [
        row.work,
        row.floor ? write(row.floor.median, row.unit) : '',
        write(row.ours.median, row.unit),
        `${row.measure === 'beyond' ? '+ ' : ''}${say(judged.median)}`,
        judged.min === judged.max ? '' : `${say(judged.min)} – ${say(judged.max)}`,
        `≤ ${say(row.target)}`,
        sayVerdict(row),
      ];
    }),
  });
}

/** A table in columns; the first stands left, figures right, the last left again. */
export function printTable({ head, rows }: Table): string {
  const all = [head, ...rows];
  const widths = head.map((_, at) => Math.max(...all.map((row) => row[at]?.length ?? 0)));
  const pad = (text: string, at: number) => {
    const width = widths[at] ?? 0;
    return at === 0 || at === head.length - 1 ? text.padEnd(width) : text.padStart(width);
  };
  return `${all.map((row) => row.map(pad).join('  ').trimEnd()).join('\n')}\n`;
}

/** A figure with its unit: a thousand µs as ms, a million as seconds; a million bytes as MB. */
export function write(value: number, unit: Row['unit']): string {
  const size = Math.abs(value);
  if (unit === 'trips') return String(Math.round(value));
  if (unit === 'bytes') return size >= 1e6 ? `${(value / 1e6).toFixed(1)} MB` : `${Math.round(value)} bytes`;
  if (size >= 1e6) return `${(value / 1e6).toFixed(2)} s`;
  return size >= 1000 ? `${(value / 1000).toFixed(2)} ms` : `${Math.round(value)} µs`;
}
