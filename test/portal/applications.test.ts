/** The table of applications and the page of one: who sees what of which link, found, paged, picked, opened. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { saveApplication } from '../../src/applications/application.ts';
import { inTransaction } from '../../src/database.ts';
import { addRequest } from '../../src/links/requests.ts';
import { labelLink, markStale, type ProvenName, writeLink } from '../../src/links/store.ts';
import { type Browser, expectNoAxeViolations, expectQuiet, openBrowser } from '../support/browser.ts';
import { readText } from '../support/facts.ts';
import {
  demo_password,
  newSignedInVisitor,
  registerClient,
  signIn,
  startGapura,
  type TestGapura,
} from '../support/gapura.ts';
import { type HttpVisitor, newHttpVisitor } from '../support/http.ts';
import { listStatements } from '../support/statements.ts';

let gapura: TestGapura;
let browser: Browser;
let budi: HttpVisitor;
let tono: HttpVisitor;

beforeAll(async () => {
  gapura = await startGapura();
  browser = await openBrowser();
  await save('e-bpom', { agency_code: 'BPOM', name: 'e-BPOM', verifier: 'http' });
  await save('cargolink', { agency_code: 'KEMENHUB', name: 'CargoLink' });
  budi = await newSignedInVisitor(gapura.url, 'budi');
  tono = await newSignedInVisitor(gapura.url, 'tono');
});

afterAll(async () => {
  await browser?.close();
  await gapura?.stop();
});

function save(id: string, { agency_code, name, verifier }: { agency_code: string; name: string; verifier?: 'http' }) {
  const settings = verifier ? JSON.stringify({ endpoint: 'http://127.0.0.1:9/verify' }) : '{}';
  return saveApplication(gapura.db, {
    id,
    agency_code,
    name,
    about: `Guna ${name}`,
    about_en: `Use of ${name}`,
    url: `http://${id}.example/`,
    verifier: verifier ?? null,
    verifier_settings: settings,
  });
}

async function accountOf(username: string): Promise<string> {
  const found = gapura.db.selectFrom('account_identifiers').select('account_id').where('canonical', '=', username);
  return (await found.executeTakeFirstOrThrow()).account_id;
}

async function link(username: string, name: Partial<ProvenName> & { subject: string }): Promise<string> {
  const account_id = await accountOf(username);
  const proven = { username: name.subject, display_name: null, directorate: null, ...name };
  return inTransaction(gapura.db, async (tx) => (await writeLink(tx, account_id, 'e-bpom', proven)).id);
}

async function forgetLinks(): Promise<void> {
  for (const table of ['links', 'link_requests'] as const) await gapura.db.deleteFrom(table).execute();
}

/** The rows of the table as texts, by the application's name. */
function readRows(body: string): Record<string, string[]> {
  const rows = [...body.matchAll(/<tr\b[^>]*data-detail[^>]*>(.*?)<\/tr>/gs)].map(([, row = '']) =>
    [...row.matchAll(/<td\b[^>]*>(.*?)<\/td>/gs)].map(([, cell = '']) =>
      readText(cell.replace(/<(span|a)\b/g, ' <$1')),
    ),
  );
  return Object.fromEntries(rows.map((row) => [row[2]?.split(' ')[0] ?? '', row]));
}

const links = ({ body }: { body: string }) =>
  [...body.matchAll(/<a [^>]*href="([^"]+)"/g)].map(([, href = '']) =>
    href.replaceAll('&amp;', '&').replaceAll('&#38;', '&'),
  );

describe('an application whose client begins the sign-in itself', () => {
  afterEach(async () => {
    await gapura.db.deleteFrom('applications').where('id', '=', 'mandiri').execute();
    await gapura.db.deleteFrom('clients').where('id', '=', 'mandiri').execute();
  });

  async function open(initiate_login_uri: string | undefined): Promise<string[]> {
    await registerClient(gapura, 'mandiri', { metadata: initiate_login_uri ? { initiate_login_uri } : {} });
    await save('mandiri', { agency_code: 'BPOM', name: 'Mandiri' });
    await gapura.db.updateTable('applications').set({ client_id: 'mandiri' }).where('id', '=', 'mandiri').execute();
    const pages = [await budi.get('/portal/applications'), await budi.get('/portal/applications/mandiri')];
    return pages.map((page) => links(page).find((href) => href.includes('mandiri.')) ?? '');
  }

  test('is opened there, told by whom it is asked and where to go on (OpenID Connect Core 4)', async () => {
    const begin = 'https://mandiri.contoh.example/masuk?dari=portal';
    for (const href of await open(begin)) {
      const url = new URL(href);
      expect(`${url.origin}${url.pathname}`).toBe('https://mandiri.contoh.example/masuk');
      expect(Object.fromEntries(url.searchParams)).toEqual({
        dari: 'portal',
        iss: gapura.config.issuer,
        target_link_uri: 'http://mandiri.example/',
      });
    }
  });

  test('is opened at its own address where it names no such place, or is switched off', async () => {
    expect(await open(undefined)).toEqual(['http://mandiri.example/', 'http://mandiri.example/']);
    const off = gapura.db.updateTable('clients').set({ active: false }).where('id', '=', 'mandiri');
    await registerClient(gapura, 'mandiri', { metadata: { initiate_login_uri: 'https://mandiri.contoh.example/' } });
    await off.execute();
    expect(links(await budi.get('/portal/applications'))).toContain('http://mandiri.example/');
  });
});

describe('the table', () => {
  test('shows every application with agency, use, status, count and what can be done', async () => {
    const { body } = await budi.get('/portal/applications');
    expect(body).toContain('<h1 id="title">Aplikasi Anda</h1>');
    expect(readRows(body)).toEqual({
      CargoLink: ['1', '', 'CargoLink Kementerian Perhubungan Guna CargoLink', 'Belum didukung', '0', 'Buka'],
      'e-BPOM': [
        '2',
        '',
        'e-BPOM Badan Pengawas Obat dan Makanan Guna e-BPOM',
        'Belum teregistrasi',
        '0',
        'Hubungkan Buka',
      ],
    });
    expect(body).toContain('Data 1 - 2 dari 2');
    expect(body).toMatch(/<input type="checkbox" name="application" value="e-bpom" aria-label="Pilih e-BPOM">/);
    expect(body).toMatch(/value="cargolink" aria-label="Pilih CargoLink" disabled>/);
    expect(links({ body })).toEqual(
      expect.arrayContaining([
        '/portal/applications/e-bpom',
        '/portal/applications/e-bpom/link',
        'http://e-bpom.example/',
      ]),
    );
    expect(body).not.toContain('/portal/applications/cargolink/link');
    expect(body).toMatch(/<a href="\/portal\/applications" aria-current="page">Aplikasi<\/a>/);
    expect((await budi.get('/portal')).body).toMatch(/<h3><a href="\/portal\/applications">Aplikasi<\/a><\/h3>/);
  });

  test('is complete in English', async () => {
    const visitor = await newSignedInVisitor(gapura.url, 'budi');
    const { body } = await visitor.get('/portal/applications?lang=en');
    expect(readRows(body)['e-BPOM']?.slice(2)).toEqual([
      'e-BPOM Indonesian Food and Drug Authority Use of e-BPOM',
      'Not yet registered',
      '0',
      'Link Open',
    ]);
    expect(body).toContain('Records 1 - 2 from 2');
  });

  test('says since when, how many are linked, and that one must be renewed, to the person alone', async () => {
    await link('budi', { subject: 'user_bpom' });
    await link('budi', { subject: 'user_bpom_ot' });
    await gapura.db
      .updateTable('links')
      .set({ created_at: new Date('2026-03-18T20:00:00Z') })
      .execute();
    // Past midnight in Jakarta.
    const [, , , status, count] = readRows((await budi.get('/portal/applications')).body)['e-BPOM'] ?? [];
    expect([status, count]).toEqual(['Sudah teregistrasi sejak 19 Maret 2026', '2']);
    await inTransaction(gapura.db, (tx) => markStale(tx, 'e-bpom', 'user_bpom'));
    const stale = readRows((await budi.get('/portal/applications')).body)['e-BPOM'] ?? [];
    expect(stale[3]).toBe('Sudah teregistrasi Perlu diperbarui sejak 19 Maret 2026');
    expect(readRows((await tono.get('/portal/applications')).body)['e-BPOM']?.slice(3, 5)).toEqual([
      'Belum teregistrasi',
      '0',
    ]);
    await forgetLinks();
  });

  test('is filtered by agency, and says what to do when nothing is left', async () => {
    const page = await budi.get('/portal/applications');
    const found = await budi.get('/portal/applications?agency=BPOM');
    expect(Object.keys(readRows(found.body))).toEqual(['e-BPOM']);
    expect(found.body).toContain('<option value="BPOM" selected>');
    expect(found.body).toMatch(/<a class="button secondary" id="cancel" href="\/portal\/applications">Batal<\/a>/);
    expect([...page.body.matchAll(/<option value="(\w*)"/g)].map(([, code]) => code)).toEqual(['', 'BPOM', 'KEMENHUB']);
    for (const agency of ['BI', 'tidak-ada', '%', `'; --`]) {
      const { status, body } = await budi.get(`/portal/applications?${new URLSearchParams({ agency })}`);
      expect([agency, status, readRows(body)]).toEqual([agency, 200, {}]);
      expect(body).toContain('tekan Batal untuk melihat semua aplikasi');
    }
  });
});

describe('300 applications', () => {
  beforeAll(async () => {
    for (let at = 1; at <= 300; at++)
      await save(`uji-${at}`, { agency_code: 'BI', name: `Uji-${String(at).padStart(3, '0')}`, verifier: 'http' });
  });
  afterAll(() => gapura.db.deleteFrom('applications').where('agency_code', '=', 'BI').execute());

  test.each([
    ['', 'Uji-001', 'Data 1 - 20 dari 300', '2 15'],
    ['&page=2', 'Uji-021', 'Data 21 - 40 dari 300', '1 1 3 15'],
    ['&page=15', 'Uji-281', 'Data 281 - 300 dari 300', '1 14'],
    ['&page=16', 'Uji-281', 'Data 281 - 300 dari 300', '1 14'],
    ['&page=999999', 'Uji-281', 'Data 281 - 300 dari 300', '1 14'],
    ['&page=99999999999999999999', 'Uji-001', 'Data 1 - 20 dari 300', '2 15'],
    ['&page=0', 'Uji-001', 'Data 1 - 20 dari 300', '2 15'],
    ['&page=-1', 'Uji-001', 'Data 1 - 20 dari 300', '2 15'],
    ['&page=2&page=3', 'Uji-001', 'Data 1 - 20 dari 300', '2 15'],
    ['&page=dua', 'Uji-001', 'Data 1 - 20 dari 300', '2 15'],
  ])('are paged by links that keep the filter: "%s"', async (query, first, records, ways) => {
    const answer = await budi.get(`/portal/applications?agency=BI${query}`);
    const rows = Object.keys(readRows(answer.body));
    expect([answer.status, rows.length, rows[0]]).toEqual([200, 20, first]);
    expect(answer.body).toContain(records);
    const nav = /<nav aria-label="Halaman daftar">.*?<\/nav>/s.exec(answer.body)?.[0] ?? '';
    const addresses = links({ body: nav }).map((href) => new URL(href, gapura.url).searchParams);
    expect(addresses.map((address) => address.get('page') ?? '1').join(' ')).toBe(ways);
    expect(new Set(addresses.map((address) => address.get('agency')))).toEqual(new Set(['BI']));
  });

  test('cost as many statements as two', async () => {
    const few = await listStatements(() => budi.get('/portal/applications?agency=BPOM'));
    const many = await listStatements(() => budi.get('/portal/applications'));
    expect(many.length).toBe(few.length);
    expect(many.filter((text) => /from "applications"/.test(text) && !/exists/.test(text))).toHaveLength(2);
  });
});

describe('Create SSO on the selection', () => {
  const pick = (query: string) => budi.get(`/portal/applications/selection?${query}`, { follow: false });

  test.each([
    ['application=e-bpom', '/portal/applications/e-bpom/link'],
    ['application=e-bpom&application=lain&application=lagi', '/portal/applications/e-bpom/link?next=lain&next=lagi'],
    ['application=e-bpom&application=e-bpom', '/portal/applications/e-bpom/link'],
    ['application=%2F%2Fjahat.example&application=e-bpom', '/portal/applications/e-bpom/link'],
    ['application=..%2F..%2Fconnect%2Fauth&application=e-bpom&application=%3Fx', '/portal/applications/e-bpom/link'],
  ])('%s', async (query, address) => {
    const { status, headers } = await pick(query);
    expect([status, headers.get('location')]).toEqual([303, address]);
  });

  test('asks for one when nothing was picked, on the same page', async () => {
    for (const query of ['', 'application=', 'application=%2F%2Fjahat.example']) {
      const { status, body } = await pick(`agency=BPOM&${query}`);
      expect([status, Object.keys(readRows(body))]).toEqual([422, ['e-BPOM']]);
      expect(body).toContain('<a href="#applications">Pilih dulu aplikasinya');
    }
  });
});

describe('one application', () => {
  test('without links says what to do; one that is not supported says so', async () => {
    const { status, body } = await budi.get('/portal/applications/e-bpom');
    expect(status).toBe(200);
    expect(body).toContain('Belum ada nama pengguna yang terhubung');
    expect(links({ body })).toEqual(
      expect.arrayContaining(['/portal/applications/e-bpom/link', 'http://e-bpom.example/']),
    );
    const cargolink = (await budi.get('/portal/applications/cargolink')).body;
    expect(cargolink).toContain('CargoLink belum dapat dihubungkan');
    expect(links({ body: cargolink })).not.toContain('/portal/applications/cargolink/link');
  });

  test('that knows people by their sign-in needs no link, and says so in both places', async () => {
    await registerClient(gapura, 'buku', { agency_code: 'LNSW' });
    await save('buku', { agency_code: 'LNSW', name: 'Buku' });
    await gapura.db.updateTable('applications').set({ client_id: 'buku' }).where('id', '=', 'buku').execute();
    const table = readRows((await budi.get('/portal/applications?agency=LNSW')).body);
    expect(table.Buku?.slice(3)).toEqual(['Tidak perlu dihubungkan', '0', 'Buka']);
    const { body } = await budi.get('/portal/applications/buku');
    expect(body).toContain('Buku mengenali Anda begitu Anda masuk lewat Gapura.');
    expect(body).not.toContain('Belum didukung');
    expect((await budi.get('/portal/applications/buku/link')).status).toBe(404);
    await gapura.db.deleteFrom('applications').where('id', '=', 'buku').execute();
  });

  test('shows each link with its names, its directorate and what can be done, to the person alone', async () => {
    const food = await link('budi', {
      subject: 's1',
      username: 'user_bpom',
      display_name: 'Budi <B>',
      directorate: 'PANGAN',
    });
    const other = await link('budi', { subject: 's2', username: 'user_lain', directorate: 'ENTAH' });
    await inTransaction(gapura.db, (tx) => markStale(tx, 'e-bpom', 's2'));
    const account_id = await accountOf('budi');
    await inTransaction(gapura.db, (tx) => labelLink(tx, account_id, food, 'Kantor & pusat'));
    const { body } = await budi.get('/portal/applications/e-bpom');
    const [first = '', second = ''] = [...body.matchAll(/<section class="card link".*?<\/section>/gs)].map(
      ([card]) => card,
    );
    for (const said of [
      'user_bpom',
      'Utama',
      'Budi &lt;B&gt;',
      'Inspeksi dan Sertifikasi Produk Pangan',
      'Kantor &amp; pusat',
      'WIB',
    ])
      expect(first).toContain(said);
    expect(first).not.toMatch(/Perlu diperbarui|Jadikan utama/);
    for (const said of ['user_lain', 'ENTAH', 'Perlu diperbarui', 'Jadikan utama']) expect(second).toContain(said);
    expect(links({ body: second })).toEqual([
      `/portal/applications/e-bpom/link?again=${other}`,
      `/portal/links/${other}/removal`,
    ]);
    const foreign = (await tono.get('/portal/applications/e-bpom')).body;
    for (const mine of ['user_bpom', 'user_lain', food, other]) expect(foreign).not.toContain(mine);
    await forgetLinks();
  });

  test('shows a request that waits for an officer, until it is decided', async () => {
    const account_id = await accountOf('budi');
    const name = { subject: 's3', username: 'user_rebutan', display_name: null, directorate: null };
    await inTransaction(gapura.db, (tx) => addRequest(tx, account_id, 'e-bpom', name));
    const waiting = readText((await budi.get('/portal/applications/e-bpom')).body);
    expect(waiting).toMatch(/user_rebutan: menunggu keputusan petugas Badan Pengawas Obat dan Makanan sejak \w+, /);
    expect((await tono.get('/portal/applications/e-bpom')).body).not.toContain('user_rebutan');
    await gapura.db.updateTable('link_requests').set({ decision: 'refused', decided_at: sql`gapura_now()` }).execute();
    const decided = readText((await budi.get('/portal/applications/e-bpom')).body);
    expect(decided).not.toContain('menunggu keputusan');
    expect(decided).toMatch(/Permintaan Anda atas user_rebutan ditolak petugas Badan Pengawas Obat dan Makanan pada /);
    expect((await tono.get('/portal/applications/e-bpom')).body).not.toContain('user_rebutan');
    await forgetLinks();
  });

  test('that does not exist, or is no longer active, is not found', async () => {
    await save('tutup', { agency_code: 'BPOM', name: 'Tutup' });
    await gapura.db.updateTable('applications').set({ active: false }).where('id', '=', 'tutup').execute();
    for (const id of ['tutup', 'tidak-ada', 'E-BPOM', '%27', 'e-bpom%2F..'])
      expect([id, (await budi.get(`/portal/applications/${id}`)).status]).toEqual([id, 404]);
    expect((await budi.get('/portal/applications')).body).not.toContain('Tutup');
  });

  test('says nothing that an address invents', async () => {
    for (const query of [
      'done=x',
      'done=toString',
      'done=%3Cb%3E',
      'done=linked&done=held',
      'done=held&next=%2F%2Fjahat.example',
    ]) {
      const { status, body } = await budi.get(`/portal/applications/e-bpom?${query}`);
      expect(status).toBe(200);
      // The page's own address stands in its foot, in the links to itself in the other language.
      const main = body.slice(body.indexOf('<main'), body.indexOf('</main>'));
      expect(main).not.toMatch(/toString|jahat|<b>/);
    }
  });
});

test('each page asks a stranger to sign in and then leads there', async () => {
  for (const address of ['/portal/applications', '/portal/applications/e-bpom', '/portal/applications/e-bpom/link']) {
    const visitor = newHttpVisitor(gapura.url);
    const closed = await visitor.get(address, { follow: false });
    expect([closed.status, closed.body]).toEqual([303, expect.not.stringContaining('BPOM')]);
    const arrived = await signIn(visitor, await visitor.get(address), 'budi');
    expect([arrived.status, arrived.url.pathname]).toEqual([200, address]);
  }
  const picking = newHttpVisitor(gapura.url);
  const arrived = await signIn(picking, await picking.get('/portal/applications/selection?application=e-bpom'), 'budi');
  expect([arrived.status, arrived.url.pathname]).toEqual([200, '/portal/applications']);
});

describe('in a browser', () => {
  async function open(options: Parameters<Browser['newVisitor']>[0]) {
    const visitor = await browser.newVisitor(options);
    await visitor.page.goto(`${gapura.url}/portal/applications`);
    await visitor.page.fill('#identifier', 'budi');
    await visitor.page.fill('#password', demo_password);
    await visitor.page.click('#submit');
    await visitor.page.waitForSelector('#applications');
    return visitor;
  }

  test('a double click on a row opens its page, one on its box does not', async () => {
    const { page, close } = await open({});
    await page.dblclick('tr[data-detail$="/e-bpom"] input');
    expect(new URL(page.url()).pathname).toBe('/portal/applications');
    await Promise.all([
      page.waitForURL('**/portal/applications/e-bpom'),
      page.dblclick('tr[data-detail$="/e-bpom"] .row-status'),
    ]);
    expectQuiet(page);
    await close();
  });

  test('without scripts: filter, pick, and the way to the form', async () => {
    const { page, close } = await open({ scripts: false });
    await page.selectOption('#agency', 'BPOM');
    await page.click('#submit');
    await page.waitForURL('**/portal/applications?agency=BPOM');
    await page.click('#create');
    await page.waitForSelector('#problems');
    await page.check('input[value="e-bpom"]');
    await page.click('#create');
    await page.waitForURL('**/portal/applications/e-bpom/link');
    await close();
  });

  test('by keyboard: tick a row, press Create SSO', async () => {
    const { page, close } = await open({});
    await page.focus('input[value="e-bpom"]');
    await page.keyboard.press('Space');
    await page.focus('#create');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/portal/applications/e-bpom/link');
    expectQuiet(page);
    await close();
  });

  test.each([320, 1280])('the pages are accessible and fit at %i pixels', async (width) => {
    const id = await link('budi', {
      subject: 's1',
      username: 'user_bpom',
      directorate: 'PANGAN',
      display_name: 'Budi',
    });
    await link('budi', { subject: 's2', username: 'user_bpom_ot_dengan_nama_yang_panjang_sekali', directorate: 'OT' });
    await inTransaction(gapura.db, (tx) => markStale(tx, 'e-bpom', 's2'));
    const account_id = await accountOf('budi');
    const waiting = { subject: 's3', username: 'user_rebutan', display_name: null, directorate: null };
    await inTransaction(gapura.db, (tx) => addRequest(tx, account_id, 'e-bpom', waiting));
    const { page, close } = await open({ width });
    for (const address of [
      '/portal/applications',
      '/portal/applications/selection',
      '/portal/applications?agency=BI',
      '/portal/applications/e-bpom?done=held',
      '/portal/applications/cargolink',
      '/portal/applications/e-bpom/link?next=cargolink&done=linked',
      `/portal/links/${id}/removal`,
    ]) {
      await page.goto(`${gapura.url}${address}`);
      await expectNoAxeViolations(page);
      const needed = await page.evaluate(() => document.documentElement.scrollWidth);
      expect([address, needed]).toEqual([address, width]);
    }
    expectQuiet(page);
    await close();
    await forgetLinks();
  });
});
