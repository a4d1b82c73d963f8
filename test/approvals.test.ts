/** Four eyes: what was asked happens once, by another's decision, in time; nobody reads what was typed. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { createAccount } from '../src/accounts/account.ts';
import {
  type AskedChange,
  askApproval,
  decideApproval,
  findApproval,
  forgetExpired,
  listApprovals,
} from '../src/approvals.ts';
import { Secret } from '../src/crypto.ts';
import { type Database, inTransaction, openDatabase } from '../src/database.ts';
import { policy } from '../src/policy/policy.ts';
import { moveClock, resetClock } from './support/clock.ts';
import { createTestDatabase, type TestDatabase } from './support/postgres.ts';

let database: TestDatabase;
let db: Database;
let other_node: Database;
let asker: string;
let officer: string;
let second_officer: string;

const config = { secrets: [new Secret('the secret of the tests that seals what was typed')] };
const input = { role: 'administrator', note: 'Rahasia-Sekali-77', nested: { list: [1, null] } };
const nobody = '00000000-0000-4000-8000-000000000000';

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  other_node = openDatabase(database.url, { max: 10 });
  const create = async (username: string, full_name: string) =>
    (await inTransaction(db, (tx) => createAccount(tx, { username, full_name }))).id;
  asker = await create('petugas', 'Petugas Contoh');
  officer = await create('admin', 'Admin Contoh');
  second_officer = await create('admin2', 'Admin Kedua');
});

afterEach(() => resetClock(db));

afterAll(async () => {
  await other_node.destroy();
  await database.drop();
});

const asked = (change: Partial<AskedChange> = {}): AskedChange => ({
  resource: 'roles',
  entry_id: 'e1',
  entry_version: 3,
  operation: 'creation',
  input,
  fields: Object.keys(input),
  asked_by: asker,
  because: 'Penanggung jawab baru',
  ...change,
});

const ask = (change: Partial<AskedChange> = {}) => inTransaction(db, (tx) => askApproval(tx, config, asked(change)));

type Decision = Parameters<typeof decideApproval>[3];

const decide = (id: string, by: string, decision: Decision['decision'] = 'approved', from = db) =>
  inTransaction(from, (tx) => decideApproval(tx, config, id, { by, decision, because: 'Sudah dicek' }));

const readRow = async (id: string) =>
  (await sql<Record<string, unknown>>`SELECT * FROM approvals WHERE id = ${id}`.execute(db)).rows[0] ?? {};

test('what was asked waits, told by who, why and which fields, and what was typed is read by nobody', async () => {
  const id = await ask();
  const approval = await findApproval(db, id);
  expect(approval).toEqual({
    id,
    state: 'waiting',
    resource: 'roles',
    entry_id: 'e1',
    entry_version: 3,
    operation: 'creation',
    fields: ['role', 'note', 'nested'],
    asked_by: asker,
    asked_by_name: 'Petugas Contoh',
    asked_at: expect.any(Date),
    because: 'Penanggung jawab baru',
    expires_at: expect.any(Date),
    decision: null,
    decided_by: null,
    decided_by_name: null,
    decided_at: null,
    decision_because: null,
  });
  const days = (Number(approval?.expires_at) - Number(approval?.asked_at)) / 86_400_000;
  expect(Math.abs(days - policy('four_eyes.lifetime'))).toBeLessThan(0.001);
  expect(JSON.stringify(await readRow(id))).not.toContain(input.note);
});

test('what is rolled back was never asked', async () => {
  const failed = inTransaction(db, async (tx) => {
    await askApproval(tx, config, asked({ because: 'batal' }));
    throw new Error('no');
  });
  await expect(failed).rejects.toThrow('no');
  expect((await listApprovals(db, { waiting: true })).map(({ because }) => because)).not.toContain('batal');
});

describe('a decision', () => {
  test('to approve gives what was typed to whoever carries it out, once, and erases it', async () => {
    const id = await ask();
    expect(await decide(id, officer)).toMatchObject({
      state: 'approved',
      input,
      approval: { state: 'approved', decided_by_name: 'Admin Contoh', decision_because: 'Sudah dicek' },
    });
    expect(await readRow(id)).toMatchObject({ input: null, decision: 'approved', decided_by: officer });
    for (const by of [officer, second_officer, asker])
      expect(await decide(id, by)).toEqual({ state: 'refused', because: 'decided' });
  });

  test('to refuse gives nothing and erases it', async () => {
    const id = await ask();
    const outcome = await decide(id, officer, 'refused');
    expect(outcome).toMatchObject({ state: 'turned_down', approval: { state: 'refused' } });
    expect(outcome).not.toHaveProperty('input');
    expect((await readRow(id)).input).toBeNull();
    expect(await decide(id, second_officer)).toEqual({ state: 'refused', because: 'decided' });
  });

  test('is not for whoever asked, who alone may withdraw', async () => {
    const id = await ask();
    for (const decision of ['approved', 'refused'] as const)
      expect(await decide(id, asker, decision)).toEqual({ state: 'refused', because: 'own' });
    expect(await decide(id, officer, 'withdrawn')).toEqual({ state: 'refused', because: 'foreign' });
    expect(await findApproval(db, id)).toMatchObject({ state: 'waiting' });
    expect(await decide(id, asker, 'withdrawn')).toMatchObject({
      state: 'turned_down',
      approval: { state: 'withdrawn' },
    });
    expect(await decide(id, officer)).toEqual({ state: 'refused', because: 'decided' });
  });

  test('not even the database takes one from whoever asked', async () => {
    const id = await ask();
    const write = sql`UPDATE approvals SET decision = 'approved', decided_by = asked_by, decided_at = gapura_now()
      WHERE id = ${id}`.execute(db);
    await expect(write).rejects.toThrow(/violates check constraint/);
  });

  test('that is rolled back leaves everything waiting, with what was typed', async () => {
    const id = await ask();
    const failed = inTransaction(db, async (tx) => {
      expect(await decideApproval(tx, config, id, { by: officer, decision: 'approved' })).toMatchObject({ input });
      throw new Error('the entry changed meanwhile');
    });
    await expect(failed).rejects.toThrow('meanwhile');
    expect(await decide(id, officer)).toMatchObject({ state: 'approved', input });
  });

  test.each([nobody, '', 'x', '1; DROP TABLE approvals', 'a\0b', 'é'.repeat(1000)])(
    'on what nobody asked finds nothing: %j',
    async (id) => {
      expect(await decide(id, officer)).toEqual({ state: 'refused', because: 'unknown' });
      expect(await findApproval(db, id)).toBeUndefined();
    },
  );

  test('of 40 at once on two nodes, to approve, to refuse and to withdraw, one wins', async () => {
    for (let times = 0; times < 3; times += 1) {
      const id = await ask();
      const outcomes = await Promise.all(
        Array.from({ length: 40 }, (_, at) => {
          const from = at % 2 ? db : other_node;
          if (at % 4 === 3) return decide(id, asker, 'withdrawn', from);
          return decide(id, at % 3 ? officer : second_officer, at % 4 === 2 ? 'refused' : 'approved', from);
        }),
      );
      const winners = outcomes.filter(({ state }) => state !== 'refused');
      expect(winners).toHaveLength(1);
      expect(outcomes.filter((one) => one.state === 'refused' && one.because === 'decided')).toHaveLength(39);
      const row = await readRow(id);
      expect(winners).toMatchObject([{ approval: { decision: row.decision, decided_by: row.decided_by } }]);
      const events = await db
        .selectFrom('audit_events')
        .select('detail')
        .where('kind', '=', 'approval_decided')
        .execute();
      expect(events.filter(({ detail }) => detail.approval === id)).toHaveLength(1);
    }
  });
});

describe('time', () => {
  test('ends the waiting: nobody decides any more, and what was typed is erased', async () => {
    const [late, decided] = [await ask(), await ask()];
    await decide(decided, officer);
    const lifetime = policy('four_eyes.lifetime') * 86_400;
    await moveClock(db, lifetime - 60);
    await forgetExpired(db);
    expect((await readRow(late)).input).toEqual(expect.any(String));
    const fresh = await ask();
    await moveClock(db, lifetime + 60);
    for (const [by, decision] of [
      [officer, 'approved'],
      [asker, 'withdrawn'],
    ] as const)
      expect(await decide(late, by, decision)).toEqual({ state: 'refused', because: 'expired' });
    expect(await findApproval(db, late)).toMatchObject({ state: 'expired', decision: null });
    expect(await findApproval(db, decided)).toMatchObject({ state: 'approved' });
    await forgetExpired(db);
    expect((await readRow(late)).input).toBeNull();
    expect(await decide(fresh, officer)).toMatchObject({ state: 'approved', input });
  });
});

test('lists have what waits apart from what is over, the latest first, a page at a time', async () => {
  await sql`DELETE FROM approvals`.execute(db);
  const ids: string[] = [];
  for (let i = 0; i < 5; i += 1) ids.push(await ask({ because: `nomor ${i}` }));
  const [first = '', , third = ''] = ids;
  await decide(first, officer);
  await decide(third, officer, 'refused');
  const list = async (options: Parameters<typeof listApprovals>[1]) =>
    (await listApprovals(db, options)).map(({ because }) => because);
  expect(await list({ waiting: true })).toEqual(['nomor 4', 'nomor 3', 'nomor 1']);
  expect(await list({ waiting: true, limit: 2, offset: 1 })).toEqual(['nomor 3', 'nomor 1']);
  expect(await list({ waiting: false })).toEqual(['nomor 2', 'nomor 0']);
});

test('what was sealed opens in its own row alone, and with an older secret that is still configured', async () => {
  const [one, other] = [await ask(), await ask()];
  await sql`UPDATE approvals SET input = (SELECT input FROM approvals WHERE id = ${one}) WHERE id = ${other}`.execute(
    db,
  );
  await expect(decide(other, officer)).rejects.toThrow();
  expect(await findApproval(db, other)).toMatchObject({ state: 'waiting' });
  const changed = { secrets: [new Secret('a new secret, put in front of the one before'), ...config.secrets] };
  const outcome = await inTransaction(db, (tx) =>
    decideApproval(tx, changed, one, { by: officer, decision: 'approved' }),
  );
  expect(outcome).toMatchObject({ state: 'approved', input });
});

test('asking and deciding are in the audit with who, and without what was typed or said', async () => {
  const id = await ask({ because: 'Alasan-Pribadi' });
  await decide(id, officer, 'refused');
  const events = await db
    .selectFrom('audit_events')
    .selectAll()
    .where(sql<boolean>`detail ->> 'approval' = ${id}`)
    .orderBy('id')
    .execute();
  const about = { approval: id, resource: 'roles', operation: 'creation', entry: 'e1' };
  expect(events).toMatchObject([
    { kind: 'approval_asked', actor_id: asker, detail: about },
    { kind: 'approval_decided', actor_id: officer, detail: { ...about, decision: 'refused' } },
  ]);
  expect(JSON.stringify(events)).not.toMatch(/Rahasia|Alasan|dicek/);
});
