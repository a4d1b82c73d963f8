/** Lists that stay quick when the tables grow: by PostgreSQL's own plans, not by the clock. A million rows: test/bench/growth.ts. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { accounts } from '../../src/admin/resources/accounts.ts';
import { organisations } from '../../src/admin/resources/organisations.ts';
import { growAccounts, growOrganisations, openRecorded, planLists } from '../support/growth.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

const rows = 30_000;
/** A page of a list looks at no more of the tables than this, however large they are; all of them are some thousands. */
const most_blocks = 1200;

let database: TestDatabase;
let recorded: ReturnType<typeof openRecorded>;

beforeAll(async () => {
  database = await createTestDatabase();
  await growOrganisations(database.db, rows);
  await growAccounts(database.db, rows);
  recorded = openRecorded(database.url);
});

afterAll(async () => {
  await recorded.close();
  await database.drop();
});

test.each([
  { resource: organisations, searches: ['massal 24321', '09000000000243', 'c4ca4238'] },
  { resource: accounts, searches: ['massal24321', 'c4ca4238', 'tidak ada'] },
])('$resource.name: every order, the middle, the way back and every search read little', async (one) => {
  const plans = await planLists(recorded, one.resource, one.searches);
  const large = plans.filter(({ blocks, scanned, sorts }) => blocks > most_blocks || scanned.length > 0 || sorts);
  expect(large).toEqual([]);
  const without_index = plans.filter(({ what, indexes }) => indexes.length === 0 && !what.endsWith(' counted'));
  expect(without_index).toEqual([]);
});

test('what is common is cut off, not counted to its end', async () => {
  const [counted] = (await planLists(recorded, organisations, ['kembar'])).filter(({ what }) =>
    what.includes('counted for'),
  );
  expect(counted?.blocks).toBeLessThan(rows / 20);
});
