/** Clients: metadata that comes back as it was given, and secrets that no column holds. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import {
  addClientSecret,
  type ClientStore,
  findClientMetadata,
  isClientSecret,
  openClients,
  saveClient,
} from '../../src/clients/client.ts';
import { Secret } from '../../src/crypto.ts';
import type { Database } from '../../src/database.ts';
import { saveAgency } from '../../src/organisations.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let db: Database;
let store: ClientStore;

const old_secret = new Secret('an old secret of thirty-two characters');
const new_secret = new Secret('a new secret of thirty-two characters!');
const canary = 'Kanari-Rahasia-Aplikasi-7391-yang-panjang';

const metadata = {
  client_name: 'e-BPOM',
  'client_name#en': 'e-BPOM (English)',
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
  await saveAgency(db, { code: 'BPOM', name: 'Badan Pengawas Obat dan Makanan', name_en: 'Food and Drug Authority' });
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

describe('a client', () => {
  test('comes back with its metadata as it was given, and ours beside it', async () => {
    await saveClient(store, {
      id: 'e-bpom',
      agency_code: 'BPOM',
      first_party: true,
      directorate_required: true,
      form_action_origins: ['https://lain.contoh.example'],
      metadata,
    });
    expect(await findClientMetadata(store, 'e-bpom')).toEqual({
      ...metadata,
      client_id: 'e-bpom',
      agency_name: 'Badan Pengawas Obat dan Makanan',
      agency_name_en: expect.any(String),
      client_secret: expect.any(String),
      agency: 'BPOM',
      first_party: true,
      directorate_required: true,
      link_required: false,
      form_action_origins: ['https://lain.contoh.example'],
      secret_hashes: [],
    });
  });

  test('that says nothing of itself is trusted with nothing', async () => {
    await saveClient(store, { id: 'sederhana', metadata: { ...metadata, token_endpoint_auth_method: 'none' } });
    const found = await findClientMetadata(store, 'sederhana');
    expect(found).toMatchObject({
      first_party: false,
      directorate_required: false,
      link_required: false,
      form_action_origins: [],
    });
    expect(found).not.toHaveProperty('client_secret');
  });

  test('written again is replaced and one version further, and its secrets stay', async () => {
    await saveClient(store, { id: 'ganti', agency_code: 'BPOM', first_party: true, metadata });
    await addClientSecret(store, 'ganti', canary);
    await saveClient(store, { id: 'ganti', metadata: { ...metadata, client_name: 'Baru' } });
    const found = await findClientMetadata(store, 'ganti');
    expect(found).toMatchObject({ client_name: 'Baru', first_party: false });
    expect(found?.agency).toBeUndefined();
    expect(await has('ganti', canary)).toBe(true);
    expect(await db.selectFrom('clients').select('version').where('id', '=', 'ganti').execute()).toEqual([
      { version: 2 },
    ]);
  });

  test('cannot give itself what is ours by naming it in its metadata', async () => {
    const pretended = {
      first_party: true,
      agency: 'BPOM',
      client_id: 'portal',
      secret_hashes: [{ hash: 'x', expires_at: null }],
    };
    await saveClient(store, { id: 'penyamar', metadata: { ...metadata, ...pretended } });
    const found = await findClientMetadata(store, 'penyamar');
    expect(found).toMatchObject({ client_id: 'penyamar', first_party: false, secret_hashes: [] });
    expect(found?.agency).toBeUndefined();
  });

  test('that the engine refuses is not written', async () => {
    const refuse = async (shown: Record<string, unknown>) => {
      expect(shown).toMatchObject({ client_id: 'ditolak', client_secret: expect.any(String) });
      throw new Error('redirect_uris is wrong');
    };
    await expect(saveClient(store, { id: 'ditolak', metadata }, refuse)).rejects.toThrow('redirect_uris is wrong');
    expect(await findClientMetadata(store, 'ditolak')).toBeUndefined();
  });

  test('that is switched off is unknown, and known again when it is switched on', async () => {
    const turn = (active: boolean) => db.updateTable('clients').set({ active }).where('id', '=', 'e-bpom').execute();
    await turn(false);
    expect(await findClientMetadata(store, 'e-bpom')).toBeUndefined();
    await turn(true);
    expect(await findClientMetadata(store, 'e-bpom')).toMatchObject({ client_id: 'e-bpom' });
    expect(await findClientMetadata(store, 'E-BPOM')).toBeUndefined();
  });
});

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

  test('signs with the newest of several', async () => {
    await addClientSecret(store, 'penanda', 'rahasia-penanda-yang-lebih-baru-dan-panjang');
    expect(await findClientMetadata(store, 'penanda')).toMatchObject({
      client_secret: 'rahasia-penanda-yang-lebih-baru-dan-panjang',
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
