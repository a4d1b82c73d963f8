/** Accounts: opened whole or not at all, named by one identifier each, closed at once and once. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createAccount, endEverything, lockAccount, unlockAccount } from '../../src/accounts/account.ts';
import { verifyPassword } from '../../src/accounts/password.ts';
import { findAccount, findAccountForSignIn } from '../../src/accounts/store.ts';
import { type Database, inTransaction } from '../../src/database.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let db: Database;

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
});

afterAll(() => database.drop());

let last = 0;
const newAccount = () => {
  last += 1;
  return createAccount(db, { username: `orang_${last}`, full_name: `Orang Contoh ${last}` });
};
const generationOf = async (id: string) => (await findAccount(db, id))?.generation;
const auditOf = (account_id: string) =>
  db
    .selectFrom('audit_events')
    .select(['kind', 'actor_id', 'detail'])
    .where('account_id', '=', account_id)
    .orderBy('id')
    .execute();

async function countRows() {
  const count = async (table: 'accounts' | 'account_identifiers' | 'passwords' | 'audit_events') =>
    Number(
      (
        await db
          .selectFrom(table)
          .select((eb) => eb.fn.countAll<string>().as('n'))
          .executeTakeFirstOrThrow()
      ).n,
    );
  return {
    accounts: await count('accounts'),
    identifiers: await count('account_identifiers'),
    passwords: await count('passwords'),
    audit: await count('audit_events'),
  };
}

describe('opening an account', () => {
  test('writes the person, the name, a hash of the password, and the audit row', async () => {
    const account = await createAccount(db, {
      username: 'Budi',
      password: 'Pintu-Terbuka-2026!',
      full_name: 'Budi Contoh',
    });
    expect(await findAccount(db, account.id)).toMatchObject({
      username: 'Budi',
      full_name: 'Budi Contoh',
      generation: 1,
    });
    const found = await findAccountForSignIn(db, 'budi', undefined);
    expect(found).toMatchObject({ id: account.id, locks: [], expired: false, knows_browser: false });
    expect((await verifyPassword(found?.hash, 'Pintu-Terbuka-2026!')).fits).toBe(true);
    expect(await auditOf(account.id)).toEqual([{ kind: 'account_created', actor_id: null, detail: {} }]);
  });

  test('makes the verified e-mail address and the verified mobile number names to sign in with', async () => {
    const { id } = await createAccount(db, {
      username: 'sari',
      full_name: 'Sari Contoh',
      email: 'Sari@Contoh.example',
      email_verified: true,
      mobile_number: '+6281200000102',
      mobile_number_verified: true,
    });
    expect(await findAccountForSignIn(db, 'sari@contoh.example', undefined)).toMatchObject({ id });
    expect(await findAccountForSignIn(db, '+6281200000102', undefined)).toMatchObject({ id });
  });

  test('makes no name of an address that nobody has verified', async () => {
    await createAccount(db, {
      username: 'tamu',
      full_name: 'Tamu',
      email: 'orang-lain@contoh.example',
      mobile_number: '+6281200000999',
    });
    expect(await findAccountForSignIn(db, 'orang-lain@contoh.example', undefined)).toBeUndefined();
    expect(await findAccountForSignIn(db, '+6281200000999', undefined)).toBeUndefined();
  });

  test('without a password leaves an account that no password opens', async () => {
    const { id } = await newAccount();
    expect((await findAccountForSignIn(db, `orang_${last}`, undefined))?.id).toBe(id);
    expect((await findAccountForSignIn(db, `orang_${last}`, undefined))?.hash).toBeUndefined();
  });

  test.each(['BUDI', ' budi ', 'ｂｕｄｉ'])(
    'under the name "%s", which another has, leaves nothing behind',
    async (username) => {
      const before = await countRows();
      await expect(createAccount(db, { username, password: 'x', full_name: 'Penyamar' })).rejects.toMatchObject({
        code: '23505',
      });
      expect(await countRows()).toEqual(before);
    },
  );

  test('that the database refuses leaves nothing behind', async () => {
    const before = await countRows();
    const language = 'xx' as 'id';
    await expect(
      createAccount(db, { username: 'gagal', password: 'x', full_name: 'Gagal', language }),
    ).rejects.toThrow();
    expect(await countRows()).toEqual(before);
    expect(await findAccountForSignIn(db, 'gagal', undefined)).toBeUndefined();
  });

  test('ten times at once under one name, written in ten ways, succeeds once', async () => {
    const before = await countRows();
    const tries = Array.from({ length: 10 }, (_, at) =>
      createAccount(db, { username: at % 2 ? `${' '.repeat(at)}Kembar` : 'KEMBAR', full_name: `Kembar ${at}` }),
    );
    const outcomes = await Promise.allSettled(tries);
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const after = await countRows();
    expect(after).toEqual({
      ...before,
      accounts: before.accounts + 1,
      identifiers: before.identifiers + 1,
      audit: before.audit + 1,
    });
  });

  test('inside a transaction that is rolled back has not happened', async () => {
    const before = await countRows();
    const work = inTransaction(db, async (tx) => {
      await createAccount(tx, { username: 'batal', full_name: 'Batal' });
      throw new Error('no');
    });
    await expect(work).rejects.toThrow('no');
    expect(await countRows()).toEqual(before);
  });
});

describe('closing an account', () => {
  test('raises the generation once, also when ten do it at once, and is written down once with who did it', async () => {
    const [{ id }, officer] = [await newAccount(), await newAccount()];
    const deed = { by: officer.id, because: 'laporan penyalahgunaan' };
    await Promise.all(Array.from({ length: 10 }, () => lockAccount(db, id, 'locked', deed)));
    expect(await generationOf(id)).toBe(2);
    expect((await findAccountForSignIn(db, `orang_${last - 1}`, undefined))?.locks).toEqual(['locked']);
    expect(
      await db
        .selectFrom('account_locks')
        .select(['kind', 'because', 'locked_by'])
        .where('account_id', '=', id)
        .execute(),
    ).toEqual([{ kind: 'locked', because: deed.because, locked_by: officer.id }]);
    expect((await auditOf(id)).slice(1)).toEqual([
      { kind: 'account_locked', actor_id: officer.id, detail: { lock: 'locked' } },
    ]);
  });

  test('for a second reason raises it again, and both reasons stand', async () => {
    const { id } = await newAccount();
    await lockAccount(db, id, 'frozen', { because: 'a' });
    await lockAccount(db, id, 'disabled', { because: 'b' });
    expect(await generationOf(id)).toBe(3);
    expect((await findAccountForSignIn(db, `orang_${last}`, undefined))?.locks).toEqual(['disabled', 'frozen']);
  });

  test('leaves the account of a stranger as it was', async () => {
    const [{ id }, stranger] = [await newAccount(), await newAccount()];
    await lockAccount(db, id, 'locked', { because: 'a' });
    expect(await generationOf(stranger.id)).toBe(1);
    expect((await findAccountForSignIn(db, `orang_${last}`, undefined))?.locks).toEqual([]);
  });

  test('notes the moment for the sweep, and is undone with its transaction', async () => {
    const { id } = await newAccount();
    const work = inTransaction(db, async (tx) => {
      await lockAccount(tx, id, 'locked', { because: 'a' });
      throw new Error('no');
    });
    await expect(work).rejects.toThrow('no');
    expect(await findAccount(db, id)).toMatchObject({ generation: 1, revoked_at: null });
    await lockAccount(db, id, 'locked', { because: 'a' });
    expect((await findAccount(db, id))?.revoked_at).toBeInstanceOf(Date);
  });
});

describe('opening it again', () => {
  test('takes away that reason alone, and brings no old session back', async () => {
    const { id } = await newAccount();
    await lockAccount(db, id, 'locked', { because: 'a' });
    await lockAccount(db, id, 'frozen', { because: 'b' });
    await unlockAccount(db, id, 'locked', { because: 'c' });
    expect((await findAccountForSignIn(db, `orang_${last}`, undefined))?.locks).toEqual(['frozen']);
    expect(await generationOf(id)).toBe(3);
  });

  test('ten times at once is written down once; where it was not closed, not at all', async () => {
    const { id } = await newAccount();
    await unlockAccount(db, id, 'locked', { because: 'x' });
    await lockAccount(db, id, 'locked', { because: 'a' });
    await Promise.all(Array.from({ length: 10 }, () => unlockAccount(db, id, 'locked', { because: 'b' })));
    expect((await auditOf(id)).map(({ kind }) => kind)).toEqual([
      'account_created',
      'account_locked',
      'account_unlocked',
    ]);
    expect(await generationOf(id)).toBe(2);
  });
});

describe('ending everything of an account', () => {
  test('raises the generation each time, gives it back, and writes it down', async () => {
    const [{ id }, officer] = [await newAccount(), await newAccount()];
    const end = () =>
      inTransaction(db, (tx) => endEverything(tx, id, { by: officer.id, because: 'kata sandi diatur ulang' }));
    const generations = await Promise.all([end(), end(), end()]);
    expect(generations.sort()).toEqual([2, 3, 4]);
    expect(await generationOf(id)).toBe(4);
    expect(await generationOf(officer.id)).toBe(1);
    const audit = (await auditOf(id)).slice(1);
    expect(audit).toEqual(Array(3).fill({ kind: 'account_revoked', actor_id: officer.id, detail: {} }));
  });
});
