/** The numbers of organisations in all their forms: every vector of domain 2, and what is none of them. */

import { afterEach, describe, expect, test } from '@jest/globals';
import { moveClock } from '../../src/clock.ts';
import {
  ediNumberShape,
  hasValidCheckDigit,
  isNik,
  isPlaceholder,
  nibShape,
  nitkuShape,
  normaliseNpwp,
  npwpShape,
  postalCodeShape,
  srpShape,
  words,
} from '../../src/organisations/shapes.ts';

describe('an NPWP', () => {
  test.each([
    ['01.300.066.6-091.000', '0013000666091000'],
    ['013000666091000', '0013000666091000'],
    ['0013000666091000', '0013000666091000'],
    [' 01 300 066 6 091 000 ', '0013000666091000'],
    ['3273016902000001', '3273016902000001'],
  ])('typed as "%s" is %s', (typed, npwp) => expect(normaliseNpwp(typed)).toBe(npwp));

  test.each([
    '',
    '01.300.066.6-091.00',
    '00013000666091000',
    '01.300.066.6-091.00O',
    '01/300/066/6/091/000',
    '٠١٣٠٠٠٦٦٦٠٩١٠٠٠',
  ])('is not what "%s" is', (typed) => expect(normaliseNpwp(typed)).toBeUndefined());

  // The vectors of domain 2.1.
  test.each([
    ['01.300.066.6-091.000', true],
    ['01.312.166.0-091.000', true],
    ['02.183.241.5-000.000', true],
    ['12.345.678.2-123.000', true],
    ['00.000.000.0-000.005', true],
    ['01.300.066.5-091.000', false],
    ['01.234.567.8-901.000', false],
    ['01.234.567.4-901.000', true],
  ])('%s: the check digit holds is %s', (typed, holds) => {
    expect(hasValidCheckDigit(normaliseNpwp(typed) as string)).toBe(holds);
  });

  // The organisations of domain 3.4.
  test.each([
    ['00.000.101.6-000.000', '0000001016000000'],
    ['00.000.102.4-000.000', '0000001024000000'],
    ['00.000.103.2-000.000', '0000001032000000'],
    ['00.000.104.0-000.000', '0000001040000000'],
    ['00.000.105.7-000.000', '0000001057000000'],
    ['00.000.106.5-000.000', '0000001065000000'],
    ['00.000.107.3-000.000', '0000001073000000'],
    ['00.000.108.1-000.000', '0000001081000000'],
  ])('%s is %s, holds its check digit and is no placeholder', (typed, npwp) => {
    expect(normaliseNpwp(typed)).toBe(npwp);
    expect([hasValidCheckDigit(npwp), isPlaceholder(npwp)]).toEqual([true, false]);
  });

  test('of zeros up to the tax office is the placeholder of document D, whatever its branch', () => {
    expect(isPlaceholder('0000000000000005')).toBe(true);
    expect(isPlaceholder('0000000000000000')).toBe(true);
    expect(isPlaceholder('0000000010000000')).toBe(false);
  });

  test('of sixteen digits without a leading zero is a NIK: it has no check digit, and must be one', () => {
    expect(hasValidCheckDigit('3273016902000001')).toBe(true);
    expect(npwpShape.parse('3273016902000001')).toBe('3273016902000001');
    expect(npwpShape.safeParse('1234567890123456').error?.issues[0]?.message).toBe('errors.organisation.npwp_nik');
    expect(npwpShape.safeParse('123').error?.issues[0]?.message).toBe('errors.npwp');
    expect(npwpShape.safeParse('1'.repeat(1_000_000)).error?.issues[0]?.message).toBe('errors.too_long');
  });
});

describe('a NIK', () => {
  afterEach(() => moveClock(0));

  // The vectors of domain 2.4, and those of people who are invented.
  test.each([
    ['3515144508680002', true],
    ['3273016902000001', true],
    ['9901010501900001', true],
    ['9901014501900002', true],
    ['3273012902010001', false],
    ['1234567890123456', false],
    ['0000000000000000', false],
    ['3515144508680000', false],
    ['3515140008680002', false],
    ['3515144008680002', false],
    ['3515147208680002', false],
    ['3515147108680002', true],
    ['3515143104680002', false],
    ['3515140113680002', false],
    ['351514450868000', false],
    ['351514450868000X', false],
  ])('%s can be one: %s', (digits, can) => expect(isNik(digits)).toBe(can));

  test('of a day to come is of the last century, and of none where that day was none', () => {
    moveClock((Date.UTC(2026, 0, 1) - Date.now()) / 1000);
    expect(isNik('3273010101270001')).toBe(true);
    // 29 February 2028 is still to come, that of 1928 was.
    expect(isNik('3273012902280001')).toBe(true);
    // There was none in 1900, and that of 2000 was.
    expect(isNik('3273012902000001')).toBe(true);
    moveClock((Date.UTC(1999, 0, 1) - Date.now()) / 1000);
    expect(isNik('3273012902000001')).toBe(false);
  });
});

describe('the other numbers', () => {
  const read = (shape: typeof nibShape, typed: string) => {
    const { success, data, error } = shape.safeParse(typed);
    return success ? data : error?.issues[0]?.message;
  };

  test.each([
    [nitkuShape, '0000001016000000000000', '0000001016000000000000'],
    [nitkuShape, '0000001016000000 000 001', '0000001016000000000001'],
    [nitkuShape, '000000101600000000000', 'errors.organisation.nitku'],
    [nitkuShape, '00000010160000000000000', 'errors.organisation.nitku'],
    [nibShape, '0000000000101', '0000000000101'],
    [nibShape, '000.000.000.0101', '0000000000101'],
    [nibShape, '000000000010', 'errors.organisation.nib'],
    [nibShape, '000000000010X', 'errors.organisation.nib'],
    [ediNumberShape, 'edi-cpn_01.a', 'EDI-CPN_01.A'],
    [ediNumberShape, 'E'.repeat(35), 'E'.repeat(35)],
    [ediNumberShape, 'E'.repeat(36), 'errors.organisation.edi_number'],
    [ediNumberShape, 'EDI 01', 'errors.organisation.edi_number'],
    [srpShape, '001010', '001010'],
    [srpShape, '0000000000101', '0000000000101'],
    [srpShape, 'srp-1/ab.2', 'SRP-1/AB.2'],
    [srpShape, '0'.repeat(31), 'errors.organisation.srp'],
    [srpShape, '00<1', 'errors.organisation.srp'],
    [postalCodeShape, '10110', '10110'],
    [postalCodeShape, '1011', 'errors.organisation.postal_code'],
    [postalCodeShape, '101100', 'errors.organisation.postal_code'],
    [postalCodeShape, '1'.repeat(200), 'errors.too_long'],
  ])('%#: "%s" is "%s"', (shape, typed, found) => expect(read(shape, typed)).toBe(found));

  test('need not be there: empty is none', () => {
    expect([nibShape.parse(''), nibShape.parse('  '), nibShape.parse(null), nibShape.parse(undefined)]).toEqual([
      null,
      null,
      null,
      undefined,
    ]);
  });

  test('a line is one line of text', () => {
    expect(words(10).parse('  PT X ')).toBe('PT X');
    for (const typed of ['a\nb', 'a\u0000b', 'a\u009fb'])
      expect(words(10).safeParse(typed).error?.issues[0]?.message).toBe('errors.field.unreadable');
    expect(words(10).safeParse('x'.repeat(11)).error?.issues[0]?.message).toBe('errors.too_long');
    expect(words(10).safeParse(' x ').error?.issues[0]?.message).toBe('errors.too_short');
    expect(words(10).safeParse('  ').error?.issues[0]?.message).toBe('errors.field.required');
  });
});
