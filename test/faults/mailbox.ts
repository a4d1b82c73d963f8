/** The mail server of a fault run: a real one, which can fall silent for a while. */

import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { Readable } from 'node:stream';
import PostalMime from 'postal-mime';
import { SMTPServer } from 'smtp-server';

export interface ArrivedMail {
  at: number;
  /** The same at every try of one mail. */
  message_id: string;
  to: string;
  subject: string;
  text: string;
}

export interface Mailbox {
  port: number;
  arrived: ArrivedMail[];
  /** From now on connections are taken and nothing is answered, until the function that it gives is called. */
  fallSilent(): () => void;
  close(): Promise<void>;
}

/** Starts a mail server on a free port of 127.0.0.1. */
export async function startMailbox(): Promise<Mailbox> {
  const arrived: ArrivedMail[] = [];
  let silence: Promise<void> | undefined;
  const afterSilence = async (go: () => void) => {
    await silence;
    go();
  };
  const server = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    closeTimeout: 50,
    logger: false,
    onConnect: (_session, callback) => void afterSilence(callback),
    onMailFrom: (_address, _session, callback) => void afterSilence(callback),
    onData(stream, session, callback) {
      const to = session.envelope.rcptTo[0]?.address ?? '';
      readMail(stream).then(
        (mail) => {
          arrived.push({ at: performance.now(), to, ...mail });
          callback();
        },
        // Who was not answered in time has hung up in the middle.
        (error) => callback(error),
      );
    },
  });
  server.on('error', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  return {
    port: (server.server.address() as AddressInfo).port,
    arrived,
    fallSilent() {
      let speak: () => void = () => undefined;
      silence = new Promise((resolve) => {
        speak = () => {
          silence = undefined;
          resolve();
        };
      });
      return speak;
    },
    close: () => new Promise<void>((resolve) => void server.close(() => resolve())),
  };
}

async function readMail(stream: Readable): Promise<Pick<ArrivedMail, 'message_id' | 'subject' | 'text'>> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  const { messageId = '', subject = '', text = '' } = await PostalMime.parse(Buffer.concat(chunks));
  return { message_id: messageId, subject, text };
}

/** The code that a mail brings, without its gap. */
export function codeOf({ text }: ArrivedMail): string | undefined {
  return /^ {4}([A-Z0-9]{4}) ([A-Z0-9]{4})$/m.exec(text)?.slice(1).join('');
}
