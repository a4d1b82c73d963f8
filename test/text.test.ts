/** What a line may hold that other people read, and that every name in the house is held to it. */

import { describe, expect, test } from '@jest/globals';
import { fullNameShape } from '../src/accounts/profile.ts';
import { accounts } from '../src/admin/resources/accounts.ts';
import { applicationSchema } from '../src/applications/application.ts';
import { agencySchema } from '../src/organisations/agency.ts';
import { directorateSchema } from '../src/organisations/directorate.ts';
import { organisationSchema } from '../src/organisations/organisation.ts';
import { plain_text } from '../src/text.ts';

test.each(['PT Contoh Pangan Nusantara', 'Wahyu Ādi, S.H. (100%)', '株式会社 見本', 'PT مثال', 'Café 😀', ''])(
  'people read "%s"',
  (typed) => expect(plain_text.test(typed)).toBe(true),
);

/** A bell, a line's end, a soft hyphen, a zero-width space, marks and overrides of direction, line separators, half a character. */
const unseen = [
  '\u0007',
  '\n',
  '\u00ad',
  '\u200b',
  '\u200f',
  '\u202e',
  '\u2066',
  '\ufeff',
  '\u2028',
  '\u2029',
  '\ud800',
];

const creation = accounts.operations.find(({ name }) => name === 'creation');

describe.each([
  ['the name of a person', fullNameShape],
  ['a position', creation?.input.shape.position],
  ['the name of an application', applicationSchema.shape.name],
  ['what is said of an application', applicationSchema.shape.about],
  ['the name of an agency', agencySchema.shape.name],
  ['its English name', agencySchema.shape.name_en],
  ['the name of a directorate', directorateSchema.shape.name],
  ['the name of an organisation', organisationSchema.shape.name],
])('%s', (_what, shape) => {
  const parse = (typed: string) => (shape as typeof fullNameShape).safeParse(typed);

  test('is plain text', () => expect(parse('Contoh Baru').success).toBe(true));

  test.each(unseen)('holds no %j', (character) => {
    const { error } = parse(`Contoh ${character}Baru`);
    expect(error?.issues.map(({ message }) => message)).toEqual(['errors.field.unreadable']);
  });
});
