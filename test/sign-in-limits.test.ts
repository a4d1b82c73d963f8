/** The limits of signing in: tries that are paid before the hash, waits that grow, and lanes that strangers cannot fill. */

import { availableParallelism } from 'node:os';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createAccount } from '../src/accounts/account.ts';
import { countHashes, hashPassword, prepareHashing, QueueFull } from '../src/accounts/password.ts';
import type { Watch } from '../src/changes.ts';
import { randomToken, Secret } from '../src/crypto.ts';
import { type Database, openDatabase } from '../src/database.ts';
import { openLimits } from '../src/limits/limits.ts';
import { openPolicies, policy } from '../src/policy/policy.ts';
import { openSignIns, type SignInOutcome, submitPassword } from '../src/sign-in.ts';
import { moveClock, resetClock } from './support/clock.ts';
import { setTestPolicy } from './support/policy.ts';
import { createTestDatabase, type TestDatabase } from './support/postgres.ts';

let database: TestDatabase;
let db: Database;
let other_node: Database;
let policies: Watch;
const secret = new Secret('a secret of the tests, long enough');
const password = 'Pintu-Terbuka-2026!';
const home = '192.0.2.1';

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  other_node = openDatabase(database.url, { max: 10 });
  policies = await openPolicies(db, { database_url: new Secret(database.url) });
  // What is asked after failures has tests of its own; here nothing stands before the limits.
  await setTestPolicy(db, 'human_check.when', 'never');
  await prepareHashing();
  for (const username of ['budi', 'sari', 'tono']) await createAccount(db, { username, password, full_name: username });
});

beforeEach(async () => {
  await db.deleteFrom('limits').execute();
  await db.deleteFrom('browsers').execute();
});

afterEach(() => resetClock(db));

afterAll(async () => {
  await policies.close();
  await other_node.destroy();
  await database.drop();
});

const submit = (
  identifier: string,
  typed: string,
  { address = home, browser = undefined as string | undefined, on = db } = {},
) =>
  submitPassword(
    openSignIns({ db: on, limits: openLimits(secret), tellOfBrowser: async () => undefined }, { secrets: [secret] }),
    {
      interaction: randomToken(),
      client_id: 'e-bpom',
      identifier,
      password: typed,
      browser,
      request: { address, user_agent: 'Mozilla/5.0', request_id: 'r-1' },
    },
  );

const stranger = (at: number) => `198.51.100.${at}`;
const states = (outcomes: SignInOutcome[]) => outcomes.map(({ state }) => state);

/** Signs in and gives the value that the browser keeps. */
async function browserOf(identifier: string): Promise<string> {
  const outcome = await submit(identifier, password);
  if (outcome.state !== 'done') throw new Error(`${identifier} is not signed in`);
  return outcome.browser;
}

/** Wrong passwords one after another, each from another address unless one is given. */
async function fail(
  identifier: string,
  times: number,
  options: { address?: string; browser?: string } = {},
): Promise<SignInOutcome[]> {
  const outcomes: SignInOutcome[] = [];
  for (let at = 0; at < times; at += 1)
    outcomes.push(await submit(identifier, 'salah', { address: stranger(at), ...options }));
  return outcomes;
}

const refused = (times: number) => Array(times).fill('refused');

/** As many tries from the address of all, without their hashes. */
async function fillHome(times: number): Promise<void> {
  for (let at = 0; at < times; at += 1)
    expect((await openLimits(secret).spend(db, 'sign_in_address', [home])).state).toBe('allowed');
}

describe('50 wrong passwords at once on two nodes', () => {
  test.each([
    ['from one address', 'budi', () => home],
    ['from fifty addresses', 'budi', stranger],
    ['for a name that nobody has', 'tidak-ada', stranger],
  ])('%s: exactly the free tries are hashed and refused, the others wait', async (_, identifier, address) => {
    const { made } = countHashes();
    const events = async () =>
      (await db.selectFrom('audit_events').select('id').where('kind', '=', 'sign_in_refused').execute()).length;
    const before = await events();
    const tries = Array.from({ length: 50 }, (_, at) =>
      submit(identifier, 'salah', { address: address(at), on: at % 2 ? db : other_node }),
    );
    const outcomes = await Promise.all(tries);
    expect(states(outcomes).filter((state) => state === 'refused')).toHaveLength(5);
    expect(countHashes().made - made).toBe(5);
    expect((await events()) - before).toBe(5);
    for (const outcome of outcomes) {
      if (outcome.state === 'refused') continue;
      expect(outcome).toEqual({ state: 'waiting', retry_after: expect.any(Number) });
      const { retry_after } = outcome as { retry_after: number };
      expect(Number.isInteger(retry_after) && retry_after >= 1 && retry_after <= 30).toBe(true);
    }
  });
});

describe('waiting', () => {
  test('is the same for a name that nobody has', async () => {
    const round = (seconds: number) => Math.ceil(seconds / 5);
    const told = (outcomes: SignInOutcome[]) =>
      outcomes.map((one) => (one.state === 'waiting' ? round(one.retry_after) : one.state));
    expect(told(await fail('tidak-ada', 8))).toEqual(told(await fail('budi', 8)));
  });

  test('costs no hash, is not shortened by the right password, and grows with each further failure', async () => {
    expect(states(await fail('budi', 5))).toEqual(refused(5));
    let at = 0;
    for (const wait of [30, 60, 120]) {
      const { made } = countHashes();
      const outcome = await submit('budi', password);
      expect(outcome.state).toBe('waiting');
      const { retry_after } = outcome as { retry_after: number };
      expect(retry_after).toBeGreaterThan(wait - 5);
      expect(retry_after).toBeLessThanOrEqual(wait);
      expect(countHashes().made).toBe(made);
      at += wait;
      await moveClock(db, at);
      expect((await submit('budi', 'salah', { address: stranger(99) })).state).toBe('refused');
    }
    await moveClock(db, at + 240);
    expect((await submit('budi', password)).state).toBe('done');
  });

  test('of one person is not that of another behind the same address', async () => {
    await fail('budi', 8, { address: home });
    expect((await submit('budi', password)).state).toBe('waiting');
    expect((await submit('sari', password)).state).toBe('done');
    expect((await submit('tono', password)).state).toBe('done');
  });

  test('comes over an address that tries many names', async () => {
    for (let at = 0; at < 50; at += 1) await submit(`nama-${at}`, 'salah');
    const { made } = countHashes();
    expect((await submit('sari', password)).state).toBe('waiting');
    expect(countHashes().made).toBe(made);
    expect((await submit('sari', password, { address: stranger(1) })).state).toBe('done');
  });

  test('is not brought about by refused tries: hammering a name that waits leaves its address free', async () => {
    await fail('budi', 60, { address: home });
    expect((await submit('sari', password)).state).toBe('done');
  });
});

describe('a known browser', () => {
  test('signs in while strangers fill every other lane, its own address included', async () => {
    const browser = await browserOf('budi');
    await fail('budi', 8);
    await fillHome(50);
    expect((await submit('budi', password)).state).toBe('waiting');
    expect((await submit('sari', password)).state).toBe('waiting');
    expect(await submit('budi', password, { browser })).toMatchObject({ state: 'done', browser });
  });

  test('is known for its own person alone, and an invented value is no browser', async () => {
    const browser = await browserOf('tono');
    await fail('budi', 8);
    expect((await submit('budi', password, { browser })).state).toBe('waiting');
    expect((await submit('budi', password, { browser: randomToken() })).state).toBe('waiting');
  });

  test('fails in a lane of its own, which ends too and leaves the others open', async () => {
    const browser = await browserOf('budi');
    const outcomes = await fail('budi', 11, { address: home, browser });
    expect(states(outcomes)).toEqual([...refused(10), 'waiting']);
    expect((await submit('budi', password, { browser })).state).toBe('waiting');
    expect((await submit('budi', password, { address: stranger(1) })).state).toBe('done');
  });

  test('in which a second person signs in is known for both', async () => {
    const browser = await browserOf('budi');
    const outcome = await submit('tono', password, { browser });
    expect(outcome.state).toBe('done');
    const kept = (outcome as { browser: string }).browser;
    await fail('tono', 8);
    expect((await submit('tono', password, { browser: kept })).state).toBe('done');
  });
});

describe('a success', () => {
  test('gives the person all free tries back', async () => {
    expect(states(await fail('budi', 4, { address: home }))).toEqual(refused(4));
    expect((await submit('budi', password)).state).toBe('done');
    expect(states(await fail('budi', 6, { address: home }))).toEqual([...refused(5), 'waiting']);
  });

  test('gives a known browser all its free tries back', async () => {
    const browser = await browserOf('budi');
    await fail('budi', 9, { browser });
    expect((await submit('budi', password, { browser })).state).toBe('done');
    expect(states(await fail('budi', 10, { browser }))).toEqual(refused(10));
  });

  test('leaves the failures of others behind the same address counted', async () => {
    await fillHome(49);
    for (let times = 0; times < 3; times += 1) expect((await submit('sari', password)).state).toBe('done');
    expect((await submit('nama-49', 'salah')).state).toBe('refused');
    expect((await submit('sari', password)).state).toBe('waiting');
  });
});

describe('a full line of hashes', () => {
  test('turns the try away to come again, and whoever comes again as told has lost nothing', async () => {
    let filling = true;
    const places = Math.max(1, availableParallelism() - 1) + policy('password.hash_queue');
    const fill = async () => {
      while (filling) await hashPassword('x');
    };
    const line = Array.from({ length: places }, fill);
    try {
      for (let in_a_row = 0; in_a_row < 6; ) {
        const outcome = await submit('budi', password).catch((error) => error);
        // Now and then a place is free just then, and the try is let in; a success makes the count begin anew.
        if (!(outcome instanceof QueueFull)) expect(outcome).toMatchObject({ state: 'done' });
        in_a_row = outcome instanceof QueueFull ? in_a_row + 1 : 0;
      }
    } finally {
      filling = false;
      await Promise.all(line);
    }
    expect((await submit('budi', password)).state).toBe('done');
  });
});
