/** Consent in a real browser: e-BPOM, as if it were of others, asks once, is allowed, and asks again when Budi withdrew. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Browser, clickAndSettle, expectNoAxeViolations, expectQuiet } from '../support/browser.ts';
import { type DemoProcess, openStage, type Stage, signInAt, textOf } from '../support/demo.ts';

let stage: Stage;
let browser: Browser;
let demo: DemoProcess;

beforeAll(async () => {
  stage = await openStage();
  ({ browser, demo } = stage);
  await stage.database.db.updateTable('clients').set({ first_party: false }).where('id', '=', 'e-bpom').execute();
});

afterAll(() => stage?.close());

test.each([
  ['with scripts', true, 1280],
  ['without scripts, on a small screen', false, 320],
])('%s', async (_name, scripts, width) => {
  const { page, close } = await browser.newVisitor({ scripts, width });
  const fits = async () => {
    if (!scripts) return;
    await expectNoAxeViolations(page);
    await page.setViewportSize({ width: 320, height: 900 });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(320);
    await page.setViewportSize({ width, height: 900 });
  };

  await page.goto(demo.e_bpom);
  await page.getByText('Login', { exact: true }).click();
  await signInAt(page, 'tono');
  await page.waitForSelector('#allow');
  expect(await textOf(page)).toMatch(/Persetujuan .*e-BPOM meminta izin .*Tono Contoh Prasetyo \(tono\)/);
  await fits();

  await page.focus('#deny');
  await Promise.all([page.waitForURL(`${demo.e_bpom}/**`), page.keyboard.press('Enter')]);
  expect(await textOf(page)).not.toContain('Selamat Datang, Tono');

  await page.goto(demo.e_bpom);
  await page.getByText('Login', { exact: true }).click();
  await clickAndSettle(page, '#allow');
  expect(await textOf(page)).toContain('Selamat Datang, Tono');

  await page.goto(`${demo.gapura}/portal/consents`);
  expect(await textOf(page)).toMatch(/Izin Aplikasi .*e-BPOM .*Diizinkan sejak/);
  await fits();
  await clickAndSettle(page, 'section button');
  expect(await textOf(page)).toContain('Izin dicabut.');
  expectQuiet(page);
  await close();

  const again = await browser.newVisitor({ scripts, width });
  await again.page.goto(demo.e_bpom);
  await again.page.getByText('Login', { exact: true }).click();
  await signInAt(again.page, 'tono');
  await again.page.waitForSelector('#allow');
  await again.close();
});
