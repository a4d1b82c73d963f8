/** Directorates at the console and for programs: an officer writes those of the own agency, and no others. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type ApiClient, errorsOf, getClientToken, newApiClient, openConsole, submitWell } from '../../support/desk.ts';
import { startGapura, type TestGapura } from '../../support/gapura.ts';
import { storm } from '../../support/storm.ts';

let gapura: TestGapura;
let admin: ApiClient;
let officer: ApiClient;
let token: string;

beforeAll(async () => {
  gapura = await startGapura();
  token = await getClientToken(gapura, 'mesin', 'administrator');
  admin = newApiClient(gapura.url, token);
  officer = newApiClient(
    gapura.url,
    await getClientToken(gapura, 'mesin-bpom', 'agency_officer', { agency_code: 'BPOM' }),
  );
});

afterAll(() => gapura.stop());

async function findId(code: string): Promise<string> {
  const row = await gapura.db
    .selectFrom('directorates')
    .select('id')
    .where('code', '=', code)
    .executeTakeFirstOrThrow();
  return row.id;
}

test('an officer adds one to the own agency, and renames it in both languages', async () => {
  const made = await officer('POST', '/directorates', {
    agency_code: 'BPOM',
    code: 'kosmetik',
    name: 'Pengawasan Kosmetik',
  });
  expect(made.status).toBe(201);
  expect(made.body).toMatchObject({ agency_code: 'BPOM', code: 'KOSMETIK', name_en: null, version: 1 });
  const path = `/directorates/${made.body.id}`;
  const changed = await officer('PATCH', path, { name_en: 'Control of Cosmetics' }, { 'if-match': '"1"' });
  expect(changed.body).toMatchObject({ name: 'Pengawasan Kosmetik', name_en: 'Control of Cosmetics', version: 2 });
  const emptied = await officer('PATCH', path, { name_en: '' }, { 'if-match': '"2"' });
  expect(emptied.body).toMatchObject({ name_en: null, version: 3 });
});

test('at another agency an officer adds, renames and switches nothing', async () => {
  const other = await admin('POST', '/directorates', {
    agency_code: 'KEMENDAG',
    code: 'IMPOR',
    name: 'Direktorat Impor',
  });
  const path = `/directorates/${other.body.id}`;
  const wanted = { agency_code: 'KEMENDAG', code: 'CURI', name: 'Curian' };
  expect((await officer('POST', '/directorates', wanted)).status).toBe(403);
  expect((await officer('POST', '/directorates', { ...wanted, agency_code: 'TIDAKADA' })).status).toBe(403);
  expect((await officer('GET', path)).status).toBe(200);
  for (const [method, address, body] of [
    ['PATCH', path, { name: 'Curian' }],
    ['POST', `${path}/deactivation`, {}],
    ['POST', `${path}/activation`, {}],
  ] as const)
    expect([address, (await officer(method, address, body, { 'if-match': '"1"' })).status]).toEqual([address, 404]);
  // Nor is an agency changed by a change: what is there stays where it is.
  const moved = await officer(
    'PATCH',
    `/directorates/${await findId('PANGAN')}`,
    { agency_code: 'KEMENDAG' },
    { 'if-match': '"1"' },
  );
  expect(moved.status).not.toBe(500);
  expect((await admin('GET', `/directorates/${await findId('PANGAN')}`)).body.agency_code).toBe('BPOM');
  expect((await admin('GET', path)).body).toEqual(other.body);

  const petugas = await openConsole(gapura, 'petugas');
  expect((await petugas.get('/admin/directorates/creation')).body).not.toContain('KEMENDAG');
  expect((await petugas.get(`/admin${path}`)).body).not.toContain('Ubah Direktorat');
  expect((await petugas.get(`/admin/directorates/${await findId('PANGAN')}`)).body).toContain('Ubah Direktorat');
  expect((await petugas.get(`/admin${path}/change`)).status).toBe(404);
});

test.each([
  [{ agency_code: 'BPOM', code: 'PANGAN', name: 'Nama' }, { code: 'errors.directorate.code_taken' }],
  [{ agency_code: 'TIDAKADA', code: 'BARU', name: 'Nama' }, { agency_code: 'errors.agency.unknown' }],
  [{ agency_code: 'BPOM', code: 'x/y', name: 'Nama' }, { code: 'errors.agency.code' }],
  [{ agency_code: 'BPOM', code: 'BARU' }, { name: 'errors.field.required' }],
  [{ agency_code: 7, code: 'BARU', name: 'Nama' }, { agency_code: 'errors.field.invalid' }],
  [{ agency_code: 'BPOM', code: 'BARU', name: 'Nama', name_en: 'x'.repeat(201) }, { name_en: 'errors.too_long' }],
])('%j is refused with %j', async (input, errors) => {
  const refused = await admin('POST', '/directorates', input);
  expect([refused.status, errorsOf(refused)]).toEqual([422, errors]);
});

test('asked for by ten requests at once with one code it is made once', async () => {
  const answers = await storm(10, (at) => ({
    url: `${gapura.url}/api/v1/directorates`,
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ agency_code: 'BPOM', code: 'SERENTAK', name: `Ke-${at}` }),
  }));
  expect(answers.map(({ status }) => status).toSorted()).toEqual([201, ...Array(9).fill(422)]);
});

test('switched off it says whom that concerns, and keeps its memberships for when it is on again', async () => {
  const petugas = await openConsole(gapura, 'petugas');
  const id = await findId('OT');
  const form = await petugas.get(`/admin/directorates/${id}/deactivation`);
  expect(form.body).toContain('Perusahaan yang memiliki pengguna di direktorat ini: 2, dengan 3 orang.');
  const off = await submitWell(petugas, form, {});
  expect(off.body).toContain('Direktorat sudah dinonaktifkan.');
  const memberships = await admin('GET', `/memberships?directorate_id=${id}`);
  expect(memberships.body.count).toBe(2);
  expect((await officer('POST', `/directorates/${id}/activation`)).body.active).toBe(true);
});

test('is listed by agency and state, in words of the reader', async () => {
  const { body } = await admin('GET', '/directorates?agency_code=KEMENDAG&active=true');
  expect((body.items as { code: string }[]).map(({ code }) => code)).toEqual(['IMPOR']);
  for (const bad of ['active=x', 'agency_code=A&agency_code=B', 'unknown=1', 'sort=secret'])
    expect([bad, (await admin('GET', `/directorates?${bad}`)).status]).toEqual([bad, 400]);
  const petugas = await openConsole(gapura, 'petugas');
  const page = await petugas.get(`/admin/directorates/${await findId('PANGAN')}?lang=en`);
  expect(page.body).toContain('<h1>Inspection and Certification of Food</h1>');
});
