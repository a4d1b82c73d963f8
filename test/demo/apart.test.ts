/** The demonstration beside a Gapura that runs elsewhere, as docker/compose.yaml starts it. */

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { seed } from '../../db/seed.ts';
import { readConfig } from '../../src/config.ts';
import { createTestDatabase } from '../support/postgres.ts';
import { test_mail, test_secret } from '../support/server.ts';

const entry = fileURLToPath(new URL('../../src/demo/apart.ts', import.meta.url));
const addresses = {
  GAPURA_DEMO_E_BPOM: 'https://e-bpom.contoh.example',
  GAPURA_DEMO_CARGOLINK: 'https://cargolink.contoh.example',
  GAPURA_DEMO_PORTAL_INSW: 'https://portal-insw.contoh.example',
};

test('people, clients and applications are written with the addresses that are given', async () => {
  const database = await createTestDatabase();
  const env = {
    ...{ GAPURA_URL: 'https://sso.contoh.example', DATABASE_URL: database.url, GAPURA_SECRETS: test_secret },
    ...test_mail,
    ...addresses,
    ...{ GAPURA_DEMO_DATABASE_URL: database.url, GAPURA_DEMO_CLIENT_SECRET: 'rahasia-klien-contoh' },
  };
  await seed(database.db, readConfig(env));
  const { status, stderr } = spawnSync(process.execPath, [entry, 'seed'], { env, encoding: 'utf8' });
  expect([status, stderr]).toEqual([0, '']);
  const clients = await database.db.selectFrom('clients').select(['id', 'metadata']).execute();
  const addressed = clients.filter(({ metadata }) => JSON.stringify(metadata).includes('contoh.example/callback'));
  expect(addressed.map(({ id }) => id).sort()).toEqual(['e-bpom', 'portal-insw']);
  expect(await database.db.selectFrom('applications').select('id').execute()).toHaveLength(3);
  await database.drop();
});
