/** The certification plan "Dynamic", module by module: clients that register themselves, and what they say of themselves. */

import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { decodeProtectedHeader, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import * as oidc from 'openid-client';
import { moveClock, resetClock } from '../support/clock.ts';
import { registerClient } from '../support/gapura.ts';
import { until } from '../support/nodes.ts';
import { type Site, startSite } from './site.ts';
import {
  answerOf,
  authorize,
  discover,
  isErrorPage,
  openDynamicParty,
  openSuite,
  opensUserinfo,
  type Party,
  readUserinfo,
  redeem,
  runCommand,
  type Suite,
  signInAt,
  suite_redirect_uri,
} from './suite.ts';

let suite: Suite;
let site: Site;

beforeAll(async () => {
  site = await startSite();
  suite = await openSuite({ env: site.env });
});

afterEach(() => resetClock(suite.db, suite.nodes));

afterAll(async () => {
  await suite?.stop();
  await site?.close();
});

const basic = oidc.ClientSecretBasic();
const register = (metadata: Partial<oidc.ClientMetadata> = {}, way: oidc.ClientAuth = basic) =>
  openDynamicParty(suite, metadata, way);

/** A registration that is refused, with the code of why. */
const refusal = (metadata: Partial<oidc.ClientMetadata>) =>
  register(metadata).then(
    () => 'registered',
    (error: oidc.ResponseBodyError) => error.error,
  );

/** Somebody comes in through it, and userinfo knows them. */
async function expectWorking(party: Party): Promise<void> {
  const { tokens, claims } = await signInAt(party);
  expect((await readUserinfo(party, tokens, claims.sub)).sub).toBe(claims.sub);
}

interface Key {
  key: CryptoKey;
  kid: string;
  jwk: JWK;
}

async function makeKey(kid: string): Promise<Key> {
  const { privateKey: key, publicKey } = await generateKeyPair('RS256', { extractable: true });
  return { key, kid, jwk: { ...(await exportJWK(publicKey)), kid, use: 'sig', alg: 'RS256' } };
}

test('oidcc-server', async () => {
  const party = await register();
  expect(party.configuration.clientMetadata()).toMatchObject({
    client_id: expect.any(String),
    client_secret: expect.any(String),
    client_secret_expires_at: 0,
    registration_access_token: expect.any(String),
    registration_client_uri: expect.stringContaining(`${suite.issuer}/register/`),
    redirect_uris: [suite_redirect_uri],
  });
  await expectWorking(party);
  expect(Math.min(...suite.proxy.sent)).toBeGreaterThan(0);
});

test('oidcc-idtoken-rs256', async () => {
  const { tokens } = await signInAt(await register({ id_token_signed_response_alg: 'RS256' }));
  expect(decodeProtectedHeader(tokens.id_token as string).alg).toBe('RS256');
});

test('oidcc-userinfo-rs256', async () => {
  const party = await register({ userinfo_signed_response_alg: 'RS256' });
  const { tokens, claims } = await signInAt(party);
  const headers = { authorization: `Bearer ${tokens.access_token}` };
  const answer = await fetch(`${suite.issuer}/userinfo`, { headers });
  expect(answer.headers.get('content-type')).toMatch(/^application\/jwt/);
  expect(decodeProtectedHeader(await answer.text()).alg).toBe('RS256');
  // Signature, issuer and audience are openid-client's to check.
  expect(await readUserinfo(party, tokens, claims.sub)).toMatchObject({ sub: claims.sub, iss: suite.issuer });
});

test('oidcc-ensure-redirect-uri-in-authorization-request', async () => {
  const party = await register({ redirect_uris: [suite_redirect_uri, `${suite_redirect_uri}/lain`] });
  expect(isErrorPage(await authorize(party, { redirect_uri: undefined }))).toBe(true);
});

test('oidcc-redirect-uri-query-OK', async () => {
  const address = `${suite_redirect_uri}?foo=bar`;
  const party = await register({ redirect_uris: [address] });
  const visit = await authorize(party);
  expect(answerOf(visit)).toMatchObject({ foo: 'bar', code: expect.any(String) });
  // The library takes the address apart and loses its query, so the exchange is made by hand.
  const answer = await fetch(`${suite.issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${party.client_id}:${party.client_secret}`).toString('base64')}` },
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      code: answerOf(visit).code ?? '',
      redirect_uri: address,
    }),
  });
  expect(answer.status).toBe(200);
});

test('oidcc-redirect-uri-query-mismatch', async () => {
  const party = await register({ redirect_uris: [`${suite_redirect_uri}?foo=bar`] });
  expect(isErrorPage(await authorize(party, { redirect_uri: `${suite_redirect_uri}?foo=baz` }))).toBe(true);
});

test('oidcc-redirect-uri-query-added', async () => {
  const party = await register();
  expect(isErrorPage(await authorize(party, { redirect_uri: `${suite_redirect_uri}?foo=bar` }))).toBe(true);
});

test('oidcc-redirect-uri-regfrag', async () => {
  expect(await refusal({ redirect_uris: [`${suite_redirect_uri}#foobar`] })).toMatch(
    /^invalid_(redirect_uri|client_metadata)$/,
  );
});

/** Every page on the way in, as it was written. */
async function readPages(party: Party): Promise<string> {
  const { pages } = await authorize(party);
  expect(pages).toHaveLength(2);
  return pages.map(({ body }) => body).join('\n');
}

const management = new Map<string, string>();

/** Changes what a client says of itself (RFC 7592 section 2.2); the token for the next time comes with the answer. */
async function changeClient({ client_id, redirect_uri, configuration }: Party, metadata: object): Promise<void> {
  const { registration_client_uri, registration_access_token } = configuration.clientMetadata();
  const token = management.get(client_id) ?? registration_access_token;
  const answer = await fetch(String(registration_client_uri), {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ client_id, client_name: 'Suite', redirect_uris: [redirect_uri], ...metadata }),
  });
  const changed = (await answer.json()) as { registration_access_token: string };
  expect([answer.status, changed]).toEqual([200, expect.objectContaining({ client_id })]);
  management.set(client_id, changed.registration_access_token);
}

/** As much of a picture as tells its size (ISO/IEC 15948): a square of 64. */
const picture = Buffer.from('89504e470d0a1a0a0000000d494844520000004000000040080000000000000000', 'hex');

test('oidcc-registration-logo-uri', async () => {
  site.documents.set('/logo.png', picture);
  const party = await register({ logo_uri: `${site.url}/logo.png` });
  const pages = await readPages(party);
  // On each of both, and from here: the suite's own server is not told who is about to sign in.
  const shown = [...pages.matchAll(/<img src="(\/assets\/logos\/[^"]+)"/g)].map(([, address]) => address);
  expect(shown).toHaveLength(2);
  const answer = await fetch(`${suite.url}${shown[0]}`);
  expect(answer.headers.get('content-type')).toBe('image/png');
  expect(Buffer.from(await answer.arrayBuffer())).toEqual(picture);
  expect(pages).not.toContain(`src="${site.url}`);
  // It goes when the client names none any more, and not before.
  const hasLogo = async () => (await authorize(party)).pages[0]?.body.includes('<img src="/assets/logos/');
  const change = (metadata: object) => changeClient(party, metadata);
  await change({ logo_uri: `${site.url}/logo.png`, client_name: 'Suite lagi' });
  site.documents.delete('/logo.png');
  await change({ logo_uri: `${site.url}/logo.png` });
  expect(await hasLogo()).toBe(true);
  await change({});
  expect(await hasLogo()).toBe(false);
});

test('oidcc-registration-policy-uri', async () => {
  const policy_uri = 'https://suite.contoh.example/kebijakan';
  expect(await readPages(await register({ policy_uri }))).toContain(`<a href="${policy_uri}"`);
});

test('oidcc-registration-tos-uri', async () => {
  const tos_uri = 'https://suite.contoh.example/ketentuan';
  expect(await readPages(await register({ tos_uri }))).toContain(`<a href="${tos_uri}"`);
});

test('oidcc-registration-jwks-uri', async () => {
  const { key, kid, jwk } = await makeKey('satu');
  site.documents.set('/jwks', { keys: [jwk] });
  const metadata = { jwks_uri: `${site.url}/jwks`, token_endpoint_auth_method: 'private_key_jwt' };
  await expectWorking(await register(metadata, oidc.PrivateKeyJwt({ key, kid })));
});

test('oidcc-registration-sector-uri', async () => {
  site.documents.set('/sektor', [suite_redirect_uri, 'https://lain.contoh.example/callback']);
  const party = await register({ sector_identifier_uri: `${site.url}/sektor`, subject_type: 'pairwise' });
  await expectWorking(party);
});

test('oidcc-registration-sector-bad', async () => {
  site.documents.set('/sektor-lain', ['https://lain.contoh.example/callback']);
  expect(await refusal({ sector_identifier_uri: `${site.url}/sektor-lain`, subject_type: 'pairwise' })).toBe(
    'invalid_client_metadata',
  );
});

const refreshing = { grant_types: ['authorization_code', 'refresh_token'] };
const offline = { scope: 'openid offline_access', prompt: 'consent' };

test('oidcc-refresh-token', async () => {
  const [party, other] = [await register(refreshing), await register(refreshing)];
  const { tokens, claims } = await signInAt(party, offline);
  const token = tokens.refresh_token as string;
  const foreign = oidc.refreshTokenGrant(other.configuration, token);
  await expect(foreign).rejects.toMatchObject({ status: 400, error: 'invalid_grant' });
  const refreshed = await oidc.refreshTokenGrant(party.configuration, token);
  expect(await opensUserinfo(party, refreshed.access_token)).toBe(true);
  expect(refreshed.claims()?.sub ?? claims.sub).toBe(claims.sub);
});

test('oidcc-refresh-token-rp-key-rotation', async () => {
  const [before, after] = [await makeKey('lama'), await makeKey('baru')];
  site.documents.set('/kunci', { keys: [before.jwk] });
  const metadata = {
    ...refreshing,
    jwks_uri: `${site.url}/kunci`,
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: 'RS256',
  };
  const party = await register(metadata, oidc.PrivateKeyJwt(before));
  const { tokens } = await signInAt(party, offline);
  site.documents.set('/kunci', { keys: [after.jwk] });
  // Keys are kept for a minute, and the suite waits so long.
  await moveClock(suite.db, 65, suite.nodes);
  const { client_id } = party;
  const renewed = await oidc.discovery(new URL(suite.issuer), client_id, undefined, oidc.PrivateKeyJwt(after), {
    execute: [oidc.allowInsecureRequests],
  });
  // On each of the processes, which both have kept the keys of before.
  const first = await oidc.refreshTokenGrant(renewed, tokens.refresh_token as string);
  const second = await oidc.refreshTokenGrant(renewed, first.refresh_token as string);
  expect(await opensUserinfo(party, second.access_token)).toBe(true);
});

test('oidcc-ensure-client-assertion-with-iss-aud-succeeds', async () => {
  const { key, kid, jwk } = await makeKey('penerbit');
  const metadata = { jwks: { keys: [jwk] }, token_endpoint_auth_method: 'private_key_jwt' };
  const party = await register(metadata as unknown as Partial<oidc.ClientMetadata>, oidc.PrivateKeyJwt({ key, kid }));
  const visit = await authorize(party);
  const assertion = await new SignJWT({ iss: party.client_id, sub: party.client_id, jti: oidc.randomState() })
    .setProtectedHeader({ alg: 'RS256', kid })
    .setAudience(suite.issuer)
    .setIssuedAt()
    .setExpirationTime('1 minute')
    .sign(key);
  const answer = await fetch(`${suite.issuer}/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      code: answerOf(visit).code ?? '',
      redirect_uri: party.redirect_uri,
      client_assertion: assertion,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    }),
  });
  expect(answer.status).toBe(200);
});

test('oidcc-server-rotate-keys', async () => {
  const party = await register();
  const listKids = async () => {
    const { keys } = (await (await fetch(`${suite.issuer}/jwks`)).json()) as { keys: JWK[] };
    return keys.map(({ kid }) => kid as string).sort();
  };
  const signingKid = async () => {
    const { tokens } = await signInAt(party);
    return decodeProtectedHeader(tokens.id_token as string).kid as string;
  };
  const [before, old] = [await listKids(), await signingKid()];
  await runCommand(suite, ['rotate-keys', 'RS256'], /^RS256: /);
  const isPublished = async () => (await listKids()).length > before.length;
  // Twice, since the proxy asks one process and then the other.
  await until(async () => (await isPublished()) && (await isPublished()));
  // Published first; it signs once every application has had the time to read it.
  await moveClock(suite.db, 3 * 86_400, suite.nodes);
  await runCommand(suite, ['rotate-keys', 'RS256'], /^RS256: /);
  const isTurned = async () => (await signingKid()) !== old;
  await until(async () => (await isTurned()) && (await isTurned()));
  const [after, signs] = [await listKids(), await signingKid()];
  expect(after).toEqual(expect.arrayContaining(before));
  expect([before.includes(signs), after.includes(signs), after.includes(old)]).toEqual([false, true, true]);
});

test('the redirect_uri of a signed request object wins over the one beside it', async () => {
  const { key, kid, jwk } = await makeKey('permintaan');
  const metadata = { jwks: { keys: [jwk] }, redirect_uris: [suite_redirect_uri, `${suite_redirect_uri}/lain`] };
  const party = await register(metadata as unknown as Partial<oidc.ClientMetadata>);
  // Whole, for nothing beside a request object counts (RFC 9101 section 6.3).
  const request = await new SignJWT({
    client_id: party.client_id,
    response_type: 'code',
    scope: 'openid',
    redirect_uri: `${suite_redirect_uri}/lain`,
  })
    .setProtectedHeader({ alg: 'RS256', kid })
    .setIssuer(party.client_id)
    .setAudience(suite.issuer)
    .setIssuedAt()
    .setExpirationTime('1 minute')
    .sign(key);
  const { returned } = await authorize(party, { request });
  expect(returned?.pathname).toBe('/callback/lain');
  expect(returned?.searchParams.get('code')).toBeTruthy();
});

test('what the suite skips is not on offer: request objects by reference, unsigned ID tokens', async () => {
  const offered = await discover(suite);
  expect(offered).toMatchObject({ request_uri_parameter_supported: false });
  expect(offered.id_token_signing_alg_values_supported).not.toContain('none');
  expect(await refusal({ id_token_signed_response_alg: 'none' })).toBe('invalid_client_metadata');
  const visit = await authorize(await register(), { request_uri: 'https://suite.contoh.example/permintaan' });
  expect([visit.asked, answerOf(visit).error]).toEqual([['held'], 'request_uri_not_supported']);
});

test('a dynamic client is never let in where an administrator’s would be', async () => {
  const known = await registerClient(suite, 'dikenal');
  expect(await refusal({ redirect_uris: [`${suite.url}/portal/entry`] })).toMatch(/^invalid_/);
  const { client_id } = await register();
  expect(client_id).not.toBe(known.client_id);
  expect(client_id).toMatch(/^dynamic-/);
  const party = await register({ redirect_uris: [suite_redirect_uri] });
  const { visit } = await signInAt(party);
  expect(visit.asked).toContain('consent');
  await expect(redeem(party, visit)).rejects.toMatchObject({ error: 'invalid_grant' });
});
