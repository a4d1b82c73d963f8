/** The human check on the sign-in page: asked after failures or always, of everybody alike, and each way lets in once. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { countHashes } from '../../src/accounts/password.ts';
import { resetClock } from '../support/clock.ts';
import { demo_password, registerClient, startGapura, type TestGapura } from '../support/gapura.ts';
import { type Answer, findForm, type HttpVisitor, newHttpVisitor } from '../support/http.ts';
import { doWork, lettersOf, readCheck, readMailedCode } from '../support/human-check.ts';
import { setTestPolicy } from '../support/policy.ts';
import { openParty, type TestParty } from '../support/relying-party.ts';
import { listStatements } from '../support/statements.ts';
import { storm } from '../support/storm.ts';

let gapura: TestGapura;
let party: TestParty;

const wrong_code = 'Kode keamanan tidak sesuai. Silakan coba lagi.';
const missing = 'Kami perlu memastikan bahwa Anda bukan program.';

beforeAll(async () => {
  gapura = await startGapura();
  await setTestPolicy(gapura.db, 'human_check.work', 8);
  party = await openParty(gapura.config.issuer, await registerClient(gapura, 'penguji'));
});

afterEach(async () => {
  await resetClock(gapura.db);
  for (const table of ['limits', 'human_checks', 'mails'] as const) await gapura.db.deleteFrom(table).execute();
});

afterAll(() => gapura.stop());

async function openLogin(visitor = newHttpVisitor(gapura.url)): Promise<Answer> {
  return visitor.get((await party.begin()).address);
}

/** Failures of one name, each in a browser of its own. */
async function fail(identifier: string, times = 3): Promise<void> {
  for (let at = 0; at < times; at += 1) {
    const visitor = newHttpVisitor(gapura.url);
    const refused = await visitor.submit(await openLogin(visitor), { identifier, password: 'salah' });
    expect(refused.status).toBe(422);
  }
}

/** What a page asks; fails when it asks nothing. */
function checkOn(page: Answer) {
  const check = readCheck(page.body);
  if (!check) throw new Error(`nothing is asked: ${page.body}`);
  return check;
}

/** A sign-in page that asks, after three failures of the name. */
async function beAsked(identifier = 'budi') {
  await fail(identifier);
  const visitor = newHttpVisitor(gapura.url);
  const page = await visitor.submit(await openLogin(visitor), { identifier, password: demo_password });
  expect(page.status).toBe(422);
  return { visitor, page, check: checkOn(page) };
}

const send = (visitor: HttpVisitor, page: Answer, values: Record<string, string>) =>
  visitor.post(page.url, { ...findForm(page.body).fields, ...values }, { follow: false });

const right = { identifier: 'budi', password: demo_password };

describe('the page', () => {
  test('asks nobody before there were failures, and costs them no script and no picture', async () => {
    const visitor = newHttpVisitor(gapura.url);
    const page = await openLogin(visitor);
    expect(readCheck(page.body)).toBeUndefined();
    expect(page.body).not.toMatch(/captcha|human-check/);
    expect(page.headers.getSetCookie().filter((line) => line.includes('gapura_check'))).toEqual([]);
    expect((await send(visitor, page, right)).status).toBe(303);
    expect(await gapura.db.selectFrom('human_checks').selectAll().execute()).toEqual([]);
  });

  test('asks with the third failure, before the fourth try', async () => {
    const visitor = newHttpVisitor(gapura.url);
    let page = await openLogin(visitor);
    for (const is_asked of [false, false, true]) {
      page = await visitor.submit(page, { identifier: 'budi', password: 'salah' });
      expect(readCheck(page.body) !== undefined).toBe(is_asked);
    }
    expect(page.headers.getSetCookie().join()).toMatch(/gapura_check=[\w-]{43}; path=\/; samesite=lax; httponly/i);
    expect((await send(visitor, page, { ...right, captcha: lettersOf(gapura.config, checkOn(page).id) })).status).toBe(
      303,
    );
  });

  test('asks an address from which many names failed as soon as it is opened', async () => {
    for (let at = 0; at < 20; at += 1) await fail(`nama-${at}`, 1);
    expect(readCheck((await openLogin()).body)).toBeDefined();
  });

  test('asks always where policy says so, and never where it says that', async () => {
    await setTestPolicy(gapura.db, 'human_check.when', 'always');
    const visitor = newHttpVisitor(gapura.url);
    const page = await openLogin(visitor);
    const held = await send(visitor, page, { ...right, captcha: '' });
    const opened = await send(visitor, held, { ...right, captcha: lettersOf(gapura.config, checkOn(held).id) });
    const bare = newHttpVisitor(gapura.url);
    const unasked = await bare.post((await openLogin(bare)).url, right, { follow: false });
    await setTestPolicy(gapura.db, 'human_check.when', 'never');
    await fail('sari', 4);
    const never = await openLogin();
    await setTestPolicy(gapura.db, 'human_check.when', 'after_failures');
    expect(checkOn(page).id).toBeTruthy();
    expect([held.status, opened.status, unasked.status]).toEqual([422, 303, 422]);
    expect(held.body).toContain(missing);
    expect(readCheck(never.body)).toBeUndefined();
  });

  test('leaves the person alone in the browser that they use, whatever strangers do', async () => {
    const his = newHttpVisitor(gapura.url);
    expect((await send(his, await openLogin(his), right)).status).toBe(303);
    await fail('budi');
    const again = newHttpVisitor(gapura.url);
    again.cookies.push(...his.cookies.filter(({ name }) => name === 'gapura_browser'));
    expect((await send(again, await openLogin(again), right)).status).toBe(303);
  });
});

describe('a try without an answer', () => {
  test('costs no hash, is not told whether the password was right, and prolongs nobody’s wait', async () => {
    const { visitor, page } = await beAsked();
    const before = countHashes().made;
    for (const password of [demo_password, 'salah', demo_password, 'salah', 'salah']) {
      const held = await send(visitor, page, { identifier: 'budi', password, captcha: '' });
      expect(held.status).toBe(422);
      expect(held.body).toContain(missing);
      expect(held.body).not.toContain('salah.');
    }
    expect(countHashes().made).toBe(before);
    expect((await send(visitor, page, { ...right, captcha: lettersOf(gapura.config, checkOn(page).id) })).status).toBe(
      303,
    );
  });

  test('is the same for a name that nobody has, in words, headers and statements', async () => {
    const seen = [];
    for (const identifier of ['budi', 'bude']) {
      await fail(identifier);
      const visitor = newHttpVisitor(gapura.url);
      const page = await openLogin(visitor);
      const told: unknown[] = [];
      let asked = page;
      const statements = await listStatements(async () => {
        for (const values of [
          {},
          { captcha: 'SALAH' },
          { check: 'refresh' },
          { check: 'mail' },
          { captcha: 'AAAAAAAA' },
        ]) {
          asked = await send(visitor, asked, { identifier, password: 'x', captcha: '', ...values });
          const { id = '', challenge = '' } = readCheck(asked.body) ?? {};
          const uid = page.url.pathname.split('/')[2] ?? '';
          const masked = [id, challenge, uid].filter(Boolean);
          const body = masked
            .reduce((text, one) => text.replaceAll(one, '<x>'), asked.body)
            .replaceAll(identifier, '<n>');
          const cookies = asked.headers.getSetCookie().map((line) => line.replace(/=[^;]*/, ''));
          told.push([asked.status, body, cookies]);
        }
      });
      seen.push({ told, statements: statements.map((text) => text.slice(0, 60)) });
    }
    expect(seen[0]?.told.map((one) => (one as [number])[0])).toEqual([422, 422, 200, 200, 422]);
    expect(seen[1]).toEqual(seen[0]);
  });
});

describe('each way', () => {
  test('the letters of the picture let in, in any case, and not a second time', async () => {
    const { visitor, page, check } = await beAsked();
    expect(page.body).toMatch(/<label for="captcha">Kode Keamanan<\/label>/);
    const captcha = lettersOf(gapura.config, check.id).toLowerCase();
    // One tab tries a wrong password with the answer; the answer is spent.
    const refused = await send(visitor, page, { identifier: 'budi', password: 'salah', captcha });
    expect(refused.body).toContain('Nama pengguna atau kata sandi salah.');
    const again = await send(visitor, page, { ...right, captcha });
    expect(again.status).toBe(422);
    expect(again.body).toContain('Pemeriksaan ini sudah tidak berlaku.');
    expect(checkOn(again).id).not.toBe(check.id);
    const letters = lettersOf(gapura.config, checkOn(again).id);
    expect((await send(visitor, again, { ...right, captcha: letters })).status).toBe(303);
  });

  test('a wrong code is said beside its field and in the summary, with another picture and never the password', async () => {
    const { visitor, page, check } = await beAsked();
    const wrong = await send(visitor, page, { ...right, captcha: 'SALAH' });
    expect(wrong.status).toBe(422);
    expect(wrong.body).toContain(`<p class="field-error" id="captcha-error">${wrong_code}</p>`);
    expect(wrong.body).toContain(`<a href="#captcha">${wrong_code}</a>`);
    expect(checkOn(wrong).id).not.toBe(check.id);
    expect(findForm(wrong.body).fields).toMatchObject({ identifier: 'budi', password: '', captcha: '' });
    expect(wrong.body).not.toContain('SALAH');
  });

  test('the work that a script does lets in, and not a second time', async () => {
    const { visitor, page, check } = await beAsked();
    expect((await send(visitor, page, { ...right, captcha_work: '1x' })).body).toContain(wrong_code);
    const spent = await send(visitor, page, { ...right, captcha_work: doWork(check) });
    expect(spent.body).toContain('Pemeriksaan ini sudah tidak berlaku.');
    const refused = await send(visitor, spent, {
      identifier: 'budi',
      password: 'salah',
      captcha_work: doWork(checkOn(spent)),
    });
    expect(refused.body).toContain('Nama pengguna atau kata sandi salah.');
    const captcha_work = doWork(checkOn(refused));
    expect((await send(visitor, refused, { ...right, captcha_work })).status).toBe(303);
  });

  test('a code by mail lets in, asked for and typed on the same page', async () => {
    const { visitor, page, check } = await beAsked();
    const asked = await send(visitor, page, { identifier: 'budi', password: 'rahasia-ku', check: 'mail' });
    expect(asked.status).toBe(200);
    expect(asked.body).toContain('Jika nama itu milik sebuah akun');
    expect(asked.body).toMatch(/<input id="captcha"[^>]* autocomplete="one-time-code"/);
    expect(asked.body).not.toContain('rahasia-ku');
    expect(readCheck(asked.body)).toEqual({ id: check.id, challenge: '', bits: 0, picture: undefined });
    const captcha = (await readMailedCode(gapura.db, gapura.config)) ?? '';
    const wrong = await send(visitor, asked, { ...right, captcha: 'AAAA AAAA' });
    expect(wrong.body).toContain(wrong_code);
    expect(checkOn(wrong).id).toBe(check.id);
    expect((await send(visitor, wrong, { ...right, captcha })).status).toBe(303);
  });

  test('a code by mail needs a name', async () => {
    const { visitor, page, check } = await beAsked();
    const asked = await send(visitor, page, { identifier: '  ', check: 'mail' });
    expect(asked.status).toBe(422);
    expect(asked.body).toContain('<a href="#identifier">');
    expect(checkOn(asked).id).toBe(check.id);
    expect(await gapura.db.selectFrom('mails').selectAll().execute()).toEqual([]);
  });

  test('mails in one name end, with the time to wait', async () => {
    const { visitor, page } = await beAsked();
    const answers = [];
    for (let at = 0; at < 6; at += 1) answers.push(await send(visitor, page, { identifier: 'budi', check: 'mail' }));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 429]);
    expect(Number(answers.at(-1)?.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(answers.at(-1)?.body).toContain('Terlalu banyak percobaan.');
  });
});

test('"Ganti Gambar" gives another picture and keeps the name, and costs no try', async () => {
  const { visitor, page, check } = await beAsked();
  expect(page.body).toMatch(/<button id="refresh"[^>]* name="check" value="refresh" formnovalidate>Ganti Gambar</);
  const turned = await send(visitor, page, { identifier: 'budi', password: 'rahasia-ku', check: 'refresh' });
  expect(turned.status).toBe(200);
  expect(checkOn(turned).id).not.toBe(check.id);
  expect(findForm(turned.body).fields).toMatchObject({ identifier: 'budi', password: '' });
  expect(turned.body).not.toMatch(/rahasia-ku|class="notice bad"/);
});

test('what was typed is missing: the same picture stays, and the answer is not spent', async () => {
  const { visitor, page, check } = await beAsked();
  const captcha = lettersOf(gapura.config, check.id);
  const empty = await send(visitor, page, { identifier: 'budi', password: '', captcha });
  expect(empty.body).toContain('Isi kata sandi Anda.');
  expect(checkOn(empty).id).toBe(check.id);
  expect((await send(visitor, empty, { ...right, captcha })).status).toBe(303);
});

test('another browser can do nothing with an answer, and does not spend it', async () => {
  const { visitor, page, check } = await beAsked();
  const captcha = lettersOf(gapura.config, check.id);
  const stranger = newHttpVisitor(gapura.url);
  const own = await openLogin(stranger);
  const sent = { ...right, captcha, captcha_id: check.id };
  expect((await stranger.post(own.url, sent, { follow: false })).status).toBe(422);
  expect((await stranger.get(check.picture ?? '')).status).toBe(404);
  expect((await send(visitor, page, { ...right, captcha })).status).toBe(303);
});

test('fifty tries with one answer at once: one password is looked at', async () => {
  const { visitor, page, check } = await beAsked();
  const captcha = lettersOf(gapura.config, check.id);
  const cookie = visitor.cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
  const before = countHashes().made;
  const answers = await storm(50, (at) => ({
    url: page.url.href,
    headers: { cookie, origin: gapura.url },
    body: new URLSearchParams({
      identifier: 'budi',
      password: `salah-${at}`,
      captcha,
      captcha_id: check.id,
    }).toString(),
  }));
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([422]));
  expect(answers.filter(({ body }) => body.includes('kata sandi salah.'))).toHaveLength(1);
  expect(countHashes().made - before).toBe(1);
  const rows = await gapura.db.selectFrom('human_checks').select('was_right').where('was_right', '=', true).execute();
  expect(rows).toHaveLength(1);
});

test.each([
  { captcha: 'x'.repeat(41) },
  { captcha_id: 'x'.repeat(41) },
  { captcha_work: '9'.repeat(21) },
  { captcha: '\u0000' },
  { captcha_id: '\u0000', captcha: 'A' },
  { captcha_id: "' OR '1'='1", captcha: 'A' },
  { check: 'x'.repeat(21) },
  { check: 'mail', captcha_id: 'x' },
  { check: 'apa' },
])('odd answers as %j are the sender’s mistake', async (odd) => {
  const { visitor, page } = await beAsked();
  expect((await send(visitor, page, { identifier: 'budi', password: 'salah', ...odd })).status).toBe(422);
});

describe('the picture', () => {
  test('is SVG that nobody keeps, for the browser that was asked, until it is answered', async () => {
    const { visitor, page, check } = await beAsked();
    expect(page.body).toMatch(/<img class="captcha" [^>]*alt="Gambar berisi enam huruf\./);
    const picture = await visitor.get(check.picture ?? '');
    expect(picture.status).toBe(200);
    expect(picture.headers.get('content-type')).toMatch(/^image\/svg\+xml/);
    expect(picture.headers.get('cache-control')).toBe('no-store');
    expect(picture.body).not.toMatch(/<text|<title|<desc/);
    expect((await newHttpVisitor(gapura.url).get(check.picture ?? '')).status).toBe(404);
    await send(visitor, page, { ...right, captcha: 'SALAH' });
    expect((await visitor.get(check.picture ?? '')).status).toBe(404);
  });

  test.each(['x', 'A'.repeat(24), '%2e%2e', "'", '%F0%9F%94%91'])('of "%s" is not found', async (id) => {
    const { visitor } = await beAsked();
    expect((await visitor.get(`/human-check/${id}.svg`)).status).toBe(404);
  });

  test('leaves no id in the log', async () => {
    const { visitor, check } = await beAsked();
    await visitor.get(check.picture ?? '');
    expect(gapura.log.filter(({ path }) => path === '/human-check/:id').length).toBeGreaterThan(0);
    expect(JSON.stringify(gapura.log)).not.toContain(check.id);
  });
});
