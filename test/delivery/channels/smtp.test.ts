/** Mail by SMTP: the contract of channels against a real SMTP server, what stands in a mail, and how the line is protected. */

import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import PostalMime, { type Email } from 'postal-mime';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { Secret } from '../../../src/crypto.ts';
import { greetSmtp, openSmtp, type SmtpOptions } from '../../../src/delivery/channels/smtp.ts';
import type { Channel, Message } from '../../../src/delivery/outbox.ts';
import { type Behaviour, type ChannelGround, testChannel } from '../../contracts/channel.ts';
import { makeCertificate } from '../../support/certificate.ts';

const trusted = makeCertificate();
const strange = makeCertificate();
const authorities = getCACertificates('default');
const stops: (() => Promise<void> | void)[] = [];

beforeAll(() => setDefaultCACertificates([...authorities, trusted.cert]));
afterAll(() => setDefaultCACertificates(authorities));
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const message: Message = {
  id: '0b54a3e5-4a5f-4bde-9d0a-2f6a3f0f6a11',
  to: 'budi@contoh.example',
  subject: 'Nama pengguna dihubungkan',
  text: 'Halo Budi,\n\nada kabar.\n',
  html: '<p>Halo Budi, <b>ada kabar</b>.</p>',
  written_at: new Date('2026-11-21T03:04:05Z'),
};

function open(url: string, options: SmtpOptions = {}): Channel {
  const config = {
    smtp_url: new Secret(url),
    mail_from: 'Gapura <noreply@gapura.example>',
    url: 'https://sso.contoh.example',
  };
  const channel = openSmtp(config, { silence_ms: 400, deadline_ms: 5000, ...options });
  stops.push(() => channel.close());
  return channel;
}

interface Received {
  from: string;
  to: string[];
  mail: Email;
  is_encrypted: boolean;
  user: string | undefined;
}

/** A server on a free port that keeps what it accepts. */
async function serve(
  options: SMTPServerOptions = {},
): Promise<{ port: number; received: Received[]; server: SMTPServer }> {
  const received: Received[] = [];
  const server = new SMTPServer({
    authOptional: true,
    hideSTARTTLS: true,
    closeTimeout: 50,
    logger: false,
    onData(stream, session, callback) {
      void read(stream).then(async (raw) => {
        const { mailFrom, rcptTo } = session.envelope;
        received.push({
          from: mailFrom ? mailFrom.address : '',
          to: rcptTo.map(({ address }) => address),
          mail: await PostalMime.parse(raw),
          is_encrypted: session.secure,
          user: session.user as string | undefined,
        });
        callback();
      });
    },
    ...options,
  });
  server.on('error', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  stops.push(() => new Promise((resolve) => void server.close(() => resolve())));
  return { port: (server.server.address() as AddressInfo).port, received, server };
}

async function read(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const refuse = (responseCode: number) => Object.assign(new Error('no, budi@contoh.example'), { responseCode });

async function startGround(behaviour: Behaviour): Promise<ChannelGround> {
  const is_strange = behaviour === 'strange_certificate';
  let is_stopped = false;
  const accepted: ChannelGround['received'] = [];
  const { port, server } = await serve({
    ...(is_strange ? { secure: true, ...strange } : {}),
    onRcptTo(_address, _session, callback) {
      ground.begun += 1;
      if (ground.behaviour === 'stalls') return;
      callback(ground.behaviour === 'refuses_recipient' ? refuse(550) : null);
    },
    onData(stream, session, callback) {
      if (ground.behaviour === 'breaks_off') {
        stream.resume();
        for (const connection of server.connections) connection.close();
        return;
      }
      void read(stream).then(async (raw) => {
        if (ground.behaviour === 'is_busy') return callback(refuse(451));
        if (ground.behaviour === 'answers_late') await new Promise((resolve) => setTimeout(resolve, 200));
        const { messageId = '', subject = '', text = '' } = await PostalMime.parse(raw);
        const to = session.envelope.rcptTo.map((one) => one.address);
        accepted.push({ to, id: messageId, subject, text });
        callback();
      });
    },
  });
  const ground: ChannelGround = {
    channel: open(`${is_strange ? 'smtps' : 'smtp'}://localhost:${port}`),
    behaviour,
    received: accepted,
    begun: 0,
    async stop() {
      if (is_stopped) return;
      is_stopped = true;
      await new Promise<void>((resolve) => void server.close(() => resolve()));
    },
  };
  stops.push(() => ground.stop());
  return ground;
}

testChannel({ name: 'smtp', address: 'budi@contoh.example', start: startGround });

describe('a mail', () => {
  test('has both forms, says that a machine wrote it, and is the same mail at every try', async () => {
    const { port, received } = await serve();
    const channel = open(`smtp://127.0.0.1:${port}`);
    await channel.send(message);
    await channel.send(message);
    const [first, again] = received;
    expect(first).toMatchObject({ from: 'noreply@gapura.example', to: ['budi@contoh.example'] });
    expect(first?.mail).toMatchObject({
      messageId: '<0b54a3e5-4a5f-4bde-9d0a-2f6a3f0f6a11@sso.contoh.example>',
      from: { name: 'Gapura', address: 'noreply@gapura.example' },
      to: [{ name: '', address: 'budi@contoh.example' }],
      subject: message.subject,
      date: '2026-11-21T03:04:05.000Z',
      attachments: [],
    });
    expect(first?.mail.text?.trim()).toBe(message.text.trim());
    expect(first?.mail.html?.trim()).toBe(message.html);
    const headers = Object.fromEntries(first?.mail.headers.map(({ key, value }) => [key, value]) ?? []);
    expect(headers).toMatchObject({ 'auto-submitted': 'auto-generated', 'x-auto-response-suppress': 'All' });
    expect(headers).not.toHaveProperty('x-mailer');
    expect([again?.mail.messageId, again?.mail.date]).toEqual([first?.mail.messageId, first?.mail.date]);
  });

  test('loads nothing that it names', async () => {
    const { port, received } = await serve();
    const html = '<img src="file:///etc/hostname"><img src="http://127.0.0.1:1/x.png">';
    expect(await open(`smtp://127.0.0.1:${port}`).send({ ...message, html })).toEqual({ state: 'sent' });
    expect(received[0]?.mail).toMatchObject({ html: expect.stringContaining(html), attachments: [] });
  });
});

describe('what a server says', () => {
  test.each<[string, SMTPServerOptions, string, boolean]>([
    ['to the recipient 550', { onRcptTo: (_a, _s, done) => done(refuse(550)) }, 'recipient_550', true],
    ['to the recipient 450', { onRcptTo: (_a, _s, done) => done(refuse(450)) }, 'recipient_450', false],
    [
      'to the content 554',
      { onData: (stream, _s, done) => void read(stream).then(() => done(refuse(554))) },
      'content_554',
      true,
    ],
    ['to our sender 550', { onMailFrom: (_a, _s, done) => done(refuse(550)) }, 'sender_550', false],
    ['that it wants a password', { authOptional: false, allowInsecureAuth: true }, 'sign_in_530', false],
    ['at the door 554', { onConnect: (_s, done) => done(refuse(554)) }, 'server_554', false],
  ])('%s: only what concerns this mail alone is for ever', async (_what, options, because, permanent) => {
    const { port, received } = await serve(options);
    expect(await open(`smtp://127.0.0.1:${port}`).send(message)).toEqual({ state: 'refused', because, permanent });
    expect(received).toEqual([]);
  });

  test('a wrong password of ours loses no mail, the right one is taken from the address', async () => {
    const { port, received } = await serve({
      allowInsecureAuth: true,
      onAuth({ username = '', password = '' }, _session, callback) {
        if (username === 'pos@gapura' && password === 'sandi: 100%') callback(null, { user: username });
        else callback(refuse(535));
      },
    });
    const wrong = await open(`smtp://pos%40gapura:salah@127.0.0.1:${port}`).send(message);
    expect(wrong).toEqual({ state: 'refused', because: 'sign_in_535', permanent: false });
    const right = await open(`smtp://pos%40gapura:sandi%3A%20100%25@127.0.0.1:${port}`).send(message);
    expect(right).toEqual({ state: 'sent' });
    expect(received.map(({ user }) => user)).toEqual(['pos@gapura']);
  });
});

describe('the line', () => {
  test('to another machine is encrypted or not used: no STARTTLS, no mail', async () => {
    const { port, received } = await serve({ disabledCommands: ['STARTTLS'] });
    const outcome = await open(`smtp://127.0.0.1:${port}`, { must_encrypt: true }).send(message);
    expect(outcome).toEqual({ state: 'refused', because: 'encryption', permanent: false });
    expect(received).toEqual([]);
  });

  test('is encrypted by STARTTLS or from the start, when the certificate is one that counts', async () => {
    const begun = await serve({ ...trusted, hideSTARTTLS: false });
    const wrapped = await serve({ ...trusted, secure: true });
    const options = { must_encrypt: true };
    expect(await open(`smtp://localhost:${begun.port}`, options).send(message)).toEqual({ state: 'sent' });
    expect(await open(`smtps://localhost:${wrapped.port}`).send(message)).toEqual({ state: 'sent' });
    expect([...begun.received, ...wrapped.received].map(({ is_encrypted }) => is_encrypted)).toEqual([true, true]);
  });

  test('is not used when the certificate is somebody else’s, by STARTTLS and from the start', async () => {
    const begun = await serve({ ...strange, hideSTARTTLS: false });
    const wrapped = await serve({ ...strange, secure: true });
    const refused = {
      state: 'refused',
      because: 'encryption',
      permanent: false,
    };
    expect(await open(`smtp://localhost:${begun.port}`, { must_encrypt: true }).send(message)).toEqual(refused);
    expect(await open(`smtps://localhost:${wrapped.port}`).send(message)).toEqual(refused);
    expect([...begun.received, ...wrapped.received]).toEqual([]);
  });

  test('to this machine itself needs no certificate', async () => {
    const { port, received } = await serve({ ...strange, hideSTARTTLS: false });
    expect(await open(`smtp://127.0.0.1:${port}`).send(message)).toEqual({ state: 'sent' });
    expect(received.map(({ is_encrypted }) => is_encrypted)).toEqual([false]);
  });

  test('to a server that only trickles is cut', async () => {
    const sockets = new Set<Socket>();
    const trickle = createServer((socket) => {
      sockets.add(socket);
      const timer = setInterval(() => socket.write('220-sebentar\r\n'), 50);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        clearInterval(timer);
        sockets.delete(socket);
      });
    });
    await once(trickle.listen(0, '127.0.0.1'), 'listening');
    stops.push(() => new Promise((resolve) => void trickle.close(() => resolve())));
    const { port } = trickle.address() as AddressInfo;
    const channel = open(`smtp://127.0.0.1:${port}`, { silence_ms: 60_000, deadline_ms: 300 });
    expect(await channel.send(message)).toEqual({ state: 'refused', because: 'slow', permanent: false });
    while (sockets.size > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  });
});

describe('a greeting', () => {
  const greet = (url: string, options: SmtpOptions = {}) =>
    greetSmtp(
      { smtp_url: new Secret(url), mail_from: 'noreply@gapura.example', url: 'https://sso.contoh.example' },
      { silence_ms: 400, ...options },
    );

  test('is answered by a mail server, which gets no mail of it', async () => {
    const { port, received } = await serve();
    expect(await greet(`smtp://127.0.0.1:${port}`)).toEqual({ state: 'sent' });
    expect(received).toEqual([]);
  });

  test('finds a wrong password, a certificate of nobody, silence, and nobody there', async () => {
    const refusing = await serve({
      ...strange,
      authOptional: false,
      onAuth: (_auth, _session, done) => done(new Error('no')),
    });
    const signed_in = await greet(`smtp://gapura:salah@127.0.0.1:${refusing.port}`);
    expect(signed_in).toMatchObject({ state: 'refused', because: expect.stringMatching(/^sign_in/) });
    const unsafe = await greet(`smtp://127.0.0.1:${refusing.port}`, { must_encrypt: true });
    expect(unsafe).toMatchObject({ state: 'refused', because: 'encryption' });
    const silent = createServer((socket) => void socket.on('error', () => undefined)).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    stops.push(() => new Promise((resolve) => void silent.close(() => resolve())));
    const { port } = silent.address() as AddressInfo;
    expect(await greet(`smtp://127.0.0.1:${port}`)).toMatchObject({ state: 'refused', because: 'slow' });
    expect(await greet('smtp://127.0.0.1:1')).toMatchObject({ state: 'refused', because: 'unreachable' });
  });
});
