/** Words that may be missing, and words with blanks, in the language of whoever reads. */

import { catalogues, type Language, type Translate } from '../i18n/messages.ts';
import type { Said } from './resource.ts';

/** Who reads: the context of a page, or as much of one. */
export interface Reader {
  state: { language: Language; t: Translate };
}

/** A word that may be missing: the key of the first that there is, in the language of the page. */
export function wordOf({ state }: Reader, ...keys: string[]): string | undefined {
  const key = keys.map(asKey).find((one) => Object.hasOwn(catalogues.id, one));
  return key && state.t(key);
}

/** What no key may hold, a value may: spaces, colons, and dots behind a field's underscore. In the key they are underscores. */
const asKey = (text: string) => text.replace(/[^\w.-]+|(?<=_[^.]*)\./g, '_');

/** What is said by a key, or by a key with its blanks. */
export function say({ state }: Reader, said: Said): string {
  return typeof said === 'string' ? state.t(said) : state.t(said.key, said.values);
}
