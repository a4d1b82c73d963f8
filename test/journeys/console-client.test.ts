/** A client from nothing to a working sign-in, at the console alone: how much a person clicks and types, and what its end looks like. */

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { exportJWK, generateKeyPair } from 'jose';
import * as oidc from 'openid-client';
import type { Page } from 'playwright-core';
import { type Browser, clickAndSettle, expectNoAxeViolations, expectQuiet, openBrowser } from '../support/browser.ts';
import { addOfficer, openConsole, submitWell } from '../support/desk.ts';
import { demo_password, startGapura, type TestGapura } from '../support/gapura.ts';
import { newHttpVisitor } from '../support/http.ts';
import { authorize, openParty, type TestParty } from '../support/relying-party.ts';

/** From the console's first page until the secret is in the application's hands. */
const clicks_to_a_client = 5;
const fields_to_a_client = 3;

let gapura: TestGapura;
let browser: Browser;
let application: Server;
let origin: string;

// What the application knows: nothing before its administrator has copied the secret.
let party: TestParty;
let tokens: oidc.TokenEndpointResponse | undefined;

beforeAll(async () => {
  [gapura, browser] = await Promise.all([startGapura(), openBrowser()]);
  application = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', origin);
    response.setHeader('content-type', 'text/html; charset=utf-8');
    if (url.pathname === '/kembali') {
      tokens = await party.redeem(url, checks);
      const { sub } = (tokens as oidc.TokenEndpointResponseHelpers & typeof tokens).claims() ?? {};
      const person = await oidc.fetchUserInfo(party.configuration, tokens.access_token, sub ?? '');
      response.end(`<!doctype html><title>Aplikasi</title><p>Selamat datang, ${person.preferred_username}</p>`);
      return;
    }
    const begun = await party.begin();
    checks = begun.checks;
    response.writeHead(302, { location: begun.address }).end();
  });
  await new Promise<void>((done) => application.listen(0, '127.0.0.1', done));
  origin = `http://localhost:${(application.address() as AddressInfo).port}`;
});

let checks: oidc.AuthorizationCodeGrantChecks;

afterAll(async () => {
  await browser?.close();
  application?.closeAllConnections();
  application?.close();
  await gapura?.stop();
});

async function signIn(page: Page, identifier: string): Promise<void> {
  await page.fill('[name="identifier"]', identifier);
  await page.fill('[name="password"]', demo_password);
  await clickAndSettle(page, 'form button[type="submit"]');
}

async function expectFit(page: Page): Promise<void> {
  await expectNoAxeViolations(page);
  await page.setViewportSize({ width: 320, height: 900 });
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(320);
  await page.setViewportSize({ width: 1280, height: 900 });
}

const words = (page: Page) => page.innerText('body');

test('registered, tried, used, and switched off while somebody uses it', async () => {
  const { page, close } = await browser.newVisitor();
  let clicks = 0;
  let fields = 0;
  const click = async (selector: string) => {
    clicks += 1;
    await clickAndSettle(page, selector);
  };
  const type = async (name: string, text: string) => {
    fields += 1;
    await page.fill(`[name="${name}"]`, text);
  };
  await page.goto(`${gapura.url}/admin`);
  await signIn(page, 'admin');

  await click('.entries a[href="/admin/clients"]');
  await expectFit(page);
  await click('a.button[href="/admin/clients/creation"]');
  await expectFit(page);
  await click('a[href$="preset=web_server"]');
  await expectFit(page);
  await type('client_id', 'sistem-izin');
  await type('client_name', 'Sistem Izin');
  await type('redirect_uris', `${origin}/kembali`);
  await click('#submit');
  const client_secret = await page.innerText('code.secret');
  await expectFit(page);
  await click('main a.button');
  expect([clicks, fields]).toEqual([clicks_to_a_client, fields_to_a_client]);
  expect(await words(page)).toContain('Ke Mana Orang Kembali');
  await expectFit(page);

  await click('#op-trial');
  await expectFit(page);
  await click('#submit');
  // It is nobody's own: whoever tries it is asked as everybody is.
  await click('#allow');
  expect(await words(page)).toContain('Klien ini berfungsi');
  await expectFit(page);

  const client = { client_id: 'sistem-izin', client_secret, redirect_uri: `${origin}/kembali` };
  party = await openParty(gapura.config.issuer, client);
  const budi = await browser.newVisitor();
  await budi.page.goto(origin);
  await signIn(budi.page, 'budi');
  await Promise.all([budi.page.waitForURL(`${origin}/kembali**`), budi.page.click('#allow')]);
  expect(await words(budi.page)).toContain('Selamat datang, budi');

  await page.goto(`${gapura.url}/admin/clients/sistem-izin`);
  await click('#op-disabling');
  expect(await words(page)).toContain('akan terhenti: 1');
  await type('because', 'Rahasianya bocor');
  await click('#submit');
  expect(await words(page)).toContain('semua tokennya berakhir');
  const userinfo = await fetch(`${gapura.config.issuer}/userinfo`, {
    headers: { authorization: `Bearer ${tokens?.access_token}` },
  });
  expect(userinfo.status).toBe(401);
  await expect(oidc.refreshTokenGrant(party.configuration, tokens?.refresh_token ?? '')).rejects.toThrow();
  await budi.page.goto(origin);
  expect(await words(budi.page)).toContain('Aplikasi tidak dikenal');
  await expectNoAxeViolations(budi.page);
  expectQuiet(page);
  await Promise.all([close(), budi.close()]);
});

test('a developer submits one, an officer agrees, and the developer sets it up', async () => {
  await addOfficer(gapura, 'ahli', 'developer', { agency_code: 'BPOM' });
  const developer = await browser.newVisitor();
  const officer = await browser.newVisitor();
  await developer.page.goto(`${gapura.url}/portal/clients`);
  await signIn(developer.page, 'ahli');
  await expectFit(developer.page);
  await clickAndSettle(developer.page, '#submission');
  await expectFit(developer.page);
  await developer.page.fill('[name="client_name"]', 'Sistem Laporan');
  await developer.page.fill('[name="redirect_uris"]', 'https://laporan.example.go.id/kembali');
  await clickAndSettle(developer.page, '#submit');
  const address = developer.page.url();

  await officer.page.goto(`${gapura.url}/admin/submissions`);
  await signIn(officer.page, 'petugas');
  await clickAndSettle(officer.page, 'tbody a');
  await expectFit(officer.page);
  await clickAndSettle(officer.page, '#op-approval');
  await expectFit(officer.page);
  await clickAndSettle(officer.page, '#submit');
  expect(await words(officer.page)).toContain('klien sudah terdaftar');

  await developer.page.goto(address);
  await expectFit(developer.page);
  await clickAndSettle(developer.page, '#secret button');
  expect(await developer.page.innerText('code.secret')).toMatch(/^gapura_secret_/);
  await expectFit(developer.page);
  expectQuiet(developer.page);
  expectQuiet(officer.page);
  await Promise.all([developer.close(), officer.close()]);
});

test('a FAPI 2.0 client needs nothing beyond its preset but an id, a name, an address and its public key', async () => {
  const redirect_uri = 'https://bank.contoh.example/kembali';
  const pair = await generateKeyPair('ES256', { extractable: true });
  const jwk = { ...(await exportJWK(pair.publicKey)), kid: 'tanda', use: 'sig', alg: 'ES256' };
  const admin = await openConsole(gapura, 'admin');
  await submitWell(admin, await admin.get('/admin/clients/creation?preset=fapi2'), {
    client_id: 'bank',
    client_name: 'Bank',
    redirect_uris: redirect_uri,
    jwks: JSON.stringify({ keys: [jwk] }),
    first_party: 'on',
  });
  const configuration = await oidc.discovery(
    new URL(gapura.config.issuer),
    'bank',
    { id_token_signed_response_alg: 'ES256' },
    oidc.PrivateKeyJwt({ key: pair.privateKey, kid: 'tanda' }),
    { execute: [oidc.allowInsecureRequests] },
  );
  const DPoP = oidc.getDPoPHandle(configuration, await oidc.randomDPoPKeyPair('ES256'));
  const pkceCodeVerifier = oidc.randomPKCECodeVerifier();
  const expectedState = oidc.randomState();
  const parameters = {
    redirect_uri,
    scope: 'openid profile',
    state: expectedState,
    code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
  };
  const address = await oidc.buildAuthorizationUrlWithPAR(configuration, parameters, { DPoP });
  const budi = { identifier: 'budi', password: demo_password };
  const returned = await authorize(newHttpVisitor(gapura.url), address.href, redirect_uri, budi);
  const expected = { pkceCodeVerifier, expectedState, idTokenExpected: true };
  const granted = await oidc.authorizationCodeGrant(configuration, returned, expected, undefined, { DPoP });
  const sub = granted.claims()?.sub ?? '';
  expect(await oidc.fetchUserInfo(configuration, granted.access_token, sub, { DPoP })).toMatchObject({ sub });
});
