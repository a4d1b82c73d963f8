/** Who is told, and how, that a client's secret is about to end. */

import { sql } from 'kysely';
import { type Database, inTransaction, type Transaction } from '../database.ts';
import { sendMail } from '../delivery/outbox.ts';
import { formatDateTime } from '../i18n/dates.ts';
import type { Language } from '../i18n/messages.ts';
import type { Jobs } from '../jobs.ts';
import { policy } from '../policy/policy.ts';
import { claimWarning, type EndingSecret, listEndingSecrets } from './secrets.ts';

interface Reader {
  account_id: string | null;
  email: string;
  language: Language;
  time_zone: string;
}

/**
 * A duty: tells a client's contacts and its agency's officers once that a secret is about to end (policy
 * `clients.secret_warning`). One that ends without anybody to tell is looked at again the next time.
 * @returns how many secrets were announced
 */
export async function warnOfSecrets(db: Database, jobs: Jobs): Promise<number> {
  let warned = 0;
  for (const secret of await listEndingSecrets(db, policy('clients.secret_warning'))) {
    const readers = await listReaders(db, secret);
    if (readers.length > 0 && (await inTransaction(db, (tx) => warn(tx, jobs, secret, readers)))) warned += 1;
  }
  return warned;
}

/** The officers of an agency who can be written to. */
export async function listOfficers(db: Database, agency_code: string | null): Promise<Reader[]> {
  return db
    .selectFrom('role_assignments as r')
    .innerJoin('accounts as a', 'a.id', 'r.account_id')
    .select(['a.id as account_id', sql<string>`a.email`.as('email'), 'a.language', 'a.time_zone'])
    .where('r.role', '=', 'agency_officer')
    .where('r.agency_code', '=', agency_code ?? '')
    .where('a.email', 'is not', null)
    .where(sql<boolean>`(a.expires_at IS NULL OR a.expires_at > gapura_now())`)
    .where(sql<boolean>`NOT EXISTS (SELECT FROM account_locks l WHERE l.account_id = a.id)`)
    .execute();
}

async function listReaders(db: Database, { metadata, agency_code }: EndingSecret): Promise<Reader[]> {
  const officers = await listOfficers(db, agency_code);
  const contacts: Reader[] = (Array.isArray(metadata.contacts) ? metadata.contacts : []).map((email) => ({
    account_id: null,
    email: String(email),
    language: 'id',
    time_zone: 'Asia/Jakarta',
  }));
  // An officer who is also the contact is written to once, in their own language.
  return [...new Map([...contacts, ...officers].map((one) => [one.email.toLowerCase(), one])).values()];
}

async function warn(tx: Transaction, jobs: Jobs, secret: EndingSecret, readers: Reader[]): Promise<boolean> {
  const { id, client_id, metadata, expires_at } = secret;
  if (!expires_at || !(await claimWarning(tx, id))) return false;
  const client = typeof metadata.client_name === 'string' ? metadata.client_name : client_id;
  for (const { account_id, email, language, time_zone } of readers) {
    const values = { client, client_id, time: formatDateTime(language, expires_at, time_zone) };
    await sendMail(tx, jobs, { account_id, to: email, language, template: 'client_secret_expiring', values });
  }
  return true;
}
