/** What every channel promises, whatever it speaks: one message to one address, once, and an outcome for all that goes wrong. */

import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, test } from '@jest/globals';
import type { Channel, Message } from '../../src/delivery/outbox.ts';

/** How the other side takes a message. */
export type Behaviour =
  | 'accepts'
  | 'refuses_recipient'
  | 'is_busy'
  | 'stalls'
  | 'breaks_off'
  | 'answers_late'
  | 'strange_certificate';

/** The other side, and a channel to it. */
export interface ChannelGround {
  channel: Channel;
  /** May be changed at any time, but for `strange_certificate`, which is one from the start. */
  behaviour: Behaviour;
  /** What it accepted, in order. */
  received: { to: string[]; id: string; subject: string; text: string }[];
  /** How many messages began to come in, accepted or not. */
  begun: number;
  stop(): Promise<void>;
}

/** A leaf as the suite needs it. */
export interface ChannelCase {
  name: string;
  /** An address that the channel can send to. */
  address: string;
  start(behaviour: Behaviour): Promise<ChannelGround>;
}

/** Runs the suite for one leaf. */
export function testChannel({ name, address, start: open }: ChannelCase): void {
  const grounds: ChannelGround[] = [];

  async function start(behaviour: Behaviour): Promise<ChannelGround> {
    const ground = await open(behaviour);
    grounds.push(ground);
    return ground;
  }

  afterEach(async () => {
    for (const ground of grounds.splice(0)) await ground.stop();
  });

  const message = (fields: Partial<Message> = {}): Message => ({
    id: randomUUID(),
    to: address,
    subject: 'Judul – “uji”',
    text: 'Isi surat.\n.\nSelesai.',
    html: '<p>Isi surat.</p>',
    written_at: new Date('2026-11-21T03:04:05Z'),
    ...fields,
  });

  const later = { state: 'refused', because: expect.stringMatching(/^[a-z_]+?(_\d{3})?$/), permanent: false };
  const never = { ...later, permanent: true };

  describe(`the channel ${name}`, () => {
    test('sends one message to one address', async () => {
      const { channel, received } = await start('accepts');
      const sent = message();
      expect(await channel.send(sent)).toEqual({ state: 'sent' });
      expect(received).toEqual([
        { to: [address], id: expect.stringContaining(sent.id), subject: sent.subject, text: expect.anything() },
      ]);
      expect(received[0]?.text.trim()).toBe(sent.text);
    });

    test('sends many at once, each once', async () => {
      const { channel, received } = await start('accepts');
      const all = Array.from({ length: 30 }, (_, at) => message({ subject: `nomor ${at}` }));
      const outcomes = await Promise.all(all.map((one) => channel.send(one)));
      expect(outcomes).toEqual(all.map(() => ({ state: 'sent' })));
      expect(received.map(({ subject }) => subject).sort()).toEqual(all.map(({ subject }) => subject).sort());
    });

    test('tells a recipient that is refused for ever', async () => {
      const { channel, received } = await start('refuses_recipient');
      expect(await channel.send(message())).toEqual(never);
      expect(received).toEqual([]);
    });

    test.each(['is_busy', 'stalls', 'breaks_off'] as const)(
      'the other side %s: tells that it may pass, tries once, and goes on when it has passed',
      async (behaviour) => {
        const ground = await start(behaviour);
        expect(await ground.channel.send(message())).toEqual(later);
        expect(ground.begun).toBe(1);
        expect(ground.received).toEqual([]);
        ground.behaviour = 'accepts';
        expect(await ground.channel.send(message())).toEqual({ state: 'sent' });
        expect(ground.received).toHaveLength(1);
      },
    );

    test('one that is stuck holds up no other', async () => {
      const ground = await start('stalls');
      const stuck = ground.channel.send(message({ subject: 'macet' }));
      while (ground.begun === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      ground.behaviour = 'accepts';
      expect(await ground.channel.send(message({ subject: 'lancar' }))).toEqual({ state: 'sent' });
      expect(await stuck).toEqual(later);
      expect(ground.received.map(({ subject }) => subject)).toEqual(['lancar']);
    });

    test('waits for a late answer, and sends nothing a second time', async () => {
      const ground = await start('answers_late');
      expect(await ground.channel.send(message())).toEqual({ state: 'sent' });
      expect([ground.begun, ground.received.length]).toEqual([1, 1]);
    });

    test('gives nothing to a server whose certificate nobody vouches for', async () => {
      const ground = await start('strange_certificate');
      expect(await ground.channel.send(message())).toEqual(later);
      expect([ground.begun, ground.received.length]).toEqual([0, 0]);
    });

    test('nobody there is an outcome, and so is a channel that was closed', async () => {
      const ground = await start('accepts');
      await ground.stop();
      expect(await ground.channel.send(message())).toEqual(later);
      ground.channel.close();
      expect(await ground.channel.send(message())).toEqual(later);
    });

    test('a line end in the subject begins nothing of its own', async () => {
      const { channel, received } = await start('accepts');
      const subject = `Judul\r\nBcc: lain@contoh.example\r\n\r\nIsi lain\u2028x`;
      expect(await channel.send(message({ subject }))).toEqual({ state: 'sent' });
      expect(received).toEqual([expect.objectContaining({ to: [address] })]);
      expect(received[0]?.subject).toBe('Judul Bcc: lain@contoh.example Isi lain x');
      expect(received[0]?.text.trim()).toBe('Isi surat.\n.\nSelesai.');
    });

    test.each([
      (to: string) => `${to}, lain@contoh.example`,
      (to: string) => `${to}>\r\nRCPT TO:<lain@contoh.example`,
      (to: string) => `${to}\r\nBcc: lain@contoh.example`,
      (to: string) => `Seseorang <${to}>, Lain <lain@contoh.example>`,
    ])('two addresses in one are never two recipients (%#)', async (join) => {
      const { channel, received } = await start('accepts');
      await channel.send(message({ to: join(address) }));
      expect(received.filter(({ to }) => to.length !== 1 || to[0]?.startsWith('lain@'))).toEqual([]);
    });
  });
}
