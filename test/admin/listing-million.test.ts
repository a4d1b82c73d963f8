/** Lists that stay quick when the tables grow: by PostgreSQL's own plans, not by the clock. A million rows: test/bench/growth.ts. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { countEntries, most_counted } from '../../src/admin/listing.ts';
import { accounts } from '../../src/admin/resources/accounts.ts';
import { organisations } from '../../src/admin/resources/organisations.ts';
import {
  growAccounts,
  growOrganisations,
  growPasswords,
  openRecorded,
  planFiltered,
  planLists,
} from '../support/growth.ts';
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

describe('accounts by state', () => {
  const locked = 60;

  beforeAll(async () => {
    const { db } = database;
    // Twenty have made a password, some sixty are closed by one kind of lock and three by another, three are over.
    await growPasswords(db, 1, 20);
    await sql`INSERT INTO account_locks (account_id, kind, because) SELECT md5('a' || n)::uuid,
      CASE WHEN n <= 24 THEN 'revoked' ELSE 'dormant' END, 'uji' FROM generate_series(22, ${21 + locked}::int) n`.execute(
      db,
    );
    await sql`UPDATE accounts SET expires_at = gapura_now() - interval '1 day'
      WHERE id = ANY (SELECT md5('a' || n)::uuid FROM generate_series(301, 303) n)`.execute(db);
    await sql`VACUUM ANALYZE accounts, account_locks`.execute(db);
  });

  const expectQuick = async (searches: Record<string, string>[]) => {
    const plans = [];
    for (const sent of searches)
      for (const sort of ['full_name', '-created_at'])
        plans.push(...(await planFiltered(recorded, accounts, { ...sent, sort })));
    const large = plans.filter(({ blocks, scanned, sorts }) => blocks > most_blocks || scanned.length > 0 || sorts);
    expect(large).toEqual([]);
  };
  const all = ['open', 'invited', 'revoked', 'dormant', 'expired', 'frozen'].map((status) => ({ status }));
  const countOf = async (status: string) =>
    countEntries(recorded.db, accounts, 'everything', { status }) as Promise<number>;

  test('the few who have a password are found among the many who have none', async () => {
    expect([
      await countOf('open'),
      await countOf('revoked'),
      await countOf('dormant'),
      await countOf('expired'),
    ]).toEqual([20, 3, locked - 3, 3]);
    await expectQuick([...all, { status: 'open', q: 'massal1' }, { status: 'open', q: 'budi' }]);
  });

  test('and the few who have none among the many who have one', async () => {
    await growPasswords(database.db, 1, rows - 10);
    expect([await countOf('invited'), await countOf('open')]).toEqual([10, most_counted + 1]);
    await expectQuick([...all, { status: 'invited', q: 'massal2' }, { status: 'invited', q: 'budi' }]);
  });
});

test('what is common is cut off, not counted to its end', async () => {
  const [counted] = (await planLists(recorded, organisations, ['kembar'])).filter(({ what }) =>
    what.includes('counted for'),
  );
  expect(counted?.blocks).toBeLessThan(rows / 20);
});
