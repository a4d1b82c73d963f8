/** Texts by key: every one can be said in every language, and what goes into them stays what it was. */

import { describe, expect, test } from '@jest/globals';
import { catalogues, languages, translator } from '../../src/i18n/messages.ts';

const namesIn = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);

describe.each(languages)('%s', (language) => {
  const t = translator(language);

  test('says every text, with the values that the Indonesian one names and no others', () => {
    for (const [key, text] of Object.entries(catalogues.id)) {
      const values = Object.fromEntries(namesIn(text).map((name) => [name, `<${name}>`]));
      const said = t(key, values);
      expect(said.trim()).not.toBe('');
      expect(said).not.toMatch(/[{}]/);
      for (const value of Object.values(values)) expect(said).toContain(value);
    }
  });

  test('throws for a key that is nowhere, also for those that every object has', () => {
    expect(() => t('words.nowhere')).toThrow('words.nowhere');
    expect(() => t('toString')).toThrow('toString');
  });

  test('throws for a value that is missing', () => {
    expect(() => t('words.back_to', {})).toThrow('{client}');
  });

  test('takes a value as it is: no markup is changed, no other text or value is reached through it', () => {
    for (const client of ['<b>&"', '$t(words.cancel)', '{client}', '{{client}}', '{- client}', '$1 $& $$']) {
      expect(t('words.back_to', { client })).toContain(client);
    }
  });

  test('reads values called like an option of the library as values', () => {
    expect(t('words.back_to', { client: 'x', count: 2, context: 'male', lng: 'en', ns: 'other' })).toBe(
      catalogues[language]['words.back_to']?.replace('{client}', 'x'),
    );
  });
});
