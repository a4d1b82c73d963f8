/** What is done to entries: within reach, of the version seen, seen by a second person where the policy says so, noted, or not at all. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { z } from 'zod';
import { carryOut, isInScope, type Order } from '../../src/admin/operation.ts';
import { type Desk, type Operation, type Resource, resources } from '../../src/admin/resource.ts';
import { agencies } from '../../src/admin/resources/agencies.ts';
import { approvals } from '../../src/admin/resources/approvals.ts';
import { directorates } from '../../src/admin/resources/directorates.ts';
import { nowSeconds } from '../../src/clock.ts';
import { inTransaction } from '../../src/database.ts';
import { policy } from '../../src/policy/policy.ts';
import { setPolicy } from '../../src/policy/store.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { addOfficer, deskOf, listOperations } from '../support/desk.ts';
import { startGapura, type TestGapura } from '../support/gapura.ts';
import { until } from '../support/nodes.ts';

let gapura: TestGapura;
let asker: Desk;
let decider: Desk;
let reader: Desk;
let code: string;
let made = 0;

const named = (resource: Resource, name: string) =>
  resource.operations.find((operation) => operation.name === name) as Operation;
/** Agencies, of which a change needs a second person. */
const watched: Resource = {
  ...agencies,
  operations: [{ ...named(agencies, 'change'), four_eyes: () => 'four_eyes.role' }, named(agencies, 'deactivation')],
};
const findResource = (name: string) => (name === 'agencies' ? watched : resources.find((one) => one.name === name));

beforeAll(async () => {
  gapura = await startGapura();
  const open = async (username: string, role: 'administrator' | 'service_desk') =>
    deskOf(gapura, await addOfficer(gapura, username, role), { findResource });
  [asker, decider, reader] = [
    await open('peminta', 'administrator'),
    await open('pemutus', 'administrator'),
    await open('pembaca', 'service_desk'),
  ];
});

afterAll(() => gapura.stop());

beforeEach(async () => {
  made += 1;
  code = `U${made}`;
  const input = { code, name: `Badan ${made}`, name_en: `Agency ${made}` };
  const order = { resource: agencies, operation: named(agencies, 'creation'), input };
  expect(await carryOut(asker, order)).toMatchObject({ state: 'done', id: code });
});

const read = async () =>
  gapura.db.selectFrom('agencies').selectAll().where('code', '=', code).executeTakeFirstOrThrow();
const change = (name: string, more: Partial<Order> = {}): Order => ({
  resource: watched,
  operation: named(watched, 'change'),
  id: code,
  input: { name, name_en: 'Agency' },
  version: 1,
  because: 'Nama yang benar',
  ...more,
});

describe('with a second pair of eyes', () => {
  const decision = (id: string, decided: string): Order => ({
    resource: approvals,
    operation: named(approvals, 'decision'),
    id,
    input: { decision: decided, reason: '' },
  });
  const ask = async (name = 'Badan Diminta') => {
    const carried = await carryOut(asker, change(name));
    if (carried.state !== 'waiting') throw new Error(carried.state);
    return carried.approval_id;
  };
  const stateOf = async (id: string) => {
    const { rows } = await sql<{ decision: string | null; input: string | null }>`
      SELECT decision, input FROM approvals WHERE id = ${id}`.execute(gapura.db);
    return rows[0];
  };
  const watch = async (is_on: boolean) => {
    const found = gapura.db.selectFrom('policy_values').select('version').where('key', '=', 'four_eyes.role');
    const { version = 0 } = (await found.executeTakeFirst()) ?? {};
    await inTransaction(gapura.db, (tx) =>
      setPolicy(tx, {
        key: 'four_eyes.role',
        scope: { kind: 'system', id: '' },
        value: is_on,
        version,
        by: null,
        because: 'Uji',
      }),
    );
    await until(() => policy('four_eyes.role') === is_on);
  };

  beforeAll(() => watch(true));
  afterAll(() => watch(false));

  test('a change waits, sealed, until somebody else has agreed; then it is done once and noted twice', async () => {
    const id = await ask('Badan Rahasia');
    expect(await read()).toMatchObject({ name: `Badan ${made}`, version: 1 });
    const kept = await stateOf(id);
    expect([kept?.decision, kept?.input?.includes('Badan Rahasia')]).toEqual([null, false]);
    expect(await carryOut(decider, decision(id, 'approved'))).toMatchObject({ state: 'done', id });
    expect(await read()).toMatchObject({ name: 'Badan Rahasia', version: 2 });
    expect(await stateOf(id)).toMatchObject({ decision: 'approved', input: null });
    const [row] = await listOperations(gapura, 'agencies', code);
    expect(row).toMatchObject({ actor_id: decider.actor.account_id, detail: { operation: 'change' } });
    expect((await listOperations(gapura, 'approvals', id))[0]?.detail).toMatchObject({ carried_out: code });
  });

  test('nobody agrees to their own, and nobody decides what they may not do', async () => {
    const id = await ask();
    expect(await carryOut(asker, decision(id, 'approved'))).toEqual({
      state: 'refused',
      errors: { form: 'errors.approval.own' },
    });
    for (const decided of ['approved', 'refused'])
      expect(await carryOut(reader, decision(id, decided))).toEqual({
        state: 'refused',
        errors: { form: 'errors.admin.out_of_reach' },
      });
    expect(await carryOut(decider, decision(id, 'withdrawn'))).toMatchObject({
      state: 'refused',
      errors: { form: 'errors.approval.foreign' },
    });
    expect([await stateOf(id), await read()]).toMatchObject([{ decision: null }, { version: 1 }]);
    expect(await carryOut(asker, decision(id, 'withdrawn'))).toMatchObject({ state: 'done' });
    expect(await carryOut(decider, decision(id, 'approved'))).toMatchObject({ state: 'inapplicable' });
    expect(await read()).toMatchObject({ version: 1 });
  });

  test('of ten who agree at once one does', async () => {
    const id = await ask();
    const outcomes = await Promise.all(Array.from({ length: 10 }, () => carryOut(decider, decision(id, 'approved'))));
    expect(outcomes.map(({ state }) => state).toSorted()).toEqual(['done', ...Array(9).fill('inapplicable')]);
    expect(await read()).toMatchObject({ version: 2 });
    expect(
      (await listOperations(gapura, 'agencies', code)).filter(({ detail }) => detail.operation === 'change'),
    ).toHaveLength(1);
  });

  test('what was changed meanwhile is not overwritten, and waits on', async () => {
    const id = await ask();
    await gapura.db.updateTable('agencies').set({ name: 'Badan Lain' }).where('code', '=', code).execute();
    expect(await carryOut(decider, decision(id, 'approved'))).toEqual({
      state: 'refused',
      errors: { form: 'errors.approval.changed' },
    });
    expect([await read(), await stateOf(id)]).toMatchObject([{ name: 'Badan Lain' }, { decision: null }]);
    expect(await carryOut(decider, decision(id, 'refused'))).toMatchObject({ state: 'done' });
    expect(await read()).toMatchObject({ name: 'Badan Lain' });
  });

  test('what nobody decided in time is over', async () => {
    const id = await ask();
    try {
      await moveClock(gapura.db, 8 * 86_400);
      const late = { ...decider, actor: { ...decider.actor, signed_in_at: nowSeconds() } };
      expect(await carryOut(late, decision(id, 'approved'))).toMatchObject({ state: 'inapplicable' });
    } finally {
      await resetClock(gapura.db);
    }
    expect(await read()).toMatchObject({ version: 1 });
  });

  test('a program asks nobody, and what is refused waits for nobody', async () => {
    const program = { ...asker, actor: { ...asker.actor, account_id: null, client_id: 'x', scopes: ['admin:write'] } };
    expect(await carryOut(program, change('Badan'))).toMatchObject({ errors: { form: 'errors.admin.needs_person' } });
    expect(await carryOut(asker, change(''))).toMatchObject({ state: 'refused' });
    expect(await carryOut(asker, change('Badan', { version: 9 }))).toMatchObject({ state: 'conflict' });
  });
});

test('without the policy it is done at once', async () => {
  expect(policy('four_eyes.role')).toBe(false);
  expect(await carryOut(asker, change('Badan Sekarang'))).toMatchObject({ state: 'done' });
  expect(await read()).toMatchObject({ name: 'Badan Sekarang' });
});

test('of many who saw one version one changes it', async () => {
  const outcomes = await Promise.all(Array.from({ length: 8 }, (_, at) => carryOut(asker, change(`Badan ke-${at}`))));
  expect(outcomes.map(({ state }) => state).toSorted()).toEqual([...Array(7).fill('conflict'), 'done']);
});

test('what ends badly has done nothing', async () => {
  const run: Operation['run'] = async (tx) => {
    await tx.updateTable('agencies').set({ name: 'Setengah jalan' }).where('code', '=', code).execute();
    return { state: 'refused', errors: { name: 'errors.field.invalid' } };
  };
  const half = { ...named(agencies, 'change'), run };
  expect(await carryOut(asker, change('X', { operation: half }))).toMatchObject({ state: 'refused' });
  expect(await read()).toMatchObject({ name: `Badan ${made}` });
  expect(await listOperations(gapura, 'agencies', code)).toHaveLength(1);
});

describe('the sign-in', () => {
  const weighty = () => ({ ...change('Badan Berat'), operation: { ...named(agencies, 'change'), is_weighty: true } });
  const ago = (seconds: number, client_id: string | null = null): Desk => ({
    ...asker,
    actor: {
      ...asker.actor,
      client_id,
      scopes: client_id ? ['admin:write'] : null,
      signed_in_at: nowSeconds() - seconds,
    },
  });

  test('must be of late for what weighs; a form may be filled for half an hour, a program fills none', async () => {
    expect(await carryOut(ago(3000), weighty())).toEqual({ state: 'stale_sign_in', max_age: 300 });
    expect(await carryOut(ago(600, 'program'), weighty())).toEqual({ state: 'stale_sign_in', max_age: 300 });
    const unknown = { ...asker, actor: { ...asker.actor, signed_in_at: null } };
    expect(await carryOut(unknown, weighty())).toMatchObject({ state: 'stale_sign_in' });
    expect(await carryOut(ago(600), weighty())).toMatchObject({ state: 'done' });
  });

  test('of a program for itself is nobody’s', async () => {
    const program = { ...asker, actor: { ...asker.actor, account_id: null, client_id: 'x', signed_in_at: null } };
    expect(await carryOut(program, weighty())).toMatchObject({ state: 'done' });
  });
});

describe('within reach', () => {
  const officer = async () =>
    deskOf(gapura, await addOfficer(gapura, `petugas_${made}`, 'agency_officer', { agency_code: 'BPOM' }));
  const creation = (agency_code: string): Order => ({
    resource: directorates,
    operation: named(directorates, 'creation'),
    input: { agency_code, code: `D${made}`, name: 'Direktorat' },
  });

  test('one makes in the own place alone', async () => {
    const desk = await officer();
    expect(await carryOut(desk, creation('KEMENDAG'))).toEqual({ state: 'forbidden' });
    expect(await carryOut(desk, creation('BPOM'))).toMatchObject({ state: 'done' });
    expect(await carryOut(desk, change('X'))).toEqual({ state: 'forbidden' });
  });

  test('what says no place is for those who see everything', async () => {
    const desk = await officer();
    const { place: _, ...placeless } = named(directorates, 'creation');
    expect(await carryOut(desk, { ...creation('BPOM'), operation: placeless })).toEqual({ state: 'forbidden' });
    const { within: __, ...everywhere } = directorates;
    const { id } = await gapura.db
      .selectFrom('directorates')
      .select('id')
      .where('agency_code', '=', 'BPOM')
      .limit(1)
      .executeTakeFirstOrThrow();
    const order = { resource: everywhere, operation: named(directorates, 'change'), id, input: { name: 'X' } };
    expect(await carryOut(desk, order)).toEqual({ state: 'not_found' });
  });

  test('what is no id finds nothing', async () => {
    for (const id of ["' OR 1=1", '', 'x'.repeat(5000), '\0', undefined])
      expect(await carryOut(asker, change('X', { id }))).toEqual({ state: 'not_found' });
  });
});

test.each<[string[], string, boolean]>([
  [['admin:read'], 'agencies:read', true],
  [['admin:read'], 'agencies:write', false],
  [['admin:write'], 'agencies:read', true],
  [['admin:write'], 'agencies:write', true],
  [['admin:read'], 'clients:submit', false],
  [['agencies:read'], 'agencies:read', true],
  [['agencies:write'], 'agencies:read', false],
  [['agencies:read'], 'agencies:write', false],
  [['agencies'], 'agencies:read', false],
  [[], 'agencies:read', false],
])('the scopes %j for %s: %j', (scopes, permission, is_enough) => {
  expect(isInScope(scopes, permission as never)).toBe(is_enough);
});

test('the audit tells from what to what, but of what is personal or secret only that it changed', async () => {
  const input = z.object({
    name: z.string(),
    mail: z.string().meta({ personal: true }),
    key: z.string().meta({ secret: true }),
    same: z.string(),
    long: z.string(),
  });
  const operation: Operation = {
    ...named(agencies, 'change'),
    input,
    begin: async () => ({ name: 'lama', mail: 'lama@contoh.example', key: 'kunci lama', same: 'x', long: '' }),
    run: async () => ({ state: 'done', id: code }),
  };
  const typed = { name: 'baru', mail: 'baru@contoh.example', key: 'kunci baru', same: 'x', long: 'y'.repeat(5000) };
  expect(await carryOut(asker, change('', { operation, input: typed }))).toMatchObject({ state: 'done' });
  const [row] = await listOperations(gapura, 'agencies', code);
  const changes = (row?.detail.changes ?? {}) as Record<string, { from: unknown; to: string } | null>;
  expect(changes).toMatchObject({ name: { from: 'lama', to: 'baru' }, mail: null, key: null });
  expect(changes).not.toHaveProperty('same');
  expect(changes.long?.to.length).toBeLessThan(1100);
  expect(JSON.stringify(row)).not.toMatch(/contoh\.example|kunci/);
});

test('what a schema found is told by field, in keys', async () => {
  const input = z.strictObject({ a: z.string(), b: z.int(), c: z.string().max(2, 'errors.too_long') });
  const operation = { ...named(agencies, 'change'), input };
  const refused = await carryOut(asker, change('', { operation, input: { b: 'x', c: 'abc', d: 1 } }));
  expect(refused).toEqual({
    state: 'refused',
    errors: {
      a: 'errors.field.required',
      b: 'errors.field.invalid',
      c: 'errors.too_long',
      form: 'errors.field.unknown',
    },
  });
});
