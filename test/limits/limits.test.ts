/** Limits: paid before the try, exact in parallel, growing waits, nothing readable in the table. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Secret } from '../../src/crypto.ts';
import { type Database, openDatabase } from '../../src/database.ts';
import { type Lane, openLimits } from '../../src/limits/limits.ts';
import { purgeLimits } from '../../src/limits/statements.ts';
import { moveClock } from '../support/clock.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let db: Database;
let other_node: Database;
const limits = openLimits(new Secret('a secret of the tests, long enough'));

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  other_node = openDatabase(database.url, { max: 10 });
});

afterAll(async () => {
  await other_node.destroy();
  await database.drop();
});

const spendAll = async (key: string, times: number) => {
  const states: string[] = [];
  for (let i = 0; i < times; i += 1) states.push((await limits.spend(db, 'sign_in_account', key)).state);
  return states;
};

test('of 50 tries at once on two nodes exactly the free ones pass', async () => {
  const tries = Array.from({ length: 50 }, (_, i) =>
    limits.spend(i % 2 ? db : other_node, 'sign_in_account', 'parallel'),
  );
  const outcomes = await Promise.all(tries);
  expect(outcomes.filter((outcome) => outcome.state === 'allowed')).toHaveLength(5);
  const counts = outcomes.flatMap((outcome) => (outcome.state === 'allowed' ? [outcome.count] : []));
  expect(counts.sort()).toEqual([1, 2, 3, 4, 5]);
  for (const outcome of outcomes) {
    if (outcome.state === 'refused') {
      expect(Number.isInteger(outcome.retry_after)).toBe(true);
      expect(outcome.retry_after).toBeGreaterThanOrEqual(1);
      expect(outcome.retry_after).toBeLessThanOrEqual(30);
    }
  }
});

/** One try of a name, of which the counter may hold `most`. */
const payUpTo = (most: number, key: string, on = db) =>
  limits.pay(on, [{ limit: 'sign_in_account', key, is_shared: false }], () => most);

describe('up to a number of tries', () => {
  test('of 50 at once on two nodes exactly so many pass, the others are held and change nothing', async () => {
    const tries = Array.from({ length: 50 }, (_, i) => payUpTo(3, 'up-to', i % 2 ? db : other_node));
    const states = (await Promise.all(tries)).map(({ state }) => state);
    expect(states.filter((state) => state === 'paid')).toHaveLength(3);
    expect(states.filter((state) => state === 'held')).toHaveLength(47);
    expect(await limits.look(db, 'sign_in_account', 'up-to')).toEqual({ count: 3, is_used_up: false, retry_after: 0 });
  });

  test('a wait is told as a wait, no tries are none, and without an end it is a try as any other', async () => {
    expect(await payUpTo(0, 'never-tried')).toEqual({ state: 'held' });
    expect((await limits.look(db, 'sign_in_account', 'never-tried')).count).toBe(0);
    expect(await spendAll('waits', 5)).toEqual(Array(5).fill('allowed'));
    expect((await payUpTo(3, 'waits')).state).toBe('refused');
    expect(await payUpTo(Number.POSITIVE_INFINITY, 'endless')).toMatchObject({ state: 'paid', lanes: [{ tries: 1 }] });
  });

  test('a counter that is forgotten counts for nothing', async () => {
    for (let i = 0; i < 3; i += 1) await limits.spend(db, 'sign_in_account', 'forgotten');
    await moveClock(db, 86_401);
    expect(await payUpTo(3, 'forgotten')).toMatchObject({ state: 'paid', lanes: [{ tries: 1 }] });
    await moveClock(db, 0);
  });
});

test('several counters are paid all or none', async () => {
  const lanes: Lane[] = [
    { limit: 'sign_in_address', key: 'all', is_shared: true },
    { limit: 'sign_in_pair', key: 'all', is_shared: false },
  ];
  expect(await limits.pay(db, lanes)).toEqual({
    state: 'paid',
    lanes: lanes.map((lane) => ({ ...lane, tries: 1 })),
  });
  const most = ({ is_shared }: Lane) => (is_shared ? 9 : 1);
  expect(await limits.pay(db, lanes, most)).toEqual({ state: 'held' });
  for (let i = 0; i < 4; i += 1) await limits.spend(db, 'sign_in_pair', 'all');
  expect(await limits.pay(db, lanes)).toEqual({ state: 'refused', retry_after: expect.any(Number) });
  expect((await limits.look(db, 'sign_in_address', 'all')).count).toBe(1);
});

test('where one refuses, those after it never move, and a success settles each in its own way', async () => {
  const lanes: Lane[] = [
    { limit: 'sign_in_address', key: 'turn', is_shared: true },
    { limit: 'sign_in_pair', key: 'turn', is_shared: false },
    { limit: 'sign_in_account', key: 'turn', is_shared: false },
  ];
  const counts = () => Promise.all(lanes.map(async ({ limit, key }) => (await limits.look(db, limit, key)).count));
  for (let i = 0; i < 5; i += 1) await limits.spend(db, 'sign_in_pair', 'turn');
  expect(await limits.pay(db, lanes)).toMatchObject({ state: 'refused' });
  expect(await counts()).toEqual([0, 5, 0]);
  await limits.forget(db, 'sign_in_pair', 'turn');
  await limits.spend(db, 'sign_in_address', 'turn');
  const paid = await limits.pay(db, lanes);
  expect(await counts()).toEqual([2, 1, 1]);
  await limits.settle(db, paid.state === 'paid' ? paid.lanes : []);
  expect(await counts()).toEqual([1, 0, 0]);
});

test('of many at once that pay and settle the same counters none waits for another in a ring', async () => {
  const lanes: Lane[] = [
    { limit: 'sign_in_address', key: 'ring', is_shared: true },
    { limit: 'sign_in_account', key: 'ring', is_shared: false },
  ];
  const tries = Array.from({ length: 40 }, async (_, i) => {
    const on = i % 2 ? db : other_node;
    const paid = await limits.pay(on, lanes);
    if (paid.state === 'paid') await limits.settle(on, paid.lanes);
    return paid.state;
  });
  expect(await Promise.all(tries)).toContain('paid');
  expect((await limits.look(db, 'sign_in_address', 'ring')).count).toBe(0);
});

describe('with the clock moved', () => {
  afterAll(() => moveClock(db, 0));

  test('the wait doubles with each further try up to the longest, and is forgotten after a day', async () => {
    await moveClock(db, 0);
    expect(await spendAll('slow', 5)).toEqual(Array(5).fill('allowed'));
    let at = 0;
    for (const wait of [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]) {
      const refused = await limits.spend(db, 'sign_in_account', 'slow');
      expect(refused.state).toBe('refused');
      const { retry_after } = refused as { retry_after: number };
      expect(retry_after).toBeGreaterThan(wait - 3);
      expect(retry_after).toBeLessThanOrEqual(wait);
      at += wait;
      await moveClock(db, at);
      expect(await limits.spend(db, 'sign_in_account', 'slow')).toMatchObject({ state: 'allowed' });
    }
    await moveClock(db, at + 86_401);
    expect(await limits.spend(db, 'sign_in_account', 'slow')).toEqual({ state: 'allowed', count: 1 });
  });

  test('refused tries do not prolong the wait', async () => {
    await moveClock(db, 0);
    await spendAll('hammered', 25);
    await moveClock(db, 31);
    expect((await limits.spend(db, 'sign_in_account', 'hammered')).state).toBe('allowed');
  });

  test('an address counts in a window: what happened an hour ago is over, whatever came since', async () => {
    await moveClock(db, 0);
    for (let i = 0; i < 49; i += 1) await limits.spend(db, 'sign_in_address', '192.0.2.7');
    await moveClock(db, 1800);
    expect(await limits.spend(db, 'sign_in_address', '192.0.2.7')).toEqual({ state: 'allowed', count: 50 });
    expect((await limits.spend(db, 'sign_in_address', '192.0.2.7')).state).toBe('refused');
    await moveClock(db, 3601);
    expect(await limits.spend(db, 'sign_in_address', '192.0.2.7')).toEqual({ state: 'allowed', count: 1 });
  });

  test('forgotten counters are purged, living ones stay', async () => {
    await moveClock(db, 0);
    await limits.spend(db, 'sign_in_account', 'old');
    await moveClock(db, 86_399);
    await limits.spend(db, 'sign_in_account', 'young');
    await moveClock(db, 86_402);
    expect(await purgeLimits(db)).toBeGreaterThan(0);
    expect(await limits.spend(db, 'sign_in_account', 'old')).toEqual({ state: 'allowed', count: 1 });
    expect(await limits.spend(db, 'sign_in_account', 'young')).toEqual({ state: 'allowed', count: 2 });
  });
});

test('a success forgets the own counter alone', async () => {
  await spendAll('mine', 5);
  await spendAll('yours', 5);
  await limits.forget(db, 'sign_in_account', 'mine');
  expect(await spendAll('mine', 6)).toEqual([...Array(5).fill('allowed'), 'refused']);
  expect(await spendAll('yours', 1)).toEqual(['refused']);
});

test('a success gives the shared counter its try back, and no failure of others', async () => {
  for (let i = 0; i < 49; i += 1) await limits.spend(db, 'sign_in_address', 'office');
  for (let i = 0; i < 10; i += 1) {
    expect(await limits.spend(db, 'sign_in_address', 'office')).toEqual({ state: 'allowed', count: 50 });
    await limits.giveBack(db, 'sign_in_address', 'office', 50);
  }
  await limits.spend(db, 'sign_in_address', 'office');
  expect((await limits.spend(db, 'sign_in_address', 'office')).state).toBe('refused');
});

test('a success lifts the wait it has set itself, and not the one of a failure beside it', async () => {
  for (let i = 0; i < 49; i += 1) await limits.spend(db, 'sign_in_address', 'shared');
  // Both were paid before either was decided: the one that fails has set the wait.
  const good = { count: 49 };
  expect(await limits.spend(db, 'sign_in_address', 'shared')).toEqual({ state: 'allowed', count: 50 });
  await moveClock(db, 40);
  expect(await limits.spend(db, 'sign_in_address', 'shared')).toEqual({ state: 'allowed', count: 51 });
  await limits.giveBack(db, 'sign_in_address', 'shared', good.count);
  expect((await limits.spend(db, 'sign_in_address', 'shared')).state).toBe('refused');
  await moveClock(db, 120);
  expect(await limits.spend(db, 'sign_in_address', 'shared')).toEqual({ state: 'allowed', count: 51 });
  await limits.giveBack(db, 'sign_in_address', 'shared', 51);
  expect((await limits.spend(db, 'sign_in_address', 'shared')).state).toBe('allowed');
});

test('limits, and keys of several parts, do not mix', async () => {
  await spendAll('one', 5);
  expect((await limits.spend(db, 'sign_in_pair', 'one')).state).toBe('allowed');
  await limits.spend(db, 'sign_in_pair', ['a', 'bc']);
  expect(await limits.spend(db, 'sign_in_pair', ['ab', 'c'])).toEqual({ state: 'allowed', count: 1 });
});

test('the table holds no name that was tried, and another secret finds nothing', async () => {
  await limits.spend(db, 'sign_in_account', 'budi');
  const rows = await db.selectFrom('limits').selectAll().execute();
  expect(JSON.stringify(rows.map((row) => row.key_hash.toString('latin1')))).not.toContain('budi');
  const others = openLimits(new Secret('another secret of the tests, also long'));
  expect(await others.spend(db, 'sign_in_account', 'budi')).toEqual({ state: 'allowed', count: 1 });
});
