/** Applications at the console and for programs: written by their agency, set up from the verifier's own schema, tried, shared. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { findApplication, saveApplication } from '../../../src/applications/application.ts';
import { inTransaction } from '../../../src/database.ts';
import { listHolders, takeName } from '../../../src/links/holders.ts';
import { lineUp, writeLink } from '../../../src/links/store.ts';
import { findOrganisationOf } from '../../../src/organisations/organisation.ts';
import {
  linkAs,
  openTestLinks,
  own_password,
  registerApplication,
  startApplication,
  type TestApplication,
} from '../../support/application.ts';
import { makeCertificate } from '../../support/certificate.ts';
import {
  type ApiClient,
  addOfficer,
  errorsOf,
  openConsole,
  openPrograms,
  problemsOf,
  submitWell,
} from '../../support/desk.ts';
import { readText } from '../../support/facts.ts';
import { registerClient, signIn, startGapura, type TestGapura } from '../../support/gapura.ts';
import { type HttpVisitor, newHttpVisitor } from '../../support/http.ts';
import { findAccountId } from '../../support/nodes.ts';

let gapura: TestGapura;
let application: TestApplication;
let links: Awaited<ReturnType<typeof openTestLinks>>;
let admin: ApiClient;
let officer: ApiClient;
let petugas: HttpVisitor;
/** A password that must be nowhere afterwards. */
const canary = 'Kenari-Tak-Tersimpan-7d1f';

beforeAll(async () => {
  gapura = await startGapura();
  application = await startApplication();
  links = await openTestLinks(gapura);
  ({ admin, officer } = await openPrograms(gapura));
  petugas = await openConsole(gapura, 'petugas');
});

afterEach(async () => {
  application.answer = undefined;
  for (const table of ['link_requests', 'links', 'applications', 'limits'] as const)
    await gapura.db.deleteFrom(table).execute();
});

afterAll(async () => {
  await links.close();
  await application.stop();
  await gapura.stop();
});

const described = {
  name: 'Aplikasi Baru',
  about: 'Untuk uji',
  about_en: 'For tests',
  url: 'https://baru.example/',
  agency_code: 'BPOM',
};

const stored = async (id: string) => (await findApplication(gapura.db, id))?.verifier_settings;

describe('an application', () => {
  test('is made, changed as it was seen, switched off and on by an officer of its agency', async () => {
    const made = await officer('POST', '/applications', { id: 'baru', ...described });
    expect([made.status, made.body]).toMatchObject([
      201,
      { id: 'baru', agency_code: 'BPOM', verifier: null, settings: {}, sharing: 'one_person', version: 1 },
    ]);
    const changed = await officer('PATCH', '/applications/baru', { name: 'Aplikasi Lain' }, { 'if-match': '"1"' });
    expect(changed.body).toMatchObject({ name: 'Aplikasi Lain', url: described.url, version: 2 });
    expect((await officer('PATCH', '/applications/baru', { name: 'X' }, { 'if-match': '"1"' })).status).toBe(412);
    expect((await officer('POST', '/applications/baru/deactivation')).body.active).toBe(false);
    expect((await officer('POST', '/applications/baru/deactivation')).status).toBe(409);
    expect((await officer('POST', '/applications/baru/activation')).body.active).toBe(true);
    expect((await officer('POST', '/applications', { id: 'baru', ...described })).status).toBe(422);
  });

  test.each([
    [{ id: 'selection' }, { id: 'errors.application.id_reserved' }],
    [{ id: 'Besar' }, { id: 'errors.application.id' }],
    [{ url: 'http://10.0.0.1/' }, { url: 'errors.application.url' }],
    [{ name: 'a\u0007b' }, { name: 'errors.field.unreadable' }],
    [{ name: 'a\u202eb' }, { name: 'errors.field.unreadable' }],
    [{ name: ['a'] }, { name: 'errors.field.invalid' }],
    [{ about: '' }, { about: 'errors.field.required' }],
    [{ client_id: 'bukan-klien' }, { client_id: 'errors.application.client_elsewhere' }],
  ])('with %j is refused beside its field', async (changes, errors) => {
    const refused = await admin('POST', '/applications', { id: 'baru', ...described, ...changes });
    expect([refused.status, errorsOf(refused)]).toEqual([422, errors]);
  });

  test('of another agency is neither seen nor made nor taken over', async () => {
    await saveApplication(gapura.db, { id: 'asing', ...described, agency_code: 'KEMENHUB' });
    expect((await officer('GET', '/applications/asing')).status).toBe(404);
    expect((await officer('GET', '/applications')).body.items).toEqual([]);
    expect((await officer('POST', '/applications', { id: 'x1', ...described, agency_code: 'KEMENHUB' })).status).toBe(
      403,
    );
    await officer('POST', '/applications', { id: 'milik', ...described });
    const moved = await officer('PATCH', '/applications/milik', { agency_code: 'KEMENHUB' }, { 'if-match': '"1"' });
    expect(moved.status).toBe(403);
    for (const operation of ['verifier', 'settings', 'sharing', 'validity', 'deactivation'])
      expect([operation, (await officer('POST', `/applications/asing/${operation}`, {})).status]).toEqual([
        operation,
        404,
      ]);
    const tono = newHttpVisitor(gapura.url);
    await signIn(tono, await tono.get('/portal'), 'tono');
    expect((await tono.get('/admin/applications')).status).toBe(403);
  });

  test('takes its client from a list of those that are free, in its agency', async () => {
    await registerClient(gapura, 'klien-bpom', { agency_code: 'BPOM' });
    await registerClient(gapura, 'klien-hubla', { agency_code: 'KEMENHUB' });
    const form = await petugas.get('/admin/applications/creation');
    expect(form.body).toContain('<option value="klien-bpom"');
    expect(form.body).not.toContain('klien-hubla');
    await submitWell(petugas, form, { id: 'berklien', ...described, client_id: 'klien-bpom' });
    expect(await findApplication(gapura.db, 'berklien')).toMatchObject({ client_id: 'klien-bpom' });
    const second = await petugas.get('/admin/applications/creation');
    expect(second.body).not.toContain('<option value="klien-bpom"');
    const refused = await petugas.submit(second, { id: 'lain', ...described, client_id: 'klien-bpom' });
    expect([refused.status, problemsOf(refused)]).toEqual([422, ['Klien ini sudah dipakai aplikasi lain.']]);
    expect(refused.body).toContain('value="Aplikasi Baru"');
  });

  test('says before it is switched off what that does', async () => {
    await registerApplication(gapura, 'satu', application);
    await linkAs(links, 'budi', 'satu', 'user_bpom');
    const form = await petugas.get('/admin/applications/satu/deactivation');
    expect(form.body).toContain('Nama pengguna yang tidak lagi disampaikan: 1, milik 1 orang.');
  });
});

describe('the settings', () => {
  test('are asked for as the verifier says, once one is chosen; the links begin with them', async () => {
    await saveApplication(gapura.db, { id: 'baru', ...described });
    expect((await petugas.get('/admin/applications/baru/settings')).status).toBe(409);
    const form = await submitWell(petugas, await petugas.get('/admin/applications/baru/verifier'), {
      verifier: 'http',
    });
    expect(form.url.pathname).toBe('/admin/applications/baru/settings');
    for (const label of ['Alamat verifikasi', 'Batas waktu (milidetik)', 'Kunci sertifikat (PEM)'])
      expect(form.body).toContain(label);
    const budi = newHttpVisitor(gapura.url);
    await signIn(budi, await budi.get('/portal'), 'budi');
    expect((await budi.get('/portal/applications/baru/link')).status).toBe(404);
    const refused = await petugas.submit(form, { endpoint: 'http://aplikasi.example/verifikasi', timeout: '3000' });
    expect([refused.status, problemsOf(refused)]).toEqual([422, [expect.stringContaining('Pakai https.')]]);
    expect(refused.body).toContain('value="http://aplikasi.example/verifikasi"');
    await submitWell(petugas, refused, { endpoint: 'https://aplikasi.example/verifikasi' });
    expect(await stored('baru')).toEqual({
      endpoint: 'https://aplikasi.example/verifikasi',
      timeout: 3000,
      private_hosts: [],
    });
    expect((await budi.get('/portal/applications/baru/link')).status).toBe(200);
    const { body } = await petugas.get('/admin/applications/baru');
    expect(readText(body)).toContain('https://aplikasi.example/verifikasi');
    await submitWell(petugas, await petugas.get('/admin/applications/baru/verifier'), { verifier: '' });
    expect(await findApplication(gapura.db, 'baru')).toMatchObject({ verifier: null, verifier_settings: {} });
  });

  test('keep a key sealed, show it to nobody, and keep it where its field is left empty', async () => {
    const [ours, next] = [makeCertificate(), makeCertificate()];
    await saveApplication(gapura.db, { id: 'baru', ...described, verifier: 'http' });
    const body = { endpoint: 'https://aplikasi.example/', client_certificate: ours.cert, client_key: ours.key };
    const saved = await officer('POST', '/applications/baru/settings', body);
    expect(saved.status).toBe(200);
    expect(JSON.stringify(saved.body)).not.toMatch(/client_key|PRIVATE/);
    const { client_key: sealed } = (await stored('baru')) ?? {};
    expect(sealed).toMatch(/^v1\./);
    const form = await petugas.get('/admin/applications/baru/settings');
    expect(form.body).not.toContain(String(sealed));
    expect(form.body).not.toContain('PRIVATE KEY');
    await submitWell(petugas, form, { timeout: '1000' });
    expect(await stored('baru')).toMatchObject({
      timeout: 1000,
      client_key: sealed,
      client_certificate: ours.cert.trim(),
    });
    await officer('POST', '/applications/baru/settings', {
      ...body,
      client_certificate: next.cert,
      client_key: next.key,
    });
    const renewed = (await stored('baru'))?.client_key;
    expect(renewed).not.toBe(sealed);
    const history = await officer('GET', '/applications/baru/history');
    expect(JSON.stringify(history.body)).not.toMatch(/PRIVATE|v1\./);
    expect(history.body.items[0].changes.client_key).toBeNull();
  });

  test('name hosts of private networks by an administrator alone; an officer may keep and remove them', async () => {
    await saveApplication(gapura.db, { id: 'baru', ...described, verifier: 'http' });
    const body = { endpoint: 'http://10.0.0.5/verifikasi', private_hosts: ['10.0.0.5'] };
    const refused = await officer('POST', '/applications/baru/settings', body);
    expect([refused.status, errorsOf(refused)]).toEqual([422, { private_hosts: 'errors.application.private_host' }]);
    expect(await stored('baru')).toEqual({});
    expect((await admin('POST', '/applications/baru/settings', body)).status).toBe(200);
    expect((await officer('POST', '/applications/baru/settings', { ...body, timeout: 900 })).status).toBe(200);
    const more = { ...body, private_hosts: ['10.0.0.5', '10.0.0.6'] };
    expect((await officer('POST', '/applications/baru/settings', more)).status).toBe(422);
    const less = { endpoint: 'https://aplikasi.example/', private_hosts: [] };
    expect((await officer('POST', '/applications/baru/settings', less)).status).toBe(200);
    expect((await officer('POST', '/applications/baru/settings', body)).status).toBe(422);
  });
});

describe('"Coba"', () => {
  const tried = async (changes: Record<string, string> = {}, id = 'satu') => {
    const form = await petugas.get(`/admin/applications/${id}/trial`);
    return petugas.submit(form, { username: 'user_bpom', password: own_password, ...changes });
  };
  const answers: [string, (() => void) | undefined, Record<string, string>, string[]][] = [
    ['the right password', undefined, {}, ['Terbukti', 's-pangan', 'PANGAN', 'PT user_bpom']],
    ['a wrong password', undefined, { password: 'salah' }, ['Ditolak']],
    ['a locked name', undefined, { username: 'user_kunci' }, ['terkunci']],
    [
      'an endpoint that leads elsewhere',
      () => {
        application.answer = (_req, res) => void res.writeHead(302, { location: 'https://lain.example/' }).end();
      },
      {},
      ['tidak dapat dibaca', 'redirect'],
    ],
    [
      'an endpoint that fails',
      () => {
        application.answer = (_req, res) => void res.writeHead(500).end();
      },
      {},
      ['tidak dapat dibaca', 'HTTP 500'],
    ],
    [
      'an endpoint that is silent',
      () => {
        application.answer = () => undefined;
      },
      {},
      ['tidak menjawab pada waktunya', 'slow'],
    ],
  ];

  test.each(answers)(
    'of %s says what came back, links nothing and keeps nothing',
    async (_what, prepare, typed, said) => {
      await registerApplication(gapura, 'satu', application, { settings: { timeout: 700 } });
      prepare?.();
      const { status, body } = await tried(typed);
      expect(status).toBe(200);
      for (const words of said) expect(readText(body)).toContain(words);
      for (const table of ['links', 'link_holders', 'link_requests'] as const)
        expect(await gapura.db.selectFrom(table).selectAll().execute()).toEqual([]);
      const event = await gapura.db
        .selectFrom('audit_events')
        .select('detail')
        .orderBy('id', 'desc')
        .limit(1)
        .executeTakeFirstOrThrow();
      expect(event.detail).toMatchObject({ resource: 'applications', id: 'satu', operation: 'trial' });
      expect(JSON.stringify(event.detail)).not.toMatch(/user_bpom|s-pangan/);
    },
  );

  test('leaves what was typed in no table, no log and no page', async () => {
    await registerApplication(gapura, 'satu', application);
    const done = await tried({ username: 'nama_kenari_3b', password: canary });
    expect(done.body).toContain('Ditolak');
    expect(application.asked.at(-1)?.body).toContain(canary);
    const missing = await tried({ username: '', password: canary });
    expect([missing.status, missing.body.includes(canary)]).toEqual([422, false]);
    expect(JSON.stringify(gapura.log)).not.toMatch(/Kenari|nama_kenari/);
    const { rows: tables } = await sql<{
      name: string;
    }>`SELECT quote_ident(table_schema) || '.' || quote_ident(table_name) AS name
      FROM information_schema.tables WHERE table_schema IN ('public', 'jobs') AND table_type = 'BASE TABLE'`.execute(
      gapura.db,
    );
    for (const { name } of tables) {
      const { rows } = await sql`SELECT FROM ${sql.raw(name)} AS r
        WHERE r::text LIKE ${`%${canary}%`} OR r::text LIKE '%nama_kenari_3b%'`.execute(gapura.db);
      expect([name, rows.length]).toEqual([name, 0]);
    }
  });

  test('is counted for the application and for the user name, so that nobody guesses here', async () => {
    await registerApplication(gapura, 'satu', application);
    for (let at = 0; at < 5; at += 1) expect((await tried({ password: 'salah' })).status).toBe(200);
    const asked = application.asked.length;
    const refused = await tried();
    expect([refused.status, problemsOf(refused)]).toEqual([422, [expect.stringContaining('Terlalu banyak percobaan')]]);
    expect(application.asked).toHaveLength(asked);
    for (let at = 0; at < 15; at += 1) expect((await tried({ username: `n${at}`, password: 'x' })).status).toBe(200);
    expect((await tried({ username: 'lain', password: 'x' })).status).toBe(422);
  });

  test('is for people of the agency alone: no program, no other officer, no application without settings', async () => {
    await registerApplication(gapura, 'satu', application);
    const typed = { username: 'user_bpom', password: own_password };
    expect((await admin('POST', '/applications/satu/trial', typed)).status).toBe(404);
    await addOfficer(gapura, 'petugas_hubla', 'agency_officer', { agency_code: 'KEMENHUB' });
    const other = await openConsole(gapura, 'petugas_hubla');
    expect((await other.get('/admin/applications/satu/trial')).status).toBe(404);
    expect((await other.post('/admin/applications/satu/trial', typed)).status).toBe(404);
    await saveApplication(gapura.db, { id: 'kosong', ...described, verifier: 'http' });
    expect((await petugas.get('/admin/applications/kosong/trial')).status).toBe(409);
  });

  test('of settings of another release says so and throws nothing', async () => {
    await registerApplication(gapura, 'satu', application, { settings: { timeout: 'lama' } });
    const { status, body } = await tried();
    expect([status, readText(body).includes('settings')]).toEqual([200, true]);
  });
});

describe('who shares a name', () => {
  const share = (sharing: string) => officer('POST', '/applications/satu/sharing', { sharing });
  const holdersOf = async (subject: string) => {
    const rows = gapura.db.selectFrom('link_holders').select('holder_id').where('subject', '=', subject);
    return (await rows.execute()).map(({ holder_id }) => holder_id);
  };

  test('is written anew when it changes, for the names that are linked already', async () => {
    await registerApplication(gapura, 'satu', application);
    await linkAs(links, 'budi', 'satu', 'user_bpom');
    await linkAs(links, 'petugas', 'satu', 'user_umum');
    const [budi, officer_id] = [await findAccountId(gapura, 'budi'), await findAccountId(gapura, 'petugas')];
    const company = (await findOrganisationOf(gapura.db, budi))?.id;
    expect((await share('same_organisation')).body.sharing).toBe('same_organisation');
    // Who acts for no company holds it alone.
    expect([await holdersOf('s-pangan'), await holdersOf('s-umum')]).toEqual([[company], [officer_id]]);
    await linkAs(links, 'sari', 'satu', 'user_bpom');
    const refused = await share('one_person');
    expect([refused.status, errorsOf(refused)]).toEqual([422, { sharing: 'errors.application.shared_one_person' }]);
    expect(JSON.stringify(refused.body)).toContain('user_bpom');
    expect(await findApplication(gapura.db, 'satu')).toMatchObject({ sharing: 'same_organisation' });
    expect(await holdersOf('s-pangan')).toEqual([company]);
    await gapura.db.deleteFrom('links').where('account_id', '=', budi).execute();
    expect((await share('one_person')).status).toBe(200);
    expect(await holdersOf('s-pangan')).toEqual([await findAccountId(gapura, 'sari')]);
  });

  test('stays where people of two companies hold one name, and says which', async () => {
    await registerApplication(gapura, 'satu', application);
    for (const person of ['budi', 'tono'])
      await inTransaction(gapura.db, async (tx) => {
        const id = await findAccountId(gapura, person);
        await lineUp(tx, id, 'satu');
        await takeName(tx, 'satu', 's-1', id);
        await writeLink(tx, id, 'satu', { subject: 's-1', username: 'rebutan', display_name: null, directorate: null });
      });
    const refused = await share('same_organisation');
    expect(errorsOf(refused)).toEqual({ sharing: 'errors.application.shared_same_organisation' });
    expect(await listHolders(gapura.db, 'satu', 's-1')).toHaveLength(2);
  });

  test('holds also for a name that is being proven in the same instant', async () => {
    await registerApplication(gapura, 'satu', application);
    const [changed] = await Promise.all([
      share('same_organisation'),
      ...Array.from({ length: 4 }, () => linkAs(links, 'budi', 'satu', 'user_bpom')),
    ]);
    expect(changed?.status).toBe(200);
    const company = (await findOrganisationOf(gapura.db, await findAccountId(gapura, 'budi')))?.id;
    expect(await holdersOf('s-pangan')).toEqual([company]);
  });
});

test('how long a proof holds is set in days, and emptied holds for good', async () => {
  await registerApplication(gapura, 'satu', application);
  const set = (proof_lasts: unknown) => officer('POST', '/applications/satu/validity', { proof_lasts });
  expect((await set(90)).body.proof_lasts).toBe(90);
  expect((await set(null)).body.proof_lasts).toBeNull();
  for (const wrong of [0, -1, 1.5, '90', 4000, [90]]) expect([wrong, (await set(wrong)).status]).toEqual([wrong, 422]);
});
