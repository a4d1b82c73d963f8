/** A newcomer's walk through the demonstration in a real browser: one sign-in, directorates, a second application, one sign-out. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { demo_password } from '../../src/demo/people.ts';
import {
  type Browser,
  expectNoAxeViolations,
  expectQuiet,
  type Visitor,
  type VisitorOptions,
} from '../support/browser.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { type DemoProcess, openStage, type Stage, signInAt, textOf } from '../support/demo.ts';
import type { TestDatabase } from '../support/postgres.ts';

let stage: Stage;
let browser: Browser;
let database: TestDatabase;
let demo: DemoProcess;

beforeAll(async () => {
  stage = await openStage();
  ({ browser, database, demo } = stage);
});

afterAll(() => stage?.close());

const food = 'Inspeksi dan Sertifikasi Produk Pangan';
const medicine = 'Inspeksi dan Sertifikasi Obat Tradisional, Kosmetik, dan Produk Komplemen';

async function withVisitor(
  options: VisitorOptions,
  walk: (page: Page, visitor: Visitor) => Promise<void>,
): Promise<void> {
  const visitor = await browser.newVisitor(options);
  try {
    await walk(visitor.page, visitor);
    expectQuiet(visitor.page);
  } finally {
    await visitor.close();
  }
}

/** Looks at the page as somebody who cannot see it, where scripts run. A narrow window has the dark colours of the wide one. */
async function look(page: Page, { scripts = true, width }: VisitorOptions): Promise<void> {
  if (scripts) await expectNoAxeViolations(page, width === undefined ? ['light', 'dark'] : ['light']);
  const room = page.viewportSize()?.width ?? 0;
  const needed = scripts ? await page.evaluate(() => document.documentElement.scrollWidth) : room;
  expect(needed).toBeLessThanOrEqual(room);
}

async function openEBpomAs(page: Page, identifier: string): Promise<void> {
  await page.goto(demo.e_bpom);
  await page.getByText('Login', { exact: true }).click();
  await signInAt(page, identifier);
}

describe.each<[string, VisitorOptions]>([
  ['with scripts', { scripts: true }],
  ['without scripts', { scripts: false }],
  ['on a narrow screen', { scripts: true, width: 320 }],
])('%s', (_name, options) => {
  test('Budi opens e-BPOM, chooses a directorate, changes it, opens Portal INSW and the portal, and signs out once', async () => {
    await withVisitor(options, async (page) => {
      // Screen D4.
      await page.goto(demo.e_bpom);
      await look(page, options);
      expect(await textOf(page)).toMatch(
        /BADAN POM.*Home.*About.*Help.*LOGIN.*Registrasi.*Lupa Password.*User Online : 0.*DIAGRAM ALIR E-LICENSING BPOM/s,
      );
      expect(await page.locator('ol li').count()).toBe(8);

      await page.getByText('Lupa Password').click();
      expect(page.url()).toContain(`${demo.gapura}/recovery`);
      await look(page, options);
      await page.getByText('Kembali ke e-BPOM').click();
      await page.getByText('Registrasi', { exact: true }).click();
      expect(page.url()).toContain(`${demo.gapura}/registration`);
      await look(page, options);
      await page.getByText('Kembali ke e-BPOM').click();

      // The sign-in, wrong at first.
      await page.getByText('Login', { exact: true }).click();
      await look(page, options);
      expect(await textOf(page)).toContain('untuk melanjutkan ke e-BPOM');
      await signInAt(page, 'budi', 'bukan kata sandinya');
      const wrong_password = await page.locator('main').innerText();
      await look(page, options);
      // Another nobody each time: failures of one name add up where no success ends them.
      const nobody = `siapakah-${options.width ?? 0}-${options.scripts ?? true}`;
      await signInAt(page, nobody, 'bukan kata sandinya');
      expect(await page.locator('main').innerText()).toBe(wrong_password);
      expect(wrong_password).toContain('Nama pengguna atau kata sandi salah');
      expect(await page.inputValue('#password')).toBe('');
      await signInAt(page, 'budi');

      // Screen D5.
      expect(await textOf(page)).toMatch(/Pilih Direktorat.*PT Contoh Pangan Nusantara/s);
      await look(page, options);
      await page.selectOption('#directorate', { label: food });
      await page.click('#submit');

      // Screen D6.
      expect(page.url()).toBe(`${demo.e_bpom}/`);
      await look(page, options);
      const d6 = await textOf(page);
      for (const words of [
        'Selamat Datang, Budi Contoh Santoso',
        'Anda Login sebagai Trader',
        'Keluar',
        'Ubah Password',
        'INBOX',
        'Pilih Dokumen Baru',
      ]) {
        expect(d6).toContain(words);
      }
      for (const folder of ['Inbox (5)', 'Direkomendasi (0)', 'Ditolak (5)', 'Terkirim (0)', 'Draft (36)'])
        expect(d6).toContain(folder);
      expect(d6).toContain(food);
      expect(d6).not.toContain(medicine);

      // Another directorate, without a new sign-in.
      await page.getByText('Pilih Direktorat', { exact: true }).click();
      expect(await page.locator('#password').count()).toBe(0);
      await page.selectOption('#directorate', { label: medicine });
      await page.click('#submit');
      expect(await textOf(page)).toContain(medicine);

      // Portal INSW, at once: screen D7, every field.
      await page.goto(demo.portal_insw);
      expect(page.url()).toBe(`${demo.portal_insw}/`);
      await look(page, options);
      const d7 = await textOf(page);
      for (const field of [
        'Selamat datang di Portal Aplikasi Indonesia National Single Window',
        'PT Contoh Pangan Nusantara',
        'Jalan Contoh Raya Nomor 1, Kelurahan Pintu Air',
        '00.000.101.6-000.000',
        'EDI-CPN-0101',
        '001010',
        'Budi Contoh Santoso',
        'budi',
        'Jalan Melati Contoh Nomor 5',
        '(021) 5000-111',
        '+6281200000101',
        '(021) 5000-112',
        '12110',
        'Jakarta Selatan',
        'budi@contoh.example',
      ]) {
        expect(d7).toContain(field);
      }
      expect(d7).toMatch(/Expiry \d\d [A-Z]+ 20\d\d/);

      // The portal: screen D2's cards.
      await page.goto(`${demo.gapura}/portal`);
      await look(page, options);
      const d2 = await textOf(page);
      expect(d2).toMatch(/budi \[Importir\]/);
      expect(d2).toMatch(/\d{4} pukul \d\d\.\d\d WIB/);
      for (const field of [
        'PT Contoh Pangan Nusantara',
        '00.000.101.6-000.000',
        'Impor Pangan Olahan',
        'Budi Contoh Santoso',
      ])
        expect(d2).toContain(field);
      await page.goto(`${demo.gapura}/portal/profile`);
      await look(page, options);
      expect(await textOf(page)).toContain('EDI-CPN-0101');

      // One sign-out closes all of them.
      await page.goto(demo.e_bpom);
      expect(await textOf(page)).toContain('Selamat Datang');
      await page.getByText('Keluar', { exact: true }).click();
      await look(page, options);
      expect(await textOf(page)).toMatch(/Keluar dari semua aplikasi\?.*e-BPOM.*Portal INSW/s);
      await page.click('#submit');
      expect(page.url()).toContain(`${demo.e_bpom}/signed-out`);
      await look(page, options);
      expect(await textOf(page)).toContain('Masuk kembali');

      await expectEnded(page, demo.portal_insw, 'diakhiri karena Anda keluar');
      await page.goto(`${demo.gapura}/portal`);
      expect(await page.locator('#password').count()).toBe(1);
    });
  });
});

/** The notice travels through the queue, so the page is asked for until it tells, or the test's time is over. */
async function expectEnded(page: Page, address: string, words: string): Promise<void> {
  for (;;) {
    await page.goto(address);
    if ((await textOf(page)).includes(words)) return;
  }
}

test('Tono, who has one directorate, is not asked; he sees his own company and nothing of Budi', async () => {
  await withVisitor({}, async (page) => {
    await openEBpomAs(page, 'tono');
    expect(page.url()).toBe(`${demo.e_bpom}/`);
    const seen = await textOf(page);
    expect(seen).toMatch(/Selamat Datang, Tono.*PT Contoh Kosmetika Jaya/s);
    await page.goto(demo.portal_insw);
    expect((await textOf(page)) + seen).not.toMatch(/Budi|Pangan Nusantara/);
  });
});

test('who has no user in any directorate gets an explanation and a way back to the application', async () => {
  await withVisitor({}, async (page) => {
    await openEBpomAs(page, 'layanan');
    expect(await textOf(page)).toMatch(/Belum ada direktorat untuk Anda.*Hubungi kami/s);
    await look(page, {});
    await page.click('#cancel');
    expect(page.url()).toContain(demo.e_bpom);
    expect(await textOf(page)).toContain('Masuk lagi');
  });
});

test('the other way round: Portal INSW first, then e-BPOM without a password', async () => {
  await withVisitor({ scripts: false }, async (page) => {
    await page.goto(demo.portal_insw);
    await signInAt(page, 'tono');
    expect(await textOf(page)).toContain('PT Contoh Kosmetika Jaya');
    await page.goto(demo.e_bpom);
    await page.getByText('Login', { exact: true }).click();
    expect(await textOf(page)).toContain('Selamat Datang, Tono');
  });
});

test('everything is there in English', async () => {
  await withVisitor({ language: 'en' }, async (page) => {
    await page.goto(demo.gapura);
    await look(page, {});
    await page.getByText('English').click();
    await look(page, {});
    await page.goto(`${demo.e_bpom}/?lang=en`);
    await look(page, {});
    await page.getByText('Login', { exact: true }).click();
    expect(await page.locator('html').getAttribute('lang')).toBe('en');
    expect(await textOf(page)).toContain('Sign in');
    await signInAt(page, 'budi', 'wrong');
    expect(await textOf(page)).toMatch(/user name or password is wrong/i);
    await signInAt(page, 'budi');
    expect(await textOf(page)).toContain('directorate');
    await look(page, {});
    await page.selectOption('#directorate', { label: 'Inspection and Certification of Food' });
    await page.click('#submit');
    await look(page, {});
    await page.goto(`${demo.gapura}/portal`);
    expect(await textOf(page)).toMatch(/WIB/);
    await look(page, {});
    await page.goto(`${demo.gapura}/portal/sign-out`);
    expect(await textOf(page)).toContain('Sign out');
    await page.getByText('Bahasa Indonesia').click();
    expect(await textOf(page)).toContain('Keluar');
    await page.click('#submit');
    await look(page, {});
    await page.getByText('Masuk', { exact: true }).click();
    expect(await page.locator('#password').count()).toBe(1);
  });
});

test('by keyboard alone', async () => {
  await withVisitor({}, async (page) => {
    await page.goto(`${demo.gapura}/portal`);
    const focused = () => page.evaluate(() => document.activeElement?.id ?? '');
    for (let presses = 0; (await focused()) !== 'identifier' && presses < 12; presses++)
      await page.keyboard.press('Tab');
    await page.keyboard.type('tono');
    for (let presses = 0; (await focused()) !== 'password' && presses < 4; presses++) await page.keyboard.press('Tab');
    await page.keyboard.type(demo_password);
    await Promise.all([page.waitForURL(`${demo.gapura}/portal`), page.keyboard.press('Enter')]);
    expect(await textOf(page)).toContain('tono [Importir]');
  });
});

describe('coming back', () => {
  test('the back button after a sign-in, and two tabs that sign in, end on pages with a way on', async () => {
    await withVisitor({ scripts: false }, async (page, { context }) => {
      const other = await context.newPage();
      for (const tab of [page, other]) {
        await tab.goto(demo.e_bpom);
        await tab.getByText('Login', { exact: true }).click();
      }
      await signInAt(page, 'tono');
      await signInAt(other, 'tono');
      for (const tab of [page, other]) expect(await textOf(tab)).toContain('Selamat Datang, Tono');
      const form = page.url();
      await page.goBack();
      await page.goForward();
      expect(page.url()).toBe(form);
    });
  });

  test('a finished sign-in page says so and leads back to the application', async () => {
    await withVisitor({}, async (page) => {
      await page.goto(demo.e_bpom);
      await page.getByText('Login', { exact: true }).click();
      const address = page.url();
      await signInAt(page, 'tono');
      expect(await textOf(page)).toContain('Selamat Datang');
      await page.goto(address);
      await look(page, {});
      await page.getByText('Kembali ke e-BPOM').click();
      expect(await textOf(page)).toContain('Selamat Datang, Tono');
    });
  });

  test('a sign-in page that is sent too late says so and leads back to the application', async () => {
    await withVisitor({}, async (page) => {
      await page.goto(demo.e_bpom);
      await page.getByText('Login', { exact: true }).click();
      await moveClock(database.db, 3700, [demo]);
      try {
        await signInAt(page, 'tono');
        expect(await textOf(page)).toMatch(/kedaluwarsa|tidak berlaku/);
        await look(page, {});
        await page.getByText('Kembali ke e-BPOM').click();
        expect(page.url()).toContain(demo.e_bpom);
      } finally {
        await resetClock(database.db, [demo]);
      }
    });
  });

  test.each([
    ['an unknown client', 'client_id=nobody&response_type=code&redirect_uri=http://localhost:1/'],
    ['a foreign return address', 'client_id=e-bpom&response_type=code&scope=openid&redirect_uri=http://evil.example/'],
    ['nothing at all', ''],
  ])('%s ends on a page with words and a way on', async (_name, query) => {
    await withVisitor({}, async (page) => {
      await page.goto(`${demo.gapura}/connect/auth?${query}`);
      expect(page.url()).toContain(demo.gapura);
      await look(page, {});
      await page.getByText('Masuk', { exact: true }).click();
      expect(await page.locator('#password').count()).toBe(1);
    });
  });
});
