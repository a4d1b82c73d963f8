/** What every verifier of passwords promises: an outcome for all that an application can say or fail to say, in bounded time. */

import { afterEach, describe, expect, test } from '@jest/globals';
import type { PasswordVerifier, VerifierTools } from '../../src/links/link.ts';

/** How the application behaves. */
export type Behaviour =
  | 'honest'
  /** Takes the question and never answers. */
  | 'silent'
  /** Answers a byte at a time, without end. */
  | 'drips'
  /** Answers more than anybody reads, at once. */
  | 'endless'
  /** Ends the connection in the middle of its answer. */
  | 'breaks_off'
  | 'fails'
  /** Says `verified`, under the sign of an error. */
  | 'fails_with_yes'
  /** Sends the caller to an address of the private network. */
  | 'redirects'
  /** Says `verified` in another format than the agreed one. */
  | 'other_format'
  | 'nonsense'
  /** Says `verified` with a NUL in what PostgreSQL would keep. */
  | 'nul'
  /** Answers honestly, behind a certificate that its authority did not sign; one from the start. */
  | 'strange_certificate';

/** The application, and what Gapura knows of it. */
export interface VerifierGround {
  settings: Record<string, unknown>;
  tools: VerifierTools;
  behaviour: Behaviour;
  /** How many questions reached it with what they ask. */
  asked: number;
  /** How many connections to it are open. */
  countOpen(): Promise<number>;
  /** How often the address was visited that `redirects` leads to. */
  strayed: number;
  /** Nobody is there any more; `start` brings it back. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** A leaf as the suite needs it. */
export interface VerifierCase {
  verifier: PasswordVerifier;
  /** A user name and its password, and one that is locked with the same password. */
  right: { username: string; password: string };
  locked: string;
  /** What the application says of `right`. */
  name: { subject: string; username: string; display_name: string | null; directorate: string | null };
  /** The ground's settings bound a question to less than `longest_ms`. */
  start(behaviour: Behaviour): Promise<VerifierGround>;
  longest_ms: number;
}

/** Runs the suite for one leaf. */
export function testVerifier({ verifier, right, locked, name, start: open, longest_ms }: VerifierCase): void {
  const grounds: VerifierGround[] = [];

  async function start(behaviour: Behaviour): Promise<VerifierGround> {
    const ground = await open(behaviour);
    grounds.push(ground);
    return ground;
  }

  afterEach(async () => {
    for (const ground of grounds.splice(0)) await ground.stop();
  });

  const ask = ({ settings, tools }: VerifierGround, changes: Partial<typeof right> = {}) =>
    verifier.verify(settings, { ...right, ...changes }, tools);

  const verified = { state: 'verified', name };
  // For the application's programmer: a few words, and nothing of what was typed or answered.
  const reason = expect.stringMatching(/^[\w: -]{3,60}$/);
  const broken = { state: 'unavailable', because: 'broken', reason };
  const slow = { state: 'unavailable', because: 'slow', reason };
  const unreachable = { state: 'unavailable', because: 'unreachable', reason };

  describe(`the verifier ${verifier.kind}`, () => {
    test('asks once, and says whose name it is and nothing else', async () => {
      const ground = await start('honest');
      expect(await ask(ground)).toEqual(verified);
      expect(ground.asked).toBe(1);
    });

    test.each([
      ['a wrong password', { password: 'bukan kata sandinya' }],
      ['another’s capitals', { password: right.password.toUpperCase() }],
      ['a name that nobody has', { username: 'bukan_siapa_siapa' }],
      ['a name in quotes of a query', { username: `' OR true --` }],
    ])('%s is refused', async (_what, changes) => {
      const ground = await start('honest');
      expect(await ask(ground, changes)).toEqual({ state: 'refused' });
      expect(ground.asked).toBe(1);
    });

    test('a locked name is locked', async () => {
      expect(await ask(await start('honest'), { username: locked })).toEqual({ state: 'locked' });
    });

    test('passes on whatever a person may type', async () => {
      const ground = await start('honest');
      for (const password of ['"}\\,{"', 'ключ – 鍵 🔑', ' x ', 'a\r\nb', 'x'.repeat(1000)])
        expect([password, await ask(ground, { password })]).toEqual([password, { state: 'refused' }]);
    });

    test('asks for many people at once, each with their own answer', async () => {
      const ground = await start('honest');
      const passwords = Array.from({ length: 20 }, (_, at) => (at % 2 === 0 ? right.password : `salah ${at}`));
      const outcomes = await Promise.all(passwords.map((password) => ask(ground, { password })));
      expect(outcomes).toEqual(passwords.map((_, at) => (at % 2 === 0 ? verified : { state: 'refused' })));
    });

    test('nobody there is unreachable, until somebody is', async () => {
      const ground = await start('honest');
      await ground.stop();
      expect(await ask(ground)).toEqual(unreachable);
      await ground.start();
      expect(await ask(ground)).toEqual(verified);
    });

    test.each([
      ['silent', slow],
      ['drips', slow],
      ['endless', broken],
      ['breaks_off', unreachable],
      ['fails', broken],
      ['fails_with_yes', broken],
      ['redirects', broken],
      ['other_format', broken],
      ['nonsense', broken],
      ['nul', broken],
    ] as const)(
      'an application that %s: one question, in time, nothing left open, and as before after it',
      async (behaviour, said) => {
        const ground = await start(behaviour);
        const begun = performance.now();
        expect(await ask(ground)).toEqual(said);
        expect(performance.now() - begun).toBeLessThan(longest_ms);
        expect(ground.asked).toBe(1);
        expect(ground.strayed).toBe(0);
        while ((await ground.countOpen()) > 0) await new Promise((resolve) => setTimeout(resolve, 10));
        ground.behaviour = 'honest';
        expect(await ask(ground)).toEqual(verified);
      },
    );

    test('settings that another release has stored are broken, and nobody is asked', async () => {
      const ground = await start('honest');
      const { settings } = ground;
      const strange = Object.keys(settings).map((name) => ({ ...settings, [name]: { of: 'another shape' } }));
      for (const stored of [{}, { unknown: true }, ...strange])
        expect([stored, await ask({ ...ground, settings: stored })]).toEqual([stored, broken]);
      expect(ground.asked).toBe(0);
      expect(verifier.settings.safeParse(settings).success).toBe(true);
    });

    test('one stuck question holds up no other', async () => {
      const ground = await start('silent');
      const stuck = ask(ground);
      while (ground.asked === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      ground.behaviour = 'honest';
      expect(await Promise.race([ask(ground), stuck])).toEqual(verified);
      expect(await stuck).toEqual(slow);
    });

    test('tells no password to a server whose certificate is another than before', async () => {
      const ground = await start('strange_certificate');
      expect(await ask(ground)).toEqual(unreachable);
      expect(ground.asked).toBe(0);
    });
  });
}
