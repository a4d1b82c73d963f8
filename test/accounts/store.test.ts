/** The SQL of accounts: what deciding about a password reads at once, and hashes that are replaced only where they stand. */

import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { createAccount, lockAccount } from '../../src/accounts/account.ts';
import {
  findDuePassword,
  findPasswordEnd,
  strengthenPassword,
  writePassword,
} from '../../src/accounts/password-store.ts';
import { findAccount, findAccountForSignIn, listAddresses } from '../../src/accounts/store.ts';
import { now } from '../../src/clock.ts';
import type { Database } from '../../src/database.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let db: Database;
let budi: string;
let tono: string;

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  const expires_at = new Date(now().getTime() + 3_600_000);
  budi = (await createAccount(db, { username: 'Budi', full_name: 'Budi Contoh', expires_at })).id;
  tono = (await createAccount(db, { username: 'tono', full_name: 'Tono Contoh' })).id;
});

afterEach(() => resetClock(db));
afterAll(() => database.drop());

const storedHash = async (account_id: string) =>
  await db
    .selectFrom('passwords')
    .select(['hash', 'changed_at'])
    .where('account_id', '=', account_id)
    .executeTakeFirst();

test('a name that nobody has is nobody', async () => {
  expect(await findAccountForSignIn(db, 'nobody', undefined)).toBeUndefined();
  expect(await findAccountForSignIn(db, '', undefined)).toBeUndefined();
  expect(await findAccount(db, randomUUID())).toBeUndefined();
});

test('an account counts as expired from its very moment on, by the clock of the database', async () => {
  expect((await findAccountForSignIn(db, 'budi', undefined))?.expired).toBe(false);
  await moveClock(db, 3590);
  expect((await findAccountForSignIn(db, 'budi', undefined))?.expired).toBe(false);
  await moveClock(db, 3601);
  expect((await findAccountForSignIn(db, 'budi', undefined))?.expired).toBe(true);
  expect((await findAccountForSignIn(db, 'tono', undefined))?.expired).toBe(false);
});

test('a browser is known for the account that signed in there, and for no other', async () => {
  const browser_hash = Buffer.alloc(32, 7);
  await db.insertInto('browsers').values({ account_id: tono, browser_hash }).execute();
  expect((await findAccountForSignIn(db, 'tono', browser_hash))?.knows_browser).toBe(true);
  expect((await findAccountForSignIn(db, 'budi', browser_hash))?.knows_browser).toBe(false);
  expect((await findAccountForSignIn(db, 'tono', Buffer.alloc(32, 8)))?.knows_browser).toBe(false);
  expect((await findAccountForSignIn(db, 'tono', undefined))?.knows_browser).toBe(false);
});

test('several reasons, browsers and names of one account are still one account', async () => {
  await lockAccount(db, tono, 'locked', { because: 'a' });
  await lockAccount(db, tono, 'dormant', { because: 'b' });
  await db
    .insertInto('account_identifiers')
    .values({ account_id: tono, kind: 'email', value: 'Tono@contoh.example', canonical: 'tono@contoh.example' })
    .execute();
  const by_email = await findAccountForSignIn(db, 'tono@contoh.example', undefined);
  expect(by_email).toEqual(await findAccountForSignIn(db, 'tono', undefined));
  expect(by_email).toMatchObject({ id: tono, locks: ['dormant', 'locked'] });
  expect(await findAccount(db, tono)).toMatchObject({ username: 'tono' });
});

test('a stronger hash takes the place of the one it was made from, and is no change of the password', async () => {
  await writePassword(db, budi, 'hash-1');
  const before = await storedHash(budi);
  await moveClock(db, 100);
  await strengthenPassword(db, budi, 'hash-1', 'hash-1-stronger');
  expect(await storedHash(budi)).toEqual({ hash: 'hash-1-stronger', changed_at: before?.changed_at });
});

test('a stronger hash of a password that was changed meanwhile is dropped', async () => {
  await writePassword(db, budi, 'hash-1');
  await writePassword(db, budi, 'hash-2');
  await strengthenPassword(db, budi, 'hash-1', 'hash-1-stronger');
  expect((await storedHash(budi))?.hash).toBe('hash-2');
  await strengthenPassword(db, tono, 'hash-2', 'hash-of-a-stranger');
  expect((await storedHash(budi))?.hash).toBe('hash-2');
  expect(await storedHash(tono)).toBeUndefined();
});

test('a new password has its own moment', async () => {
  await writePassword(db, budi, 'hash-1');
  const before = await storedHash(budi);
  await moveClock(db, 100);
  await writePassword(db, budi, 'hash-2');
  const after = await storedHash(budi);
  expect(Number(after?.changed_at) - Number(before?.changed_at)).toBeGreaterThan(99_000);
});

test('a password that somebody else gave, or whose time is over, is due to be replaced, and says which', async () => {
  const id = (await createAccount(db, { username: 'wati', full_name: 'Wati Contoh', password: 'Kenari-77!' })).id;
  const set = (columns: { must_change: boolean; expires_at: Date | null }) =>
    db.updateTable('passwords').set(columns).where('account_id', '=', id).execute();
  const soon = new Date(now().getTime() + 60_000);
  expect(await findDuePassword(db, id)).toBeUndefined();
  await set({ must_change: true, expires_at: soon });
  expect(await findDuePassword(db, id)).toBe('temporary');
  expect((await findAccountForSignIn(db, 'wati', undefined))?.hash).toMatch(/^\$argon2id\$/);
  await moveClock(db, 61);
  // One that was not replaced in its time is no password any more.
  expect((await findAccountForSignIn(db, 'wati', undefined))?.hash).toBeUndefined();
  await set({ must_change: false, expires_at: soon });
  expect(await findDuePassword(db, id)).toBe('expired');
  expect((await findAccountForSignIn(db, 'wati', undefined))?.hash).toMatch(/^\$argon2id\$/);
  await writePassword(db, id, 'another hash');
  expect(await findDuePassword(db, id)).toBeUndefined();
  expect(await findDuePassword(db, randomUUID())).toBeUndefined();
});

test('a password ends after the days it was given, to the second, and one without days never does', async () => {
  await writePassword(db, tono, 'hash-of-tono', 90);
  const { changed_at, expires_at } = await db
    .selectFrom('passwords')
    .selectAll()
    .where('account_id', '=', tono)
    .executeTakeFirstOrThrow();
  expect(Number(expires_at) - Number(changed_at)).toBe(90 * 86_400_000);
  await moveClock(db, 90 * 86_400 - 60);
  expect(await findDuePassword(db, tono)).toBeUndefined();
  await moveClock(db, 90 * 86_400 + 60);
  expect(await findDuePassword(db, tono)).toBe('expired');
  await writePassword(db, tono, 'the next hash of tono');
  await moveClock(db, 20 * 365 * 86_400);
  expect(await findDuePassword(db, tono)).toBeUndefined();
});

test('the days that a password has left are those of a calendar in the person’s zone', async () => {
  // The last minute of a day in Jakarta, and by then the next day in Jayapura.
  const at = (Date.UTC(2027, 2, 4, 16, 59, 0) - Date.now()) / 1000;
  await moveClock(db, at);
  await writePassword(db, tono, 'hash-of-tono', 15);
  const endIn = (zone: string) => findPasswordEnd(db, tono, { within: 14, zone });
  expect([await endIn('Asia/Jakarta'), await endIn('Asia/Jayapura')]).toEqual([undefined, undefined]);
  await moveClock(db, at + 120);
  expect(await endIn('Asia/Jakarta')).toEqual({ days: 14, expires_at: expect.any(Date) });
  expect(await endIn('Asia/Jayapura')).toBeUndefined();
  await moveClock(db, at + 15 * 86_400 - 30);
  expect(await endIn('Asia/Jakarta')).toMatchObject({ days: 0 });
  await moveClock(db, at + 15 * 86_400 + 30);
  expect(await endIn('Asia/Jakarta')).toBeUndefined();
});

test('a person’s mail addresses are listed once each, however they are written', async () => {
  const mail = { email: 'Rina@contoh.example', email_verified: true };
  const id = (await createAccount(db, { username: 'rina', full_name: 'Rina Contoh', ...mail })).id;
  const lower = {
    account_id: id,
    kind: 'email' as const,
    value: 'lama@contoh.example',
    canonical: 'lama@contoh.example',
  };
  await db.insertInto('account_identifiers').values(lower).execute();
  expect((await listAddresses(db, id)).sort()).toEqual(['Rina@contoh.example', 'lama@contoh.example']);
  expect(await listAddresses(db, randomUUID())).toEqual([]);
});
