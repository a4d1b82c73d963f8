/** Errors of clients that nobody has checked: no person is led away by them unasked (RFC 9700 section 4.11.2). */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Browser, expectNoAxeViolations, openBrowser } from '../../support/browser.ts';
import { readText } from '../../support/facts.ts';
import { newSignedInVisitor, registerClient, startGapura, type TestGapura } from '../../support/gapura.ts';
import { findForm, newHttpVisitor } from '../../support/http.ts';
import { followTo, openParty, type TestParty } from '../../support/relying-party.ts';

let gapura: TestGapura;
let browser: Browser;
/** One that registered itself. */
let stranger: TestParty;
/** One that an officer registered. */
let checked: TestParty;

beforeAll(async () => {
  gapura = await startGapura();
  browser = await openBrowser();
  const open = async (id: string, origin: 'dynamic' | 'console', host: string) => {
    const redirect_uri = `http://${host}.localhost:4999/kembali`;
    const metadata = { client_name: 'Bank <b>Contoh</b>', redirect_uris: [redirect_uri], scope: 'openid profile' };
    const client = await registerClient(gapura, id, { origin, first_party: false, metadata });
    return openParty(gapura.config.issuer, { ...client, redirect_uri });
  };
  stranger = await open('pendatang', 'dynamic', 'pencuri');
  checked = await open('dikenal', 'console', 'dikenal');
});

afterAll(async () => {
  await browser?.close();
  await gapura?.stop();
});

/** Where the way on leads. */
const hrefOf = (body: string) => (/id="submit" href="([^"]+)"/.exec(body)?.[1] ?? '').replaceAll('&amp;', '&');

const wrong: [what: string, parameters: Record<string, string>, error: string][] = [
  ['a scope that it is not registered for', { scope: 'openid email' }, 'invalid_scope'],
  ['a response type that nobody has', { response_type: 'token' }, 'unsupported_response_type'],
  ['a prompt that nobody has', { prompt: 'create' }, 'invalid_request'],
  ['claims that are no JSON', { claims: '{' }, 'invalid_request'],
  [
    'an authentication that cannot be given',
    { claims: '{"id_token":{"acr":{"essential":true,"value":"x"}}}' },
    'unmet_authentication_requirements',
  ],
];

describe.each([
  ['a new visitor', () => newHttpVisitor(gapura.url)],
  ['somebody who is signed in', () => newSignedInVisitor(gapura.url, 'sari')],
] as const)('%s', (_who, come) => {
  test.each(wrong)('with %s stays here and is told who wants to lead them where', async (_what, parameters, error) => {
    const visitor = await come();
    const { address, checks } = await stranger.begin(parameters);
    const page = await visitor.get(address, { follow: false });
    expect([page.status, page.headers.get('location')]).toEqual([400, null]);
    const text = readText(page.body);
    expect(text).toContain('Lanjutkan ke pencuri.localhost:4999');
    expect(text).toContain('Bank <b>Contoh</b>');
    expect(page.body).not.toContain('<b>Contoh');
    expect(text).toContain('Belum ada yang memeriksa siapa pengelola aplikasi ini.');
    expect(text).toContain(page.headers.get('x-request-id') ?? 'no id');
    const way = new URL(hrefOf(page.body));
    expect(`${way.origin}${way.pathname}`).toBe(stranger.redirect_uri);
    expect(Object.fromEntries(new URLSearchParams(way.search || way.hash.slice(1)))).toMatchObject({
      error,
      state: checks.expectedState,
      iss: gapura.config.issuer,
    });
  });

  test('is led on at once by a client that somebody has checked', async () => {
    const visitor = await come();
    const { address } = await checked.begin({ scope: 'openid email' });
    const reached = await followTo(visitor, checked.redirect_uri, await visitor.get(address, { follow: false }));
    expect(reached).toHaveProperty('returned');
  });
});

test('by form_post the page has the form, which goes nowhere by itself', async () => {
  const { address, checks } = await stranger.begin({ scope: 'openid email', response_mode: 'form_post' });
  const page = await newHttpVisitor(gapura.url).get(address);
  expect(page.status).toBe(400);
  const { action, fields } = findForm(page.body, 'forward');
  expect(action).toBe(stranger.redirect_uri);
  const { expectedState: state } = checks;
  expect(fields).toMatchObject({ error: 'invalid_scope', state, iss: gapura.config.issuer });
  expect(page.body).not.toMatch(/<script(?![^>]*\bsrc="\/assets\/(?!forward))/);
  expect(page.body).not.toContain('forward.');
  const policy = page.headers.get('content-security-policy') ?? '';
  expect(policy).toContain(`form-action 'self' ${new URL(stranger.redirect_uri).origin};`);
  expect(policy).not.toContain('sha256-');
});

test('a question without a page (prompt=none) is answered without one', async () => {
  const { address } = await stranger.begin({ prompt: 'none' });
  const visitor = newHttpVisitor(gapura.url);
  const reached = await followTo(visitor, stranger.redirect_uri, await visitor.get(address, { follow: false }));
  expect('returned' in reached && reached.returned.searchParams.get('error')).toBe('login_required');
});

test('whoever goes back from a page of the way has decided that already', async () => {
  const visitor = newHttpVisitor(gapura.url);
  const login = await visitor.get((await stranger.begin()).address);
  const answer = await visitor.post(login.url, { cancel: '1' }, { follow: false });
  const reached = await followTo(visitor, stranger.redirect_uri, answer);
  expect('returned' in reached && reached.returned.searchParams.get('error')).toBe('access_denied');
});

test('an address that is not its own is a page without any way there', async () => {
  const { address } = await stranger.begin({ redirect_uri: 'https://pencuri.contoh.example/' });
  const { status, body } = await newHttpVisitor(gapura.url).get(address);
  expect(status).toBe(400);
  expect(body).not.toMatch(/(href|action)="https?:\/\/pencuri/);
});

test('the page speaks the language asked for, holds together for everybody, and its way works without scripts', async () => {
  const { page, close } = await browser.newVisitor({ scripts: false, width: 320 });
  await page.route('http://pencuri.localhost:4999/**', (route) => route.fulfill({ body: 'sampai' }));
  await page.goto((await stranger.begin({ scope: 'openid email', ui_locales: 'en' })).address);
  expect(await page.locator('#submit').innerText()).toBe('Go on to pencuri.localhost:4999');
  await page.click('#submit');
  expect(new URL(page.url()).searchParams.get('error')).toBe('invalid_scope');
  await close();
  const other = await browser.newVisitor();
  await other.page.goto((await stranger.begin({ scope: 'openid email' })).address);
  await expectNoAxeViolations(other.page);
  await other.close();
});
