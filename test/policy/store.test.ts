/** Setting policies: only what a key allows, only where it may be, once for each version, and in an order that makes sense. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { createAccount } from '../../src/accounts/account.ts';
import { type Database, inTransaction, openDatabase } from '../../src/database.ts';
import { type PolicyKey, policies } from '../../src/policy/keys.ts';
import { clearPolicy, listPolicies, type PolicyScope, setPolicy, whole_system } from '../../src/policy/store.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let db: Database;
let other_node: Database;
let officer: string;

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  other_node = openDatabase(database.url, { max: 10 });
  officer = (await inTransaction(db, (tx) => createAccount(tx, { username: 'petugas', full_name: 'Petugas Contoh' })))
    .id;
});

afterEach(async () => {
  await sql`DELETE FROM policy_values`.execute(db);
});

afterAll(async () => {
  await other_node.destroy();
  await database.drop();
});

const set = (
  key: PolicyKey,
  value: unknown,
  { version = 0, scope = whole_system, from = db }: { version?: number; scope?: PolicyScope; from?: Database } = {},
) =>
  inTransaction(from, (tx) =>
    setPolicy(tx, { key, scope, value, version, by: officer, because: `karena ${String(value)}` }),
  );

const clear = (key: PolicyKey, version: number, scope = whole_system) =>
  inTransaction(db, (tx) => clearPolicy(tx, { key, scope, version }));

const find = async (key: PolicyKey) => (await listPolicies(db)).find((one) => one.key === key)?.set;

async function setDone(key: PolicyKey, value: unknown, version = 0): Promise<number> {
  const outcome = await set(key, value, { version });
  if (outcome.state !== 'done') throw new Error(JSON.stringify(outcome));
  return outcome.version;
}

test('a list has every key with its default, unit, bounds and meaning, and what was set with who, when and why', async () => {
  const version = await setDone('clients.secret_warning', 30);
  const list = await listPolicies(db);
  expect(list.map(({ key }) => key)).toEqual(Object.keys(policies));
  expect(list.find(({ key }) => key === 'clients.secret_warning')).toEqual({
    key: 'clients.secret_warning',
    unit: 'days',
    default: 14,
    min: 1,
    max: 90,
    meaning: 'policies.clients_secret_warning',
    set: [
      {
        scope: { kind: 'system', id: '' },
        value: 30,
        version,
        changed_by: officer,
        changed_at: expect.any(Date),
        because: 'karena 30',
      },
    ],
  });
  expect(list.filter((one) => one.set.length > 0)).toHaveLength(1);
});

describe('a value', () => {
  test.each<[PolicyKey, unknown]>([
    ['session.idle', 299],
    ['session.idle', 30 * 86_400 + 1],
    ['session.idle', 600.5],
    ['session.idle', '600'],
    ['session.idle', null],
    ['session.idle', undefined],
    ['session.idle', [600]],
    ['session.idle', 1e300],
    ['four_eyes.role', 1],
    ['four_eyes.role', 'true'],
    ['password.hash_memory', 19_455],
  ])('that the key does not allow is refused and changes nothing: %s = %j', async (key, value) => {
    expect(await set(key, value)).toEqual({ state: 'refused', because: 'value' });
    expect(await find(key)).toEqual([]);
  });

  test.each<PolicyScope>([
    { kind: 'role', id: 'trader' },
    { kind: 'application', id: 'cargolink' },
    { kind: 'system', id: 'x' },
  ])('for a place that the key does not know is refused: %j', async (scope) => {
    expect(await set('session.idle', 600, { scope })).toEqual({ state: 'refused', because: 'scope' });
    expect(await clear('session.idle', 0, scope)).toEqual({ state: 'refused', because: 'scope' });
  });
});

describe('a version', () => {
  test('that is not the one that stands is a conflict, for setting and for clearing', async () => {
    const first = await setDone('session.idle', 600);
    expect(await set('session.idle', 700)).toEqual({ state: 'conflict' });
    const second = await setDone('session.idle', 700, first);
    expect(await set('session.idle', 800, { version: first })).toEqual({ state: 'conflict' });
    expect(await clear('session.idle', first)).toEqual({ state: 'conflict' });
    expect(await clear('session.idle', second)).toEqual({ state: 'done', version: 0 });
    expect(await clear('session.idle', second)).toEqual({ state: 'conflict' });
    expect(await find('session.idle')).toEqual([]);
  });

  test('is never given twice: a form opened before a clearing is too late after it', async () => {
    const first = await setDone('session.idle', 600);
    await clear('session.idle', first);
    const second = await setDone('session.idle', 900);
    expect(second).not.toBe(first);
    expect(await set('session.idle', 700, { version: first })).toEqual({ state: 'conflict' });
  });

  test.each([
    ['nothing', false],
    ['a value', true],
  ])('of 30 who change %s at once on two nodes, one wins', async (_what, is_set) => {
    const version = is_set ? await setDone('session.idle', 600) : 0;
    const tries = Array.from({ length: 30 }, (_, at) =>
      set('session.idle', 1000 + at, { version, from: at % 2 ? db : other_node }),
    );
    const outcomes = await Promise.all(tries);
    const winners = outcomes.flatMap((outcome, at) => (outcome.state === 'done' ? [1000 + at] : []));
    expect(winners).toHaveLength(1);
    expect(outcomes.filter(({ state }) => state === 'conflict')).toHaveLength(29);
    expect((await find('session.idle'))?.map(({ value }) => value)).toEqual(winners);
  });
});

describe('values that belong together', () => {
  const day = 86_400;

  test('may be equal, and are refused in the wrong order, whichever of them is changed', async () => {
    await setDone('session.idle', 7 * day);
    expect(await set('session.absolute', 7 * day - 1)).toEqual({
      state: 'refused',
      because: 'order',
      other: 'session.idle',
    });
    expect(await set('grant.lifetime', 7 * day - 1)).toEqual({
      state: 'refused',
      because: 'order',
      other: 'session.remembered_absolute',
    });
    const wide = await setDone('session.absolute', 30 * day);
    expect(await set('session.absolute', 30 * day + 1, { version: wide })).toEqual({
      state: 'refused',
      because: 'order',
      other: 'session.remembered_absolute',
    });
    expect(await set('interaction.memory', 3600)).toMatchObject({ state: 'done' });
    expect(await set('interaction.lifetime', 3601)).toMatchObject({ because: 'order', other: 'interaction.memory' });
  });

  test('are held together by a clearing too', async () => {
    const absolute = await setDone('session.absolute', 20 * day);
    await setDone('session.idle', 10 * day);
    expect(await clear('session.absolute', absolute)).toEqual({
      state: 'refused',
      because: 'order',
      other: 'session.idle',
    });
    expect((await find('session.absolute'))?.map(({ value }) => value)).toEqual([20 * day]);
  });

  test('do not pass together what they break together, when two are changed at once', async () => {
    for (let times = 0; times < 10; times += 1) {
      const outcomes = await Promise.all([
        set('session.idle', 6 * day),
        set('session.absolute', 5 * day, { from: other_node }),
      ]);
      expect(outcomes.filter(({ state }) => state === 'done')).toHaveLength(1);
      await sql`DELETE FROM policy_values`.execute(db);
    }
  });
});
