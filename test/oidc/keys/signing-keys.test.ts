/** Signing keys: made once for all nodes, sealed, and opened by whoever has the secret. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createLocalJWKSet, decodeProtectedHeader, type JWK, jwtVerify, SignJWT } from 'jose';
import { sql } from 'kysely';
import { Secret } from '../../../src/crypto.ts';
import { type Database, inTransaction, openDatabase } from '../../../src/database.ts';
import { key_algorithms } from '../../../src/oidc/keys/key-pairs.ts';
import { createRequestSigner } from '../../../src/oidc/keys/request-signer.ts';
import {
  hasSigningKeys,
  keptRetired,
  loadSigningKeys,
  published_for,
  removeKey,
  rotateKey,
  turnKeys,
} from '../../../src/oidc/keys/signing-keys.ts';
import { policies } from '../../../src/policy/keys.ts';
import { policy } from '../../../src/policy/policy.ts';
import { moveClock, resetClock } from '../../support/clock.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres.ts';

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

afterEach(async () => {
  await resetClock(db);
  await Promise.all(nodes.splice(0).map((node) => node.destroy()));
});
afterAll(() => database.drop());

const kids = ({ keys }: { keys: JWK[] }) => keys.map(({ kid }) => kid);

test('ten nodes that start at once make one key of each kind and all read the same', async () => {
  expect(await hasSigningKeys(db)).toBe(false);
  nodes.push(...Array.from({ length: 10 }, () => openDatabase(database.url, { max: 2 })));
  const sets = await Promise.all(nodes.map((node) => loadSigningKeys(node, config)));
  for (const set of sets) expect(kids(set)).toEqual(kids(sets[0] as { keys: JWK[] }));
  const rows = await db.selectFrom('signing_keys').select(['alg', 'state']).orderBy('alg').execute();
  expect(rows).toEqual(['ES256', 'EdDSA', 'PS256', 'RS256'].map((alg) => ({ alg, state: 'current' })));
  expect(await hasSigningKeys(db)).toBe(true);
});

test('RS256 stands first, for it is what a client gets that asks for nothing, and no RSA key is shorter than 3072 bits', async () => {
  const { keys } = await loadSigningKeys(db, config);
  expect(keys.map(({ alg }) => alg)).toEqual(['RS256', 'PS256', 'ES256', 'EdDSA']);
  for (const { n } of keys.slice(0, 2))
    expect(Buffer.from(n as string, 'base64url').length).toBeGreaterThanOrEqual(384);
  expect(new Set(kids({ keys })).size).toBe(4);
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

test('a missing kind is made anew and the others stay; a retired key stands last', async () => {
  const before = await loadSigningKeys(db, config);
  await db.updateTable('signing_keys').set({ state: 'retired' }).where('alg', '=', 'ES256').execute();
  expect(await hasSigningKeys(db)).toBe(false);
  const after = await loadSigningKeys(db, config);
  expect(after.keys.map(({ alg }) => alg)).toEqual([...key_algorithms, 'ES256']);
  expect(after.keys.map(({ kid }, at) => kid === before.keys[at]?.kid)).toEqual([true, true, false, true, false]);
  expect(after.keys.at(-1)?.kid).toBe(before.keys[2]?.kid);
});

/** The states of one algorithm's keys, the oldest first. */
const statesOf = async (alg = 'ES256') => {
  const rows = db.selectFrom('signing_keys').select('state').where('alg', '=', alg).orderBy('created_at');
  return (await rows.execute()).map(({ state }) => state);
};

const rotate = (options = {}) => inTransaction(db, (tx) => rotateKey(tx, config, 'ES256', options));
const day = 86_400;

describe('a rotation', () => {
  beforeEach(async () => {
    await loadSigningKeys(db, config);
  });

  test('publishes the next key behind those that sign, lets it sign in time, and keeps the one before published', async () => {
    const [, , before] = kids(await loadSigningKeys(db, config));
    const published = await rotate();
    expect(published).toMatchObject({ state: 'published', alg: 'ES256', at: expect.any(Date) });
    expect(kids(await loadSigningKeys(db, config)).slice(2)).toEqual([before, expect.anything(), published.kid]);

    await moveClock(db, policy('keys.publish_ahead') - 60);
    expect(await rotate()).toMatchObject({ state: 'waiting', kid: published.kid, at: expect.any(Date), minutes: 1 });
    expect(await statesOf()).toEqual(['current', 'next']);

    await moveClock(db, policy('keys.publish_ahead'));
    expect(await rotate()).toMatchObject({ state: 'current', kid: published.kid, retired: before });
    const { keys } = await loadSigningKeys(db, config);
    expect(keys.map(({ alg }) => alg)).toEqual([...key_algorithms, 'ES256']);
    expect([keys[2]?.kid, keys[4]?.kid]).toEqual([published.kid, before]);
  });

  test('in a hurry waits still until nobody can be without the key', async () => {
    await rotate();
    await moveClock(db, published_for);
    expect((await rotate({ is_urgent: true })).state).toBe('waiting');
    await moveClock(db, published_for + 60);
    expect((await rotate({ is_urgent: true })).state).toBe('current');
  });

  test('of twenty at once makes one next key, and later lets one sign', async () => {
    nodes.push(...Array.from({ length: 20 }, () => openDatabase(database.url, { max: 1 })));
    const all = () =>
      Promise.all(
        nodes.map((node) => inTransaction(node, (tx) => rotateKey(tx, config, 'ES256')).then((o) => o.state)),
      );
    expect((await all()).filter((state) => state === 'published')).toHaveLength(1);
    expect(await statesOf()).toEqual(['current', 'next']);
    await moveClock(db, day);
    // The other nineteen come later and begin with the one after that.
    const states = await all();
    expect(states.filter((state) => state === 'current')).toHaveLength(1);
    expect(states.filter((state) => state === 'published')).toHaveLength(1);
    expect(await statesOf()).toEqual(['retired', 'current', 'next']);
  });
});

test('policy cannot let a key sign before everybody who obeys the age of the published ones has asked again', () => {
  expect(policies['keys.publish_ahead'].min).toBeGreaterThan(published_for + 60);
});

describe('the duty', () => {
  test('turns every key on schedule, once however many workers there are, and tells the audit', async () => {
    await loadSigningKeys(db, config);
    expect(await turnKeys(db, config)).toEqual([]);
    nodes.push(...Array.from({ length: 4 }, () => openDatabase(database.url, { max: 1 })));
    const turn = async (at: number) => {
      await moveClock(db, at);
      const turns = (await Promise.all(nodes.map((node) => turnKeys(node, config)))).flat();
      return turns.map(({ alg, state }) => `${alg} ${state}`).sort();
    };
    const each = (state: string) => key_algorithms.map((alg) => `${alg} ${state}`).sort();
    expect(await turn(89 * day - 60)).toEqual([]);
    expect(await turn(89 * day + 60)).toEqual(each('published'));
    expect(await turn(90 * day)).toEqual([]);
    expect(await turn(90 * day + 120)).toEqual(each('current'));
    expect(await statesOf()).toEqual(['retired', 'current']);
    expect(await turn(90 * day + keptRetired())).toEqual([]);
    expect(await turn(90 * day + keptRetired() + 180)).toEqual(each('gone'));
    expect(await statesOf()).toEqual(['current']);
    const noted = await db
      .selectFrom('audit_events')
      .select('detail')
      .where('kind', '=', 'signing_key_turned')
      .execute();
    expect(noted).toHaveLength(12);
  });

  test('keeps a retired key until no session is left that an ID token of it could end', () => {
    expect(keptRetired()).toBeGreaterThan(policy('session.absolute'));
  });
});

describe('the removal of a key in an emergency', () => {
  test('lets the next one sign at once, as young as it is', async () => {
    const [, , lost] = kids(await loadSigningKeys(db, config));
    const { kid } = await rotate();
    const removed = await inTransaction(db, (tx) => removeKey(tx, config, String(lost)));
    expect(removed).toEqual({ kid: lost, alg: 'ES256', since: expect.any(Date), successor: kid });
    expect(await statesOf()).toEqual(['current']);
    expect(kids(await loadSigningKeys(db, config))).not.toContain(lost);
  });

  test('makes a new one where none is published, and takes nothing else', async () => {
    const before = kids(await loadSigningKeys(db, config));
    const removed = await inTransaction(db, (tx) => removeKey(tx, config, String(before[2])));
    const after = kids(await loadSigningKeys(db, config));
    expect(after).toEqual([before[0], before[1], removed?.successor, before[3]]);
    expect(await inTransaction(db, (tx) => removeKey(tx, config, String(before[2])))).toBeUndefined();
  });

  test('of a key that does not sign leaves the one that does', async () => {
    const before = kids(await loadSigningKeys(db, config));
    const { kid } = await rotate();
    const removed = await inTransaction(db, (tx) => removeKey(tx, config, kid));
    expect(removed).toEqual({ kid, alg: 'ES256', since: null, successor: null });
    expect(kids(await loadSigningKeys(db, config))).toEqual(before);
  });
});

test('a request is signed with the key that is current then, not with the one of the start', async () => {
  const live = { keys: (await loadSigningKeys(db, config)).keys };
  const sign = createRequestSigner('https://sso.contoh.example/connect', live);
  const kidOf = async () => decodeProtectedHeader(await sign('https://aplikasi.contoh.example', {})).kid;
  expect(await kidOf()).toBe(live.keys[2]?.kid);
  await inTransaction(db, (tx) => removeKey(tx, config, String(live.keys[2]?.kid)));
  live.keys = (await loadSigningKeys(db, config)).keys;
  expect(await kidOf()).toBe(live.keys[2]?.kid);
});
