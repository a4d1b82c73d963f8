/** A device without a keyboard is let in by a person at a telephone: the code, the question, the sign-in, the consent, the end. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Browser, clickAndSettle, expectNoAxeViolations, expectQuiet, openBrowser } from '../support/browser.ts';
import { demo_password, registerClient, startGapura, type TestGapura } from '../support/gapura.ts';

let gapura: TestGapura;
let browser: Browser;

beforeAll(async () => {
  [gapura, browser] = await Promise.all([startGapura(), openBrowser()]);
  await registerClient(gapura, 'layar', {
    metadata: {
      client_name: 'Layar Gudang',
      grant_types: ['urn:ietf:params:oauth:grant-type:device_code'],
      response_types: [],
      redirect_uris: [],
      token_endpoint_auth_method: 'none',
    },
  });
});

afterAll(async () => {
  await browser?.close();
  await gapura?.stop();
});

async function ask(path: string, form: Record<string, string>): Promise<Record<string, string>> {
  const response = await fetch(`${gapura.config.issuer}${path}`, { method: 'POST', body: new URLSearchParams(form) });
  return (await response.json()) as Record<string, string>;
}

test.each([
  [
    'with scripts, in Bahasa Indonesia',
    true,
    'id',
    ['Hubungkan perangkat', 'Apakah ini perangkat Anda?', 'Perangkat terhubung'],
  ],
  ['without scripts, in English', false, 'en', ['Connect a device', 'Is this your device?', 'Device connected']],
] as const)('%s, on a telephone', async (_name, scripts, language, [first, second, last]) => {
  const { device_code = '', user_code = '' } = await ask('/device/auth', {
    client_id: 'layar',
    scope: 'openid profile',
  });
  const { page, close } = await browser.newVisitor({ scripts, width: 320 });
  const shows = async (title: string) => {
    expect(await page.textContent('h1')).toBe(title);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(320);
    if (scripts) await expectNoAxeViolations(page);
  };

  await page.goto(`${gapura.url}/connect/device?lang=${language}`);
  await shows(first);
  await page.fill('#user_code', user_code.toLowerCase());
  await clickAndSettle(page, '#submit');
  await shows(second);
  expect(await page.textContent('#code')).toBe(user_code);
  await page.focus('#submit');
  await Promise.all([page.waitForURL('**/interaction/*'), page.keyboard.press('Enter')]);
  await page.fill('#identifier', 'budi');
  await page.fill('#password', demo_password);
  await clickAndSettle(page, '#submit');
  await page.waitForSelector('#allow');
  await clickAndSettle(page, '#allow');
  await shows(last);
  expectQuiet(page);
  await close();

  const { access_token } = await ask('/token', {
    client_id: 'layar',
    grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
    device_code,
  });
  expect(access_token).toBeDefined();
});
