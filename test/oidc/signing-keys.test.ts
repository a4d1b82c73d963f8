/** Signing keys: made once for all nodes, sealed, and opened by whoever has the secret. */

import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { createLocalJWKSet, type JWK, jwtVerify, SignJWT } from 'jose';
import { sql } from 'kysely';
import { Secret } from '../../src/crypto.ts';
import { type Database, openDatabase } from '../../src/database.ts';
import { hasSigningKeys, loadSigningKeys } from '../../src/oidc/signing-keys.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let db: Database;
const nodes: Database[] = [];
const old_secret = new Secret('an old secret of thirty-two characters');
const new_secret = new Secret('a new secret of thirty-two characters!');
const config = { secrets: [old_secret] };

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
});

beforeEach(async () => {
  await db.deleteFrom('signing_keys').execute();
});

afterEach(() => Promise.all(nodes.splice(0).map((node) => node.destroy())));
afterAll(() => database.drop());

const kids = ({ keys }: { keys: JWK[] }) => keys.map(({ kid }) => kid);

test('ten nodes that start at once make one key of each kind and all read the same', async () => {
  expect(await hasSigningKeys(db)).toBe(false);
  nodes.push(...Array.from({ length: 10 }, () => openDatabase(database.url, { max: 2 })));
  const sets = await Promise.all(nodes.map((node) => loadSigningKeys(node, config)));
  for (const set of sets) expect(kids(set)).toEqual(kids(sets[0] as { keys: JWK[] }));
  const rows = await db.selectFrom('signing_keys').select(['alg', 'state']).orderBy('alg').execute();
  expect(rows).toEqual(['ES256', 'EdDSA', 'RS256'].map((alg) => ({ alg, state: 'current' })));
  expect(await hasSigningKeys(db)).toBe(true);
});

test('RS256 stands first, for it is what a client gets that asks for nothing, and has 2048 bits or more', async () => {
  const { keys } = await loadSigningKeys(db, config);
  expect(keys.map(({ alg }) => alg)).toEqual(['RS256', 'ES256', 'EdDSA']);
  expect(Buffer.from(keys[0]?.n as string, 'base64url').length).toBeGreaterThanOrEqual(256);
  expect(new Set(kids({ keys })).size).toBe(3);
});

test('what a key signs, its published half verifies, also after a restart', async () => {
  await loadSigningKeys(db, config);
  const { keys } = await loadSigningKeys(db, config);
  const published = await db.selectFrom('signing_keys').select('public_jwk').execute();
  const set = createLocalJWKSet({ keys: published.map(({ public_jwk }) => public_jwk as unknown as JWK) });
  for (const key of keys) {
    const { alg, kid } = key as { alg: string; kid: string };
    const token = await new SignJWT({ sub: 'budi' }).setProtectedHeader({ alg, kid }).sign(key as never);
    expect((await jwtVerify(token, set)).payload).toEqual({ sub: 'budi' });
  }
});

test('no column holds a private half', async () => {
  const { keys } = await loadSigningKeys(db, config);
  const { rows } = await sql<{ text: string }>`SELECT k::text AS text FROM signing_keys k`.execute(db);
  const text = rows.map((row) => row.text).join();
  for (const key of keys) expect(text.includes(key.d as string)).toBe(false);
  expect(text.includes(keys[0]?.p as string)).toBe(false);
  const published = await db.selectFrom('signing_keys').select('public_jwk').execute();
  for (const { public_jwk } of published)
    for (const secret of ['d', 'p', 'q', 'k']) expect(public_jwk).not.toHaveProperty(secret);
});

test('the keys open after a change of the secret as long as the old one is configured', async () => {
  const before = kids(await loadSigningKeys(db, config));
  expect(kids(await loadSigningKeys(db, { secrets: [new_secret, old_secret] }))).toEqual(before);
  await expect(loadSigningKeys(db, { secrets: [new_secret] })).rejects.toThrow(/no key fits/);
});

test('a sealed key that was put in the place of another does not open', async () => {
  await loadSigningKeys(db, config);
  await sql`UPDATE signing_keys SET sealed_jwk = (SELECT sealed_jwk FROM signing_keys WHERE alg = 'RS256') WHERE alg = 'ES256'`.execute(
    db,
  );
  await expect(loadSigningKeys(db, config)).rejects.toThrow();
});

test('a missing kind is made anew and the others stay; a retired key no longer signs', async () => {
  const before = await loadSigningKeys(db, config);
  await db.updateTable('signing_keys').set({ state: 'retired' }).where('alg', '=', 'ES256').execute();
  expect(await hasSigningKeys(db)).toBe(false);
  const after = await loadSigningKeys(db, config);
  expect(after.keys.map(({ alg }) => alg)).toEqual(['RS256', 'ES256', 'EdDSA']);
  expect(after.keys.map(({ kid }, at) => kid === before.keys[at]?.kid)).toEqual([true, false, true]);
});

test('the next key is published behind those that sign', async () => {
  await loadSigningKeys(db, config);
  await db.updateTable('signing_keys').set({ state: 'next' }).where('alg', '=', 'RS256').execute();
  const next = await db.selectFrom('signing_keys').select('kid').where('state', '=', 'next').executeTakeFirstOrThrow();
  const { keys } = await loadSigningKeys(db, config);
  expect(keys.map(({ alg }) => alg)).toEqual(['RS256', 'ES256', 'EdDSA', 'RS256']);
  expect(keys[3]?.kid).toBe(next.kid);
});
