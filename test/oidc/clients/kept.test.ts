/** What clients may do at APIs, kept in memory: looked up once, and never older than the request that asks, whoever changed it. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { type Database, inTransaction } from '../../../src/database.ts';
import { Kept } from '../../../src/oidc/clients/kept.ts';
import { withdrawClient } from '../../../src/resource-servers/grants.ts';
import { moveClock, resetClock } from '../../support/clock.ts';
import { registerClient, startGapura, type TestGapura } from '../../support/gapura.ts';
import { allowAt, registerApi } from '../../support/resource-servers.ts';

let gapura: TestGapura;
let db: Database;
let api: Awaited<ReturnType<typeof registerApi>>;

beforeAll(async () => {
  gapura = await startGapura();
  db = gapura.db;
  await registerClient(gapura, 'layanan', {});
  await registerClient(gapura, 'gudang', {});
  api = await registerApi(gapura, 'stok', { client_id: 'gudang', scopes: ['stok:baca'] });
  await allowAt(gapura, api, { client_id: 'layanan', scopes: ['stok:baca'] });
});

afterAll(async () => {
  await resetClock(db);
  await gapura?.stop();
});

/** A memory, and how often it had to look. */
function openKept(found: () => string | undefined = () => 'found') {
  const kept = new Kept<string>();
  let looked = 0;
  const find = async () => {
    looked += 1;
    return found();
  };
  return { get: (key = 'a', until?: () => number) => kept.get(db, key, find, until), looked: () => looked };
}

test('looks once for each key, and again for what was not there', async () => {
  const { get, looked } = openKept();
  expect([await get(), await get(), await get('b'), await get('b')]).toEqual(['found', 'found', 'found', 'found']);
  expect(looked()).toBe(2);
  const nothing = openKept(() => undefined);
  expect([await nothing.get(), await nothing.get()]).toEqual([undefined, undefined]);
  expect(nothing.looked()).toBe(2);
});

test('what has an end is known until then', async () => {
  const { get, looked } = openKept();
  const end = Math.floor(Date.now() / 1000) + 600;
  await get('a', () => end);
  await get('a', () => end);
  expect(looked()).toBe(1);
  await moveClock(db, 601);
  await get('a', () => end);
  expect(looked()).toBe(2);
  await resetClock(db);
});

test.each([
  ['a client', () => sql`UPDATE clients SET link_required = NOT link_required WHERE id = 'layanan'`.execute(db)],
  ['an API', () => sql`UPDATE resource_servers SET active = NOT active WHERE id = ${api.id}`.execute(db)],
  ['what a client may at an API', () => inTransaction(db, (tx) => withdrawClient(tx, api.id, 'layanan'))],
  [
    'an exchange',
    async () => {
      const other = await registerApi(gapura, 'harga', { client_id: 'layanan', scopes: ['harga:baca'] });
      const { get, looked } = openKept();
      await get();
      await sql`INSERT INTO token_exchanges (source_id, target_id, scopes) VALUES (${api.id}, ${other.id}, '{}')`.execute(
        db,
      );
      await get();
      expect(looked()).toBe(2);
    },
  ],
])('%s that was changed is looked for again', async (_name, change) => {
  const { get, looked } = openKept();
  await get();
  await get();
  expect(looked()).toBe(1);
  await change();
  await get();
  expect(looked()).toBe(2);
});

test('a lookup that a change overtakes is not kept', async () => {
  const kept = new Kept<string>();
  const first = await kept.get(db, 'a', async () => {
    await sql`UPDATE clients SET link_required = NOT link_required WHERE id = 'layanan'`.execute(db);
    return 'old';
  });
  expect(first).toBe('old');
  expect(await kept.get(db, 'a', async () => 'new')).toBe('new');
});
