/** The sign-in page: what it tells strangers (nothing), how it slows them down, and whom it lets through. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import * as oidc from 'openid-client';
import { lockAccount, unlockAccount } from '../../src/accounts/account.ts';
import { countHashes, hashPassword } from '../../src/accounts/password.ts';
import type { Secret } from '../../src/crypto.ts';
import { openLimits } from '../../src/limits/limits.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { demo_password, registerClient, signIn, startGapura, type TestGapura } from '../support/gapura.ts';
import { type Answer, findForm, type HttpVisitor, newHttpVisitor } from '../support/http.ts';
import { setTestPolicy } from '../support/policy.ts';
import { authorize, followTo, openParty, type TestParty } from '../support/relying-party.ts';
import { listStatements } from '../support/statements.ts';

let gapura: TestGapura;
let party: TestParty;

const wrong = 'Nama pengguna atau kata sandi salah.';
const waits = 'Terlalu banyak percobaan.';

beforeAll(async () => {
  gapura = await startGapura();
  // What is asked after failures has tests of its own (login-check.test.ts); here nothing stands before the limits.
  await setTestPolicy(gapura.db, 'human_check.when', 'never');
  party = await openParty(gapura.config.issuer, await registerClient(gapura, 'penguji'));
});

afterEach(async () => {
  await resetClock(gapura.db);
  await gapura.db.deleteFrom('limits').execute();
});

afterAll(() => gapura.stop());

async function openLogin(visitor = newHttpVisitor(gapura.url), parameters = {}): Promise<Answer> {
  const page = await visitor.get((await party.begin(parameters)).address);
  expect(page.body).toContain('name="password"');
  return page;
}

/** One try from a browser that was never seen before, unless one is given. */
async function tryPassword(identifier: string, password: string, visitor?: HttpVisitor): Promise<Answer> {
  const browser = visitor ?? newHttpVisitor(gapura.url);
  const page = await openLogin(browser);
  return browser.post(page.url, { identifier, password }, { follow: false });
}

async function findId(canonical: string): Promise<string> {
  const row = await gapura.db
    .selectFrom('account_identifiers')
    .select('account_id')
    .where('canonical', '=', canonical)
    .executeTakeFirstOrThrow();
  return row.account_id;
}

/** An answer as a stranger sees it, with what differs from request to request masked. */
async function observe(identifier: string, password: string) {
  const visitor = newHttpVisitor(gapura.url);
  const page = await openLogin(visitor);
  const before = countHashes().made;
  let answer: Answer | undefined;
  const statements = await listStatements(async () => {
    answer = await visitor.post(page.url, { identifier, password }, { follow: false });
  });
  if (!answer) throw new Error('no answer');
  const uid = page.url.pathname.split('/')[2] as string;
  const mask = (text: string) => text.replaceAll(uid, '<uid>').replaceAll(identifier, '<name>');
  const headers = [...answer.headers].filter(([name]) => !['date', 'x-request-id'].includes(name));
  const cookies = answer.headers.getSetCookie().map((line) => line.replace(/^([^=]+)=[^;]*/, '$1=<value>'));
  return {
    status: answer.status,
    headers: headers.map(([name, value]) => [name, mask(value)]),
    cookies,
    body: mask(answer.body),
    hashes: countHashes().made - before,
    statements,
  };
}

describe('an unknown name and a wrong password', () => {
  test('get the same answer, byte for byte, for the same work', async () => {
    const known = await observe('budi', 'not his password');
    const unknown = await observe('bude', 'not his password');
    expect(known).toMatchObject({ status: 422, hashes: 1, cookies: [] });
    expect(known.body).toContain(wrong);
    expect(known.statements.length).toBeGreaterThan(4);
    expect(unknown).toEqual(known);
  });

  test('also when the account is closed or has run out', async () => {
    const unknown = await observe('tona', 'not his password');
    const id = await findId('tono');
    await lockAccount(gapura.db, id, 'locked', { because: 'test' });
    expect(await observe('tono', 'not his password')).toEqual(unknown);
    await unlockAccount(gapura.db, id, 'locked', { because: 'test' });
    await setExpiry(id, sql`gapura_now() - interval '1 day'`);
    expect(await observe('tono', 'not his password')).toEqual(unknown);
    await setExpiry(id, sql`NULL`);
  });

  test('also when they are made to wait, and then cost no hash', async () => {
    const answers = [];
    for (const name of ['budi', 'bude']) {
      for (let at = 0; at < 5; at++) await tryPassword(name, 'not his password');
      answers.push(await observe(name, 'not his password'));
    }
    const [known, unknown] = answers;
    expect(known).toMatchObject({ status: 429, hashes: 0 });
    expect(known?.body).toContain(waits);
    expect(unknown).toEqual(known);
  });

  test('a missing name or password is asked for without a hash', async () => {
    expect(await observe('', 'x')).toMatchObject({ status: 422, hashes: 0, statements: expect.any(Array) });
    const empty = await observe('budi', '');
    expect(empty).toMatchObject({ status: 422, hashes: 0 });
    expect(empty.body).toContain('Isi kata sandi Anda.');
  });
});

/** Directly in the row, as an administrator's page will do it. */
async function setExpiry(id: string, at: ReturnType<typeof sql>): Promise<void> {
  await sql`UPDATE accounts SET expires_at = ${at} WHERE id = ${id}`.execute(gapura.db);
}

describe('the limits', () => {
  test('make everybody wait longer and longer, known or not, whatever the password', async () => {
    for (const name of ['sari', 'nobody']) {
      const seen: number[] = [];
      let moved = 0;
      for (let at = 0; at < 5; at++) expect((await tryPassword(name, 'wrong')).status).toBe(422);
      for (let round = 0; round < 3; round++) {
        const { status, headers } = await tryPassword(name, demo_password);
        expect(status).toBe(429);
        seen.push(Number(headers.get('retry-after')));
        moved += (seen.at(-1) ?? 0) + 1;
        await moveClock(gapura.db, moved);
        expect((await tryPassword(name, 'wrong')).status).toBe(422);
      }
      const [first = 0, second = 0, third = 0] = seen;
      expect(first).toBeGreaterThan(25);
      expect(first).toBeLessThanOrEqual(30);
      expect(second).toBeGreaterThan(1.8 * first);
      expect(third).toBeGreaterThan(1.8 * second);
      await resetClock(gapura.db);
      // Counters that were written in the future.
      await gapura.db.deleteFrom('limits').execute();
    }
  });

  test('say in words how long, fill the name in again, and let through who comes after the wait', async () => {
    for (let at = 0; at < 5; at++) await tryPassword('sari', 'wrong');
    const visitor = newHttpVisitor(gapura.url);
    const limited = await tryPassword('sari', demo_password, visitor);
    const seconds = limited.headers.get('retry-after');
    expect(limited.body).toContain(`Silakan coba lagi dalam ${seconds} detik.`);
    expect(findForm(limited.body).fields).toEqual({ identifier: 'sari', password: '' });
    await moveClock(gapura.db, Number(seconds) + 1);
    const done = await visitor.post(limited.url, { identifier: 'sari', password: demo_password }, { follow: false });
    expect(done.status).toBe(303);
    // The success has emptied the counters of this name.
    for (let at = 0; at < 5; at++) expect((await tryPassword('sari', 'wrong')).status).toBe(422);
  });

  test('hold one address that tries many names once each', async () => {
    const tryNext = async (at: number) => (await tryPassword(`name-${at}`, 'wrong')).status;
    expect([await tryNext(1), await tryNext(2)]).toEqual([422, 422]);
    // The tries between them are paid without their hashes (sign-in-limits.test.ts makes them all).
    const limits = openLimits(gapura.config.secrets[0] as Secret);
    for (let at = 3; at < 50; at++) await limits.spend(gapura.db, 'sign_in_address', ['127.0.0.1']);
    expect([await tryNext(50), await tryNext(51)]).toEqual([422, 429]);
  });

  test('of strangers do not keep Budi out of the browser that he uses', async () => {
    const his = newHttpVisitor(gapura.url);
    expect((await tryPassword('budi', demo_password, his)).status).toBe(303);
    for (let at = 0; at < 7; at++) await tryPassword('budi', 'wrong');
    expect((await tryPassword('budi', demo_password)).status).toBe(429);
    // Signed out, but with the cookie by which the browser is known.
    const again = newHttpVisitor(gapura.url);
    again.cookies.push(...his.cookies.filter(({ name }) => name === 'gapura_browser'));
    expect(again.cookies).toHaveLength(1);
    expect((await tryPassword('budi', demo_password, again)).status).toBe(303);
    // Known for him, not for others.
    for (let at = 0; at < 5; at++) await tryPassword('sari', 'wrong');
    expect((await tryPassword('sari', demo_password, again)).status).toBe(429);
    // And his own lane has an end too.
    for (let at = 0; at < 10; at++) expect((await tryPassword('budi', 'wrong', again)).status).toBe(422);
    expect((await tryPassword('budi', demo_password, again)).status).toBe(429);
  });

  test('an invented browser cookie opens no lane', async () => {
    for (let at = 0; at < 5; at++) {
      const visitor = newHttpVisitor(gapura.url);
      const cookie = { name: 'gapura_browser', value: `invented-${at}`, host: 'localhost', path: '/', secure: false };
      visitor.cookies.push(cookie);
      expect((await tryPassword('budi', 'wrong', visitor)).status).toBe(422);
    }
    expect((await tryPassword('budi', 'wrong')).status).toBe(429);
  });
});

test('while too many passwords are being hashed the page asks to come back, and the sign-in can go on', async () => {
  const visitor = newHttpVisitor(gapura.url);
  const page = await openLogin(visitor);
  let is_full = true;
  // Who leaves the line joins it again before any request is read.
  const join = (): Promise<void> => hashPassword('x').then(() => (is_full ? join() : undefined));
  const line: Promise<void>[] = [];
  while (countHashes().waiting < 64) line.push(join());
  const before = countHashes();
  const refused = await visitor.post(page.url, { identifier: 'budi', password: demo_password }, { follow: false });
  is_full = false;
  await Promise.all(line);
  expect(before.waiting).toBe(64);
  expect(refused.status).toBe(503);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(refused.body).toContain('<h1>Sedang sangat ramai</h1>');
  expect(
    (await visitor.post(page.url, { identifier: 'budi', password: demo_password }, { follow: false })).status,
  ).toBe(303);
});

describe('a closed account', () => {
  test.each(['locked', 'disabled', 'frozen', 'dormant', 'revoked'] as const)(
    'that is %s hears of it after the right password',
    async (kind) => {
      const id = await findId('tono');
      await lockAccount(gapura.db, id, kind, { because: 'test' });
      const refused = await tryPassword('tono', demo_password);
      await unlockAccount(gapura.db, id, kind, { because: 'test' });
      expect(refused.status).toBe(422);
      expect(refused.body).not.toContain(wrong);
      expect(refused.body).toMatch(/Akun Anda (terkunci|dinonaktifkan|dibekukan|telah dicabut)/);
      expect(refused.headers.getSetCookie()).toEqual([]);
      expect((await tryPassword('tono', demo_password)).status).toBe(303);
    },
  );

  test('that has run out hears of it after the right password', async () => {
    const id = await findId('tono');
    await setExpiry(id, sql`gapura_now() - interval '1 second'`);
    const refused = await tryPassword('tono', demo_password);
    await setExpiry(id, sql`NULL`);
    expect(refused.status).toBe(422);
    expect(refused.body).toContain('Masa berlaku akun Anda telah berakhir.');
  });
});

describe('a name', () => {
  test.each([
    ...['budi', 'BUDI', '  Budi ', 'ｂｕｄｉ', 'budi@contoh.example', ' Budi@Contoh.Example '],
    ...['+6281200000101', '0812-0000-0101', '62 812 0000 0101'],
  ])('typed as "%s" is Budi’s', async (typed) => {
    expect((await tryPassword(typed, demo_password)).status).toBe(303);
  });

  test.each(['budi@contoh.example.', 'budi@contoh', '0812-0000-010', 'budi\u200b', 'b\u0443di', "budi' OR '1'='1"])(
    'typed as "%s" is nobody’s',
    async (typed) => {
      const refused = await tryPassword(typed, demo_password);
      expect(refused.status).toBe(422);
      expect(refused.body).toContain(wrong);
    },
  );

  test('is one name for the limits however it is written, and its counter tells nobody which other names are the same person’s', async () => {
    for (const typed of ['budi', 'budi', 'budi', 'budi', 'budi']) await tryPassword(typed, 'wrong');
    for (const typed of ['zudi', 'zudi', 'zudi', 'zudi', 'zudi']) await tryPassword(typed, 'wrong');
    for (const typed of ['budi', 'zudi']) expect((await tryPassword(typed, 'wrong')).status).toBe(429);
    for (const typed of ['budi@contoh.example', '081200000101', 'zudi@contoh.example', '081200000999'])
      expect((await tryPassword(typed, 'wrong')).status).toBe(422);
    await gapura.db.deleteFrom('limits').execute();
    for (const typed of ['budi', 'BUDI', ' budi', 'ｂｕｄｉ', 'Budi']) await tryPassword(typed, 'wrong');
    expect((await tryPassword('budi', demo_password)).status).toBe(429);
    for (const typed of ['081299999999', '+6281299999999', '0812 9999 9999', '62812-9999-9999', '(0812) 99999999'])
      await tryPassword(typed, 'wrong');
    expect((await tryPassword('+62 812 9999 9999', 'wrong')).status).toBe(429);
  });

  test('of the application’s hint stands in the field', async () => {
    const page = await openLogin(newHttpVisitor(gapura.url), { login_hint: 'budi"><b>x' });
    expect(findForm(page.body).fields.identifier).toBe('budi"><b>x');
    expect(page.body).not.toContain('<b>');
  });
});

test('a password is compared as it was typed', async () => {
  for (const other of [
    demo_password.toLowerCase(),
    demo_password.slice(0, -1),
    `${demo_password} `,
    ` ${demo_password}`,
    `${demo_password}${'x'.repeat(900)}`,
  ]) {
    expect((await tryPassword('budi', other)).status).toBe(422);
    await gapura.db.deleteFrom('limits').execute();
  }
  const long = await tryPassword('budi', 'x'.repeat(1025));
  expect(long.status).toBe(422);
  expect(long.body).toContain('Isian ini terlalu panjang.');
});

test('a password stands in no page, no log line and no table afterwards', async () => {
  const canary = 'Kanari-8c1f-Rahasia';
  const shown: string[] = [];
  for (const [identifier, password] of [
    ['budi', canary],
    ['nobody', canary],
    // Into the wrong field: the page fills it in again, and nothing else keeps it.
    [canary, 'x'],
    ['budi', canary.repeat(100)],
    ['', canary],
    ['sari', demo_password],
  ] as const) {
    const { body, headers } = await tryPassword(identifier, password);
    if (identifier !== canary) shown.push(body, JSON.stringify([...headers]));
  }
  const visitor = newHttpVisitor(gapura.url);
  const page = await openLogin(visitor);
  await visitor.post(page.url, new URLSearchParams(`password=${canary}&password=${canary}&identifier=budi`));
  const tables = await sql<{ name: string }>`SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
    WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`.execute(gapura.db);
  for (const { name } of tables.rows) {
    const { rows } = await sql<{ row: string }>`SELECT t::text AS row FROM ${sql.raw(name)} t`.execute(gapura.db);
    shown.push(...rows.map(({ row }) => row));
  }
  shown.push(...gapura.log.map((line) => JSON.stringify(line)));
  expect(tables.rows.length).toBeGreaterThan(15);
  expect(gapura.log.length).toBeGreaterThan(10);
  expect(shown.filter((text) => text.includes(canary) || text.includes(demo_password))).toEqual([]);
});

describe('a browser', () => {
  test('that signs in gets a new session, and one cookie by which it is known', async () => {
    const visitor = newHttpVisitor(gapura.url);
    const page = await openLogin(visitor);
    const before = visitor.cookies.find(({ name }) => name === 'gapura_session');
    const done = await visitor.post(page.url, { identifier: 'budi', password: demo_password }, { follow: false });
    const line = done.headers.getSetCookie().find((one) => one.startsWith('gapura_browser='));
    expect(line).toMatch(/^gapura_browser=[\w-]{43}; path=\/; expires=[^;]+; samesite=lax; httponly$/i);
    await followTo(visitor, party.redirect_uri, done);
    const after = visitor.cookies.find(({ name }) => name === 'gapura_session');
    expect(after?.value).toBeTruthy();
    expect(after?.value).not.toBe(before?.value);
    const { rows } = await sql<{ row: string }>`SELECT t::text AS row FROM browsers t`.execute(gapura.db);
    const value = /=([^;]+)/.exec(line ?? '')?.[1] as string;
    expect(rows.filter(({ row }) => row.includes(value))).toEqual([]);
  });

  test('signs in in two tabs at once, and both applications are opened', async () => {
    const visitor = newHttpVisitor(gapura.url);
    const other = await openParty(gapura.config.issuer, await registerClient(gapura, 'lain'));
    const tabs = [
      { party, ...(await party.begin()) },
      { party: other, ...(await other.begin()) },
    ];
    const pages: Answer[] = [];
    for (const { address } of tabs) pages.push(await visitor.get(address));
    expect(pages[0]?.url.pathname).not.toBe(pages[1]?.url.pathname);
    for (const [at, tab] of tabs.entries()) {
      const sent = await visitor.post(
        (pages[at] as Answer).url,
        { identifier: 'budi', password: demo_password },
        { follow: false },
      );
      const reached = await followTo(visitor, tab.party.redirect_uri, sent);
      if (!('returned' in reached)) throw new Error(`tab ${at} ended on ${reached.page.status}: ${reached.page.body}`);
      const tokens = await tab.party.redeem(reached.returned, tab.checks);
      expect(tokens.claims()?.sub).toBe(await findId('budi'));
    }
  });

  test('with two people in two tabs gives each application its own, and ends signed in as the later one', async () => {
    const visitor = newHttpVisitor(gapura.url);
    const [one, two] = [await party.begin(), await party.begin()];
    const [page_1, page_2] = [await visitor.get(one.address), await visitor.get(two.address)];
    const first = await followTo(visitor, party.redirect_uri, await post(visitor, page_1, 'budi'));
    if (!('returned' in first)) throw new Error('Budi did not get in');
    const his = await party.redeem(first.returned, one.checks);
    expect(his.claims()?.sub).toBe(await findId('budi'));
    // The session of the first ends before that of the second begins: the engine's page sends itself, or has a button.
    const between = await followTo(visitor, party.redirect_uri, await post(visitor, page_2, 'tono'));
    if ('returned' in between) throw new Error('the first session was taken over');
    const form = findForm(between.page.body);
    const ended = await visitor.post(form.action, form.fields, { follow: false });
    const second = await followTo(visitor, party.redirect_uri, ended);
    if (!('returned' in second)) throw new Error(`Tono ended on ${second.page.status}: ${second.page.body}`);
    expect((await party.redeem(second.returned, two.checks)).claims()?.sub).toBe(await findId('tono'));
    expect(await oidc.tokenIntrospection(party.configuration, his.access_token)).toMatchObject({ active: false });
    expect((await visitor.get('/portal')).body).toContain('<strong>tono</strong>');
  });
});

const post = (visitor: HttpVisitor, page: Answer, identifier: string) =>
  visitor.post(page.url, { identifier, password: demo_password }, { follow: false });

describe('a wrong address from an application', () => {
  test.each([
    ['an unknown client', { client_id: 'tidak-ada' }, 'Aplikasi tidak dikenal'],
    ['no client', { client_id: '' }, 'Permintaan aplikasi tidak dapat diproses'],
    [
      'a foreign redirect address',
      { redirect_uri: 'https://jahat.example/callback' },
      'Alamat kembali tidak terdaftar',
    ],
  ])('with %s ends on a page with words and a way on', async (_what, parameters, title) => {
    const visitor = newHttpVisitor(gapura.url);
    const url = new URL((await party.begin()).address);
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
    const answer = await visitor.get(url, { follow: false });
    expect(answer.status).toBe(400);
    expect(answer.headers.get('location')).toBeNull();
    expect(answer.body).toContain(`<h1>${title}</h1>`);
    expect(answer.body).not.toMatch(/href="https?:\/\/jahat/);
    const ways = [...answer.body.matchAll(/<a class="button[^"]*" href="([^"]+)"/g)].map(([, href]) => href);
    expect(ways).toEqual(expect.arrayContaining(['/portal', '/']));
    expect((await visitor.get('/portal')).status).toBe(200);
  });

  test('of a client that is known, the page leads back to it', async () => {
    const url = new URL((await party.begin()).address);
    url.searchParams.set('redirect_uri', 'https://jahat.example/callback');
    const answer = await newHttpVisitor(gapura.url).get(url, { follow: false });
    expect(answer.body).toContain('href="http://penguji.localhost:4999/"');
  });
});

test('links to registration and recovery carry the application', async () => {
  const { body } = await openLogin();
  expect(body).toContain('href="/registration?client_id=penguji"');
  expect(body).toMatch(
    /href="\/recovery\?client_id=penguji&#38;interaction=[\w-]{20,}"|href="\/recovery\?client_id=penguji&amp;interaction=[\w-]{20,}"/,
  );
});

test('who is signed in is not asked again', async () => {
  const visitor = newHttpVisitor(gapura.url);
  await signIn(visitor, await visitor.get('/portal'), 'budi');
  const { address, checks } = await party.begin();
  const tokens = await party.redeem(await authorize(visitor, address, party.redirect_uri), checks);
  expect(tokens.claims()?.sub).toBe(await findId('budi'));
});
