/** Clients: metadata that comes back as it was given, each version once, and what ends with them. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { saveApplication } from '../../src/applications/application.ts';
import {
  type ClientRegistration,
  type ClientStore,
  changeClient,
  createClient,
  deleteClient,
  deleteDynamicClient,
  disableClient,
  enableClient,
  openClients,
  saveClient,
} from '../../src/clients/client.ts';
import { findClientMetadata } from '../../src/clients/engine-client.ts';
import type { Validate } from '../../src/clients/engine-rules.ts';
import { describeImpact } from '../../src/clients/impact.ts';
import { addClientSecret, isClientSecret } from '../../src/clients/secrets.ts';
import { Secret } from '../../src/crypto.ts';
import { type Database, inTransaction, type Transaction } from '../../src/database.ts';
import { saveAgency } from '../../src/organisations/agency.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let db: Database;
let store: ClientStore;

const canary = 'Kanari-Rahasia-Aplikasi-7391-yang-panjang';

const metadata = {
  client_name: 'e-BPOM',
  'client_name#en': 'e-BPOM (English)',
  redirect_uris: ['https://e-bpom.contoh.example/callback'],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  token_endpoint_auth_method: 'client_secret_basic',
};

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  store = openClients(db, { secrets: [new Secret('a secret of at least thirty-two characters')] });
  await saveAgency(db, { code: 'BPOM', name: 'Badan Pengawas Obat dan Makanan', name_en: 'Food and Drug Authority' });
});

afterAll(() => database.drop());

/** Gives nobody anything to end. */
const none = async () => undefined;

/** Whether the client, as the engine reads it now, has this secret. */
async function has(id: string, secret: string, read = store): Promise<boolean> {
  return isClientSecret(read, (await findClientMetadata(read, id))?.secret_hashes, secret);
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
      fapi: false,
      pkce_required: true,
      refresh_rotation: 'rotate',
      claim_shape: 'standard',
      private_hosts: [],
      origin: 'console',
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
    const tx = <T>(work: (tx: Transaction) => Promise<T>) => inTransaction(db, work);
    await tx((tx) => disableClient(tx, 'e-bpom', { by: null, because: 'uji' }, none));
    expect(await findClientMetadata(store, 'e-bpom')).toBeUndefined();
    await tx((tx) => enableClient(tx, 'e-bpom', none));
    expect(await findClientMetadata(store, 'e-bpom')).toMatchObject({ client_id: 'e-bpom' });
    expect(await findClientMetadata(store, 'E-BPOM')).toBeUndefined();
  });
});

const accept = async () => undefined;
const registration = (id: string, more: Partial<ClientRegistration> = {}): ClientRegistration => ({
  id,
  metadata,
  ...more,
});
const create = (client: ClientRegistration, validate: Validate = accept) =>
  inTransaction(db, (tx) => createClient(tx, client, validate));
const change = (client: ClientRegistration, version?: number, validate: Validate = accept) =>
  inTransaction(db, (tx) => changeClient(tx, client, validate, version));
const rowOf = (id: string) => db.selectFrom('clients').selectAll().where('id', '=', id).executeTakeFirst();

describe('registering', () => {
  test('makes a client of the console, once', async () => {
    expect(await create(registration('baru'))).toEqual({ state: 'kept', version: 1 });
    expect(await rowOf('baru')).toMatchObject({ origin: 'console', active: true, fapi: false, api_role: null });
    expect(await create(registration('baru'))).toEqual({
      state: 'refused',
      errors: { client_id: 'errors.client.id_taken' },
    });
  });

  test('of twenty at once with one name, one wins', async () => {
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => create(registration('rebutan'))));
    expect(outcomes.filter(({ state }) => state === 'kept')).toHaveLength(1);
    expect(outcomes.filter(({ state }) => state === 'refused')).toHaveLength(19);
  });

  test('hears our rules, and the engine’s with a secret that stands in for those to come', async () => {
    const shown: Record<string, unknown>[] = [];
    const refuse = async (metadata: Record<string, unknown>) => {
      shown.push(metadata);
      throw Object.assign(new Error('x'), {
        error: 'invalid_client_metadata',
        error_description: 'scope must only contain Authorization Server supported scope values',
      });
    };
    expect(await create(registration('buruk'), refuse)).toEqual({
      state: 'refused',
      errors: { scope: 'errors.client.choice' },
    });
    expect(shown).toEqual([{ ...metadata, client_id: 'buruk', client_secret: expect.any(String) }]);
    const http = { ...metadata, redirect_uris: ['http://a.example/'] };
    expect(await create(registration('buruk', { metadata: http }), refuse)).toMatchObject({ state: 'refused' });
    expect(shown).toHaveLength(1);
    expect(await rowOf('buruk')).toBeUndefined();
  });

  test('by itself trusts it with nothing, whatever a statement says', async () => {
    await create(registration('sendiri', { origin: 'dynamic' }));
    const trust = db.updateTable('clients').set({ first_party: true }).where('id', '=', 'sendiri');
    await expect(trust.execute()).rejects.toThrow(/clients_untrusted/);
    expect(await change(registration('sendiri', { first_party: true }))).toEqual({
      state: 'refused',
      errors: { first_party: 'errors.client.untrusted' },
    });
  });
});

describe('changing', () => {
  beforeAll(() => create(registration('ubah')));

  test('replaces the whole and is one version further, at once for the engine', async () => {
    const changed = registration('ubah', { metadata: { ...metadata, client_name: 'Nama Baru' }, agency_code: 'BPOM' });
    expect(await change(changed, 1)).toEqual({ state: 'kept', version: 2 });
    expect(await findClientMetadata(store, 'ubah')).toMatchObject({ client_name: 'Nama Baru', agency: 'BPOM' });
  });

  test('is refused to whoever saw an older one; of twenty who saw the same, one wins', async () => {
    expect(await change(registration('ubah'), 1)).toEqual({ state: 'conflict' });
    const { version = 0 } = (await rowOf('ubah')) ?? {};
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => change(registration('ubah'), version)));
    expect(outcomes.filter(({ state }) => state === 'kept')).toHaveLength(1);
    expect(outcomes.filter(({ state }) => state === 'conflict')).toHaveLength(19);
    expect((await rowOf('ubah'))?.version).toBe(version + 1);
  });

  test('makes no client, and leaves where it came from', async () => {
    expect(await change(registration('tidak-ada'))).toEqual({ state: 'unknown' });
    await change(registration('ubah', { origin: 'own' }));
    expect((await rowOf('ubah'))?.origin).toBe('console');
  });

  test('what was refused is left as it was', async () => {
    const before = await rowOf('ubah');
    const http = { ...metadata, redirect_uris: ['http://a.example/'] };
    expect(await change(registration('ubah', { metadata: http }))).toMatchObject({ state: 'refused' });
    expect(await rowOf('ubah')).toEqual(before);
  });
});

describe('switching off and removing', () => {
  const ended: string[] = [];
  const end = async (_tx: Transaction, client_id: string) => ended.push(client_id);
  const disable = (id: string) => inTransaction(db, (tx) => disableClient(tx, id, { by: null, because: 'Bocor' }, end));

  beforeAll(async () => {
    await create(registration('mati'));
    await saveClient(store, { id: 'milik-kami', metadata, origin: 'own' });
  });

  test('says who and why, ends what was granted, and happens once', async () => {
    const outcomes = await Promise.all(Array.from({ length: 5 }, () => disable('mati')));
    expect(outcomes.filter(({ state }) => state === 'done')).toHaveLength(1);
    expect(ended).toEqual(['mati']);
    expect(await rowOf('mati')).toMatchObject({
      active: false,
      disabled_because: 'Bocor',
      disabled_at: expect.any(Date),
    });
    expect(await disable('mati')).toEqual({ state: 'refused', because: 'already' });
    expect(await disable('tidak-ada')).toEqual({ state: 'refused', because: 'unknown' });
  });

  test('on again ends once more what a request under way had left, and forgets the reason', async () => {
    const enable = () => inTransaction(db, (tx) => enableClient(tx, 'mati', end));
    expect(await enable()).toEqual({ state: 'done' });
    expect(ended).toEqual(['mati', 'mati']);
    expect(await rowOf('mati')).toMatchObject({ active: true, disabled_because: null, disabled_by: null });
    expect(await enable()).toEqual({ state: 'refused', because: 'already' });
  });

  test('is all or nothing', async () => {
    const fail = async () => {
      throw new Error('the database is away');
    };
    const attempt = inTransaction(db, (tx) => disableClient(tx, 'mati', { by: null, because: 'x' }, fail));
    await expect(attempt).rejects.toThrow('away');
    expect(await rowOf('mati')).toMatchObject({ active: true });
  });

  test('never meets a client of our own', async () => {
    expect(await disable('milik-kami')).toEqual({ state: 'refused', because: 'own' });
    expect(await change(registration('milik-kami'))).toEqual({
      state: 'refused',
      errors: { form: 'errors.client.own' },
    });
    expect(await inTransaction(db, (tx) => deleteClient(tx, 'milik-kami', end))).toEqual({
      state: 'refused',
      because: 'own',
    });
  });

  test('removes its secrets with it, and leaves the application without a client', async () => {
    await addClientSecret(store, 'mati', canary);
    await saveApplication(db, {
      id: 'mati',
      agency_code: 'BPOM',
      name: 'Mati',
      about: 'x',
      about_en: 'x',
      url: 'https://mati.contoh.example/',
      client_id: 'mati',
      verifier: null,
      verifier_settings: '{}',
    });
    expect(await describeImpact(db, 'mati')).toEqual({
      people: 0,
      links: 0,
      secrets: 1,
      applications: [{ id: 'mati', name: 'Mati' }],
    });
    expect(await inTransaction(db, (tx) => deleteClient(tx, 'mati', end))).toEqual({ state: 'done' });
    expect(await rowOf('mati')).toBeUndefined();
    expect(await db.selectFrom('client_secrets').selectAll().where('client_id', '=', 'mati').execute()).toEqual([]);
    const application = await db.selectFrom('applications').select('client_id').where('id', '=', 'mati').execute();
    expect(application).toEqual([{ client_id: null }]);
    expect(await describeImpact(db, 'mati')).toBeUndefined();
  });

  test('its id is nobody’s ever after, also where it registered itself', async () => {
    const taken = { state: 'refused', errors: { client_id: 'errors.client.id_removed' } };
    expect(await create(registration('mati'))).toEqual(taken);
    await create(registration('datang-sendiri', { origin: 'dynamic' }));
    expect(await inTransaction(db, (tx) => deleteDynamicClient(tx, 'datang-sendiri'))).toBe(true);
    expect(await create(registration('datang-sendiri'))).toEqual(taken);
    // Nothing was removed, so nothing is kept of it.
    expect(await inTransaction(db, (tx) => deleteClient(tx, 'belum-ada', end))).toMatchObject({ state: 'refused' });
    expect(await create(registration('belum-ada'))).toMatchObject({ state: 'kept' });
  });

  test('removed and registered again at once, by ten each, it never comes back', async () => {
    await create(registration('kembali'));
    const work = Array.from({ length: 10 }, () => [
      inTransaction(db, (tx) => deleteClient(tx, 'kembali', end)),
      create(registration('kembali')),
    ]);
    const outcomes = (await Promise.all(work.flat())).map(({ state }) => state);
    expect(outcomes.filter((state) => state === 'done')).toHaveLength(1);
    expect(outcomes.filter((state) => state === 'kept')).toHaveLength(0);
    expect(await rowOf('kembali')).toBeUndefined();
  });
});
