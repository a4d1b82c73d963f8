/** Organisations at the console and for programs: found quickly, written by the service desk, told to those who may see them. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { organisations, prefixQuery } from '../../../src/admin/resources/organisations.ts';
import { findOrganisation, saveOrganisation } from '../../../src/organisations/organisation.ts';
import {
  type ApiClient,
  getClientToken,
  newApiClient,
  openConsole,
  problemsOf,
  submitWell,
} from '../../support/desk.ts';
import { signIn, startGapura, type TestGapura } from '../../support/gapura.ts';
import { newHttpVisitor } from '../../support/http.ts';
import { storm } from '../../support/storm.ts';

let gapura: TestGapura;
let admin: ApiClient;
let token: string;

beforeAll(async () => {
  gapura = await startGapura();
  await saveOrganisation(gapura.db, { name: 'CV.Contoh/Herbal-Lestari', npwp: '00.000.104.0-000.000' });
  token = await getClientToken(gapura, 'mesin', 'administrator');
  admin = newApiClient(gapura.url, token);
});

afterAll(() => gapura.stop());

const names = async (query: string) => {
  const { status, body } = await admin('GET', `/organisations?${query}`);
  expect(status).toBe(200);
  return (body.items as { name: string }[]).map(({ name }) => name);
};

describe('a search', () => {
  test.each([
    ['contoh kosmetika', ['PT Contoh Kosmetika Jaya']],
    ['kosm', ['PT Contoh Kosmetika Jaya']],
    ['lestari', ['CV.Contoh/Herbal-Lestari']],
    ['cv. contoh herbal', ['CV.Contoh/Herbal-Lestari']],
    ['JAYA KOS', ['PT Contoh Kosmetika Jaya']],
    ['00.000.102.4-000.000', ['PT Contoh Kosmetika Jaya']],
    ['0000001024000000', ['PT Contoh Kosmetika Jaya']],
    ['000000102', ['PT Contoh Kosmetika Jaya']],
    ['00.000.102', ['PT Contoh Kosmetika Jaya']],
    [
      '00000010',
      [
        'CV.Contoh/Herbal-Lestari',
        'PT Contoh Farma Sejahtera',
        'PT Contoh Kosmetika Jaya',
        'PT Contoh Pangan Nusantara',
      ],
    ],
    ['etika', []],
    ['0000001024000001', []],
    // Sixteen digits are whole: they are not the beginning of another number with a zero in front.
    ['0000010240000009', []],
    ['00000010240000000000', []],
    ["kosm' | 'pangan", []],
    ["'", []],
    ['a & !b | (c', []],
    [':*', []],
    ['\\', []],
    ['--', []],
  ])('for "%s" finds %j', async (typed, found) => {
    expect(await names(new URLSearchParams({ q: typed }).toString())).toEqual(found);
  });

  test('takes of what is typed the letters and digits alone', () => {
    expect(prefixQuery(" PT. O'Neil & Co:* ")).toBe("'pt':* & 'o':* & 'neil':* & 'co':*");
    expect(prefixQuery('!&|')).toBe('');
  });

  test('and the list by name are served by indexes', async () => {
    await sql`INSERT INTO organisations (name, npwp)
      SELECT 'PT Massal ' || n, '9' || lpad(n::text, 15, '0') FROM generate_series(1, 20000) n`.execute(gapura.db);
    await sql`ANALYZE organisations`.execute(gapura.db);
    const select = () => gapura.db.selectFrom(organisations.select(gapura.db).as('r') as never).selectAll() as never;
    const plan = async (condition: ReturnType<typeof sql>) => {
      const query = select() as ReturnType<typeof gapura.db.selectFrom<'organisations'>>;
      const rows = await query.where(condition as never).explain<Record<string, string>>();
      return rows.map((row) => Object.values(row).join(' ')).join('\n');
    };
    const search = organisations.list.filters?.q?.where as (typed: string) => ReturnType<typeof sql>;
    expect(await plan(search('massal 19999'))).toContain('organisations_words');
    const by_number = await plan(search('9.000.000.000.199'));
    expect(by_number).toContain('organisations_npwp_key');
    expect(by_number).not.toContain('Seq Scan');
    const sorted = await (select() as ReturnType<typeof gapura.db.selectFrom<'organisations'>>)
      .orderBy(sql`lower(r.name)`)
      .orderBy(sql`r.id`)
      .limit(20)
      .explain<Record<string, string>>();
    expect(JSON.stringify(sorted)).toContain('organisations_name');
    await sql`DELETE FROM organisations WHERE npwp LIKE '9%'`.execute(gapura.db);
  });
});

describe('a new organisation', () => {
  test('is told with all of it, and its version as the tag', async () => {
    const made = await admin('POST', '/organisations', {
      name: 'PT Contoh Ekspedisi Muatan',
      npwp: '00.000.105.7-000.000',
      nitku: '0000001057000000000000',
      nib: '0000000000105',
      time_zone: 'Asia/Jayapura',
    });
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({
      npwp: '0000001057000000',
      is_npwp_doubtful: false,
      time_zone: 'Asia/Jayapura',
      active: true,
      version: 1,
    });
    const found = await fetch(made.headers.get('location') as string, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect([found.status, found.headers.get('etag'), await found.json()]).toEqual([200, '"1"', made.body]);
  });

  test.each([
    [{ npwp: '123' }, { npwp: 'errors.npwp' }],
    [{ npwp: '1234567890123456' }, { npwp: 'errors.organisation.npwp_nik' }],
    [{ npwp: undefined }, { npwp: 'errors.field.required' }],
    [{ npwp: 13000666091000 }, { npwp: 'errors.field.invalid' }],
    [{ npwp: ['0013000666091000'] }, { npwp: 'errors.field.invalid' }],
    [{ npwp: '0000001016000000' }, { npwp: 'errors.organisation.npwp_taken' }],
    [{ nitku: '0000001016000000000000' }, { nitku: 'errors.organisation.nitku_npwp' }],
    [{ nitku: '1' }, { nitku: 'errors.organisation.nitku' }],
    [{ nib: '12' }, { nib: 'errors.organisation.nib' }],
    [{ edi_number: 'EDI 01' }, { edi_number: 'errors.organisation.edi_number' }],
    [{ srp: '<' }, { srp: 'errors.organisation.srp' }],
    [{ postal_code: 'abcde' }, { postal_code: 'errors.organisation.postal_code' }],
    [{ time_zone: 'Europe/Berlin' }, { time_zone: 'errors.field.invalid' }],
    [{ name: 'x'.repeat(201) }, { name: 'errors.too_long' }],
    [{ name: 'a\u0007b' }, { name: 'errors.field.unreadable' }],
    [{ name: 'a\u202eb' }, { name: 'errors.field.unreadable' }],
    [{ name: ' ' }, { name: 'errors.field.required' }],
    [{ name: 'X' }, { name: 'errors.too_short' }],
  ])('with %j is refused with %j', async (wrong, errors) => {
    const before = (await admin('GET', '/organisations')).body.count;
    const refused = await admin('POST', '/organisations', { name: 'PT Salah', npwp: '01.300.066.6-091.000', ...wrong });
    expect(refused.status).toBe(422);
    const told = (refused.body.errors as { field: string; code: string }[]).map(({ field, code }) => [field, code]);
    expect(Object.fromEntries(told)).toEqual(errors);
    expect((await admin('GET', '/organisations')).body.count).toBe(before);
  });

  test('asked for by ten requests at once with one NPWP is made once', async () => {
    const answers = await storm(10, (at) => ({
      url: `${gapura.url}/api/v1/organisations`,
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ name: `PT Serentak ${at}`, npwp: at % 2 ? '01.312.166.0-091.000' : '0013121660091000' }),
    }));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, ...Array(9).fill(422)]);
    expect(await names('q=0013121660091000')).toHaveLength(1);
  });

  test('whose check digit fails is saved and said to be doubtful', async () => {
    const made = await admin('POST', '/organisations', { name: 'PT Ragu', npwp: '01.300.066.5-091.000' });
    expect([made.status, made.body.is_npwp_doubtful]).toEqual([201, true]);
    const desk = await openConsole(gapura, 'layanan');
    const form = await desk.get(`/admin/organisations/${made.body.id}/change`);
    expect(form.body).toContain('Digit pemeriksa NPWP ini tidak cocok. Periksa kembali');
  });

  test('whose check digit fails is refused where the policy says so', async () => {
    const path = '/policies/organisations.npwp_check';
    const { headers } = await admin('GET', path);
    const strict = { value: 'error', because: 'Hanya nomor yang sah' };
    const set = await admin('PATCH', path, strict, { 'if-match': headers.get('etag') ?? '' });
    expect(set.status).toBe(200);
    // Every node hears of it within moments.
    let made: Awaited<ReturnType<ApiClient>>;
    for (let at = 0; ; at++) {
      const npwp = `01.300.066.5-${String(at).padStart(3, '0')}.001`;
      made = await admin('POST', '/organisations', { name: 'PT Ragu Lagi', npwp });
      if (made.status !== 201 || at === 900) break;
    }
    expect([made.status, made.body.errors?.[0]]).toMatchObject([
      422,
      { field: 'npwp', code: 'errors.organisation.npwp_check' },
    ]);
    const good = await admin('POST', '/organisations', { name: 'PT Benar', npwp: '01.234.567.4-901.000' });
    expect(good.status).toBe(201);
    // What stands already may keep its NPWP.
    const { body } = await admin('GET', '/organisations?q=0013000665091000');
    const kept = await admin('PATCH', `/organisations/${body.items[0].id}`, { city: 'Medan' }, { 'if-match': '"1"' });
    expect([kept.status, kept.body.city]).toEqual([200, 'Medan']);
  });
});

test('a change keeps what is not named, and of two who saw the same the second is told what stands now', async () => {
  const made = await admin('POST', '/organisations', { name: 'PT Lama', npwp: '0000001065000000', city: 'Bandung' });
  const path = `/organisations/${made.body.id}`;
  expect((await admin('PATCH', path, { name: 'PT Tanpa Versi' })).status).toBe(428);
  const first = await admin('PATCH', path, { name: 'PT Baru' }, { 'if-match': '"1"' });
  expect([first.status, first.body.name, first.body.city, first.body.version]).toEqual([200, 'PT Baru', 'Bandung', 2]);
  const second = await admin('PATCH', path, { city: null }, { 'if-match': '"1"' });
  expect([second.status, second.body.current.name]).toEqual([412, 'PT Baru']);
  const emptied = await admin('PATCH', path, { city: null }, { 'if-match': '"2"' });
  expect([emptied.status, emptied.body.city]).toEqual([200, null]);
  const history = await admin('GET', `${path}/history`);
  const changes = (history.body.items as { changes: object }[]).map((row) => row.changes);
  expect(changes).toEqual([{ city: { from: 'Bandung', to: null } }, { name: { from: 'PT Lama', to: 'PT Baru' } }, {}]);
});

test('a changed NPWP stands in no history, for it may be a NIK', async () => {
  const made = await admin('POST', '/organisations', { name: 'UD Perorangan', npwp: '9901010501900001' });
  const path = `/organisations/${made.body.id}`;
  const changed = await admin('PATCH', path, { npwp: '9901014501900002' }, { 'if-match': '"1"' });
  expect(changed.status).toBe(200);
  expect((await admin('GET', `${path}/history`)).body.items[0].changes).toEqual({ npwp: null });
  const { rows } = await sql`SELECT FROM audit_events WHERE detail::text LIKE '%99010%'`.execute(gapura.db);
  expect(rows).toHaveLength(0);
});

test('switched off it says what that breaks, and is told as not active', async () => {
  const desk = await openConsole(gapura, 'layanan');
  const { id } = (await findOrganisation(gapura.db, '0000001016000000')) as { id: string };
  const form = await desk.get(`/admin/organisations/${id}/deactivation`);
  expect(form.body).toContain('Orang yang bertindak untuk perusahaan ini: 2.');
  expect(form.body).toContain('Direktorat yang tidak lagi dapat mereka pilih: 2.');
  const done = await submitWell(desk, form, {});
  expect(done.body).toContain('Perusahaan sudah dinonaktifkan.');
  expect(await findOrganisation(gapura.db, id)).toMatchObject({ active: false, version: 2 });
  expect((await admin('POST', `/organisations/${id}/deactivation`)).status).toBe(409);
  expect(await names('active=false')).toEqual(['PT Contoh Pangan Nusantara']);
  const on = await admin('POST', `/organisations/${id}/activation`);
  expect([on.status, on.body.active]).toEqual([200, true]);
});

test('the console keeps what was typed beside the error, and lists the directorates', async () => {
  const desk = await openConsole(gapura, 'layanan');
  const refused = await desk.submit(await desk.get('/admin/organisations/creation'), {
    name: 'PT Contoh Elektronika Prima',
    npwp: '00.000.106.5-000.00',
  });
  expect([refused.status, problemsOf(refused)]).toEqual([422, ['NPWP harus 15 atau 16 digit.']]);
  expect(refused.body).toContain('value="PT Contoh Elektronika Prima"');
  expect(refused.body).toContain('value="00.000.106.5-000.00"');
  const { id } = (await findOrganisation(gapura.db, '0000001024000000')) as { id: string };
  const page = await desk.get(`/admin/organisations/${id}`);
  expect(page.body).toContain('Inspeksi dan Sertifikasi Obat Tradisional');
});

test('Sari sees her own company and changes nothing; Tono sees nothing', async () => {
  const sari = await openConsole(gapura, 'sari');
  const list = await sari.get('/admin/organisations');
  expect(list.body).toContain('PT Contoh Pangan Nusantara');
  expect(list.body).not.toContain('PT Contoh Kosmetika Jaya');
  const own = (await findOrganisation(gapura.db, '0000001016000000')) as { id: string };
  const other = (await findOrganisation(gapura.db, '0000001024000000')) as { id: string };
  expect((await sari.get(`/admin/organisations/${own.id}`)).status).toBe(200);
  expect((await sari.get(`/admin/organisations/${other.id}`)).status).toBe(404);
  expect((await sari.get(`/admin/organisations/${own.id}/change`)).status).toBe(403);
  expect((await sari.get('/admin/organisations/creation')).status).toBe(403);
  const tono = newHttpVisitor(gapura.url);
  await signIn(tono, await tono.get('/portal'), 'tono');
  expect((await tono.get('/admin/organisations')).status).toBe(403);
});
