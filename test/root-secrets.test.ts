/** The installation's own secrets: made once, opened by every configured secret, and by none that was taken away. */

import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { Secret } from '../src/crypto.ts';
import { type Database, openDatabase } from '../src/database.ts';
import { loadSigningKeys } from '../src/oidc/keys/signing-keys.ts';
import { forgetOldSecrets, openRootSecrets, readRootSecrets, UnknownSecret } from '../src/root-secrets.ts';
import { createTestDatabase, type TestDatabase } from './support/postgres.ts';
import { readTree } from './support/source.ts';

let database: TestDatabase;
let db: Database;
const nodes: Database[] = [];
const old_secret = new Secret('the old secret of thirty-two characters');
const new_secret = new Secret('the new secret of thirty-two characters');

const open = async (...secrets: Secret[]) =>
  (await openRootSecrets(db, { secrets })).secrets.map((secret) => secret.reveal());

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
});

beforeEach(async () => {
  await db.deleteFrom('root_secrets').execute();
  await db.deleteFrom('signing_keys').execute();
});

afterEach(() => Promise.all(nodes.splice(0).map((node) => node.destroy())));
afterAll(() => database.drop());

test('are made by chance at the first start, once however many nodes start, and stand in no column', async () => {
  nodes.push(...Array.from({ length: 10 }, () => openDatabase(database.url, { max: 2 })));
  const opened = await Promise.all(nodes.map((node) => openRootSecrets(node, { secrets: [old_secret] })));
  const texts = opened.map(({ secrets }) => secrets.map((secret) => secret.reveal()).join());
  expect(new Set(texts).size).toBe(1);
  expect(texts[0]).toMatch(/^[\w-]{43}$/);
  const { rows } = await sql<{ text: string }>`SELECT r::text AS text FROM root_secrets r`.execute(db);
  expect(rows).toHaveLength(1);
  expect(rows[0]?.text).not.toContain(texts[0]);
});

test('stay the same when a secret is put in front, behind, and when the first is taken out', async () => {
  const before = await open(old_secret);
  expect(await open(old_secret, new_secret)).toEqual(before);
  expect(await open(new_secret, old_secret)).toEqual(before);
  expect(await open(new_secret)).toEqual(before);
});

test('open for nodes with the old settings as well, until the old secret is forgotten', async () => {
  const before = await open(old_secret);
  await open(new_secret, old_secret);
  expect(await open(old_secret)).toEqual(before);
  expect(await forgetOldSecrets(db, { secrets: [new_secret] })).toBe(1);
  expect(await open(new_secret)).toEqual(before);
  await expect(open(old_secret)).rejects.toThrow(UnknownSecret);
  expect(await forgetOldSecrets(db, { secrets: [new_secret] })).toBe(0);
});

test('open for nobody who does not have the secret, and nothing is made anew in their place', async () => {
  const before = await open(old_secret);
  await expect(open(new_secret)).rejects.toThrow('None of GAPURA_SECRETS opens this installation');
  await expect(forgetOldSecrets(db, { secrets: [new_secret] })).rejects.toThrow(UnknownSecret);
  expect(await open(old_secret)).toEqual(before);
});

test('of an installation that ran without are those that it was configured with: what it has sealed still opens', async () => {
  const { keys } = await loadSigningKeys(db, { secrets: [old_secret] });
  const config = await openRootSecrets(db, { secrets: [new_secret, old_secret] });
  expect((await loadSigningKeys(db, config)).keys).toEqual(keys);
});

test('are looked at without being made', async () => {
  const config = { secrets: [old_secret] };
  expect(await readRootSecrets(db, config)).toBe(config);
  expect(await db.selectFrom('root_secrets').selectAll().execute()).toEqual([]);
  const opened = await openRootSecrets(db, config);
  expect((await readRootSecrets(db, config)).secrets[0]?.reveal()).toBe(opened.secrets[0]?.reveal());
});

test('are what every key of the program comes from, save those of the cookies, which follow the settings', () => {
  const sources = readTree(['src'], ['.ts']);
  const users = (word: RegExp) => Object.keys(sources).filter((path) => word.test(sources[path] ?? ''));
  expect(users(/\bcookie_secrets\b/)).toEqual(['src/config.ts', 'src/oidc/provider.ts']);
  // What stands at a terminal and needs a key opens them first, as the server does.
  const starters = users(/\bopenRootSecrets\(/).filter((path) => path !== 'src/root-secrets.ts');
  expect(starters.sort()).toEqual(['src/create-admin.ts', 'src/demo/apart.ts', 'src/rotate-keys.ts', 'src/server.ts']);
  // No two purposes share a key, unless they are one: the proofs, which several capabilities issue.
  const purposes = Object.values(sources).flatMap((text) =>
    [...text.matchAll(/\bderiveKeys?\([^()]*?, '([^']+)'\)/g)].map(([, purpose = '']) => purpose),
  );
  expect(purposes.length).toBeGreaterThan(15);
  expect([...new Set(purposes.filter((one, at) => purposes.indexOf(one) !== at))].sort()).toEqual([
    'api keys',
    'proofs',
  ]);
});
