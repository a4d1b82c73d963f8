/** The picture code: six letters that follow from a check's id and a key, drawn as short strokes in no order. */

import { isSame, keyedDigest } from '../crypto.ts';
import { alphabet, glyphs, type Stroke } from './glyphs.ts';

type Point = readonly [x: number, y: number];

const letters = 6;
const width = 280;
const height = 88;

/** The letters of a check's picture; they are written down nowhere. */
export function readLetters(key: Buffer, id: string): string {
  const roll = openDice(key, `letters ${id}`);
  return Array.from({ length: letters }, () => alphabet[Math.floor(roll() * alphabet.length)]).join('');
}

/** Whether what a person typed are the letters: in any case, with or without gaps, in letters of any width. */
export function areLetters(key: Buffer, id: string, typed: string): boolean {
  return isSame(readLetters(key, id), typed.normalize('NFKC').replace(/[\s-]/g, '').toUpperCase());
}

/**
 * Draws the letters as SVG. One path holds every piece of every stroke, bent, jittered and shuffled among strokes that belong
 * to no letter, so that whoever reads the file has to look at the picture as everybody else. The same id is always drawn
 * the same: of several drawings of one code the distortion could be averaged away.
 */
export function drawPicture(key: Buffer, id: string): string {
  const roll = openDice(key, `picture ${id}`);
  const pieces = [...readLetters(key, id)].flatMap((letter, at) => drawLetter(letter, at, roll));
  pieces.push(...drawNoise(roll));
  const wave = openWave(roll);
  const path = shuffle(pieces, roll)
    .map(([from, to]) => (roll() < 0.5 ? [from, to] : [to, from]).map((point) => write(wave(point as Point))))
    .map(([from, to]) => `M${from}L${to}`)
    .join('');
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}"><path fill="#fff" d="M0 0h${width}v${height}H0z"/><path fill="none" stroke="#14202b" stroke-width="4" stroke-linecap="round" d="${path}"/></svg>`;
}

function drawLetter(letter: string, at: number, roll: () => number): [Point, Point][] {
  const between = (low: number, high: number) => low + roll() * (high - low);
  const turn = between(-0.28, 0.28);
  const lean = between(-0.2, 0.2);
  const [wide, high] = [between(2.7, 3.1), between(3.2, 3.8)];
  const middle: Point = [34 + at * 42.5 + between(-3, 3), height / 2 + between(-5, 5)];
  const place = ([x, y]: Point): Point => {
    const [across, down] = [(x - 5) * wide + lean * (y - 7) * high, (y - 7) * high];
    return [
      middle[0] + across * Math.cos(turn) - down * Math.sin(turn),
      middle[1] + across * Math.sin(turn) + down * Math.cos(turn),
    ];
  };
  return (glyphs.get(letter) ?? []).flatMap((stroke) => cut(trace(stroke).map(place), roll));
}

/** One line across the letters, and a few that are as long as the pieces of letters. */
function drawNoise(roll: () => number): [Point, Point][] {
  const [from, to] = [15 + roll() * 58, 15 + roll() * 58];
  const across = Array.from({ length: 12 }, (_, at): Point => [8 + at * 24, from + ((to - from) * at) / 11]);
  const alone = Array.from({ length: 7 }, (): [Point, Point] => {
    const [x, y, way] = [12 + roll() * 256, 8 + roll() * 72, roll() * 2 * Math.PI];
    return [
      [x, y],
      [x + 7 * Math.cos(way), y + 7 * Math.sin(way)],
    ];
  });
  return [...cut(across, roll), ...alone];
}

/** The points along a stroke; a bent one is a Catmull-Rom curve through its points. */
function trace({ points, is_bent }: Stroke): Point[] {
  if (!is_bent) return [...points];
  const pointAt = (at: number) => points[Math.min(Math.max(at, 0), points.length - 1)] as Point;
  const bend = (at: number, part: number, axis: 0 | 1) => {
    const [a, b, c, d] = [at - 1, at, at + 1, at + 2].map((one) => pointAt(one)[axis]) as [
      number,
      number,
      number,
      number,
    ];
    return b + 0.5 * part * (c - a + part * (2 * a - 5 * b + 4 * c - d + part * (3 * (b - c) + d - a)));
  };
  const traced: Point[] = [];
  for (let at = 0; at < points.length - 1; at += 1) {
    for (const part of [0, 0.25, 0.5, 0.75]) traced.push([bend(at, part, 0), bend(at, part, 1)]);
  }
  return [...traced, pointAt(points.length - 1)];
}

/** Cuts a line into pieces of some seven units whose ends tremble. */
function cut(line: Point[], roll: () => number): [Point, Point][] {
  const tremble = ([x, y]: Point): Point => [x + roll() - 0.5, y + roll() - 0.5];
  return line.slice(1).flatMap((to, at) => {
    const from = line[at] as Point;
    const count = Math.max(1, Math.round(Math.hypot(to[0] - from[0], to[1] - from[1]) / 7));
    const pointAt = (part: number): Point => [
      from[0] + ((to[0] - from[0]) * part) / count,
      from[1] + ((to[1] - from[1]) * part) / count,
    ];
    return Array.from({ length: count }, (_, part): [Point, Point] => [
      tremble(pointAt(part)),
      tremble(pointAt(part + 1)),
    ]);
  });
}

function openWave(roll: () => number): (point: Point) => Point {
  const [high, long, shift] = [2 + roll() * 3, 24 + roll() * 16, roll() * 2 * Math.PI];
  return ([x, y]) => [x + 2 * Math.sin(y / 14 + shift), y + high * Math.sin(x / long + shift)];
}

function shuffle<T>(list: T[], roll: () => number): T[] {
  return list
    .map((one) => ({ one, at: roll() }))
    .sort((a, b) => a.at - b.at)
    .map(({ one }) => one);
}

const write = ([x, y]: Point) => `${x.toFixed(1)} ${y.toFixed(1)}`;

/** Numbers from 0 up to 1 that only the key can foretell, the same for the same words. */
function openDice(key: Buffer, words: string): () => number {
  let block: Buffer = Buffer.alloc(0);
  let [at, count] = [0, 0];
  return () => {
    if (at >= block.length) {
      block = keyedDigest(key, `${words} ${count}`);
      [at, count] = [0, count + 1];
    }
    at += 4;
    return block.readUInt32BE(at - 4) / 2 ** 32;
  };
}
