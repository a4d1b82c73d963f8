/** The picture code: letters that a person can tell apart, drawn so that the file itself spells nothing. */

import { randomBytes } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { randomToken } from '../../src/crypto.ts';
import { alphabet, glyphs } from '../../src/human-check/glyphs.ts';
import { areLetters, drawPicture, readLetters } from '../../src/human-check/picture.ts';

const key = randomBytes(32);

/** A picture's strokes as pairs of points. */
function readPieces(svg: string): [x: number, y: number][][] {
  const path = / d="(M[\d.]+ -?[^"z]+)"\/><\/svg>$/.exec(svg)?.[1] ?? '';
  return path
    .split('M')
    .slice(1)
    .map((piece) => piece.split('L').map((point) => point.split(' ').map(Number) as [number, number]));
}

test('six letters follow from id and key, and from both', () => {
  const id = randomToken();
  expect(readLetters(key, id)).toMatch(new RegExp(`^[${alphabet}]{6}$`));
  expect(readLetters(key, id)).toBe(readLetters(key, id));
  const others = new Set(Array.from({ length: 50 }, () => readLetters(key, randomToken())));
  for (let at = 0; at < 50; at += 1) others.add(readLetters(randomBytes(32), id));
  expect(others.size).toBe(100);
});

test('every letter is drawn, occurs, and is taken for no other', () => {
  const seen = new Set(Array.from({ length: 300 }, () => [...readLetters(key, randomToken())]).flat());
  expect([...seen].sort().join('')).toBe(alphabet);
  expect([...glyphs.values()].every((strokes) => strokes.every(({ points }) => points.length > 1))).toBe(true);
  expect(alphabet).not.toMatch(/[BCEILOQUV]/);
});

test('the letters count in any case, with gaps, and in letters of full width', () => {
  const id = randomToken();
  const letters = readLetters(key, id);
  const wide = [...letters].map((letter) => String.fromCodePoint((letter.codePointAt(0) ?? 0) + 0xfee0)).join('');
  for (const typed of [letters, letters.toLowerCase(), ` ${letters.slice(0, 3)} ${letters.slice(3)}`, wide])
    expect(areLetters(key, id, typed)).toBe(true);
  for (const typed of ['', letters.slice(1), `${letters}A`, [...letters].reverse().join('') + letters, '\0'])
    expect(areLetters(key, id, typed)).toBe(false);
});

test('the file holds strokes and nothing else: no text, no title, no names, no script', () => {
  for (let at = 0; at < 20; at += 1) {
    const id = randomToken();
    const svg = drawPicture(key, id);
    expect(svg).toMatch(
      /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" viewBox="[\d ]+" width="\d+" height="\d+"><path fill="#fff" d="[^"]+"\/><path fill="none" stroke="#14202b" stroke-width="4" stroke-linecap="round" d="[ML\d. -]+"\/><\/svg>$/,
    );
    expect(svg).not.toContain(id);
    expect(svg.length).toBeLessThan(6000);
  }
});

test('its pieces stand in no order, and none is outside', () => {
  const pieces = readPieces(drawPicture(key, randomToken()));
  expect(pieces.length).toBeGreaterThan(60);
  // In the order of writing one piece would begin where the one before it ends.
  const follows = pieces.filter((piece, at) => {
    const [before, own] = [pieces[at - 1]?.[1], piece[0]];
    return before && own && Math.hypot(before[0] - own[0], before[1] - own[1]) < 4;
  });
  expect(follows.length).toBeLessThan(pieces.length / 5);
  for (const [x, y] of pieces.flat()) {
    expect(x).toBeGreaterThan(-5);
    expect(x).toBeLessThan(285);
    expect(y).toBeGreaterThan(-5);
    expect(y).toBeLessThan(93);
  }
});

test('one id is drawn one way, and no two alike', () => {
  const id = randomToken();
  expect(drawPicture(key, id)).toBe(drawPicture(key, id));
  const shapes = Array.from({ length: 40 }, () => drawPicture(key, randomToken()));
  expect(new Set(shapes).size).toBe(40);
});
