/** Secrets of clients: in no column, two at a time, with an end that is announced and a last use that is noted. */

import { createHmac } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { type ClientStore, openClients, saveClient } from '../../src/clients/client.ts';
import { findClientMetadata } from '../../src/clients/engine-client.ts';
import {
  addClientSecret,
  claimWarning,
  endClientSecret,
  endClientSecrets,
  findClientSecret,
  findSigningSecret,
  isClientSecret,
  issueClientSecret,
  listClientSecrets,
  listEndingSecrets,
  noteSecretUse,
} from '../../src/clients/secrets.ts';
import { now } from '../../src/clock.ts';
import { Secret } from '../../src/crypto.ts';
import { type Database, inTransaction } from '../../src/database.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { listStatements } from '../support/statements.ts';

let database: TestDatabase;
let db: Database;
let store: ClientStore;

const old_secret = new Secret('an old secret of thirty-two characters');
const new_secret = new Secret('a new secret of thirty-two characters!');
const canary = 'Kanari-Rahasia-Aplikasi-7391-yang-panjang';

const metadata = {
  client_name: 'e-BPOM',
  redirect_uris: ['https://e-bpom.contoh.example/callback'],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  token_endpoint_auth_method: 'client_secret_basic',
};
const signing = { ...metadata, token_endpoint_auth_method: 'client_secret_jwt' };

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  store = openClients(db, { secrets: [old_secret] });
});

afterEach(() => resetClock(db));
afterAll(() => database.drop());

/** Whether the client, as the engine reads it now, has this secret. */
async function has(id: string, secret: string, read = store): Promise<boolean> {
  return isClientSecret(read, (await findClientMetadata(read, id))?.secret_hashes, secret);
}

/** All rows about clients as text, as PostgreSQL prints them. */
async function dump(): Promise<string> {
  const { rows } = await sql<{
    text: string;
  }>`SELECT c::text AS text FROM clients c UNION ALL SELECT s::text FROM client_secrets s`.execute(db);
  return rows.map(({ text }) => text).join('\n');
}

const issue = (client_id: string, expires_at?: Date) =>
  inTransaction(db, (tx) =>
    issueClientSecret(tx, store, client_id, { by: null, ...(expires_at ? { expires_at } : {}) }),
  );

const inDays = (days: number) => new Date(now().getTime() + days * 86_400_000);

describe('a secret', () => {
  beforeAll(async () => {
    await saveClient(store, { id: 'satu', metadata });
    await saveClient(store, { id: 'dua', metadata });
    await addClientSecret(store, 'satu', canary);
  });

  test('stands in no column, and is not what the engine is given', async () => {
    const text = await dump();
    for (const form of ['utf8', 'hex', 'base64', 'base64url'] as const)
      expect(text).not.toContain(Buffer.from(canary).toString(form));
    const found = await findClientMetadata(store, 'satu');
    expect(JSON.stringify(found)).not.toContain(canary);
    expect(await has('satu', found?.client_secret as string)).toBe(false);
  });

  test('is the own client’s alone, letter by letter', async () => {
    expect(await has('satu', canary)).toBe(true);
    expect(await has('dua', canary)).toBe(false);
    for (const other of ['', canary.toLowerCase(), `${canary} `, canary.slice(0, -1)])
      expect(await has('satu', other)).toBe(false);
  });

  test('as it stands in the table is no secret', async () => {
    const { hash } = await db
      .selectFrom('client_secrets')
      .select('hash')
      .where('client_id', '=', 'satu')
      .executeTakeFirstOrThrow();
    expect(await has('satu', hash)).toBe(false);
  });

  test('added later leaves the earlier one valid; the same one ten times at once is one row', async () => {
    await Promise.all(Array.from({ length: 10 }, () => addClientSecret(store, 'satu', 'rahasia-kedua')));
    expect(await has('satu', canary)).toBe(true);
    expect(await has('satu', 'rahasia-kedua')).toBe(true);
    expect(await db.selectFrom('client_secrets').select('id').where('client_id', '=', 'satu').execute()).toHaveLength(
      2,
    );
  });

  test('ends with its time, and the others stay', async () => {
    await addClientSecret(store, 'dua', 'lama');
    await addClientSecret(store, 'dua', 'baru');
    const { rows } = await sql<{
      id: string;
    }>`SELECT id FROM client_secrets WHERE client_id = 'dua' ORDER BY created_at LIMIT 1`.execute(db);
    const expires_at = sql<Date>`gapura_now() + interval '1 hour'`;
    await db
      .updateTable('client_secrets')
      .set({ expires_at })
      .where('id', '=', rows[0]?.id as string)
      .execute();
    expect(await has('dua', 'lama')).toBe(true);
    await moveClock(db, 3601);
    expect(await has('dua', 'lama')).toBe(false);
    expect(await has('dua', 'baru')).toBe(true);
  });

  test('of a client that does not exist is refused', async () => {
    await expect(addClientSecret(store, 'tidak-ada', 'x')).rejects.toThrow();
  });

  test('outlives a change of our own secret while the old one is configured', async () => {
    const both = openClients(db, { secrets: [new_secret, old_secret] });
    expect(await has('satu', canary, both)).toBe(true);
    expect(await has('satu', canary, openClients(db, { secrets: [new_secret] }))).toBe(false);
  });

  test('is compared with what is there: nothing fits nothing', () => {
    for (const hashes of [undefined, null, [], 'x', {}]) expect(isClientSecret(store, hashes, '')).toBe(false);
  });
});

describe('a client that signs with its secret', () => {
  beforeAll(async () => {
    await saveClient(store, { id: 'penanda', metadata: signing });
    await addClientSecret(store, 'penanda', canary);
  });

  test('has it sealed, and the engine gets it opened', async () => {
    expect(await dump()).not.toContain(canary);
    expect(await findClientMetadata(store, 'penanda')).toMatchObject({ client_secret: canary });
  });

  test('signs with the newest of several, and is known by the older ones', async () => {
    await addClientSecret(store, 'penanda', 'rahasia-penanda-yang-lebih-baru-dan-panjang');
    expect(await findClientMetadata(store, 'penanda')).toMatchObject({
      client_secret: 'rahasia-penanda-yang-lebih-baru-dan-panjang',
      older_secrets: [canary],
    });
  });

  test('cannot use a seal that was copied from another client', async () => {
    await saveClient(store, { id: 'pencuri', metadata: signing });
    await sql`INSERT INTO client_secrets (client_id, hash, sealed)
      SELECT 'pencuri', hash, sealed FROM client_secrets WHERE client_id = 'penanda' LIMIT 1`.execute(db);
    await expect(findClientMetadata(store, 'pencuri')).rejects.toThrow();
  });

  test('is not opened by another of our secrets', async () => {
    await expect(findClientMetadata(openClients(db, { secrets: [new_secret] }), 'penanda')).rejects.toThrow(
      /no key fits/,
    );
    const both = openClients(db, { secrets: [new_secret, old_secret] });
    expect(await findClientMetadata(both, 'penanda')).toMatchObject({ client_id: 'penanda' });
  });

  test('is known by an HS256 ID token, too; one that only sends its secret is never sealed', async () => {
    await saveClient(store, { id: 'hs256', metadata: { ...metadata, id_token_signed_response_alg: 'HS256' } });
    await addClientSecret(store, 'hs256', canary);
    expect(await findClientMetadata(store, 'hs256')).toMatchObject({ client_secret: canary });
    const sealed = await db.selectFrom('client_secrets').select('client_id').where('sealed', 'is not', null).execute();
    expect(new Set(sealed.map(({ client_id }) => client_id))).toEqual(new Set(['penanda', 'pencuri', 'hs256']));
  });

  test('whose secret was given before it signed gets one that nobody knows', async () => {
    await saveClient(store, { id: 'beralih', metadata });
    await addClientSecret(store, 'beralih', canary);
    await saveClient(store, { id: 'beralih', metadata: signing });
    const found = await findClientMetadata(store, 'beralih');
    expect(found?.client_secret).not.toBe(canary);
    expect(String(found?.client_secret).length).toBeGreaterThanOrEqual(43);
  });
});

describe('a secret that is issued', () => {
  beforeAll(() => saveClient(store, { id: 'terbit', metadata }));

  test('is shown once, found by whoever searches for such words, and never listed', async () => {
    const issued = await issue('terbit', inDays(90));
    if (issued.state !== 'issued') throw new Error(issued.because);
    expect(issued.secret).toMatch(/^gapura_secret_[\w-]{43}$/);
    expect(await has('terbit', issued.secret)).toBe(true);
    expect(await dump()).not.toContain(issued.secret.slice(14));
    const listed = await listClientSecrets(db, 'terbit');
    expect(listed).toEqual([
      {
        id: issued.id,
        created_at: expect.any(Date),
        expires_at: expect.any(Date),
        last_used_at: null,
        issued_by: null,
        is_live: true,
      },
    ]);
  });

  test('is the second of at most two; one that has ended does not count', async () => {
    expect(await issue('terbit')).toMatchObject({ state: 'issued' });
    expect(await issue('terbit')).toEqual({ state: 'refused', because: 'too_many' });
    await moveClock(db, 91 * 86_400);
    expect((await listClientSecrets(db, 'terbit')).map(({ is_live }) => is_live)).toEqual([true, false]);
    expect(await issue('terbit')).toMatchObject({ state: 'issued' });
  });

  test('twenty at once leave two', async () => {
    await saveClient(store, { id: 'badai', metadata });
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => issue('badai')));
    expect(outcomes.filter(({ state }) => state === 'issued')).toHaveLength(2);
    expect(await listClientSecrets(db, 'badai')).toHaveLength(2);
  });

  test('is refused to whom it would be of no use', async () => {
    await saveClient(store, { id: 'terbuka', metadata: { ...metadata, token_endpoint_auth_method: 'none' } });
    expect(await issue('terbuka')).toEqual({ state: 'refused', because: 'no_secret' });
    expect(await issue('tidak-ada')).toEqual({ state: 'refused', because: 'unknown' });
    await saveClient(store, { id: 'lewat', metadata });
    expect(await issue('lewat', inDays(-1))).toEqual({ state: 'refused', because: 'already_over' });
  });

  test('with which the client signs is sealed', async () => {
    await saveClient(store, { id: 'tanda', metadata: signing });
    const issued = await issue('tanda');
    if (issued.state !== 'issued') throw new Error(issued.because);
    expect(await dump()).not.toContain(issued.secret);
    expect(await findClientMetadata(store, 'tanda')).toMatchObject({ client_secret: issued.secret });
    const second = await issue('tanda');
    if (second.state !== 'issued') throw new Error(second.because);
    expect(await findClientMetadata(store, 'tanda')).toMatchObject({
      client_secret: second.secret,
      older_secrets: [issued.secret],
    });
  });
});

describe('the end of a secret', () => {
  test('is at once, at a time, and of this client’s alone', async () => {
    await saveClient(store, { id: 'akhir', metadata });
    const [first, second] = [await issue('akhir', inDays(30)), await issue('akhir')];
    if (first.state !== 'issued' || second.state !== 'issued') throw new Error('not issued');
    const end = (client_id: string, id: string, at?: Date) =>
      inTransaction(db, (tx) => endClientSecret(tx, client_id, id, at));
    expect(await end('satu', first.id)).toBe(false);
    expect(await end('akhir', 'x')).toBe(false);
    expect(await has('akhir', first.secret)).toBe(true);
    expect(await end('akhir', second.id, inDays(7))).toBe(true);
    expect(await end('akhir', first.id, inDays(60))).toBe(true);
    await moveClock(db, 8 * 86_400);
    expect(await has('akhir', second.secret)).toBe(false);
    expect(await has('akhir', first.secret)).toBe(true);
    // A later time than its own gives it no longer life.
    await moveClock(db, 31 * 86_400);
    expect(await has('akhir', first.secret)).toBe(false);
    await resetClock(db);
    expect(await end('akhir', first.id)).toBe(true);
    expect(await has('akhir', first.secret)).toBe(false);
    await inTransaction(db, (tx) => endClientSecrets(tx, 'akhir'));
    expect(await listClientSecrets(db, 'akhir')).toEqual([]);
  });
});

describe('the last use', () => {
  test('is noted once an hour, by no statement in between', async () => {
    await saveClient(store, { id: 'pakai', metadata });
    const issued = await issue('pakai');
    if (issued.state !== 'issued') throw new Error(issued.because);
    const use = async () => {
      const found = findClientSecret(store, (await findClientMetadata(store, 'pakai'))?.secret_hashes, issued.secret);
      return listStatements(async () => found && noteSecretUse(store, found));
    };
    const usedAt = async () => (await listClientSecrets(db, 'pakai'))[0]?.last_used_at?.getTime() ?? 0;
    expect(await use()).toHaveLength(1);
    const first = await usedAt();
    expect(first).toBeGreaterThan(0);
    expect(await use()).toEqual([]);
    await moveClock(db, 3700);
    expect(await use()).toHaveLength(1);
    expect(await usedAt()).toBeGreaterThan(first);
  });

  test('of two that sign is told by the signature', () => {
    const said = 'eyJhbGciOiJIUzI1NiJ9.e30';
    const assertion = `${said}.${createHmac('sha256', 'dua').update(said).digest('base64url')}`;
    expect(findSigningSecret(['satu', 'dua'], assertion)).toBe('dua');
    expect(findSigningSecret(['satu'], assertion)).toBeUndefined();
    for (const odd of ['', 'x', 'a.b', 'a.b.']) expect(findSigningSecret(['satu'], odd)).toBeUndefined();
  });
});

describe('the announcement of an end', () => {
  test('is claimed by one of many, for secrets of active clients that end soon', async () => {
    await saveClient(store, { id: 'segera', metadata });
    await issue('segera', inDays(10));
    await saveClient(store, { id: 'nanti', metadata });
    await issue('nanti', inDays(40));
    const ending = async () =>
      (await listEndingSecrets(db, 14)).filter(({ client_id }) => /segera|nanti/.test(client_id));
    const [secret, ...others] = await ending();
    expect(others).toEqual([]);
    expect(secret).toMatchObject({ client_id: 'segera' });
    const claims = await Promise.all(
      Array.from({ length: 5 }, () => inTransaction(db, (tx) => claimWarning(tx, secret?.id ?? ''))),
    );
    expect(claims.filter(Boolean)).toHaveLength(1);
    expect(await ending()).toEqual([]);
  });
});
