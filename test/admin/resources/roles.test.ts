/** Roles at the console and for programs: who gives and takes which, cell by cell; told, counted at once, never the last. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { createAccount } from '../../../src/accounts/account.ts';
import { inTransaction } from '../../../src/database.ts';
import { addPerson, findOrganisation } from '../../../src/organisations/organisation.ts';
import { grantRole, listRoles, type Role, roles as role_names } from '../../../src/permissions.ts';
import { policy } from '../../../src/policy/policy.ts';
import { setPolicy } from '../../../src/policy/store.ts';
import { type ApiClient, addOfficer, errorsOf, getClientToken, newApiClient, openConsole } from '../../support/desk.ts';
import { signIn, startGapura, startNodes, type TestGapura } from '../../support/gapura.ts';
import { type HttpVisitor, newHttpVisitor } from '../../support/http.ts';
import { until } from '../../support/nodes.ts';
import { storm } from '../../support/storm.ts';

let gapura: TestGapura;
let api: ApiClient;
let token: string;
const visitors = new Map<string, HttpVisitor>();
let pangan: string;
let kosmetika: string;
/** Somebody of Sari's company without any role, made for each test. */
let guest: { id: string; username: string };
let last = 0;

beforeAll(async () => {
  gapura = await startGapura();
  token = await getClientToken(gapura, 'mesin', 'administrator');
  api = newApiClient(gapura.url, token);
  const idOf = async (npwp: string) => (await findOrganisation(gapura.db, npwp))?.id as string;
  [pangan, kosmetika] = [await idOf('0000001016000000'), await idOf('0000001024000000')];
  await addOfficer(gapura, 'periksa', 'auditor');
  await addOfficer(gapura, 'petugas_lain', 'agency_officer', { agency_code: 'KEMENDAG' });
  for (const username of ['admin', 'layanan', 'sari', 'periksa', 'petugas', 'petugas_lain'])
    visitors.set(username, await openConsole(gapura, username));
  const tono = newHttpVisitor(gapura.url);
  await signIn(tono, await tono.get('/admin'), 'tono');
  visitors.set('tono', tono);
});

beforeEach(async () => {
  last += 1;
  const username = `tamu_${last}`;
  const email = `${username}@surat.example`;
  const { id } = await createAccount(gapura.db, {
    username,
    full_name: `Tamu ${last}`,
    email,
  });
  await addPerson(gapura.db, id, pangan);
  guest = { id, username };
});

afterAll(() => gapura.stop());

const placeOf = (role: Role, agency_code: string, organisation_id: string): Record<string, string> =>
  ['trader', 'company_administrator'].includes(role)
    ? { organisation_id }
    : ['developer', 'agency_officer'].includes(role)
      ? { agency_code }
      : {};
const rolesOf = async (id: string) => (await listRoles(gapura.db, id)).map(({ role }) => role);
const mailsOf = async (account_id: string) =>
  (
    await gapura.db
      .selectFrom('mails')
      .select(['template', 'values'])
      .where('account_id', '=', account_id)
      .where('template', '<>', 'new_browser')
      .orderBy('created_at')
      .execute()
  ).map(({ template, values }) => [template, values.role, values.place]);

/**
 * Who gives what, in the order of the roles: trader, company administrator, developer, agency officer, service desk,
 * administrator, auditor; at BPOM and in PT Contoh Pangan Nusantara (`own`), elsewhere (`other`).
 */
const gifts: Record<string, { own: number[]; other: number[] }> = {
  admin: { own: [200, 200, 200, 200, 200, 200, 200], other: [200, 200, 200, 200, 200, 200, 200] },
  layanan: { own: [403, 403, 403, 403, 403, 403, 403], other: [403, 403, 403, 403, 403, 403, 403] },
  sari: { own: [200, 422, 403, 403, 403, 403, 403], other: [403, 403, 403, 403, 403, 403, 403] },
  periksa: { own: [403, 403, 403, 403, 403, 403, 403], other: [403, 403, 403, 403, 403, 403, 403] },
  petugas: { own: [403, 403, 200, 422, 403, 403, 403], other: [403, 403, 403, 403, 403, 403, 403] },
  // PT Contoh Pangan Nusantara works with no directorate of KEMENDAG: its people are nobody there.
  petugas_lain: { own: [403, 403, 403, 403, 403, 403, 403], other: [403, 403, 422, 422, 403, 403, 403] },
  tono: { own: [403, 403, 403, 403, 403, 403, 403], other: [403, 403, 403, 403, 403, 403, 403] },
};

describe.each(Object.keys(gifts))('%s', (username) => {
  const places = {
    own: (role: Role) => placeOf(role, 'BPOM', pangan),
    other: (role: Role) => placeOf(role, 'KEMENDAG', kosmetika),
  };

  test.each(['own', 'other'] as const)('gives at the %s place what the table says', async (where) => {
    const statuses: number[] = [];
    for (const role of role_names) {
      const answer = await (visitors.get(username) as HttpVisitor).post('/admin/roles/creation', {
        account: guest.username,
        role,
        level: '1',
        ...places[where](role),
      });
      statuses.push(answer.status);
      expect([role, await rolesOf(guest.id)]).toEqual([role, answer.status === 200 ? [role] : []]);
      await gapura.db.deleteFrom('role_assignments').where('account_id', '=', guest.id).execute();
    }
    expect(statuses).toEqual(gifts[username]?.[where]);
  });

  test.each(['own', 'other'] as const)('takes at the %s place what is given there', async (where) => {
    for (const [at, role] of role_names.entries()) {
      const id = await grantRole(gapura.db, guest.id, role, places[where](role));
      const answer = await (visitors.get(username) as HttpVisitor).post(`/admin/roles/${id}/removal`, {});
      const is_own_developer = username === 'petugas_lain' && where === 'other' && role === 'developer';
      const given = gifts[username]?.[where][at] === 200 || is_own_developer;
      // Of the staff only administrators take: what an officer gave to somebody who became one stays.
      expect([role, await rolesOf(guest.id)]).toEqual([role, given ? [] : [role]]);
      expect([role, answer.status === 200]).toEqual([role, given]);
      await gapura.db.deleteFrom('role_assignments').where('account_id', '=', guest.id).execute();
    }
  });
});

test('a company gives its roles to nobody but its own people, and says of others only that they are not', async () => {
  const sari = visitors.get('sari') as HttpVisitor;
  const give = (account: string) =>
    sari.post('/admin/roles/creation', { account, role: 'trader', level: '1', organisation_id: pangan });
  const [foreign, nobody] = [await give('tono'), await give('tidak_ada')];
  expect([foreign.status, nobody.status]).toEqual([422, 422]);
  for (const { body } of [foreign, nobody]) expect(body).toContain('Tidak ada orang dengan nama itu');
});

test('an officer gives nothing to people of the staff', async () => {
  const petugas = visitors.get('petugas') as HttpVisitor;
  const gift = { account: 'petugas', role: 'developer', level: '1', agency_code: 'BPOM' };
  const answer = await petugas.post('/admin/roles/creation', gift);
  expect([answer.status, answer.body.includes('Orang ini petugas')]).toEqual([422, true]);
});

describe('an officer', () => {
  const give = (account: string, agency_code = 'BPOM', officer = 'petugas') =>
    (visitors.get(officer) as HttpVisitor).post('/admin/roles/creation', {
      account,
      role: 'developer',
      level: '1',
      agency_code,
    });

  test('draws nobody into sight by a role, and hears the same of them as of nobody', async () => {
    const { id } = await createAccount(gapura.db, { username: `asing_${last}`, full_name: 'Orang Asing' });
    await addPerson(gapura.db, id, (await organisationWithout('BPOM')) as string);
    const holder = await createAccount(gapura.db, { username: `pihak_${last}`, full_name: 'Pihak Lain' });
    await grantRole(gapura.db, holder.id, 'trader', { organisation_id: kosmetika });
    const nobody = await give('tidak_ada');
    const said = (body: string, name: string) =>
      body.replaceAll(/<time.*<\/time>/g, '').replaceAll(`value="${name}"`, '');
    for (const name of [`asing_${last}`, `pihak_${last}`, 'layanan', 'admin']) {
      const refused = await give(name);
      expect([name, refused.status]).toEqual([name, nobody.status]);
      expect(refused.body).toContain('Tidak ada orang dengan nama itu yang dapat Anda beri peran');
      expect(said(refused.body, name)).toBe(said(nobody.body, 'tidak_ada'));
    }
    expect([await rolesOf(id), await rolesOf(holder.id)]).toEqual([[], ['trader']]);
    for (const one of [id, holder.id])
      expect((await (visitors.get('petugas') as HttpVisitor).get(`/admin/accounts/${one}`)).status).toBe(404);
  });

  test('gives it to people of a company of the agency, of the agency, and of nowhere yet', async () => {
    const fresh = await createAccount(gapura.db, { username: `baru_${last}`, full_name: 'Orang Baru' });
    const known = await createAccount(gapura.db, { username: `kenal_${last}`, full_name: 'Orang Dikenal' });
    await grantRole(gapura.db, known.id, 'developer', { agency_code: 'BPOM', level: 2 });
    expect((await give(`baru_${last}`)).status).toBe(200);
    expect((await give(guest.username)).status).toBe(200);
    expect([await rolesOf(fresh.id), await rolesOf(guest.id)]).toEqual([['developer'], ['developer']]);
    const again = await give(`kenal_${last}`);
    expect([again.status, again.body.includes('Tidak ada orang')]).toEqual([422, false]);
  });
});

/** A company that works with no directorate of an agency. */
async function organisationWithout(agency_code: string): Promise<string | undefined> {
  const { rows } = await sql<{ id: string }>`SELECT o.id FROM organisations o WHERE NOT EXISTS (
    SELECT FROM memberships m JOIN directorates d ON d.id = m.directorate_id
    WHERE m.organisation_id = o.id AND d.agency_code = ${agency_code}) LIMIT 1`.execute(gapura.db);
  return rows[0]?.id;
}

test('the list and the pages hold what lies in reach', async () => {
  const mine = await grantRole(gapura.db, guest.id, 'trader', { organisation_id: pangan });
  const theirs = await grantRole(gapura.db, guest.id, 'developer', { agency_code: 'KEMENDAG' });
  const seen: Record<string, [number | undefined, number | undefined]> = {
    admin: [200, 200],
    layanan: [200, 200],
    periksa: [200, 200],
    sari: [200, 404],
    petugas: [404, 404],
    petugas_lain: [404, 200],
    tono: [403, 403],
  };
  for (const [username, expected] of Object.entries(seen)) {
    const visitor = visitors.get(username);
    const statuses = [mine, theirs].map(async (id) => (await visitor?.get(`/admin/roles/${id}`))?.status);
    expect([username, await Promise.all(statuses)]).toEqual([username, expected]);
  }
  const list = async (query: string) =>
    ((await api('GET', `/roles?size=100&${query}`)).body.items as { id: string }[]).map(({ id }) => id);
  expect((await list(`account=${guest.username}`)).toSorted()).toEqual([mine, theirs].toSorted());
  expect(await list(`account=${guest.username}&role=trader`)).toEqual([mine]);
  expect(await list('agency_code=KEMENDAG&role=developer')).toEqual([theirs]);
  for (const named of [pangan, '00.000.101.6-000.000']) expect(await list(`organisation_id=${named}`)).toContain(mine);
  for (const bad of ['role=raja', 'organisation_id=PT', 'agency_code=%00', 'account=%00', "agency_code='"])
    expect([bad, (await api('GET', `/roles?${bad}`)).status]).toEqual([bad, 400]);
});

test.each([
  ['nobody of that name', { account: 'tidak_ada' }, { account: 'errors.role.account_unknown' }],
  ['no agency', { role: 'developer', organisation_id: null }, { agency_code: 'errors.role.agency_code_agency' }],
  ['an agency for a trader', { agency_code: 'BPOM' }, { agency_code: 'errors.role.agency_code_organisation' }],
  ['a company for an auditor', { role: 'auditor' }, { organisation_id: 'errors.role.organisation_id_everywhere' }],
  [
    'an agency for an auditor',
    { role: 'auditor', agency_code: 'BPOM' },
    { agency_code: 'errors.role.agency_code_everywhere' },
  ],
  [
    'a company for an officer',
    { role: 'agency_officer', agency_code: 'BPOM' },
    { organisation_id: 'errors.role.organisation_id_agency' },
  ],
  ['no company', { organisation_id: '' }, { organisation_id: 'errors.role.organisation_id_organisation' }],
  ['no such company', { organisation_id: '9' }, { organisation_id: 'errors.organisation.unknown' }],
  [
    'no such agency',
    { role: 'developer', organisation_id: null, agency_code: 'ADA' },
    { agency_code: 'errors.agency.unknown' },
  ],
  ['no such role', { role: 'raja' }, { role: 'errors.field.invalid' }],
  ['too high a level', { level: 10 }, { level: 'errors.field.invalid' }],
])('with %s it is refused beside the field', async (_what, wrong, errors) => {
  const refused = await api('POST', '/roles', {
    account: guest.username,
    role: 'trader',
    organisation_id: pangan,
    ...wrong,
  });
  expect([refused.status, errorsOf(refused)]).toEqual([422, errors]);
});

test('given by ten at once it stands once, and the person is told once of each change', async () => {
  const answers = await storm(10, () => ({
    url: `${gapura.url}/api/v1/roles`,
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ account: guest.username, role: 'trader', organisation_id: pangan }),
  }));
  expect(answers.map(({ status }) => status).toSorted()).toEqual([201, ...Array(9).fill(422)]);
  const { id } = JSON.parse(answers.find(({ status }) => status === 201)?.body ?? '{}');
  expect((await api('DELETE', `/roles/${id}`)).status).toBe(204);
  expect((await api('DELETE', `/roles/${id}`)).status).toBe(404);
  const events = gapura.db.selectFrom('audit_events').select(['kind', 'detail']).where('account_id', '=', guest.id);
  const detail = { role: 'trader', agency_code: null, organisation_id: pangan };
  expect(await events.where('kind', 'like', 'role_%').orderBy('id').execute()).toEqual([
    { kind: 'role_given', detail },
    { kind: 'role_taken', detail },
  ]);
  expect(await mailsOf(guest.id)).toEqual([
    ['role_given', 'Importir', 'PT Contoh Pangan Nusantara'],
    ['role_taken', 'Importir', 'PT Contoh Pangan Nusantara'],
  ]);
});

test('a role in a company lets the person act for it', async () => {
  await api('POST', '/roles', { account: guest.username, role: 'trader', organisation_id: kosmetika });
  const { body } = await api('GET', `/accounts/${guest.id}/organisations`);
  expect((body.items as { name: string }[]).map(({ name }) => name)).toContain('PT Contoh Kosmetika Jaya');
});

test('nobody takes the own role of administrator, and the last one stays', async () => {
  const { db } = gapura;
  const rows = await db
    .selectFrom('role_assignments')
    .select(['id', 'account_id'])
    .where('role', '=', 'administrator')
    .execute();
  const [own] = rows;
  const refused = await (visitors.get('admin') as HttpVisitor).post(`/admin/roles/${own?.id}/removal`, {});
  expect([refused.status, refused.body.includes('peran administrator Anda sendiri')]).toEqual([422, true]);
  expect(errorsOf(await api('DELETE', `/roles/${own?.id}`))).toEqual({ form: 'errors.account.last_administrator' });
  for (let round = 0; round < 3; round += 1) {
    const other = await addOfficer(gapura, `kedua_${last}_${round}`, 'administrator');
    const all = await db.selectFrom('role_assignments').select('id').where('role', '=', 'administrator').execute();
    const answers = await storm(all.length, (n) => ({
      url: `${gapura.url}/api/v1/roles/${all[n]?.id}`,
      method: 'DELETE',
      headers: { authorization: `Bearer ${token}` },
    }));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([204, 422]);
    expect(
      await db.selectFrom('role_assignments').select('id').where('role', '=', 'administrator').execute(),
    ).toHaveLength(1);
    await db.deleteFrom('role_assignments').where('account_id', '=', other).execute();
    await grantRole(db, own?.account_id as string, 'administrator');
  }
});

test('under four eyes a role waits for a second person, and nobody asks for what is not theirs to give', async () => {
  const key = { key: 'four_eyes.role', scope: { kind: 'system', id: '' }, by: null, because: 'uji' } as const;
  const set = async (value: boolean, version: number) => {
    await inTransaction(gapura.db, (tx) => setPolicy(tx, { ...key, version, value }));
    await until(() => policy('four_eyes.role') === value);
  };
  await set(true, 0);
  const admin = visitors.get('admin') as HttpVisitor;
  const gift = { account: guest.username, role: 'auditor', level: '1', approval_reason: 'Uji' };
  const asked = await admin.post('/admin/roles/creation', gift);
  expect([asked.url.pathname.startsWith('/admin/approvals/'), await rolesOf(guest.id)]).toEqual([true, []]);
  await addOfficer(gapura, `mata_${last}`, 'administrator');
  const second = await openConsole(gapura, `mata_${last}`);
  const decided = await second.post(`${asked.url.pathname}/decision`, { decision: 'approved', reason: '' });
  expect([decided.status, await rolesOf(guest.id)]).toEqual([200, ['auditor']]);
  const petugas = visitors.get('petugas') as HttpVisitor;
  const wished = await petugas.post('/admin/roles/creation', {
    account: 'petugas',
    role: 'agency_officer',
    level: '9',
    agency_code: 'BPOM',
  });
  expect(wished.status).toBe(422);
  await set(false, 1);
});

test('counts from the next request on, on both nodes', async () => {
  const nodes = await startNodes();
  try {
    const id = await addOfficer(nodes, 'baru_auditor', 'auditor');
    const visitor = newHttpVisitor(nodes.url);
    expect((await signIn(visitor, await visitor.get('/admin'), 'baru_auditor')).status).toBe(200);
    const cookie = visitor.cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
    const ask = async () =>
      (
        await storm(2, (n) => ({
          url: `${nodes.nodes[n as 0 | 1].url}/admin/policies`,
          headers: { cookie, host: new URL(nodes.url).host },
        }))
      ).map(({ status }) => status);
    expect(await ask()).toEqual([200, 200]);
    await nodes.db.deleteFrom('role_assignments').where('account_id', '=', id).execute();
    expect(await ask()).toEqual([403, 403]);
    await grantRole(nodes.db, id, 'service_desk');
    expect(await ask()).toEqual([403, 403]);
    await grantRole(nodes.db, id, 'auditor');
    expect(await ask()).toEqual([200, 200]);
  } finally {
    await nodes.stop();
  }
});
