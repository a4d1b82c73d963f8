/** Who may do what to whose account, cell by cell: each role against its own people, other people, and people of the staff. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { createAccount } from '../../../src/accounts/account.ts';
import { findOrganisation } from '../../../src/organisations/organisation.ts';
import { grantRole, type Role } from '../../../src/permissions.ts';
import { addOfficer, openConsole } from '../../support/desk.ts';
import { signIn, startGapura, type TestGapura } from '../../support/gapura.ts';
import { type HttpVisitor, newHttpVisitor } from '../../support/http.ts';
import { findAccountId } from '../../support/nodes.ts';

let gapura: TestGapura;
const visitors = new Map<string, HttpVisitor>();
const people = new Map<string, string>();

/** Who acts: their user name, and the role where the demonstration has nobody with it. */
const actors: [username: string, role?: Role, at?: { agency_code: string }][] = [
  ['admin'],
  ['layanan'],
  ['sari'],
  ['periksa', 'auditor'],
  ['petugas'],
  ['petugas_lain', 'agency_officer', { agency_code: 'KEMENDAG' }],
  ['tono'],
];

/** Whose account it is; nobody of them has made a password, so that everything can be done to each. */
const targets = ['colleague', 'foreigner', 'developer', 'officer'] as const;
const operations = ['look', 'invitation', 'change', 'lock', 'unlock', 'expiry', 'sessions-end'] as const;

const values: Record<(typeof operations)[number], Record<string, string>> = {
  look: {},
  invitation: {},
  change: {
    full_name: 'Nama Baru',
    email: '',
    mobile_number: '',
    phone_number: '',
    fax_number: '',
    address: '',
    city: '',
    postal_code: '',
    language: 'id',
    time_zone: 'Asia/Makassar',
  },
  lock: { lock: 'locked', because: 'Permintaan perusahaan' },
  unlock: { lock: 'locked', because: 'Sudah jelas' },
  expiry: { expires_at: '2999-12-31', because: 'Kontrak baru' },
  'sessions-end': { because: 'Laptop hilang' },
};

/** What each gets, by target, in the order of the operations: done (200), or the status of the refusal. */
const allowed = {
  admin: {
    colleague: [200, 200, 200, 200, 200, 200, 200],
    foreigner: [200, 200, 200, 200, 200, 200, 200],
    developer: [200, 200, 200, 200, 200, 200, 200],
    officer: [200, 200, 200, 200, 200, 200, 200],
  },
  layanan: {
    colleague: [200, 200, 200, 200, 200, 200, 200],
    foreigner: [200, 200, 200, 200, 200, 200, 200],
    developer: [200, 200, 200, 200, 200, 200, 200],
    officer: [200, 409, 409, 409, 409, 409, 409],
  },
  sari: {
    colleague: [200, 200, 403, 200, 200, 403, 200],
    foreigner: [404, 404, 403, 404, 404, 403, 404],
    developer: [404, 404, 403, 404, 404, 403, 404],
    officer: [404, 404, 403, 404, 404, 403, 404],
  },
  periksa: {
    colleague: [200, 403, 403, 403, 403, 403, 403],
    foreigner: [200, 403, 403, 403, 403, 403, 403],
    developer: [200, 403, 403, 403, 403, 403, 403],
    officer: [200, 403, 403, 403, 403, 403, 403],
  },
  petugas: {
    colleague: [404, 403, 403, 403, 403, 403, 403],
    foreigner: [404, 403, 403, 403, 403, 403, 403],
    developer: [200, 403, 403, 403, 403, 403, 403],
    officer: [200, 403, 403, 403, 403, 403, 403],
  },
  petugas_lain: {
    colleague: [404, 403, 403, 403, 403, 403, 403],
    foreigner: [404, 403, 403, 403, 403, 403, 403],
    developer: [404, 403, 403, 403, 403, 403, 403],
    officer: [404, 403, 403, 403, 403, 403, 403],
  },
  tono: {
    colleague: [403, 403, 403, 403, 403, 403, 403],
    foreigner: [403, 403, 403, 403, 403, 403, 403],
    developer: [403, 403, 403, 403, 403, 403, 403],
    officer: [403, 403, 403, 403, 403, 403, 403],
  },
} as Record<string, Record<(typeof targets)[number], number[]>>;

beforeAll(async () => {
  gapura = await startGapura();
  const { db } = gapura;
  const company = async (npwp: string) => ({ organisation_id: (await findOrganisation(db, npwp))?.id as string });
  const add = async (target: string, role: Role, at: { agency_code?: string; organisation_id?: string }) => {
    const id = await addOfficer(gapura, target, role, at);
    await db.deleteFrom('passwords').where('account_id', '=', id).execute();
    people.set(target, id);
  };
  await add('colleague', 'trader', await company('0000001016000000'));
  await add('foreigner', 'trader', await company('0000001024000000'));
  await add('developer', 'developer', { agency_code: 'BPOM' });
  await add('officer', 'agency_officer', { agency_code: 'BPOM' });
  for (const [username, role, at] of actors) {
    if (role) await addOfficer(gapura, username, role, at);
    if (username !== 'tono') visitors.set(username, await openConsole(gapura, username));
  }
  const tono = newHttpVisitor(gapura.url);
  await signIn(tono, await tono.get('/admin'), 'tono');
  visitors.set('tono', tono);
});

beforeEach(async () => {
  await gapura.db.deleteFrom('account_locks').execute();
  await sql`UPDATE accounts SET expires_at = NULL, email = (SELECT value FROM account_identifiers i
    WHERE i.account_id = accounts.id AND kind = 'username') || '@contoh.example' WHERE id = ANY (${[...people.values()]})`.execute(
    gapura.db,
  );
});

afterAll(() => gapura.stop());

const addressOf = (target: string, operation: string) =>
  `/admin/accounts/${people.get(target)}${operation === 'look' ? '' : `/${operation}`}`;

/** A lock that somebody set, or the house itself. */
async function lockBy(username: string | undefined, account_id: string, kind: 'locked' | 'dormant' = 'locked') {
  const locked_by = username ? await findAccountId(gapura, username) : null;
  await gapura.db.insertInto('account_locks').values({ account_id, kind, because: 'uji', locked_by }).execute();
}

/** Sends the operation with nothing but its address and values, as somebody would who was never shown its form. */
async function attempt(username: string, target: (typeof targets)[number], operation: (typeof operations)[number]) {
  const visitor = visitors.get(username) as HttpVisitor;
  const { db } = gapura;
  const account_id = people.get(target) as string;
  if (operation === 'unlock') await lockBy('sari', account_id);
  const { version } = await db
    .selectFrom('accounts')
    .select('version')
    .where('id', '=', account_id)
    .executeTakeFirstOrThrow();
  const address = addressOf(target, operation);
  const answer =
    operation === 'look'
      ? await visitor.get(address)
      : await visitor.post(address, { ...values[operation], version: String(version) });
  await db.deleteFrom('account_locks').execute();
  return answer.status;
}

describe.each(actors.map(([username]) => username))('%s', (username) => {
  test.each(targets)('to the account of the %s', async (target) => {
    const statuses: number[] = [];
    for (const operation of operations) statuses.push(await attempt(username, target, operation));
    expect(statuses).toEqual(allowed[username]?.[target]);
  });

  test('finds in the list those whose page opens, and no others', async () => {
    const visitor = visitors.get(username) as HttpVisitor;
    for (const target of targets) {
      const list = await visitor.get(`/admin/accounts?q=${target}`);
      const opens = allowed[username]?.[target][0] === 200;
      expect([target, list.body.includes(`/admin/accounts/${people.get(target)}`)]).toEqual([target, opens]);
    }
  });
});

/** What opening an account gives each, by the role that is given with it; undefined gives none. */
const gifts: [role: Role | undefined, place: Record<string, string>][] = [
  [undefined, {}],
  ['trader', {}],
  ['company_administrator', {}],
  ['developer', { agency_code: 'BPOM' }],
  ['agency_officer', { agency_code: 'BPOM' }],
  ['service_desk', {}],
  ['administrator', {}],
  ['auditor', {}],
];

describe('opening an account', () => {
  let last = 0;

  async function open(username: string, npwp: string, role: Role | undefined, place: Record<string, string>) {
    last += 1;
    const name = `baru_${last}`;
    const answer = await (visitors.get(username) as HttpVisitor).post('/admin/accounts/creation', {
      username: name,
      full_name: 'Orang Baru',
      email: `${name}@contoh.example`,
      organisation_id: npwp,
      language: 'id',
      time_zone: 'Asia/Jakarta',
      ...(role ? { role } : {}),
      ...place,
    });
    const made = await gapura.db.selectFrom('account_identifiers').selectAll().where('canonical', '=', name).execute();
    expect(made).toHaveLength(answer.status === 200 ? 1 : 0);
    return answer.status;
  }

  test.each([
    ['admin', '0000001016000000', [200, 200, 200, 200, 200, 200, 200, 200]],
    ['layanan', '0000001016000000', [200, 422, 422, 422, 422, 422, 422, 422]],
    ['sari', '0000001016000000', [200, 200, 422, 422, 422, 422, 422, 422]],
    ['sari', '0000001024000000', [403, 403, 403, 403, 403, 403, 403, 403]],
    ['sari', '', [403, 403, 403, 403, 403, 403, 403, 403]],
    ['periksa', '0000001016000000', [403, 403, 403, 403, 403, 403, 403, 403]],
    ['petugas', '0000001016000000', [403, 403, 403, 403, 403, 403, 403, 403]],
    ['petugas_lain', '', [403, 403, 403, 403, 403, 403, 403, 403]],
    ['tono', '0000001024000000', [403, 403, 403, 403, 403, 403, 403, 403]],
  ] as [string, string, number[]][])('by %s in the company %p', async (username, npwp, expected) => {
    const statuses: number[] = [];
    for (const [role, place] of gifts) statuses.push(await open(username, npwp, role, place));
    expect(statuses).toEqual(expected);
  });
});

test('a company closes nobody whom another company needs as well, and opens nothing that the gateway closed', async () => {
  const { db } = gapura;
  const sari = visitors.get('sari') as HttpVisitor;
  const id = people.get('colleague') as string;
  const address = `/admin/accounts/${id}`;
  for (const kind of ['frozen', 'disabled', 'revoked'] as const) {
    await db.insertInto('account_locks').values({ account_id: id, kind, because: 'uji' }).execute();
    const refused = await sari.post(`${address}/unlock`, { lock: kind, because: 'Coba' });
    expect([kind, refused.status]).toEqual([kind, 422]);
    if (kind !== 'revoked')
      expect((await sari.post(`${address}/lock`, { lock: kind, because: 'Coba' })).status).toBe(422);
  }
  const admin = visitors.get('admin') as HttpVisitor;
  const layanan = visitors.get('layanan') as HttpVisitor;
  expect((await layanan.post(`${address}/unlock`, { lock: 'revoked', because: 'Coba' })).status).toBe(422);
  expect((await admin.post(`${address}/unlock`, { lock: 'revoked', because: 'Keliru' })).status).toBe(200);
  await db.deleteFrom('account_locks').execute();

  const other = await findOrganisation(db, '0000001024000000');
  await sql`INSERT INTO account_organisations VALUES (${id}, ${other?.id})`.execute(db);
  expect((await sari.post(`${address}/lock`, values.lock)).status).toBe(422);
  expect((await sari.post(`${address}/sessions-end`, values['sessions-end'])).status).toBe(422);
  expect((await layanan.post(`${address}/lock`, values.lock)).status).toBe(200);
  await sql`DELETE FROM account_organisations WHERE account_id = ${id} AND organisation_id = ${other?.id}`.execute(db);
});

test('a company lifts what its own administrators set, and nothing that the gateway, the house or another company did', async () => {
  const { db } = gapura;
  const id = people.get('colleague') as string;
  const company = async (npwp: string) => ({ organisation_id: (await findOrganisation(db, npwp))?.id as string });
  const own = await company('0000001016000000');
  await addOfficer(gapura, 'sari_kedua', 'company_administrator', own);
  await addOfficer(gapura, 'sari_asing', 'company_administrator', await company('0000001024000000'));
  const both = await addOfficer(gapura, 'sari_petugas', 'company_administrator', own);
  await grantRole(db, both, 'service_desk');
  const statuses: Record<string, number> = {};
  for (const [who, by, kind] of [
    ['colleague', 'sari_kedua', 'locked'],
    ['foreign company', 'sari_asing', 'locked'],
    ['both', 'sari_petugas', 'locked'],
    ['service desk', 'layanan', 'locked'],
    ['administrator', 'admin', 'locked'],
    ['trader', 'tono', 'locked'],
    ['house', undefined, 'locked'],
    ['dormant', undefined, 'dormant'],
  ] as const) {
    await lockBy(by, id, kind);
    const answer = await (visitors.get('sari') as HttpVisitor).post(`/admin/accounts/${id}/unlock`, {
      lock: kind,
      because: 'Sudah jelas',
    });
    statuses[who] = answer.status;
    const left = await db.selectFrom('account_locks').select('kind').where('account_id', '=', id).execute();
    expect([who, left.length]).toEqual([who, answer.status === 200 ? 0 : 1]);
    if (answer.status !== 200) expect([who, answer.body.includes('petugas Gapura')]).toEqual([who, true]);
    await db.deleteFrom('account_locks').execute();
  }
  const refused = {
    'foreign company': 422,
    both: 422,
    'service desk': 422,
    administrator: 422,
    trader: 422,
    house: 422,
  };
  expect(statuses).toEqual({ colleague: 200, dormant: 200, ...refused });
});

test('where whoever looks sees a part only, the page claims nothing of the rest', async () => {
  const page = async (username: string, target: string) =>
    (await (visitors.get(username) as HttpVisitor).get(`/admin/accounts/${people.get(target)}`)).body;
  const none = 'Tidak ada yang termasuk wewenang Anda.';
  const nowhere = 'Orang ini tidak bertindak untuk perusahaan mana pun.';
  const [officer, admin] = [await page('petugas', 'developer'), await page('admin', 'developer')];
  expect([officer.includes(none), officer.includes(nowhere)]).toEqual([true, false]);
  expect([admin.includes(none), admin.includes(nowhere)]).toEqual([false, true]);
});

test('whoever is nobody’s officer gets no list, and a new account is in nobody’s reach by accident', async () => {
  const { id } = await createAccount(gapura.db, { username: 'tanpa_tempat', full_name: 'Tanpa Tempat' });
  for (const username of ['sari', 'petugas', 'petugas_lain'])
    expect([username, (await visitors.get(username)?.get(`/admin/accounts/${id}`))?.status]).toEqual([username, 404]);
  expect((await visitors.get('tono')?.get('/admin/accounts'))?.status).toBe(403);
});
