/** Ubah Kata Sandi: whom to turn to until it can be done here. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { newSignedInVisitor, startGapura, type TestGapura } from '../support/gapura.ts';

let gapura: TestGapura;

beforeAll(async () => {
  gapura = await startGapura();
});

afterAll(() => gapura.stop());

test('says whom to turn to with what, how long it takes, and leads back', async () => {
  const visitor = await newSignedInVisitor(gapura.url, 'budi');
  const { status, body } = await visitor.get('/portal/credentials');
  expect(status).toBe(200);
  expect(body).toContain('<h1>Ubah Kata Sandi</h1>');
  expect(body).toContain('Nama pengguna Anda: budi');
  expect(body).toContain('satu hari kerja');
  expect(body).toContain('Kami tidak pernah meminta kata sandi Anda.');
  const main = body.slice(body.indexOf('<main'), body.indexOf('</main>'));
  for (const contact of ['Service Desk Gapura', 'mailto:layanan@gapura.example', 'tel:0215000000'])
    expect(main).toContain(contact);
  expect(main).not.toContain('<form');
  expect(main).toMatch(/<a class="button[^"]*" href="\/portal">/);
});

test('takes no form yet', async () => {
  const visitor = await newSignedInVisitor(gapura.url, 'budi');
  const { status, headers } = await visitor.post('/portal/credentials', { new_password: 'x' }, { follow: false });
  expect([status, headers.get('allow')]).toEqual([405, 'HEAD, GET']);
});
