/** What describes a person: the shapes it is typed in, one owner for each name and address, and what a new address ends. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createAccount } from '../../src/accounts/account.ts';
import {
  changeAccount,
  emailShape,
  mobileNumberShape,
  openAccount,
  usernameShape,
} from '../../src/accounts/profile.ts';
import { findAccount } from '../../src/accounts/store.ts';
import { deriveKeys, Secret } from '../../src/crypto.ts';
import { type Database, inTransaction } from '../../src/database.ts';
import { findProof, issueProof } from '../../src/proofs.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let db: Database;
const keys = deriveKeys([new Secret('rahasia uji yang cukup panjang untuk kunci')], 'proofs');

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  await createAccount(db, {
    username: 'Budi',
    full_name: 'Budi Contoh',
    email: 'Budi@x.example',
    email_verified: true,
  });
});

afterAll(() => database.drop());

const openOne = (account: Parameters<typeof openAccount>[1]) => inTransaction(db, (tx) => openAccount(tx, account));

describe('a user name', () => {
  test.each(['budi', 'B.udi-2_x', 'abc'])('may be %j', (name) =>
    expect(usernameShape.safeParse(name).success).toBe(true),
  );
  test.each(['ab', '0812', '_budi', 'a@b', 'bu di', 'budi\u0000', 'ｂｕｄｉ', 'x'.repeat(51), ''])(
    'may not be %j',
    (name) => expect(usernameShape.safeParse(name).success).toBe(false),
  );
});

describe('a mobile number', () => {
  test.each([
    ['081288488955', '+6281288488955'],
    ['0812-8848-8955', '+6281288488955'],
    ['+62 812 8848 8955', '+6281288488955'],
    ['0062 812-8848-8955', '+6281288488955'],
    ['', null],
  ])('typed as %j is kept as %j', (typed, kept) => expect(mobileNumberShape.parse(typed)).toBe(kept));
  test.each(['(021) 5253100', '085612345', '0812345678901234', '08*****2797', 'nomor'])('cannot be %j', (typed) =>
    expect(mobileNumberShape.safeParse(typed).success).toBe(false),
  );
});

test.each(['a@b', 'a b@c.example', 'A <a@c.example>', 'a@c.example\nBcc: d@e.example', 'x'])(
  '%j is no address',
  (typed) => expect(emailShape.safeParse(typed).success).toBe(false),
);

describe('opening', () => {
  test('leaves the caller’s transaction whole when the name is taken', async () => {
    const outcome = await inTransaction(db, async (tx) => {
      const taken = await openAccount(tx, { username: 'BUDI', full_name: 'Lain' });
      const other = await openAccount(tx, { username: 'lain', full_name: 'Lain' });
      return [taken, other.state];
    });
    expect(outcome).toEqual([{ state: 'refused', because: 'username_taken' }, 'done']);
  });

  test('refuses an address that somebody has, proven or not, in any case', async () => {
    expect((await openOne({ username: 'satu', full_name: 'Satu', email: 'satu@x.example' })).state).toBe('done');
    for (const email of ['budi@x.example', 'SATU@x.example'])
      expect(await openOne({ username: 'dua', full_name: 'Dua', email })).toEqual({
        state: 'refused',
        because: 'email_taken',
      });
  });

  test('gives an address to one of many at once', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, (_, n) =>
        openOne({ username: `ramai_${n}`, full_name: 'R', email: 'ramai@x.example' }),
      ),
    );
    expect(outcomes.filter(({ state }) => state === 'done')).toHaveLength(1);
    expect(await db.selectFrom('accounts').select('id').where('email', '=', 'ramai@x.example').execute()).toHaveLength(
      1,
    );
  });
});

describe('changing', () => {
  async function make(username: string) {
    const { id } = await createAccount(db, {
      username,
      full_name: 'Orang',
      email: `${username}@x.example`,
      email_verified: true,
    });
    return (await findAccount(db, id)) as NonNullable<Awaited<ReturnType<typeof findAccount>>>;
  }
  const issue = (subject: string, target: string) =>
    inTransaction(db, (tx) => issueProof(tx, keys, { purpose: 'invitation', subject, target, lifetime: 600 }));
  const isAlive = async (secret: string) =>
    (await findProof(db, keys, { purpose: 'invitation', flow: secret })) !== undefined;

  test('the address unproves it and ends what was sent to the old one', async () => {
    const person = await make('pindah');
    const { secret } = await issue(person.id, 'pindah@x.example');
    const saved = await inTransaction(db, (tx) => changeAccount(tx, person, { email: 'baru@x.example' }));
    expect(saved).toMatchObject({
      state: 'done',
      account: { email: 'baru@x.example', email_verified: false, version: 2 },
    });
    expect(await isAlive(secret)).toBe(false);
    const names = await db
      .selectFrom('account_identifiers')
      .select('kind')
      .where('account_id', '=', person.id)
      .execute();
    expect(names).toEqual([{ kind: 'username' }]);
  });

  test('the same address again, or something else, ends nothing', async () => {
    const person = await make('tetap');
    const { secret } = await issue(person.id, 'tetap@x.example');
    await inTransaction(db, (tx) => changeAccount(tx, person, { email: 'tetap@x.example', city: 'Medan' }));
    expect([await isAlive(secret), (await findAccount(db, person.id))?.email_verified]).toEqual([true, true]);
  });

  test('what somebody else has changed since is a conflict', async () => {
    const person = await make('dulu');
    const outcomes = await Promise.all(
      ['A', 'B', 'C'].map((city) => inTransaction(db, (tx) => changeAccount(tx, person, { city }))),
    );
    expect(outcomes.map(({ state }) => state).toSorted()).toEqual(['conflict', 'conflict', 'done']);
  });
});
