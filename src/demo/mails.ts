/** The mails of the demonstration's inbox: received by SMTP, kept in one table. */

import type { Readable } from 'node:stream';
import type pg from 'pg';
import PostalMime from 'postal-mime';
import { SMTPServer } from 'smtp-server';
import { now } from '../clock.ts';

export interface Mail {
  id: string;
  received_at: Date;
  sender: string;
  recipients: string[];
  subject: string;
  text: string;
  /** Null when the mail has no HTML part. */
  html: string | null;
}

const kept_mails = 500;
const largest_mail = 2_000_000;
export const mails_per_page = 50;

/** Makes the table where it is missing; safe when two processes start at once. */
export async function createMails(db: pg.Pool): Promise<void> {
  await db.query(`
    SELECT pg_advisory_xact_lock(hashtext('inbox_mails'));
    CREATE TABLE IF NOT EXISTS inbox_mails (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, received_at timestamptz NOT NULL, sender text NOT NULL,
      recipients text[] NOT NULL, subject text NOT NULL, text text NOT NULL, html text);`);
}

/** Newest first, one page: older than the mail `before`, and to an address that contains `to`, where these are given. */
export async function listMails(db: pg.Pool, wish: { before: string | null; to: string }): Promise<Mail[]> {
  const { rows } = await db.query<Mail>(
    `SELECT * FROM inbox_mails WHERE ($1::bigint IS NULL OR id < $1)
       AND position(lower($2) in lower(array_to_string(recipients, ' '))) > 0 ORDER BY id DESC LIMIT $3`,
    [wish.before, wish.to, mails_per_page + 1],
  );
  return rows;
}

export async function findMail(db: pg.Pool, id: string): Promise<Mail | undefined> {
  const { rows } = await db.query<Mail>('SELECT * FROM inbox_mails WHERE id = $1', [id]);
  return rows[0];
}

/**
 * Takes mail on the loopback address, from anyone to anyone: it delivers nothing further. The answer stops it. Rejects
 * with the untouched error of the socket.
 */
export function receiveMails(db: pg.Pool, port: number): Promise<() => Promise<void>> {
  const server = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    size: largest_mail,
    logger: false,
    onData(stream, session, callback) {
      const recipients = session.envelope.rcptTo.map(({ address }) => address);
      const sender = session.envelope.mailFrom ? session.envelope.mailFrom.address : '';
      keepMail(db, stream, { sender, recipients }).then(
        () => callback(),
        (error: Error) => callback(error),
      );
    },
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject);
      // A sender that breaks off in the middle is the sender's affair.
      server.on('error', () => undefined);
      resolve(() => new Promise((closed) => server.close(() => closed())));
    });
  });
}

async function keepMail(
  db: pg.Pool,
  stream: Readable & { sizeExceeded: boolean },
  envelope: Pick<Mail, 'sender' | 'recipients'>,
): Promise<void> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size <= largest_mail) chunks.push(chunk);
  }
  if (stream.sizeExceeded || size > largest_mail) {
    throw Object.assign(new Error('message too large'), { responseCode: 552 });
  }
  const mail = await PostalMime.parse(Buffer.concat(chunks));
  await db.query(
    'INSERT INTO inbox_mails (received_at, sender, recipients, subject, text, html) VALUES ($1, $2, $3, $4, $5, $6)',
    [
      now(),
      clean(envelope.sender),
      envelope.recipients.map(clean),
      clean(mail.subject ?? ''),
      clean(mail.text ?? ''),
      mail.html === undefined ? null : clean(mail.html),
    ],
  );
  await db.query(
    'DELETE FROM inbox_mails WHERE id <= (SELECT id FROM inbox_mails ORDER BY id DESC OFFSET $1 LIMIT 1)',
    [kept_mails],
  );
}

/** PostgreSQL has no NUL in a text. */
function clean(text: string): string {
  return text.replaceAll('\0', '');
}
