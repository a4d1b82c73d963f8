/** Requests for held user names at the console: seen and decided by officers of the agency, once, and told to everybody concerned. */

import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { grantRole } from '../../../src/permissions.ts';
import {
  linkAs,
  openTestLinks,
  proveAs,
  registerApplication,
  startApplication,
  type TestApplication,
} from '../../support/application.ts';
import {
  type ApiClient,
  addOfficer,
  getClientToken,
  newApiClient,
  openConsole,
  problemsOf,
  submitWell,
} from '../../support/desk.ts';
import { readText } from '../../support/facts.ts';
import { newSignedInVisitor, signIn, startGapura, type TestGapura } from '../../support/gapura.ts';
import { type HttpVisitor, newHttpVisitor } from '../../support/http.ts';
import { findAccountId } from '../../support/nodes.ts';
import { storm } from '../../support/storm.ts';

let gapura: TestGapura;
let application: TestApplication;
let links: Awaited<ReturnType<typeof openTestLinks>>;
let officer: ApiClient;
let petugas: HttpVisitor;

beforeAll(async () => {
  gapura = await startGapura();
  application = await startApplication();
  links = await openTestLinks(gapura);
  officer = newApiClient(
    gapura.url,
    await getClientToken(gapura, 'mesin-bpom', 'agency_officer', { agency_code: 'BPOM' }),
  );
  await addOfficer(gapura, 'petugas_dua', 'agency_officer', { agency_code: 'BPOM' });
  await addOfficer(gapura, 'petugas_hubla', 'agency_officer', { agency_code: 'KEMENHUB' });
  petugas = await openConsole(gapura, 'petugas');
});

afterEach(async () => {
  for (const table of ['link_requests', 'links', 'applications', 'limits', 'mails'] as const)
    await gapura.db.deleteFrom(table).execute();
});

afterAll(async () => {
  await links.close();
  await application.stop();
  await gapura.stop();
});

/** Budi links a name, the other proves it and waits; gives the request's id. */
async function contest(claimant = 'tono'): Promise<string> {
  await registerApplication(gapura, 'satu', application);
  await linkAs(links, 'budi', 'satu', 'user_bpom');
  await proveAs(links, claimant, 'satu', 'user_bpom');
  await gapura.db.deleteFrom('mails').execute();
  return (await gapura.db.selectFrom('link_requests').select('id').executeTakeFirstOrThrow()).id;
}

const addressOf = (id: string) => `/admin/links/${id}/decision`;
const linkedTo = async () => {
  const rows = await gapura.db.selectFrom('links').select('account_id').execute();
  return rows.map(({ account_id }) => account_id);
};

test('what waits is counted at home, and told with who asks, who holds it, and since when', async () => {
  const id = await contest();
  expect((await petugas.get('/admin')).body).toContain('/admin/links?state=waiting');
  const told = await officer('GET', `/links/${id}`);
  expect(told.body).toMatchObject({
    state: 'waiting',
    application_id: 'satu',
    username: 'user_bpom',
    directorate: 'PANGAN',
    claimant: 'tono',
    claimant_name: 'Tono Contoh Prasetyo',
    holders: ['Budi Contoh Santoso, budi'],
    decided_at: null,
  });
  expect((await officer('GET', '/links?state=waiting')).body.items).toHaveLength(1);
  expect((await officer('GET', '/links?state=granted')).body.items).toEqual([]);
});

test('granted it passes; the console, the one who asked and the one who lost it are told', async () => {
  const id = await contest();
  const form = await petugas.get(addressOf(id));
  expect(form.body).toContain('dilepas dari 1 orang');
  const done = await submitWell(petugas, form, { decision: 'granted' });
  expect(done.body).toContain('Permintaan sudah diputuskan.');
  expect(readText(done.body)).toContain('Petugas Contoh Lestari');
  expect(await linkedTo()).toEqual([await findAccountId(gapura, 'tono')]);
  const tono = await newSignedInVisitor(gapura.url, 'tono');
  expect(readText((await tono.get('/portal/applications/satu')).body)).toContain(
    'Permintaan Anda atas user_bpom dikabulkan',
  );
  const mails = gapura.db.selectFrom('mails').select('template').where('template', '<>', 'new_browser');
  expect(await mails.orderBy('template').execute()).toEqual([
    { template: 'link_transfer_granted' },
    { template: 'link_transferred_away' },
  ]);
  expect((await petugas.get(addressOf(id))).status).toBe(409);
  const audit = await gapura.db.selectFrom('audit_events').select('detail').orderBy('id', 'desc').limit(4).execute();
  expect(JSON.stringify(audit)).not.toMatch(/user_bpom|Tono|Budi/);
});

test('refused it needs a reason, which the one who asked reads; what was typed stays', async () => {
  const id = await contest();
  const silent = await petugas.submit(await petugas.get(addressOf(id)), { decision: 'refused' });
  expect([silent.status, problemsOf(silent)]).toEqual([422, [expect.stringContaining('Tulis alasan penolakan')]]);
  expect(silent.body).toMatch(/<option value="refused" selected>/);
  await submitWell(petugas, silent, { reason: 'Surat kuasa <belum> ada' });
  const tono = await newSignedInVisitor(gapura.url, 'tono');
  const { body } = await tono.get('/portal/applications/satu');
  expect(body).toContain('<q>Surat kuasa &lt;belum&gt; ada</q>');
  expect(await linkedTo()).toEqual([await findAccountId(gapura, 'budi')]);
  const budi = await newSignedInVisitor(gapura.url, 'budi');
  expect((await budi.get('/portal/applications/satu')).body).not.toContain('Surat kuasa');
});

test('is decided by a person, of the agency, whom it does not concern', async () => {
  const id = await contest('petugas_dua');
  expect((await officer('POST', `/links/${id}/decision`, { decision: 'granted' })).status).toBe(422);
  const own = await openConsole(gapura, 'petugas_dua');
  const refused = await own.submit(await own.get(addressOf(id)), { decision: 'granted' });
  expect([refused.status, problemsOf(refused)]).toEqual([422, [expect.stringContaining('menyangkut Anda sendiri')]]);
  await grantRole(gapura.db, await findAccountId(gapura, 'budi'), 'agency_officer', { agency_code: 'BPOM' });
  const holder = await openConsole(gapura, 'budi');
  const holding = await holder.submit(await holder.get(addressOf(id)), { decision: 'refused', reason: 'Milik saya' });
  expect(problemsOf(holding)).toEqual([expect.stringContaining('menyangkut Anda sendiri')]);
  await gapura.db
    .deleteFrom('role_assignments')
    .where('account_id', '=', await findAccountId(gapura, 'budi'))
    .where('role', '=', 'agency_officer')
    .execute();
  const other = await openConsole(gapura, 'petugas_hubla');
  expect((await other.get('/admin/links')).body).not.toContain('user_bpom');
  expect((await other.get(addressOf(id))).status).toBe(404);
  expect((await other.post(addressOf(id), { decision: 'granted' })).status).toBe(404);
  const tono = newHttpVisitor(gapura.url);
  await signIn(tono, await tono.get('/portal'), 'tono');
  expect((await tono.post(addressOf(id), { decision: 'granted' })).status).toBe(403);
  expect(await linkedTo()).toEqual([await findAccountId(gapura, 'budi')]);
});

test.each([[{ decision: 'taken' }], [{ decision: '' }], [{ decision: 'refused', reason: 'x'.repeat(501) }]])(
  '%j is refused',
  async (typed) => {
    const id = await contest();
    const refused = await petugas.submit(await petugas.get(addressOf(id)), typed as Record<string, string>);
    expect([refused.status, problemsOf(refused).length]).toEqual([422, 1]);
  },
);

test('of two officers who decide at once one does', async () => {
  const id = await contest();
  const second = await openConsole(gapura, 'petugas_dua');
  const cookies = [petugas, second].map((visitor) =>
    visitor.cookies.map(({ name, value }) => `${name}=${value}`).join('; '),
  );
  const answers = await storm(20, (at) => ({
    url: `${gapura.url}${addressOf(id)}`,
    headers: { cookie: cookies[at % 2] ?? '', origin: gapura.url },
    body: new URLSearchParams(
      at % 2 === 0 ? { decision: 'granted' } : { decision: 'refused', reason: 'Bukti kurang' },
    ).toString(),
  }));
  const winners = answers.flatMap(({ status }, at) => (status === 303 ? [at % 2 === 0 ? 'granted' : 'refused'] : []));
  expect(winners).toHaveLength(1);
  expect(answers.every(({ status }) => [303, 409, 412].includes(status))).toBe(true);
  const [row] = await gapura.db.selectFrom('link_requests').select('decision').execute();
  expect(row?.decision).toBe(winners[0]);
  expect(await linkedTo()).toEqual([await findAccountId(gapura, winners[0] === 'granted' ? 'tono' : 'budi')]);
});
