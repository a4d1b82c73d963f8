/** Signing keys at the console and for programs: a rotation step by step, and the removal of one in an emergency. */

import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { moveClock, resetClock } from '../../support/clock.ts';
import {
  type ApiClient,
  addOfficer,
  errorsOf,
  getClientToken,
  listOperations,
  newApiClient,
  openConsole,
  problemsOf,
  submitWell,
} from '../../support/desk.ts';
import { demo_password, registerClient, startGapura, type TestGapura } from '../../support/gapura.ts';
import { newHttpVisitor } from '../../support/http.ts';
import { until } from '../../support/nodes.ts';
import { setTestPolicy } from '../../support/policy.ts';
import { authorize, openParty } from '../../support/relying-party.ts';

let gapura: TestGapura;
let admin: ApiClient;

beforeAll(async () => {
  gapura = await startGapura();
  admin = newApiClient(gapura.url, await getClientToken(gapura, 'mesin', 'administrator'));
});

afterEach(() => resetClock(gapura.db));
afterAll(() => gapura.stop());

/** The key of an algorithm in a state, as the interface tells it. */
const findKey = async (alg: string, state: string) =>
  (await admin('GET', `/signing-keys?state=${state}`)).body.items.find((key: { alg: string }) => key.alg === alg);

const published = async () => {
  const answer = await fetch(`${gapura.config.issuer}/jwks`);
  return ((await answer.json()) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);
};

/** Somebody signs in for an application whose tokens EdDSA signs. */
async function openAs(id: string, identifier: string) {
  const client = await registerClient(gapura, id, { metadata: { id_token_signed_response_alg: 'EdDSA' } });
  const visitor = newHttpVisitor(gapura.url);
  const { address } = await (await openParty(gapura.config.issuer, client)).begin();
  await authorize(visitor, address, client.redirect_uri, { identifier, password: demo_password });
  return visitor;
}

test('a rotation is begun once, waits until everybody knows the key, and is noted', async () => {
  const before = await findKey('PS256', 'current');
  const begun = await admin('POST', '/signing-keys', { alg: 'PS256' });
  expect(begun.status).toBe(201);
  expect(begun.body).toMatchObject({ alg: 'PS256', state: 'next', current_at: null, retired_at: null });
  expect(Date.parse(begun.body.until) - Date.parse(begun.body.created_at)).toBe(86_400_000);
  const { id } = begun.body;
  await until(async () => (await published()).includes(id));

  const twice = await admin('POST', '/signing-keys', { alg: 'PS256' });
  expect([twice.status, errorsOf(twice)]).toEqual([422, { alg: 'errors.signing-key.published' }]);
  const early = await admin('POST', `/signing-keys/${id}/promotion`, {});
  expect([early.status, errorsOf(early)]).toEqual([422, { form: 'errors.signing-key.early' }]);

  await moveClock(gapura.db, 400);
  expect((await admin('POST', `/signing-keys/${id}/promotion`, {})).status).toBe(200);
  expect(await findKey('PS256', 'current')).toMatchObject({ id, current_at: expect.any(String) });
  expect(await findKey('PS256', 'retired')).toMatchObject({ id: before.id, retired_at: expect.any(String) });
  expect((await admin('POST', `/signing-keys/${id}/promotion`, {})).status).toBe(409);
  expect((await listOperations(gapura, 'signing-keys', id)).map(({ detail }) => detail.operation)).toEqual([
    'promotion',
    'creation',
  ]);
});

test('a removal takes the key from everybody at once, with what was granted, and tells why', async () => {
  await openAs('korban', 'budi');
  const { id } = await findKey('EdDSA', 'current');
  const refused = await admin('DELETE', `/signing-keys/${id}`, { because: 'x' });
  expect([refused.status, errorsOf(refused)]).toEqual([422, { because: 'errors.signing-key.because' }]);
  expect((await admin('DELETE', `/signing-keys/${id}`, { because: 'Cadangan hilang' })).status).toBeLessThan(300);
  await until(async () => !(await published()).includes(id));
  const successor = await findKey('EdDSA', 'current');
  const [event] = await listOperations(gapura, 'signing-keys', id);
  expect(event?.detail).toMatchObject({
    alg: 'EdDSA',
    successor: successor.id,
    grants: 1,
    because: 'Cadangan hilang',
  });
  expect((await admin('GET', `/signing-keys/${id}`)).status).toBe(404);
});

test('a removal waits for a second person where policy asks for one', async () => {
  const { id } = await findKey('ES256', 'current');
  await setTestPolicy(gapura.db, 'four_eyes.signing_key', true);
  try {
    const visitor = await openConsole(gapura, 'admin');
    const form = await visitor.get(`/admin/signing-keys/${id}/removal`);
    expect(form.body).toContain('Hanya bila kunci ini mungkin di tangan orang lain.');
    const waiting = await submitWell(visitor, form, { because: 'Server dicuri' });
    expect(waiting.url.pathname).toMatch(/^\/admin\/approvals\//);
    expect(await findKey('ES256', 'current')).toMatchObject({ id });
    await addOfficer(gapura, 'admin_kedua', 'administrator');
    const second = await openConsole(gapura, 'admin_kedua');
    await submitWell(second, await second.get(`${waiting.url.pathname}/decision`), { decision: 'approved' });
    expect((await findKey('ES256', 'current')).id).not.toBe(id);
  } finally {
    await setTestPolicy(gapura.db, 'four_eyes.signing_key', false);
  }
});

test('the console shows the list, the early key with what to do, and nothing to a stranger', async () => {
  const visitor = await openConsole(gapura, 'admin');
  const form = await visitor.get('/admin/signing-keys/creation');
  const made = await submitWell(visitor, form, { alg: 'ES256' });
  expect(made.body).toContain('Kunci berikutnya sudah diterbitkan.');
  const early = await visitor.submit(await visitor.get(`${made.url.pathname}/promotion`), {});
  expect([early.status, problemsOf(early)]).toEqual([
    422,
    [expect.stringMatching(/^Kunci ini baru saja diterbitkan .* setelah [67] menit\.$/)],
  ]);
  expect((await visitor.get('/admin/signing-keys')).body).toContain('ES256 (P-256)');
  const tono = await openAs('lain', 'tono');
  expect([403, 404]).toContain((await tono.get('/admin/signing-keys')).status);
});

test('no answer holds a private or a sealed key', async () => {
  const { body } = await admin('GET', '/signing-keys?limit=100');
  expect(JSON.stringify(body)).not.toMatch(/"(d|p|q|sealed_jwk|public_jwk)"/);
});
