/** The letters of the picture as strokes on a grid ten wide and fourteen high; of our own drawing, so that no font is needed. */

/** A stroke passes through its points, straight from each to the next or bent smoothly. */
export interface Stroke {
  points: readonly (readonly [x: number, y: number])[];
  is_bent: boolean;
}

/** What each letter is drawn with: points as `x,y`, a bent stroke begins with `~`. */
const drawings = {
  A: ['0,14 5,0 10,14', '2,9 8,9'],
  D: ['1,0 1,14', '~1,0 6,0 10,4 10,10 6,14 1,14'],
  F: ['9,0 1,0 1,14', '1,7 7,7'],
  G: ['~9,3 6,0 2,1 0,7 2,13 6,14 9,11', '9,12 9,8 5,8'],
  H: ['1,0 1,14', '9,0 9,14', '1,7 9,7'],
  J: ['~8,0 8,5 8,10 6,14 2,13 1,10'],
  K: ['1,0 1,14', '9,0 1,8', '3.5,6 9,14'],
  M: ['0,14 1,0 5,9 9,0 10,14'],
  N: ['1,14 1,0 9,14 9,0'],
  P: ['1,14 1,0', '~1,0 7,0 9,4 7,8 1,8'],
  R: ['1,14 1,0', '~1,0 7,0 9,4 7,8 1,8', '4,8 9,14'],
  S: ['~9,2 5,0 1,3 3,6 7,8 9,11 5,14 1,12'],
  T: ['0,0 10,0', '5,0 5,14'],
  W: ['0,0 2.5,14 5,4 7.5,14 10,0'],
  X: ['0,0 10,14', '10,0 0,14'],
  Y: ['0,0 5,7 10,0', '5,7 5,14'],
  Z: ['0,0 10,0 0,14 10,14'],
} as const;

/** The letters there are: without those that are taken for others, alone or under a line (B, C, E, I, L, O, Q, U, V). */
export const alphabet = Object.keys(drawings).join('');

/** How a letter of the alphabet is drawn. */
export const glyphs: ReadonlyMap<string, readonly Stroke[]> = new Map(
  Object.entries(drawings).map(([letter, strokes]) => [letter, strokes.map(readStroke)]),
);

function readStroke(text: string): Stroke {
  const points = text
    .replace('~', '')
    .split(' ')
    .map((pair): [number, number] => {
      const [x, y] = pair.split(',').map(Number);
      return [x ?? 0, y ?? 0];
    });
  return { points, is_bent: text.startsWith('~') };
}
