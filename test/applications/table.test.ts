/** The table of applications: each person's own counts, pages that stay right with 300 applications, two statements a page. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { findApplication, findApplicationOfClient, saveApplication } from '../../src/applications/application.ts';
import { findApplicationRow, listAgenciesWithApplications, listApplications } from '../../src/applications/table.ts';
import { type Database, inTransaction } from '../../src/database.ts';
import { markStale, writeLink } from '../../src/links/store.ts';
import { saveAgency } from '../../src/organisations/agency.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { listStatements } from '../support/statements.ts';

let database: TestDatabase;
let db: Database;
let budi: string;
let tono: string;
const day = 86_400;

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  for (const [code, name] of [
    ['BPOM', 'Badan Obat'],
    ['KEMENHUB', 'Perhubungan'],
    ['SEPI', 'Tanpa Aplikasi'],
    ['TUTUP', 'Hanya yang tutup'],
  ] as const)
    await saveAgency(db, { code, name, name_en: `${name} (en)` });
  const people = ['Budi', 'Tono'].map((full_name) => ({ full_name }));
  const rows = await db.insertInto('accounts').values(people).returning('id').execute();
  [budi = '', tono = ''] = rows.map(({ id }) => id);
});

beforeEach(async () => {
  await resetClock(db);
  for (const table of ['links', 'applications', 'clients'] as const) await db.deleteFrom(table).execute();
});

afterAll(() => database.drop());

const application = (id: string, changes: Partial<Parameters<typeof saveApplication>[1]> = {}) => ({
  id,
  agency_code: 'BPOM',
  name: `Aplikasi ${id}`,
  about: `Tentang ${id}`,
  about_en: `About ${id}`,
  url: `http://${id}.example/`,
  verifier: 'http',
  verifier_settings: '{"endpoint":"http://x.example/"}',
  ...changes,
});

const save = (id: string, changes?: Partial<Parameters<typeof saveApplication>[1]>) =>
  saveApplication(db, application(id, changes));

const link = (person: string, id: string, subject: string) =>
  inTransaction(db, (tx) =>
    writeLink(tx, person, id, { subject, username: subject, display_name: null, directorate: null }),
  );

const list = (person: string, page = 1, size = 10, agency_code?: string) =>
  listApplications(db, person, { agency_code, page, size });

/** 300 applications, every third of them of the second agency; their names and ids in opposite orders. */
async function saveMany(): Promise<void> {
  for (let at = 0; at < 300; at += 1) {
    await save(`a${String(at).padStart(3, '0')}`, {
      name: `Nama ${String(299 - at).padStart(3, '0')}`,
      agency_code: at % 3 === 0 ? 'KEMENHUB' : 'BPOM',
    });
  }
}

describe('with 300 applications', () => {
  test('every one is on exactly one page, by name; the count is of all; a page is two statements', async () => {
    await saveMany();
    await link(budi, 'a299', 's');
    const seen: string[] = [];
    for (let page = 1; page <= 12; page += 1) {
      const { rows, total } = await list(budi, page, 25);
      expect([total, rows.length]).toEqual([300, 25]);
      seen.push(...rows.map(({ name }) => name));
    }
    expect(seen).toEqual(Array.from({ length: 300 }, (_, at) => `Nama ${String(at).padStart(3, '0')}`));
    expect(await list(budi, 13, 25)).toEqual({ rows: [], total: 300 });
    expect((await list(budi, 1, 25)).rows[0]).toMatchObject({ id: 'a299', links: 1 });
    const statements = await listStatements(() => list(budi, 2, 25));
    expect(statements.filter((text) => /^select/i.test(text))).toHaveLength(2);

    const of_agency = await list(budi, 4, 25, 'KEMENHUB');
    expect([of_agency.total, of_agency.rows.length]).toEqual([100, 25]);
    expect(new Set(of_agency.rows.map(({ agency_code }) => agency_code))).toEqual(new Set(['KEMENHUB']));
  });

  test('and 9,000 links of somebody else, each person’s counts are their own', async () => {
    await saveMany();
    await sql`INSERT INTO links (application_id, account_id, subject, username)
      SELECT id, ${tono}, 's' || n, 'u' || n FROM applications, generate_series(1, 30) AS n`.execute(db);
    await sql`ANALYZE links, applications`.execute(db);
    expect((await list(budi, 1, 300)).rows.every((row) => row.links === 0 && row.linked_since === null)).toBe(true);
    expect((await list(tono, 1, 300)).rows.every((row) => row.links === 30)).toBe(true);
  });

  test('with the same name they keep their order from page to page', async () => {
    for (const id of ['d', 'b', 'a', 'c', 'e']) await save(`x${id}`, { name: 'Sama' });
    const ids: string[] = [];
    for (let page = 1; page <= 5; page += 1) ids.push(...(await list(budi, page, 1)).rows.map(({ id }) => id));
    expect(ids).toEqual(['xa', 'xb', 'xc', 'xd', 'xe']);
  });
});

describe('a row', () => {
  test('says what the application is, and how the person stands with it', async () => {
    await save('satu');
    expect((await list(budi)).rows).toEqual([
      {
        ...{ id: 'satu', name: 'Aplikasi satu', about: 'Tentang satu', about_en: 'About satu' },
        ...{ url: 'http://satu.example/', agency_code: 'BPOM', agency_name: 'Badan Obat' },
        ...{
          agency_name_en: 'Badan Obat (en)',
          is_supported: true,
          initiate_login_uri: null,
          needs_no_link: false,
          links: 0,
          linked_since: null,
          stale_links: 0,
        },
      },
    ]);
    const first = await link(budi, 'satu', 'a');
    await link(budi, 'satu', 'b');
    const [row] = (await list(budi)).rows;
    expect(row).toMatchObject({ links: 2, linked_since: first.created_at, stale_links: 0 });
    expect(await findApplicationRow(db, budi, 'satu')).toEqual(row);
  });

  test('counts the links that must be proven again: because the application said so, or their time is over', async () => {
    await save('satu', { proof_lasts: 30 });
    await link(budi, 'satu', 'a');
    await link(budi, 'satu', 'b');
    await inTransaction(db, (tx) => markStale(tx, 'satu', 'a'));
    expect(await findApplicationRow(db, budi, 'satu')).toMatchObject({ links: 2, stale_links: 1 });
    await moveClock(db, 31 * day);
    expect(await findApplicationRow(db, budi, 'satu')).toMatchObject({ links: 2, stale_links: 2 });
    await link(budi, 'satu', 'a');
    expect((await list(budi)).rows[0]).toMatchObject({ links: 2, stale_links: 1 });
    await save('satu', { proof_lasts: null });
    expect(await findApplicationRow(db, budi, 'satu')).toMatchObject({ links: 2, stale_links: 0 });
  });

  test('without a verifier, or with one that nobody has set up, is there, and not supported', async () => {
    await save('satu', { verifier: null, verifier_settings: '{}' });
    await save('siap', { verifier: 'http', verifier_settings: '{}' });
    const expected = { is_supported: false, needs_no_link: false };
    expect((await list(budi)).rows).toMatchObject([
      { id: 'satu', ...expected },
      { id: 'siap', ...expected },
    ]);
  });

  test('without a verifier needs no link where a client knows people by their sign-in, unless that asks for one', async () => {
    await db.insertInto('clients').values({ id: 'klien', metadata: '{}' }).execute();
    await save('satu', { client_id: 'klien', verifier: null, verifier_settings: '{}' });
    const row = () => findApplicationRow(db, budi, 'satu');
    expect(await row()).toMatchObject({ is_supported: false, needs_no_link: true });
    await db.updateTable('clients').set({ link_required: true }).execute();
    expect(await row()).toMatchObject({ is_supported: false, needs_no_link: false });
    await db.updateTable('clients').set({ link_required: false, active: false }).execute();
    expect(await row()).toMatchObject({ needs_no_link: false });
    await db.updateTable('clients').set({ active: true }).execute();
    await save('satu', { client_id: 'klien' });
    expect(await row()).toMatchObject({ is_supported: true, needs_no_link: false });
  });

  test('tells Tono nothing of Budi’s links', async () => {
    await save('satu', { sharing: 'same_organisation' });
    await link(budi, 'satu', 'a');
    await inTransaction(db, (tx) => markStale(tx, 'satu', 'a'));
    const expected = { links: 0, linked_since: null, stale_links: 0 };
    expect((await list(tono)).rows).toMatchObject([expected]);
    expect(await findApplicationRow(db, tono, 'satu')).toMatchObject(expected);
    expect((await list(budi)).rows).toMatchObject([{ links: 1, stale_links: 1 }]);
  });
});

describe('an application', () => {
  test('that is closed is in no list, in no filter, and behind no client', async () => {
    await db.insertInto('clients').values({ id: 'klien', metadata: '{}' }).execute();
    await save('satu', { client_id: 'klien' });
    expect(await findApplicationOfClient(db, 'klien')).toMatchObject({ id: 'satu' });
    await save('satu', { client_id: 'klien', active: false });
    expect(await list(budi)).toEqual({ rows: [], total: 0 });
    expect(await findApplicationRow(db, budi, 'satu')).toBeUndefined();
    expect(await findApplication(db, 'satu')).toBeUndefined();
    expect(await findApplicationOfClient(db, 'klien')).toBeUndefined();
    expect(await listAgenciesWithApplications(db)).toEqual([]);
  });

  test('is found by its own client alone, and loses it with the client', async () => {
    await db.insertInto('clients').values({ id: 'klien', metadata: '{}' }).execute();
    await save('satu', { client_id: 'klien' });
    await save('dua');
    expect(await findApplicationOfClient(db, 'klien')).toMatchObject({ id: 'satu' });
    for (const id of ['satu', 'dua', '']) expect(await findApplicationOfClient(db, id)).toBeUndefined();
    await expect(save('dua', { client_id: 'klien' })).rejects.toThrow();
    await db.deleteFrom('clients').execute();
    expect(await findApplication(db, 'satu')).toMatchObject({ client_id: null });
  });

  test('saved again is brought up to date, and keeps its links', async () => {
    await save('satu');
    await link(budi, 'satu', 'a');
    await save('satu', { name: 'Nama baru', verifier_settings: '{"endpoint":"http://baru.example/"}' });
    expect(await findApplication(db, 'satu')).toMatchObject({
      name: 'Nama baru',
      verifier_settings: { endpoint: 'http://baru.example/' },
    });
    expect(await findApplicationRow(db, budi, 'satu')).toMatchObject({ name: 'Nama baru', links: 1 });
  });
});

test('the filter offers the agencies that have an application to show, by name, and one that has none shows none', async () => {
  await save('satu', { agency_code: 'KEMENHUB' });
  await save('dua');
  await save('tiga');
  await save('empat', { agency_code: 'TUTUP', active: false });
  expect(await listAgenciesWithApplications(db)).toEqual([
    { code: 'BPOM', name: 'Badan Obat', name_en: 'Badan Obat (en)' },
    { code: 'KEMENHUB', name: 'Perhubungan', name_en: 'Perhubungan (en)' },
  ]);
  for (const code of ['SEPI', 'TUTUP', 'TIDAK-ADA', '', "' OR true --"])
    expect([code, await list(budi, 1, 10, code)]).toEqual([code, { rows: [], total: 0 }]);
});
