/** What happens to a request before the engine reads it: one that comes as a form is led to the same request as a link. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { newSignedInVisitor, registerClient, startGapura, type TestGapura } from '../support/gapura.ts';
import { newHttpVisitor } from '../support/http.ts';
import { openParty, type TestParty } from '../support/relying-party.ts';

let gapura: TestGapura;
let party: TestParty;

beforeAll(async () => {
  gapura = await startGapura();
  party = await openParty(gapura.config.issuer, await registerClient(gapura, 'borang'));
});

afterAll(() => gapura?.stop());

/** One form, as it stands. */
const post = (path: string, body: string, type = 'application/x-www-form-urlencoded') =>
  fetch(new URL(path, gapura.url), {
    method: 'POST',
    redirect: 'manual',
    body,
    headers: { 'content-type': type, origin: 'https://aplikasi.contoh.example', 'sec-fetch-site': 'cross-site' },
  });

describe('a request by a form from another site', () => {
  test('is the same request as by a link, so that whoever is signed in is known', async () => {
    const { address, checks } = await party.begin();
    const { search } = new URL(address);
    const answer = await post('/connect/auth', search.slice(1));
    expect(answer.status).toBe(303);
    const link = new URL(answer.headers.get('location') ?? '');
    expect(link.origin + link.pathname).toBe(`${gapura.config.issuer}/auth`);
    expect(Object.fromEntries(link.searchParams)).toEqual(Object.fromEntries(new URL(address).searchParams));
    const visitor = await newSignedInVisitor(gapura.url, 'budi');
    const { headers } = await visitor.get(link, { follow: false });
    const tokens = await party.redeem(new URL(headers.get('location') ?? ''), checks);
    expect(tokens.claims()?.sub).toBeTruthy();
  });

  test('leads to this service alone, whatever it says', async () => {
    const sent = 'redirect_uri=https%3A%2F%2Fjahat.example%2F%0d%0aset-cookie%3A%20a%3Db&%2F%2Fjahat.example=1';
    const { status, headers } = await post('/connect/auth/', sent);
    expect(status).toBe(303);
    expect(headers.get('location')).toMatch(new RegExp(`^${gapura.config.issuer}/auth/\\?`));
    expect(headers.get('set-cookie')).toBeNull();
  });

  test('asks for a sign-out too', async () => {
    const visitor = await newSignedInVisitor(gapura.url, 'sari');
    const answer = await visitor.post('/connect/session/end', { client_id: 'borang' });
    expect([answer.status, answer.url.pathname]).toEqual([200, '/connect/session/end']);
    expect(answer.body).toMatch(/<form id="sign-out"/);
  });

  test('said twice is refused by the engine as it would be in a link', async () => {
    const { address } = await party.begin();
    const { status, headers } = await post('/connect/auth', `${new URL(address).search.slice(1)}&scope=openid`);
    expect(status).toBe(303);
    const answer = await newHttpVisitor(gapura.url).get(headers.get('location') ?? '', { follow: false });
    expect(new URL(answer.headers.get('location') ?? '').searchParams.get('error')).toBe('invalid_request');
  });
});

test.each([
  ['a NUL', 400, 'client_id=%00'],
  ['what is no text', 400, 'client_id=%ff'],
  ['a longer request than a link may be', 413, `state=${'a'.repeat(16_100)}`],
  ['a hundred kilobytes', 413, `state=${'a'.repeat(100_000)}`],
  ['many fields', 413, 'a=1&'.repeat(200)],
  ['another type', 415, '{"client_id":"borang"}', 'application/json'],
])('%s is refused (%i)', async (_what, status, body, type = 'application/x-www-form-urlencoded') => {
  for (const path of ['/connect/auth', '/connect/session/end']) {
    const answer = await post(path, body as string, type);
    expect([path, answer.status]).toEqual([path, status]);
    expect(answer.headers.get('location')).toBeNull();
    await answer.body?.cancel();
  }
});

test('nothing is sent on from an address that takes no forms', async () => {
  for (const path of ['/connect/auth/abc', '/connect/session/end/success', '/connect/authx']) {
    const { status, headers } = await post(path, 'client_id=borang');
    expect([path, status, headers.get('location')]).toEqual([path, 404, null]);
  }
});
