/** Agencies: one for each code, renamed only by who saw them as they are. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Database, inTransaction } from '../../src/database.ts';
import {
  changeAgency,
  createAgency,
  findAgency,
  newAgencySchema,
  saveAgency,
  setAgencyActive,
} from '../../src/organisations/agency.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let db: Database;

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  await saveAgency(db, { code: 'BPOM', name: 'Badan Pengawas Obat dan Makanan', name_en: 'Food and Drug Authority' });
});

afterAll(() => database.drop());

test('written again it keeps what officers made of it', async () => {
  await inTransaction(db, (tx) =>
    changeAgency(tx, { code: 'BPOM', version: 1 }, { name: 'Badan POM', name_en: 'BPOM' }),
  );
  await saveAgency(db, { code: 'BPOM', name: 'Badan Pengawas Obat dan Makanan', name_en: 'Food and Drug Authority' });
  expect(await findAgency(db, 'BPOM')).toMatchObject({ name: 'Badan POM', name_en: 'BPOM', active: true, version: 2 });
  expect(await findAgency(db, 'bpom')).toBeUndefined();
});

test('made by ten at once is one', async () => {
  const outcomes = await Promise.all(
    Array.from({ length: 10 }, (_, at) =>
      inTransaction(db, (tx) => createAgency(tx, { code: 'KLH', name: `Ke-${at}`, name_en: `No. ${at}` })),
    ),
  );
  expect(outcomes.filter(({ state }) => state === 'done')).toHaveLength(1);
  expect(outcomes.find(({ state }) => state === 'refused')).toEqual({
    state: 'refused',
    errors: { code: 'errors.agency.code_taken' },
  });
});

test('changed by eight who saw the same is changed once', async () => {
  await saveAgency(db, { code: 'ESDM', name: 'Lama', name_en: 'Old' });
  const outcomes = await Promise.all(
    Array.from({ length: 8 }, (_, at) =>
      inTransaction(db, (tx) =>
        changeAgency(tx, { code: 'ESDM', version: 1 }, { name: `Baru ${at}`, name_en: `New ${at}` }),
      ),
    ),
  );
  expect(outcomes.filter(({ state }) => state === 'done')).toHaveLength(1);
  expect(await findAgency(db, 'ESDM')).toMatchObject({ version: 2 });
});

test('is switched off once and on again', async () => {
  const turn = (active: boolean) => inTransaction(db, (tx) => setAgencyActive(tx, 'BPOM', active));
  expect([await turn(false), await turn(false), await turn(true)].map(({ state }) => state)).toEqual([
    'done',
    'conflict',
    'done',
  ]);
});

test.each([
  [' bpom ', 'BPOM'],
  ['dirjen-x', 'DIRJEN-X'],
  ['B', undefined],
  ['B POM', undefined],
  ['BPOM/1', undefined],
  ['B'.repeat(21), undefined],
  ['B'.repeat(100_000), undefined],
])('the code "%s" is %s', (typed, code) => {
  const read = newAgencySchema.safeParse({ code: typed, name: 'Nama', name_en: 'Name' });
  expect(read.data?.code).toBe(code);
});
