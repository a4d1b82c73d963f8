/** Dates and times as people read them. */

import { expect, test } from '@jest/globals';
import { formatDate, formatDateTime } from '../../src/i18n/dates.ts';

// 23.05 in London is already tomorrow in Indonesia.
const evening = new Date('2026-11-20T23:05:00Z');

test.each([
  ['id', 'Asia/Jakarta', 'Sabtu, 21 November 2026 pukul 06.05 WIB'],
  ['id', 'Asia/Makassar', 'Sabtu, 21 November 2026 pukul 07.05 WITA'],
  ['id', 'Asia/Jayapura', 'Sabtu, 21 November 2026 pukul 08.05 WIT'],
] as const)('%s in %s: %s', (language, zone, text) => {
  expect(formatDateTime(language, evening, zone)).toBe(text);
});

test('English names the zone as people in it do', () => {
  const text = formatDateTime('en', evening, 'Asia/Jakarta');
  expect(text).toMatch(/^Saturday,? 21 November 2026 at 06:05 WIB$/);
});

test('a zone abroad has its own name', () => {
  expect(formatDateTime('en', evening, 'Europe/London')).toMatch(/23:05 GMT$/);
});

test('a day is the day of the zone', () => {
  const end = new Date('2027-09-20T16:59:59Z');
  expect(formatDate('id', end, 'Asia/Jakarta')).toBe('20 September 2027');
  expect(formatDate('id', end, 'Asia/Makassar')).toBe('21 September 2027');
  expect(formatDate('en', new Date('2026-05-02T00:00:00Z'), 'Asia/Jakarta')).toBe('2 May 2026');
});
