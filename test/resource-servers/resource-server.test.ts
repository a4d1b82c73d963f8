/** The register of APIs: what may stand in it, how two who write at once end, and what a removal leaves. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { inTransaction } from '../../src/database.ts';
import { findExchange } from '../../src/resource-servers/exchanges.ts';
import { allowClient, findTarget, servesToken, withdrawClient } from '../../src/resource-servers/grants.ts';
import {
  changeResourceServer,
  createResourceServer,
  endApiScope,
  findApiScopes,
  keepApiScope,
  listApis,
  listPairable,
  nameApi,
  removeResourceServer,
  resourceServerSchema,
  setResourceServerActive,
} from '../../src/resource-servers/resource-server.ts';
import { registerClient, startGapura, type TestGapura } from '../support/gapura.ts';
import { allowAt, pairApis, registerApi } from '../support/resource-servers.ts';

let gapura: TestGapura;

beforeAll(async () => {
  gapura = await startGapura();
  for (const id of ['toko', 'layanan-a', 'layanan-b']) await registerClient(gapura, id);
});

afterAll(() => gapura.stop());

const inTx: <T>(work: Parameters<typeof inTransaction<T>>[1]) => Promise<T> = (work) => inTransaction(gapura.db, work);

const described = {
  agency_code: 'BPOM',
  name: 'API',
  name_en: null,
  token_format: 'jwt',
  token_lifetime: 60,
  signing_alg: 'ES256',
  client_id: null,
} as const;

describe('an identifier', () => {
  const create = (identifier: string, production: boolean) =>
    inTx((tx) =>
      createResourceServer(tx, { identifier, ...described }, { production, url: 'https://gapura.example.go.id' }),
    );

  test('on this machine is for development alone', async () => {
    expect((await create('http://localhost:4100/api', true)).state).toBe('refused');
    expect((await create('http://localhost:4100/api', false)).state).toBe('done');
    expect((await create('http://api.example.go.id', false)).state).toBe('refused');
    expect((await create('https://gapura.example.go.id/api/v1', true)).state).toBe('refused');
  });

  test('goes to one of two who register it at once, and after a removal to nobody', async () => {
    const identifier = 'https://satu.example.go.id';
    const both = await Promise.all([create(identifier, true), create(identifier, true)]);
    expect(both.map(({ state }) => state).toSorted()).toEqual(['done', 'refused']);
    expect(await inTx((tx) => removeResourceServer(tx, identifier))).toEqual({ state: 'done' });
    expect(await inTx((tx) => removeResourceServer(tx, identifier))).toEqual({ state: 'conflict' });
    expect(await create(identifier, true)).toEqual({
      state: 'refused',
      errors: { identifier: 'errors.resource-server.removed' },
    });
  });
});

test('a change counts once for each version', async () => {
  const { id } = await registerApi(gapura, 'ubah', { scopes: [] });
  const change = (name: string) =>
    inTx((tx) => changeResourceServer(tx, { id, version: 1 }, resourceServerSchema.parse({ ...described, name })));
  const both = await Promise.all([change('API satu'), change('API dua')]);
  expect(both.map(({ state }) => state).toSorted()).toEqual(['conflict', 'done']);
});

test('scopes that are written at once all stay, fifty of them at most', async () => {
  const { id } = await registerApi(gapura, 'cakupan', { scopes: [] });
  const keep = (at: number) =>
    inTx((tx) => keepApiScope(tx, id, { scope_name: `s:${at}`, text_id: 'memakai', text_en: 'use' }));
  const kept = await Promise.all(Array.from({ length: 51 }, (_, at) => keep(at)));
  expect(kept.filter(({ state }) => state === 'done')).toHaveLength(50);
  expect(await findApiScopes(gapura.db, id)).toHaveLength(50);
  expect(await inTx((tx) => endApiScope(tx, id, 'tidak-ada'))).toEqual({ state: 'conflict' });
});

test('is told to people by name and words, in their language', async () => {
  const { identifier } = await registerApi(gapura, 'nama', { scopes: ['stok:baca'] });
  const [api] = await listApis(gapura.db, [identifier, 'https://tidak-ada.example.go.id']);
  if (!api) throw new Error('not listed');
  expect([nameApi(api, 'id'), nameApi(api, 'en'), nameApi({ ...api, name_en: null }, 'en')]).toEqual([
    'API nama',
    'The nama API',
    'API nama',
  ]);
  expect(api.scopes).toEqual([{ name: 'stok:baca', text_id: 'memakai stok:baca', text_en: 'use stok:baca' }]);
  expect(await listApis(gapura.db, [])).toEqual([]);
});

test('a client is allowed for itself and for people apart, and nothing once it is withdrawn', async () => {
  const api = await registerApi(gapura, 'izin');
  const find = (purpose: 'for_itself' | 'for_people', client_id = 'toko') =>
    findTarget(gapura.db, api.identifier, { client_id, purpose });
  expect(await find('for_people')).toBeUndefined();
  await allowAt(gapura, api, { client_id: 'toko', for_itself: false, scopes: ['stok:baca'] });
  expect(await find('for_itself')).toBeUndefined();
  expect(await find('for_people')).toMatchObject({ scopes: ['stok:baca'], is_passed_on: false });
  expect(await find('for_people', 'layanan-a')).toBeUndefined();
  await inTx((tx) => setResourceServerActive(tx, api.id, false));
  expect(await find('for_people')).toBeUndefined();
  await inTx((tx) => setResourceServerActive(tx, api.id, true));
  expect([await inTx((tx) => withdrawClient(tx, api.id, 'toko')), await find('for_people')]).toEqual([true, undefined]);
  const nobody = { client_id: 'toko', scopes: [], for_itself: false, for_people: false };
  expect((await inTx((tx) => allowClient(tx, api.id, nobody))).state).toBe('refused');
});

describe('two APIs', () => {
  test('are paired from one to the other, and the token must have been sent to the first', async () => {
    const source = await registerApi(gapura, 'awal', { client_id: 'layanan-a' });
    const target = await registerApi(gapura, 'akhir', { client_id: 'layanan-b' });
    await allowAt(gapura, source, { client_id: 'toko' });
    await pairApis(gapura, source, target);
    const token = { audience: source.identifier, client_id: 'toko', actor: undefined };
    const find = (client_id: string, brought = token, to = target.identifier) =>
      findExchange(gapura.db, client_id, brought, to);
    expect(await find('layanan-a')).toMatchObject({ identifier: target.identifier, scopes: ['stok:baca'] });
    expect(await find('layanan-b')).toBe('foreign');
    expect(await find('layanan-a', { ...token, audience: target.identifier })).toBe('foreign');
    expect(await find('layanan-a', { ...token, client_id: 'layanan-b' })).toBe('foreign');
    expect(await find('layanan-a', token, source.identifier)).toBeUndefined();
    expect(await listPairable(gapura.db, source.id, ['stok:baca'])).toContainEqual(target);
    expect(await listPairable(gapura.db, source.id, ['tidak:ada'])).toEqual([]);
  });

  test('know the tokens of an exchange by who made it', async () => {
    const source = await registerApi(gapura, 'asal', { client_id: 'layanan-a' });
    const target = await registerApi(gapura, 'arah', { client_id: 'layanan-b' });
    const told = (actor: string | undefined, client_id = 'layanan-b') =>
      servesToken(gapura.db, client_id, { audience: target.identifier, client_id: 'toko', actor });
    expect(await told('layanan-a')).toBe(false);
    await pairApis(gapura, source, target);
    // Whoever it came from is not allowed there.
    expect(await told('layanan-a')).toBe(false);
    await allowAt(gapura, source, { client_id: 'toko' });
    expect([await told('layanan-a'), await told('layanan-b'), await told(undefined)]).toEqual([true, false, false]);
    expect(await told('layanan-a', 'layanan-a')).toBe(false);
  });
});
