/** Roles: given once each, where they belong, and to nobody else; and what each of them may do, cell by cell. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createAccount } from '../src/accounts/account.ts';
import type { Database } from '../src/database.ts';
import { saveAgency } from '../src/organisations/agency.ts';
import { saveOrganisation } from '../src/organisations/organisation.ts';
import {
  grantRole,
  isWithin,
  listRoles,
  mayGive,
  type Permission,
  permissions,
  type Role,
  type RoleAssignment,
  reachOf,
  roles,
} from '../src/permissions.ts';
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

const places = {
  trader: { organisation_id: 'o1' },
  company_administrator: { organisation_id: 'o1' },
  developer: { agency_code: 'BPOM' },
  agency_officer: { agency_code: 'BPOM' },
  service_desk: {},
  administrator: {},
  auditor: {},
} as const satisfies Record<Role, { agency_code?: string; organisation_id?: string }>;

const assign = (role: string, at: { agency_code?: string; organisation_id?: string }): RoleAssignment => ({
  id: 'r1',
  account_id: 'a1',
  role,
  agency_code: at.agency_code ?? null,
  organisation_id: at.organisation_id ?? null,
  level: 1,
  granted_by: null,
  granted_at: new Date(0),
});

/** Who holds a role of this name, where such roles are held. */
const holder = (role: Role) => [assign(role, places[role])];

/**
 * Written by hand, a second time: whoever changes the table of src/permissions.ts says here too what they mean. The columns
 * are those of `roles`; `*` is everything, `o` the own agency or organisation, `.` nothing.
 */
const matrix: Record<Permission, string> = {
  //                              trader company developer officer desk administrator auditor
  'agencies:read': '. . . * * * *',
  'agencies:write': '. . . . . * .',
  'directorates:read': '. . . * * * *',
  'directorates:write': '. . . o . * .',
  'organisations:read': '. o . * * * *',
  'organisations:write': '. . . . * * .',
  'memberships:read': '. o . o * * *',
  'memberships:write': '. . . o . * .',
  'applications:read': '. . . o . * *',
  'applications:write': '. . . o . * .',
  'applications:verify': '. . . o . * .',
  'clients:read': '. . . o . * *',
  'clients:write': '. . . o . * .',
  'clients:trust': '. . . . . * .',
  'clients:submit': '. . o . . . .',
  'submissions:read': '. . . o . * *',
  'submissions:decide': '. . . o . * .',
  'links:read': '. . . o . * *',
  'links:decide': '. . . o . * .',
  'accounts:read': '. o . o * * *',
  'accounts:create': '. o . . * * .',
  'accounts:write': '. . . . * * .',
  'accounts:lock': '. o . . * * .',
  'roles:read': '. o . o * * *',
  'roles:write': '. o . o . * .',
  'policies:read': '. . . . . * *',
  'policies:write': '. . . . . * .',
  'resource-servers:read': '. . . o . * .',
  'resource-servers:write': '. . . . . * .',
  'initial-access-tokens:read': '. . . . . * *',
  'initial-access-tokens:write': '. . . . . * .',
  'signing-keys:read': '. . . . . * *',
  'signing-keys:write': '. . . . . * .',
  'mails:read': '. . . . * * *',
  'mails:write': '. . . . * * .',
  'approvals:read': '. o . o * * *',
  'audit:read': '. . . . . * *',
};

const cells = Object.entries(matrix).flatMap(([permission, row]) =>
  row.split(' ').map((extent, at) => [permission as Permission, roles[at] as Role, extent] as const),
);

test('every permission has its row here, every role its column', () => {
  expect(Object.keys(matrix).toSorted()).toEqual(Object.keys(permissions).toSorted());
  expect(Object.values(matrix).filter((row) => row.split(' ').length !== roles.length)).toEqual([]);
  expect(Object.keys(places)).toEqual([...roles]);
});

test.each(cells)('%s of %s reaches %s', (permission, role, extent) => {
  const reach = reachOf(holder(role), permission);
  const { agency_code, organisation_id }: { agency_code?: string; organisation_id?: string } = places[role];
  const own = {
    agencies: agency_code ? [agency_code] : [],
    organisations: organisation_id ? [organisation_id] : [],
  };
  expect(reach).toEqual({ '*': 'everything', o: own, '.': undefined }[extent]);
  expect(isWithin(reach, { agency_code: 'BPOM', organisation_id: 'o1' })).toBe(extent !== '.');
  for (const elsewhere of [
    { agency_code: 'KEMENDAG' },
    { organisation_id: 'o2' },
    { agency_code: 'KEMENDAG', organisation_id: 'o2' },
  ])
    expect(isWithin(reach, elsewhere)).toBe(extent === '*');
  for (const nowhere of [{}, { agency_code: null }, { organisation_id: undefined, agency_code: '' }])
    expect(isWithin(reach, nowhere)).toBe(extent === '*');
  // A role that is held nowhere, or that nobody knows, reaches nothing of its own.
  if (extent === 'o') expect(reachOf([assign(role, {})], permission)).toBeUndefined();
  expect(reachOf([assign(role.toUpperCase(), places[role])], permission)).toBeUndefined();
});

test('several roles reach as far as all of them together, and no further', () => {
  const both = [
    assign('agency_officer', { agency_code: 'BPOM' }),
    assign('agency_officer', { agency_code: 'KEMENDAG' }),
  ];
  expect(reachOf(both, 'clients:write')).toEqual({ agencies: ['BPOM', 'KEMENDAG'], organisations: [] });
  expect(reachOf([...both, assign('administrator', {})], 'clients:write')).toBe('everything');
  // The officer's agency lends nothing to the trader's company.
  expect(reachOf([...both, assign('trader', { organisation_id: 'o1' })], 'accounts:read')).toEqual({
    agencies: ['BPOM', 'KEMENDAG'],
    organisations: [],
  });
  expect(reachOf([], 'agencies:read')).toBeUndefined();
});

/** Which roles each role gives in the place where it is held; an administrator everywhere. */
const giving: Record<Role, Role[]> = {
  trader: [],
  company_administrator: ['trader'],
  developer: [],
  agency_officer: ['developer'],
  service_desk: [],
  administrator: [...roles],
  auditor: [],
};

test.each(roles.flatMap((giver) => roles.map((given) => [giver, given] as const)))(
  '%s gives %s only where both belong',
  (giver, given) => {
    const at = (place: { agency_code?: string; organisation_id?: string }) => ({
      role: given,
      agency_code: place.agency_code ?? null,
      organisation_id: place.organisation_id ?? null,
    });
    const may = giving[giver].includes(given);
    const everywhere = giver === 'administrator';
    expect(mayGive(holder(giver), at(places[giver]))).toBe(may);
    for (const place of [{ agency_code: 'KEMENDAG' }, { organisation_id: 'o2' }])
      expect(mayGive(holder(giver), at(place))).toBe(may && everywhere);
    if (!everywhere) expect(mayGive(holder(giver), at({}))).toBe(false);
    if (!everywhere) expect(mayGive([assign(giver, {})], at({}))).toBe(false);
    expect(mayGive([], at(places[giver]))).toBe(false);
    expect(mayGive(holder(giver), { ...at(places[giver]), role: 'root' })).toBe(false);
  },
);
