/** Consents as rows: one per person and client, widened and narrowed, told once, withdrawn by their owner alone. */

import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { seed } from '../db/seed.ts';
import { openClients, saveClient } from '../src/clients/client.ts';
import { readConfig } from '../src/config.ts';
import {
  findConsent,
  type GivenConsent,
  giveConsent,
  isConsentCurrent,
  listConsents,
  withdrawConsent,
} from '../src/consents.ts';
import { inTransaction } from '../src/database.ts';
import { seedPeople } from '../src/demo/people.ts';
import { createTestDatabase, type TestDatabase } from './support/postgres.ts';
import { test_mail, test_secret } from './support/server.ts';

let database: TestDatabase;
let budi: string;
let tono: string;

beforeAll(async () => {
  database = await createTestDatabase();
  const config = readConfig({
    GAPURA_PRODUCTION: 'false',
    GAPURA_URL: 'http://localhost:3000',
    DATABASE_URL: database.url,
    GAPURA_SECRETS: test_secret,
    ...test_mail,
  });
  await seed(database.db, config);
  await seedPeople(database.db);
  for (const [id, client_name] of [
    ['luar', 'Luar'],
    ['asing', 'Asing'],
  ]) {
    const metadata = { client_name, redirect_uris: [`https://${id}.example/cb`] };
    await saveClient(openClients(database.db, config), { id: id as string, agency_code: 'BPOM', metadata });
  }
  budi = await findAccountId('budi');
  tono = await findAccountId('tono');
});

afterEach(async () => {
  await database.db.deleteFrom('consents').execute();
  await database.db.updateTable('clients').set({ first_party: false }).where('id', '=', 'luar').execute();
});

afterAll(() => database.drop());

async function findAccountId(name: string): Promise<string> {
  const found = database.db.selectFrom('account_identifiers').select('account_id').where('canonical', '=', name);
  return (await found.executeTakeFirstOrThrow()).account_id;
}

const give = (given: Partial<GivenConsent>) =>
  inTransaction(database.db, (tx) =>
    giveConsent(tx, {
      account_id: budi,
      client_id: 'luar',
      scopes: ['openid'],
      claims: [],
      declined: [],
      request: undefined,
      ...given,
    }),
  );

const withdraw = (account_id: string, id: string) =>
  inTransaction(database.db, (tx) => withdrawConsent(tx, account_id, id, undefined));

async function read(client_id = 'luar') {
  const found = await findConsent(database.db, budi, client_id);
  if (!found) throw new Error('nothing was allowed');
  return { ...found, scopes: found.scopes.sort(), claims: found.claims.sort() };
}

const listAudit = (kind: 'consent_given' | 'consent_withdrawn') =>
  database.db
    .selectFrom('audit_events')
    .select(['account_id', 'client_id', 'detail'])
    .where('kind', '=', kind)
    .execute();

test('what is allowed adds up, and only a change is written and told', async () => {
  const before = (await listAudit('consent_given')).length;
  await give({ scopes: ['openid', 'profile'] });
  await give({ scopes: ['openid'] });
  expect(await read()).toMatchObject({ scopes: ['openid', 'profile'], claims: [], version: 1 });
  await give({ scopes: ['email', 'openid'], claims: ['name'] });
  await give({ scopes: ['email'], claims: ['name'] });
  expect(await read()).toMatchObject({ scopes: ['email', 'openid', 'profile'], claims: ['name'], version: 2 });
  const told = (await listAudit('consent_given')).slice(before);
  expect(told).toEqual([
    { account_id: budi, client_id: 'luar', detail: { scopes: 'openid profile', claims: '', version: 1 } },
    { account_id: budi, client_id: 'luar', detail: { scopes: 'email openid', claims: 'name', version: 2 } },
  ]);
});

test('what is declined is taken away, and nothing else', async () => {
  await give({ scopes: ['openid', 'email', 'offline_access'] });
  await give({ scopes: ['openid'], declined: ['offline_access'] });
  expect(await read()).toMatchObject({ scopes: ['email', 'openid'], version: 2 });
  await give({ scopes: ['openid'], declined: ['offline_access'] });
  expect((await read()).version).toBe(2);
});

test('of many given at once none is lost', async () => {
  const scopes = ['openid', 'profile', 'email', 'phone', 'address', 'organization', 'role', 'directorate'];
  await Promise.all(scopes.map((scope) => give({ scopes: [scope] })));
  expect((await read()).scopes).toEqual([...scopes].sort());
  expect((await read()).version).toBe(scopes.length);
});

test('one that was read stands while it is widened, and no longer once something of it is taken away', async () => {
  await give({ scopes: ['openid', 'offline_access'] });
  const consent = await read();
  await give({ scopes: ['profile'], claims: ['email'] });
  expect(await isConsentCurrent(database.db, consent)).toBe(true);
  await give({ scopes: ['openid'], declined: ['offline_access'] });
  expect(await isConsentCurrent(database.db, consent)).toBe(false);
});

test('one person’s and one client’s is nobody else’s', async () => {
  await give({ scopes: ['openid'] });
  expect(await findConsent(database.db, tono, 'luar')).toBeUndefined();
  expect(await findConsent(database.db, budi, 'asing')).toBeUndefined();
  const { id } = await read();
  expect(await withdraw(tono, id)).toBeUndefined();
  expect((await read()).id).toBe(id);
});

test('withdrawn it is gone, and told once, however often it is asked for', async () => {
  await give({ scopes: ['openid'] });
  const consent = await read();
  const { id, version } = consent;
  expect(await isConsentCurrent(database.db, consent)).toBe(true);
  const before = (await listAudit('consent_withdrawn')).length;
  const outcomes = await Promise.all(Array.from({ length: 8 }, () => withdraw(budi, id)));
  expect(outcomes.filter(Boolean)).toEqual(['luar']);
  expect(await isConsentCurrent(database.db, consent)).toBe(false);
  // Given anew it is another, which the withdrawal did not mean.
  await give({ scopes: ['openid'] });
  expect(await isConsentCurrent(database.db, consent)).toBe(false);
  expect((await listAudit('consent_withdrawn')).slice(before)).toEqual([
    { account_id: budi, client_id: 'luar', detail: { version } },
  ]);
});

test('the list names the applications in their order and leaves out our own', async () => {
  await give({ client_id: 'luar' });
  await give({ client_id: 'asing' });
  await give({ account_id: tono });
  const names = async () => (await listConsents(database.db, budi)).map(({ client_name }) => client_name);
  expect(await names()).toEqual(['Asing', 'Luar']);
  expect((await listConsents(database.db, budi))[0]).toMatchObject({
    agency_name: 'Badan Pengawas Obat dan Makanan',
    agency_name_en: 'Indonesian Food and Drug Authority',
  });
  await database.db.updateTable('clients').set({ first_party: true }).where('id', '=', 'luar').execute();
  expect(await names()).toEqual(['Asing']);
});
