/** Memberships at the console and for programs: which organisation has a user where; an officer's are the own agency's. */

import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { memberships } from '../../../src/admin/resources/memberships.ts';
import { addMembership } from '../../../src/organisations/directorate.ts';
import { findOrganisation } from '../../../src/organisations/organisation.ts';
import { type ApiClient, errorsOf, getClientToken, newApiClient, openConsole, submitWell } from '../../support/desk.ts';
import { signIn, startGapura, type TestGapura } from '../../support/gapura.ts';
import { newHttpVisitor } from '../../support/http.ts';
import { storm } from '../../support/storm.ts';

let gapura: TestGapura;
let admin: ApiClient;
let officer: ApiClient;
let token: string;
/** Ids of organisations by a word of their names, and of directorates by their codes. */
let organisation: { pangan: string; kosmetika: string; farma: string };
let directorate: Record<string, string>;

beforeAll(async () => {
  gapura = await startGapura();
  token = await getClientToken(gapura, 'mesin', 'administrator');
  admin = newApiClient(gapura.url, token);
  officer = newApiClient(
    gapura.url,
    await getClientToken(gapura, 'mesin-bpom', 'agency_officer', { agency_code: 'BPOM' }),
  );
  await admin('POST', '/directorates', { agency_code: 'KEMENDAG', code: 'IMPOR', name: 'Direktorat Impor' });
  const idOf = async (npwp: string) => (await findOrganisation(gapura.db, npwp))?.id as string;
  organisation = {
    pangan: await idOf('0000001016000000'),
    kosmetika: await idOf('0000001024000000'),
    farma: await idOf('0000001032000000'),
  };
  const rows = await gapura.db.selectFrom('directorates').select(['id', 'code']).execute();
  directorate = Object.fromEntries(rows.map(({ id, code }) => [code, id]));
});

beforeEach(async () => {
  await gapura.db.deleteFrom('memberships').execute();
  for (const [who, code] of [
    ['pangan', 'PANGAN'],
    ['pangan', 'OT'],
    ['pangan', 'IMPOR'],
    ['kosmetika', 'OT'],
  ] as const)
    await addMembership(gapura.db, organisation[who], directorate[code] as string);
});

afterAll(() => gapura.stop());

const idOf = (who: keyof typeof organisation, code: string) => `${organisation[who]}.${directorate[code]}`;
const list = async (api: ApiClient, query = '') => {
  const { status, body } = await api('GET', `/memberships${query}`);
  expect(status).toBe(200);
  return (body.items as { organisation_name: string; directorate_code: string }[])
    .map((row) => `${row.organisation_name.split(' ')[2]} ${row.directorate_code}`)
    .toSorted();
};

test('is added by the NPWP in any mask or by the id, and told with its names', async () => {
  const by_npwp = await officer('POST', '/memberships', {
    organisation_id: '00.000.103.2-000.000',
    directorate_id: directorate.NAPZA,
  });
  expect(by_npwp.status).toBe(201);
  expect(by_npwp.body).toMatchObject({
    id: idOf('farma', 'NAPZA'),
    organisation_name: 'PT Contoh Farma Sejahtera',
    npwp: '0000001032000000',
    agency_code: 'BPOM',
    directorate_code: 'NAPZA',
  });
  const by_id = await officer('POST', '/memberships', {
    organisation_id: organisation.farma,
    directorate_id: directorate.OT,
  });
  expect(by_id.body.id).toBe(idOf('farma', 'OT'));
  expect((await officer('GET', `/memberships/${idOf('farma', 'OT')}`)).body).toEqual(by_id.body);
});

test.each([
  [
    'an organisation that is not there',
    { organisation_id: '0000001099000000' },
    { organisation_id: 'errors.organisation.unknown' },
  ],
  ['a name for a number', { organisation_id: 'PT Contoh' }, { organisation_id: 'errors.organisation.unknown' }],
  ['no organisation', { organisation_id: undefined }, { organisation_id: 'errors.field.required' }],
  ['a directorate that is none', { directorate_id: 'PANGAN' }, { directorate_id: 'errors.directorate' }],
  [
    'a directorate that is not there',
    { directorate_id: '6f9619ff-8b86-4d01-b42d-00cf4fc964ff' },
    { directorate_id: 'errors.directorate' },
  ],
  ['one that stands', { organisation_id: '0000001016000000' }, { directorate_id: 'errors.membership_there' }],
  ['an array', { organisation_id: ['0000001016000000'] }, { organisation_id: 'errors.field.invalid' }],
])('with %s it is refused beside the field', async (_what, wrong, errors) => {
  const refused = await admin('POST', '/memberships', {
    organisation_id: '0000001032000000',
    directorate_id: directorate.PANGAN,
    ...wrong,
  });
  expect([refused.status, errorsOf(refused)]).toEqual([422, errors]);
});

test('added by ten requests at once it stands once', async () => {
  const answers = await storm(10, () => ({
    url: `${gapura.url}/api/v1/memberships`,
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ organisation_id: organisation.farma, directorate_id: directorate.PANGAN }),
  }));
  expect(answers.map(({ status }) => status).toSorted()).toEqual([201, ...Array(9).fill(422)]);
});

test('is listed by organisation, directorate and agency', async () => {
  expect(await list(admin)).toEqual(['Kosmetika OT', 'Pangan IMPOR', 'Pangan OT', 'Pangan PANGAN']);
  expect(await list(admin, '?organisation_id=00.000.102.4-000.000')).toEqual(['Kosmetika OT']);
  expect(await list(admin, `?organisation_id=${organisation.kosmetika}`)).toEqual(['Kosmetika OT']);
  expect(await list(admin, `?directorate_id=${directorate.OT}`)).toEqual(['Kosmetika OT', 'Pangan OT']);
  expect(await list(admin, '?agency_code=KEMENDAG')).toEqual(['Pangan IMPOR']);
  for (const bad of ['organisation_id=PT', "organisation_id='", 'directorate_id=OT', 'organisation_id=1'])
    expect([bad, (await admin('GET', `/memberships?${bad}`)).status]).toEqual([bad, 400]);
});

test('page by page each is told once, whatever the size', async () => {
  for (const size of [1, 2, 3]) {
    const seen: string[] = [];
    for (let path: string | undefined = `/memberships?size=${size}`; path; ) {
      const { body }: Awaited<ReturnType<ApiClient>> = await admin('GET', path);
      seen.push(...(body.items as { id: string }[]).map(({ id }) => id));
      path = body.links.next?.slice(`${gapura.url}/api/v1`.length);
    }
    expect([size, seen.length, new Set(seen).size]).toEqual([size, 4, 4]);
  }
});

test('one is found by both its ids through the index', async () => {
  await sql`INSERT INTO organisations (name, npwp)
    SELECT 'PT Massal ' || n, '9' || lpad(n::text, 15, '0') FROM generate_series(1, 5000) n`.execute(gapura.db);
  await sql`INSERT INTO memberships SELECT id, ${directorate.NAPZA} FROM organisations WHERE npwp LIKE '9%'`.execute(
    gapura.db,
  );
  await sql`ANALYZE`.execute(gapura.db);
  const plan = await gapura.db
    .selectFrom(memberships.select(gapura.db).as('r'))
    .selectAll()
    .where(sql<boolean>`r.id = ${idOf('pangan', 'OT')}`)
    .explain<Record<string, string>>();
  expect(JSON.stringify(plan)).toContain('memberships_id');
});

test('an officer sees and writes the own agency’s alone', async () => {
  expect(await list(officer)).toEqual(['Kosmetika OT', 'Pangan OT', 'Pangan PANGAN']);
  expect(await list(officer, '?agency_code=KEMENDAG')).toEqual([]);
  expect((await officer('GET', `/memberships/${idOf('pangan', 'IMPOR')}`)).status).toBe(404);
  expect((await officer('DELETE', `/memberships/${idOf('pangan', 'IMPOR')}`)).status).toBe(404);
  const wanted = { organisation_id: organisation.farma, directorate_id: directorate.IMPOR };
  expect((await officer('POST', '/memberships', wanted)).status).toBe(403);
  expect(await list(admin, '?agency_code=KEMENDAG')).toEqual(['Pangan IMPOR']);
  const page = await officer('GET', `/organisations/${organisation.pangan}/memberships`);
  expect((page.body.items as { code: string }[]).map(({ code }) => code).toSorted()).toEqual(['OT', 'PANGAN']);
  const petugas = await openConsole(gapura, 'petugas');
  const form = await petugas.get('/admin/memberships/creation');
  expect(form.body).toContain('Produk Pangan');
  expect(form.body).not.toContain('Direktorat Impor');
});

test('removed it says whom that concerns, and is gone', async () => {
  const petugas = await openConsole(gapura, 'petugas');
  const form = await petugas.get(`/admin/memberships/${idOf('pangan', 'PANGAN')}/removal`);
  expect(form.body).toContain('Orang yang tidak lagi dapat memilih direktorat ini: 2.');
  const done = await submitWell(petugas, form, {});
  expect(done.body).toContain('Keanggotaan sudah dihapus.');
  expect(await list(admin)).toEqual(['Kosmetika OT', 'Pangan IMPOR', 'Pangan OT']);
  expect((await officer('DELETE', `/memberships/${idOf('pangan', 'PANGAN')}`)).status).toBe(404);
  expect((await officer('DELETE', `/memberships/${idOf('pangan', 'OT')}`)).status).toBe(204);
});

test('Sari sees her company’s and changes none; Tono sees nothing', async () => {
  const sari = await openConsole(gapura, 'sari');
  const page = await sari.get('/admin/memberships');
  expect(page.body).toContain('Direktorat Impor');
  expect(page.body).not.toContain('Kosmetika Jaya');
  expect((await sari.get(`/admin/memberships/${idOf('kosmetika', 'OT')}`)).status).toBe(404);
  expect((await sari.get(`/admin/memberships/${idOf('pangan', 'OT')}/removal`)).status).toBe(403);
  expect((await sari.get('/admin/memberships/creation')).status).toBe(403);
  const tono = newHttpVisitor(gapura.url);
  await signIn(tono, await tono.get('/portal'), 'tono');
  expect((await tono.get('/admin/memberships')).status).toBe(403);
});
