/** Invitations: one link, by mail, for one person's first password; nothing of it in clear but in the mail itself. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { createAccount, lockAccount, unlockAccount } from '../../src/accounts/account.ts';
import {
  type AcceptOutcome,
  acceptInvitation,
  findInvitation,
  type InvitationOrder,
  type InvitationStore,
  inviteAccount,
  resendInvitation,
} from '../../src/accounts/invitation.ts';
import { verifyPassword } from '../../src/accounts/password.ts';
import { findPasswordHash, writePassword } from '../../src/accounts/password-store.ts';
import { findAccount } from '../../src/accounts/store.ts';
import { deriveKeys, open, Secret } from '../../src/crypto.ts';
import { type Database, inTransaction } from '../../src/database.ts';
import { deliverMail, type Message } from '../../src/delivery/outbox.ts';
import { type Jobs, openJobs } from '../../src/jobs.ts';
import { grantRole } from '../../src/permissions.ts';
import { policy } from '../../src/policy/policy.ts';
import { from_here } from '../support/application.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let db: Database;
let jobs: Jobs;
let store: InvitationStore;
let sari: string;
const password = 'Kenari-Terbang-77!';
const secrets = [new Secret('rahasia uji yang cukup panjang untuk kunci')];
const week = policy('invitation.lifetime') * 86_400;
let last = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  jobs = await openJobs({ database_url: new Secret(database.url) });
  store = {
    db,
    jobs,
    keys: deriveKeys(secrets, 'proofs'),
    mail_keys: deriveKeys(secrets, 'mails.secret'),
    url: 'https://gapura.example',
    support: 'Meja Bantuan, bantuan@gapura.example',
  };
  sari = (await createAccount(db, { username: 'sari', full_name: 'Sari Contoh' })).id;
});

afterEach(async () => {
  await resetClock(db);
  for (const table of ['proofs', 'mails'] as const) await db.deleteFrom(table).execute();
  await sql`DELETE FROM jobs.job`.execute(db);
});

afterAll(async () => {
  await jobs.stop();
  await database.drop();
});

/** Somebody new, whose account has no password. */
let guest: { id: string; email: string; username: string };

beforeEach(async () => {
  last += 1;
  const [username, email] = [`tamu_${last}`, `tamu_${last}@contoh.example`];
  const { id } = await createAccount(db, { username, email, full_name: `Tamu Baru ${last}` });
  guest = { id, email, username };
});

const invite = (changes: Partial<InvitationOrder> = {}, how = inviteAccount) =>
  inTransaction(db, (tx) => how(tx, store, { account_id: guest.id, by: sari, request: from_here, ...changes }));
const accept = (token: string, typed = password): Promise<AcceptOutcome> =>
  acceptInvitation(store, { token, password: typed, request: from_here });
const over = { state: 'refused', because: 'over' };

/** The mails as they would be sent now. */
async function readMails(): Promise<Message[]> {
  const given: Message[] = [];
  const send = async (message: Message) => {
    given.push(message);
    return { state: 'sent' } as const;
  };
  const channel = { name: 'uji', send, close: () => undefined };
  const rows = await db.selectFrom('mails').select('id').where('sent_at', 'is', null).orderBy('created_at').execute();
  for (const { id } of rows)
    await deliverMail(
      db,
      { channel, keys: store.mail_keys },
      { error: () => undefined },
    )({
      id: 'x',
      payload: { mail_id: id },
      attempt: 1,
      is_last: false,
      signal: new AbortController().signal,
    });
  return given;
}

/** Invites and reads the token out of the mail. */
async function inviteForToken(changes: Partial<InvitationOrder> = {}, how = inviteAccount): Promise<string> {
  expect(await invite(changes, how)).toMatchObject({ state: 'invited' });
  const [mail] = await readMails();
  return /https:\/\/gapura\.example\/invitation\/([\w-]{43})\b/.exec(mail?.text ?? '')?.[1] ?? '';
}

const auditOf = async (account_id = guest.id) =>
  (
    await db
      .selectFrom('audit_events')
      .select(['kind', 'actor_id', 'detail'])
      .where('account_id', '=', account_id)
      .where('kind', '<>', 'account_created')
      .orderBy('id')
      .execute()
  ).map(({ kind, actor_id, detail }) => [kind, actor_id, detail]);

describe('inviting', () => {
  test('sends a link to the person’s address, naming who invites, and until when', async () => {
    const outcome = await invite();
    expect(outcome).toEqual({ state: 'invited', expires_at: expect.any(Date) });
    const [mail, ...others] = await readMails();
    expect([mail?.to, others]).toEqual([guest.email, []]);
    for (const words of ['Tamu Baru', guest.username, 'Sari Contoh', 'WIB', 'Meja Bantuan'])
      expect(mail?.text).toContain(words);
    expect(mail?.html).toMatch(/<a href="https:\/\/gapura\.example\/invitation\/[\w-]{43}">/);
    expect(await auditOf()).toEqual([['account_invited', sari, { again: false }]]);
  });

  test('keeps the link in clear nowhere but in the mail that is sent', async () => {
    await invite();
    const [row] = await db.selectFrom('mails').selectAll().execute();
    const link = open(store.mail_keys, row?.secret ?? '', `mails.secret ${row?.id}`);
    const token = link.split('/').at(-1) ?? '';
    expect(token).toHaveLength(43);
    const look = async () => {
      const { rows: tables } = await sql<{ name: string }>`SELECT format('%I.%I', schemaname, tablename) AS name
        FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`.execute(db);
      for (const { name } of tables) {
        const found = await sql`SELECT FROM ${sql.raw(name)} t WHERE t::text LIKE ${`%${token}%`}`.execute(db);
        expect([name, found.rows.length]).toEqual([name, 0]);
      }
    };
    await look();
    await readMails();
    expect((await db.selectFrom('mails').select('secret').execute())[0]?.secret).toBeNull();
    expect(await accept(token)).toMatchObject({ state: 'accepted' });
    await look();
  });

  test('is refused for nobody, a closed account, one with a password, and one without an address', async () => {
    const nobody = '00000000-0000-4000-8000-000000000000';
    expect(await invite({ account_id: nobody })).toEqual({ state: 'refused', because: 'unknown' });
    await lockAccount(db, guest.id, 'disabled', { because: 'uji' });
    expect(await invite()).toEqual({ state: 'refused', because: 'closed' });
    await unlockAccount(db, guest.id, 'disabled', { because: 'uji' });
    await db.updateTable('accounts').set({ email: null }).where('id', '=', guest.id).execute();
    expect(await invite()).toEqual({ state: 'refused', because: 'no_address' });
    await db.updateTable('accounts').set({ email: 'a@b, c@d' }).where('id', '=', guest.id).execute();
    expect(await invite()).toEqual({ state: 'refused', because: 'no_address' });
    await db.updateTable('accounts').set({ email: guest.email }).where('id', '=', guest.id).execute();
    await writePassword(db, guest.id, 'x');
    expect(await invite()).toEqual({ state: 'refused', because: 'has_password' });
    expect(await db.selectFrom('mails').selectAll().execute()).toEqual([]);
    const open_ones = db.selectFrom('proofs').selectAll().where('voided_at', 'is', null);
    expect(await open_ones.execute()).toEqual([]);
  });

  test('that is rolled back sends nothing and opens nothing', async () => {
    const undone = inTransaction(db, async (tx) => {
      await inviteAccount(tx, store, { account_id: guest.id });
      throw new Error('no');
    });
    await expect(undone).rejects.toThrow('no');
    expect(await db.selectFrom('mails').selectAll().execute()).toEqual([]);
    expect(await db.selectFrom('proofs').selectAll().execute()).toEqual([]);
  });

  test('without a person who invites names the support', async () => {
    expect(await inTransaction(db, (tx) => inviteAccount(tx, store, { account_id: guest.id }))).toMatchObject({
      state: 'invited',
    });
    expect((await readMails())[0]?.text).toContain('Meja Bantuan, bantuan@gapura.example membuka akun');
  });

  test('again ends the link before it, also one that went to another address', async () => {
    const first = await inviteForToken();
    const email = `benar_${guest.email}`;
    await db.updateTable('accounts').set({ email }).where('id', '=', guest.id).execute();
    const second = await inviteForToken({}, resendInvitation);
    expect(await findInvitation(store, first)).toBeUndefined();
    expect(await accept(first)).toEqual(over);
    expect(await accept(second)).toMatchObject({ state: 'accepted' });
    expect((await auditOf()).map(([kind, , detail]) => [kind, detail])).toEqual([
      ['account_invited', { again: false }],
      ['account_invited', { again: true }],
      ['invitation_refused', { because: 'voided' }],
      ['invitation_accepted', { verified: true }],
    ]);
  });
});

describe('accepting', () => {
  test('makes the password, proves the address, and makes it a name to sign in with', async () => {
    const token = await inviteForToken();
    expect(await findInvitation(store, token)).toMatchObject({ account_id: guest.id, username: guest.username });
    expect(await accept(token)).toEqual({ state: 'accepted', username: guest.username });
    expect((await verifyPassword(await findPasswordHash(db, guest.id), password)).fits).toBe(true);
    expect(await findAccount(db, guest.id)).toMatchObject({ email_verified: true });
    const names = db.selectFrom('account_identifiers').select(['kind', 'canonical']).orderBy('kind');
    expect(await names.where('account_id', '=', guest.id).execute()).toEqual([
      { kind: 'email', canonical: guest.email },
      { kind: 'username', canonical: guest.username },
    ]);
    expect((await auditOf()).at(-1)).toEqual(['invitation_accepted', null, { verified: true }]);
  });

  test('leaves an address to whoever signs in with it already', async () => {
    const other = await createAccount(db, {
      username: `pemilik_${last}`,
      full_name: 'Pemilik Contoh',
      email: guest.email,
      email_verified: true,
    });
    expect(await accept(await inviteForToken())).toMatchObject({ state: 'accepted' });
    const name = db.selectFrom('account_identifiers').select('account_id').where('canonical', '=', guest.email);
    expect(await name.execute()).toEqual([{ account_id: other.id }]);
  });

  test('proves no address that it was not sent to', async () => {
    const token = await inviteForToken();
    const email = `lain_${guest.email}`;
    await db.updateTable('accounts').set({ email }).where('id', '=', guest.id).execute();
    expect(await accept(token)).toMatchObject({ state: 'accepted' });
    expect(await findAccount(db, guest.id)).toMatchObject({ email, email_verified: false });
    expect((await auditOf()).at(-1)).toEqual(['invitation_accepted', null, { verified: false }]);
  });

  test('with a password that breaks the rules keeps the link, by the rules of the person’s roles', async () => {
    const token = await inviteForToken();
    expect(await accept(token, 'pendek')).toEqual({
      state: 'refused',
      because: 'rules',
      broken: expect.arrayContaining(['errors.password.length', 'errors.password.upper']),
    });
    expect(await findPasswordHash(db, guest.id)).toBeUndefined();
    await grantRole(db, guest.id, 'administrator');
    expect(await accept(token, 'Kenari-77!')).toMatchObject({ because: 'rules', broken: ['errors.password.length'] });
    expect(await accept(token)).toMatchObject({ state: 'accepted' });
  });

  test('is done once: the second time it is over, whatever is typed', async () => {
    const token = await inviteForToken();
    await accept(token);
    const hash = await findPasswordHash(db, guest.id);
    expect(await accept(token, 'Merpati-Hinggap-88!')).toEqual(over);
    expect(await accept(token, 'pendek')).toEqual(over);
    expect(await findPasswordHash(db, guest.id)).toBe(hash);
    expect((await auditOf()).at(-1)).toEqual(['invitation_refused', null, { because: 'spent' }]);
  });

  test('50 times at once has one winner, whose password stands', async () => {
    const token = await inviteForToken();
    const outcomes = await Promise.all(Array.from({ length: 50 }, (_, at) => accept(token, `Kenari-Terbang-${at}!`)));
    const winners = outcomes.flatMap(({ state }, at) => (state === 'accepted' ? [at] : []));
    expect(winners).toHaveLength(1);
    const hash = await findPasswordHash(db, guest.id);
    expect((await verifyPassword(hash, `Kenari-Terbang-${winners[0]}!`)).fits).toBe(true);
    expect((await auditOf()).filter(([kind]) => kind === 'invitation_accepted')).toHaveLength(1);
  });

  test('is over when its time is', async () => {
    const token = await inviteForToken();
    await moveClock(db, week - 60);
    expect(await findInvitation(store, token)).toBeDefined();
    await moveClock(db, week + 60);
    expect(await findInvitation(store, token)).toBeUndefined();
    expect(await accept(token)).toEqual(over);
    expect(await findPasswordHash(db, guest.id)).toBeUndefined();
    expect((await auditOf()).at(-1)).toEqual(['invitation_refused', null, { because: 'expired' }]);
  });

  test('is over for an account that was closed or got a password since', async () => {
    const token = await inviteForToken();
    await lockAccount(db, guest.id, 'locked', { because: 'uji' });
    expect([await findInvitation(store, token), await accept(token)]).toEqual([undefined, over]);
    expect((await auditOf()).at(-1)).toEqual(['invitation_refused', null, { because: 'closed' }]);
    // Opened again in time, it is as good as before.
    await unlockAccount(db, guest.id, 'locked', { because: 'uji' });
    expect(await findInvitation(store, token)).toBeDefined();
    await writePassword(db, guest.id, 'x');
    expect([await findInvitation(store, token), await accept(token)]).toEqual([undefined, over]);
    expect(await findPasswordHash(db, guest.id)).toBe('x');
  });

  test('with a token that nobody was sent is over, costs no hash, and leaves nothing in the audit', async () => {
    for (const token of ['', 'x', 'A'.repeat(43), '\0', '🔑', 'x'.repeat(100_000)])
      expect(await accept(token)).toEqual(over);
    expect(await auditOf()).toEqual([]);
  });
});
