/** "Lanjutkan Sesi": a recovery's code in place of the password opens the page for a new one, and what says it accepts that. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { lockAccount, unlockAccount } from '../../src/accounts/account.ts';
import { hashPassword } from '../../src/accounts/password.ts';
import { writePassword } from '../../src/accounts/password-store.ts';
import { recovered_acr } from '../../src/recovery/reset.ts';
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
import { findAccountId } from '../support/nodes.ts';
import { authorize, openParty, type TestParty } from '../support/relying-party.ts';

const mailbox = 'sari.wulandari@surat.example';
const new_password = 'Kenari-Kuning-77!';

let gapura: TestGapura;
let party: TestParty;
let sari: string;
let visitor: HttpVisitor;

beforeAll(async () => {
  gapura = await startGapura();
  party = await openParty(gapura.config.issuer, await registerClient(gapura, 'rekan'), 'openid');
  sari = await findAccountId(gapura, 'sari');
});

beforeEach(() => {
  visitor = newHttpVisitor(gapura.url);
});

afterEach(async () => {
  await resetClock(gapura.db);
  for (const table of ['limits', 'mails', 'proofs', 'recoveries'] as const) await gapura.db.deleteFrom(table).execute();
  await writePassword(gapura.db, sari, await hashPassword(demo_password));
  await gapura.db.deleteFrom('password_history').execute();
});

afterAll(() => gapura?.stop());

async function verify(entry = '/recovery'): Promise<Answer> {
  const address = await visitor.submit(await visitor.get(entry), { username: 'sari' }, 'recovery');
  const code = await visitor.submit(address, {}, 'request');
  return visitor.submit(code, { code: await readSecret(gapura, mailbox) }, 'verification');
}

const goOn = async (entry?: string) => visitor.submit(await verify(entry), {}, 'session');

test('opens the page for a new password, which asks no old one, and nothing else of the portal', async () => {
  const page = await goOn();
  expect([page.status, page.url.pathname]).toEqual([200, '/portal/credentials']);
  expect(readText(page.body)).toContain('Anda masuk dengan kode pemulihan');
  expect(page.body).not.toContain('id="old_password"');
  for (const address of ['/portal', '/portal/applications', '/portal/credentials/recovery', '/admin'])
    expect((await visitor.get(address)).body).toContain('name="identifier"');
  const form = await visitor.get('/portal/credentials');
  const done = await visitor.submit(form, { new_password, confirm_password: new_password }, 'credentials');
  expect(readText(done.body)).toContain('Kata sandi berhasil diubah');
  const other = newHttpVisitor(gapura.url);
  expect((await signIn(other, await other.get('/portal'), 'sari', new_password)).url.pathname).toBe('/portal');
});

test('tells every address, and leaves the password as it is', async () => {
  await goOn();
  const told = (await listMails(gapura)).filter(({ template }) => template === 'recovery_used').map(({ to }) => to);
  expect(told.sort()).toEqual([mailbox, 'sari@contoh.example']);
  expect((await newSignedInVisitor(gapura.url, 'sari')).cookies.length).toBeGreaterThan(0);
});

test('is recent or it asks again: a quarter of an hour later the page is closed', async () => {
  await goOn();
  await moveClock(gapura.db, 901);
  expect((await visitor.get('/portal/credentials')).body).toContain('name="identifier"');
});

describe('an application', () => {
  test('that accepts it is opened, and told how', async () => {
    const { address, checks } = await party.begin({ acr_values: recovered_acr });
    const login = await visitor.get(address);
    const form = findForm(login.body, 'login');
    expect(form.action).toBe(login.url.pathname);
    await verify(`/recovery?interaction=${login.url.pathname.split('/').at(-1)}`);
    const { recovery = '' } = findForm((await visitor.get('/recovery/choice')).body, 'session').fields;
    const chosen = await visitor.post('/recovery/session', { recovery }, { follow: false });
    expect(chosen.headers.get('location')).toBe(login.url.pathname);
    const returned = await authorize(visitor, new URL(login.url.pathname, gapura.url).href, party.redirect_uri);
    const tokens = await party.redeem(returned, checks);
    expect(tokens.claims()).toMatchObject({ sub: sari, acr: recovered_acr, amr: ['otp'] });
  });

  test('that does not is not: the password is asked, and the code leads to the portal instead', async () => {
    const { address } = await party.begin();
    const login = await visitor.get(address);
    await verify(`/recovery?interaction=${login.url.pathname.split('/').at(-1)}`);
    const page = await visitor.submit(await visitor.get('/recovery/choice'), {}, 'session');
    expect(page.url.pathname).toBe('/portal/credentials');
    const again = await visitor.get((await party.begin()).address);
    expect(again.body).toContain('name="identifier"');
  });
});

test('is taken once, soon, and not of an account that was closed', async () => {
  const choice = await verify();
  const { recovery = '' } = findForm(choice.body, 'session').fields;
  await visitor.post('/recovery/session', { recovery }, { follow: false });
  await lockAccount(gapura.db, sari, 'locked', { because: 'uji' });
  expect((await visitor.get('/recovery/session')).body).toContain('name="identifier"');
  await unlockAccount(gapura.db, sari, 'locked', { because: 'uji' });
  await moveClock(gapura.db, 301);
  expect((await visitor.get('/recovery/session')).status).toBe(410);
});

test('of a person over another’s session is that person’s', async () => {
  visitor = await newSignedInVisitor(gapura.url, 'tono');
  // The engine ends the other's session first, by a form that sends itself where scripts run.
  const page = await visitor.submit(await goOn());
  expect([page.url.pathname, page.body]).toEqual([
    '/portal/credentials',
    expect.stringContaining('<strong>sari</strong>'),
  ]);
});
