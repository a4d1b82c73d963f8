/** Mail by SMTP (RFC 5321): a small pool of connections to one server, encrypted unless the server is this machine itself. */

import { createTransport } from 'nodemailer';
import { type Config, isLoopback } from '../../config.ts';
import type { Channel, Delivery, Message } from '../outbox.ts';

export interface SmtpOptions {
  /** How long the server may be silent, in milliseconds. */
  silence_ms?: number;
  /** How long one mail may take in all, in milliseconds; less than the time after which its job counts as failed. */
  deadline_ms?: number;
  /** Absent: unless the server is this machine itself. */
  must_encrypt?: boolean;
}

/** What nodemailer tells of a failure, as far as it is read. */
interface SmtpError {
  code?: string;
  /** What the system said, below nodemailer's own word. */
  originalCode?: string;
  responseCode?: number;
  command?: string;
}

type SmtpConfig = Pick<Config, 'smtp_url' | 'mail_from' | 'url'>;

/** How the mail server is reached: encrypted, unless it is this machine itself. */
function describeServer({ smtp_url, url }: SmtpConfig, options: SmtpOptions) {
  const server = new URL(smtp_url.reveal());
  const silence = options.silence_ms ?? 10_000;
  const is_wrapped = server.protocol === 'smtps:';
  const must_encrypt = options.must_encrypt ?? !isLoopback(server.hostname);
  return {
    host: server.hostname.replace(/^\[|\]$/g, ''),
    port: Number(server.port) || (is_wrapped ? 465 : 587),
    secure: is_wrapped,
    // Without it, whoever sits between could strip the offer of STARTTLS and read along (RFC 8314).
    requireTLS: must_encrypt,
    // A relay on this machine seldom has a certificate for its loopback address.
    ignoreTLS: !must_encrypt,
    tls: { minVersion: 'TLSv1.2' as const },
    ...(server.username
      ? { auth: { user: decodeURIComponent(server.username), pass: decodeURIComponent(server.password) } }
      : {}),
    name: new URL(url).hostname,
    connectionTimeout: silence,
    greetingTimeout: silence,
    socketTimeout: silence,
    disableFileAccess: true,
    disableUrlAccess: true,
  };
}

/** Greets the mail server, encrypts and signs in as a mail would, and sends none. */
export async function greetSmtp(config: SmtpConfig, options: SmtpOptions = {}): Promise<Delivery> {
  const transport = createTransport(describeServer(config, options));
  try {
    await transport.verify();
    return { state: 'sent' };
  } catch (error) {
    return explain(error as SmtpError);
  } finally {
    transport.close();
  }
}

/** Opens the channel; the first connection is made with the first mail. */
export function openSmtp(config: SmtpConfig, options: SmtpOptions = {}): Channel {
  const { mail_from, url } = config;
  const { hostname } = new URL(url);
  const deadline = options.deadline_ms ?? 40_000;
  // The queue tries again; two who do so would send twice.
  const pool = { pool: true, maxConnections: 4, maxRequeues: 0, idleTimeout: 20_000 } as const;
  const transport = createTransport({ ...describeServer(config, options), ...pool });

  return {
    name: 'smtp',
    async send(message) {
      if (!one_address.test(message.to)) return { state: 'refused', because: 'bad_address', permanent: true };
      const signal = AbortSignal.timeout(deadline);
      try {
        await transport.sendMail({ ...compose(message, mail_from, hostname), signal });
        return { state: 'sent' };
      } catch (error) {
        return signal.aborted ? later('slow') : explain(error as SmtpError);
      }
    },
    close: () => transport.close({ force: true }),
  };
}

/** nodemailer reads lists, names and comments in every address, even in an envelope: what could be one is no address here. */
const one_address = /^[^\s\p{Cc}<>()[\]\\,;:"@]+@[^\s\p{Cc}<>()[\]\\,;:"@]+$/u;

function compose(message: Message, from: string, host: string) {
  const address = message.to;
  return {
    from,
    to: { name: '', address },
    envelope: { from: from.replace(/^.*<|>$/g, ''), to: [address] },
    // The same at every try: a server or mail program that gets it twice can tell (RFC 5322, section 3.6.4).
    messageId: `<${message.id}@${host}>`,
    date: message.written_at,
    subject: message.subject.replace(/[\p{Cc}\u2028\u2029]+/gu, ' '),
    text: message.text,
    html: message.html,
    // No answer by a machine (RFC 3834; the second is Exchange's).
    headers: { 'Auto-Submitted': 'auto-generated', 'X-Auto-Response-Suppress': 'All' },
    xMailer: false as const,
  };
}

const later = (because: string): Delivery => ({ state: 'refused', because, permanent: false });

/**
 * Which failures are for ever: a 5xx about this recipient or this message. One about us (the greeting, encryption,
 * our password, our sender) ends when an operator mends it, and no mail is lost until then.
 */
function explain({ code = '', originalCode = '', responseCode: reply, command = '' }: SmtpError): Delivery {
  const step = { 'RCPT TO': 'recipient', DATA: 'content', 'MAIL FROM': 'sender' }[command];
  if (code === 'EAUTH' || code === 'ENOAUTH' || (reply && [530, 534, 535, 538].includes(reply))) {
    return later(reply ? `sign_in_${reply}` : 'sign_in');
  }
  if (step && reply) {
    const permanent = reply >= 500 && reply < 600 && step !== 'sender';
    return { state: 'refused', because: `${step}_${reply}`, permanent };
  }
  if (code === 'ETLS' || /CERT|SSL|TLS|^UNABLE_TO_|^EPROTO$/.test(originalCode)) return later('encryption');
  if (code === 'ETIMEDOUT') return later('slow');
  return later(reply ? `server_${reply}` : 'unreachable');
}
