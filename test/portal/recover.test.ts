/** The forgotten password (document A, part II): the way back in, and that it tells a stranger nothing. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { lockAccount, unlockAccount } from '../../src/accounts/account.ts';
import { countHashes, hashPassword } from '../../src/accounts/password.ts';
import { findPasswordHash, writePassword } from '../../src/accounts/password-store.ts';
import { saveProvenAddress } from '../../src/recovery/addresses.ts';
import { type Browser, clickAndSettle, expectNoAxeViolations, expectQuiet, openBrowser } from '../support/browser.ts';
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
import { listMails, readSecret } from '../support/mails.ts';
import { copyVisitor, findAccountId } from '../support/nodes.ts';
import { setTestPolicy } from '../support/policy.ts';
import { openParty } from '../support/relying-party.ts';
import { listStatements } from '../support/statements.ts';
import { storm } from '../support/storm.ts';

/** Sari's, as the demonstration has it. */
const mailbox = 'sari.wulandari@surat.example';
const new_password = 'Kenari-Kuning-77!';
const both = { new_password, confirm_password: new_password };

let gapura: TestGapura;
let browser: Browser;
let sari: string;
let visitor: HttpVisitor;

beforeAll(async () => {
  gapura = await startGapura();
  browser = await openBrowser();
  await registerClient(gapura, 'aplikasi');
  sari = await findAccountId(gapura, 'sari');
});

beforeEach(() => {
  visitor = newHttpVisitor(gapura.url);
});

afterEach(async () => {
  const { db } = gapura;
  await resetClock(db);
  for (const table of ['limits', 'mails', 'proofs', 'recoveries', 'password_history', 'policy_values'] as const)
    await db.deleteFrom(table).execute();
  await writePassword(db, sari, await hashPassword(demo_password));
  await db.deleteFrom('password_history').execute();
});

afterAll(async () => {
  await browser?.close();
  await gapura?.stop();
});

const title = ({ body }: Answer) => readText(/<h1>.*?<\/h1>/s.exec(body)?.[0] ?? '');
const maskOf = ({ body }: Answer) => readText(/<p class="code" id="mask">(.*?)<\/p>/.exec(body)?.[1] ?? '');

/** To the page of the address, as one who typed this name. */
async function begin(name: string, who = visitor): Promise<Answer> {
  return who.submit(await who.get('/recovery'), { username: name }, 'recovery');
}

/** To the page of the code. */
async function ask(name = 'sari', who = visitor): Promise<Answer> {
  return who.submit(await begin(name, who), {}, 'request');
}

/** To the page after the right code. */
async function verify(name = 'sari', who = visitor): Promise<Answer> {
  const page = await ask(name, who);
  return who.submit(page, { code: await readSecret(gapura, mailbox) }, 'verification');
}

/** To the form of the new password. */
async function openReset(who = visitor): Promise<Answer> {
  await verify('sari', who);
  return who.get('/recovery/password');
}

const reset = async (who = visitor) => who.submit(await openReset(who), both, 'password');

async function canSignIn(identifier: string, password: string): Promise<boolean> {
  const other = newHttpVisitor(gapura.url);
  return (await signIn(other, await other.get('/portal'), identifier, password)).url.pathname === '/portal';
}

const auditOf = async (kind: string) =>
  gapura.db.selectFrom('audit_events').select(['account_id', 'detail']).where('kind', '=', kind).execute();

describe('the way back in', () => {
  test('leads from the name over the masked address and the code to a new password, step by step', async () => {
    const entry = await visitor.get('/recovery');
    expect([entry.status, title(entry)]).toEqual([200, 'Pemulihan Akun']);
    expect(readText(entry.body)).toContain('Belum mendaftarkan email pemulihan?');
    const address = await begin('sari');
    expect([address.url.pathname, maskOf(address)]).toEqual(['/recovery/address', 'sar********@********']);
    expect(address.body).toMatch(/<button id="submit"[^>]*>Minta Kode<\/button>/);
    expect(address.body).not.toContain('surat.example');
    expect(await listMails(gapura)).toEqual([]);

    const code = await visitor.submit(address, {}, 'request');
    expect(code.url.pathname).toBe('/recovery/code');
    expect(readText(code.body)).toMatch(/berlaku selama 10 menit.*Sisa percobaan: 10 kali.*kirim ulang: 10 kali/);
    const [mail, ...more] = await listMails(gapura);
    expect([mail?.to, mail?.subject, more]).toEqual([mailbox, 'Kode Reset Sementara akun Gapura Anda', []]);
    for (const form of [mail?.text, mail?.html]) expect(form).toMatch(/Berlaku sampai .* WIB/);
    expect(mail?.text).toMatch(/^ {4}[A-Z0-9]{4} [A-Z0-9]{4}$/m);

    const choice = await visitor.submit(code, { code: ` ${mail?.secret?.toLowerCase()} ` }, 'verification');
    expect(choice.url.pathname).toBe('/recovery/choice');
    for (const words of ['Atur Ulang Kata Sandi', 'Lanjutkan Sesi']) expect(choice.body).toContain(words);
    const form = await visitor.get('/recovery/password');
    expect(readText(form.body)).toContain('Minimal 8 karakter');
    const done = await visitor.submit(form, both, 'password');
    expect([done.status, title(done)]).toEqual([200, 'Kata sandi berhasil diatur ulang']);
    expect([await canSignIn('sari', demo_password), await canSignIn('sari', new_password)]).toEqual([false, true]);
    // Row 17: the reset itself signs nobody in.
    expect((await visitor.get('/portal')).body).toContain('name="identifier"');
  });

  test('refuses a password by the rules, beside its field, and lets it be typed again', async () => {
    const form = await openReset();
    for (const [fields, said] of [
      [{}, 'Isi kata sandi baru'],
      [{ ...both, confirm_password: 'lain' }, 'tidak sama'],
      [{ new_password: 'Ab1!', confirm_password: 'Ab1!' }, 'terlalu pendek'],
      [{ new_password: demo_password, confirm_password: demo_password }, 'sudah pernah digunakan'],
    ] as const) {
      const refused = await visitor.submit(form, fields as Record<string, string>, 'password');
      expect([refused.status, readText(refused.body)]).toEqual([422, expect.stringContaining(said)]);
      expect(findForm(refused.body, 'password').fields).toMatchObject({ new_password: '', confirm_password: '' });
    }
    expect(title(await visitor.submit(form, both, 'password'))).toBe('Kata sandi berhasil diatur ulang');
  });

  test('returns to the sign-in page of the application that it began from', async () => {
    const party = await openParty(gapura.config.issuer, { ...(await registerClient(gapura, 'asal')) });
    const login = await visitor.get((await party.begin()).address);
    const link = /href="(\/recovery\?[^"]+)"/.exec(login.body)?.[1]?.replaceAll('&amp;', '&').replaceAll('&#38;', '&');
    const entry = await visitor.get(link ?? '');
    expect(entry.body).toContain(`href="${login.url.pathname}"`);
    await visitor.submit(entry, { username: 'sari' }, 'recovery');
    const code = await visitor.submit(await visitor.get('/recovery/address'), {}, 'request');
    await visitor.submit(code, { code: await readSecret(gapura, mailbox) }, 'verification');
    const done = await visitor.submit(await visitor.get('/recovery/password'), both, 'password');
    expect(done.body).toContain(`<a class="button" href="${login.url.pathname}">Masuk</a>`);
    expect(done.body).toContain('Kembali ke Aplikasi asal');
    const back = await visitor.get(login.url.pathname);
    expect(back.body).toContain('name="identifier"');
    const fields = { identifier: 'sari', password: new_password };
    const returned = await visitor.post(back.url.pathname, fields, { follow: false });
    expect([returned.status, returned.headers.get('location')]).toEqual([
      303,
      expect.stringContaining('/connect/auth/'),
    ]);
  });

  test('returns to the application whose link began it, also from where it is begun anew', async () => {
    await registerClient(gapura, 'asal-tautan');
    const out = 'href="http://asal-tautan.localhost:4999/">Kembali ke Aplikasi asal-tautan</a>';
    const entry = await visitor.get('/recovery?client_id=asal-tautan');
    expect(entry.body).toContain(out);
    const address = await visitor.submit(entry, { username: 'sari' }, 'recovery');
    const code = await visitor.submit(address, {}, 'request');
    for (const page of [address, code]) {
      expect(page.body).toContain(out);
      expect(page.body).toContain('href="/recovery?client_id=asal-tautan"');
    }
    const stale = await visitor.submit(address, {}, 'request');
    expect(stale.status).toBe(429);
    const moved = await visitor.post('/recovery/password', {});
    expect(moved.body).toContain('href="/recovery?client_id=asal-tautan"');
  });

  test('opens at once after failures at the sign-in: this browser is known from here on', async () => {
    const login = await visitor.get('/portal');
    for (let tries = 0; tries < 7; tries += 1) await signIn(visitor, login, 'sari', 'bukan-ini');
    await reset();
    const back = await signIn(visitor, await visitor.get('/portal'), 'sari', new_password);
    expect(back.url.pathname).toBe('/portal');
  });

  test.each([
    '?client_id=',
    '?client_id[]=a',
    `?client_id=${'a'.repeat(3000)}`,
    '?interaction=//jahat.example',
    '?way=x',
  ])('begins with an odd address as with none: %.40s', async (query) => {
    const { status, body } = await visitor.get(`/recovery${query}`);
    expect([status, body.includes('jahat.example/')]).toEqual([200, false]);
    expect(body).toMatch(/id="back" href="\/"/);
  });
});

describe('row 1, enumeration', () => {
  test('an unknown name, one without an address, a locked and an expired account are one and the same', async () => {
    // One mask each; who is shown two is the test after the next.
    await setTestPolicy(gapura.db, 'recovery.addresses', 1);
    const budi = await findAccountId(gapura, 'budi');
    const tono = await findAccountId(gapura, 'tono');
    await lockAccount(gapura.db, tono, 'locked', { because: 'uji' });
    await gapura.db
      .updateTable('accounts')
      .set({ expires_at: new Date(0) })
      .where('id', '=', budi)
      .execute();
    const walk = async (name: string) => {
      const who = newHttpVisitor(gapura.url);
      const shapes: unknown[] = [];
      const note = (answer: Answer) => {
        const body = answer.body
          .replaceAll(`untuk ${name}`, 'untuk NAMA')
          .replace(/[\w-]{36}/g, 'ID')
          .replace(/<p class="code" id="mask">[^<]*/, 'MASKER');
        shapes.push([answer.status, answer.url.pathname, [...answer.headers.keys()].sort(), body]);
        shapes.push(who.cookies.map((cookie) => [cookie.name, cookie.path, cookie.value.length]));
        return answer;
      };
      const address = note(await who.submit(note(await who.get('/recovery')), { username: name }, 'recovery'));
      const code = note(await who.submit(address, {}, 'request'));
      const wrong = note(await who.submit(code, { code: 'AAAACCCC' }, 'verification'));
      note(await who.submit(wrong, {}, 'resend'));
      await moveClock(gapura.db, 61);
      note(await who.submit(await who.get('/recovery/code'), {}, 'resend'));
      note(await who.submit(await who.get('/recovery/code'), { code: 'AAAACCCC' }, 'verification'));
      note(await who.get('/recovery/password'));
      await resetClock(gapura.db);
      return shapes;
    };
    const known = await walk('sari');
    for (const name of ['xenia_q', 'budi', 'tono', 'petugas']) expect([name, await walk(name)]).toEqual([name, known]);
    const mails = await gapura.db.selectFrom('mails').select(['to_address', 'because']).execute();
    expect(mails.filter(({ because }) => because === null).map(({ to_address }) => to_address)).toEqual([
      mailbox,
      mailbox,
    ]);
    expect(mails.filter(({ because }) => because === 'decoy')).toHaveLength(8);
    await unlockAccount(gapura.db, tono, 'locked', { because: 'uji' });
    await gapura.db.updateTable('accounts').set({ expires_at: null }).where('id', '=', budi).execute();
  });

  test('a name that nobody has shows one mask for ever, and not the same for every name', async () => {
    await setTestPolicy(gapura.db, 'recovery.addresses', 1);
    const masks = async (name: string) => maskOf(await begin(name, newHttpVisitor(gapura.url)));
    expect(await masks('siapakah')).toBe(await masks('SIAPAKAH'));
    const all = new Set(await Promise.all(['ratna', 'pengimpor1', 'wahyu77', 'x1', 'gudang'].map(masks)));
    // Two short names may meet in one mask, as two people may; all of them do not.
    expect(all.size).toBeGreaterThan(2);
    for (const mask of all) expect(mask).toMatch(/^[a-z0-9]{3}\*{8}@(\*{8}|[a-z.]+)$/);
  });

  test('two addresses to choose from are shown to names that nobody has as well', async () => {
    const two = '<input type="radio" name="address"';
    let decoy = await begin('tidak.ada.0', newHttpVisitor(gapura.url));
    for (let at = 1; !decoy.body.includes(two); at += 1) {
      await gapura.db.deleteFrom('limits').execute();
      decoy = await begin(`tidak.ada.${at}`, newHttpVisitor(gapura.url));
    }
    await saveProvenAddress(gapura.db, sari, 'sari.kedua@gmail.com');
    const own = await begin('sari');
    expect(own.body).toContain('sar********@gmail.com');
    const shape = ({ body }: Answer) =>
      body
        .replace(/untuk [\w.]+/, 'untuk NAMA')
        .replace(/[\w-]{36}/g, 'ID')
        .replace(/\w*\*{8}@[\w.*]+/g, 'MASKER');
    expect(shape(own)).toBe(shape(decoy));
    const sent = await visitor.submit(own, { address: '1' }, 'request');
    expect((await listMails(gapura)).map(({ to }) => to)).toEqual(['sari.kedua@gmail.com']);
    expect(title(sent)).toBe('Masukkan kode reset');
    await gapura.db.deleteFrom('recovery_addresses').where('canonical', '=', 'sari.kedua@gmail.com').execute();
  });

  test('row 4: the limits come at the same count for a name that nobody has', async () => {
    const walk = async (name: string) => {
      await gapura.db.deleteFrom('limits').execute();
      const who = newHttpVisitor(gapura.url);
      const seen: unknown[] = [];
      for (let times = 0; times < 13; times += 1) {
        const page = await ask(name, who);
        const { status, url, body } = page;
        seen.push([status, url.pathname, /kirim ulang: \d+ kali/.exec(readText(body))?.[0]]);
      }
      return seen;
    };
    const known = await walk('sari');
    expect(known.slice(-2)).toEqual(Array(2).fill([429, '/recovery/address', undefined]));
    expect(await walk('xenia_q')).toEqual(known);
  });

  test('an account that is closed shows the mask it showed before', async () => {
    const before = maskOf(await begin('sari'));
    await lockAccount(gapura.db, sari, 'frozen', { because: 'uji' });
    expect(maskOf(await begin('sari', newHttpVisitor(gapura.url)))).toBe(before);
    await unlockAccount(gapura.db, sari, 'frozen', { because: 'uji' });
  });
});

test('row 2, timing: the same statements and hashes are made for a known and an unknown name, at every step', async () => {
  const before = countHashes().made;
  const walk = (name: string) =>
    listStatements(async () => {
      const page = await ask(name, newHttpVisitor(gapura.url));
      expect(page.url.pathname).toBe('/recovery/code');
    });
  const wrong = async (name: string) => {
    const who = newHttpVisitor(gapura.url);
    const page = await ask(name, who);
    return listStatements(() => who.submit(page, { code: 'AAAACCCC' }, 'verification'));
  };
  // Once before, so that what is prepared or cached is.
  await walk('gudang');
  expect(await walk('xenia_q')).toEqual(await walk('sari'));
  expect(await wrong('xenia_q')).toEqual(await wrong('sari'));
  expect(countHashes().made).toBe(before);
});

describe('the code', () => {
  test('rows 5 and 6: ten wrong entries in all, whatever is sent anew, and then the recovery is closed', async () => {
    let page = await ask();
    for (let left = 9; left > 5; left -= 1) {
      page = await visitor.submit(page, { code: 'AAAACCCC' }, 'verification');
      expect([page.status, readText(page.body)]).toEqual([
        422,
        expect.stringContaining(`Sisa percobaan: ${left} kali.`),
      ]);
    }
    await moveClock(gapura.db, 61);
    page = await visitor.submit(await visitor.get('/recovery/code'), {}, 'resend');
    expect(readText(page.body)).toMatch(/Sisa percobaan: 6 kali.*kirim ulang: 9 kali/);
    for (let tries = 0; tries < 5; tries += 1) page = await visitor.submit(page, { code: 'AAAACCCC' }, 'verification');
    const right = await readSecret(gapura, mailbox);
    const last = await visitor.submit(page, { code: 'AAAACCCC' }, 'verification');
    expect([last.status, title(last)]).toEqual([410, 'Percobaan sudah habis']);
    expect((await visitor.submit(page, { code: right }, 'verification')).status).toBe(410);
    expect((await visitor.get('/recovery/password')).status).toBe(410);
  });

  test('row 8: an older one is void, a used one too, and both by any success', async () => {
    const page = await ask();
    const older = await readSecret(gapura, mailbox);
    await moveClock(gapura.db, 61);
    await visitor.submit(page, {}, 'resend');
    expect((await visitor.submit(page, { code: older }, 'verification')).status).toBe(422);
    const newer = await readSecret(gapura, mailbox);
    expect((await visitor.submit(page, { code: newer }, 'verification')).url.pathname).toBe('/recovery/choice');
    expect((await visitor.submit(page, { code: newer }, 'verification')).status).toBe(409);
  });

  test('is good for ten minutes by the clock of the database', async () => {
    const page = await ask();
    const code = await readSecret(gapura, mailbox);
    await moveClock(gapura.db, 601);
    const late = await visitor.submit(page, { code }, 'verification');
    expect([late.status, readText(late.body)]).toEqual([422, expect.stringContaining('Kode sudah kedaluwarsa')]);
  });

  test('rows 7 and 26: is good in the browser that asked for it, and for nobody else’s recovery', async () => {
    await ask();
    const code = await readSecret(gapura, mailbox);
    const stranger = newHttpVisitor(gapura.url);
    const page = await ask('sari', stranger);
    // The second mail is the stranger's own; the first code is of the other browser.
    expect((await stranger.submit(page, { code }, 'verification')).status).toBe(422);
    const tono = await stranger.submit(
      await ask('tono', stranger),
      { code: await readSecret(gapura, mailbox) },
      'verification',
    );
    expect(tono.status).toBe(422);
  });

  test('sends again after 60 seconds, ten times, and then not for a day, from this browser and address alone', async () => {
    let page = await ask();
    const soon = await visitor.submit(page, {}, 'resend');
    expect([soon.status, readText(soon.body)]).toEqual([429, expect.stringMatching(/dalam (59|60) detik/)]);
    expect(Number(soon.headers.get('retry-after'))).toBeGreaterThan(0);
    for (let sent = 1; sent <= 10; sent += 1) {
      await moveClock(gapura.db, 61 * sent);
      page = await visitor.submit(await visitor.get('/recovery/code'), {}, 'resend');
      expect([page.status, readText(page.body)]).toEqual([
        200,
        expect.stringContaining(`kirim ulang: ${10 - sent} kali`),
      ]);
    }
    // Of the eleven the mailbox got ten (row 20).
    expect(await listMails(gapura, mailbox)).toHaveLength(10);
    await moveClock(gapura.db, 61 * 11);
    const closed = await visitor.submit(page, {}, 'resend');
    expect([closed.status, readText(closed.body)]).toEqual([429, expect.stringContaining('ditangguhkan sampai')]);
    const again = await visitor.submit(await begin('sari'), {}, 'request');
    expect(again.status).toBe(429);
    expect((await ask('budi')).status).toBe(200);
  });

  test('row 19: a browser that the person signed in with is not closed by what others do at its address', async () => {
    const own = await newSignedInVisitor(gapura.url, 'sari');
    for (let sent = 0; sent < 11; sent += 1) {
      await moveClock(gapura.db, 61 * sent);
      await ask('sari', newHttpVisitor(gapura.url));
    }
    expect((await ask('sari', newHttpVisitor(gapura.url))).status).toBe(429);
    const listCodes = async () =>
      (await listMails(gapura, mailbox)).filter(({ template }) => template === 'recovery_code');
    expect(await listCodes()).toHaveLength(10);
    expect((await ask('sari', own)).url.pathname).toBe('/recovery/code');
    // And its code is sent, although the mailbox has had its ten.
    expect(await listCodes()).toHaveLength(11);
  });

  test('row 9: sent 30 times at once is right once', async () => {
    const page = await ask();
    const cookie = visitor.cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
    const { fields } = findForm(page.body, 'verification');
    const post = (code: string) => ({
      url: `${gapura.url}/recovery/code`,
      headers: { cookie },
      body: new URLSearchParams({ ...fields, code } as Record<string, string>).toString(),
    });
    const code = await readSecret(gapura, mailbox);
    const before = (await auditOf('recovery_verified')).length;
    const answers = await storm(30, () => post(code));
    expect(answers.filter(({ status }) => status === 303)).toHaveLength(1);
    expect(answers.filter(({ status }) => status >= 500)).toEqual([]);
    expect((await auditOf('recovery_verified')).length - before).toBe(1);
  });
});

describe('rows 23, 26 and 27: pages out of turn', () => {
  test('without a recovery end on a page with a way on', async () => {
    for (const path of ['address', 'code', 'choice', 'password', 'session', 'done']) {
      const answer = await visitor.get(`/recovery/${path}`);
      expect([path, answer.status, title(answer)]).toEqual([path, 410, 'Pemulihan ini sudah berakhir']);
      expect(answer.body).toContain('href="/recovery"');
    }
    for (const path of ['address', 'code', 'resend', 'password', 'session'])
      expect((await visitor.post(`/recovery/${path}`, { ...both, recovery: 'x', code: 'x' })).status).toBe(410);
  });

  test('lead to the step whose turn it is, and take no form of another', async () => {
    const address = await begin('sari');
    for (const path of ['code', 'choice', 'password', 'session', 'done'])
      expect((await visitor.get(`/recovery/${path}`)).url.pathname).toBe('/recovery/address');
    const { recovery = '' } = findForm(address.body, 'request').fields;
    const skip = await visitor.post('/recovery/password', { ...both, recovery });
    expect([skip.status, title(skip)]).toEqual([409, 'Halaman ini sudah tidak sesuai']);
    await visitor.submit(address, {}, 'request');
    expect((await visitor.post('/recovery/password', { ...both, recovery })).status).toBe(409);
    expect(await canSignIn('sari', demo_password)).toBe(true);
  });

  test('a form of an older recovery does nothing to the newer one', async () => {
    const old_form = await openReset();
    const other = await begin('tono');
    const late = await visitor.submit(old_form, both, 'password');
    expect([late.status, title(late)]).toEqual([409, 'Halaman ini sudah tidak sesuai']);
    await visitor.submit(other, {}, 'request');
    expect((await visitor.submit(old_form, both, 'password')).status).toBe(409);
    expect(await canSignIn('sari', demo_password)).toBe(true);
  });

  test('a finished one is finished, by the back button and in a second tab', async () => {
    const form = await openReset();
    await visitor.submit(form, both, 'password');
    expect((await visitor.submit(form, { ...both, new_password: 'Merpati-88!x' }, 'password')).status).toBe(409);
    expect((await visitor.get('/recovery/password')).url.pathname).toBe('/recovery/done');
    await moveClock(gapura.db, 901);
    expect((await visitor.get('/recovery/done')).status).toBe(410);
  });

  test('row 17: a cookie copied before the code was right opens nothing after it', async () => {
    const page = await ask();
    const thief = copyVisitor(gapura.url, visitor);
    await visitor.submit(page, { code: await readSecret(gapura, mailbox) }, 'verification');
    expect((await thief.get('/recovery/password')).status).toBe(410);
    expect((await visitor.get('/recovery/password')).status).toBe(200);
  });
});

describe('what a reset ends', () => {
  test('rows 12, 14 and 37: every session, the codes and links that were open, what browsers were known by', async () => {
    const elsewhere = await newSignedInVisitor(gapura.url, 'sari');
    const other = newHttpVisitor(gapura.url);
    const waiting = await ask('sari', other);
    const code = await readSecret(gapura, mailbox);
    await reset();
    expect((await elsewhere.get('/portal', { follow: false })).status).toBe(303);
    expect((await other.submit(waiting, { code }, 'verification')).status).toBe(410);
    const open = await gapura.db
      .selectFrom('proofs')
      .select('purpose')
      .where('subject', '=', sari)
      .where('spent_at', 'is', null)
      .where('voided_at', 'is', null)
      .execute();
    expect(new Set(open.map(({ purpose }) => purpose))).toEqual(new Set(['not_me']));
    const browsers = gapura.db.selectFrom('browsers').select('account_id').where('account_id', '=', sari);
    expect(await browsers.execute()).toHaveLength(1);
    expect(await auditOf('password_reset')).toContainEqual({ account_id: sari, detail: { method: 'email-code' } });
  });

  test('row 34: an account that was closed meanwhile gets no password, at no step', async () => {
    const page = await ask();
    const code = await readSecret(gapura, mailbox);
    await lockAccount(gapura.db, sari, 'locked', { because: 'uji' });
    expect((await visitor.submit(page, { code }, 'verification')).status).toBe(422);
    await unlockAccount(gapura.db, sari, 'locked', { because: 'uji' });
    await gapura.db.deleteFrom('limits').execute();
    await gapura.db.deleteFrom('mails').execute();
    const form = await openReset();
    const hash = await findPasswordHash(gapura.db, sari);
    await lockAccount(gapura.db, sari, 'locked', { because: 'uji' });
    // Whoever proved the code is told, in place of being led round in a circle.
    const told = await visitor.submit(form, both, 'password');
    expect([told.status, title(told)]).toEqual([410, 'Akun tidak dapat dipulihkan di sini']);
    const choice = await visitor.get('/recovery/choice');
    expect((await visitor.submit(choice, {}, 'session')).status).toBe(410);
    await unlockAccount(gapura.db, sari, 'locked', { because: 'uji' });
    expect((await visitor.submit(form, both, 'password')).status).toBe(410);
    expect(await findPasswordHash(gapura.db, sari)).toBe(hash);
  });

  test('removing the address ends what was begun by a code sent there, at every step', async () => {
    const owner = await newSignedInVisitor(gapura.url, 'sari');
    const [asked, proven] = [newHttpVisitor(gapura.url), newHttpVisitor(gapura.url)];
    const form = await openReset(proven);
    await gapura.db.deleteFrom('mails').execute();
    const page = await ask('sari', asked);
    const code = await readSecret(gapura, mailbox);
    const removal = /href="([^"]+\/removal)"/.exec((await owner.get('/portal/credentials')).body)?.[1] ?? '';
    const removed = await owner.submit(await owner.get(removal), {}, 'removal');
    expect(removed.body).toContain('Email pemulihan sudah dihapus');
    expect((await asked.submit(page, { code }, 'verification')).status).toBe(410);
    expect((await proven.submit(form, both, 'password')).status).toBe(410);
    expect(await canSignIn('sari', demo_password)).toBe(true);
    await saveProvenAddress(gapura.db, sari, mailbox);
  });

  test('row 40: tells every address, with time, device, network and a way to say that it was not they', async () => {
    await reset();
    const notices = (await listMails(gapura)).filter(({ template }) => template === 'password_reset');
    expect(notices.map(({ to }) => to).sort()).toEqual(['sari.wulandari@surat.example', 'sari@contoh.example']);
    for (const { text, html, secret } of notices) {
      for (const form of [text, html]) expect(form).toMatch(/WIB[\s\S]*127\.0\.0\.0\/24/);
      expect(secret).toMatch(new RegExp(`^${gapura.url}/notices/[\\w-]{43}$`));
    }
    expect(new Set(notices.map(({ secret }) => secret)).size).toBe(2);
  });

  test('row 29: no code, token or password is in a log, an address or an audit row', async () => {
    await reset();
    const mails = await listMails(gapura);
    const secrets = [new_password, ...mails.map(({ secret = '' }) => secret.split('/').at(-1) ?? '')];
    const events = await gapura.db.selectFrom('audit_events').select('detail').execute();
    const kept = JSON.stringify([gapura.log, events]);
    for (const secret of secrets) expect([secret, kept.includes(secret)]).toEqual([secret, false]);
  });
});

describe('odd forms', () => {
  test.each([
    ['an empty name', '/recovery', 'username=', 422],
    ['row 32: two names', '/recovery', 'username=sari&username=tono', 422],
    ['row 32: a list', '/recovery', 'username[]=sari', 422],
    ['a NUL', '/recovery', 'username=sa%00ri', 422],
    ['an endless name', '/recovery', `username=${'a'.repeat(300)}`, 422],
    ['a line end', '/recovery', 'username=sari%0d%0aBcc:x@y.example', 200],
    ['row 31: full width', '/recovery', `username=${encodeURIComponent('ｓａｒｉ')}`, 200],
  ])('%s', async (_what, path, body, status) => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded', origin: gapura.url };
    const answer = await fetch(gapura.url + path, { method: 'POST', body, headers, redirect: 'manual' });
    expect(answer.status).toBe(status === 200 ? 303 : status);
  });

  test('from another site are not taken', async () => {
    const headers = { origin: 'https://jahat.example' };
    expect((await visitor.post('/recovery', { username: 'sari' }, { headers })).status).toBe(403);
  });

  test('row 16: the link in a notice names our own host, whatever was sent', async () => {
    const form = await openReset();
    const { fields } = findForm(form.body, 'password');
    const headers = { 'x-forwarded-host': 'jahat.example', forwarded: 'host=jahat.example', origin: gapura.url };
    await visitor.post('/recovery/password', { ...fields, ...both } as Record<string, string>, { headers });
    const [notice] = (await listMails(gapura)).filter(({ template }) => template === 'password_reset');
    expect(notice?.text).toContain(`${gapura.url}/notices/`);
    expect(notice?.text).not.toContain('jahat');
  });
});

describe.each([
  ['with scripts', { scripts: true, language: 'id' as const }],
  ['without scripts, narrow, in English', { scripts: false, width: 320, language: 'en' as const }],
])('in a browser, %s', (_how, options) => {
  test('the whole way', async () => {
    const { page } = await browser.newVisitor(options);
    expectQuiet(page);
    const look = async () => {
      if (options.scripts) await expectNoAxeViolations(page);
      expect(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth)).toBe(true);
    };
    await page.goto(`${gapura.url}/?lang=${options.language}`);
    await page.goto(`${gapura.url}/portal`);
    await page.click('a[href^="/recovery"] >> nth=1');
    await look();
    await page.fill('#username', 'sari');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#mask');
    await look();
    await clickAndSettle(page, '#submit');
    await look();
    if (options.scripts) {
      const before = await page.textContent('[data-wait]');
      await page.waitForFunction((text) => document.querySelector('[data-wait]')?.textContent !== text, before);
    }
    await page.fill('#code', 'AAAA CCCC');
    await clickAndSettle(page, '#submit');
    await page.waitForSelector('#problems');
    await look();
    await page.fill('#code', await readSecret(gapura, mailbox));
    await clickAndSettle(page, '#submit');
    await look();
    await clickAndSettle(page, '#reset');
    await look();
    await page.fill('#new_password', new_password);
    await page.fill('#confirm_password', new_password);
    await clickAndSettle(page, '#submit');
    await page.waitForSelector(options.scripts ? 'text=berhasil diatur ulang' : 'text=has been reset');
    await look();
    await page.click('a.button');
    await page.fill('#identifier', 'sari');
    await page.fill('#password', new_password);
    await clickAndSettle(page, '#submit');
    expect(new URL(page.url()).pathname).toBe('/portal');
  });
});
