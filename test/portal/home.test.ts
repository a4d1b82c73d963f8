/** The portal's first page: every field of document D's screen D2, of the person who looks and nobody else. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { moveClock, resetClock } from '../support/clock.ts';
import { readFacts, readText } from '../support/facts.ts';
import { newSignedInVisitor, startGapura, type TestGapura } from '../support/gapura.ts';
import { findAccountId } from '../support/nodes.ts';

let gapura: TestGapura;

beforeAll(async () => {
  gapura = await startGapura();
});

afterAll(() => gapura.stop());

test('shows organisation and user', async () => {
  const { body } = await (await newSignedInVisitor(gapura.url, 'budi')).get('/portal');
  expect(readFacts(body)).toEqual({
    organisation: {
      Nama: 'PT Contoh Pangan Nusantara',
      NPWP: '00.000.101.6-000.000',
      Alamat: 'Jalan Contoh Raya Nomor 1, Kelurahan Pintu Air',
      Departemen: 'Impor Pangan Olahan dan Obat Tradisional',
    },
    user: {
      'User Login': 'budi',
      'Nama Lengkap': 'Budi Contoh Santoso',
      Alamat: 'Jalan Melati Contoh Nomor 5',
    },
  });
  expect(body).toContain('<strong>budi</strong> [Importir]');
  expect(body).toMatch(/<a class="button[^"]*" href="\/portal\/sign-out">Keluar<\/a>/);
});

test('shows the date in the person’s zone with the zone’s name', async () => {
  const visitor = await newSignedInVisitor(gapura.url, 'budi');
  // 17:30 UTC is past midnight in Jakarta: the day is the next one.
  const at = Date.UTC(2027, 2, 4, 17, 30, 20);
  await moveClock(gapura.db, (at - Date.now()) / 1000);
  try {
    const later = await newSignedInVisitor(gapura.url, 'budi');
    expect((await later.get('/portal')).body).toContain('>Jumat, 05 Maret 2027 pukul 00.30 WIB</time>');
    expect((await later.get('/portal?lang=en')).body).toMatch(/>Friday,? 5 March 2027 at 00:30 WIB<\/time>/);
    // Long ended by then.
    expect((await visitor.get('/portal')).body).toContain('name="password"');
  } finally {
    await resetClock(gapura.db);
    // Counters that were written in the future.
    await gapura.db.deleteFrom('limits').execute();
  }
});

test('is complete in English', async () => {
  const visitor = await newSignedInVisitor(gapura.url, 'budi');
  const { body } = await visitor.get('/portal?lang=en');
  expect(body).toContain('<html lang="en">');
  expect(Object.keys(readFacts(body).organisation ?? {})).toEqual([
    'Name',
    'NPWP (tax number)',
    'Address',
    'Department',
  ]);
  expect(body).toContain('>Sign out</a>');
});

test('says what is empty, and what a person without an organisation can do', async () => {
  const tono = (await (await newSignedInVisitor(gapura.url, 'tono')).get('/portal')).body;
  expect(readFacts(tono).user).toMatchObject({ Alamat: 'tidak diisi' });
  const admin = (await (await newSignedInVisitor(gapura.url, 'admin')).get('/portal')).body;
  expect(readFacts(admin)).not.toHaveProperty('organisation.NPWP');
  expect(admin).toContain('Akun Anda belum terhubung dengan perusahaan.');
  expect(admin).toContain('<strong>admin</strong> [Administrator]');
});

test('warns of a password that ends, in its last fourteen days', async () => {
  const at = Date.UTC(2027, 2, 4, 3, 0, 0);
  await moveClock(gapura.db, (at - Date.now()) / 1000);
  const budi = await findAccountId(gapura, 'budi');
  const setEnd = (expires_at: Date | null) =>
    gapura.db.updateTable('passwords').set({ expires_at }).where('account_id', '=', budi).execute();
  try {
    const visitor = await newSignedInVisitor(gapura.url, 'budi');
    const warning = async (days: number, query = '') => {
      await setEnd(new Date(at + days * 86_400_000 + 3_600_000));
      return readText(/<p class="notice warn">.*?<\/p>/s.exec((await visitor.get(`/portal${query}`)).body)?.[0] ?? '');
    };
    expect(await warning(15)).toBe('');
    expect(await warning(14)).toBe('Kata sandi Anda akan berakhir dalam 14 hari (18 Maret 2027). Ganti kata sandi');
    expect(await warning(1, '?lang=en')).toBe('Your password ends on 5 March 2027. Days left: 1. Change the password');
    expect(await warning(0, '?lang=id')).toContain('berakhir hari ini (Kamis, 04 Maret 2027 pukul 11.00 WIB).');
  } finally {
    await setEnd(null);
    await resetClock(gapura.db);
    await gapura.db.deleteFrom('limits').execute();
  }
});

test('shows Tono his own and nothing of Budi’s', async () => {
  const { body } = await (await newSignedInVisitor(gapura.url, 'tono')).get('/portal');
  expect(readFacts(body)).toMatchObject({
    organisation: { Nama: 'PT Contoh Kosmetika Jaya', NPWP: '00.000.102.4-000.000' },
    user: { 'User Login': 'tono', 'Nama Lengkap': 'Tono Contoh Prasetyo' },
  });
  expect(body).not.toMatch(/budi|Contoh Pangan|101\.6|Melati/i);
});

test('shows what a person typed as text', async () => {
  const name = `<script>alert(1)</script> & "x" 'y'`;
  await gapura.db.updateTable('accounts').set({ address: name }).where('full_name', 'like', 'Sari%').execute();
  const { body } = await (await newSignedInVisitor(gapura.url, 'sari')).get('/portal');
  expect(body).not.toContain('<script>alert');
  expect(readFacts(body).user).toMatchObject({ Alamat: name });
});
