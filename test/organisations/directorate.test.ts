/** Directorates and memberships: only the own organisation opens one, and only while both are switched on. */

import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { createAccount } from '../../src/accounts/account.ts';
import { type Database, inTransaction } from '../../src/database.ts';
import { seedPeople } from '../../src/demo/people.ts';
import { saveAgency } from '../../src/organisations/agency.ts';
import {
  addMembership,
  changeDirectorate,
  createDirectorate,
  listDirectorates,
  listDirectoratesOf,
  nameDirectorate,
  removeMembership,
  saveDirectorate,
  setDirectorateActive,
  weighDirectorate,
} from '../../src/organisations/directorate.ts';
import { addPerson, findOrganisation, findOrganisationOf } from '../../src/organisations/organisation.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let db: Database;
const food = 'Inspeksi dan Sertifikasi Produk Pangan';
const medicine = 'Inspeksi dan Sertifikasi Obat Tradisional, Kosmetik, dan Produk Komplemen';

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  await saveAgency(db, { code: 'BPOM', name: 'Badan Pengawas Obat dan Makanan', name_en: 'Food and Drug Authority' });
  await saveAgency(db, { code: 'KEMENDAG', name: 'Kementerian Perdagangan', name_en: 'Ministry of Trade' });
  await seedPeople(db);
});

beforeEach(async () => {
  for (const table of ['agencies', 'directorates', 'organisations'] as const)
    await db.updateTable(table).set({ active: true }).execute();
});

afterAll(() => database.drop());

const accountOf = async (canonical: string) =>
  (
    await db
      .selectFrom('account_identifiers')
      .select('account_id')
      .where('canonical', '=', canonical)
      .executeTakeFirstOrThrow()
  ).account_id;
const organisationOf = async (canonical: string) =>
  (await findOrganisationOf(db, await accountOf(canonical)))?.id as string;
const directoratesOf = async (canonical: string, agency = 'BPOM') =>
  (await listDirectoratesOf(db, await accountOf(canonical), agency)).map(({ name }) => name);

test('Budi may choose between his two directorates, by name, and his colleague the same', async () => {
  expect(await directoratesOf('budi')).toEqual([medicine, food]);
  expect(await directoratesOf('sari')).toEqual([medicine, food]);
});

test('Tono, of another company, has one, and whoever is of none has none', async () => {
  expect(await directoratesOf('tono')).toEqual([medicine]);
  expect(await directoratesOf('petugas')).toEqual([]);
});

test('an agency offers its own directorates alone, whatever their codes', async () => {
  const { id } = await saveDirectorate(db, { agency_code: 'KEMENDAG', code: 'PANGAN', name: 'Impor Pangan' });
  expect(await directoratesOf('budi', 'KEMENDAG')).toEqual([]);
  expect(await addMembership(db, await organisationOf('budi'), id)).toBe(true);
  expect(await addMembership(db, await organisationOf('budi'), id)).toBe(false);
  expect(await directoratesOf('budi', 'KEMENDAG')).toEqual(['Impor Pangan']);
  expect(await directoratesOf('budi')).toEqual([medicine, food]);
  expect(await directoratesOf('tono', 'KEMENDAG')).toEqual([]);
  expect(await directoratesOf('budi', 'TIDAKADA')).toEqual([]);
  expect(await weighDirectorate(db, id)).toEqual({ organisations: 1, people: 2 });
  expect(await weighDirectorate(db, id, await organisationOf('tono'))).toEqual({ organisations: 0, people: 0 });

  const remove = async (whose: string) => {
    const organisation = await organisationOf(whose);
    return inTransaction(db, (tx) => removeMembership(tx, organisation, id));
  };
  expect([await remove('tono'), await remove('budi'), await remove('budi')]).toEqual([false, true, false]);
  expect(await directoratesOf('budi', 'KEMENDAG')).toEqual([]);
});

test('what is switched off is not offered: a directorate, an agency, or an organisation with all of its', async () => {
  await db.updateTable('directorates').set({ active: false }).where('code', '=', 'OT').execute();
  expect(await directoratesOf('budi')).toEqual([food]);
  expect(await directoratesOf('tono')).toEqual([]);
  await db.updateTable('organisations').set({ active: false }).where('npwp', '=', '0000001016000000').execute();
  expect(await directoratesOf('budi')).toEqual([]);
  await db.updateTable('organisations').set({ active: true }).execute();
  await db.updateTable('agencies').set({ active: false }).where('code', '=', 'BPOM').execute();
  expect(await directoratesOf('budi')).toEqual([]);
});

test('two organisations of a person with users in one directorate offer it once', async () => {
  const { id } = await createAccount(db, { username: 'rangkap', full_name: 'Rangkap' });
  for (const npwp of ['0000001016000000', '0000001024000000'])
    await addPerson(db, id, (await findOrganisation(db, npwp))?.id as string);
  expect(await directoratesOf('rangkap')).toEqual([medicine, food]);
});

test('written again it keeps its place and takes the new name', async () => {
  const first = await saveDirectorate(db, { agency_code: 'BPOM', code: 'NAPZA', name: 'Satu', name_en: 'One' });
  const again = await saveDirectorate(db, { agency_code: 'BPOM', code: 'NAPZA', name: 'Dua' });
  expect(again).toMatchObject({ id: first.id, name: 'Dua', name_en: 'One', version: first.version + 1 });
});

test('made by ten at once is one, and none is made at an agency that is not there', async () => {
  const make = (agency_code: string, name = 'Baru') =>
    inTransaction(db, (tx) => createDirectorate(tx, { agency_code, code: 'BARU', name, name_en: null }));
  const outcomes = await Promise.all(Array.from({ length: 10 }, (_, at) => make('BPOM', `Ke-${at}`)));
  expect(outcomes.filter(({ state }) => state === 'done')).toHaveLength(1);
  expect(await make('BPOM')).toEqual({ state: 'refused', errors: { code: 'errors.directorate.code_taken' } });
  expect(await make('TIDAKADA')).toEqual({ state: 'refused', errors: { agency_code: 'errors.agency.unknown' } });
  expect(await make('KEMENDAG')).toMatchObject({ state: 'done' });
});

test('changed by eight who saw the same is changed once, and switched off by five once', async () => {
  const { id, version } = await saveDirectorate(db, { agency_code: 'BPOM', code: 'UBAH', name: 'Lama' });
  const changes = await Promise.all(
    Array.from({ length: 8 }, (_, at) =>
      inTransaction(db, (tx) => changeDirectorate(tx, { id, version }, { name: `Ke-${at}`, name_en: null })),
    ),
  );
  expect(changes.filter(({ state }) => state === 'done')).toHaveLength(1);
  const turns = await Promise.all(
    Array.from({ length: 5 }, () => inTransaction(db, (tx) => setDirectorateActive(tx, id, false))),
  );
  expect(turns.filter(({ state }) => state === 'done')).toHaveLength(1);
});

test('is listed for some agencies, for all, and for none', async () => {
  const codes = async (agencies?: string[]) => [
    ...new Set((await listDirectorates(db, agencies)).map(({ agency_code }) => agency_code)),
  ];
  expect([await codes(), await codes(['KEMENDAG']), await codes([])]).toEqual([['BPOM', 'KEMENDAG'], ['KEMENDAG'], []]);
});

test('is called by its English name where it has one and English is read', () => {
  const names = { name: 'Pangan', name_en: 'Food' };
  expect(nameDirectorate(names, 'en')).toBe('Food');
  expect(nameDirectorate(names, 'id')).toBe('Pangan');
  expect(nameDirectorate({ ...names, name_en: null }, 'en')).toBe('Pangan');
});
