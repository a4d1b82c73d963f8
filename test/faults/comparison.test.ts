/** What is told apart and what is not; the rank test against values worked out by hand. */

import { describe, expect, test } from '@jest/globals';
import { compare, mannWhitney, shapeOf } from './comparison.ts';

describe('the rank test', () => {
  test.each([
    // Nothing of one pile reaches the other: 0 wins where 4.5 are the mean, of a variance of 5.25.
    [[1, 2, 3], [4, 5, 6], 0.0809],
    // Two ties of three: 3 wins, the variance narrowed to 4.05.
    [[1, 1, 2], [1, 2, 2], 0.6193],
    [[1, 2, 3], [1, 2, 3], 1],
    [[7, 7], [7, 7, 7], 1],
  ])('of %j and %j gives %d', (one, other, p) => {
    expect(mannWhitney(one, other)).toBeCloseTo(p, 4);
    expect(mannWhitney(other, one)).toBeCloseTo(p, 4);
  });

  test('is sure of a step that every value takes, and of nothing where a pile is empty', () => {
    const values = Array.from({ length: 300 }, (_, at) => (at * 7) % 300);
    expect(mannWhitney(values, values)).toBe(1);
    expect(
      mannWhitney(
        values,
        values.map((value) => value + 60),
      ),
    ).toBeLessThan(1e-6);
    expect(() => mannWhitney([], [1])).toThrow('no values');
  });
});

test('a shape is the least, the median and the distance of the outer tenths', () => {
  expect(shapeOf([10, 0, 5])).toEqual({ min: 0, median: 5, spread: 8 });
  expect(shapeOf([4, 1, 2, 9])).toMatchObject({ min: 1, median: 3 });
  expect(() => shapeOf([])).toThrow('no values');
});

describe('two piles are told apart', () => {
  const around = (middle: number) => Array.from({ length: 300 }, (_, at) => middle + (((at * 7) % 11) - 5) / 10);

  test('by a missing hash, whichever side lacks it', () => {
    expect(compare(around(40), around(5))).toMatchObject({ is_told: true, distance: expect.closeTo(35) });
    expect(compare(around(5), around(40)).is_told).toBe(true);
  });

  test('by two milliseconds of fifty, and not by less', () => {
    expect(compare(around(52.1), around(50)).is_told).toBe(true);
    const close = compare(around(51.9), around(50));
    expect([close.p < 0.001, close.is_told]).toEqual([true, false]);
  });

  test('not by two milliseconds of three hundred', () => {
    expect(compare(around(303), around(300)).is_told).toBe(false);
    expect(compare(around(307), around(300)).is_told).toBe(true);
  });

  test('not by chance: a distance that the ranks do not bear out', () => {
    const { p, distance, is_told } = compare([1, 2, 30, 31], [1, 3, 4, 29]);
    expect(distance).toBeGreaterThan(2);
    expect(p).toBeGreaterThan(0.001);
    expect(is_told).toBe(false);
  });
});
