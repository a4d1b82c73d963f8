/** Roles: given once each, where they belong, and to nobody else. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createAccount } from '../src/accounts/account.ts';
import type { Database } from '../src/database.ts';
import { saveAgency, saveOrganisation } from '../src/organisations.ts';
import { grantRole, listRoles } from '../src/permissions.ts';
import { createTestDatabase, type TestDatabase } from './support/postgres.ts';

let database: TestDatabase;
let db: Database;
let budi: string;
let tono: string;
let company: string;
let other_company: string;

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  budi = (await createAccount(db, { username: 'budi', full_name: 'Budi Contoh' })).id;
  tono = (await createAccount(db, { username: 'tono', full_name: 'Tono Contoh' })).id;
  await saveAgency(db, { code: 'BPOM', name: 'Badan Pengawas Obat dan Makanan', name_en: 'Food and Drug Authority' });
  company = (await saveOrganisation(db, { name: 'PT Satu', npwp: '0000001016000000' })).id;
  other_company = (await saveOrganisation(db, { name: 'PT Dua', npwp: '0000001024000000' })).id;
});

afterAll(() => database.drop());

const rolesOf = async (account_id: string) =>
  (await listRoles(db, account_id)).map(({ role, agency_code, organisation_id, level }) => ({
    role,
    agency_code,
    organisation_id,
    level,
  }));

test('nobody has a role from the start', async () => {
  expect(await listRoles(db, budi)).toEqual([]);
});

test('a role holds at its agency or in its organisation, for its person alone', async () => {
  await grantRole(db, budi, 'trader', { organisation_id: company, granted_by: tono });
  expect(await listRoles(db, budi)).toEqual([
    expect.objectContaining({
      role: 'trader',
      agency_code: null,
      organisation_id: company,
      level: 1,
      granted_by: tono,
    }),
  ]);
  expect(await listRoles(db, tono)).toEqual([]);
});

test('given again it changes nothing, also by ten at once and where it belongs to no place', async () => {
  const before = await listRoles(db, budi);
  await Promise.all(
    Array.from({ length: 10 }, () => grantRole(db, budi, 'trader', { organisation_id: company, level: 3 })),
  );
  expect(await listRoles(db, budi)).toEqual(before);
  await Promise.all(Array.from({ length: 10 }, () => grantRole(db, tono, 'service_desk')));
  expect(await rolesOf(tono)).toEqual([{ role: 'service_desk', agency_code: null, organisation_id: null, level: 1 }]);
});

test('the same role elsewhere is another one, and the highest level stands first', async () => {
  await grantRole(db, budi, 'trader', { organisation_id: other_company, level: 2 });
  await grantRole(db, budi, 'agency_officer', { agency_code: 'BPOM', level: 5 });
  expect((await rolesOf(budi)).map(({ role, level }) => [role, level])).toEqual([
    ['agency_officer', 5],
    ['trader', 2],
    ['trader', 1],
  ]);
});

test('a role at an agency that does not exist is refused', async () => {
  await expect(grantRole(db, tono, 'agency_officer', { agency_code: 'TIDAKADA' })).rejects.toMatchObject({
    code: '23503',
  });
});
