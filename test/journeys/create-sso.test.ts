/** Create SSO in a real browser: Budi proves both of his user names, e-BPOM follows the directorate, and an unplugged e-BPOM holds nobody up. */

import { createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import type { Page } from 'playwright-core';
import { e_bpom_password } from '../../src/demo/people.ts';
import { type Browser, expectNoAxeViolations, expectQuiet } from '../support/browser.ts';
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

async function link(page: Page, username: string, password = e_bpom_password): Promise<void> {
  await page.goto(`${demo.gapura}/portal/applications/e-bpom/link`);
  await page.fill('#username', username);
  await page.fill('#password', password);
  await page.click('#submit');
}

async function openEBpom(page: Page, directorate: string): Promise<string> {
  await page.goto(demo.e_bpom);
  await page.getByText(/^(Login|Pilih Direktorat)$/).click();
  await page.selectOption('#directorate', { label: directorate });
  await page.click('#submit');
  return textOf(page);
}

test.each([
  ['with scripts', true, 'budi'],
  ['without scripts', false, 'budi'],
])(
  '%s: both user names are proven, e-BPOM shows the one of the chosen directorate, and nothing after its removal',
  async (_name, scripts, who) => {
    const { page, close } = await browser.newVisitor({ scripts, ...(scripts ? {} : { width: 320 }) });
    await page.goto(`${demo.gapura}/portal`);
    await signInAt(page, who);
    await page.goto(`${demo.gapura}/portal/applications`);
    expect(await textOf(page)).toMatch(/CargoLink.*Belum didukung.*e-BPOM.*Belum teregistrasi.*Data 1 - 3 dari 3/s);
    if (scripts) await expectNoAxeViolations(page);

    await link(page, 'user_bpom', 'bukan kata sandinya');
    expect(await textOf(page)).toContain('Nama pengguna atau kata sandi aplikasi e-BPOM tidak sesuai');
    await link(page, 'user_bpom');
    await link(page, 'user_bpom_ot');
    expect(await textOf(page)).toMatch(/user_bpom.*user_bpom_ot/s);
    if (scripts) await expectNoAxeViolations(page);
    await page.goto(`${demo.gapura}/portal/applications`);
    expect(await textOf(page)).toMatch(/e-BPOM.*Sudah teregistrasi.*2/s);

    expect(await openEBpom(page, food)).toMatch(/Pengguna e-BPOM user_bpom(?!_)/);
    expect(await openEBpom(page, medicine)).toContain('Pengguna e-BPOM user_bpom_ot');

    for (const _ of [1, 2]) {
      await page.goto(`${demo.gapura}/portal/applications/e-bpom`);
      await page.locator('a[href*="removal"]').first().click();
      await page.click('#submit');
    }
    expect(await openEBpom(page, food)).not.toContain('Pengguna e-BPOM');
    await page.goto(`${demo.inbox}/inbox`);
    expect(await textOf(page)).toMatch(/dilepas.*terhubung|dilepas.*dihubungkan/s);
    expectQuiet(page);
    await close();
  },
);

test('with its endpoint unplugged or dumb, e-BPOM is told about clearly, and every other page is as quick as before', async () => {
  const { page, close } = await browser.newVisitor();
  await page.goto(`${demo.gapura}/portal`);
  await signInAt(page, 'tono');
  const sockets: Socket[] = [];
  const dumb: Server = createServer((socket) => void sockets.push(socket.on('error', () => undefined)));
  await new Promise<void>((done) => dumb.listen(0, '127.0.0.1', done));
  const address = dumb.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const plug = (at: number) =>
    sql`UPDATE applications SET verifier_settings = verifier_settings || ${JSON.stringify({
      endpoint: `http://localhost:${at}/gapura/verification`,
      timeout: 800,
      private_hosts: [`localhost:${at}`],
    })}::jsonb WHERE id = 'e-bpom'`.execute(database.db);

  await plug(port);
  const waiting = link(page, 'tono_bpom');
  // Somebody else signs in while the call hangs.
  const other = await browser.newVisitor();
  await other.page.goto(`${demo.gapura}/portal`);
  await signInAt(other.page, 'sari');
  expect(await textOf(other.page)).toContain('sari');
  await waiting;
  expect(await textOf(page)).toContain('terlalu lama menjawab');

  dumb.close();
  for (const socket of sockets) socket.destroy();
  await plug(9);
  const said: string[] = [];
  for (let tries = 0; tries < 6; tries++) {
    await link(page, `tono_bpom_${tries}`);
    said.push(await textOf(page));
  }
  expect(said[0]).toContain('tidak dapat dihubungi');
  // After some calls without an answer nobody waits for it any more.
  expect(said.at(-1)).toContain('kami menunggu sebentar');
  await page.goto(demo.e_bpom);
  await page.getByText('Login', { exact: true }).click();
  expect(await textOf(page)).toContain('Selamat Datang, Tono');
  await other.close();
  await close();
});
