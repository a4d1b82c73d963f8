/** Create SSO and the life of a link in the portal: each answer of an application, each change, and nobody else's business. */

import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { saveApplication } from '../../src/applications/application.ts';
import { inTransaction } from '../../src/database.ts';
import { markStale } from '../../src/links/store.ts';
import { type Browser, clickAndSettle, expectNoAxeViolations, expectQuiet, openBrowser } from '../support/browser.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { readText } from '../support/facts.ts';
import { demo_password, newSignedInVisitor, signIn, startGapura, type TestGapura } from '../support/gapura.ts';
import { type Answer, type HttpVisitor, newHttpVisitor } from '../support/http.ts';

/** Found nowhere afterwards but in the call to the application. */
const password = 'Kenari-Kuning-77!';

/** What the stand-in says to a user name that exists; `late` never answers, `odd` answers nonsense. */
type Said = { subject: string; directorate?: string } | 'locked' | 'late' | 'odd';

interface StandIn {
  users: Record<string, Said>;
  calls: { authorization: string | undefined; body: string }[];
  server: Server;
  port: number;
}

let gapura: TestGapura;
let app: StandIn;
let browser: Browser;
let budi: HttpVisitor;
let tono: HttpVisitor;

async function startStandIn(): Promise<StandIn> {
  const stand_in: Omit<StandIn, 'server' | 'port'> = { users: {}, calls: [] };
  const server = createServer(async (request, response) => {
    const body = await readAll(request);
    stand_in.calls.push({ authorization: request.headers.authorization, body });
    const typed = JSON.parse(body) as { username: string; password: string };
    const said = stand_in.users[typed.username];
    if (said === 'late') return;
    const say = (answer: unknown) => {
      response.setHeader('content-type', 'application/json');
      response.end(said === 'odd' ? '<html>' : JSON.stringify(answer));
    };
    if (said === 'locked') return say({ result: 'locked' });
    if (!said || typed.password !== password) return say({ result: 'refused' });
    return say({
      result: 'verified',
      username: typed.username,
      display_name: `Orang ${typed.username}`,
      ...(said as object),
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return Object.assign(stand_in, { server, port: (server.address() as AddressInfo).port });
}

async function readAll(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

async function save(id: string, name: string, endpoint: string | null): Promise<void> {
  const { host } = new URL(endpoint ?? 'http://x');
  await saveApplication(gapura.db, {
    id,
    agency_code: 'BPOM',
    name,
    about: name,
    about_en: name,
    url: `http://${id}.example/`,
    verifier: endpoint ? 'http' : null,
    verifier_settings: JSON.stringify(endpoint ? { endpoint, timeout: 500, private_hosts: [host] } : {}),
  });
}

beforeAll(async () => {
  gapura = await startGapura();
  app = await startStandIn();
  browser = await openBrowser();
  for (const [id, name] of [
    ['e-bpom', 'e-BPOM'],
    ['lain', 'Lain'],
    ['lagi', 'Lagi'],
  ] as const)
    await save(id, name, `http://127.0.0.1:${app.port}/verify`);
  await save('cargolink', 'CargoLink', null);
  budi = await newSignedInVisitor(gapura.url, 'budi');
  tono = await newSignedInVisitor(gapura.url, 'tono');
});

beforeEach(() => {
  app.users = {
    user_bpom: { subject: 's1', directorate: 'PANGAN' },
    user_bpom_ot: { subject: 's2', directorate: 'OT' },
  };
});

afterEach(async () => {
  for (const table of ['links', 'link_holders', 'link_requests', 'limits'] as const)
    await gapura.db.deleteFrom(table).execute();
  app.calls.length = 0;
});

afterAll(async () => {
  await browser?.close();
  app?.server.closeAllConnections();
  app?.server.close();
  await gapura?.stop();
});

/** Sends the form of the page that a person opens first. */
async function prove(
  visitor: HttpVisitor,
  username: string,
  typed = password,
  address = 'e-bpom/link',
): Promise<Answer> {
  return visitor.submit(await visitor.get(`/portal/applications/${address}`), { username, password: typed }, 'link');
}

const listRows = () => gapura.db.selectFrom('links').selectAll().orderBy('created_at').execute();

async function linkOf(username: string): Promise<string> {
  const found = gapura.db.selectFrom('links').select('id').where('username', '=', username);
  return (await found.executeTakeFirstOrThrow()).id;
}

async function statusOfRow(visitor: HttpVisitor): Promise<string> {
  const { body } = await visitor.get('/portal/applications?agency=BPOM');
  return readText(/<tr\b[^>]*\/e-bpom">(.*?)<\/tr>/s.exec(body)?.[1]?.replace(/<(span|a|td)\b/g, ' <$1') ?? '');
}

const auditOf = async (kind: string) =>
  (
    await gapura.db
      .selectFrom('audit_events')
      .select('detail')
      .where('kind', '=', kind as never)
      .execute()
  ).length;

describe('proving a user name', () => {
  test('links it there and then, and the table says so', async () => {
    const form = await budi.get('/portal/applications/e-bpom/link');
    expect(form.status).toBe(200);
    expect(form.body).toContain('<h1>Hubungkan e-BPOM</h1>');
    expect(form.body).toContain('bukan kata sandi Gapura');
    expect(form.body).toMatch(/<input id="password" name="password" type="password" required autocomplete="off"/);
    const done = await budi.submit(form, { username: ' user_bpom ', password }, 'link');
    expect([done.status, done.url.pathname + done.url.search]).toEqual([
      200,
      '/portal/applications/e-bpom?done=linked',
    ]);
    expect(done.body).toContain('role="status"');
    expect(readText(done.body)).toMatch(
      /Terhubung\..*user_bpom.*Utama.*Orang user_bpom.*Inspeksi dan Sertifikasi Produk Pangan/,
    );
    expect(app.calls).toEqual([
      {
        authorization: expect.stringMatching(/^Bearer \S+$/),
        body: JSON.stringify({ username: 'user_bpom', password }),
      },
    ]);
    expect(await statusOfRow(budi)).toMatch(/Sudah teregistrasi sejak \d+ \w+ \d{4} .*1 Hubungkan Buka$/);
    expect(await statusOfRow(tono)).toMatch(/Belum teregistrasi .*0 Hubungkan Buka$/);
  });

  test.each([
    ['user_bpom', 'salah', 'Nama pengguna atau kata sandi aplikasi e-BPOM tidak sesuai.'],
    ['tidak_ada', password, 'Nama pengguna atau kata sandi aplikasi e-BPOM tidak sesuai.'],
    ['terkunci', password, 'e-BPOM mengunci nama pengguna ini.'],
    ['ganjil', password, 'e-BPOM memberi jawaban yang tidak dapat dibaca.'],
    ['lambat', password, 'e-BPOM terlalu lama menjawab.'],
    ['', password, 'Isi nama pengguna Anda di aplikasi itu.'],
    ['user_bpom', '', 'Isi kata sandi Anda di aplikasi itu.'],
    ['x'.repeat(201), password, 'Isian ini terlalu panjang.'],
    ['user_bpom', 'x'.repeat(1025), 'Isian ini terlalu panjang.'],
  ])(
    'refused for "%s" with "%s" says why on the same page, filled again without the password',
    async (username, typed, said) => {
      Object.assign(app.users, { terkunci: 'locked', ganjil: 'odd', lambat: 'late' });
      const { status, url, body } = await prove(budi, username, typed);
      expect([status, url.pathname]).toEqual([422, '/portal/applications/e-bpom/link']);
      expect(body).toMatch(new RegExp(`<a href="#(username|password)">${said}`));
      expect(body).not.toContain(password);
      if (username) expect(body).toContain(`value="${username}"`);
      expect(/<input id="password"[^>]*>/.exec(body)?.[0]).not.toContain('value=');
      expect(await listRows()).toEqual([]);
    },
  );

  test('at an application that cannot be reached says so, and after some tries waits with a time to come back', async () => {
    await save('lain', 'Lain', 'http://127.0.0.1:9/verify');
    for (let tries = 0; tries < 5; tries++) {
      const { status, body } = await prove(tries % 2 ? tono : budi, `orang_${tries}`, password, 'lain/link');
      expect([status, body]).toEqual([422, expect.stringContaining('Lain sedang tidak dapat dihubungi.')]);
    }
    const paused = await prove(budi, 'orang', password, 'lain/link');
    expect([paused.status, paused.body]).toEqual([422, expect.stringContaining('Lain beberapa kali tidak menjawab')]);
    expect(Number(paused.headers.get('retry-after'))).toBeGreaterThan(0);
    // Another application is none the worse for it.
    expect((await prove(budi, 'user_bpom')).status).toBe(200);
    await save('lain', 'Lain', `http://127.0.0.1:${app.port}/verify`);
  });

  test('too often waits, whoever tries that name', async () => {
    for (let tries = 0; tries < 5; tries++) expect((await prove(tono, 'user_bpom', 'salah')).status).toBe(422);
    const calls = app.calls.length;
    const waiting = await prove(budi, 'user_bpom');
    expect([waiting.status, app.calls.length]).toEqual([429, calls]);
    expect(Number(waiting.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(waiting.body).toContain('Terlalu banyak percobaan. Silakan coba lagi dalam 1 menit.');
    expect(waiting.body).toContain('value="user_bpom"');
  });

  test('is not found where linking is not supported, and where there is no application', async () => {
    for (const id of ['cargolink', 'tidak-ada', '%27']) {
      const address = `/portal/applications/${id}/link`;
      expect([id, (await budi.get(address)).status]).toEqual([id, 404]);
      expect([id, (await budi.post(address, { username: 'user_bpom', password })).status]).toEqual([id, 404]);
    }
    expect(app.calls).toEqual([]);
  });

  test('that somebody else has changes nothing, and says who decides', async () => {
    await prove(budi, 'user_bpom');
    const held = await prove(tono, 'user_bpom');
    expect([held.status, held.url.search]).toEqual([200, '?done=held']);
    const words = readText(held.body);
    expect(words).toContain('sudah terhubung dengan orang lain');
    expect(words).toContain('petugas Badan Pengawas Obat dan Makanan yang memutuskan');
    expect(words).toMatch(/user_bpom: menunggu keputusan petugas/);
    expect(words).not.toMatch(/Budi|Santoso/);
    expect(await statusOfRow(tono)).toMatch(/Belum teregistrasi/);
    expect((await listRows()).map((row) => row.username)).toEqual(['user_bpom']);
    // Asked again it still waits, as one request.
    await prove(tono, 'user_bpom');
    expect(await gapura.db.selectFrom('link_requests').select('username').execute()).toHaveLength(1);
    expect((await budi.get('/portal/applications/e-bpom')).body).not.toContain('menunggu keputusan');
  });

  test('is refused on the page of somebody else, who has gone from this browser meanwhile', async () => {
    const form = await budi.get('/portal/applications/e-bpom/link');
    const answer = await tono.submit(form, { username: 'user_bpom', password }, 'link');
    expect(answer.status).toBe(422);
    expect(readText(answer.body)).toMatch(/sekarang masuk Tono Contoh Prasetyo, bukan orang yang membuka halaman ini/);
    expect(app.calls).toEqual([]);
    expect(await listRows()).toEqual([]);
    const again = await tono.submit(answer, { username: 'user_bpom', password }, 'link');
    expect(again.url.search).toBe('?done=linked');
  });

  test('of several picked applications goes from one to the next, also past one that is held or skipped', async () => {
    await prove(budi, 'user_bpom');
    const first = await tono.get('/portal/applications/selection?application=e-bpom&application=lain&application=lagi');
    expect(first.url.pathname + first.url.search).toBe('/portal/applications/e-bpom/link?next=lain&next=lagi');
    expect(first.body).toContain('masih menunggu setelah ini: 2.');
    expect(first.body).toContain(
      '<a class="button secondary" id="skip" href="/portal/applications/lain/link?next=lagi">',
    );
    const held = await tono.submit(first, { username: 'user_bpom', password }, 'link');
    const [, on = ''] = /<a href="(\/portal\/applications\/lain[^"]*)">/.exec(held.body) ?? [];
    const second = await tono.get(on);
    // A refusal on the way forgets nothing of it.
    const refused = await tono.submit(second, { username: 'user_bpom', password: 'salah' }, 'link');
    const third = await tono.submit(refused, { username: 'user_bpom', password }, 'link');
    expect(third.url.pathname + third.url.search).toBe('/portal/applications/lagi/link?done=linked');
    expect(third.body).toContain('Aplikasi sebelumnya sudah terhubung.');
    const last = await tono.submit(third, { username: 'user_bpom', password }, 'link');
    expect(last.url.pathname + last.url.search).toBe('/portal/applications/lagi?done=linked');
    expect((await listRows()).map((row) => row.application_id)).toEqual(['e-bpom', 'lain', 'lagi']);
  });

  test('again, of a link that is stale, renews it', async () => {
    await prove(budi, 'user_bpom');
    await inTransaction(gapura.db, (tx) => markStale(tx, 'e-bpom', 's1'));
    expect(await statusOfRow(budi)).toContain('Perlu diperbarui');
    const { body } = await budi.get('/portal/applications/e-bpom');
    const [, again = ''] = /<a class="button secondary" href="([^"]*again=[^"]*)"/.exec(body) ?? [];
    const form = await budi.get(again);
    expect(form.body).toContain('value="user_bpom"');
    // Another person's link fills nothing in.
    expect((await tono.get(again)).body).not.toContain('value="user_bpom"');
    await budi.submit(form, { password }, 'link');
    expect(await statusOfRow(budi)).not.toContain('Perlu diperbarui');
    expect(await listRows()).toHaveLength(1);
  });

  test('leaves the password in no page, row or log line', async () => {
    await prove(budi, 'user_bpom');
    await prove(tono, 'user_bpom');
    const { rows } = await sql<{ name: string }>`SELECT format('%I.%I', schemaname, tablename) AS name
      FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`.execute(gapura.db);
    expect(rows.map(({ name }) => name)).toEqual(expect.arrayContaining(['public.links', 'jobs.job']));
    for (const { name } of rows) {
      const found = await sql`SELECT FROM ${sql.raw(name)} t WHERE t::text LIKE ${`%${password}%`}`.execute(gapura.db);
      expect([name, found.rows.length]).toEqual([name, 0]);
    }
    expect(JSON.stringify(gapura.log)).not.toContain(password);
    expect(app.calls.every(({ body }) => body.includes(password))).toBe(true);
  });
});

describe('a link afterwards', () => {
  beforeEach(async () => {
    await prove(budi, 'user_bpom');
    await prove(budi, 'user_bpom_ot');
  });

  const rename = async (id: string, label: string) =>
    budi.submit(await budi.get('/portal/applications/e-bpom'), { label }, `/portal/links/${id}/label`);
  const labels = async () => (await listRows()).map(({ username, label }) => [username, label]);

  test('gets a name of the person’s own, and loses it', async () => {
    const id = await linkOf('user_bpom_ot');
    const named = await rename(id, '  Gudang & <kantor>  ');
    expect([named.status, named.url.search]).toEqual([200, '?done=renamed']);
    expect(named.body).toContain('Sebutan sudah disimpan.');
    expect(named.body).toContain('value="Gudang &amp; &lt;kantor&gt;"');
    expect(await labels()).toEqual([
      ['user_bpom', null],
      ['user_bpom_ot', 'Gudang & <kantor>'],
    ]);
    await rename(id, ' ');
    expect((await labels())[1]).toEqual(['user_bpom_ot', null]);
    expect(await auditOf('link_changed')).toBe(2);
    // Sent again as it stands: nothing has changed.
    await rename(id, '');
    expect(await auditOf('link_changed')).toBe(2);
  });

  test('keeps its name when the new one is too long, and says so beside the field', async () => {
    const id = await linkOf('user_bpom');
    const { status, body } = await rename(id, 'x'.repeat(61));
    expect(status).toBe(422);
    expect(body).toContain(`<a href="#label-${id}">Isian ini terlalu panjang.</a>`);
    expect(body).toMatch(new RegExp(`<input id="label-${id}"[^>]* value="x{61}"[^>]* aria-invalid="true"`));
    expect(body.match(/aria-invalid/g)).toHaveLength(1);
    expect((await labels())[0]).toEqual(['user_bpom', null]);
  });

  test('becomes the default, and then there is one', async () => {
    const before = await budi.get('/portal/applications/e-bpom');
    const form = `/portal/links/${await linkOf('user_bpom_ot')}/default`;
    const { status, url, body } = await budi.submit(before, {}, form);
    expect([status, url.search]).toEqual([200, '?done=default']);
    expect(body.indexOf('>user_bpom_ot<')).toBeLessThan(body.indexOf('>user_bpom<'));
    expect((await listRows()).map(({ is_default }) => is_default)).toEqual([false, true]);
    const changes = await auditOf('link_changed');
    await budi.post(form, {});
    expect(await auditOf('link_changed')).toBe(changes);
  });

  test('is removed after a question; the other one becomes the default', async () => {
    const id = await linkOf('user_bpom');
    const question = await budi.get(`/portal/links/${id}/removal`);
    expect(question.body).toContain('<h1>Lepas hubungan user_bpom?</h1>');
    expect(question.body).toContain('Setelah itu user_bpom_ot menjadi nama pengguna utama');
    expect(await listRows()).toHaveLength(2);
    const { status, url, body } = await budi.submit(question, {}, 'removal');
    expect([status, url.pathname + url.search]).toEqual([200, '/portal/applications/e-bpom?done=removed']);
    expect(body).toContain('Hubungan sudah dilepas.');
    expect((await listRows()).map(({ username, is_default }) => [username, is_default])).toEqual([
      ['user_bpom_ot', true],
    ]);
    expect((await budi.submit(question, {}, 'removal')).status).toBe(404);
    // Free again for whoever proves it.
    expect((await prove(tono, 'user_bpom')).url.search).toBe('?done=linked');
  });

  test('is removed only soon after a sign-in: asked again, the person comes back to the question', async () => {
    const id = await linkOf('user_bpom');
    const question = await budi.get(`/portal/links/${id}/removal`);
    await moveClock(gapura.db, 301);
    try {
      const late = await budi.submit(question, {}, 'removal');
      expect(late.body).toContain('name="password"');
      expect(await listRows()).toHaveLength(2);
      expect((await budi.get('/portal/applications/e-bpom')).status).toBe(200);
      const asked = await budi.get(`/portal/links/${id}/removal`);
      expect(new URL(asked.trail[1] ?? '').searchParams.get('max_age')).toBe('300');
      const back = await signIn(budi, asked, 'budi');
      expect([back.status, back.url.pathname]).toEqual([200, `/portal/links/${id}/removal`]);
      expect((await budi.submit(back, {}, 'removal')).url.search).toBe('?done=removed');
      expect(await listRows()).toHaveLength(1);
    } finally {
      await resetClock(gapura.db);
      budi = await newSignedInVisitor(gapura.url, 'budi');
      tono = await newSignedInVisitor(gapura.url, 'tono');
    }
  });

  test('of another person is as little there as one that never was', async () => {
    const id = await linkOf('user_bpom');
    const before = await listRows();
    const strip = ({ status, body }: Answer, asked: string) => [
      status,
      body.replaceAll(`/links/${asked}/`, '/links/:id/').replace(/(Nomor permintaan:?) <code>[\w-]+/, '$1'),
    ];
    const unknown = '00000000-0000-4000-8000-000000000000';
    for (const [way, fields] of [
      ['label', { label: 'milik Tono' }],
      ['default', {}],
      ['removal', {}],
    ] as const) {
      const foreign = strip(await tono.post(`/portal/links/${id}/${way}`, fields), id);
      expect(foreign[0]).toBe(404);
      for (const other of [unknown, 'x', '%27', '1'])
        expect(strip(await tono.post(`/portal/links/${other}/${way}`, fields), other)).toEqual(foreign);
    }
    const foreign = strip(await tono.get(`/portal/links/${id}/removal`), id);
    expect(foreign).toEqual([404, expect.not.stringContaining('user_bpom')]);
    expect(strip(await tono.get(`/portal/links/${unknown}/removal`), unknown)).toEqual(foreign);
    expect(await listRows()).toEqual(before);
  });

  test('stays as it is for a stranger, and for another site', async () => {
    const id = await linkOf('user_bpom');
    const before = await listRows();
    for (const way of ['label', 'default', 'removal']) {
      const closed = await newHttpVisitor(gapura.url).post(
        `/portal/links/${id}/${way}`,
        { label: 'x' },
        { follow: false },
      );
      expect([way, closed.status]).toEqual([way, 303]);
      const state = new URL(closed.headers.get('location') ?? '').searchParams.get('state');
      expect(state).toBe(way === 'removal' ? `/portal/links/${id}/removal` : '/portal/applications');
      const headers = { origin: 'http://jahat.example', 'sec-fetch-site': 'cross-site' };
      expect((await budi.post(`/portal/links/${id}/${way}`, { label: 'x' }, { headers })).status).toBe(403);
    }
    expect(await listRows()).toEqual(before);
  });
});

describe('the way in leads back to', () => {
  const enter = async (state: string) =>
    (await budi.get(`/portal/entry?${new URLSearchParams({ state })}`, { follow: false })).headers.get('location');
  const id = '01234567-89ab-4cde-8f01-23456789abcd';

  test.each([
    '/portal/applications',
    '/portal/applications/e-bpom',
    '/portal/applications/e-bpom/link',
    `/portal/links/${id}/removal`,
  ])('%s', async (state) => {
    expect(await enter(state)).toBe(state);
  });

  test.each([
    '/portal/applications/',
    '/portal/applications//jahat.example',
    '/portal/applications/../../connect/auth',
    '/portal/applications/e-bpom/link?next=x',
    '/portal/applications/e-bpom/link/x',
    '/portal/applications/E-BPOM',
    '/portal/applications/e-bpom\n',
    `/portal/links/${id}/label`,
    `/portal/links/${id}/removal/`,
    `/portal/links/${id}`,
    '/portal/links//removal',
    '//jahat.example/portal/applications',
    'https://jahat.example/portal/applications',
    'x/portal/applications',
  ])('home for %j', async (state) => {
    expect(await enter(state)).toBe('/portal');
  });
});

test.each([true, false])(
  'a person in a browser links, names and removes a user name (scripts: %s)',
  async (scripts) => {
    const { page, close } = await browser.newVisitor({ scripts, width: 360 });
    await page.goto(`${gapura.url}/portal/applications/e-bpom/link`);
    await page.fill('#identifier', 'budi');
    await page.fill('#password', demo_password);
    await clickAndSettle(page, '#submit');
    await page.fill('#username', 'user_bpom');
    await page.fill('#password', 'salah');
    expect((await clickAndSettle(page, '#submit')).status()).toBe(422);
    expect(await page.inputValue('#password')).toBe('');
    if (scripts) await expectNoAxeViolations(page);
    await page.fill('#password', password);
    await clickAndSettle(page, '#submit');
    expect(new URL(page.url()).search).toBe('?done=linked');
    await page.fill('input[name="label"]', 'Kantor pusat');
    await page.keyboard.press('Enter');
    await page.waitForURL('**?done=renamed');
    expect(await page.inputValue('input[name="label"]')).toBe('Kantor pusat');
    await clickAndSettle(page, 'a[href$="/removal"]');
    await clickAndSettle(page, '#submit');
    expect(await page.textContent('main')).toContain('Belum ada nama pengguna yang terhubung');
    expectQuiet(page);
    await close();
  },
);
