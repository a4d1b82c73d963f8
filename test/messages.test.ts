/** The catalogues against each other and against the pages: every text is there, in both languages, with the same blanks. */

import { describe, expect, test } from '@jest/globals';
import en from '../src/i18n/en.json' with { type: 'json' };
import id from '../src/i18n/id.json' with { type: 'json' };
import { findMessageBreaches } from './support/architecture.ts';
import { readTree } from './support/source.ts';

type Catalogue = Record<string, string>;

const catalogues: Record<string, Catalogue> = { id, en };

/** Texts that are rightly the same in both languages: names, abbreviations and words that the two share. */
const shared =
  /^(?:Gapura|e-BPOM|CargoLink|Portal INSW|SSO|EDI Number|NPWP|NIB|SRP|NIK|E?mail|Fax|Status|English|Bahasa Indonesia|Trader|Register|Menu|Portal|Administrator|Auditor)$/i;

function blanksOf(text: string): string[] {
  return [...text.matchAll(/\{\{?\s*(\w+)/g)].map(([, name = '']) => name).sort();
}

function findDifferences(one: Catalogue, other: Catalogue): string[] {
  return [
    ...Object.keys(one).filter((key) => !(key in other)),
    ...Object.keys(other).filter((key) => !(key in one)),
    ...Object.keys(one).filter(
      (key) => key in other && `${blanksOf(one[key] ?? '')}` !== `${blanksOf(other[key] ?? '')}`,
    ),
  ];
}

/** The words that a person reads: without blanks and signs. */
function isTranslated(one: string, other: string): boolean {
  const words = one
    .replace(/\{\{?.*?\}\}?/g, '')
    .replace(/[^\p{L}\s-]/gu, '')
    .trim();
  return one !== other || words === '' || shared.test(words);
}

describe.each(Object.entries(catalogues))('%s.json', (_language, catalogue) => {
  test('is flat, sorted and has no empty text', () => {
    expect(Object.keys(catalogue)).toEqual(Object.keys(catalogue).toSorted());
    expect(Object.keys(catalogue).filter((key) => !/^[a-z][\w-]*(\.[\w-]+)+$/.test(key))).toEqual([]);
    expect(
      Object.keys(catalogue).filter((key) => typeof catalogue[key] !== 'string' || !catalogue[key]?.trim()),
    ).toEqual([]);
  });
});

test('both catalogues have the same keys and the same blanks', () => {
  expect(findDifferences(id, en)).toEqual([]);
});

test('no text was left untranslated', () => {
  const english: Catalogue = en;
  const left = Object.entries(id).filter(([key, text]) => !isTranslated(text, english[key] ?? ''));
  expect(left).toEqual([]);
});

test('every text that a source or view asks for is there', () => {
  const tree = readTree(['src', 'views'], ['.ts', '.ejs']);
  expect(findMessageBreaches(tree, Object.keys(id)).unknown).toEqual([]);
});

test('the checks find a missing key, another blank and a text left as it was', () => {
  expect(findDifferences({ a: '{name}', b: 'x' }, { a: '{names}', c: 'y' })).toEqual(['b', 'c', 'a']);
  expect([
    isTranslated('Masuk', 'Masuk'),
    isTranslated('Masuk', 'Sign in'),
    isTranslated('{n} NPWP', '{n} NPWP'),
  ]).toEqual([false, true, true]);
});
