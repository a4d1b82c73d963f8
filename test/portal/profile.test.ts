/** The profile: every field of document D's screen D7, of the person who looks and nobody else. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { readFacts } from '../support/facts.ts';
import { newSignedInVisitor, startGapura, type TestGapura } from '../support/gapura.ts';

let gapura: TestGapura;

beforeAll(async () => {
  gapura = await startGapura();
});

afterAll(() => gapura.stop());

async function readProfile(identifier: string, query = ''): Promise<string> {
  return (await (await newSignedInVisitor(gapura.url, identifier)).get(`/portal/profile${query}`)).body;
}

async function setExpiry(full_name: string, expires_at: Date | null): Promise<void> {
  await gapura.db.updateTable('accounts').set({ expires_at }).where('full_name', '=', full_name).execute();
}

test('shows every field of company and user', async () => {
  // 18:00 UTC on the last day of August is September in Jakarta.
  await setExpiry('Budi Contoh Santoso', new Date('2027-08-31T18:00:00Z'));
  const body = await readProfile('budi');
  expect(body).toContain('<h2 id="organisation">Data Perusahaan</h2>');
  expect(body).toContain('<h2 id="user">Data User</h2>');
  expect(readFacts(body)).toEqual({
    organisation: {
      'Nama Perusahaan': 'PT Contoh Pangan Nusantara',
      'Alamat Perusahaan': 'Jalan Contoh Raya Nomor 1, Kelurahan Pintu Air',
      NPWP: '00.000.101.6-000.000',
      NIB: '0000000000101',
      'EDI Number': 'EDI-CPN-0101',
      'SRP / NIK Kepabeanan': '001010',
      Telepon: '(021) 5000-101',
      Fax: '(021) 5000-191',
    },
    user: {
      'Nama Lengkap': 'Budi Contoh Santoso',
      'User Login': 'budi',
      Alamat: 'Jalan Melati Contoh Nomor 5',
      Telepon: '(021) 5000-111',
      'Nomor Handphone': '+6281200000101 [Terverifikasi]',
      Fax: '(021) 5000-112',
      'Kode Pos': '12110',
      Kota: 'Jakarta Selatan',
      Email: 'budi@contoh.example [Terverifikasi]',
      'Berlaku sampai (Expiry)': '1 September 2027',
    },
  });
});

test('names every field in English too', async () => {
  const { organisation, user } = readFacts(await readProfile('budi', '?lang=en'));
  expect(Object.keys(organisation ?? {})).toHaveLength(8);
  expect(Object.keys(user ?? {})).toHaveLength(10);
  for (const name of ['Nama Perusahaan', 'Alamat', 'Telepon', 'Kota', 'Kode Pos'])
    expect({ ...organisation, ...user }).not.toHaveProperty([name]);
});

test('shows Tono his own, says what is empty, and shows nothing of Budi’s', async () => {
  const body = await readProfile('tono');
  expect(readFacts(body)).toMatchObject({
    organisation: {
      'Nama Perusahaan': 'PT Contoh Kosmetika Jaya',
      NPWP: '00.000.102.4-000.000',
      'EDI Number': 'EDI-CKJ-0102',
      Fax: 'tidak diisi',
    },
    user: {
      'Nama Lengkap': 'Tono Contoh Prasetyo',
      'User Login': 'tono',
      Alamat: 'tidak diisi',
      Telepon: 'tidak diisi',
      'Kode Pos': 'tidak diisi',
      Kota: 'Surabaya',
      Email: 'tono@contoh.example [Terverifikasi]',
      'Berlaku sampai (Expiry)': 'Tanpa batas waktu',
    },
  });
  expect(body).not.toMatch(/budi|Contoh Pangan|101\.6|0101\b|Melati|5000-1[19]1/i);
});

test('takes nobody else’s id from the address', async () => {
  const { account_id } = await gapura.db
    .selectFrom('account_identifiers')
    .select('account_id')
    .where('canonical', '=', 'budi')
    .executeTakeFirstOrThrow();
  const body = await readProfile('tono', `?account_id=${account_id}&id=${account_id}&sub=${account_id}&username=budi`);
  expect(readFacts(body).user).toMatchObject({ 'User Login': 'tono' });
  const tono = await newSignedInVisitor(gapura.url, 'tono');
  expect((await tono.get(`/portal/profile/${account_id}`)).status).toBe(404);
});

test('says when an address is not verified, and shows somebody without a company', async () => {
  await gapura.db
    .updateTable('accounts')
    .set({ email_verified: false, mobile_number_verified: false })
    .where('full_name', '=', 'Admin Contoh Nugroho')
    .execute();
  const body = await readProfile('admin');
  expect(readFacts(body).user).toMatchObject({
    Email: 'admin@contoh.example [Belum diverifikasi]',
    'Nomor Handphone': '+6281200000106',
  });
  expect(body).toContain('Akun Anda belum terhubung dengan perusahaan.');
});
