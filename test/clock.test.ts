/** The clock: one offset moves every reading of it, and nothing else does. */

import { afterEach, expect, test } from '@jest/globals';
import { moveClock, now, nowSeconds } from '../src/clock.ts';

afterEach(() => moveClock(0));

const offset = () => now().getTime() - Date.now();

test('unmoved, it is the real clock', () => {
  expect(Math.abs(offset())).toBeLessThan(50);
  expect(Math.abs(nowSeconds() - Date.now() / 1000)).toBeLessThan(1.1);
});

test('whole seconds are rounded down, as a NumericDate in the future would be refused', () => {
  expect(Number.isInteger(nowSeconds())).toBe(true);
  expect(nowSeconds()).toBeLessThanOrEqual(now().getTime() / 1000);
});

test('moved, both readings move alike, from the real time and not from where it stood', () => {
  moveClock(3600);
  moveClock(-90);
  expect(Math.abs(offset() + 90_000)).toBeLessThan(50);
  expect(Math.abs(nowSeconds() - (Date.now() / 1000 - 90))).toBeLessThan(1.1);
  moveClock(0);
  expect(Math.abs(offset())).toBeLessThan(50);
});

test('whoever replaces Date.now for the engine does not move it a second time', () => {
  const real = Date.now;
  try {
    Date.now = () => real() + 1_000_000;
    expect(Math.abs(now().getTime() - real())).toBeLessThan(50);
  } finally {
    Date.now = real;
  }
});
