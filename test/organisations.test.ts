/** Organisations: the NPWP in all its forms, and directorates that only the own organisation opens. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createAccount } from '../src/accounts/account.ts';
import type { Database } from '../src/database.ts';
import { seedPeople } from '../src/demo/people.ts';
import {
  addMembership,
  addPerson,
  findAgency,
  findOrganisationOf,
  hasValidCheckDigit,
  listDirectoratesOf,
  normaliseNpwp,
  saveAgency,
  saveDirectorate,
  saveOrganisation,
} from '../src/organisations.ts';
import { createTestDatabase, type TestDatabase } from './support/postgres.ts';

describe('an NPWP', () => {
  test.each([
    ['01.300.066.6-091.000', '0013000666091000'],
    ['013000666091000', '0013000666091000'],
    ['0013000666091000', '0013000666091000'],
    [' 01 300 066 6 091 000 ', '0013000666091000'],
    ['3273016902000001', '3273016902000001'],
  ])('typed as "%s" is %s', (typed, npwp) => expect(normaliseNpwp(typed)).toBe(npwp));

  test.each([
    '',
    '01.300.066.6-091.00',
    '00013000666091000',
    '01.300.066.6-091.00O',
    '01/300/066/6/091/000',
    '٠١٣٠٠٠٦٦٦٠٩١٠٠٠',
  ])('is not what "%s" is', (typed) => expect(normaliseNpwp(typed)).toBeUndefined());

  // The vectors of domain 2.1.
  test.each([
    ['01.300.066.6-091.000', true],
    ['01.312.166.0-091.000', true],
    ['02.183.241.5-000.000', true],
    ['12.345.678.2-123.000', true],
    ['00.000.000.0-000.005', true],
    ['01.300.066.5-091.000', false],
    ['01.234.567.8-901.000', false],
    ['01.234.567.4-901.000', true],
  ])('%s: the check digit holds is %s', (typed, holds) => {
    expect(hasValidCheckDigit(normaliseNpwp(typed) as string)).toBe(holds);
  });

  test('of sixteen digits without a leading zero is a NIK and has no check digit', () => {
    expect(hasValidCheckDigit('3273016902000001')).toBe(true);
    expect(hasValidCheckDigit('3273016902000002')).toBe(true);
  });
});

describe('in the database', () => {
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
    await db.updateTable('directorates').set({ active: true }).execute();
    await db.updateTable('organisations').set({ active: true }).execute();
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
    await addMembership(db, (await findOrganisationOf(db, await accountOf('budi')))?.id as string, id);
    expect(await directoratesOf('budi', 'KEMENDAG')).toEqual(['Impor Pangan']);
    expect(await directoratesOf('budi')).toEqual([medicine, food]);
    expect(await directoratesOf('tono', 'KEMENDAG')).toEqual([]);
    expect(await directoratesOf('budi', 'TIDAKADA')).toEqual([]);
  });

  test('what is switched off is not offered: a directorate, or an organisation with all of its', async () => {
    await db.updateTable('directorates').set({ active: false }).where('code', '=', 'OT').execute();
    expect(await directoratesOf('budi')).toEqual([food]);
    expect(await directoratesOf('tono')).toEqual([]);
    await db.updateTable('organisations').set({ active: false }).where('npwp', '=', '0000001016000000').execute();
    expect(await directoratesOf('budi')).toEqual([]);
  });

  test('two organisations of a person with users in one directorate offer it once', async () => {
    const { id } = await createAccount(db, { username: 'rangkap', full_name: 'Rangkap' });
    for (const npwp of ['0000001016000000', '0000001024000000']) {
      const organisation = await db
        .selectFrom('organisations')
        .select('id')
        .where('npwp', '=', npwp)
        .executeTakeFirstOrThrow();
      await addPerson(db, id, organisation.id);
    }
    expect(await directoratesOf('rangkap')).toEqual([medicine, food]);
  });

  test('a person acts for the own organisation, whose NPWP stands in its 16 digits', async () => {
    expect(await findOrganisationOf(db, await accountOf('budi'))).toMatchObject({
      name: 'PT Contoh Pangan Nusantara',
      npwp: '0000001016000000',
    });
    expect(await findOrganisationOf(db, await accountOf('tono'))).toMatchObject({ name: 'PT Contoh Kosmetika Jaya' });
    expect(await findOrganisationOf(db, await accountOf('layanan'))).toBeUndefined();
  });

  test('an organisation written ten times at once, in old and new form, is one row', async () => {
    const forms = ['01.300.066.6-091.000', '0013000666091000', '013000666091000'];
    const saved = await Promise.all(
      Array.from({ length: 10 }, (_, at) =>
        saveOrganisation(db, { name: `PT Ke-${at}`, npwp: forms[at % 3] as string }),
      ),
    );
    expect(new Set(saved.map(({ id }) => id)).size).toBe(1);
    expect(
      await db.selectFrom('organisations').select('npwp').where('npwp', '=', '0013000666091000').execute(),
    ).toHaveLength(1);
  });

  test('what is not told stays as it was, what is told is brought up to date', async () => {
    const first = await saveOrganisation(db, {
      name: 'PT Lama',
      npwp: '0021832415000000',
      city: 'Bandung',
      edi_number: 'edi-01',
    });
    const second = await saveOrganisation(db, { name: 'PT Baru', npwp: '02.183.241.5-000.000', city: null });
    expect(second).toMatchObject({ id: first.id, name: 'PT Baru', city: null, edi_number: 'EDI-01' });
  });

  test.each([
    ['npwp', '123'],
    ['nitku', '123'],
    ['nib', '123456789012x'],
    ['edi_number', 'EDI 01'],
    ['edi_number', 'X'.repeat(36)],
    ['srp', '00<1'],
    ['postal_code', '1011'],
    ['name', ' '],
  ])('a wrong %s ("%s") is refused and nothing is written', async (field, value) => {
    const before = await db.selectFrom('organisations').selectAll().orderBy('id').execute();
    await expect(
      saveOrganisation(db, { name: 'PT X', npwp: '0123456782123000', [field]: value }),
    ).rejects.toMatchObject({
      issues: [expect.objectContaining({ path: [field] })],
    });
    expect(await db.selectFrom('organisations').selectAll().orderBy('id').execute()).toEqual(before);
  });

  test('an agency and a directorate written again keep their place and take the new name', async () => {
    await saveAgency(db, { code: 'BPOM', name: 'Badan POM', name_en: 'BPOM' });
    expect(await findAgency(db, 'BPOM')).toMatchObject({ name: 'Badan POM', name_en: 'BPOM', active: true });
    expect(await findAgency(db, 'bpom')).toBeUndefined();
    const first = await saveDirectorate(db, { agency_code: 'BPOM', code: 'NAPZA', name: 'Satu' });
    expect(await saveDirectorate(db, { agency_code: 'BPOM', code: 'NAPZA', name: 'Dua' })).toEqual({
      ...first,
      name: 'Dua',
    });
  });
});
