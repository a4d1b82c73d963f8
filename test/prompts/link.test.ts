/** Create SSO on the way in: who is asked and when, what each answer leads to, and the way back to the application. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Database } from '../../src/database.ts';
import { listRequests } from '../../src/links/requests.ts';
import { listLinks, markStale } from '../../src/links/store.ts';
import {
  linkAs,
  openTestLinks,
  own_password,
  registerApplication,
  startApplication,
  type TestApplication,
} from '../support/application.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { readText } from '../support/facts.ts';
import {
  demo_password,
  newSignedInVisitor,
  registerClient,
  signIn,
  startGapura,
  type TestGapura,
} from '../support/gapura.ts';
import { type Answer, findForm, type HttpVisitor, newHttpVisitor } from '../support/http.ts';
import { findAccountId, until } from '../support/nodes.ts';
import { authorize, followTo, openParty, type TestParty } from '../support/relying-party.ts';

let gapura: TestGapura;
let db: Database;
let application: TestApplication;
let links: Awaited<ReturnType<typeof openTestLinks>>;
/** With directorates, and without. */
let parties: { bidang: TestParty; pintu: TestParty };
const food = 'Inspeksi dan Sertifikasi Produk Pangan';
const wrong = 'bukan kata sandinya';
const heading = '<h1>Hubungkan pengguna aplikasi</h1>';

beforeAll(async () => {
  gapura = await startGapura();
  db = gapura.db;
  application = await startApplication();
  links = await openTestLinks(gapura);
  parties = {
    bidang: await openLinkingParty('bidang', { agency_code: 'BPOM', directorate_required: true }),
    pintu: await openLinkingParty('pintu'),
  };
});

afterEach(async () => {
  await resetClock(db);
  for (const table of ['links', 'link_holders', 'link_requests', 'limits'] as const)
    await db.deleteFrom(table).execute();
  Object.assign(application, { answer: undefined, before: async () => undefined });
  application.asked.length = 0;
  await application.stop();
  await application.start();
});

afterAll(async () => {
  await links.close();
  await application.stop();
  await gapura.stop();
});

/** A client that works with its own user names, and its application of the same name. */
async function openLinkingParty(
  id: string,
  registration: Parameters<typeof registerClient>[2] = {},
  changes: Parameters<typeof registerApplication>[3] = {},
): Promise<TestParty> {
  const client = await registerClient(gapura, id, { link_required: true, ...registration });
  await registerApplication(gapura, id, application, { client_id: id, ...changes });
  return openParty(gapura.config.issuer, client, 'openid directorate linked_account');
}

/** Goes from the application through sign-in and directorate to the question, or to the answer where none is asked. */
async function begin(
  identifier: string,
  { party = parties.pintu, visitor = newHttpVisitor(gapura.url), directorate = food, parameters = {} } = {},
) {
  const { address, checks } = await party.begin(parameters);
  let answer = await visitor.get(address, { follow: false });
  for (let pages = 0; pages < 4; pages += 1) {
    const reached = await followTo(visitor, party.redirect_uri, answer);
    if ('returned' in reached) return { party, visitor, checks, returned: reached.returned };
    const { page } = reached;
    const post = (fields: Record<string, string>) => visitor.post(page.url, fields, { follow: false });
    if (page.body.includes('name="identifier"')) answer = await post({ identifier, password: demo_password });
    else if (page.body.includes('name="directorate"'))
      answer = await post({ directorate: findOption(page, directorate) });
    else return { party, visitor, checks, page };
  }
  throw new Error('the questions do not end');
}

async function beginAsked(...args: Parameters<typeof begin>) {
  const { page, ...rest } = await begin(...args);
  if (!page?.body.includes('id="link"')) throw new Error(`${args[0]} was not asked: ${page?.body}`);
  return { page, ...rest };
}

function findOption({ body }: Answer, words: string): string {
  const value = new RegExp(`<option value="([^"]+)">${words}`).exec(body)?.[1];
  if (!value) throw new Error(`no choice "${words}" in:\n${body}`);
  return value;
}

const send = (visitor: HttpVisitor, page: Answer, fields: Record<string, string>) =>
  visitor.post(page.url, fields, { follow: false });

const right = (username: string) => ({ username, password: own_password });

/** What the application is told after an answer that leads back to it. */
async function expectTold({ party, visitor, checks }: Awaited<ReturnType<typeof beginAsked>>, sent: Answer) {
  const reached = await followTo(visitor, party.redirect_uri, sent);
  if (!('returned' in reached)) throw new Error(`not back at the application: ${readText(reached.page.body)}`);
  const claims = (await party.redeem(reached.returned, checks)).claims();
  return claims?.linked_account as { username: string } | undefined;
}

/** The same page again, with a sentence and nothing of the password. */
function expectRefused(page: Answer, refused: Answer, status: number, sentence: string) {
  expect([refused.status, refused.url.href]).toEqual([status, page.url.href]);
  expect(refused.body).toContain(heading);
  expect(readText(/<[^>]+id="problems".*?<\/div>/s.exec(refused.body)?.[0] ?? '')).toContain(sentence);
  expect(refused.body).not.toContain(own_password);
  expect(refused.body).not.toContain(wrong);
}

describe('the question', () => {
  test('comes after the directorate, names application and directorate, and asks for user name and password', async () => {
    const { page } = await beginAsked('budi', { party: parties.bidang });
    expect(page.status).toBe(200);
    expect(page.body).toContain(heading);
    for (const words of ['Aplikasi bidang', food, 'melupakan kata sandi ini']) expect(page.body).toContain(words);
    expect(findForm(page.body)).toMatchObject({
      action: page.url.pathname,
      method: 'post',
      fields: { username: '', password: '' },
    });
    expect(page.body).toMatch(/<button id="submit" type="submit">Hubungkan<\/button>/);
    expect(page.body).toMatch(/<button id="cancel" [^>]*>Kembali ke Aplikasi bidang<\/button>/);
    for (const field of ['username', 'password'])
      expect(page.body).toMatch(new RegExp(`<input[^>]*name="${field}"[^>]*autocomplete="off"`));
  });

  test('is asked in English too', async () => {
    const { page } = await beginAsked('budi', { parameters: { ui_locales: 'en' } });
    expect(page.body).toContain('<html lang="en">');
    expect(page.body).not.toContain('Hubungkan');
  });

  test('is not asked of a person whose link serves, and not of a client that does without', async () => {
    await linkAs(links, 'budi', 'pintu', 'user_bpom');
    expect((await begin('budi')).returned?.searchParams.get('code')).toBeTruthy();
    const free = await openParty(gapura.config.issuer, await registerClient(gapura, 'bebas'));
    expect((await begin('tono', { party: free })).returned?.searchParams.get('code')).toBeTruthy();
  });

  test('is asked of each person for themselves', async () => {
    await linkAs(links, 'budi', 'pintu', 'user_bpom');
    const { page } = await beginAsked('tono');
    expect(page.body).not.toContain('user_bpom');
  });

  test('is not asked of a program: prompt=none gives interaction_required', async () => {
    const visitor = await newSignedInVisitor(gapura.url, 'budi');
    const { address } = await parties.pintu.begin({ prompt: 'none' });
    const returned = await authorize(visitor, address, parties.pintu.redirect_uri);
    expect(returned.searchParams.get('error')).toBe('interaction_required');
    await linkAs(links, 'budi', 'pintu', 'user_bpom');
    const { address: again } = await parties.pintu.begin({ prompt: 'none' });
    expect((await authorize(visitor, again, parties.pintu.redirect_uri)).searchParams.get('code')).toBeTruthy();
  });

  test('comes again in a live session once the link is removed, is stale, or its proof ran out', async () => {
    const id = await linkAs(links, 'budi', 'pintu', 'user_bpom');
    const { visitor, returned } = await begin('budi');
    expect(returned).toBeDefined();
    await db.updateTable('links').set({ stale_at: new Date() }).where('id', '=', id).execute();
    const stale = await beginAsked('budi', { visitor });
    expect(readText(stale.page.body)).toContain('Sudah terhubung, tetapi tidak dapat dipakai di sini: user_bpom.');
    expect(await expectTold(stale, await send(visitor, stale.page, right('user_bpom')))).toMatchObject({
      username: 'user_bpom',
    });
    await db.updateTable('applications').set({ proof_lasts: 1 }).where('id', '=', 'pintu').execute();
    await db
      .updateTable('links')
      .set({ verified_at: new Date(Date.now() - 2 * 86_400_000) })
      .execute();
    await beginAsked('budi', { visitor });
    await db.updateTable('applications').set({ proof_lasts: null }).where('id', '=', 'pintu').execute();
    expect((await begin('budi', { visitor })).returned).toBeDefined();
    await db.deleteFrom('links').execute();
    expect((await beginAsked('budi', { visitor })).page.body).not.toContain('Sudah terhubung');
  });

  test('of a client whose application cannot be asked explains it, asks nothing, and leads back', async () => {
    const party = await openLinkingParty('bisu', {}, { verifier: null, verifier_settings: '{}' });
    const asked = await begin('budi', { party });
    const { page, visitor, checks } = asked;
    if (!page) throw new Error('no page');
    expect(page.status).toBe(200);
    expect(readText(page.body)).toContain('Aplikasi bisu belum mendukung penghubungan pengguna.');
    expect(page.body).not.toContain('type="password"');
    expect(page.body).not.toContain('id="submit"');
    expectRefused(page, await send(visitor, page, right('user_bpom')), 422, 'belum mendukung');
    expect(application.asked).toEqual([]);
    const back = await followTo(visitor, party.redirect_uri, await send(visitor, page, { cancel: '1' }));
    if (!('returned' in back)) throw new Error('no way back');
    expect(back.returned.searchParams.get('error')).toBe('access_denied');
    expect(back.returned.searchParams.get('state')).toBe(checks.expectedState);
  });

  test('of a client without any application, or with a closed one, explains it as well', async () => {
    const client = await registerClient(gapura, 'sendiri', { link_required: true });
    const alone = await begin('budi', { party: await openParty(gapura.config.issuer, client) });
    const party = await openLinkingParty('tutup', {}, { active: false });
    const closed = await begin('budi', { party });
    for (const { page } of [alone, closed]) {
      expect(page?.status).toBe(200);
      expect(page?.body).toContain('belum mendukung penghubungan pengguna');
      expect(page?.body).toContain('id="cancel"');
    }
  });
});

describe('an answer', () => {
  test('that is right makes the link, goes on, and the application is told of it', async () => {
    const asked = await beginAsked('budi');
    const told = await expectTold(asked, await send(asked.visitor, asked.page, right('user_umum')));
    expect(told).toMatchObject({ username: 'user_umum' });
    expect(await listLinks(db, await findAccountId(gapura, 'budi'), 'pintu')).toMatchObject([
      { username: 'user_umum' },
    ]);
    const audit = await db
      .selectFrom('audit_events as e')
      .innerJoin('audit_personal as p', 'p.event_id', 'e.id')
      .select(['e.kind', 'p.address'])
      .where('e.kind', '=', 'link_added')
      .orderBy('e.id', 'desc')
      .executeTakeFirst();
    expect(audit).toEqual({ kind: 'link_added', address: '127.0.0.1' });
  });

  test('for another directorate is kept, and the page says that it does not serve here', async () => {
    const asked = await beginAsked('budi', { party: parties.bidang });
    const sent = await send(asked.visitor, asked.page, right('user_bpom_ot'));
    const reached = await followTo(asked.visitor, asked.party.redirect_uri, sent);
    if (!('page' in reached)) throw new Error('it served all the same');
    expect(reached.page.body).toContain(heading);
    expect(readText(reached.page.body)).toContain('Sudah terhubung, tetapi tidak dapat dipakai di sini: user_bpom_ot.');
    expect(reached.page.body).toContain(food);
    const told = await expectTold(asked, await send(asked.visitor, reached.page, right('user_bpom')));
    expect(told).toMatchObject({ username: 'user_bpom', directorate: 'PANGAN' });
    expect(await listLinks(db, await findAccountId(gapura, 'budi'), 'bidang')).toHaveLength(2);
  });

  test.each([
    ['a wrong password', { username: 'user_bpom', password: wrong }, 'tidak sesuai'],
    ['a name that nobody has', { username: 'bukan_siapa', password: own_password }, 'tidak sesuai'],
    ['a locked name', { username: 'user_kunci', password: own_password }, 'mengunci nama pengguna ini'],
    ['no name', { username: ' ', password: wrong }, 'Isi nama pengguna Anda'],
    ['no password', { username: 'user_bpom', password: '' }, 'Isi kata sandi Anda'],
    ['nothing', {}, 'Isi nama pengguna Anda'],
    ['an endless name', { username: 'x'.repeat(201), password: wrong }, 'terlalu panjang'],
    ['an endless password', { username: 'user_bpom', password: 'x'.repeat(1025) }, 'terlalu panjang'],
  ])('with %s is refused on the same page, and the right one is taken after it', async (_what, fields, sentence) => {
    const asked = await beginAsked('budi');
    const refused = await send(asked.visitor, asked.page, fields as Record<string, string>);
    expectRefused(asked.page, refused, 422, sentence);
    expect(findForm(refused.body).fields.password).toBe('');
    expect(await listLinks(db, await findAccountId(gapura, 'budi'), 'pintu')).toEqual([]);
    expect(await expectTold(asked, await send(asked.visitor, refused, right('user_bpom')))).toBeDefined();
  });

  test('keeps the typed user name on the page, as text and nothing else', async () => {
    const { visitor, page } = await beginAsked('budi');
    const username = `"><script>alert(1)</script>`;
    const refused = await send(visitor, page, { username, password: wrong });
    expect(findForm(refused.body).fields.username).toBe(username);
    expect(refused.body).not.toContain('<script>alert');
  });

  test.each([
    ['is not there', () => application.stop(), 'sedang tidak dapat dihubungi'],
    [
      'answers nonsense',
      async () => {
        application.answer = (_, res) => void res.end('<html>');
      },
      'tidak dapat dibaca',
    ],
    [
      'fails',
      async () => {
        application.answer = (_, res) => void res.writeHead(500).end();
      },
      'tidak dapat dibaca',
    ],
  ])('while the application %s is answered so, and works once it is back', async (_what, break_down, sentence) => {
    const asked = await beginAsked('budi');
    await break_down();
    expectRefused(asked.page, await send(asked.visitor, asked.page, right('user_bpom')), 422, sentence);
    application.answer = undefined;
    await application.start();
    expect(await expectTold(asked, await send(asked.visitor, asked.page, right('user_bpom')))).toBeDefined();
  });

  test('while the application keeps silent ends in time with its own sentence, and others are served meanwhile', async () => {
    const party = await openLinkingParty('lambat', {}, { settings: { timeout: 3000 } });
    const asked = await beginAsked('budi', { party });
    let arrived = false;
    application.answer = () => {
      arrived = true;
    };
    let ended = false;
    const stuck = send(asked.visitor, asked.page, right('user_bpom')).finally(() => {
      ended = true;
    });
    await until(() => arrived);
    expect((await newHttpVisitor(gapura.url).get('/portal')).status).toBe(200);
    expect(ended).toBe(false);
    expectRefused(asked.page, await stuck, 422, 'terlalu lama menjawab');
  });

  test('after too many failures of the application is told to wait, without asking it', async () => {
    const { visitor, page } = await beginAsked('budi');
    await application.stop();
    for (let tries = 0; tries < 5; tries += 1) await send(visitor, page, right('user_bpom'));
    await application.start();
    const refused = await send(visitor, page, right('user_bpom'));
    expectRefused(page, refused, 422, 'beberapa kali tidak menjawab');
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(application.asked).toEqual([]);
    const other = newHttpVisitor(gapura.url);
    expect((await signIn(other, await other.get('/portal'), 'tono')).url.pathname).toBe('/portal');
  });

  test('after too many wrong ones is told how long to wait, by number and header', async () => {
    const { visitor, page, ...rest } = await beginAsked('budi');
    for (let tries = 0; tries < 5; tries += 1) await send(visitor, page, { username: 'user_bpom', password: wrong });
    const asked = application.asked.length;
    const refused = await send(visitor, page, right('user_bpom'));
    expectRefused(page, refused, 429, 'Silakan coba lagi dalam 1 menit');
    const seconds = Number(refused.headers.get('retry-after'));
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThanOrEqual(30);
    expect(application.asked).toHaveLength(asked);
    await moveClock(db, 31);
    expect(await expectTold({ visitor, page, ...rest }, await send(visitor, page, right('user_bpom')))).toBeDefined();
  });

  test('with a name that another holds says so, and an officer decides; one’s own name still serves', async () => {
    await linkAs(links, 'tono', 'pintu', 'user_bpom');
    const asked = await beginAsked('budi');
    const refused = await send(asked.visitor, asked.page, right('user_bpom'));
    expectRefused(asked.page, refused, 422, 'Nama pengguna user_bpom sudah terhubung dengan orang lain');
    expect(refused.body).not.toContain('Tono');
    expect(await listRequests(db, await findAccountId(gapura, 'budi'), 'pintu')).toHaveLength(1);
    const told = await expectTold(asked, await send(asked.visitor, asked.page, right('user_umum')));
    expect(told).toMatchObject({ username: 'user_umum' });
  });

  test('that declines goes back with access_denied and the state, and leaves nothing', async () => {
    const { visitor, page, checks, party } = await beginAsked('budi', { party: parties.bidang });
    const sent = await send(visitor, page, { cancel: '1', ...right('user_bpom') });
    const reached = await followTo(visitor, party.redirect_uri, sent);
    if (!('returned' in reached)) throw new Error('not back');
    expect(Object.fromEntries(reached.returned.searchParams)).toMatchObject({
      error: 'access_denied',
      state: checks.expectedState,
      iss: gapura.config.issuer,
    });
    expect(reached.returned.searchParams.has('code')).toBe(false);
    expect(application.asked).toEqual([]);
    // Whoever declined is signed in and may come back.
    expect((await begin('budi', { visitor, party })).page?.body).toContain(heading);
  });

  test('given elsewhere meanwhile is not asked for again: the open page goes on with any link that serves', async () => {
    const asked = await beginAsked('budi');
    await linkAs(links, 'budi', 'pintu', 'user_bpom');
    const told = await expectTold(asked, await send(asked.visitor, asked.page, right('user_umum')));
    expect(told).toMatchObject({ username: 'user_bpom' });
  });

  test('whose link is removed before the answer is given gives no code: the question is asked again', async () => {
    const { visitor, page, party } = await beginAsked('budi');
    const sent = await send(visitor, page, right('user_bpom'));
    expect(sent.status).toBe(303);
    await db.deleteFrom('links').execute();
    await db.deleteFrom('link_holders').execute();
    const reached = await followTo(visitor, party.redirect_uri, sent);
    if (!('page' in reached)) throw new Error('a code all the same');
    expect(reached.page.body).toContain(heading);
  });
});

test('a link that the application called stale while its page was open does not serve', async () => {
  await linkAs(links, 'budi', 'pintu', 'user_bpom');
  const asked = await begin('budi');
  expect(asked.returned).toBeDefined();
  await db.transaction().execute((tx) => markStale(tx, 'pintu', 's-pangan'));
  await beginAsked('budi', { visitor: asked.visitor });
});
