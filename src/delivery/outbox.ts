/** Mail to people: written down in the caller's transaction, sent by a worker, once as far as the channel can tell. */

import { randomUUID } from 'node:crypto';
import { type Selectable, sql } from 'kysely';
import { z } from 'zod';
import type { Config } from '../config.ts';
import { deriveKeys, open, seal } from '../crypto.ts';
import type { Database, Transaction } from '../database.ts';
import { catalogues, type Language, translator } from '../i18n/messages.ts';
import { enqueue, type Job, type JobLog, type Jobs, type Payloads } from '../jobs.ts';
import { policy } from '../policy/policy.ts';
import type { Mails } from '../tables.ts';
import { composeMail } from '../views.ts';
import { openSmtp } from './channels/smtp.ts';
import { type MailTemplate, mail_secrets } from './templates.ts';

/** What a channel gets to send: one message to one address. */
export interface Message {
  /** The same at every try. */
  id: string;
  to: string;
  subject: string;
  text: string;
  html: string;
  written_at: Date;
}

/** `because` is a word and at most a number, never an address or what the other side wrote. */
export type Delivery = { state: 'sent' } | { state: 'refused'; because: string; permanent: boolean };

/** A way out of the house. What the other side does wrong is an outcome, never an exception. */
export interface Channel {
  name: string;
  send(message: Message): Promise<Delivery>;
  /** Ends its connections; what is under way fails and is tried again. */
  close(): void;
}

/** The ways there are, by what they carry. */
const channels = { mail: openSmtp };

/** Where mail leaves: its channel, and the keys that open what a mail carries sealed. */
export interface Outbox {
  channel: Channel;
  keys: Buffer[];
}

/** Opens the way out for mail. */
export function openMail(config: Config): Outbox {
  return { channel: channels.mail(config), keys: mailKeys(config) };
}

/** The keys under which the secret of a mail waits for its sending. */
export function mailKeys({ secrets }: Pick<Config, 'secrets'>): Buffer[] {
  return deriveKeys(secrets, 'mails.secret');
}

/** What fills the blanks of a mail, already in the reader's language and zone. Never a code. */
export type MailValues = Record<string, string | number>;

export interface MailOrder {
  /** Whose mail it is; it goes with the account. Null for an address without one. */
  account_id: string | null;
  to: string;
  language: Language;
  template: MailTemplate;
  values: MailValues;
  /**
   * What only the reader may see; it waits under the first of `keys`, and is gone once the mail is. One that is brought for a
   * proof (proofs.ts) is sent only while that is open.
   */
  secret?: { text: string; keys: Buffer[]; proof_id?: string };
  /** Costs what a mail costs and reaches nobody: who asks for one cannot tell by the time whether there was an address. */
  is_decoy?: boolean;
}

export type MailOutcome = { state: 'queued'; mail_id: string } | { state: 'refused'; because: 'bad_address' };

// RFC 5321, section 4.5.3.1.3. One address: no list, no name beside it, no line end that could begin another header.
const addressSchema = z.email().max(254);

/**
 * Writes a mail down and enqueues its sending, both in the caller's transaction: rolled back, nobody hears of it.
 * @throws Error when a blank of the template has no value, so that the caller's test finds it and not the worker
 */
export async function sendMail(tx: Transaction, jobs: Jobs, order: MailOrder): Promise<MailOutcome> {
  const address = addressSchema.safeParse(order.to);
  if (!address.success) return { state: 'refused', because: 'bad_address' };
  writeMail(order, order.secret?.text);
  const id = randomUUID();
  const { is_decoy = false } = order;
  const sealed = order.secret ? sealSecret(id, order.secret) : null;
  await tx
    .insertInto('mails')
    .values({
      id,
      account_id: order.account_id,
      to_address: address.data,
      language: order.language,
      template: order.template,
      values: JSON.stringify(order.values),
      secret: is_decoy ? null : sealed,
      proof_id: order.secret?.proof_id ?? null,
      given_up_at: sql<Date | null>`CASE WHEN ${is_decoy}::boolean THEN gapura_now() END`,
      because: is_decoy ? 'decoy' : null,
    })
    .execute();
  await enqueue(tx, jobs, 'mail', { mail_id: id });
  return { state: 'queued', mail_id: id };
}

function sealSecret(id: string, { text, keys: [key] }: NonNullable<MailOrder['secret']>): string {
  if (!key) throw new Error('the secret of a mail needs a key');
  return seal(key, text, contextOf(id));
}

const contextOf = (id: string) => `mails.secret ${id}`;

/**
 * Says a mail in words: subject, text and HTML.
 * @throws Error when a mail that carries a secret has none, or one that carries none has one
 */
export function writeMail(
  { language, template, values }: Pick<MailOrder, 'language' | 'template' | 'values'>,
  secret?: string,
) {
  const kind = mail_secrets[template];
  if ((kind === undefined) !== (secret === undefined)) throw new Error(`the mail ${template} carries another secret`);
  const t = translator(language);
  const paragraphs: string[] = [];
  while (`mail.${template}.text_${paragraphs.length + 1}` in catalogues[language]) {
    paragraphs.push(t(`mail.${template}.text_${paragraphs.length + 1}`, values));
  }
  return composeMail(language, {
    subject: t(`mail.${template}.subject`, values),
    greeting: t(`mail.${template}.greeting`, values),
    paragraphs,
    ...(kind ? { [kind]: secret } : {}),
    footer: t('mail.footer'),
  });
}

/** A mail is still to be sent; its job fails with this and is tried again. */
export class MailDelayed extends Error {}

/**
 * The job of the queue `mail`: sends one mail, unless it is sent, given up or gone. A failure that can pass is thrown, so
 * that the queue tries again later; one that cannot is noted with its reason, and so is the last try.
 */
export function deliverMail(db: Database, { channel, keys }: Outbox, log: JobLog) {
  return async ({ payload: { mail_id }, is_last }: Job<Payloads['mail']>): Promise<void> => {
    const mail = await takeMail(db, mail_id);
    if (!mail) return;
    const { template, language, values } = mail;
    const secret = mail.secret === null ? undefined : open(keys, mail.secret, contextOf(mail.id));
    const words = writeMail({ template: template as MailTemplate, language, values }, secret);
    const outcome = await channel.send({ id: mail.id, to: mail.to_address, written_at: mail.created_at, ...words });
    if (outcome.state === 'sent') return closeMail(db, mail_id, { sent_at: sql<Date>`gapura_now()` });
    const { because, permanent } = outcome;
    if (!permanent && !is_last) {
      await releaseMail(db, mail_id, because);
      throw new MailDelayed(because);
    }
    await closeMail(db, mail_id, { given_up_at: sql<Date>`gapura_now()`, because });
    log.error({ mail_id, template, because }, 'a mail was given up');
    // Into the dead letters goes what a person could still want sent; what was refused for ever is done.
    if (!permanent) throw new MailDelayed(because);
  };
}

const read = ['id', 'to_address', 'language', 'template', 'values', 'secret', 'created_at', 'given_up_at'] as const;

type OpenMail = Pick<Selectable<Mails>, (typeof read)[number]>;

/** Whether what a mail carries can still be brought, if it is for a proof: as proofs.ts asks, and not when it was purged. */
const is_good = sql<boolean>`(mails.proof_id IS NULL OR EXISTS (SELECT FROM proofs p WHERE p.id = mails.proof_id
  AND p.spent_at IS NULL AND p.voided_at IS NULL AND p.expires_at > gapura_now() AND p.attempts < p.attempts_allowed))`;

/**
 * Takes a mail for one try, or closes it in the same statement when its proof is over. A worker that dies in the try holds the
 * mail no longer than its job would have lasted.
 * @throws MailDelayed while another worker has it
 */
async function takeMail(db: Database, id: string): Promise<OpenMail | undefined> {
  const taken = await db
    .updateTable('mails')
    .set({
      taken_until: sql<Date | null>`CASE WHEN ${is_good} THEN gapura_now() + interval '1 minute' END`,
      tries: sql<number>`tries + 1`,
      secret: sql<string | null>`CASE WHEN ${is_good} THEN secret END`,
      given_up_at: sql<Date | null>`CASE WHEN NOT ${is_good} THEN gapura_now() END`,
      because: sql<string | null>`CASE WHEN ${is_good} THEN because ELSE 'void' END`,
    })
    .where('id', '=', id)
    .where('sent_at', 'is', null)
    .where('given_up_at', 'is', null)
    .where(({ eb, or }) => or([eb('taken_until', 'is', null), eb('taken_until', '<=', sql<Date>`gapura_now()`)]))
    .returning(read)
    .executeTakeFirst();
  if (taken) return taken.given_up_at ? undefined : taken;
  const held = await openMails(db, id).executeTakeFirst();
  if (held) throw new MailDelayed('in_work');
  return undefined;
}

function openMails(db: Database, id: string) {
  const found = db.selectFrom('mails').select('id').where('id', '=', id);
  return found.where('sent_at', 'is', null).where('given_up_at', 'is', null);
}

async function releaseMail(db: Database, id: string, because: string): Promise<void> {
  await db
    .updateTable('mails')
    .set({ taken_until: null, because })
    .where('id', '=', id)
    .where('sent_at', 'is', null)
    .execute();
}

type End = { sent_at: ReturnType<typeof sql<Date>> } | { given_up_at: ReturnType<typeof sql<Date>>; because: string };

async function closeMail(db: Database, id: string, end: End): Promise<void> {
  const ended = db.updateTable('mails').set({ taken_until: null, because: null, secret: null, ...end });
  await ended.where('id', '=', id).where('sent_at', 'is', null).execute();
}

/** Whether a row of `mails` can go out once more: given up, and not without the secret that its reader would need. */
export const can_resend = sql<boolean>`(given_up_at IS NOT NULL AND because <> 'decoy'
  AND template <> ALL(${Object.keys(mail_secrets)}::text[]))`;

/** Opens a mail that was given up and enqueues its sending, both in the caller's transaction; false when there is none to open. */
export async function resendMail(tx: Transaction, jobs: Jobs, id: string): Promise<boolean> {
  const opened = tx.updateTable('mails').set({ given_up_at: null, because: null, taken_until: null });
  const { numUpdatedRows } = await opened.where('id', '=', id).where(can_resend).executeTakeFirst();
  if (numUpdatedRows !== 1n) return false;
  await enqueue(tx, jobs, 'mail', { mail_id: id });
  return true;
}

/** A duty: deletes mails older than `mail.retention`, a batch at a time; says how many. */
export async function purgeMails(db: Database, batch = 1000): Promise<number> {
  const old = sql<Date>`gapura_now() - make_interval(secs => ${policy('mail.retention')})`;
  const { numDeletedRows } = await db
    .deleteFrom('mails')
    .where('id', 'in', (eb) => eb.selectFrom('mails').select('id').where('created_at', '<', old).limit(batch))
    .executeTakeFirst();
  return Number(numDeletedRows);
}
