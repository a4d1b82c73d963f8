/** db/schema.sql is what the migrations make: whoever changes one without the other is told here. */

import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { printSchema } from '../src/database.ts';
import { createTestDatabase, type TestDatabase } from './support/postgres.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(() => database.drop());

test('db/schema.sql is the schema of a freshly migrated database', async () => {
  const kept = readFileSync(new URL('../db/schema.sql', import.meta.url), 'utf8');
  expect(kept).toBe(await printSchema(database.db));
});

test.each([
  ['a column', sql`ALTER TABLE agencies ADD COLUMN extra text`],
  ['a rule', sql`ALTER TABLE agencies ADD CHECK (name <> 'x')`],
  ['an index', sql`CREATE INDEX extra ON agencies (name)`],
  ['a function', sql`CREATE FUNCTION extra() RETURNS int LANGUAGE sql RETURN 1`],
])('%s more shows in the print', async (_what, change) => {
  const before = await printSchema(database.db);
  await change.execute(database.db);
  expect(await printSchema(database.db)).not.toBe(before);
});
