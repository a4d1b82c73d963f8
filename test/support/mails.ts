/** Reads the mails that wait in the outbox, each as its reader will see it, with what it carries sealed. */

import { open } from '../../src/crypto.ts';
import { mailKeys, writeMail } from '../../src/delivery/outbox.ts';
import type { MailTemplate } from '../../src/delivery/templates.ts';
import type { TestGapura } from './gapura.ts';

export interface WaitingMail {
  id: string;
  to: string;
  template: string;
  subject: string;
  text: string;
  html: string;
  /** The code without its gap, or the link. */
  secret: string | undefined;
  /** What it is brought for. */
  proof_id: string | null;
}

/** The mails that will be sent, the oldest first; decoys are not among them. */
export async function listMails(
  { db, config }: Pick<TestGapura, 'db' | 'config'>,
  to?: string,
): Promise<WaitingMail[]> {
  const rows = await db
    .selectFrom('mails')
    .selectAll()
    .where('given_up_at', 'is', null)
    .$if(to !== undefined, (query) => query.where('to_address', '=', to ?? ''))
    .orderBy('created_at')
    .execute();
  return rows.map((row) => {
    const secret = row.secret === null ? undefined : open(mailKeys(config), row.secret, `mails.secret ${row.id}`);
    const { language, values } = row;
    const words = writeMail({ template: row.template as MailTemplate, language, values }, secret);
    const { id, template, proof_id, to_address: to } = row;
    return { id, to, template, proof_id, ...words, secret: secret?.replaceAll(' ', '') };
  });
}

/** The code or link of the latest mail to an address. */
export async function readSecret(gapura: Pick<TestGapura, 'db' | 'config'>, to: string): Promise<string> {
  const secret = (await listMails(gapura, to)).at(-1)?.secret;
  if (secret === undefined) throw new Error(`no mail with a secret waits for ${to}`);
  return secret;
}
