/** The portal's doors: nobody gets in before all questions are answered, and every way in or out ends on a page. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { endEverything } from '../../src/accounts/account.ts';
import { inTransaction } from '../../src/database.ts';
import {
  demo_password,
  newSignedInVisitor,
  registerClient,
  signIn,
  startGapura,
  type TestGapura,
} from '../support/gapura.ts';
import { type Answer, type HttpVisitor, newHttpVisitor } from '../support/http.ts';
import { authorize, openParty } from '../support/relying-party.ts';

let gapura: TestGapura;

const pages = ['/portal', '/portal/profile', '/portal/credentials'];
const no_session = 'Browser tidak menyimpan sesi Anda';

beforeAll(async () => {
  gapura = await startGapura();
});

afterEach(async () => {
  await gapura.db
    .updateTable('clients')
    .set({ directorate_required: false, agency_code: null })
    .where('id', '=', 'portal')
    .execute();
});

afterAll(() => gapura.stop());

/** The portal asks a question after the password, as it will when there are more prompts. */
async function askMore(): Promise<void> {
  await gapura.db
    .updateTable('clients')
    .set({ directorate_required: true, agency_code: 'BPOM' })
    .where('id', '=', 'portal')
    .execute();
}

async function expectClosed(visitor: HttpVisitor): Promise<void> {
  for (const address of pages) {
    const { status, headers, body } = await visitor.get(address, { follow: false });
    expect([address, status]).toEqual([address, 303]);
    expect(headers.get('location')).toMatch(/^http:\/\/localhost:\d+\/connect\/auth\?client_id=portal&/);
    expect(body).not.toContain('Budi');
  }
  const entry = await visitor.get('/portal/entry?state=%2Fportal', { follow: false });
  expect(entry.status).toBe(400);
  expect(entry.body).toContain(`<h1>${no_session}</h1>`);
}

/** The entry of the portal in each session there is. */
async function readEntries() {
  const rows = await gapura.db.selectFrom('oidc_sessions').select(['account_id', 'authorizations']).execute();
  return rows.map(({ account_id, authorizations }) => ({ account_id, portal: authorizations.portal }));
}

describe('nobody gets in', () => {
  test('without a session, with an invented one, or with one that was changed', async () => {
    await expectClosed(newHttpVisitor(gapura.url));
    const invented = newHttpVisitor(gapura.url);
    const signed = await newSignedInVisitor(gapura.url, 'budi');
    for (const cookie of signed.cookies) {
      const turned = [...cookie.value].reverse().join('');
      invented.cookies.push({ ...cookie, value: cookie.name === 'gapura_session' ? turned : cookie.value });
    }
    await expectClosed(invented);
    const unsigned = newHttpVisitor(gapura.url);
    unsigned.cookies.push(...signed.cookies.filter(({ name }) => !name.endsWith('.sig')));
    await expectClosed(unsigned);
  });

  test('with a session that was opened at another application and has never been through the portal’s questions', async () => {
    const party = await openParty(gapura.config.issuer, await registerClient(gapura, 'lain'));
    const visitor = newHttpVisitor(gapura.url);
    const { address } = await party.begin();
    await authorize(visitor, address, party.redirect_uri, { identifier: 'budi', password: demo_password });
    await expectClosed(visitor);
    // Asked the proper way there is no question left, so the way in is open.
    expect((await visitor.get('/portal')).body).toContain('<strong>budi</strong>');
  });

  test('between two questions', async () => {
    await askMore();
    const visitor = newHttpVisitor(gapura.url);
    const question = await signIn(visitor, await visitor.get('/portal'), 'budi');
    expect(question.body).toContain('<h1>Pilih Direktorat</h1>');
    await expectClosed(visitor);
    expect((await visitor.get('/portal')).body).toContain('<h1>Pilih Direktorat</h1>');
    const [, id] = /<option value="([^"]+)">Inspeksi/.exec(question.body) ?? [];
    const home = await visitor.submit(question, { directorate: id as string });
    expect([home.status, home.url.pathname]).toEqual([200, '/portal']);
  });

  test('between two questions of which the second comes after the grant: the engine’s entry alone opens nothing', async () => {
    await gapura.db.deleteFrom('oidc_sessions').execute();
    await askMore();
    const visitor = newHttpVisitor(gapura.url);
    const address = (await visitor.get('/portal', { follow: false })).headers.get('location');
    const question = await signIn(visitor, await visitor.get(`${address}&prompt=select_directorate`), 'tono');
    expect(question.body).toContain('<h1>Pilih Direktorat</h1>');
    const [row, ...others] = await readEntries();
    expect(others).toEqual([]);
    expect(row?.account_id).toBeTruthy();
    expect(row?.portal?.grantId).toBeTruthy();
    expect(row?.portal).not.toHaveProperty('accepted_at');
    await expectClosed(visitor);

    const [, id] = /<option value="([^"]+)">Inspeksi/.exec(question.body) ?? [];
    expect((await visitor.submit(question, { directorate: id as string })).url.pathname).toBe('/portal');
    expect((await readEntries())[0]?.portal).toHaveProperty('accepted_at');
  });

  test('after giving up at the second question', async () => {
    await askMore();
    const visitor = newHttpVisitor(gapura.url);
    const question = await signIn(visitor, await visitor.get('/portal'), 'budi');
    const given_up = await visitor.submit(question, { cancel: '1' });
    expect(given_up.url.pathname).toBe('/portal/entry');
    expect(given_up.body).toContain('<h1>Anda belum masuk</h1>');
    await expectClosed(visitor);
  });

  test('after everything of the account was ended', async () => {
    const visitor = await newSignedInVisitor(gapura.url, 'sari');
    const { account_id } = await gapura.db
      .selectFrom('account_identifiers')
      .select('account_id')
      .where('canonical', '=', 'sari')
      .executeTakeFirstOrThrow();
    await inTransaction(gapura.db, (tx) => endEverything(tx, account_id, { because: 'test' }));
    await expectClosed(visitor);
  });
});

describe('the way in', () => {
  test.each(pages)('to %s leads there after the sign-in', async (address) => {
    const visitor = newHttpVisitor(gapura.url);
    const arrived = await signIn(visitor, await visitor.get(address), 'budi');
    expect([arrived.status, arrived.url.pathname, arrived.url.search]).toEqual([200, address, '']);
  });

  test.each([
    '//jahat.example',
    'https://jahat.example/',
    '/\\jahat.example',
    '/connect/session/end',
    '/portal/../connect/auth',
    '__proto__',
    'constructor',
    'toString',
    '/portal/profile?x=1',
    'javascript:alert(1)',
    '',
    '/portal\r\nx: y',
  ])('ends at home for the state %j', async (state) => {
    const visitor = await getBudi();
    const { status, headers } = await visitor.get(`/portal/entry?${new URLSearchParams({ state })}`, { follow: false });
    expect([status, headers.get('location')]).toEqual([303, '/portal']);
  });

  test.each(['', '?state=%2Fportal&state=%2Fportal%2Fprofile', '?state[]=%2Fportal%2Fprofile', '?state=%2Fportal'])(
    'ends at home for the query "%s"',
    async (query) => {
      const { status, headers } = await (await getBudi()).get(`/portal/entry${query}`, { follow: false });
      expect([status, headers.get('location')]).toEqual([303, '/portal']);
    },
  );

  test('keeps the page that was asked for', async () => {
    const { headers } = await (await getBudi()).get('/portal/entry?state=%2Fportal%2Fprofile', { follow: false });
    expect(headers.get('location')).toBe('/portal/profile');
  });

  test('that was cancelled says so and offers it again', async () => {
    const visitor = newHttpVisitor(gapura.url);
    const cancelled = await visitor.submit(await visitor.get('/portal'), { cancel: '1' });
    expect(cancelled.status).toBe(200);
    expect(cancelled.body).toContain('<h1>Anda belum masuk</h1>');
    expect((await visitor.get(findWays(cancelled)[0] as string)).body).toContain('name="password"');
  });

  test('that failed says so and repeats nothing of the message it came with', async () => {
    const query = new URLSearchParams({ error: 'server_error', error_description: '<b>jahat</b>' });
    const failed = await newHttpVisitor(gapura.url).get(`/portal/entry?${query}`);
    expect(failed.status).toBe(400);
    expect(failed.body).toContain('<h1>Halaman belum dapat dibuka</h1>');
    expect(failed.body).not.toContain('<b>jahat');
    expect(findWays(failed)).toEqual(['/portal', '/']);
  });

  test('for a browser without cookies ends on a page that says so, not in a circle', async () => {
    let address = new URL('/portal', gapura.url);
    let last: Answer | undefined;
    for (let hops = 0; hops < 6; hops++) {
      last = await newHttpVisitor(gapura.url).get(address, { follow: false });
      const location = last.headers.get('location');
      if (!location) break;
      address = new URL(location, address);
    }
    expect(last?.status).toBe(410);
    expect(last?.body).toContain('browser Anda tidak menyimpan cookie');
    expect(findWays(last as Answer)).toEqual([`${gapura.url}/portal`, '/portal']);
    const entry = await newHttpVisitor(gapura.url).get('/portal/entry?state=%2Fportal');
    expect(entry.status).toBe(400);
    expect(entry.body).toContain('Izinkan cookie untuk situs ini');
  });
});

let budi: HttpVisitor | undefined;

async function getBudi(): Promise<HttpVisitor> {
  budi ??= await newSignedInVisitor(gapura.url, 'budi');
  return budi;
}

const findWays = ({ body }: Answer) =>
  [...body.matchAll(/<a class="button[^"]*" href="([^"]+)"/g)].map(([, href]) => href);

describe('the way out', () => {
  test('asks first, then ends the session, and leads back in', async () => {
    const visitor = await newSignedInVisitor(gapura.url, 'tono');
    expect((await visitor.get('/portal')).body).toContain('href="/portal/sign-out"');
    const question = await visitor.get('/portal/sign-out');
    expect(question.url.pathname).toBe('/connect/session/end');
    expect(question.body).toContain('<h1>Keluar dari semua aplikasi?</h1>');
    expect((await visitor.get('/portal', { follow: false })).status).toBe(200);
    const ended = await visitor.submit(question, { logout: 'yes' });
    expect(ended.status).toBe(200);
    expect(ended.body).toContain('<h1>Anda telah keluar</h1>');
    expect((await visitor.get(findWays(ended).at(-1) as string)).body).toContain('name="password"');
    await expectClosed(visitor);
  });

  test('without a session is no error', async () => {
    expect((await newHttpVisitor(gapura.url).get('/portal/sign-out')).status).toBe(200);
  });
});

test('/.well-known/change-password leads to the change page (W3C Change Password URL)', async () => {
  const visitor = newHttpVisitor(gapura.url);
  const answer = await visitor.get('/.well-known/change-password', { follow: false });
  expect([answer.status, answer.headers.get('location')]).toEqual([303, '/portal/credentials']);
  const changed = await signIn(visitor, await visitor.get('/.well-known/change-password'), 'budi');
  expect([changed.status, changed.url.pathname]).toEqual([200, '/portal/credentials']);
  // A client that checks whether the address is honest finds that other addresses there are not (section 3.1).
  const probe = '/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200';
  expect((await visitor.get(probe)).status).toBe(404);
});

test('pages of a person are kept by no cache and read by no other site', async () => {
  const visitor = await getBudi();
  for (const address of pages) {
    const { status, headers } = await visitor.get(address, { follow: false });
    expect([address, status, headers.get('cache-control')]).toEqual([address, 200, 'no-store']);
    expect(headers.get('cross-origin-resource-policy')).toBe('same-origin');
    expect(headers.get('access-control-allow-origin')).toBeNull();
  }
});
