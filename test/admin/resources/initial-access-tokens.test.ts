/** Registration tokens at the console and for programs: shown once, bounded, taken back, and useless while the policy is off. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { policy } from '../../../src/policy/policy.ts';
import {
  type ApiClient,
  getClientToken,
  newApiClient,
  openConsole,
  problemsOf,
  submitWell,
} from '../../support/desk.ts';
import { signIn, startGapura, type TestGapura } from '../../support/gapura.ts';
import { newHttpVisitor } from '../../support/http.ts';
import { until } from '../../support/nodes.ts';

let gapura: TestGapura;
let admin: ApiClient;

beforeAll(async () => {
  gapura = await startGapura();
  admin = newApiClient(gapura.url, await getClientToken(gapura, 'mesin', 'administrator'));
});

afterAll(() => gapura.stop());

const register = (token: string) =>
  fetch(`${gapura.config.issuer}/register`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ client_name: 'Uji', redirect_uris: ['https://uji.example.go.id/kembali'] }),
  });

test('is shown once, says that the policy keeps the door closed, and is taken back', async () => {
  const console_of_admin = await openConsole(gapura, 'admin');
  const form = await console_of_admin.get('/admin/initial-access-tokens/creation');
  expect(form.body).toContain('href="/admin/policies/clients.dynamic_registration"');
  const refused = await console_of_admin.submit(form, { days: '91', clients: '0' });
  expect([refused.status, problemsOf(refused)]).toEqual([
    422,
    ['Tulis 1 sampai 90 hari.', 'Tulis 1 sampai 100 klien.'],
  ]);
  const shown = await submitWell(console_of_admin, refused, { days: '7', clients: '1' });
  const [, token = ''] = /<code class="secret">([\w-]{43})<\/code>/.exec(shown.body) ?? [];
  expect(token).not.toBe('');
  const [, entry = ''] = /class="button" href="(\/admin\/initial-access-tokens\/[\w-]+)"/.exec(shown.body) ?? [];
  const page = await console_of_admin.get(entry);
  expect([page.status, page.body.includes(token)]).toEqual([200, false]);
  expect((await register(token)).status).toBe(404);
  await submitWell(console_of_admin, await console_of_admin.get(`${entry}/removal`), {});
  expect((await console_of_admin.get(entry)).status).toBe(404);
});

test('registers as many clients as it was issued for, once the policy opens the door', async () => {
  const { body } = await admin('GET', '/policies/clients.dynamic_registration');
  const opened = await admin(
    'PATCH',
    '/policies/clients.dynamic_registration',
    { value: true, because: 'Uji pendaftaran' },
    { 'if-match': `"${body.version}"` },
  );
  expect(opened.status).toBe(200);
  await until(() => policy('clients.dynamic_registration'));
  const made = await admin('POST', '/initial-access-tokens', { days: 1, clients: 1 });
  expect([made.status, made.body.clients_left, made.body.is_usable]).toEqual([201, 1, true]);
  const { token } = made.body.shown_once;
  const registered = await register(token);
  expect(registered.status).toBe(201);
  expect((await register(token)).status).toBe(401);
  expect((await admin('GET', '/initial-access-tokens?usable=true')).body.items).toEqual([]);
  const { client_id } = (await registered.json()) as { client_id: string };
  expect((await admin('GET', `/clients/${client_id}`)).body).toMatchObject({ origin: 'dynamic', first_party: false });
});

test.each([
  [{ days: 0, clients: 1 }],
  [{ days: 1, clients: 101 }],
  [{ days: '7', clients: 1 }],
  [{ days: 1 }],
  [{ days: [1], clients: 1 }],
])('%j makes none', async (input) => {
  expect((await admin('POST', '/initial-access-tokens', input)).status).toBe(422);
});

test('neither Tono nor an agency officer sees them', async () => {
  const tono = newHttpVisitor(gapura.url);
  expect((await signIn(tono, await tono.get('/admin/initial-access-tokens'), 'tono')).status).toBe(403);
  const officer = await openConsole(gapura, 'petugas');
  expect((await officer.get('/admin/initial-access-tokens')).status).toBe(403);
  expect((await officer.get('/admin/initial-access-tokens/creation')).status).toBe(403);
});
