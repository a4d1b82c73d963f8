/** The certification plan "RP-Initiated Logout", module by module. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { generateKeyPair, SignJWT } from 'jose';
import type { HttpVisitor } from '../support/http.ts';
import { isSignedIn, type SignOut, signed_out_uri, signOut } from './sign-out.ts';
import { discover, openStaticParty, openSuite, type Party, type Suite, signInAt } from './suite.ts';

let suite: Suite;
let party: Party;

beforeAll(async () => {
  suite = await openSuite();
  party = await openStaticParty(suite, 'suite-keluar', { metadata: { post_logout_redirect_uris: [signed_out_uri] } });
});

afterAll(() => suite?.stop());

/** Somebody who is signed in, and the ID token that says so. */
async function enter(): Promise<{ visitor: HttpVisitor; id_token: string; claims: Record<string, unknown> }> {
  const { visit, tokens, claims } = await signInAt(party);
  expect(await isSignedIn(party, visit.visitor)).toBe(true);
  return { visitor: visit.visitor, id_token: tokens.id_token as string, claims };
}

const leaving = (id_token: string) => ({ id_token_hint: id_token, post_logout_redirect_uri: signed_out_uri });

/** A page of ours that says no; nobody was led anywhere and nothing ended. */
async function expectRefused({ page, returned }: SignOut, visitor: HttpVisitor): Promise<void> {
  expect(returned).toBeUndefined();
  expect(page?.status).toBe(400);
  expect(page?.body).toMatch(/<h1>/);
  expect(await isSignedIn(party, visitor)).toBe(true);
}

/** A page of ours that says that it is done. */
async function expectSignedOut({ page, returned, asked }: SignOut, visitor: HttpVisitor): Promise<void> {
  expect(asked).toBe(true);
  expect(returned).toBeUndefined();
  expect([page?.status, page?.url.pathname]).toEqual([200, '/connect/session/end/success']);
  expect(await isSignedIn(party, visitor)).toBe(false);
}

test('oidcc-rp-initiated-logout-discovery-endpoint-verification', async () => {
  expect(await discover(suite)).toMatchObject({ end_session_endpoint: `${suite.issuer}/session/end` });
});

test('oidcc-rp-initiated-logout', async () => {
  const { visitor, id_token } = await enter();
  const { returned } = await signOut(party, visitor, { ...leaving(id_token), state: 'keadaan' });
  expect(returned?.href).toBe(`${signed_out_uri}?state=keadaan`);
  expect(await isSignedIn(party, visitor)).toBe(false);
  expect(Math.min(...suite.proxy.sent)).toBeGreaterThan(0);
});

test('oidcc-rp-initiated-logout-bad-post-logout-redirect-uri', async () => {
  const { visitor, id_token } = await enter();
  const elsewhere = { ...leaving(id_token), post_logout_redirect_uri: `${signed_out_uri}/lain` };
  await expectRefused(await signOut(party, visitor, elsewhere), visitor);
});

test('oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri', async () => {
  const { visitor, id_token } = await enter();
  const elsewhere = { ...leaving(id_token), post_logout_redirect_uri: `${signed_out_uri}?foo=bar` };
  await expectRefused(await signOut(party, visitor, elsewhere), visitor);
});

test('oidcc-rp-initiated-logout-modified-id-token-hint', async () => {
  const { visitor, id_token } = await enter();
  const unsigned = Buffer.from('{"alg":"none"}').toString('base64url');
  const modified = `${unsigned}.${id_token.split('.')[1]}.`;
  await expectRefused(await signOut(party, visitor, leaving(modified)), visitor);
});

test('oidcc-rp-initiated-logout-bad-id-token-hint', async () => {
  const { visitor, claims } = await enter();
  const { privateKey } = await generateKeyPair('RS256');
  const forged = await new SignJWT(claims).setProtectedHeader({ alg: 'RS256' }).sign(privateKey);
  await expectRefused(await signOut(party, visitor, leaving(forged)), visitor);
});

test('oidcc-rp-initiated-logout-no-id-token-hint', async () => {
  const { visitor } = await enter();
  const left = await signOut(party, visitor, { post_logout_redirect_uri: signed_out_uri, state: 'keadaan' });
  // Nobody says whose address that is, so it leads nowhere.
  await expectSignedOut(left, visitor);
});

test('oidcc-rp-initiated-logout-no-params', async () => {
  const { visitor } = await enter();
  await expectSignedOut(await signOut(party, visitor), visitor);
});

test('oidcc-rp-initiated-logout-no-post-logout-redirect-uri', async () => {
  const { visitor, id_token } = await enter();
  await expectSignedOut(await signOut(party, visitor, { id_token_hint: id_token, state: 'keadaan' }), visitor);
});

test('oidcc-rp-initiated-logout-no-state', async () => {
  const { visitor, id_token } = await enter();
  const { returned } = await signOut(party, visitor, leaving(id_token));
  expect(returned?.href).toBe(signed_out_uri);
  expect(await isSignedIn(party, visitor)).toBe(false);
});

test('oidcc-rp-initiated-logout-only-state', async () => {
  const { visitor } = await enter();
  await expectSignedOut(await signOut(party, visitor, { state: 'keadaan' }), visitor);
});
