/** The forgotten password: whom to turn to until a person gets back in alone, and the way back. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { newSignedInVisitor, registerClient, startGapura, type TestGapura } from '../support/gapura.ts';
import { newHttpVisitor } from '../support/http.ts';

let gapura: TestGapura;

const address = '/recovery';

beforeAll(async () => {
  gapura = await startGapura();
  await registerClient(gapura, 'aplikasi');
  await registerClient(gapura, 'tanpa-alamat', { metadata: { client_uri: undefined } });
});

afterAll(() => gapura.stop());

async function findWay(query: string) {
  const { status, body } = await newHttpVisitor(gapura.url).get(address + query);
  expect(status).toBe(200);
  const ways = [...body.matchAll(/<a class="button[^"]*" href="([^"]+)">([^<]+)/g)].map(([, href, label]) => [
    href,
    label,
  ]);
  expect(ways).toHaveLength(1);
  return ways[0];
}

test('says whom to turn to, what to have at hand and how long it takes', async () => {
  const { status, body } = await newHttpVisitor(gapura.url).get(address);
  expect(status).toBe(200);
  expect(body).toContain('<h1>Pemulihan Akun</h1>');
  const main = body.slice(body.indexOf('<main'), body.indexOf('</main>'));
  for (const text of [
    'Nama dan NPWP perusahaan',
    'Tanda pengenal',
    'satu hari kerja',
    'Kami tidak pernah meminta kata sandi Anda.',
  ])
    expect(main).toContain(text);
  for (const contact of ['Service Desk Gapura', 'mailto:layanan@gapura.example', 'tel:0215000000'])
    expect(main).toContain(contact);
  expect(main).not.toContain('<form');
});

test('is complete in English', async () => {
  const { body } = await newHttpVisitor(gapura.url).get(`${address}?lang=en`);
  expect(body).toContain('<html lang="en">');
  expect(body).not.toMatch(/Hubungi|petugas|satu hari kerja/);
});

describe('leads back', () => {
  test('to the application that sent the person', async () => {
    expect(await findWay('?client_id=aplikasi')).toEqual([
      'http://aplikasi.localhost:4999/',
      'Kembali ke Aplikasi aplikasi',
    ]);
    expect(await findWay('?client_id=portal')).toEqual([`${gapura.url}/portal`, 'Kembali ke Gapura']);
  });

  test.each([
    '',
    '?client_id=',
    '?client_id=tidak-ada',
    '?client_id=tanpa-alamat',
    '?client_id=aplikasi&client_id=aplikasi',
    '?client_id[]=aplikasi',
    '?client_id=__proto__',
    '?client_id=https%3A%2F%2Fjahat.example',
    `?client_id=${'a'.repeat(3000)}`,
    '?redirect_uri=https%3A%2F%2Fjahat.example&back=https%3A%2F%2Fjahat.example',
  ])('to the start page for "%.60s"', async (query) => {
    expect(await findWay(query)).toEqual(['/', 'Ke halaman awal']);
  });
});

test('is the same page for whoever is signed in', async () => {
  const visitor = await newSignedInVisitor(gapura.url, 'budi');
  const { body } = await visitor.get(address);
  expect(body).toBe((await newHttpVisitor(gapura.url).get(address)).body);
});
