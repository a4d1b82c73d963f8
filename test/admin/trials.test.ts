/** Trying a client from its page at the console: every claim explained, no token shown, and nobody else's trial to be had. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { openConsole, problemsOf } from '../support/desk.ts';
import { newSignedInVisitor, registerClient, startGapura, type TestGapura } from '../support/gapura.ts';
import { findForm, type HttpVisitor } from '../support/http.ts';

let gapura: TestGapura;
let admin: HttpVisitor;

beforeAll(async () => {
  gapura = await startGapura();
  admin = await openConsole(gapura, 'admin');
  await registerClient(gapura, 'coba', { metadata: { scope: 'openid profile email' } });
});

afterAll(() => gapura.stop());

const tryOut = async (client_id: string, values: Record<string, string> = {}, who = admin) =>
  who.submit(await who.get(`/admin/clients/${client_id}/trial`), values);

test('the form begins with what the client may ask for, and the page explains each claim without a token', async () => {
  const form = await admin.get('/admin/clients/coba/trial');
  expect(findForm(form.body).fields.trial_scope).toBe('openid profile email');
  const page = await admin.submit(form);
  expect([page.status, page.url.pathname]).toEqual([200, '/admin/trials/callback']);
  for (const text of [
    'Token Akses',
    'Token Identitas',
    'Jawaban Userinfo',
    'siapa orangnya',
    'preferred_username',
    '15 menit',
  ])
    expect([text, page.body.includes(text)]).toEqual([text, true]);
  expect(page.body).not.toMatch(/eyJ[\w-]{10}/);
  expect(page.body).toContain('href="/admin/clients/coba"');
  // The admin of the demonstration has no fax: said, and not left out without a word.
  expect(page.body).toContain('<code>fax_number</code>');
});

test('the address of a finished trial shows nothing again, and a strange one nothing at all', async () => {
  const page = await tryOut('coba');
  const again = await admin.get(page.trail.at(-1) ?? '');
  expect([again.status, again.body.includes('Percobaan Sudah Berakhir')]).toEqual([409, true]);
  for (const query of ['', '?state=x&code=y', '?state=a&state=b', '?error=access_denied', '?state=%00'])
    expect([query, (await admin.get(`/admin/trials/callback${query}`)).status]).toEqual([
      query,
      query.includes('%00') ? 400 : 409,
    ]);
  expect((await admin.post('/admin/trials/callback', { state: 'x', code: 'y' })).status).toBe(409);
});

test('what is asked for beyond the registration is refused in plain words', async () => {
  const page = await tryOut('coba', { trial_scope: 'openid phone' });
  expect([page.status, page.body.includes('Percobaan Ditolak')]).toEqual([200, true]);
  expect(page.body).toContain('<code>phone</code>');
});

test.each([
  ['nothing', ''],
  ['what is unknown', 'apa-saja'],
  ['only what the client may not have', 'phone admin:write'],
])('a request for %s is refused beside its field, before any page', async (_what, trial_scope) => {
  await registerClient(gapura, 'tanpa-data', { first_party: false, metadata: { scope: 'openid email' } });
  const page = await tryOut('tanpa-data', { trial_scope });
  expect([page.status, problemsOf(page)]).toEqual([422, [expect.stringContaining('openid email')]]);
  expect(page.body).toContain('href="#trial_scope"');
});

test('prompt=none says that it is forbidden to ask', async () => {
  await registerClient(gapura, 'bertanya', { first_party: false, metadata: { scope: 'openid profile' } });
  const page = await tryOut('bertanya', { trial_prompt: 'none' });
  expect(page.body).toContain('prompt=none melarang kami bertanya');
  expect((await tryOut('bertanya', { trial_prompt: 'apa saja' })).status).toBe(422);
});

test('a client that posts its answers comes back by a form that sends itself', async () => {
  await registerClient(gapura, 'formulir', { metadata: { scope: 'openid', response_modes: ['form_post'] } });
  const forward = await tryOut('formulir');
  const page = await admin.submit(forward);
  expect([page.status, page.url.pathname]).toEqual([200, '/admin/trials/callback']);
  expect(page.body).toContain('Hasil Percobaan');
});

test('a service is tried at once, and what cannot be tried says why', async () => {
  await registerClient(gapura, 'layanan-uji', {
    metadata: { grant_types: ['client_credentials'], redirect_uris: [], response_types: [], scope: 'openid' },
  });
  const page = await tryOut('layanan-uji', { trial_scope: '' });
  expect([page.status, page.body.includes('Token Akses')]).toEqual([200, true]);
  await registerClient(gapura, 'pecahan', { metadata: { response_modes: ['fragment'] } });
  const refused = await tryOut('pecahan');
  expect([refused.status, problemsOf(refused).length]).toEqual([422, 1]);
});

test('another person cannot finish it, and Tono has no such page', async () => {
  const begun = await admin.submit(await admin.get('/admin/clients/coba/trial'));
  const petugas = await openConsole(gapura, 'petugas');
  expect((await petugas.get(begun.trail.at(-1) ?? '')).status).toBe(409);
  const tono = await newSignedInVisitor(gapura.url, 'tono');
  expect((await tono.get('/admin/trials/callback?state=x')).status).toBe(403);
});
