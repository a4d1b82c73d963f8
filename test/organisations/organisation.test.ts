/** Organisations: one for each NPWP, changed only by who saw them as they are, refused in words beside the field. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { createAccount } from '../../src/accounts/account.ts';
import { type Database, inTransaction } from '../../src/database.ts';
import {
  addPerson,
  changeOrganisation,
  createOrganisation,
  findOrganisation,
  findOrganisationOf,
  is_npwp_doubtful,
  type Organisation,
  type OrganisationRules,
  organisationSchema,
  saveOrganisation,
  setOrganisationActive,
} from '../../src/organisations/organisation.ts';
import { hasValidCheckDigit } from '../../src/organisations/shapes.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let db: Database;

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
});

afterAll(() => database.drop());

const trial: OrganisationRules = { is_production: false };
const real: OrganisationRules = { is_production: true };

type Input = Parameters<typeof saveOrganisation>[1];

const create = (input: Input, rules = trial) =>
  inTransaction(db, (tx) => createOrganisation(tx, organisationSchema.parse(input), rules));
const change = (organisation: Pick<Organisation, 'id' | 'version'>, input: Input, rules = trial) =>
  inTransaction(db, (tx) => changeOrganisation(tx, organisation, organisationSchema.parse(input), rules));
const listAll = () => db.selectFrom('organisations').selectAll().orderBy('id').execute();

async function created(input: Input): Promise<Organisation> {
  const saved = await create(input);
  if (saved.state !== 'done') throw new Error(`refused: ${JSON.stringify(saved)}`);
  return saved.organisation;
}

describe('a new organisation', () => {
  test('stands with its numbers in their stored form', async () => {
    expect(
      await created({
        name: ' PT Contoh Pangan Nusantara ',
        npwp: '00.000.101.6-000.000',
        nitku: '0000001016000000.000000',
        nib: '0000000000101',
        edi_number: 'edi-cpn-0101',
        srp: '001010',
        city: '',
        time_zone: 'Asia/Makassar',
      }),
    ).toMatchObject({
      name: 'PT Contoh Pangan Nusantara',
      npwp: '0000001016000000',
      nitku: '0000001016000000000000',
      edi_number: 'EDI-CPN-0101',
      city: null,
      time_zone: 'Asia/Makassar',
      active: true,
      version: 1,
    });
  });

  test('with an NPWP that another has is refused, in old form or new, and the other stays as it was', async () => {
    const other = await created({ name: 'PT Pertama', npwp: '0013000666091000' });
    for (const npwp of ['01.300.066.6-091.000', '0013000666091000'])
      expect(await create({ name: 'PT Kedua', npwp })).toEqual({
        state: 'refused',
        errors: { npwp: 'errors.organisation.npwp_taken' },
      });
    expect(await findOrganisation(db, other.id)).toEqual(other);
  });

  test('made by ten at once is one', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 10 }, (_, at) => create({ name: `PT Ke-${at}`, npwp: '01.312.166.0-091.000' })),
    );
    expect(outcomes.filter(({ state }) => state === 'done')).toHaveLength(1);
    expect(outcomes.filter(({ state }) => state === 'refused')).toHaveLength(9);
    expect((await listAll()).filter(({ npwp }) => npwp === '0013121660091000')).toHaveLength(1);
  });

  test('whose NITKU begins with another NPWP is refused beside the NITKU', async () => {
    expect(await create({ name: 'PT X', npwp: '0000001024000000', nitku: '0000001016000000000000' })).toEqual({
      state: 'refused',
      errors: { nitku: 'errors.organisation.nitku_npwp' },
    });
  });

  test('whose check digit fails is saved, and said to be doubtful', async () => {
    const { id } = await created({ name: 'PT Ragu', npwp: '01.300.066.5-091.000' });
    const row = await db
      .selectFrom('organisations as o')
      .select(is_npwp_doubtful.as('is_doubtful'))
      .where('o.id', '=', id)
      .executeTakeFirstOrThrow();
    expect(row.is_doubtful).toBe(true);
  });

  test('with the placeholder of document D is for trials only', async () => {
    const placeholder = { name: 'Badan Pengawas Obat dan Makanan', npwp: '00.000.000.0-000.005' };
    expect(await create(placeholder, real)).toEqual({
      state: 'refused',
      errors: { npwp: 'errors.organisation.npwp_placeholder' },
    });
    const organisation = await created(placeholder);
    // One that stands from a trial can still be put right.
    expect(await change(organisation, { ...placeholder, city: 'Jakarta' }, real)).toMatchObject({ state: 'done' });
    const other = await created({ name: 'PT Lain', npwp: '0010000038000000' });
    expect(await change(other, { name: 'PT Lain', npwp: '00.000.000.0-000.006' }, real)).toEqual({
      state: 'refused',
      errors: { npwp: 'errors.organisation.npwp_placeholder' },
    });
  });
});

test('SQL finds the same check digits wrong as the service does', async () => {
  const numbers = Array.from({ length: 400 }, (_, at) => `0${String(at * 24_691_357 + 7).padStart(15, '0')}`);
  const { rows } = await sql<{ npwp: string; is_doubtful: boolean }>`
    SELECT o.npwp, ${is_npwp_doubtful} AS is_doubtful FROM unnest(${numbers}::text[]) AS o (npwp)`.execute(db);
  expect(rows.map(({ is_doubtful }) => is_doubtful)).toEqual(numbers.map((npwp) => !hasValidCheckDigit(npwp)));
  expect(new Set(rows.map(({ is_doubtful }) => is_doubtful)).size).toBe(2);
});

describe('a change', () => {
  test('is done for who saw the organisation as it is, and for nobody after', async () => {
    const before = await created({ name: 'PT Lama', npwp: '0000001032000000', city: 'Bandung', nib: '0000000000103' });
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, (_, at) => change(before, { name: `PT Baru ${at}`, npwp: before.npwp, city: null })),
    );
    expect(outcomes.map(({ state }) => state).toSorted()).toEqual([...Array(7).fill('conflict'), 'done']);
    const now = await findOrganisation(db, before.id);
    expect(now).toMatchObject({ version: 2, city: null, nib: '0000000000103' });
    expect(now?.name).toMatch(/^PT Baru \d$/);
    expect(now?.updated_at.getTime()).toBeGreaterThan(before.updated_at.getTime());
  });

  test('that changes nothing leaves the version as it was', async () => {
    const before = await created({ name: 'PT Tetap', npwp: '0000001040000000' });
    expect(await change(before, { name: 'PT Tetap', npwp: '00.000.104.0-000.000' })).toMatchObject({
      state: 'done',
      organisation: { version: 1 },
    });
  });

  test('to an NPWP that another has is refused and leaves the transaction whole', async () => {
    const one = await created({ name: 'PT Satu', npwp: '0000001057000000' });
    const other = await created({ name: 'PT Dua', npwp: '0000001065000000' });
    await inTransaction(db, async (tx) => {
      const values = organisationSchema.parse({ name: 'PT Satu', npwp: other.npwp });
      expect(await changeOrganisation(tx, one, values, trial)).toEqual({
        state: 'refused',
        errors: { npwp: 'errors.organisation.npwp_taken' },
      });
      expect(await findOrganisation(tx, one.id)).toEqual(one);
    });
  });

  test('of the NPWP alone is refused while the NITKU is still that of the old one', async () => {
    const before = await created({ name: 'PT Tiga', npwp: '0000001073000000', nitku: '0000001073000000000000' });
    const refused = { state: 'refused', errors: { nitku: 'errors.organisation.nitku_npwp' } };
    expect(await change(before, { name: 'PT Tiga', npwp: '0000001081000000' })).toEqual(refused);
    expect(
      await change(before, { name: 'PT Tiga', npwp: '0000001081000000', nitku: '0000001081000000000001' }),
    ).toMatchObject({ state: 'done' });
  });

  test('of an organisation that is gone is too late', async () => {
    const nobody = { id: '6f9619ff-8b86-4d01-b42d-00cf4fc964ff', version: 1 };
    expect(await change(nobody, { name: 'PT X', npwp: '0000002014000000' })).toEqual({ state: 'conflict' });
  });

  test('of the state is done once, and counts as a version', async () => {
    const { id } = await created({ name: 'PT Saklar', npwp: '0013000674091000' });
    const turns = await Promise.all(
      Array.from({ length: 5 }, () => inTransaction(db, (tx) => setOrganisationActive(tx, id, false))),
    );
    expect(turns.filter(({ state }) => state === 'done')).toHaveLength(1);
    expect(await findOrganisation(db, id)).toMatchObject({ active: false, version: 2 });
  });
});

describe('written by its NPWP', () => {
  test('ten times at once, in old and new form, it is one row', async () => {
    const forms = ['12.345.678.2-123.000', '0123456782123000', '123456782123000'];
    const saved = await Promise.all(
      Array.from({ length: 10 }, (_, at) =>
        saveOrganisation(db, { name: `PT Ke-${at}`, npwp: forms[at % 3] as string }),
      ),
    );
    expect(new Set(saved.map(({ id }) => id)).size).toBe(1);
    expect((await listAll()).filter(({ npwp }) => npwp === '0123456782123000')).toHaveLength(1);
  });

  test('what is not told stays as it was, what is told is brought up to date', async () => {
    const known = { name: 'PT Lama', npwp: '0021832415000000', city: 'Bandung', edi_number: 'edi-01' };
    const first = await saveOrganisation(db, known);
    expect(await saveOrganisation(db, known)).toEqual(first);
    const second = await saveOrganisation(db, { name: 'PT Baru', npwp: '02.183.241.5-000.000', city: null });
    expect(second).toMatchObject({ id: first.id, name: 'PT Baru', city: null, edi_number: 'EDI-01', version: 2 });
  });

  test.each([
    ['npwp', '123'],
    ['npwp', '1234567890123456'],
    ['nitku', '123'],
    ['nib', '123456789012x'],
    ['edi_number', 'EDI 01'],
    ['edi_number', 'X'.repeat(36)],
    ['srp', '00<1'],
    ['postal_code', '1011'],
    ['name', ' '],
    ['name', 'PT\u0000X'],
    ['time_zone', 'Europe/Berlin'],
  ])('a wrong %s ("%s") is refused and nothing is written', async (field, value) => {
    const before = await listAll();
    await expect(
      saveOrganisation(db, { name: 'PT X', npwp: '0123456782123000', [field]: value }),
    ).rejects.toMatchObject({ issues: [expect.objectContaining({ path: [field] })] });
    expect(await listAll()).toEqual(before);
  });
});

test('a person acts for the earliest organisation, and is found with it by id or NPWP alone', async () => {
  const first = await saveOrganisation(db, { name: 'PT Awal', npwp: '0010000012000000' });
  const second = await saveOrganisation(db, { name: 'PT Akhir', npwp: '0010000020000000' });
  const { id } = await createAccount(db, { username: 'rangkap', full_name: 'Rangkap' });
  expect(await findOrganisationOf(db, id)).toBeUndefined();
  await addPerson(db, id, first.id);
  await addPerson(db, id, second.id);
  expect((await findOrganisationOf(db, id))?.id).toBe(first.id);
  for (const named of [first.id, '0010000012000000', '01.000.001.2-000.000'])
    expect((await findOrganisation(db, named))?.id).toBe(first.id);
  for (const named of ['', 'PT Awal', `${first.id}x`, "' OR true --", '00100000120000001'])
    expect(await findOrganisation(db, named)).toBeUndefined();
});
