/** Accounts at the console and for programs: found by any name, opened by invitation, changed, closed and opened again. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { createAccount, lockAccount } from '../../../src/accounts/account.ts';
import { accounts } from '../../../src/admin/resources/accounts.ts';
import { open } from '../../../src/crypto.ts';
import { inTransaction } from '../../../src/database.ts';
import { mailKeys } from '../../../src/delivery/outbox.ts';
import { addPerson, findOrganisation } from '../../../src/organisations/organisation.ts';
import { grantRole } from '../../../src/permissions.ts';
import { policy } from '../../../src/policy/policy.ts';
import { setPolicy } from '../../../src/policy/store.ts';
import {
  type ApiClient,
  addOfficer,
  errorsOf,
  getClientToken,
  newApiClient,
  openConsole,
  problemsOf,
} from '../../support/desk.ts';
import { demo_password, newSignedInVisitor, signIn, startGapura, type TestGapura } from '../../support/gapura.ts';
import { type HttpVisitor, newHttpVisitor } from '../../support/http.ts';
import { until } from '../../support/nodes.ts';
import { storm } from '../../support/storm.ts';

let gapura: TestGapura;
let api: ApiClient;
let token: string;
let admin: HttpVisitor;
let pangan: string;
/** Somebody who has a password and an address, made for each test. */
let guest: { id: string; username: string; email: string; mobile_number: string };
let last = 0;

beforeAll(async () => {
  gapura = await startGapura();
  token = await getClientToken(gapura, 'mesin', 'administrator');
  api = newApiClient(gapura.url, token);
  admin = await openConsole(gapura, 'admin');
  pangan = (await findOrganisation(gapura.db, '0000001016000000'))?.id as string;
});

beforeEach(async () => {
  last += 1;
  const username = `tamu_${last}`;
  const email = `${username}@surat.example`;
  const mobile_number = `+62813${String(last).padStart(8, '0')}`;
  const { id } = await createAccount(gapura.db, {
    username,
    email,
    email_verified: true,
    mobile_number,
    mobile_number_verified: true,
    full_name: `Tamu Nomor${last} Harjono`,
    password: demo_password,
  });
  await addPerson(gapura.db, id, pangan, 'Staf');
  guest = { id, username, email, mobile_number };
});

afterAll(() => gapura.stop());

const mailsOf = (account_id: string) =>
  gapura.db
    .selectFrom('mails')
    .select(['id', 'to_address', 'template', 'values', 'secret'])
    .where('account_id', '=', account_id)
    .where('template', '<>', 'new_browser')
    .orderBy('created_at')
    .execute();
const namesOf = async (account_id: string) =>
  (await gapura.db.selectFrom('account_identifiers').select('canonical').where('account_id', '=', account_id).execute())
    .map(({ canonical }) => canonical)
    .toSorted();
const isSignedIn = async (visitor: HttpVisitor) => (await visitor.get('/portal', { follow: false })).status === 200;
const because = 'Diminta orangnya';

/** The address in the last invitation that waits to be sent. */
async function readInvitation(account_id: string): Promise<string> {
  const { id, secret } = (await mailsOf(account_id)).filter(({ template }) => template === 'invitation').at(-1) ?? {};
  return open(mailKeys(gapura.config), secret ?? '', `mails.secret ${id}`);
}

async function change(id: string, values: Record<string, unknown>) {
  const etag = (await api('GET', `/accounts/${id}`)).headers.get('etag') ?? '';
  return api('PATCH', `/accounts/${id}`, values, { 'if-match': etag });
}

describe('finding', () => {
  const find = async (q: string) => {
    const { status, body } = await api('GET', `/accounts?${new URLSearchParams({ q })}`);
    expect(status).toBe(200);
    return (body.items as { username: string }[]).map(({ username }) => username);
  };

  test('is by any name they sign in with, whole or begun, as people write it', async () => {
    const digits = guest.mobile_number.slice(3);
    for (const typed of [
      guest.username,
      guest.username.toUpperCase(),
      guest.email,
      guest.mobile_number,
      `0${digits}`,
      `0${digits.slice(0, 3)}-${digits.slice(3, 7)}-${digits.slice(7)}`,
      `0062 ${digits}`,
      `Nomor${last}`,
      `harj nomor${last}`,
      `  tamu   nomor${last} `,
    ])
      expect([typed, await find(typed)]).toEqual([typed, [guest.username]]);
    expect(await find('tam')).toContain(guest.username);
    expect(await find('0813 0000')).toContain(guest.username);
    expect(await find('orang yang tidak ada')).toEqual([]);
  });

  test('is by an address that nobody has proven', async () => {
    const { id } = await createAccount(gapura.db, {
      username: `b_${last}`,
      full_name: 'X Y',
      email: `Belum${last}@x.example`,
    });
    expect(await find(`belum${last}@`)).toEqual([`b_${last}`]);
    expect(await namesOf(id)).toEqual([`b_${last}`]);
  });

  test.each([
    "'",
    "a' | 'b",
    ':*',
    '&|!()<>',
    '\\',
    '%',
    '_',
    '🙂',
    'a:*',
    '08',
    '+62',
    '"',
    '\u{10ffff}',
    'x'.repeat(200),
  ])('of %j is an answer and no failure', async (typed) => {
    expect(Array.isArray(await find(typed))).toBe(true);
  });

  test('of what is no text, or too much of it, is refused', async () => {
    for (const query of [
      'q=%00',
      `q=${'x'.repeat(201)}`,
      'q=a&q=b',
      'status=besar',
      'organisation_id=PT',
      'sort=email',
    ])
      expect([query, (await api('GET', `/accounts?${query}`)).status]).toEqual([query, 400]);
  });

  test('is by state and by organisation', async () => {
    const list = async (query: string) =>
      ((await api('GET', `/accounts?size=100&${query}`)).body.items as { id: string }[]).map(({ id }) => id);
    expect(await list('status=open')).toContain(guest.id);
    await lockAccount(gapura.db, guest.id, 'frozen', { because });
    await lockAccount(gapura.db, guest.id, 'locked', { because });
    expect(await list('status=frozen')).toEqual([guest.id]);
    expect(await list('status=locked')).not.toContain(guest.id);
    expect(await list('status=open')).not.toContain(guest.id);
    for (const named of [pangan, '00.000.101.6-000.000'])
      expect(await list(`organisation_id=${named}`)).toContain(guest.id);
    expect(await list('organisation_id=00.000.102.4-000.000')).not.toContain(guest.id);
  });

  test('reads the names through their indexes, however many people there are', async () => {
    const rolled_back = new Error('rolled back');
    const { where } = accounts.list.filters?.q ?? {};
    const looked = inTransaction(gapura.db, async (tx) => {
      await sql`WITH made AS (INSERT INTO accounts (full_name) SELECT 'Massal ' || n FROM generate_series(1, 20000) n
        RETURNING id, full_name)
        INSERT INTO account_identifiers SELECT replace(lower(full_name), ' ', '_'), id, 'username', full_name FROM made`.execute(
        tx,
      );
      await sql`ANALYZE accounts, account_identifiers`.execute(tx);
      for (const typed of [guest.username, guest.mobile_number, `nomor${last}`, 'massal_777']) {
        const compiled = tx
          .selectFrom(accounts.select(tx).as('r'))
          .selectAll()
          .where(where?.(typed as never) as never)
          .orderBy(sql`lower(r.full_name)`)
          .limit(21)
          .compile();
        const explained = { ...compiled, sql: `EXPLAIN ${compiled.sql}` } as typeof compiled;
        const { rows } = await tx.executeQuery<{ 'QUERY PLAN': string }>(explained);
        const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
        expect([typed, /Seq Scan on (accounts|account_identifiers)/.test(plan)]).toEqual([typed, false]);
      }
      throw rolled_back;
    });
    await expect(looked).rejects.toBe(rolled_back);
  });
});

describe('opening', () => {
  const fresh = () => ({
    username: `baru_${last}`,
    full_name: 'Orang Baru',
    email: `baru_${last}@surat.example`,
    mobile_number: '0812-7777-0000',
    organisation_id: '00.000.101.6-000.000',
    position: 'Direktur',
    role: 'trader',
    expires_at: '2999-06-30',
  });

  test('invites the person, who makes the password and signs in', async () => {
    const { status, body } = await api('POST', '/accounts', fresh());
    expect([status, body.status, body.roles, body.organisation_id]).toEqual([201, 'invited', ['trader'], pangan]);
    expect(body.mobile_number).toBe('+6281277770000');
    // The last second of that day in Jakarta.
    expect(body.expires_at).toBe('2999-06-30T16:59:59.000Z');
    const visitor = newHttpVisitor(gapura.url);
    const password = 'Kenari-Terbang-77!';
    const fields = { new_password: password, confirm_password: password };
    await visitor.submit(await visitor.get(await readInvitation(body.id)), fields, 'invitation');
    const home = await signIn(visitor, await visitor.get('/portal'), body.email, password);
    expect([home.status, home.url.pathname]).toEqual([200, '/portal']);
    const after = await api('GET', `/accounts/${body.id}`);
    expect([after.body.status, after.body.email_verified]).toEqual(['open', true]);
  });

  test('is noted with who did it and nothing personal', async () => {
    const form = await admin.get('/admin/accounts/creation');
    const { role: _, ...values } = fresh();
    const done = await admin.submit(form, { ...values, full_name: 'Rahasia Diri' });
    expect([done.status, problemsOf(done)]).toEqual([200, []]);
    const id = done.url.pathname.split('/').at(-1) as string;
    const events = await gapura.db.selectFrom('audit_events').selectAll().where('account_id', '=', id).execute();
    expect(events.map(({ kind }) => kind).toSorted()).toEqual(['account_created', 'account_invited', 'operation']);
    expect(JSON.stringify(events)).not.toMatch(/Rahasia|surat\.example|7777/);
  });

  test.each([
    ['a name that begins with a digit', { username: '081288488955' }, { username: 'errors.account.username' }],
    ['a name like an address', { username: 'a@b.example' }, { username: 'errors.account.username' }],
    ['the name of somebody', { username: 'BUDI' }, { username: 'errors.account.username_taken' }],
    ['the address of somebody', { email: 'Budi@Contoh.example' }, { email: 'errors.account.email_taken' }],
    ['two addresses', { email: 'a@b.example, c@d.example' }, { email: 'errors.account.email' }],
    ['no address', { email: undefined }, { email: 'errors.field.required' }],
    ['a telephone', { mobile_number: '021 5253100' }, { mobile_number: 'errors.account.mobile_number' }],
    ['no such company', { organisation_id: '0000009999999999' }, { organisation_id: 'errors.organisation.unknown' }],
    ['a day that is over', { expires_at: '2020-01-01' }, { expires_at: 'errors.account.expiry_past' }],
    ['a day that never was', { expires_at: '2027-02-30' }, { expires_at: 'errors.account.expiry' }],
    ['a day two thousand years ago', { expires_at: '0000-01-01' }, { expires_at: 'errors.account.expiry' }],
    [
      'a role without its company',
      { organisation_id: null },
      { organisation_id: 'errors.role.organisation_id_organisation' },
    ],
    ['a role without its agency', { role: 'agency_officer' }, { agency_code: 'errors.role.agency_code_agency' }],
    ['an agency without a role', { role: null, agency_code: 'BPOM' }, { role: 'errors.role.missing' }],
    ['no such agency', { role: 'developer', agency_code: 'ADA' }, { agency_code: 'errors.agency.unknown' }],
    ['an agency for a trader', { agency_code: 'BPOM' }, { agency_code: 'errors.role.agency_code_organisation' }],
    ['an array', { full_name: ['a'] }, { full_name: 'errors.field.invalid' }],
  ])('with %s is refused beside the field', async (_what, wrong, errors) => {
    const refused = await api('POST', '/accounts', { ...fresh(), ...wrong });
    expect([refused.status, errorsOf(refused)]).toEqual([422, errors]);
  });

  test.each([
    ['name', (n: number) => ({ email: `lain_${last}_${n}@surat.example` })],
    ['address', (n: number) => ({ username: `lain_${last}_${n}` })],
  ])('by ten at once with one %s makes one', async (_what, own) => {
    const answers = await storm(10, (n) => ({
      url: `${gapura.url}/api/v1/accounts`,
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ ...fresh(), ...own(n) }),
    }));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, ...Array(9).fill(422)]);
  });

  test('invites again, and the first link opens nothing any more', async () => {
    const { body } = await api('POST', '/accounts', fresh());
    const first = await readInvitation(body.id);
    await new Promise((done) => setImmediate(done));
    expect((await api('POST', `/accounts/${body.id}/invitation`)).status).toBe(200);
    const second = await readInvitation(body.id);
    const visitor = newHttpVisitor(gapura.url);
    expect((await visitor.get(first)).body).not.toContain('new_password');
    expect((await visitor.get(second)).body).toContain('new_password');
    expect((await api('POST', `/accounts/${guest.id}/invitation`)).status).toBe(409);
  });
});

describe('changing', () => {
  test('the address ends what the old one proved, and tells the person there', async () => {
    const { status, body } = await change(guest.id, { email: `pindah_${last}@surat.example`, city: 'Medan' });
    expect([status, body.email, body.email_verified, body.city]).toEqual([
      200,
      `pindah_${last}@surat.example`,
      false,
      'Medan',
    ]);
    expect(await namesOf(guest.id)).toEqual([guest.mobile_number, guest.username]);
    expect((await mailsOf(guest.id)).map(({ template, to_address }) => [template, to_address])).toEqual([
      ['account_email_changed', guest.email],
    ]);
    const visitor = newHttpVisitor(gapura.url);
    expect((await signIn(visitor, await visitor.get('/portal'), guest.email)).status).toBe(422);
  });

  test('the mobile number ends what the old one named', async () => {
    expect((await change(guest.id, { mobile_number: '0812 9999 8888' })).body.mobile_number).toBe('+6281299998888');
    expect(await namesOf(guest.id)).toEqual([guest.username, guest.email].toSorted());
    expect(await mailsOf(guest.id)).toEqual([]);
  });

  test('something else leaves both as they are', async () => {
    const before = await namesOf(guest.id);
    const { body } = await change(guest.id, { full_name: 'Nama Lain', time_zone: 'Asia/Jayapura' });
    expect([body.full_name, body.email_verified, body.time_zone]).toEqual(['Nama Lain', true, 'Asia/Jayapura']);
    expect(await namesOf(guest.id)).toEqual(before);
  });

  test('the wrong address of an invitation sends it to the right one, and kills the first link', async () => {
    const made = await api('POST', '/accounts', {
      username: `salah_${last}`,
      full_name: 'Salah Alamat',
      email: `salah_${last}@x.example`,
    });
    const { id } = made.body;
    const first = await readInvitation(id);
    expect((await change(id, { email: `benar_${last}@x.example` })).status).toBe(200);
    const mails = (await mailsOf(id)).filter(({ template }) => template === 'invitation');
    expect(mails.map(({ to_address }) => to_address)).toEqual([`salah_${last}@x.example`, `benar_${last}@x.example`]);
    expect((await newHttpVisitor(gapura.url).get(first)).body).not.toContain('new_password');
  });

  test('into somebody else’s address is refused, and what is not the form’s is refused', async () => {
    expect(errorsOf(await change(guest.id, { email: 'budi@contoh.example' }))).toEqual({
      email: 'errors.account.email_taken',
    });
    for (const extra of [
      { email_verified: true },
      { generation: 9 },
      { version: 9 },
      { roles: ['administrator'] },
      { id: pangan },
    ]) {
      await change(guest.id, extra);
      const { body } = await api('GET', `/accounts/${guest.id}`);
      expect([body.id, body.roles, body.version]).toEqual([guest.id, [], 1]);
    }
  });

  test('by two at once is done by one', async () => {
    const etag = (await api('GET', `/accounts/${guest.id}`)).headers.get('etag') ?? '';
    const answers = await storm(6, (n) => ({
      url: `${gapura.url}/api/v1/accounts/${guest.id}`,
      method: 'PATCH',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'if-match': etag },
      body: JSON.stringify({ city: `Kota ${n}` }),
    }));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 412, 412, 412, 412, 412]);
  });
});

describe('closing', () => {
  test('ends every session at once, says why to officers, and tells the person', async () => {
    const visitor = await newSignedInVisitor(gapura.url, guest.username);
    const answer = await api('POST', `/accounts/${guest.id}/lock`, { lock: 'frozen', because });
    expect([answer.status, answer.body.status, answer.body.locks]).toEqual([200, 'frozen', ['frozen']]);
    expect(await isSignedIn(visitor)).toBe(false);
    expect((await mailsOf(guest.id)).map(({ template }) => template)).toEqual(['account_locked']);
    const { body } = await api('GET', `/accounts/${guest.id}/locks`);
    expect(body.items).toEqual([expect.objectContaining({ lock: 'frozen', because })]);
    expect(errorsOf(await api('POST', `/accounts/${guest.id}/lock`, { lock: 'frozen', because }))).toEqual({
      lock: 'errors.account.lock_stands',
    });
  });

  test('wants a reason, and a kind that officers give', async () => {
    expect(errorsOf(await api('POST', `/accounts/${guest.id}/lock`, { lock: 'locked' }))).toEqual({
      because: 'errors.field.required',
    });
    for (const lock of ['dormant', 'revoked', 'x', null])
      expect([lock, (await api('POST', `/accounts/${guest.id}/lock`, { lock, because })).status]).toEqual([lock, 422]);
  });

  test('and opening again lifts one lock at a time, and no session comes back', async () => {
    const visitor = await newSignedInVisitor(gapura.url, guest.username);
    for (const lock of ['locked', 'disabled'])
      expect((await api('POST', `/accounts/${guest.id}/lock`, { lock, because })).status).toBe(200);
    expect((await api('POST', `/accounts/${guest.id}/unlock`, { lock: 'frozen', because })).status).toBe(422);
    const once = await api('POST', `/accounts/${guest.id}/unlock`, { lock: 'disabled', because });
    expect([once.status, once.body.status]).toEqual([200, 'locked']);
    const twice = await api('POST', `/accounts/${guest.id}/unlock`, { lock: 'locked', because });
    expect([twice.status, twice.body.status]).toEqual([200, 'open']);
    expect((await api('POST', `/accounts/${guest.id}/unlock`, { lock: 'locked', because })).status).toBe(409);
    expect(await isSignedIn(visitor)).toBe(false);
    await newSignedInVisitor(gapura.url, guest.username);
    const operations = await gapura.db
      .selectFrom('audit_events')
      .select(sql`detail->>'because'`.as('because'))
      .where('account_id', '=', guest.id)
      .where('kind', '=', 'operation')
      .execute();
    expect(operations).toHaveLength(4);
    expect(operations.every((row) => row.because === because)).toBe(true);
  });

  test('the sessions alone leaves the person able to sign in again', async () => {
    const visitor = await newSignedInVisitor(gapura.url, guest.username);
    const list = async (section: string) => (await api('GET', `/accounts/${guest.id}/${section}`)).body.items;
    expect([(await list('sessions')).length, (await list('grants')).length]).toEqual([1, 1]);
    expect((await api('POST', `/accounts/${guest.id}/sessions-end`, { because })).status).toBe(200);
    const left = [(await list('sessions')).length, (await list('grants')).length];
    expect([await isSignedIn(visitor), left]).toEqual([false, [0, 0]]);
    await newSignedInVisitor(gapura.url, guest.username);
  });

  test('by its own officer is refused: nobody closes the own account by a slip', async () => {
    const { account_id } = await gapura.db
      .selectFrom('account_identifiers')
      .select('account_id')
      .where('canonical', '=', 'admin')
      .executeTakeFirstOrThrow();
    for (const [operation, values] of Object.entries({
      lock: { lock: 'locked', because },
      expiry: { expires_at: '2999-01-01', because },
      'sessions-end': { because },
    })) {
      const refused = await admin.post(`/admin/accounts/${account_id}/${operation}`, values);
      expect([operation, refused.status, refused.body.includes('akun Anda sendiri')]).toEqual([operation, 422, true]);
    }
  });
});

describe('the last administrator', () => {
  const openAdministrators = async () =>
    (
      await sql`SELECT FROM role_assignments g WHERE role = 'administrator'
      AND NOT EXISTS (SELECT FROM account_locks l WHERE l.account_id = g.account_id)`.execute(gapura.db)
    ).rows.length;

  test('stays, however many close each other in one instant', async () => {
    const { db } = gapura;
    const first = (
      await db.selectFrom('role_assignments').select('account_id').where('role', '=', 'administrator').execute()
    ).map(({ account_id }) => account_id);
    for (let round = 0; round < 3; round += 1) {
      const other = await addOfficer(gapura, `kedua_${last}_${round}`, 'administrator');
      const all = [...first, other];
      const answers = await storm(8, (n) => ({
        url: `${gapura.url}/api/v1/accounts/${all[n % all.length]}/lock`,
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ lock: (['locked', 'disabled', 'frozen'] as const)[n % 3], because }),
      }));
      // 409: of three kinds of lock all stand.
      expect(answers.filter(({ status }) => ![200, 409, 422].includes(status))).toEqual([]);
      expect(await openAdministrators()).toBe(1);
      await db.deleteFrom('account_locks').execute();
      await db.deleteFrom('role_assignments').where('account_id', '=', other).execute();
    }
    const [alone] = first;
    const refused = await api('POST', `/accounts/${alone}/lock`, { lock: 'locked', because });
    expect(errorsOf(refused)).toEqual({ form: 'errors.account.last_administrator' });
    const expiring = await api('POST', `/accounts/${alone}/expiry`, { expires_at: '2999-01-01', because });
    expect(errorsOf(expiring)).toEqual({ form: 'errors.account.last_administrator' });
    // Each lock ended the sessions of whom it closed.
    admin = await openConsole(gapura, 'admin');
  });

  test('under four eyes an administrator is unlocked by a second person alone', async () => {
    const key = {
      key: 'four_eyes.administrator_unlock',
      scope: { kind: 'system', id: '' },
      by: null,
      because: 'uji',
    } as const;
    await inTransaction(gapura.db, (tx) => setPolicy(tx, { ...key, version: 0, value: true }));
    await until(() => policy('four_eyes.administrator_unlock'));
    const locked = await addOfficer(gapura, `terkunci_${last}`, 'administrator');
    await addOfficer(gapura, `mata_${last}`, 'administrator');
    await lockAccount(gapura.db, locked, 'locked', { because });
    const asked = await admin.post(`/admin/accounts/${locked}/unlock`, { lock: 'locked', because });
    expect([asked.status, asked.url.pathname.startsWith('/admin/approvals/')]).toEqual([200, true]);
    const approval = asked.url.pathname;
    expect((await admin.post(`${approval}/decision`, { decision: 'approved', reason: '' })).status).toBe(422);
    expect((await api('GET', `/accounts/${locked}`)).body.status).toBe('locked');
    const second = await openConsole(gapura, `mata_${last}`);
    expect((await second.post(`${approval}/decision`, { decision: 'approved', reason: '' })).status).toBe(200);
    expect((await api('GET', `/accounts/${locked}`)).body.status).toBe('open');
    // The service desk does not even get as far as asking.
    await lockAccount(gapura.db, locked, 'locked', { because });
    const desk = await openConsole(gapura, 'layanan');
    expect((await desk.post(`/admin/accounts/${locked}/unlock`, { lock: 'locked', because })).status).toBe(409);
  });
});

describe('the expiry date', () => {
  test('is the last second of the day where the company is, and can be taken away', async () => {
    await sql`UPDATE organisations SET time_zone = 'Asia/Jayapura' WHERE id = ${pangan}`.execute(gapura.db);
    const set = await api('POST', `/accounts/${guest.id}/expiry`, { expires_at: '2999-03-01', because });
    expect(set.body.expires_at).toBe('2999-03-01T14:59:59.000Z');
    const form = await admin.get(`/admin/accounts/${guest.id}/expiry`);
    expect(form.body).toContain('value="2999-03-01"');
    expect(
      (await api('POST', `/accounts/${guest.id}/expiry`, { expires_at: null, because })).body.expires_at,
    ).toBeNull();
    expect((await mailsOf(guest.id)).map(({ template }) => template)).toEqual(Array(2).fill('account_expiry_changed'));
    await sql`UPDATE organisations SET time_zone = 'Asia/Jakarta' WHERE id = ${pangan}`.execute(gapura.db);
  });

  test('renews an account that has run out', async () => {
    await sql`UPDATE accounts SET expires_at = gapura_now() - interval '1 day' WHERE id = ${guest.id}`.execute(
      gapura.db,
    );
    expect((await api('GET', `/accounts/${guest.id}`)).body.status).toBe('expired');
    expect((await api('POST', `/accounts/${guest.id}/expiry`, { expires_at: '2999-03-01', because })).body.status).toBe(
      'open',
    );
    await newSignedInVisitor(gapura.url, guest.username);
  });

  test('cannot be a day that is over', async () => {
    const refused = await api('POST', `/accounts/${guest.id}/expiry`, { expires_at: '2025-01-01', because });
    expect(errorsOf(refused)).toEqual({ expires_at: 'errors.account.expiry_past' });
  });
});

describe('the page of a person', () => {
  test('shows names, company, roles, links, sessions and events, and from where only to those who read the audit', async () => {
    const { db } = gapura;
    await grantRole(db, guest.id, 'trader', { organisation_id: pangan });
    await newSignedInVisitor(gapura.url, guest.username);
    const shown = await admin.get(`/admin/accounts/${guest.id}`);
    expect(shown.status).toBe(200);
    for (const text of [guest.username, guest.email, 'PT Contoh Pangan Nusantara', 'Staf', 'Importir', '127.0.0.1'])
      expect([text, shown.body.includes(text)]).toEqual([text, true]);
    for (const username of ['layanan', 'sari']) {
      const page = await (await openConsole(gapura, username)).get(`/admin/accounts/${guest.id}`);
      expect([username, page.status, page.body.includes('127.0.0.1')]).toEqual([username, 200, false]);
    }
  });

  test('holds no secret and no number of an identity card', async () => {
    const { body } = await api('GET', `/accounts/${guest.id}`);
    expect(Object.keys(body).filter((name) => /password|hash|secret|nik|generation|token/.test(name))).toEqual([]);
  });

  test('tells a company nothing of another company that the person works for', async () => {
    const other = await findOrganisation(gapura.db, '0000001024000000');
    await addPerson(gapura.db, guest.id, other?.id as string, 'Penasihat');
    const page = await (await openConsole(gapura, 'sari')).get(`/admin/accounts/${guest.id}`);
    expect([page.status, page.body.includes('PT Contoh Kosmetika Jaya'), page.body.includes('Penasihat')]).toEqual([
      200,
      false,
      false,
    ]);
  });
});

test('what matters asks for a recent sign-in', () => {
  const weighty = accounts.operations.filter(({ is_weighty }) => is_weighty).map(({ name }) => name);
  expect(weighty).toEqual(['creation', 'change', 'unlock', 'expiry']);
});
