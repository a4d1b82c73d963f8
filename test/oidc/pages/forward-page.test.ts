/** Pages that send a form on by themselves: in our words, with a button, under our policy. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Browser, openBrowser } from '../../support/browser.ts';
import {
  demo_password,
  newSignedInVisitor,
  registerClient,
  startGapura,
  type TestGapura,
} from '../../support/gapura.ts';
import { findForm, newHttpVisitor } from '../../support/http.ts';
import { openParty, type TestParty } from '../../support/relying-party.ts';

let gapura: TestGapura;
let party: TestParty;
let browser: Browser;

beforeAll(async () => {
  gapura = await startGapura();
  party = await openParty(gapura.config.issuer, await registerClient(gapura, 'kirim'));
  browser = await openBrowser();
});

afterAll(async () => {
  await browser?.close();
  await gapura?.stop();
});

test('an answer by form_post is a page with a button, and its policy names the application alone', async () => {
  const visitor = await newSignedInVisitor(gapura.url, 'sari');
  const { address, checks } = await party.begin({ response_mode: 'form_post' });
  const page = await visitor.get(address);
  expect(page.status).toBe(200);
  expect(page.body).toMatch(/<button id="submit" type="submit">Lanjutkan<\/button>/);
  expect(page.body).not.toMatch(/<script>|Submitting Callback/);
  const form = findForm(page.body, 'forward');
  expect(form.action).toBe(party.redirect_uri);
  const returned = new URL(`${party.redirect_uri}?${new URLSearchParams(form.fields)}`);
  expect((await party.redeem(returned, checks)).claims()).toMatchObject({ aud: 'kirim' });
  const policy = page.headers.get('content-security-policy') ?? '';
  expect(policy).toContain(`form-action 'self' ${new URL(party.redirect_uri).origin};`);
  expect(policy).not.toContain('sha256-');
});

test('an error by form_post keeps its status and what the application sent', async () => {
  const { address } = await party.begin({ response_mode: 'form_post', prompt: 'none', state: '"><b>&amp;' });
  const page = await newHttpVisitor(gapura.url).get(address);
  expect(page.status).toBe(400);
  expect(findForm(page.body, 'forward').fields).toMatchObject({ error: 'login_required', state: '"><b>&amp;' });
});

test.each([
  ['with scripts', true],
  ['without scripts', false],
])('%s, somebody else signs in over a session: the first one is out, the second is in', async (_name, scripts) => {
  const { page, close } = await browser.newVisitor({ scripts });
  await page.goto(`${gapura.url}/portal`);
  await page.fill('#identifier', 'sari');
  await page.fill('#password', demo_password);
  await page.click('#submit');
  await page.goto(
    `${gapura.config.issuer}/auth?client_id=portal&response_type=none&scope=openid&prompt=login&redirect_uri=${gapura.url}/portal/entry`,
  );
  await page.fill('#identifier', 'tono');
  await page.fill('#password', demo_password);
  await page.click('#submit');
  if (!scripts) await page.click('#submit');
  await page.waitForURL(`${gapura.url}/portal`);
  expect(await page.locator('body').innerText()).toMatch(/tono \[Importir\]/);
  await close();
});

test.each([
  ['with scripts', true],
  ['without scripts', false],
])('%s, it leads back to an application on another origin, whoever signs in over whom', async (_name, scripts) => {
  const application = createServer((_req, res) => res.setHeader('content-type', 'text/html').end('<h1>kembali</h1>'));
  await new Promise<void>((done) => application.listen(0, '127.0.0.1', done));
  const { port } = application.address() as AddressInfo;
  const origin = `http://localhost:${port}`;
  const client = await registerClient(gapura, `lain-${scripts}`, {
    metadata: { redirect_uris: [`${origin}/callback`], post_logout_redirect_uris: [`${origin}/selesai`] },
  });
  const other = await openParty(gapura.config.issuer, { ...client, redirect_uri: `${origin}/callback` });
  const { page, close } = await browser.newVisitor({ scripts });
  const signIn = async (identifier: string, parameters = {}) => {
    await page.goto((await other.begin(parameters)).address);
    await page.fill('#identifier', identifier);
    await page.fill('#password', demo_password);
    await page.click('#submit');
  };
  await signIn('sari');
  await page.waitForURL(`${origin}/callback?**`);
  await signIn('tono', { prompt: 'login' });
  if (!scripts) await page.click('#submit');
  await page.waitForURL(`${origin}/callback?**`);
  // A sign-out where no session is left goes the same way.
  await page.context().clearCookies();
  await page.goto(
    `${gapura.config.issuer}/session/end?client_id=${client.client_id}&post_logout_redirect_uri=${origin}/selesai`,
  );
  if (!scripts) await page.click('#submit');
  await page.waitForURL(`${origin}/selesai`);
  await close();
  application.close();
});

test.each(['127.0.0.1', 'localhost', '[::1]'])(
  'a native application that listens on a port of its own at %s gets its answer',
  async (host) => {
    const seen: string[] = [];
    const application = createServer((req, res) => {
      seen.push(String(req.url));
      res.setHeader('content-type', 'text/html').end('<h1>kembali</h1>');
    });
    const bound = host === '[::1]' ? '::1' : '127.0.0.1';
    const has_address = await new Promise<boolean>((resolve) => {
      application.once('error', () => resolve(false)).listen(0, bound, () => resolve(true));
    });
    // Some machines have no IPv6 address of their own; the header is looked at there all the same.
    const port = has_address ? (application.address() as AddressInfo).port : 9;
    const id = `asli-${host.replace(/\W+/g, '')}`;
    await registerClient(gapura, id, {
      metadata: {
        application_type: 'native',
        token_endpoint_auth_method: 'none',
        redirect_uris: [`http://${host}/cb`],
        grant_types: ['authorization_code'],
      },
    });
    const returns = `http://${host}:${port}/cb`;
    const { address } = await (
      await openParty(
        gapura.config.issuer,
        { client_id: id, client_secret: undefined, redirect_uri: returns },
        'openid',
      )
    ).begin();
    const { page, close } = await browser.newVisitor();
    const opened = await page.goto(address);
    expect(await opened?.headerValue('content-security-policy')).toContain(
      host === '[::1]' ? ' http:' : `http://${host}:${port}`,
    );
    await page.fill('#identifier', 'sari');
    await page.fill('#password', demo_password);
    await page.click('#submit');
    await page.waitForSelector('#allow');
    if (has_address) {
      await Promise.all([page.waitForURL(`${returns}**`), page.click('#allow')]);
      expect(seen.some((url) => url.startsWith('/cb?code='))).toBe(true);
    }
    await close();
    application.close();
  },
);
