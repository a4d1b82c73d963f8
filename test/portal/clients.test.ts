/** Aplikasi yang Saya Kembangkan: developers submit for their own agency, follow it, and make the first secret once. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { addOfficer, getClientToken, newApiClient, problemsOf } from '../support/desk.ts';
import { newSignedInVisitor, startGapura, type TestGapura } from '../support/gapura.ts';
import type { HttpVisitor } from '../support/http.ts';
import { storm } from '../support/storm.ts';

let gapura: TestGapura;
let developer: HttpVisitor;

beforeAll(async () => {
  gapura = await startGapura();
  await addOfficer(gapura, 'ahli', 'developer', { agency_code: 'BPOM' });
  await addOfficer(gapura, 'ahli-dua', 'developer', { agency_code: 'BPOM' });
  await addOfficer(gapura, 'orang-lain', 'developer', { agency_code: 'KEMENDAG' });
  developer = await newSignedInVisitor(gapura.url, 'ahli');
});

afterAll(() => gapura.stop());

const proposal = {
  client_name: 'Sistem Izin',
  redirect_uris: 'https://izin.example.go.id/kembali\nhttps://izin.example.go.id/lain',
  note: 'Untuk perizinan',
};

async function submit(more: Record<string, string> = {}): Promise<string> {
  const form = await developer.get('/portal/clients/submission');
  const page = await developer.submit(form, { ...proposal, ...more });
  expect([page.status, problemsOf(page)]).toEqual([200, []]);
  return page.url.pathname;
}

async function approve(address: string, client_id: string): Promise<void> {
  const token = await getClientToken(gapura, `petugas-${client_id}`, 'agency_officer', { agency_code: 'BPOM' });
  const officer = newApiClient(gapura.url, token);
  const id = address.split('/').at(-1);
  expect((await officer('POST', `/submissions/${id}/approval`, { client_id })).status).toBe(200);
}

test('the menu shows it to developers alone, and everybody else is turned away', async () => {
  expect((await developer.get('/portal')).body).toContain('href="/portal/clients"');
  const tono = await newSignedInVisitor(gapura.url, 'tono');
  expect((await tono.get('/portal')).body).not.toContain('href="/portal/clients"');
  for (const address of ['/portal/clients', '/portal/clients/submission'])
    expect((await tono.get(address)).status).toBe(403);
  expect((await tono.post('/portal/clients/submission', proposal)).status).toBe(403);
});

test('what is wrong is said beside the field, with everything still in the form', async () => {
  const form = await developer.get('/portal/clients/submission');
  const refused = await developer.submit(form, {
    client_name: 'Sistem Izin',
    redirect_uris: 'http://izin.example.go.id/',
  });
  expect([refused.status, problemsOf(refused).length]).toEqual([422, 1]);
  expect(refused.body).toContain('value="Sistem Izin"');
  for (const odd of [
    { preset: 'apa saja' },
    { scope: 'admin:write' },
    { client_name: '' },
    { agency_code: 'KEMENDAG' },
    { client_name: '\0' },
    { redirect_uris: 'x'.repeat(20_000) },
  ])
    expect([odd, (await developer.submit(form, { ...proposal, ...odd })).status]).toEqual([odd, 422]);
});

test('keys that are missing are asked for by their address, and nobody returns to an address of ours', async () => {
  const form = await developer.get('/portal/clients/submission');
  const keyless = await developer.submit(form, { ...proposal, preset: 'fapi2' });
  expect([keyless.status, problemsOf(keyless)]).toEqual([422, [expect.stringContaining('alamat tempat kunci')]]);
  expect(keyless.body).toContain('href="#jwks_uri"');
  const ours = await developer.submit(form, { ...proposal, redirect_uris: `${gapura.url}/admin/trials/callback` });
  expect([ours.status, problemsOf(ours)]).toEqual([422, [expect.stringContaining('milik Gapura sendiri')]]);
});

test('submitted, it waits; approved, its settings are there, and its first secret is made once', async () => {
  const address = await submit();
  const waiting = await developer.get(address);
  expect(waiting.body).toContain('Menunggu petugas');
  expect(waiting.body).not.toContain('Buat Rahasia Pertama');
  expect((await developer.post(`${address}/secret`, {})).body).not.toContain('gapura_secret_');
  await approve(address, 'sistem-izin');
  const page = await developer.get(address);
  for (const text of ['Disetujui', 'sistem-izin', 'oauth2-proxy']) expect(page.body).toContain(text);
  const cookie = developer.cookies
    .filter(({ path }) => path === '/')
    .map(({ name, value }) => `${name}=${value}`)
    .join('; ');
  const url = `${gapura.url}${address}/secret`;
  const answers = await storm(6, () => ({ url, headers: { cookie, origin: gapura.url }, body: 'x=1' }));
  const shown = answers.filter(({ body }) => body.includes('gapura_secret_'));
  expect(shown).toHaveLength(1);
  const secrets = await gapura.db
    .selectFrom('client_secrets')
    .select('id')
    .where('client_id', '=', 'sistem-izin')
    .execute();
  expect(secrets).toHaveLength(1);
  expect((await developer.get(address)).body).not.toContain('gapura_secret_');
});

test('once an administrator trusts it with the interface for programs, its developer makes no secret of it', async () => {
  const address = await submit({ client_name: 'Dipercaya' });
  await approve(address, 'dipercaya');
  expect((await developer.get(address)).body).toContain('Buat Rahasia Pertama');
  const admin = newApiClient(gapura.url, await getClientToken(gapura, 'mesin', 'administrator'));
  const change = { scope: ['openid', 'admin:write'] };
  expect((await admin('PATCH', '/clients/dipercaya', change, { 'if-match': '"1"' })).status).toBe(200);
  expect((await developer.get(address)).body).not.toContain('Buat Rahasia Pertama');
  expect((await developer.post(`${address}/secret`, {})).body).not.toContain('gapura_secret_');
  const { body } = await admin('GET', '/clients/dipercaya/secrets');
  expect(body.items).toEqual([]);
});

test('another developer of the agency sees it but makes no secret of it; one of another agency finds nothing', async () => {
  const address = await submit({ client_name: 'Bersama' });
  await approve(address, 'bersama');
  const rekan = await newSignedInVisitor(gapura.url, 'ahli-dua');
  const page = await rekan.get(address);
  expect([page.status, page.body.includes('Buat Rahasia Pertama')]).toEqual([200, false]);
  expect((await rekan.post(`${address}/secret`, {})).body).not.toContain('gapura_secret_');
  const other = await newSignedInVisitor(gapura.url, 'orang-lain');
  expect((await other.get(address)).status).toBe(404);
  expect((await other.post(`${address}/secret`, {})).status).toBe(404);
  expect((await other.get('/portal/clients')).body).not.toContain('Bersama');
  for (const id of ['x', '00000000-0000-4000-8000-000000000000'])
    expect((await developer.get(`/portal/clients/${id}`)).status).toBe(404);
});
