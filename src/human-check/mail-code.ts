/** The third way: a code by mail, for whom neither work nor picture serves; asked for by a name, it tells nothing about it. */

import type { Config } from '../config.ts';
import { type Database, inTransaction } from '../database.ts';
import { mailKeys, sendMail } from '../delivery/outbox.ts';
import type { Language } from '../i18n/messages.ts';
import type { Jobs } from '../jobs.ts';
import type { Limits } from '../limits/limits.ts';
import { issueProof } from '../proofs.ts';
import { type CheckKeys, hashCheck, openCheckKeys } from './human-check.ts';
import { turnToMail } from './store.ts';

/** What pages with a check need. */
export interface CheckStore {
  db: Database;
  limits: Limits;
  jobs: Jobs;
  keys: CheckKeys & { mails: Buffer[] };
  /** Whom a reader can ask. */
  support: string;
}

export function openChecks(
  db: Database,
  limits: Limits,
  jobs: Jobs,
  config: Pick<Config, 'secrets' | 'support_name' | 'support_email'>,
): CheckStore {
  const keys = { ...openCheckKeys(config), mails: mailKeys(config) };
  return { db, limits, jobs, keys, support: `${config.support_name}, ${config.support_email}` };
}

/** For which check of which browser, and whom: a name in its canonical form (accounts/identifiers.ts). */
export interface CodeOrder {
  id: string;
  browser: string;
  canonical: string;
  address: string;
}

/** `sent` is said of every name; whether anything was sent, nobody but the reader learns. */
export type CodeOutcome = { state: 'sent' } | { state: 'waiting'; retry_after: number } | { state: 'over' };

/**
 * Sends a code to the proven address of whoever has the name. For a name that nobody has, or without such an address, the
 * same is written, counted and queued, and no code fits.
 */
export async function sendCode(store: CheckStore, order: CodeOrder): Promise<CodeOutcome> {
  const { db, limits, jobs, keys, support } = store;
  const paid = await limits.pay(db, [
    { limit: 'human_check_mail_address', key: [order.address], is_shared: true },
    { limit: 'human_check_mail_name', key: [order.canonical], is_shared: true },
  ]);
  if (paid.state !== 'paid') return { state: 'waiting', retry_after: paid.state === 'refused' ? paid.retry_after : 1 };
  const reader = await findReader(db, order.canonical);
  return inTransaction(db, async (tx) => {
    if (!(await turnToMail(tx, ...hashCheck(keys.checks, order.id, order.browser)))) return { state: 'over' };
    const { id: proof_id, secret } = await issueProof(tx, keys.proofs, {
      purpose: 'human_check',
      subject: reader?.id ?? null,
      target: 'human check',
      flow: order.id,
      browser: order.browser,
      // Whoever asks for one in somebody's name must not void the one that this person waits for.
      keeps_others: true,
    });
    await sendMail(tx, jobs, {
      account_id: reader?.id ?? null,
      to: reader?.email ?? nowhere,
      language: reader?.language ?? 'id',
      template: 'human_check',
      values: { name: reader?.full_name ?? '-', support },
      secret: { text: `${secret.slice(0, 4)} ${secret.slice(4)}`, keys: keys.mails, proof_id },
      is_decoy: reader === undefined,
    });
    return { state: 'sent' };
  });
}

/** Where the mails to nobody go, which are never sent (RFC 2606). */
const nowhere = 'nobody@decoy.invalid';

interface Reader {
  id: string;
  full_name: string;
  language: Language;
  email: string;
}

async function findReader(db: Database, canonical: string): Promise<Reader | undefined> {
  const row = await db
    .selectFrom('account_identifiers as i')
    .innerJoin('accounts as a', 'a.id', 'i.account_id')
    .select(['a.id', 'a.full_name', 'a.language', 'a.email'])
    .where('i.canonical', '=', canonical)
    .where('a.email_verified', '=', true)
    .executeTakeFirst();
  return row?.email ? { ...row, email: row.email } : undefined;
}
