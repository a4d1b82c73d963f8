/** What a second person reads before deciding: who may do it sees from what to what, the others only which fields, nobody a secret. */

import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { z } from 'zod';
import { carryOut, type Order } from '../../src/admin/operation.ts';
import { nameProposal, tellProposal } from '../../src/admin/proposal.ts';
import { type Desk, type Operation, type Resource, resources } from '../../src/admin/resource.ts';
import { agencies } from '../../src/admin/resources/agencies.ts';
import { catalogues } from '../../src/i18n/messages.ts';
import { grantRole, listRoles } from '../../src/permissions.ts';
import {
  type ApiClient,
  addOfficer,
  deskOf,
  getPersonToken,
  newApiClient,
  openConsole,
  problemsOf,
  submitWell,
} from '../support/desk.ts';
import { startGapura, type TestGapura } from '../support/gapura.ts';
import type { HttpVisitor } from '../support/http.ts';
import { setTestPolicy } from '../support/policy.ts';

let gapura: TestGapura;
let asker: HttpVisitor;
let decider: HttpVisitor;
let auditor: HttpVisitor;
let asking: ApiClient;
let deciding: ApiClient;
let desks: Record<'asker' | 'decider' | 'auditor', Desk>;
let person: { id: string; username: string };
let made = 0;

const because = 'Menggantikan petugas lama';
const named = (resource: Resource, name: string) =>
  resource.operations.find((operation) => operation.name === name) as Operation;
/** Agencies, of which a change needs a second person, with one thing typed that nobody reads. */
const watched: Resource = {
  ...agencies,
  operations: [
    {
      ...named(agencies, 'change'),
      input: z.object({
        name: z.string(),
        name_en: z.string(),
        key: z.string().meta({ secret: true, label: 'admin.policies.value' }),
      }),
      four_eyes: () => 'four_eyes.role',
    },
  ],
};
const findResource = (name: string) => (name === 'agencies' ? watched : resources.find((one) => one.name === name));

beforeAll(async () => {
  gapura = await startGapura();
  const open = async (username: string, role: 'administrator' | 'auditor') => {
    const id = await addOfficer(gapura, username, role);
    return [await openConsole(gapura, username), await deskOf(gapura, id, { findResource })] as const;
  };
  const opened = [await open('peminta', 'administrator'), await open('pemutus', 'administrator')] as const;
  const third = await open('pemeriksa', 'auditor');
  [asker, decider, auditor] = [opened[0][0], opened[1][0], third[0]];
  desks = { asker: opened[0][1], decider: opened[1][1], auditor: third[1] };
  asking = newApiClient(gapura.url, await getPersonToken(gapura, 'program-peminta', 'peminta'));
  deciding = newApiClient(gapura.url, await getPersonToken(gapura, 'program-pemutus', 'pemutus'));
  await setTestPolicy(gapura.db, 'four_eyes.role', true);
});

afterAll(() => gapura.stop());

beforeEach(async () => {
  made += 1;
  const username = `penerima_${made}`;
  person = { id: await addOfficer(gapura, username, undefined), username };
});

const rolesOf = async () => (await listRoles(gapura.db, person.id)).map(({ role }) => role);

test('a role is asked for with a reason, read in words by those who could give it, and given by the second person', async () => {
  const form = await asker.get('/admin/roles/creation');
  expect(form.body).toContain('name="approval_reason"');
  const gift = { account: person.username, role: 'agency_officer', agency_code: 'BPOM', level: '2' };
  const refused = await asker.submit(form, gift);
  expect([refused.status, problemsOf(refused)]).toEqual([422, [expect.stringContaining('Tulis alasannya')]]);
  expect(refused.body).toMatch(/id="approval_reason-error"/);
  expect(refused.body).toContain(`value="${person.username}"`);
  expect((await asker.submit(form, { ...gift, approval_reason: '   ' })).status).toBe(422);
  const long = await asker.submit(form, { ...gift, approval_reason: 'y'.repeat(501) });
  expect([long.status, long.body.includes('y'.repeat(501))]).toEqual([422, true]);

  const waiting = await submitWell(asker, refused, { approval_reason: because });
  const { pathname } = waiting.url;
  expect([pathname.startsWith('/admin/approvals/'), await rolesOf()]).toEqual([true, []]);
  const words = [`Petugas ${person.username} (${person.username})`, 'Petugas instansi', '(BPOM)', because];
  for (const address of [pathname, `${pathname}/decision`]) {
    const { body } = await decider.get(address);
    for (const word of address === pathname ? words : words.slice(0, 3)) expect(body).toContain(word);
    expect(body).toContain('Peran: Berikan Peran');
  }
  const seen = await auditor.get(pathname);
  expect([seen.status, seen.body.includes('Berikan Peran'), seen.body.includes('Instansi')]).toEqual([200, true, true]);
  for (const address of [pathname, `${pathname}/decision`])
    expect((await auditor.get(address)).body).not.toContain(person.username);

  const decided = await submitWell(decider, await decider.get(`${pathname}/decision`), { decision: 'approved' });
  expect([decided.url.pathname, await rolesOf()]).toEqual([pathname, ['agency_officer']]);
  expect(decided.body).not.toContain(person.username);
});

test('a program says why beside its input, also where it removes, and reads what would happen', async () => {
  const id = await grantRole(gapura.db, person.id, 'auditor');
  for (const body of [undefined, {}, { approval_reason: '' }, { approval_reason: ['x'] }, { approval_reason: 7 }]) {
    const refused = await asking('DELETE', `/roles/${id}`, body);
    expect([refused.status, refused.body.errors]).toEqual([
      422,
      [expect.objectContaining({ field: 'approval_reason' })],
    ]);
  }
  const waiting = await asking('DELETE', `/roles/${id}`, { approval_reason: because });
  expect([waiting.status, await rolesOf()]).toEqual([202, ['auditor']]);
  const address = `/approvals/${waiting.body.approval_id}`;
  expect((await deciding('GET', address)).body).toMatchObject({ state: 'waiting', because, fields: [] });
  const { items } = (await deciding('GET', `${address}/changes`)).body;
  expect(items).toContainEqual({ field: expect.any(String), from: 'Auditor', to: '' });
  expect(items.map(({ from }: { from: string }) => from)).toContain(person.username);
  expect((await deciding('POST', `${address}/decision`, { decision: 'approved' })).status).toBe(200);
  expect(await rolesOf()).toEqual([]);
  expect((await deciding('GET', `${address}/changes`)).body).toEqual({ items: [] });

  const gift = { account: person.username, role: 'auditor' };
  expect((await asking('POST', '/roles', gift)).body.errors[0].field).toBe('approval_reason');
  expect((await asking('POST', '/roles', { ...gift, approval_reason: because })).status).toBe(202);
});

test('of a change it tells what differs from today, and of a secret only that one was typed', async () => {
  const code = `W${made}`;
  const creation = { code, name: 'Badan Lama', name_en: 'Agency' };
  await carryOut(desks.asker, { resource: agencies, operation: named(agencies, 'creation'), input: creation });
  const order: Order = {
    resource: watched,
    operation: named(watched, 'change'),
    id: code,
    input: { name: 'Badan Baru', name_en: 'Agency', key: 'kunci-yang-diketik' },
    version: 1,
  };
  expect(await carryOut(desks.asker, order)).toEqual({
    state: 'refused',
    errors: { approval_reason: 'errors.approval.reason' },
  });
  const waiting = await carryOut(desks.asker, { ...order, because });
  if (waiting.state !== 'waiting') throw new Error(waiting.state);
  const approval = { ...(await deciding('GET', `/approvals/${waiting.approval_id}`)).body };
  expect(approval.fields).toEqual(['name', 'key']);
  const told = await tellProposal(desks.decider, approval);
  expect(told).toEqual([
    { field: 'Nama', from: 'Badan Lama', to: 'Badan Baru' },
    { field: expect.any(String), from: '', to: '(diisi, tidak ditampilkan)' },
  ]);
  expect(await tellProposal(desks.auditor, approval)).toEqual([
    { field: 'Nama', from: null, to: null },
    { field: expect.any(String), from: null, to: null },
  ]);
  expect(await nameProposal(desks.decider, approval)).toBe('Instansi: Ubah Instansi – Badan Lama');
  await gapura.db.updateTable('agencies').set({ name: 'Badan Sementara' }).where('code', '=', code).execute();
  expect(await tellProposal(desks.decider, approval)).toContainEqual({
    field: 'Nama',
    from: 'Badan Sementara',
    to: 'Badan Baru',
  });
  expect(await tellProposal(desks.decider, { ...approval, resource: 'hilang' })).toEqual([]);
  expect(await nameProposal(desks.decider, { ...approval, resource: 'hilang' })).toBe('hilang: change');
});

test('values are for those whose reach has the place, and the form asks why only while the policy asks', async () => {
  const waiting = await asking('POST', '/roles', {
    account: person.username,
    role: 'agency_officer',
    agency_code: 'BPOM',
    approval_reason: because,
  });
  const approval = (await deciding('GET', `/approvals/${waiting.body.approval_id}`)).body;
  const officer = async (agency_code: string) =>
    deskOf(gapura, await addOfficer(gapura, `${agency_code.toLowerCase()}_${made}`, 'agency_officer', { agency_code }));
  const [own, other] = [await officer('BPOM'), await officer('KEMENDAG')];
  expect((await tellProposal(own, approval)).every(({ to }) => to !== null)).toBe(true);
  expect((await tellProposal(other, approval)).every(({ to }) => to === null)).toBe(true);
  await setTestPolicy(gapura.db, 'four_eyes.role', false);
  try {
    expect((await asker.get('/admin/roles/creation')).body).not.toContain('approval_reason');
  } finally {
    await setTestPolicy(gapura.db, 'four_eyes.role', true);
  }
});

test('whatever may wait for a second person has its words in the list of approvals', () => {
  const keys = resources.flatMap(({ name, operations }) =>
    operations
      .filter(({ four_eyes }) => four_eyes)
      .flatMap((operation) => [`admin.approvals.resource_${name}`, `admin.approvals.operation_${operation.name}`]),
  );
  expect(keys.length).toBeGreaterThan(6);
  expect(keys.filter((key) => !Object.hasOwn(catalogues.id, key))).toEqual([]);
});
