/** What every installation is seeded with, before the first person comes and again at every `migrate`. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { seed } from '../../db/seed.ts';
import { openClients } from '../../src/clients/client.ts';
import { findClientMetadata } from '../../src/clients/engine-client.ts';
import { type Config, readConfig } from '../../src/config.ts';
import type { Database } from '../../src/database.ts';
import { findAgency } from '../../src/organisations/agency.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { test_mail, test_secret } from '../support/server.ts';

let database: TestDatabase;
let db: Database;
let config: Config;

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  config = readConfig({
    GAPURA_URL: 'https://sso.contoh.example',
    DATABASE_URL: database.url,
    GAPURA_SECRETS: test_secret,
    ...test_mail,
  });
  await seed(db, config);
});

afterAll(() => database.drop());

const read = async () => ({
  agencies: await db.selectFrom('agencies').selectAll().orderBy('code').execute(),
  clients: await db.selectFrom('clients').selectAll().orderBy('id').execute(),
});

test('the agencies of the gateway stand under their present names, in both languages', async () => {
  expect(await findAgency(db, 'BPOM')).toMatchObject({ name: 'Badan Pengawas Obat dan Makanan', active: true });
  expect(await findAgency(db, 'LNSW')).toMatchObject({ name: 'Lembaga National Single Window' });
  const { agencies } = await read();
  for (const { name, name_en } of agencies)
    expect([name.length, name_en.length].every((length) => length > 2)).toBe(true);
});

test.each(['portal', 'console'])(
  'the %s is a client that gets neither a code nor a token, and returns to our own address alone',
  async (id) => {
    const portal = await findClientMetadata(openClients(db, config), id);
    expect(portal).toMatchObject({
      first_party: true,
      response_types: ['none'],
      grant_types: [],
      token_endpoint_auth_method: 'none',
    });
    expect(portal).not.toHaveProperty('client_secret');
    const { redirect_uris, post_logout_redirect_uris } = portal as Record<string, string[]>;
    const uris = [redirect_uris, post_logout_redirect_uris].flat();
    expect(uris.length).toBeGreaterThanOrEqual(2);
    for (const uri of uris) expect(new URL(uri as string).origin).toBe(config.url);
  },
);

test('nobody can sign in: there is no person and no secret', async () => {
  expect(await db.selectFrom('accounts').select('id').execute()).toEqual([]);
  expect(await db.selectFrom('client_secrets').select('id').execute()).toEqual([]);
});

test('seeding again changes nothing', async () => {
  const before = await read();
  await moveClock(db, 60);
  await seed(db, config);
  await resetClock(db);
  expect(await read()).toEqual(before);
});

test('what an administrator named anew or switched off stays so', async () => {
  await db.updateTable('agencies').set({ active: false, name: 'Bank Sentral' }).where('code', '=', 'BI').execute();
  await seed(db, config);
  expect(await findAgency(db, 'BI')).toMatchObject({ active: false, name: 'Bank Sentral' });
});

test('ten nodes may seed at once', async () => {
  await Promise.all(Array.from({ length: 10 }, () => seed(db, config)));
  expect((await read()).clients.map(({ id }) => id)).toEqual(['console', 'portal']);
});
