/** Applications as officers write them: what their ids, addresses and clients may be, each version once. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import {
  applicationSchema,
  changeApplication,
  createApplication,
  newApplicationSchema,
  updateApplication,
} from '../../src/applications/application.ts';
import { type Database, inTransaction } from '../../src/database.ts';
import { saveAgency } from '../../src/organisations/agency.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let db: Database;

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  for (const code of ['BPOM', 'KEMENHUB']) await saveAgency(db, { code, name: code, name_en: code });
});

beforeEach(async () => {
  for (const table of ['applications', 'clients'] as const) await db.deleteFrom(table).execute();
  for (const [id, agency_code] of [
    ['klien', 'BPOM'],
    ['klien-lain', 'KEMENHUB'],
    ['klien-bebas', null],
  ] as const)
    await db.insertInto('clients').values({ id, agency_code, metadata: '{}' }).execute();
});

afterAll(() => database.drop());

const description = {
  name: 'Aplikasi satu',
  about: 'Untuk uji',
  about_en: 'For tests',
  url: 'https://satu.example/',
  agency_code: 'BPOM',
  client_id: null as string | null,
};

const create = (id: string, changes: Partial<typeof description> = {}, is_production = true) =>
  inTransaction(db, (tx) => createApplication(tx, { id, ...description, ...changes }, { is_production }));

const change = (id: string, version: number, changes: Partial<typeof description> = {}) =>
  inTransaction(db, (tx) =>
    changeApplication(tx, { id, version }, { ...description, ...changes }, { is_production: true }),
  );

const refused = (errors: object) => ({ state: 'refused', errors });

test.each(['selection', 'creation', 'A', 'a', 'A-B', 'a b', 'é', 'a'.repeat(41), '', '../x', 'a\0b'])(
  'the id "%s" is none',
  (id) => {
    expect(newApplicationSchema.safeParse({ ...description, id }).success).toBe(false);
  },
);

test.each(['name', 'about', 'about_en', 'url'])('%s must be there, on one line, and not endless', (field) => {
  for (const value of ['', '  ', 'a\nb', 'a\0b', 'x'.repeat(501), 7, null, ['a']])
    expect([value, applicationSchema.safeParse({ ...description, [field]: value }).success]).toEqual([value, false]);
  expect(applicationSchema.parse({ ...description, [field]: ' x ' })).toMatchObject({ [field]: 'x' });
});

describe('the address', () => {
  test.each(['https://satu.example/', 'https://satu.example:8443/masuk?x=1', 'https://SATU.example'])(
    '%s is one',
    async (url) => {
      expect(await create('satu', { url })).toEqual({ state: 'done' });
    },
  );

  test.each([
    'http://satu.example/',
    'http://localhost:3001/',
    'javascript:alert(1)',
    'https:satu.example',
    'https://budi@satu.example/',
    'https://budi:sandi@satu.example/',
    'https://satu.example\\@lain.example/',
    'data:text/html,x',
    '//satu.example/',
    'satu.example',
  ])('%s is none', async (url) => {
    expect(await create('satu', { url })).toEqual(refused({ url: 'errors.application.url' }));
  });

  test('may be this very machine outside production', async () => {
    for (const [at, url] of ['http://localhost:3001/', 'http://127.0.0.1/', 'http://e-bpom.localhost:1/'].entries())
      expect([url, await create(`a${at}`, { url }, false)]).toEqual([url, { state: 'done' }]);
    for (const url of ['http://satu.example/', 'http://localhost.example/', 'http://10.0.0.1/'])
      expect([url, await create('satu', { url }, false)]).toEqual([url, refused({ url: 'errors.application.url' })]);
  });
});

describe('the client', () => {
  test('is one of the same agency, and stands behind one application', async () => {
    for (const client_id of ['klien-lain', 'klien-bebas', 'tidak-ada'])
      expect([client_id, await create('satu', { client_id })]).toEqual([
        client_id,
        refused({ client_id: 'errors.application.client_elsewhere' }),
      ]);
    expect(await create('satu', { client_id: 'klien' })).toEqual({ state: 'done' });
    expect(await create('dua', { client_id: 'klien' })).toEqual(
      refused({ client_id: 'errors.application.client_taken' }),
    );
    expect(await change('satu', 1, { client_id: 'klien', name: 'Lain' })).toEqual({ state: 'done' });
    expect(await change('satu', 2, { client_id: 'klien', agency_code: 'KEMENHUB' })).toEqual(
      refused({ client_id: 'errors.application.client_elsewhere' }),
    );
  });

  test('of 20 applications at once that want it one has it', async () => {
    for (let at = 0; at < 10; at += 1) await create(`lama-${at}`);
    const outcomes = await Promise.all([
      ...Array.from({ length: 10 }, (_, at) => create(`baru-${at}`, { client_id: 'klien' })),
      ...Array.from({ length: 10 }, (_, at) => change(`lama-${at}`, 1, { client_id: 'klien' })),
    ]);
    expect(outcomes.filter(({ state }) => state === 'done')).toHaveLength(1);
    const held = await db.selectFrom('applications').select('id').where('client_id', '=', 'klien').execute();
    expect(held).toHaveLength(1);
  });
});

test('an agency that is none is refused beside its field', async () => {
  expect(await create('satu', { agency_code: 'TIDAK-ADA' })).toEqual(refused({ agency_code: 'errors.agency.unknown' }));
});

test('an id is given once, also to 20 at once', async () => {
  const outcomes = await Promise.all(Array.from({ length: 20 }, () => create('satu')));
  expect(outcomes.filter(({ state }) => state === 'done')).toHaveLength(1);
  expect(outcomes).toContainEqual(refused({ id: 'errors.application.id_taken' }));
});

test('each version is changed once', async () => {
  await create('satu');
  const outcomes = await Promise.all(
    Array.from({ length: 20 }, (_, at) =>
      inTransaction(db, (tx) => updateApplication(tx, { id: 'satu', version: 1 }, { name: `Nama ${at}` })),
    ),
  );
  expect(outcomes.filter(({ state }) => state === 'done')).toHaveLength(1);
  const row = await db.selectFrom('applications').select('version').executeTakeFirstOrThrow();
  expect(row.version).toBe(2);
  expect(await change('satu', 1, { name: 'Terlambat' })).toEqual({ state: 'conflict' });
  expect(await change('tidak-ada', 1)).toEqual({ state: 'conflict' });
});
