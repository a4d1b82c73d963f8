/** The ways on from an entry: each leads where it says, begun with what is known, and nobody is sent where they may not go. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { findOrganisation } from '../../src/organisations/organisation.ts';
import { openConsole } from '../support/desk.ts';
import { registerClient, startGapura, type TestGapura } from '../support/gapura.ts';
import { type Answer, findForm, type HttpVisitor } from '../support/http.ts';

let gapura: TestGapura;
let pangan: string;

beforeAll(async () => {
  gapura = await startGapura();
  await registerClient(gapura, 'jalan', { agency_code: 'BPOM' });
  pangan = (await findOrganisation(gapura.db, '0000001016000000'))?.id as string;
});

afterAll(() => gapura.stop());

/** The addresses among an entry's ways. */
function waysOf({ body }: Answer): string[] {
  const [, nav = ''] = /<nav class="ways"[^>]*>([\s\S]*?)<\/nav>/.exec(body) ?? [];
  return [...nav.matchAll(/href="([^"]+)"/g)].map(([, href = '']) => href.replaceAll('&amp;', '&'));
}

const creationsOf = (page: Answer) =>
  waysOf(page).flatMap((href) => /^\/admin\/([a-z-]+)\/creation\?/.exec(href)?.[1] ?? []);

/** What the form behind a way begins with; a client's is behind its kinds. */
async function begin(visitor: HttpVisitor, href: string): Promise<Record<string, string>> {
  const answer = await visitor.get(href);
  const [kind] = /\/admin\/clients\/creation\?[^"]*preset=web_server/.exec(answer.body) ?? [];
  const form = kind ? await visitor.get(kind.replaceAll('&amp;', '&')) : answer;
  return findForm(form.body, new URL(form.url).pathname + new URL(form.url).search).fields;
}

test('an agency leads its administrator to its officer, directorates, clients and applications', async () => {
  const admin = await openConsole(gapura, 'admin');
  const page = await admin.get('/admin/agencies/BPOM');
  expect(creationsOf(page)).toEqual(['accounts', 'directorates', 'clients', 'applications']);
  for (const href of waysOf(page)) {
    expect([href, (await admin.get(href)).status]).toEqual([href, 200]);
    if (href.includes('/creation')) expect(await begin(admin, href)).toMatchObject({ agency_code: 'BPOM' });
  }
  const officer = await begin(admin, waysOf(page)[0] ?? '');
  expect(officer.role).toBe('agency_officer');
});

test('an officer is led on at the own agency, and not from another', async () => {
  const officer = await openConsole(gapura, 'petugas');
  expect(creationsOf(await officer.get('/admin/agencies/BPOM'))).toEqual(['directorates', 'clients', 'applications']);
  expect(waysOf(await officer.get('/admin/agencies/LNSW'))).toEqual(['/admin/directorates?agency_code=LNSW']);
  expect(creationsOf(await officer.get(`/admin/organisations/${pangan}`))).toEqual(['memberships']);
  const [application = ''] = waysOf(await officer.get('/admin/clients/jalan'));
  const known = {
    client_id: 'jalan',
    agency_code: 'BPOM',
    name: 'Aplikasi jalan',
    url: 'http://jalan.localhost:4999/',
  };
  expect(await begin(officer, application)).toMatchObject(known);
});

test('an organisation leads the service desk to its people, who are not asked for what the desk may not give', async () => {
  const desk = await openConsole(gapura, 'layanan');
  const page = await desk.get(`/admin/organisations/${pangan}`);
  expect(creationsOf(page)).toEqual(['accounts']);
  const fields = await begin(desk, waysOf(page)[0] ?? '');
  expect(fields.organisation_id).toBe('0000001016000000');
  expect(Object.keys(fields).filter((name) => ['role', 'agency_code'].includes(name))).toEqual([]);
});

test('an agency that is not there leaves the choice open, whatever the address says', async () => {
  const officer = await openConsole(gapura, 'petugas');
  for (const code of ['LNSW', 'TIDAK-ADA', '"><b>'])
    expect(await begin(officer, `/admin/directorates/creation?agency_code=${code}`)).toMatchObject({ agency_code: '' });
  expect(await begin(officer, '/admin/directorates/creation')).toMatchObject({ agency_code: 'BPOM' });
});

test('what was done is said where it was done alone, with the way to one more', async () => {
  const admin = await openConsole(gapura, 'admin');
  const [directorate] = await gapura.db.selectFrom('directorates').select('id').limit(1).execute();
  const made = await admin.get(`/admin/directorates/${directorate?.id}?done=creation`);
  expect(made.body).toContain('Direktorat sudah ditambahkan.');
  expect(made.body).toContain('href="/admin/directorates/creation?agency_code=BPOM"');
  const listed = await admin.get('/admin/accounts?done=creation');
  expect([listed.status, listed.body.includes('role="status"')]).toEqual([200, false]);
  const gone = await admin.get('/admin/memberships?done=removal');
  expect(gone.body).toContain('Keanggotaan sudah dihapus.');
});
