// The demonstration's applications, as Gapura's own rules read them.

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { listApplications } from '../../src/applications/table.ts';
import { demoApplications, seedApplications } from '../../src/demo/people.ts';
import { httpSettings } from '../../src/links/verifiers/http.ts';
import { saveAgency } from '../../src/organisations/agency.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

const addresses = {
  e_bpom: 'http://localhost:3001',
  cargolink: 'http://localhost:3002',
  portal_insw: 'http://localhost:3003',
};

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
  for (const code of ['BPOM', 'KEMENHUB', 'LNSW']) await saveAgency(database.db, { code, name: code, name_en: code });
  for (const id of ['e-bpom', 'portal-insw'])
    await database.db.insertInto('clients').values({ id, metadata: '{}' }).execute();
});

afterAll(() => database?.drop());

test('three applications, of which e-BPOM can be asked for links; a second start changes nothing', async () => {
  const nobody = '00000000-0000-4000-8000-000000000000';
  const list = () => listApplications(database.db, nobody, { page: 1, size: 20 });
  await seedApplications(database.db, addresses);
  const first = await list();
  const shown = first.rows.map(({ id, agency_code, url, is_supported }) => [id, agency_code, url, is_supported]);
  expect(shown.sort()).toEqual([
    ['cargolink', 'KEMENHUB', 'http://localhost:3002/', false],
    ['e-bpom', 'BPOM', 'http://localhost:3001/', true],
    ['portal-insw', 'LNSW', 'http://localhost:3003/', false],
  ]);
  await seedApplications(database.db, addresses);
  expect(await list()).toEqual(first);
});

test('the settings of e-BPOM’s verifier are complete, and name its host alone', () => {
  const [e_bpom] = demoApplications(addresses);
  expect(httpSettings.parse(JSON.parse(e_bpom?.verifier_settings ?? ''))).toEqual({
    endpoint: 'http://localhost:3001/gapura/verification',
    notices_jwks_uri: 'http://localhost:3001/jwks',
    private_hosts: ['localhost:3001'],
    timeout: 4000,
  });
});
