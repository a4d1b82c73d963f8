/** The human check: asked by policy and counters, answered once, by the browser that was asked, within ten minutes. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import type { Watch } from '../../src/changes.ts';
import { randomToken, Secret } from '../../src/crypto.ts';
import { type Database, openDatabase } from '../../src/database.ts';
import {
  answerCheck,
  type Check,
  findCheck,
  findPicture,
  issueCheck,
  mustCheck,
  openCheckKeys,
} from '../../src/human-check/human-check.ts';
import { purgeHumanChecks } from '../../src/human-check/store.ts';
import { type Lane, openLimits } from '../../src/limits/limits.ts';
import { openPolicies } from '../../src/policy/policy.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { doWork, lettersOf } from '../support/human-check.ts';
import { setTestPolicy } from '../support/policy.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { listStatements } from '../support/statements.ts';

let database: TestDatabase;
let db: Database;
let other_node: Database;
let policies: Watch;
const secret = new Secret('a secret of the tests, long enough');
const config = { secrets: [secret] };
const keys = openCheckKeys(config);
const limits = openLimits(secret);
const browser = randomToken();

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  other_node = openDatabase(database.url, { max: 10 });
  policies = await openPolicies(db, { database_url: new Secret(database.url) });
  await setTestPolicy(db, 'human_check.work', 6);
});

afterEach(async () => {
  await resetClock(db);
  await db.deleteFrom('limits').execute();
  await db.deleteFrom('human_checks').execute();
});

afterAll(async () => {
  await policies.close();
  await other_node.destroy();
  await database.drop();
});

const ask = () => issueCheck(db, keys, browser);
const answer = (check: Check, given: { typed?: string; work?: string; browser?: string | undefined }, on = db) =>
  answerCheck(on, keys, { id: check.id, browser, typed: '', work: '', ...given });
const letters = (check: Check) => lettersOf(config, check.id);

describe('whether a page asks', () => {
  const own: Lane = { limit: 'sign_in_account', key: ['name budi'], is_shared: false };
  const shared: Lane = { limit: 'sign_in_address', key: ['192.0.2.1'], is_shared: true };
  const fail = async ({ limit, key }: Lane, times: number) => {
    for (let at = 0; at < times; at += 1) await limits.spend(db, limit, key);
  };

  afterEach(() => setTestPolicy(db, 'human_check.when', 'after_failures'));

  test('is decided by the failures that its counters hold', async () => {
    expect(await mustCheck(db, limits, [shared, own])).toBe(false);
    await fail(own, 2);
    expect(await mustCheck(db, limits, [shared, own])).toBe(false);
    await fail(own, 1);
    expect(await mustCheck(db, limits, [shared, own])).toBe(true);
    expect(await mustCheck(db, limits, [shared])).toBe(false);
  });

  test('takes more of them where a whole office shares the counter', async () => {
    await fail(shared, 19);
    expect(await mustCheck(db, limits, [shared])).toBe(false);
    await fail(shared, 1);
    expect(await mustCheck(db, limits, [shared])).toBe(true);
  });

  test('is always, or never, where policy says so, and then nothing is read', async () => {
    await fail(own, 4);
    for (const [when, asked] of [
      ['always', true],
      ['never', false],
    ] as const) {
      await setTestPolicy(db, 'human_check.when', when);
      const statements = await listStatements(async () => {
        expect(await mustCheck(db, limits, [shared, own])).toBe(asked);
      });
      expect(statements).toEqual([]);
    }
  });
});

describe('an answer', () => {
  test('is the letters, or the work, and either works once', async () => {
    for (const give of [
      (check: Check) => ({ typed: letters(check).toLowerCase() }),
      (check: Check) => ({ work: doWork(check) }),
    ]) {
      const check = await ask();
      expect(await answer(check, give(check))).toEqual({ state: 'right' });
      expect(await answer(check, give(check))).toEqual({ state: 'over' });
    }
  });

  test('that is wrong spends the check as a right one does', async () => {
    for (const wrong of [{ typed: 'salah' }, { work: '4294967296' }, { work: 'x' }, { typed: '\u{1f511}' }]) {
      const check = await ask();
      expect(await answer(check, wrong)).toEqual({ state: 'wrong' });
      expect(await answer(check, { typed: letters(check) })).toEqual({ state: 'over' });
    }
  });

  test('that is missing spends nothing, and asks nothing of the database', async () => {
    const check = await ask();
    const statements = await listStatements(async () => {
      expect(await answer(check, { typed: '  ' })).toEqual({ state: 'missing' });
    });
    expect(statements).toEqual([]);
    expect(await answer(check, { typed: letters(check) })).toEqual({ state: 'right' });
  });

  test('counts from the browser that was asked alone; others neither use it nor spend it', async () => {
    const check = await ask();
    for (const other of [undefined, '', randomToken(), `${browser}x`])
      expect(await answer(check, { typed: letters(check), browser: other })).toEqual({ state: 'over' });
    expect(await answer(check, { typed: letters(check) })).toEqual({ state: 'right' });
  });

  test('counts for its own check alone', async () => {
    const [one, other] = [await ask(), await ask()];
    expect(await answer(one, { typed: letters(other) })).toEqual({ state: 'wrong' });
    expect(await answer(other, { typed: letters(other) })).toEqual({ state: 'right' });
  });

  test('counts for ten minutes', async () => {
    const [one, other] = [await ask(), await ask()];
    await moveClock(db, 595);
    expect(await answer(one, { typed: letters(one) })).toEqual({ state: 'right' });
    await moveClock(db, 601);
    expect(await answer(other, { work: doWork(other) })).toEqual({ state: 'over' });
    expect(await findCheck(db, keys, other.id, browser)).toBeUndefined();
  });

  test.each(['', 'x', '../..', 'A'.repeat(24), `${'A'.repeat(23)}\0`, 'é'.repeat(24), "' OR 1=1 --"])(
    'to %j is an answer to nothing',
    async (id) => {
      await ask();
      expect(await answerCheck(db, keys, { id, browser, typed: 'HHHHHH', work: '1' })).toEqual({ state: 'over' });
    },
  );

  test('given fifty times at once on two nodes counts once, in the answers and in the rows', async () => {
    for (const give of [(check: Check) => ({ typed: letters(check) }), (check: Check) => ({ work: doWork(check) })]) {
      const check = await ask();
      const given = give(check);
      const tries = Array.from({ length: 50 }, (_, at) => answer(check, given, at % 2 ? db : other_node));
      const states = (await Promise.all(tries)).map(({ state }) => state);
      expect(states.filter((state) => state === 'right')).toHaveLength(1);
      expect(states.filter((state) => state === 'over')).toHaveLength(49);
    }
    const rows = await db.selectFrom('human_checks').select('was_right').execute();
    expect(rows).toEqual([{ was_right: true }, { was_right: true }]);
  });

  test('of fifty guesses at once one is looked at', async () => {
    const check = await ask();
    const tries = Array.from({ length: 50 }, (_, at) =>
      answer(check, { typed: at === 25 ? letters(check) : 'HHHHHH' }),
    );
    const states = (await Promise.all(tries)).map(({ state }) => state);
    expect(states.filter((state) => state === 'over')).toHaveLength(49);
  });

  test('to a check under the old secret still counts after the secret was changed', async () => {
    const check = await ask();
    const next = openCheckKeys({ secrets: [new Secret('the next secret, also long enough'), secret] });
    expect(await findPicture(db, next, check.id, browser)).toBe(await findPicture(db, keys, check.id, browser));
    expect(await findCheck(db, next, check.id, browser)).toEqual(check);
    const given = { id: check.id, browser, typed: letters(check), work: '' };
    expect(await answerCheck(db, next, given)).toEqual({ state: 'right' });
  });

  test('needs as much work as was asked for, whatever the policy says by now', async () => {
    const check = await ask();
    await setTestPolicy(db, 'human_check.work', 20);
    const state = await answer(check, { work: doWork(check) });
    await setTestPolicy(db, 'human_check.work', 6);
    expect(state).toEqual({ state: 'right' });
  });
});

describe('the picture', () => {
  test('is shown to its browser while the check can be answered', async () => {
    const check = await ask();
    expect(await findPicture(db, keys, check.id, browser)).toMatch(/^<svg /);
    expect(await findPicture(db, keys, check.id, randomToken())).toBeUndefined();
    expect(await findPicture(db, keys, check.id, undefined)).toBeUndefined();
    await answer(check, { typed: 'salah' });
    expect(await findPicture(db, keys, check.id, browser)).toBeUndefined();
  });
});

test('the table holds neither ids nor letters nor browsers, and ids do not follow from each other', async () => {
  const checks = [await ask(), await ask(), await ask()];
  const { rows } = await sql<{ row: string }>`SELECT t::text AS row FROM human_checks t`.execute(db);
  expect(rows).toHaveLength(3);
  const stored = rows.map(({ row }) => row).join();
  const hex = (text: string) => Buffer.from(text).toString('hex');
  for (const check of checks) {
    expect(check.id).toMatch(/^[\w-]{24}$/);
    for (const held of [check.id, letters(check), check.challenge, browser]) {
      expect(stored).not.toContain(held);
      expect(stored).not.toContain(hex(held));
    }
  }
  expect(new Set(checks.map(({ id }) => id)).size).toBe(3);
});

test('checks whose time is over are deleted in batches, the others stay', async () => {
  for (let at = 0; at < 3; at += 1) await ask();
  await moveClock(db, 601);
  const open = await ask();
  expect([await purgeHumanChecks(db, 2), await purgeHumanChecks(db, 2), await purgeHumanChecks(db, 2)]).toEqual([
    2, 1, 0,
  ]);
  expect(await findCheck(db, keys, open.id, browser)).toEqual(open);
});
