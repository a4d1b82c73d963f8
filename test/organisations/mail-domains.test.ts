/** Mail domains of offices: how they are written down, and which of them are nobody's. */

import { expect, test } from '@jest/globals';
import { mailDomains } from '../../src/organisations/mail-domains.ts';

test.each([
  ['pom.go.id', 'pom.go.id'],
  [' @POM.go.id ', 'pom.go.id'],
  ['bücher.example', 'xn--bcher-kva.example'],
  ['ｋantor.example', 'kantor.example'],
])('%s is kept as %s', (typed, kept) => {
  expect(mailDomains.parse([typed])).toEqual([kept]);
});

test.each([
  ['pom', 'errors.mail_domains.shape'],
  ['', 'errors.mail_domains.shape'],
  ['orang@pom.go.id', 'errors.mail_domains.shape'],
  ['https://pom.go.id', 'errors.mail_domains.shape'],
  ['10.0.0.1', 'errors.mail_domains.shape'],
  ['pom..id', 'errors.mail_domains.shape'],
  ['pom.go.id\u0000', 'errors.mail_domains.shape'],
  [`${'a'.repeat(64)}.example`, 'errors.mail_domains.shape'],
  ['a'.repeat(300), 'errors.too_long'],
  ['GMail.com', 'errors.mail_domains.public'],
  ['yahoo.co.id', 'errors.mail_domains.public'],
])('%.40s is refused', (typed, message) => {
  const { error } = mailDomains.safeParse([typed]);
  expect(error?.issues.map((issue) => issue.message)).toContain(message);
});

test('what is not told stays as it was, twenty are enough', () => {
  expect(mailDomains.parse(undefined)).toBeUndefined();
  const many = Array.from({ length: 21 }, (_, at) => `kantor-${at}.example`);
  expect(mailDomains.safeParse(many).success).toBe(false);
  expect(mailDomains.parse(many.slice(1))).toHaveLength(20);
});
