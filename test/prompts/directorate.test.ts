/** Pilih Direktorat: who is asked, what may be chosen, and that the server decides. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { addMembership } from '../../src/organisations/directorate.ts';
import { demo_password, registerClient, signIn, startGapura, type TestGapura } from '../support/gapura.ts';
import { type Answer, findForm, type HttpVisitor, newHttpVisitor } from '../support/http.ts';
import { authorize, followTo, openParty, type TestParty } from '../support/relying-party.ts';

let gapura: TestGapura;
let party: TestParty;
/** The ids of BPOM's directorates by code. */
let directorates: Record<string, string>;
/** The organisations by the name of somebody who acts for them. */
let organisations: { budi: string; tono: string };

const food = 'Inspeksi dan Sertifikasi Produk Pangan';
const medicine = 'Inspeksi dan Sertifikasi Obat Tradisional, Kosmetik, dan Produk Komplemen';
const drugs = 'Pengawasan Narkotika, Psikotropika, dan Zat Adiktif';
const error = 'Pilih satu direktorat dari daftar.';

beforeAll(async () => {
  gapura = await startGapura();
  const client = await registerClient(gapura, 'badan', { agency_code: 'BPOM', directorate_required: true });
  party = await openParty(gapura.config.issuer, client, 'openid profile directorate');
  const rows = await gapura.db.selectFrom('directorates').select(['id', 'code']).execute();
  directorates = Object.fromEntries(rows.map(({ id, code }) => [code, id]));
  organisations = {
    budi: await findOrganisation('0000001016000000'),
    tono: await findOrganisation('0000001024000000'),
  };
});

afterEach(async () => {
  await gapura.db.updateTable('directorates').set({ active: true }).execute();
  await gapura.db.updateTable('organisations').set({ active: true }).execute();
  await gapura.db.deleteFrom('memberships').execute();
  for (const code of ['PANGAN', 'OT']) await join(organisations.budi, code);
  await join(organisations.tono, 'OT');
});

afterAll(() => gapura.stop());

async function findOrganisation(npwp: string): Promise<string> {
  const { db } = gapura;
  return (await db.selectFrom('organisations').select('id').where('npwp', '=', npwp).executeTakeFirstOrThrow()).id;
}

const join = (organisation: string, code: string) =>
  addMembership(gapura.db, organisation, directorates[code] as string);

async function leave(organisation: string, code: string): Promise<void> {
  await gapura.db
    .deleteFrom('memberships')
    .where('organisation_id', '=', organisation)
    .where('directorate_id', '=', directorates[code] as string)
    .execute();
}

/** Signs in and gives what comes after the password: the question, or the way back to the application. */
async function begin(identifier: string, visitor = newHttpVisitor(gapura.url), parameters = {}) {
  const { address, checks } = await party.begin(parameters);
  let page = await visitor.get(address, { follow: false });
  for (let at = 0; at < 2; at++) {
    const reached = await followTo(visitor, party.redirect_uri, page);
    if ('returned' in reached) return { visitor, checks, returned: reached.returned };
    page = reached.page;
    if (!page.body.includes('name="password"')) break;
    page = await visitor.post(page.url, { identifier, password: demo_password }, { follow: false });
  }
  return { visitor, checks, page };
}

async function beginAsked(identifier: string, visitor?: HttpVisitor, parameters = {}) {
  const { page, ...rest } = await begin(identifier, visitor, parameters);
  if (!page) throw new Error(`${identifier} was not asked`);
  return { page, ...rest };
}

const choose = (visitor: HttpVisitor, page: Answer, code: string) =>
  visitor.post(page.url, { directorate: directorates[code] as string }, { follow: false });

const listOptions = ({ body }: Answer) =>
  [...body.matchAll(/<option value="([^"]*)">([^<]*)/g)].map(([, id, name]) => [id, name]).slice(1);

async function redeem(returned: URL | undefined, checks: Parameters<TestParty['redeem']>[1]) {
  if (!returned) throw new Error('the application got no answer');
  return (await party.redeem(returned, checks)).claims();
}

describe('the question', () => {
  test('names the person, the company, its NPWP in its mask, the agency, and what may be chosen', async () => {
    const { page } = await beginAsked('budi');
    for (const text of [
      'Budi Contoh Santoso',
      'PT Contoh Pangan Nusantara',
      '00.000.101.6-000.000',
      'Badan Pengawas Obat dan Makanan',
      'Aplikasi badan',
    ])
      expect(page.body).toContain(text);
    expect(listOptions(page)).toEqual([
      [directorates.OT, medicine],
      [directorates.PANGAN, food],
    ]);
    expect(findForm(page.body).fields).toEqual({ directorate: '' });
    expect(page.body).toMatch(/<button id="submit" type="submit">Pilih<\/button>/);
  });

  test('is asked in English with the agency’s English name', async () => {
    const { page } = await beginAsked('budi', undefined, { ui_locales: 'en' });
    expect(page.body).toContain('<h1>Choose a directorate</h1>');
    expect(page.body).toContain('Indonesian Food and Drug Authority');
  });

  test('is skipped for one directorate, and the tokens carry it', async () => {
    const { returned, checks } = await begin('tono');
    expect(await redeem(returned, checks)).toMatchObject({
      directorate: { agency: 'BPOM', code: 'OT', name: medicine },
    });
  });

  test('with none becomes an explanation with a way back to the application', async () => {
    await leave(organisations.tono, 'OT');
    const { visitor, page, checks } = await beginAsked('tono');
    expect(page.status).toBe(200);
    expect(page.body).toContain('<h1>Belum ada direktorat untuk Anda</h1>');
    expect(page.body).toContain('NPWP 00.000.102.4-000.000 belum memiliki pengguna di direktorat mana pun.');
    expect(page.body).toContain('layanan@gapura.example');
    expect(page.body).not.toContain('<select');
    const [, label] = /<button id="cancel" type="submit" name="cancel" value="1">([^<]+)/.exec(page.body) ?? [];
    expect(label).toBe('Kembali ke Aplikasi badan');
    // A choice sent all the same is refused.
    const refused = await choose(visitor, page, 'OT');
    expect([refused.status, refused.url.href]).toEqual([422, page.url.href]);
    expect(refused.body).toContain('<h1>Belum ada direktorat untuk Anda</h1>');
    const back = await followTo(
      visitor,
      party.redirect_uri,
      await visitor.post(page.url, { cancel: '1' }, { follow: false }),
    );
    if (!('returned' in back)) throw new Error('not back at the application');
    expect(back.returned.searchParams.get('error')).toBe('access_denied');
    expect(back.returned.searchParams.get('state')).toBe(checks.expectedState);
  });

  test('for somebody without an organisation explains that', async () => {
    const { page } = await beginAsked('layanan');
    expect(page.body).toContain('Akun Anda belum terhubung dengan perusahaan');
    expect(page.body).toContain('id="cancel"');
  });

  test('that a client without directorates asks for is answered without a page', async () => {
    const other = await openParty(gapura.config.issuer, await registerClient(gapura, 'lain', { agency_code: 'BPOM' }));
    const visitor = newHttpVisitor(gapura.url);
    await signIn(visitor, await visitor.get('/portal'), 'budi');
    const { address, checks } = await other.begin({ prompt: 'select_directorate' });
    const tokens = await other.redeem(await authorize(visitor, address, other.redirect_uri), checks);
    expect(tokens.claims()).not.toHaveProperty('directorate');
  });

  test('is not answered for a program: prompt=none gives interaction_required', async () => {
    const visitor = newHttpVisitor(gapura.url);
    await signIn(visitor, await visitor.get('/portal'), 'budi');
    const { address } = await party.begin({ prompt: 'none' });
    const returned = await authorize(visitor, address, party.redirect_uri);
    expect(returned.searchParams.get('error')).toBe('interaction_required');
  });
});

describe('a choice', () => {
  test.each([
    ['of another directorate of the agency', () => ({ directorate: directorates.NAPZA as string })],
    ['that was made up', () => ({ directorate: '6f9619ff-8b86-4d01-b42d-00cf4fc964ff' })],
    ['by its code', () => ({ directorate: 'PANGAN' })],
    ['with the id in capitals', () => ({ directorate: String(directorates.PANGAN).toUpperCase() })],
    ['with blanks around it', () => ({ directorate: ` ${directorates.PANGAN} ` })],
    ['that is empty', () => ({ directorate: '' })],
    ['that is missing', () => ({ other: 'x' })],
    ['that is text of a query', () => ({ directorate: "' OR true --" })],
    ['in brackets', () => ({ 'directorate[]': directorates.PANGAN as string })],
    ['that is endless', () => ({ directorate: 'a'.repeat(5000) })],
  ])('%s is refused on the same page', async (_what, fields) => {
    const { visitor, page, checks } = await beginAsked('budi');
    const refused = await visitor.post(page.url, fields() as Record<string, string>, { follow: false });
    expect([refused.status, refused.url.href]).toEqual([422, page.url.href]);
    expect(refused.body).toContain(`<p class="field-error" id="directorate-error">${error}</p>`);
    expect(listOptions(refused)).toEqual(listOptions(page));
    const reached = await followTo(visitor, party.redirect_uri, await choose(visitor, page, 'PANGAN'));
    if (!('returned' in reached)) throw new Error('the right choice was not taken');
    expect(await redeem(reached.returned, checks)).toMatchObject({ directorate: { code: 'PANGAN' } });
  });

  test('sent twice in one form is refused', async () => {
    const { visitor, page } = await beginAsked('budi');
    const twice = new URLSearchParams([
      ['directorate', directorates.PANGAN as string],
      ['directorate', directorates.OT as string],
    ]);
    expect((await visitor.post(page.url, twice, { follow: false })).status).toBe(422);
  });

  test('that was closed while the page was open is refused, and is not offered again', async () => {
    await join(organisations.budi, 'NAPZA');
    const { visitor, page } = await beginAsked('budi');
    await gapura.db.updateTable('directorates').set({ active: false }).where('code', '=', 'PANGAN').execute();
    const refused = await choose(visitor, page, 'PANGAN');
    expect(refused.status).toBe(422);
    expect(listOptions(refused).map(([, name]) => name)).toEqual([medicine, drugs]);
  });

  test('of a company that was closed is refused', async () => {
    const { visitor, page } = await beginAsked('budi');
    await gapura.db.updateTable('organisations').set({ active: false }).where('id', '=', organisations.budi).execute();
    expect((await choose(visitor, page, 'PANGAN')).status).toBe(422);
  });

  test('is checked again when it is used: a membership withdrawn in between gives no code', async () => {
    await join(organisations.budi, 'NAPZA');
    const { visitor, page, checks } = await beginAsked('budi');
    const sent = await choose(visitor, page, 'PANGAN');
    expect(sent.status).toBe(303);
    await leave(organisations.budi, 'PANGAN');
    const reached = await followTo(visitor, party.redirect_uri, sent);
    if ('returned' in reached) throw new Error(`an answer all the same: ${reached.returned}`);
    expect(listOptions(reached.page).map(([, name]) => name)).toEqual([medicine, drugs]);
    const again = await followTo(visitor, party.redirect_uri, await choose(visitor, reached.page, 'NAPZA'));
    if (!('returned' in again)) throw new Error('the second choice was not taken');
    expect(await redeem(again.returned, checks)).toMatchObject({ directorate: { code: 'NAPZA' } });
  });

  test('holds for the next authorization only while the membership stands', async () => {
    await join(organisations.budi, 'NAPZA');
    const { visitor, page } = await beginAsked('budi');
    await followTo(visitor, party.redirect_uri, await choose(visitor, page, 'PANGAN'));
    const silent = await begin('budi', visitor);
    expect(await redeem(silent.returned, silent.checks)).toMatchObject({ directorate: { code: 'PANGAN' } });
    await leave(organisations.budi, 'PANGAN');
    const asked = await beginAsked('budi', visitor);
    expect(listOptions(asked.page).map(([, name]) => name)).toEqual([medicine, drugs]);
  });

  test('is written into the audit', async () => {
    const { visitor, page } = await beginAsked('budi');
    await choose(visitor, page, 'OT');
    const row = await gapura.db
      .selectFrom('audit_events')
      .select(['kind', 'client_id', 'detail'])
      .where('kind', '=', 'directorate_chosen')
      .orderBy('id', 'desc')
      .executeTakeFirstOrThrow();
    expect(row).toEqual({
      kind: 'directorate_chosen',
      client_id: 'badan',
      detail: { agency: 'BPOM', directorate: 'OT' },
    });
  });
});

test('Tono sees his own directorates and cannot take one of Budi’s', async () => {
  await join(organisations.tono, 'NAPZA');
  const { visitor, page } = await beginAsked('tono');
  expect(listOptions(page).map(([, name]) => name)).toEqual([medicine, drugs]);
  for (const text of ['PT Contoh Pangan', food, directorates.PANGAN as string, '00.000.101.6'])
    expect(page.body).not.toContain(text);
  expect((await choose(visitor, page, 'PANGAN')).status).toBe(422);
});
