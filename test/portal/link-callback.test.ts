/** Create SSO at the application itself: the whole way over HTTP, and every way in which what comes back is not taken. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { clickAndSettle, expectNoAxeViolations, openBrowser } from '../support/browser.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { readText } from '../support/facts.ts';
import { demo_password, newSignedInVisitor, registerClient, startGapura, type TestGapura } from '../support/gapura.ts';
import { type Answer, findForm, type HttpVisitor, newHttpVisitor } from '../support/http.ts';
import { copyVisitor, findAccountId } from '../support/nodes.ts';
import {
  type RedirectApplication,
  registerRedirectApplication,
  startRedirectApplication,
  test_verifiers,
} from '../support/redirect-application.ts';
import { authorize, followTo, openParty, type TestParty } from '../support/relying-party.ts';
import { storm } from '../support/storm.ts';

let gapura: TestGapura;
let app: RedirectApplication;
let budi: HttpVisitor;
let tono: HttpVisitor;
let party: TestParty;
/** The audit's last row before the test; its rows are only added. */
let audited = '0';

beforeAll(async () => {
  gapura = await startGapura({ verifiers: test_verifiers });
  app = await startRedirectApplication();
  const client = await registerClient(gapura, 'lewat', { link_required: true });
  party = await openParty(gapura.config.issuer, client, 'openid linked_account');
  await registerRedirectApplication(gapura, 'lewat', app, { client_id: client.client_id });
  await registerRedirectApplication(gapura, 'lain', app);
  await registerRedirectApplication(gapura, 'gerbang', app, { verifier: 'gerbang' });
  budi = await newSignedInVisitor(gapura.url, 'budi');
  tono = await newSignedInVisitor(gapura.url, 'tono');
});

beforeEach(async () => {
  const last = gapura.db.selectFrom('audit_events').select((eb) => eb.fn.max('id').as('id'));
  audited = (await last.executeTakeFirst())?.id ?? '0';
});

afterEach(async () => {
  await resetClock(gapura.db);
  for (const table of ['links', 'link_holders', 'link_requests', 'limits', 'mails', 'proofs'] as const)
    await gapura.db.deleteFrom(table).execute();
  Object.assign(app, { sent: [], asked: [], answer: undefined });
  await app.start();
});

afterAll(async () => {
  await app?.stop();
  await gapura?.stop();
});

/** Goes to the application's own page. */
async function leave(visitor: HttpVisitor, address = 'lewat/link'): Promise<Answer> {
  return visitor.submit(await visitor.get(`/portal/applications/${address}`), {}, 'link');
}

/** Signs in there, or cancels without a user name, and gives the address it sends the browser to; nobody opens it yet. */
async function answerThere(visitor: HttpVisitor, there: Answer, username: string): Promise<string> {
  await visitor.post(there.url, { username }, { follow: false });
  return app.sent.at(-1) ?? '';
}

/** The whole way there and back. */
async function prove(visitor: HttpVisitor, username: string, address?: string): Promise<Answer> {
  return visitor.get(await answerThere(visitor, await leave(visitor, address), username));
}

const listLinks = async () =>
  (await gapura.db.selectFrom('links').selectAll().execute()).map((link) => [link.application_id, link.username]);

async function audit(): Promise<[string, object][]> {
  const rows = gapura.db.selectFrom('audit_events').select(['kind', 'detail']).where('id', '>', audited);
  return (await rows.where('kind', 'like', 'link_%').orderBy('id').execute()).map(({ kind, detail }) => [kind, detail]);
}

function expectOver(answer: Answer) {
  expect([answer.status, readText(/<h1>.*?<\/h1>/.exec(answer.body)?.[0] ?? '')]).toEqual([
    410,
    'Penghubungan tidak dapat dilanjutkan',
  ]);
  expect(answer.body).toContain('href="/portal/applications"');
}

describe('the way there', () => {
  test('begins at a button, asks for no password, and may lead to that application alone', async () => {
    const page = await budi.get('/portal/applications/lewat/link');
    expect(page.status).toBe(200);
    expect(page.body).toContain('Lanjut ke Aplikasi lewat');
    expect(page.body).not.toContain('type="password"');
    expect(page.headers.get('content-security-policy')).toContain(`form-action 'self' http://127.0.0.1:${app.port};`);
    const there = await leave(budi);
    expect(there.url.host).toBe(`127.0.0.1:${app.port}`);
    expect(there.url.searchParams.get('callback')).toBe(`${gapura.url}/portal/links/callback/pintu`);
    expect(Buffer.from(there.url.searchParams.get('state') ?? '', 'base64url')).toHaveLength(32);
  });

  test('is not begun from another site, on the page of somebody else, or by GET', async () => {
    const address = '/portal/applications/lewat/verification';
    const refused = await budi.post(address, {}, { headers: { origin: 'https://jahat.example' }, follow: false });
    expect(refused.status).toBe(403);
    const page = await budi.get('/portal/applications/lewat/link');
    const other = await tono.submit(page, {}, 'link');
    expect([other.status, readText(other.body)]).toEqual([422, expect.stringContaining('sekarang masuk Tono')]);
    expect((await budi.get(address)).status).toBe(405);
    expect(await gapura.db.selectFrom('proofs').selectAll().execute()).toEqual([]);
  });

  test('is not found for an application that is proven by a password, or is not there', async () => {
    for (const id of ['tidak-ada', '%27'])
      expect([id, (await budi.post(`/portal/applications/${id}/verification`, {})).status]).toEqual([id, 404]);
    const signed_out = newHttpVisitor(gapura.url);
    const answer = await signed_out.post('/portal/applications/lewat/verification', {}, { follow: false });
    expect([answer.status, answer.headers.get('location')]).toEqual([303, expect.stringContaining('/connect/auth?')]);
  });

  test.each([
    ['https://jahat.example/', 'tidak dapat dibaca'],
    ['javascript:alert(1)', 'tidak dapat dibaca'],
    ['bukan alamat', 'tidak dapat dibaca'],
  ])('leads nowhere else, whatever the application’s way says: %s', async (astray, said) => {
    await registerRedirectApplication(gapura, 'lain', app, { settings: { astray } });
    const refused = await leave(budi, 'lain/link');
    await registerRedirectApplication(gapura, 'lain', app);
    expect([refused.status, refused.headers.get('location')]).toEqual([422, null]);
    expect(readText(refused.body)).toContain(said);
  });

  test('is closed for a while to an application that keeps silent, and costs nobody a try', async () => {
    await registerRedirectApplication(gapura, 'lain', app, { settings: { is_silent: true } });
    for (let tries = 0; tries < 5; tries += 1)
      expect(readText((await leave(budi, 'lain/link')).body)).toContain('sedang tidak dapat dihubungi');
    await registerRedirectApplication(gapura, 'lain', app);
    const paused = await leave(tono, 'lain/link');
    expect([paused.status, readText(paused.body)]).toEqual([
      422,
      expect.stringContaining('beberapa kali tidak menjawab'),
    ]);
    expect(Number(paused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await prove(budi, 'user_umum')).url.search).toBe('?done=linked');
  });

  test('may be gone ten times without an end; then it waits', async () => {
    for (let tries = 0; tries < 10; tries += 1) expect((await leave(budi)).url.host).toBe(`127.0.0.1:${app.port}`);
    const waiting = await leave(budi);
    expect([waiting.status, readText(waiting.body)]).toEqual([429, expect.stringContaining('coba lagi dalam 1 menit')]);
    expect(Number(waiting.headers.get('retry-after'))).toBeGreaterThan(0);
  });
});

describe('the way back', () => {
  test('makes the link, tells the person, stands in the audit, and gives the try back', async () => {
    for (let times = 0; times < 12; times += 1) {
      const done = await prove(budi, 'user_bpom');
      expect([done.status, done.url.pathname + done.url.search]).toEqual([
        200,
        '/portal/applications/lewat?done=linked',
      ]);
    }
    expect(await listLinks()).toEqual([['lewat', 'user_bpom']]);
    expect((await audit()).slice(0, 2)).toEqual([
      ['link_added', { application: 'lewat', renewed: false }],
      ['link_added', { application: 'lewat', renewed: true }],
    ]);
    const mails = await gapura.db
      .selectFrom('mails')
      .select(['to_address', 'template'])
      .where('template', '<>', 'new_browser')
      .execute();
    expect(mails).toEqual([{ to_address: 'budi@contoh.example', template: 'link_added' }]);
  });

  test('of several picked applications goes on to the next', async () => {
    const done = await prove(budi, 'user_umum', 'lewat/link?next=lain&next=gerbang');
    expect(done.url.pathname + done.url.search).toBe('/portal/applications/lain/link?done=linked&next=gerbang');
  });

  test('with the name of somebody else says who decides', async () => {
    await prove(budi, 'user_bpom');
    const held = await prove(tono, 'user_bpom');
    expect(held.url.search).toBe('?done=held');
    expect(readText(held.body)).toContain('sudah terhubung dengan orang lain');
    expect(await listLinks()).toEqual([['lewat', 'user_bpom']]);
  });

  test('without a yes links nothing, says so, and leads back to the beginning', async () => {
    const refused = await prove(budi, '', 'lewat/link?next=lain');
    expect(refused.status).toBe(422);
    expect(readText(refused.body)).toMatch(/Aplikasi lewat belum terhubung.*Mungkin Anda membatalkannya di sana/);
    expect(refused.body).toContain('href="/portal/applications/lewat/link?next=lain"');
    expect([app.asked, await listLinks()]).toEqual([[], []]);
    expect(await audit()).toEqual([['link_refused', { application: 'lewat', because: 'declined' }]]);
    expect((await prove(budi, 'user_umum')).url.search).toBe('?done=linked');
  });

  test('is taken once', async () => {
    const back = await answerThere(budi, await leave(budi), 'user_umum');
    expect((await budi.get(back)).status).toBe(200);
    expectOver(await budi.get(back));
    expect(app.asked).toHaveLength(1);
    expect((await audit()).at(-1)).toEqual(['link_refused', { because: 'spent' }]);
  });

  test('opened 20 times at once is taken once', async () => {
    const back = await answerThere(budi, await leave(budi), 'user_umum');
    const cookie = budi.cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
    const answers = await storm(20, () => ({ url: back, headers: { cookie } }));
    expect(answers.map(({ status }) => status).sort()).toEqual([303, ...Array(19).fill(410)]);
    expect(app.asked).toHaveLength(1);
    expect(await listLinks()).toHaveLength(1);
  });

  test('of one person is nothing to another, and still good for the first', async () => {
    const back = await answerThere(budi, await leave(budi), 'user_umum');
    expectOver(await tono.get(back));
    expect([app.asked, await listLinks()]).toEqual([[], []]);
    expect(await audit()).toEqual([['link_refused', { because: 'elsewhere' }]]);
    const event = gapura.db.selectFrom('audit_events').select(['account_id', 'actor_id']).orderBy('id', 'desc');
    expect(await event.executeTakeFirst()).toEqual({
      account_id: await findAccountId(gapura, 'budi'),
      actor_id: await findAccountId(gapura, 'tono'),
    });
    expect((await budi.get(back)).url.search).toBe('?done=linked');
  });

  test('in another browser of the same person, or in one without a session, is nothing', async () => {
    const back = await answerThere(budi, await leave(budi), 'user_umum');
    expectOver(await (await newSignedInVisitor(gapura.url, 'budi')).get(back));
    expectOver(await newHttpVisitor(gapura.url).get(back));
    expect([app.asked, await listLinks()]).toEqual([[], []]);
    // The same browser, whatever else of it changed.
    expect((await copyVisitor(gapura.url, budi).get(back)).url.search).toBe('?done=linked');
  });

  test('at the address of another kind of application is nothing, and asks neither', async () => {
    const back = await answerThere(budi, await leave(budi), 'user_umum');
    for (const kind of ['gerbang', 'http', 'tidak-ada', '__proto__']) {
      const other = await answerThere(budi, await leave(budi), 'user_umum');
      expectOver(await budi.get(other.replace('/pintu?', `/${kind}?`)));
    }
    expectOver(await budi.get(back));
    expect([app.asked, await listLinks()]).toEqual([[], []]);
  });

  test('belongs to the application at which it began, whatever else was begun since', async () => {
    const first = await answerThere(budi, await leave(budi, 'lewat/link'), 'user_umum');
    await leave(budi, 'lain/link');
    expect((await budi.get(first)).url.pathname).toBe('/portal/applications/lewat');
    expect(await listLinks()).toEqual([['lewat', 'user_umum']]);
  });

  test('of a way that was begun anew is over', async () => {
    const first = await answerThere(budi, await leave(budi), 'user_umum');
    const second = await answerThere(budi, await leave(budi), 'user_umum');
    expectOver(await budi.get(first));
    expect((await budi.get(second)).url.search).toBe('?done=linked');
  });

  test('after ten minutes is over', async () => {
    const back = await answerThere(budi, await leave(budi), 'user_umum');
    await moveClock(gapura.db, 605);
    expectOver(await budi.get(back));
    expect(app.asked).toEqual([]);
    expect(await audit()).toEqual([['link_refused', { because: 'expired' }]]);
  });

  test('to an application that was closed meanwhile is over', async () => {
    const back = await answerThere(budi, await leave(budi), 'user_umum');
    await gapura.db.updateTable('applications').set({ active: false }).where('id', '=', 'lewat').execute();
    const answer = await budi.get(back);
    await gapura.db.updateTable('applications').set({ active: true }).where('id', '=', 'lewat').execute();
    expectOver(answer);
    expect(await listLinks()).toEqual([]);
  });

  test('with odd values is over or refused, and never our failure', async () => {
    for (const odd of ['', '?state=', '?state=x', '?state=a&state=b', '?state[]=a', '?state=%F0%9F%94%91&code=x'])
      expectOver(await budi.get(`/portal/links/callback/pintu${odd}`));
    const back = await answerThere(budi, await leave(budi), 'user_umum');
    expectOver(await budi.get(`${back}&code=again`));
    expect((await budi.get(`${back}%00`)).status).toBe(400);
    expect((await budi.post(back, {})).status).toBe(405);
    expect(app.asked).toEqual([]);
    expect((await budi.get(back)).url.search).toBe('?done=linked');
  });

  test('while the application fails says so; after five times without an answer it is left alone', async () => {
    app.answer = (res) => void res.end('<html>');
    expect(readText((await prove(tono, 'user_umum')).body)).toContain('memberi jawaban yang tidak dapat dibaca');
    for (let tries = 0; tries < 5; tries += 1) {
      const back = await answerThere(budi, await leave(budi), 'user_umum');
      await app.stop();
      const failed = await budi.get(back);
      await app.start();
      expect([failed.status, readText(failed.body)]).toEqual([
        422,
        expect.stringContaining('sedang tidak dapat dihubungi'),
      ]);
    }
    expect(readText((await leave(budi)).body)).toContain('beberapa kali tidak menjawab');
    app.answer = undefined;
    await moveClock(gapura.db, 16);
    expect((await prove(budi, 'user_umum')).url.search).toBe('?done=linked');
  });

  test('leaves its state in no row and no log line', async () => {
    const there = await leave(budi);
    const state = there.url.searchParams.get('state') ?? '';
    await budi.get(await answerThere(budi, there, 'user_umum'));
    await budi.get(app.sent.at(-1) ?? '');
    expect(JSON.stringify(gapura.log)).not.toContain(state);
    const { rows } = await sql<{ name: string }>`SELECT format('%I.%I', schemaname, tablename) AS name
      FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`.execute(gapura.db);
    for (const { name } of rows) {
      const found = await sql`SELECT FROM ${sql.raw(name)} t WHERE t::text LIKE ${`%${state}%`}`.execute(gapura.db);
      expect([name, found.rows.length]).toEqual([name, 0]);
    }
  });
});

describe('on the way into an application', () => {
  /** Signs in and comes to the question. */
  async function beginAsked(identifier: string) {
    const visitor = newHttpVisitor(gapura.url);
    const { address, checks } = await party.begin();
    const login = await visitor.get(address);
    const sent = await visitor.post(login.url, { identifier, password: demo_password }, { follow: false });
    const reached = await followTo(visitor, party.redirect_uri, sent);
    if (!('page' in reached)) throw new Error('nothing was asked');
    return { visitor, checks, page: reached.page };
  }

  /** Presses the button, answers there, and comes back as far as a page or the application. */
  async function goRound(visitor: HttpVisitor, page: Answer, username: string) {
    const back = await answerThere(visitor, await visitor.submit(page, {}, 'link'), username);
    return followTo(visitor, party.redirect_uri, await visitor.get(back, { follow: false }));
  }

  test('the question is a button; the answer there leads on with a code, and the application is told', async () => {
    const { visitor, checks, page } = await beginAsked('budi');
    expect(page.body).toContain('Lanjut ke Aplikasi lewat');
    expect(page.body).not.toContain('type="password"');
    expect(findForm(page.body, 'link').action).toBe(page.url.pathname);
    expect(page.headers.get('content-security-policy')).toContain(`http://127.0.0.1:${app.port}`);
    const reached = await goRound(visitor, page, 'user_bpom');
    if (!('returned' in reached)) throw new Error(`not back: ${readText(reached.page.body)}`);
    const claims = (await party.redeem(reached.returned, checks)).claims();
    expect(claims?.linked_account).toMatchObject({ username: 'user_bpom' });
    // The id of the interaction stands in no row of the proofs as it is.
    const rows = JSON.stringify(await gapura.db.selectFrom('proofs').selectAll().execute());
    expect(rows).not.toContain(page.url.pathname.split('/').at(-1));
  });

  test('it is the same in a browser, with scripts and without, whose policy lets the form lead there and on', async () => {
    const browser = await openBrowser();
    try {
      for (const [at, scripts] of [true, false].entries()) {
        const { page } = await browser.newVisitor({ scripts });
        const { address } = await party.begin();
        await page.goto(address);
        await page.fill('#identifier', 'budi');
        await page.fill('#password', demo_password);
        await clickAndSettle(page, '#submit');
        if (scripts) await expectNoAxeViolations(page);
        await page.click('#submit');
        await page.waitForURL(`http://127.0.0.1:${app.port}/login?**`);
        await page.fill('[name=username]', at ? 'user_bpom' : 'user_umum');
        // Nobody listens there: that the browser was let go is what counts.
        const left = page.waitForRequest((request) => request.url().startsWith(party.redirect_uri));
        await page.press('[name=username]', 'Enter');
        expect((await left).url()).toContain('code=');
        await gapura.db.deleteFrom('links').execute();
      }
    } finally {
      await browser.close();
    }
  });

  test('a no leads back to the question, and from there to the application or round again', async () => {
    const { visitor, checks, page } = await beginAsked('budi');
    const refused = await goRound(visitor, page, '');
    if (!('page' in refused)) throw new Error('a code without a link');
    expect(refused.page.status).toBe(422);
    expect(refused.page.body).toContain(`href="${page.url.pathname}"`);
    const again = await visitor.get(page.url);
    const reached = await goRound(visitor, again, 'user_umum');
    if (!('returned' in reached)) throw new Error('not back');
    expect((await party.redeem(reached.returned, checks)).claims()?.linked_account).toMatchObject({
      username: 'user_umum',
    });
  });

  test('a name that somebody else has gives no code', async () => {
    await prove(budi, 'user_bpom');
    const { visitor, page } = await beginAsked('tono');
    const reached = await goRound(visitor, page, 'user_bpom');
    if (!('page' in reached)) throw new Error('a code for a name of somebody else');
    expect(readText(reached.page.body)).toContain('sudah terhubung dengan orang lain');
    expect(reached.page.body).toContain(`href="${page.url.pathname}"`);
  });

  test('an address that says "linked" proves nothing to a person without a link', async () => {
    const { visitor, page } = await beginAsked('budi');
    const claimed = await visitor.get(`${page.url.pathname}?done=linked`, { follow: false });
    expect([claimed.status, claimed.body.includes('id="link"')]).toEqual([200, true]);
    await prove(tono, 'user_umum');
    expect((await visitor.get(`${page.url.pathname}?done=linked`, { follow: false })).status).toBe(200);
  });

  test('a link that does not serve is asked for again, however the address says it', async () => {
    const { visitor, page } = await beginAsked('budi');
    await prove(budi, 'user_umum');
    await gapura.db.updateTable('links').set({ stale_at: new Date() }).execute();
    const sent = await visitor.get(`${page.url.pathname}?done=linked`, { follow: false });
    const reached = await followTo(visitor, party.redirect_uri, sent);
    expect('page' in reached && readText(reached.page.body)).toContain('tidak dapat dipakai di sini: user_umum');
  });

  test('after it the next sign-in asks nothing', async () => {
    await prove(budi, 'user_bpom');
    const { address } = await party.begin();
    const returned = await authorize(newHttpVisitor(gapura.url), address, party.redirect_uri, {
      identifier: 'budi',
      password: demo_password,
    });
    expect(returned.searchParams.get('code')).toBeTruthy();
  });
});
