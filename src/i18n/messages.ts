/** Every sentence that a person reads, by key and language. Indonesian is the source of truth, English complete. */

import { readFileSync } from 'node:fs';
import { createInstance } from 'i18next';

export const languages = ['id', 'en'] as const;

export type Language = (typeof languages)[number];

/**
 * Gives the text of a key with `{name}` replaced by `values.name`. The values are not escaped: the page does that.
 * @throws Error for a key that is in no catalogue or a value that is missing; a test keeps both from happening
 */
export type Translate = (key: string, values?: Record<string, string | number>) => string;

/** The texts of each language by key. */
export const catalogues = Object.fromEntries(languages.map((language) => [language, read(language)])) as Record<
  Language,
  Readonly<Record<string, string>>
>;

const i18n = createInstance();

void i18n.init({
  initAsync: false,
  supportedLngs: [...languages],
  fallbackLng: false,
  resources: Object.fromEntries(languages.map((language) => [language, { translation: catalogues[language] }])),
  keySeparator: false,
  nsSeparator: false,
  interpolation: { prefix: '{', suffix: '}', escapeValue: false },
  missingInterpolationHandler: (text: string, [, name]: [string, string]) => {
    throw new Error(`no value for {${name}} in "${text}"`);
  },
});

const translators = Object.fromEntries(languages.map((language) => [language, makeTranslator(language)])) as Record<
  Language,
  Translate
>;

/** The texts in one language. */
export function translator(language: Language): Translate {
  return translators[language];
}

function makeTranslator(language: Language): Translate {
  const translate = i18n.getFixedT(language);
  return (key, values) => {
    if (!Object.hasOwn(catalogues[language], key)) throw new Error(`no text for ${key} in ${language}`);
    // In `replace`, so that a value called `count` or `context` is only a value; without nesting, so that what a person
    // typed cannot name another text.
    return values ? translate(key, { replace: values, nest: false }) : (catalogues[language][key] ?? key);
  };
}

function read(language: Language): Record<string, string> {
  return JSON.parse(readFileSync(new URL(`./${language}.json`, import.meta.url), 'utf8')) as Record<string, string>;
}
