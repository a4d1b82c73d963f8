/** Identifiers: one canonical form for every way a person may type the same name. */

import { describe, expect, test } from '@jest/globals';
import { canonicalise } from '../../src/accounts/identifiers.ts';

describe('the same user name is meant', () => {
  test.each(['budi', 'BUDI', 'Budi', '  budi ', '\tbudi\n', '\u00a0budi\u3000', 'ｂｕｄｉ', 'ＢＵＤＩ'])(
    'by "%s"',
    (typed) => expect(canonicalise(typed)).toBe('budi'),
  );
});

describe('the same e-mail address is meant', () => {
  test.each(['budi@contoh.example', 'Budi@Contoh.Example', ' BUDI@CONTOH.EXAMPLE ', 'budi＠contoh.example'])(
    'by "%s"',
    (typed) => expect(canonicalise(typed)).toBe('budi@contoh.example'),
  );
});

describe('the same mobile number is meant', () => {
  test.each([
    '081288488955',
    '6281288488955',
    '+6281288488955',
    '+62 812-8848-8955',
    '0812 8848 8955',
    '0812.8848.8955',
    '(0812) 8848-8955',
    ' 081288488955 ',
    '０８１２８８４８８９５５',
    // The international prefix of a desk telephone (domain 2.9).
    '0062 812-8848-8955',
  ])('by "%s"', (typed) => expect(canonicalise(typed)).toBe('+6281288488955'));
});

test('the shortest and the longest mobile number are read', () => {
  expect(canonicalise('0811234567')).toBe('+62811234567');
  expect(canonicalise('0899123456789')).toBe('+62899123456789');
});

describe('is not read as a mobile number', () => {
  test.each([
    ['a landline', '0215000101'],
    ['a number that is too short', '085612345'],
    ['a number that is too long', '0812345678901234'],
    ['a masked number', '08*****2797'],
    ['a number of another country', '+65812345678'],
    ['a user name with such a number in it', 'pt081288488955'],
    ['a taxpayer number', '0000001016000000'],
  ])('%s', (_, typed) => expect(canonicalise(typed)).toBe(typed));
});

test('composed and decomposed letters are one name', () => {
  expect(canonicalise('Ren\u00e9')).toBe(canonicalise('RENE\u0301'));
});

test('different names stay different', () => {
  const names = ['budi', 'bud', 'budi.', 'bu di', 'b_udi', 'budi@contoh.example', '+6281288488955', '+6281288488956'];
  expect(new Set(names.map(canonicalise)).size).toBe(names.length);
});

test('the canonical form of a canonical form is itself', () => {
  for (const typed of ['Budi', '0812 8848 8955', '\u212aelvin', '\u0130stanbul', '\u1e9e', 'ﬁsh', '①', 'ΑΣ']) {
    const canonical = canonicalise(typed);
    expect(canonicalise(canonical)).toBe(canonical);
  }
});
