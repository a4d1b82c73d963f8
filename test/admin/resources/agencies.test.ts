/** Agencies at the console and for programs: everybody who works here sees them, administrators alone write them. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { findAgency } from '../../../src/organisations/agency.ts';
import { moveClock, resetClock } from '../../support/clock.ts';
import { type ApiClient, errorsOf, openConsole, openPrograms, problemsOf, submitWell } from '../../support/desk.ts';
import { signIn, startGapura, type TestGapura } from '../../support/gapura.ts';
import { newHttpVisitor } from '../../support/http.ts';

let gapura: TestGapura;
let admin: ApiClient;
let officer: ApiClient;

beforeAll(async () => {
  gapura = await startGapura();
  ({ admin, officer } = await openPrograms(gapura));
});

afterAll(() => gapura.stop());

test('is added, renamed by who saw it as it is, and told by its code', async () => {
  const made = await admin('POST', '/agencies', {
    code: 'kemenpar',
    name: 'Kementerian Pariwisata',
    name_en: 'Tourism',
  });
  expect([made.status, made.headers.get('location')]).toEqual([201, `${gapura.url}/api/v1/agencies/KEMENPAR`]);
  expect(made.body).toMatchObject({ id: 'KEMENPAR', code: 'KEMENPAR', active: true, version: 1 });
  const changed = await admin('PATCH', '/agencies/KEMENPAR', { name_en: 'Ministry of Tourism' }, { 'if-match': '"1"' });
  expect(changed.body).toMatchObject({ name: 'Kementerian Pariwisata', name_en: 'Ministry of Tourism', version: 2 });
  expect((await admin('PATCH', '/agencies/KEMENPAR', { name: 'X Y' }, { 'if-match': '"1"' })).status).toBe(412);
  const twice = await admin('POST', '/agencies', { code: 'KEMENPAR', name: 'Nama', name_en: 'Name' });
  expect([twice.status, errorsOf(twice)]).toEqual([422, { code: 'errors.agency.code_taken' }]);
});

test.each([
  [{ code: 'A B', name: 'Nama', name_en: 'Name' }, { code: 'errors.agency.code' }],
  [{ code: 'AB', name: '', name_en: 'Name' }, { name: 'errors.field.required' }],
  [{ code: 'AB', name: 'Nama' }, { name_en: 'errors.field.required' }],
  [{ code: ['AB'], name: 'Nama', name_en: 'Name' }, { code: 'errors.field.invalid' }],
  [{ code: 'AB', name: 'x'.repeat(5000), name_en: 'Name' }, { name: 'errors.too_long' }],
])('%j is refused with %j', async (input, errors) => {
  const refused = await admin('POST', '/agencies', input);
  expect([refused.status, errorsOf(refused)]).toEqual([422, errors]);
});

test('the code never changes', async () => {
  await admin('PATCH', '/agencies/KEMENDAG', { code: 'LAIN' }, { 'if-match': '"1"' });
  expect((await admin('GET', '/agencies/KEMENDAG')).body.code).toBe('KEMENDAG');
  expect((await admin('GET', '/agencies/LAIN')).status).toBe(404);
});

test('what has no shape of a code, or is none, is not found', async () => {
  for (const id of ['bpom', 'B', "BPOM'--", 'TIDAKADA', 'B'.repeat(300)])
    expect([id, (await admin('GET', `/agencies/${id}`)).status]).toEqual([id, 404]);
  expect((await admin('GET', '/agencies/%00')).status).toBe(400);
});

test('switched off it says what that breaks, and nobody is offered its directorates; on again all is as it was', async () => {
  const console_ = await openConsole(gapura, 'admin');
  const form = await console_.get('/admin/agencies/BPOM/deactivation');
  expect(form.body).toContain('Direktorat yang tidak lagi dapat dipilih: 5, dipakai oleh 3 orang.');
  const off = await submitWell(console_, form, {});
  expect(off.body).toContain('Instansi sudah dinonaktifkan.');
  expect((await admin('GET', '/agencies?active=false')).body.items).toMatchObject([{ code: 'BPOM' }]);
  expect((await admin('POST', '/agencies/BPOM/deactivation')).status).toBe(409);
  const on = await admin('POST', '/agencies/BPOM/activation');
  expect([on.status, on.body.active]).toEqual([200, true]);
});

test('to switch one off the administrator must have signed in of late', async () => {
  const console_ = await openConsole(gapura, 'admin');
  try {
    await moveClock(gapura.db, 3000);
    const asked = await console_.get('/admin/agencies/DJBC/deactivation');
    expect(asked.body).toContain('name="password"');
    expect(await findAgency(gapura.db, 'DJBC')).toMatchObject({ active: true, version: 1 });
  } finally {
    await resetClock(gapura.db);
  }
});

test('its page lists its directorates, and its history who did what', async () => {
  const console_ = await openConsole(gapura, 'admin');
  const page = await console_.get('/admin/agencies/BPOM');
  expect(page.body).toContain('Inspeksi dan Sertifikasi Produk Pangan');
  expect(page.body).toContain('Nonaktifkan Instansi');
  const refused = await console_.submit(await console_.get('/admin/agencies/creation'), {
    code: 'x y',
    name: 'Nama Baru',
  });
  expect([refused.status, problemsOf(refused)]).toHaveLength(2);
  expect(refused.body).toContain('value="Nama Baru"');
  const { body } = await admin('GET', '/agencies/BPOM/directorates');
  expect((body.items as { code: string }[]).map(({ code }) => code).toSorted()).toEqual([
    'BERBAHAYA',
    'NAPZA',
    'OT',
    'PANGAN',
    'TERAPETIK',
  ]);
});

test('an officer sees agencies and writes none; Tono sees nothing', async () => {
  expect((await officer('GET', '/agencies')).body.count).toBeGreaterThan(10);
  const wanted = { code: 'MILIKKU', name: 'Nama', name_en: 'Name' };
  expect((await officer('POST', '/agencies', wanted)).status).toBe(403);
  expect((await officer('PATCH', '/agencies/BPOM', { name: 'Milikku' }, { 'if-match': '"1"' })).status).toBe(403);
  expect((await officer('POST', '/agencies/BPOM/deactivation')).status).toBe(403);
  const petugas = await openConsole(gapura, 'petugas');
  expect((await petugas.get('/admin/agencies/BPOM')).body).not.toContain('Ubah Instansi');
  expect((await petugas.get('/admin/agencies/BPOM/change')).status).toBe(403);
  const tono = newHttpVisitor(gapura.url);
  await signIn(tono, await tono.get('/portal'), 'tono');
  expect((await tono.get('/admin/agencies')).status).toBe(403);
  const { rows } = await sql`SELECT FROM agencies WHERE code = 'MILIKKU' OR name = 'Milikku'`.execute(gapura.db);
  expect(rows).toHaveLength(0);
});
