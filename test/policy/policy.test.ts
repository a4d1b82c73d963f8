/** Policies as they are read: the table's own sense, the narrowest place, and what officers set. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { Secret } from '../../src/crypto.ts';
import { inTransaction } from '../../src/database.ts';
import id from '../../src/i18n/id.json' with { type: 'json' };
import {
  hasScope,
  isPolicyKey,
  meaningOf,
  orders,
  type Policy,
  type PolicyKey,
  policies,
  schemaFor,
  schemaOf,
} from '../../src/policy/keys.ts';
import { decide, openPolicies, policy } from '../../src/policy/policy.ts';
import { clearPolicy, setPolicy, whole_system } from '../../src/policy/store.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

const until = async (is_so: () => boolean) => {
  const began = performance.now();
  while (!is_so()) {
    if (performance.now() - began > 20_000) throw new Error('it did not come true');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

const keys = Object.keys(policies) as PolicyKey[];

describe('the table', () => {
  test.each(keys)('%s has a default that its own rules allow, and a sentence', (key) => {
    expect(schemaOf(key).safeParse(policies[key].default).success).toBe(true);
    expect(Object.keys(id)).toContain(meaningOf(key));
  });

  test('keeps password hashes above the floor (OWASP ASVS 5.0, appendix C)', () => {
    expect(schemaOf('password.hash_memory').safeParse(19 * 1024 - 1).success).toBe(false);
    expect(schemaOf('password.hash_passes').safeParse(1).success).toBe(false);
  });

  test('has defaults in the order in which they belong together, and no narrower places for them', () => {
    for (const order of orders) {
      const values = order.map((key) => Number(policies[key].default));
      expect(values).toEqual(values.toSorted((one, other) => one - other));
      for (const key of order) expect((policies[key] as Policy).narrower).toBeUndefined();
    }
    expect(orders.flat()).toHaveLength(new Set(orders.flat()).size);
  });

  test('knows its keys and no others', () => {
    expect(isPolicyKey('session.idle')).toBe(true);
    for (const key of ['session', 'toString', '__proto__', '', 'session.idle\0']) expect(isPolicyKey(key)).toBe(false);
  });

  test.each<[Policy, unknown[], unknown[]]>([
    [{ unit: 'days', default: 7, min: 1, max: 30 }, [1, 30], [0, 31, 1.5, '7', null, true, Number.NaN, [7]]],
    [{ unit: 'percent', default: 50, min: 0, max: 100 }, [0, 100], [-1, 101, Number.POSITIVE_INFINITY]],
    [{ unit: 'switch', default: false }, [true, false], [0, 1, 'true', null]],
    [{ unit: 'choice', default: 'a', options: ['a', 'b'] }, ['a', 'b'], ['c', '', 0, null]],
  ])('a value is what its unit says: %j', (line, good, bad) => {
    for (const value of good) expect([value, schemaFor(line).safeParse(value).success]).toEqual([value, true]);
    for (const value of bad) expect([value, schemaFor(line).safeParse(value).success]).toEqual([value, false]);
  });
});

describe('the narrowest place decides', () => {
  const line: Policy = {
    unit: 'days',
    default: 1,
    min: 1,
    max: 99,
    narrower: ['role', 'organisation', 'agency', 'application'],
  };
  const own = new Map([
    ['system ', 2],
    ['role trader', 3],
    ['organisation o1', 4],
    ['agency BPOM', 5],
    ['application cargo', 6],
  ]);
  const everything = { role: 'trader', organisation_id: 'o1', agency_code: 'BPOM', application_id: 'cargo' };
  const values = new Map([['k', own]]);

  test('application before agency, organisation, role and the whole system', () => {
    const { application_id, ...agency } = everything;
    const { agency_code, ...organisation } = agency;
    const { organisation_id, ...role } = organisation;
    const places = [everything, agency, organisation, role, {}];
    expect(places.map((place) => decide(values, 'k', line, place))).toEqual([6, 5, 4, 3, 2]);
  });

  test('another place, another key and nothing set leave the wider one or the default', () => {
    expect(decide(values, 'k', line, { role: 'officer', organisation_id: 'o2' })).toBe(2);
    expect(decide(values, 'other', line, everything)).toBe(1);
    expect(decide(new Map([['k', new Map([['role trader', 3]])]]), 'k', line, {})).toBe(1);
  });

  test('a place that the key does not know is not looked at', () => {
    expect(decide(values, 'k', { ...line, narrower: ['role'] }, everything)).toBe(3);
    expect(decide(values, 'k', { unit: 'days', default: 1, min: 1, max: 99 }, everything)).toBe(2);
    for (const key of keys) expect(hasScope(key, 'system')).toBe(true);
  });
});

describe('in one process', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterAll(() => database.drop());

  const open = () => openPolicies(database.db, { database_url: new Secret(database.url) });
  const set = (key: PolicyKey, value: unknown, version = 0) =>
    inTransaction(database.db, (tx) =>
      setPolicy(tx, { key, scope: whole_system, value, version, by: null, because: 'x' }),
    );

  test('what was set before holds from the opening on, what is set then soon after, and nothing of it after the close', async () => {
    const before = await set('mail.retention', 20 * 86_400);
    expect(policy('mail.retention')).toBe(policies['mail.retention'].default);
    const watch = await open();
    try {
      expect(policy('mail.retention')).toBe(20 * 86_400);
      expect(policy('four_eyes.role')).toBe(false);
      const now = await set('four_eyes.role', true);
      await until(() => policy('four_eyes.role'));
      for (const [key, outcome] of Object.entries({ 'four_eyes.role': now, 'mail.retention': before })) {
        const { version } = outcome as { version: number };
        await inTransaction(database.db, (tx) =>
          clearPolicy(tx, { key: key as PolicyKey, scope: whole_system, version }),
        );
      }
      await until(() => !policy('four_eyes.role') && policy('mail.retention') === policies['mail.retention'].default);
      await set('four_eyes.role', true);
      await until(() => policy('four_eyes.role'));
    } finally {
      await watch.close();
    }
    expect(policy('four_eyes.role')).toBe(false);
  });

  test('what a rolled back transaction set holds nowhere', async () => {
    const watch = await open();
    try {
      const failed = inTransaction(database.db, async (tx) => {
        const change = { key: 'session.idle', scope: whole_system, version: 0, by: null, because: 'x' } as const;
        expect(await setPolicy(tx, { ...change, value: 600 })).toMatchObject({ state: 'done' });
        throw new Error('no');
      });
      await expect(failed).rejects.toThrow('no');
      await set('browsers.memory', 2 * 86_400);
      await until(() => policy('browsers.memory') === 2 * 86_400);
      expect(policy('session.idle')).toBe(policies['session.idle'].default);
    } finally {
      await watch.close();
    }
  });

  test('rows of another release, of places unknown to the key and out of bounds are passed over', async () => {
    await sql`INSERT INTO policy_values (key, scope_kind, scope_id, value, because) VALUES
      ('not.yet', 'system', '', '1', ''), ('session.absolute', 'role', 'trader', '3600', ''),
      ('interaction.lifetime', 'system', '', '1', ''), ('clients.secret_warning', 'system', '', '"soon"', ''),
      ('clients.dynamic_registration', 'system', '', 'true', '')`.execute(database.db);
    const watch = await open();
    try {
      expect(policy('clients.dynamic_registration')).toBe(true);
      for (const key of ['session.absolute', 'interaction.lifetime', 'clients.secret_warning'] as const)
        expect(policy(key, { role: 'trader' })).toBe(policies[key].default);
    } finally {
      await watch.close();
    }
  });
});
