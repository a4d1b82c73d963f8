// The users that an application keeps itself, and those that an older release of it made.

import { afterEach, beforeEach, expect, test } from '@jest/globals';
import pg from 'pg';
import { type OwnUser, openOwnUsers } from '../../src/demo/own-users.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

const food = { code: 'PANGAN', name: 'Pangan' };
const users: OwnUser[] = [{ username: 'one', display_name: 'PT Satu', npwp: '0000001016000000', directorate: food }];
const manner = { name: 'e_bpom' as const, users, password: 'First-Password-1', free_failures: 5 };

let database: TestDatabase;
let db: pg.Pool;

beforeEach(async () => {
  database = await createTestDatabase({ migrated: false });
  db = new pg.Pool({ connectionString: database.url, max: 4 });
  // Dropping the database may cut a connection that is just being closed.
  db.on('error', () => undefined);
});

afterEach(async () => {
  await db.end();
  await database.drop();
});

test('rows of an older release are completed; their passwords and, from then on, their ids stay', async () => {
  const { check } = await openOwnUsers(db, manner);
  await check('one', 'First-Password-1');
  await db.query(`DROP INDEX e_bpom_users_id; ALTER TABLE e_bpom_users
    DROP COLUMN id, DROP COLUMN display_name, DROP COLUMN directorate_code, DROP COLUMN locked_at`);
  const read = async () => {
    const opened = await openOwnUsers(db, { ...manner, password: 'Another-Password-1' });
    return opened.check('one', 'First-Password-1');
  };
  const first = await read();
  expect(first).toMatchObject({ state: 'right', user: { display_name: 'PT Satu', directorate_code: 'PANGAN' } });
  expect(await read()).toEqual(first);
});

test('a right password clears the count of failures', async () => {
  const { check } = await openOwnUsers(db, manner);
  const tryTwice = async () => {
    for (let tries = 0; tries < 4; tries++) expect(await check('one', 'wrong')).toEqual({ state: 'wrong' });
    expect((await check('one', 'First-Password-1')).state).toBe('right');
  };
  await tryTwice();
  await tryTwice();
});
