/** The mail domains of offices: an address there closes together with the account, so it is nobody's way back in. */

import { domainToASCII } from 'node:url';
import { sql } from 'kysely';
import { z } from 'zod';
import { isPublicDomain } from '../accounts/public-domains.ts';
import type { Database } from '../database.ts';

const shape = /^(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])$/;

/** A domain as people write it, with or without the @ before it; kept as mail servers know it. */
const mailDomain = z
  .string()
  .trim()
  .max(254, 'errors.too_long')
  .transform((typed, check) => {
    const domain = domainToASCII(typed.replace(/^@/, ''));
    if (!shape.test(domain)) check.addIssue({ code: 'custom', message: 'errors.mail_domains.shape' });
    // Or none of its people could have an address to recover by.
    else if (isPublicDomain(domain)) check.addIssue({ code: 'custom', message: 'errors.mail_domains.public' });
    return domain;
  });

/** The domains of one office; what is not told stays as it was. */
export const mailDomains = z.array(mailDomain).max(20, 'errors.mail_domains.too_many').optional();

/** The domains of the organisations that a person acts for and of the agencies in which a person has a role. */
export async function listMailDomainsOf(db: Database, account_id: string): Promise<string[]> {
  const { rows } = await sql<{ domain: string }>`
    SELECT unnest(o.mail_domains) AS domain FROM account_organisations p JOIN organisations o ON o.id = p.organisation_id
      WHERE p.account_id = ${account_id}
    UNION SELECT unnest(a.mail_domains) FROM role_assignments r JOIN agencies a ON a.code = r.agency_code
      WHERE r.account_id = ${account_id}`.execute(db);
  return rows.map(({ domain }) => domain);
}
