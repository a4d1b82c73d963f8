/** The human check in a real browser: a script does the work, a person without scripts reads a picture or a mail. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { type Browser, clickAndSettle, expectNoAxeViolations, expectQuiet, openBrowser } from '../support/browser.ts';
import { demo_password, startGapura, type TestGapura } from '../support/gapura.ts';
import { lettersOf, readMailedCode } from '../support/human-check.ts';
import { setTestPolicy } from '../support/policy.ts';

let gapura: TestGapura;
let browser: Browser;

beforeAll(async () => {
  [gapura, browser] = [await startGapura(), await openBrowser()];
});

afterEach(async () => {
  for (const table of ['limits', 'human_checks', 'mails'] as const) await gapura.db.deleteFrom(table).execute();
});

afterAll(async () => {
  await browser.close();
  await gapura.stop();
});

async function signInAt(page: Page, password: string, more: Record<string, string> = {}): Promise<void> {
  await page.fill('#identifier', 'budi');
  await page.fill('#password', password);
  for (const [selector, value] of Object.entries(more)) await page.fill(selector, value);
  await clickAndSettle(page, '#submit');
}

/** Fails until the page asks. */
async function beAsked(page: Page): Promise<void> {
  await page.goto(`${gapura.url}/portal`);
  for (let at = 0; at < 3; at += 1) await signInAt(page, 'salah');
}

const idOn = (page: Page) => page.locator('[name="captcha_id"]').inputValue();
const isWide = (page: Page) => page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);

describe('with scripts', () => {
  test('the browser does the work by itself, and the person only signs in', async () => {
    const { page, close } = await browser.newVisitor();
    await beAsked(page);
    await page.getByText('Pemeriksaan keamanan selesai.').waitFor();
    expect(await page.locator('.captcha').isVisible()).toBe(false);
    expect(await page.locator('#captcha').isVisible()).toBe(false);
    await expectNoAxeViolations(page);
    await signInAt(page, demo_password);
    expect(new URL(page.url()).pathname).toBe('/portal');
    expectQuiet(page);
    await close();
  });

  test('who is quicker than the work waits for it, and gets in', async () => {
    const { page, close } = await browser.newVisitor({ language: 'en' });
    await setTestPolicy(gapura.db, 'human_check.work', 14);
    await beAsked(page);
    await page.evaluate((password) => {
      (document.querySelector('#identifier') as HTMLInputElement).value = 'budi';
      (document.querySelector('#password') as HTMLInputElement).value = password;
      (document.querySelector('#submit') as HTMLButtonElement).click();
    }, demo_password);
    await page.waitForURL(`${gapura.url}/portal`);
    await setTestPolicy(gapura.db, 'human_check.work', 13);
    expectQuiet(page);
    await close();
  });

  test('who gives up in the meantime is not held back', async () => {
    const { page, close } = await browser.newVisitor();
    await page.addInitScript(() => {
      globalThis.crypto.subtle.digest = () => new Promise(() => undefined);
    });
    await beAsked(page);
    expect(await page.locator('#captcha').isVisible()).toBe(false);
    await clickAndSettle(page, '#cancel');
    expect(new URL(page.url()).pathname).not.toMatch(/^\/interaction/);
    await close();
  });

  test('a browser that cannot hash shows the picture', async () => {
    const { page, close } = await browser.newVisitor();
    await page.addInitScript(() => Object.defineProperty(globalThis.crypto, 'subtle', { value: undefined }));
    await beAsked(page);
    expect(await page.locator('.captcha').isVisible()).toBe(true);
    await expectNoAxeViolations(page);
    await signInAt(page, demo_password, { '#captcha': lettersOf(gapura.config, await idOn(page)) });
    expect(new URL(page.url()).pathname).toBe('/portal');
    await close();
  });
});

describe.each([
  ['id', 'Ganti Gambar', 'Kode keamanan tidak sesuai.'],
  ['en', 'New picture', 'The security code does not match.'],
] as const)('without scripts, at 320 pixels, in %s', (language, refresh, wrong) => {
  test('the picture is seen whole, can be changed, and its letters let in', async () => {
    const { page, close } = await browser.newVisitor({ scripts: false, width: 320, language });
    await page.goto(`${gapura.url}/?lang=${language}`);
    await beAsked(page);
    const picture = page.locator('.captcha');
    const [box, natural] = [await picture.boundingBox(), await picture.getAttribute('width')];
    expect(box?.width).toBeGreaterThan(200);
    expect(box?.width).toBeLessThanOrEqual(Number(natural));
    const first = await idOn(page);
    await page.fill('#password', 'rahasia');
    await page.getByRole('button', { name: refresh }).click();
    expect(await idOn(page)).not.toBe(first);
    expect(await page.inputValue('#identifier')).toBe('budi');
    expect(await page.inputValue('#password')).toBe('');
    await signInAt(page, demo_password, { '#captcha': 'SALAH' });
    expect(await page.locator('#captcha-error').textContent()).toContain(wrong);
    await page.fill('#password', demo_password);
    await page.fill('#captcha', lettersOf(gapura.config, await idOn(page)));
    // Enter sends the form and presses none of the check's own buttons.
    await Promise.all([page.waitForNavigation(), page.press('#captcha', 'Enter')]);
    expect(new URL(page.url()).pathname).toBe('/portal');
    expectQuiet(page);
    await close();
  });

  test('a code by mail lets in who cannot read the picture', async () => {
    const { page, close } = await browser.newVisitor({ scripts: false, width: 320, language });
    await page.goto(`${gapura.url}/?lang=${language}`);
    await beAsked(page);
    await clickAndSettle(page, '#mail');
    expect(await page.locator('.captcha').count()).toBe(0);
    const captcha = (await readMailedCode(gapura.db, gapura.config)) ?? '';
    await signInAt(page, demo_password, { '#captcha': captcha });
    expect(new URL(page.url()).pathname).toBe('/portal');
    await close();
  });
});

test.each(['id', 'en'] as const)('no state of the page breaks accessibility or the width, in %s', async (language) => {
  const { page, close } = await browser.newVisitor({ width: 320, language });
  await page.addInitScript(() => Object.defineProperty(globalThis.crypto, 'subtle', { value: undefined }));
  await page.goto(`${gapura.url}/?lang=${language}`);
  await beAsked(page);
  const look = async () => {
    expect(await isWide(page)).toBe(false);
    await expectNoAxeViolations(page);
  };
  await look();
  await signInAt(page, demo_password, { '#captcha': 'SALAH' });
  await look();
  await clickAndSettle(page, '#mail');
  expect(await page.evaluate(() => document.activeElement?.id)).toBe('captcha');
  await look();
  await close();
});
