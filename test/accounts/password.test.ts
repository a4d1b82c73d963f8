/** Passwords: argon2id at today's parameters, and a line that is bounded, fair and never stuck. */

import { availableParallelism } from 'node:os';
import { describe, expect, test } from '@jest/globals';
import argon2 from 'argon2';
import { countHashes, hashPassword, prepareHashing, QueueFull, verifyPassword } from '../../src/accounts/password.ts';
import { policy } from '../../src/policy/policy.ts';

const cores = availableParallelism();
/** Hashes at once: one core is for everybody else. */
const places = Math.max(1, cores - 1);
const room = policy('password.hash_queue');

describe('a hash', () => {
  test('is argon2id with at least the floor of the parameters, and never the same twice', async () => {
    const [one, other] = await Promise.all([hashPassword('kata sandi'), hashPassword('kata sandi')]);
    expect(one).toMatch(/^\$argon2id\$v=19\$/);
    const cost = (letter: string) => Number(new RegExp(`[$,]${letter}=(\\d+)`).exec(one)?.[1]);
    expect(cost('m')).toBeGreaterThanOrEqual(19_456);
    expect(cost('t')).toBeGreaterThanOrEqual(2);
    expect(cost('p')).toBeGreaterThanOrEqual(1);
    expect(other).not.toBe(one);
  });

  test('fits its password alone', async () => {
    const hash = await hashPassword('Pintu-Terbuka-2026!');
    expect(await verifyPassword(hash, 'Pintu-Terbuka-2026!')).toEqual({ fits: true, is_old: false });
    for (const other of ['pintu-Terbuka-2026!', 'Pintu-Terbuka-2026! ', '', 'Pintu-Terbuka-2026!\0'])
      expect((await verifyPassword(hash, other)).fits).toBe(false);
  });

  test('fits a password typed on a keyboard that composes letters, and on one that does not', async () => {
    const composed = 'Caf\u00e9-B\u00fcro-2026';
    const decomposed = composed.normalize('NFD');
    expect(decomposed).not.toBe(composed);
    expect((await verifyPassword(await hashPassword(composed), decomposed)).fits).toBe(true);
    expect((await verifyPassword(await hashPassword(decomposed), composed)).fits).toBe(true);
  });

  test('made with smaller parameters still fits and is called old', async () => {
    for (const smaller of [{ memoryCost: 8192 }, { timeCost: 1, memoryCost: 19_456 }]) {
      const hash = await argon2.hash('lama', { type: argon2.argon2id, parallelism: 1, timeCost: 2, ...smaller });
      expect(await verifyPassword(hash, 'lama')).toEqual({ fits: true, is_old: true });
    }
  });

  test('that nobody has fits nothing, not even the text of the dummy, and costs one hash', async () => {
    await prepareHashing();
    const { made } = countHashes();
    expect((await verifyPassword(undefined, 'nobody has this password')).fits).toBe(false);
    expect(countHashes().made).toBe(made + 1);
  });
});

describe('the line', () => {
  test('leaves a core to everybody else, a bounded number wait in order, and turns the rest away at once', async () => {
    await prepareHashing();
    const { made } = countHashes();
    const finished: number[] = [];
    let most = 0;
    const look = () => {
      most = Math.max(most, countHashes().running);
    };
    const taken = Array.from({ length: places + room }, (_, at) =>
      hashPassword('x').then(() => {
        look();
        finished.push(at);
      }),
    );
    expect(countHashes()).toEqual({ made: made + places, running: places, waiting: room });

    const turned_away = await Promise.allSettled([
      hashPassword('y'),
      verifyPassword(undefined, 'y'),
      hashPassword('y'),
    ]);
    for (const outcome of turned_away) {
      const { reason } = outcome as PromiseRejectedResult;
      expect(reason).toBeInstanceOf(QueueFull);
      expect(Number.isInteger((reason as QueueFull).retry_after)).toBe(true);
      expect((reason as QueueFull).retry_after).toBeGreaterThan(0);
    }
    expect(countHashes().waiting).toBeGreaterThan(room / 2);

    await Promise.all(taken);
    expect(most).toBe(places);
    expect(countHashes()).toEqual({ made: made + places + room, running: 0, waiting: 0 });
    // Neighbours run side by side and may end in either order; who came much later never ends before.
    for (const [place, at] of finished.entries()) expect(Math.abs(place - at)).toBeLessThanOrEqual(places + 8);
  });

  test('takes new ones again after it was full', async () => {
    const first = Array.from({ length: places + room }, () => hashPassword('x'));
    await expect(hashPassword('x')).rejects.toBeInstanceOf(QueueFull);
    await Promise.race(first);
    const late = hashPassword('x');
    await expect(late).resolves.toMatch(/^\$argon2id\$/);
    await Promise.all(first);
  });

  test('is narrower where several workers share the cores', async () => {
    await prepareHashing(cores);
    const taken = [1, 2, 3].map(() => hashPassword('x'));
    expect(countHashes()).toMatchObject({ running: 1, waiting: 2 });
    await Promise.all(taken);
    await prepareHashing();
  });

  test('goes on behind a hash that cannot be read', async () => {
    const outcomes = await Promise.allSettled(
      Array.from({ length: 3 * cores }, (_, at) =>
        at % 2 ? verifyPassword('no hash at all', 'x') : hashPassword('x'),
      ),
    );
    expect(outcomes.map(({ status }) => status)).toEqual(outcomes.map((_, at) => (at % 2 ? 'rejected' : 'fulfilled')));
    expect(countHashes()).toMatchObject({ running: 0, waiting: 0 });
  });
});
