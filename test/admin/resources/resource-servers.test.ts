/** APIs at the console and for programs: registered with their scopes, given to clients, paired, switched off, never given twice. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  type ApiClient,
  addOfficer,
  getClientToken,
  listOperations,
  newApiClient,
  openConsole,
  problemsOf,
  submitWell,
} from '../../support/desk.ts';
import { registerClient, signIn, startGapura, type TestGapura } from '../../support/gapura.ts';
import { newHttpVisitor } from '../../support/http.ts';
import { allowAt, pairApis, registerApi } from '../../support/resource-servers.ts';
import { storm } from '../../support/storm.ts';

let gapura: TestGapura;
let admin: ApiClient;
let token: string;

beforeAll(async () => {
  gapura = await startGapura();
  token = await getClientToken(gapura, 'kantor', 'administrator');
  admin = newApiClient(gapura.url, token);
  await registerClient(gapura, 'layanan');
  await registerClient(gapura, 'toko');
  await registerClient(gapura, 'terbuka', { metadata: { token_endpoint_auth_method: 'none' } });
});

afterAll(() => gapura.stop());

const api = (identifier: string, more: Record<string, unknown> = {}) => ({
  identifier,
  agency_code: 'BPOM',
  name: 'API Stok',
  token_format: 'jwt',
  token_lifetime: 300,
  signing_alg: 'ES256',
  ...more,
});

const errorsOf = ({ status, body }: Awaited<ReturnType<ApiClient>>) => [
  status,
  Object.fromEntries((body.errors ?? []).map((one: { field: string; code: string }) => [one.field, one.code])),
];

test('is registered at the console, gets scopes and a client, is read by the officers of its agency alone', async () => {
  const office = await openConsole(gapura, 'admin');
  const form = await office.get('/admin/resource-servers/creation');
  const wrong = await office.submit(form, { ...formOf('http://api.example.go.id'), token_lifetime: '301' });
  expect([wrong.status, problemsOf(wrong)]).toEqual([
    422,
    ['Tulis alamat https lengkap tanpa parameter, tanda # dan kata sandi.'],
  ]);
  const long = await office.submit(wrong, { ...formOf('https://stok.example.go.id/v1'), token_lifetime: '301' });
  expect(problemsOf(long)).toEqual(['JWT berlaku paling lama 300 detik.']);
  const made = await submitWell(office, long, formOf('https://stok.example.go.id/v1'));
  const entry = made.url.pathname;
  const act = async (operation: string, values: Record<string, string>) =>
    submitWell(office, await office.get(`${entry}/${operation}`), values);
  await act('scope', { scope_name: 'stok:baca', text_id: 'membaca stok', text_en: 'read the stock' });
  await act('scope', { scope_name: 'stok:baca', text_id: 'membaca stok barang', text_en: 'read the stock of goods' });
  const shown = await act('grant', { allowed_client_id: 'toko', granted_scopes: 'stok:baca', for_people: 'on' });
  for (const words of ['API Stok', 'membaca stok barang', 'toko', 'layanan']) expect(shown.body).toContain(words);
  expect(shown.body).not.toContain('membaca stok<');

  const id = entry.split('/').at(-1) ?? '';
  expect((await admin('GET', `/resource-servers/${id}/clients`)).body.items).toEqual([
    { client_id: 'toko', scopes: ['stok:baca'], for_people: true, for_itself: false },
  ]);
  const officer = await openConsole(gapura, 'petugas');
  expect((await officer.get(entry)).status).toBe(200);
  expect((await officer.get(`${entry}/grant`)).status).toBe(403);
  await addOfficer(gapura, 'dagang', 'agency_officer', { agency_code: 'KEMENDAG' });
  expect((await (await openConsole(gapura, 'dagang')).get(entry)).status).toBe(404);
  const tono = newHttpVisitor(gapura.url);
  expect((await signIn(tono, await tono.get(entry), 'tono')).status).toBe(403);
});

const formOf = (identifier: string) => ({
  identifier,
  agency_code: 'BPOM',
  name: 'API Stok',
  token_format: 'jwt',
  token_lifetime: '300',
  signing_alg: 'ES256',
  client_id: 'layanan',
});

describe('an API is not registered', () => {
  test.each([
    ['stok.example.go.id', 'identifier'],
    ['http://stok.example.go.id', 'identifier'],
    ['https://stok.example.go.id/?a=1', 'identifier'],
    ['https://stok.example.go.id/#a', 'identifier'],
    ['https://kunci@stok.example.go.id/', 'identifier'],
    ['https://stok.example.go.id\\v1', 'identifier'],
    ['urn:contoh:stok', 'identifier'],
    ['https://STOK.example.go.id/v1', 'identifier'],
    ['https://stok.example.go.id:443/v1', 'identifier'],
    ['https://stok.example.go.id/a/../v1', 'identifier'],
  ])('as %j', async (identifier, field) => {
    const answer = await admin('POST', '/resource-servers', api(identifier));
    expect([answer.status, Object.keys(errorsOf(answer)[1] as object)]).toEqual([422, [field]]);
  });

  test('at our own address, with a client that proves nothing or is not there, or for an unknown agency', async () => {
    const fields = async (body: Record<string, unknown>) => {
      const answer = await admin('POST', '/resource-servers', body);
      return [answer.status, ...Object.keys(errorsOf(answer)[1] as object)];
    };
    expect(await fields(api(`${gapura.url}/api/v1`))).toEqual([422, 'identifier']);
    expect(await fields(api('https://a.example.go.id', { client_id: 'terbuka' }))).toEqual([422, 'client_id']);
    expect(await fields(api('https://a.example.go.id', { client_id: 'tidak-ada' }))).toEqual([422, 'client_id']);
    expect(await fields(api('https://a.example.go.id', { client_id: 'portal' }))).toEqual([422, 'client_id']);
    expect(await fields(api('https://a.example.go.id', { agency_code: 'TIDAKADA' }))).toEqual([422, 'agency_code']);
    expect(await fields(api('https://a.example.go.id', { token_lifetime: 3601 }))).toEqual([422, 'token_lifetime']);
  });

  test('twice: of ten that are sent at once one wins', async () => {
    const identifier = 'https://serentak.example.go.id';
    const answers = await storm(10, () => ({
      url: `${gapura.url}/api/v1/resource-servers`,
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(api(identifier)),
    }));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, ...Array(9).fill(422)]);
    const rows = await gapura.db
      .selectFrom('resource_servers')
      .selectAll()
      .where('identifier', '=', identifier)
      .execute();
    expect(rows).toHaveLength(1);
  });

  test('under the identifier of one that was removed', async () => {
    const identifier = 'https://bekas.example.go.id';
    const made = await admin('POST', '/resource-servers', api(identifier));
    const tag = { 'if-match': made.headers.get('etag') ?? '' };
    expect((await admin('DELETE', `/resource-servers/${made.body.id}`, undefined, tag)).status).toBe(204);
    const again = await admin('POST', '/resource-servers', api(identifier));
    expect([again.status, Object.keys(errorsOf(again)[1] as object)]).toEqual([422, ['identifier']]);
  });
});

describe('a scope', () => {
  test.each(['openid', 'admin:apa-saja', 'clients:read', 'Besar', 'a', 'dua kata', 'a"b'])(
    'is not called %j',
    async (scope_name) => {
      const { id } = await registerApi(gapura, `nama-${Buffer.from(scope_name).toString('hex')}`);
      const body = { scope_name, text_id: 'memakai', text_en: 'use' };
      const answer = await admin('POST', `/resource-servers/${id}/scope`, body);
      expect([answer.status, Object.keys(errorsOf(answer)[1] as object)]).toEqual([422, ['scope_name']]);
    },
  );

  test('that is removed is gone from every client and every pair', async () => {
    const [source, target] = [
      await registerApi(gapura, 'sumber', { client_id: 'layanan' }),
      await registerApi(gapura, 'tujuan'),
    ];
    await allowAt(gapura, target, { client_id: 'toko' });
    await pairApis(gapura, source, target, ['stok:baca', 'stok:tulis']);
    const ended = await admin('POST', `/resource-servers/${target.id}/scope-end`, { ended_scope: 'stok:tulis' });
    expect([ended.status, ended.body.scopes]).toEqual([200, ['stok:baca']]);
    expect((await admin('GET', `/resource-servers/${target.id}/clients`)).body.items[0].scopes).toEqual(['stok:baca']);
    expect((await admin('GET', `/resource-servers/${source.id}/exchanges`)).body.items).toEqual([
      { target: target.identifier, scopes: ['stok:baca'] },
    ]);
    const again = await admin('POST', `/resource-servers/${target.id}/scope-end`, { ended_scope: 'stok:tulis' });
    expect(again.status).toBe(422);
  });
});

describe('a client', () => {
  test('is allowed what the API has and for somebody, and withdrawn once', async () => {
    const { id } = await registerApi(gapura, 'izin');
    const grant = (body: Record<string, unknown>) => admin('POST', `/resource-servers/${id}/grant`, body);
    const wrong = [
      [{ allowed_client_id: 'toko', granted_scopes: ['lain'], for_people: true }, 'granted_scopes'],
      [{ allowed_client_id: 'toko', granted_scopes: ['stok:baca'] }, 'for_people'],
      [{ allowed_client_id: 'tidak-ada', granted_scopes: ['stok:baca'], for_people: true }, 'allowed_client_id'],
      [{ allowed_client_id: 'portal', granted_scopes: ['stok:baca'], for_people: true }, 'allowed_client_id'],
    ] as const;
    for (const [body, field] of wrong) {
      const answer = await grant(body);
      expect([answer.status, Object.keys(errorsOf(answer)[1] as object)]).toEqual([422, [field]]);
    }
    const well = await grant({ allowed_client_id: 'toko', granted_scopes: ['stok:baca'], for_itself: true });
    expect(well.status).toBe(200);
    const [row] = await listOperations(gapura, 'resource-servers', id);
    expect(row).toMatchObject({ client_id: 'kantor', detail: { operation: 'grant' } });
    const end = () => admin('POST', `/resource-servers/${id}/grant-end`, { ended_client_id: 'toko' });
    expect([(await end()).status, (await end()).status]).toEqual([200, 409]);
  });
});

describe('a pair', () => {
  test('has two APIs, a client that exchanges, and scopes that both have; it is ended once', async () => {
    const source = await registerApi(gapura, 'pasangan', { client_id: 'layanan', scopes: ['stok:baca', 'pesan:baca'] });
    const target = await registerApi(gapura, 'pasangannya');
    const pair = (id: string, body: Record<string, unknown>) => admin('POST', `/resource-servers/${id}/exchange`, body);
    const scopes = { passed_scopes: ['stok:baca'] };
    const wrong = [
      [{ target_id: source.id, ...scopes }, 'target_id'],
      [{ target_id: '00000000-0000-4000-8000-000000000000', ...scopes }, 'target_id'],
      [{ target_id: 'x', ...scopes }, 'target_id'],
      [{ target_id: target.id, passed_scopes: ['pesan:baca'] }, 'passed_scopes'],
      [{ target_id: target.id, passed_scopes: ['stok:tulis'] }, 'passed_scopes'],
      [{ target_id: target.id, passed_scopes: [] }, 'passed_scopes'],
    ] as const;
    for (const [body, field] of wrong) {
      const answer = await pair(source.id, body);
      expect([body, answer.status, Object.keys(errorsOf(answer)[1] as object)]).toEqual([body, 422, [field]]);
    }
    expect((await pair(target.id, { target_id: source.id, ...scopes })).status).toBe(409);
    expect((await pair(source.id, { target_id: target.id, ...scopes })).status).toBe(200);
    const end = () => admin('POST', `/resource-servers/${source.id}/exchange-end`, { ended_target_id: target.id });
    expect([(await end()).status, (await end()).status]).toEqual([200, 409]);
  });
});
