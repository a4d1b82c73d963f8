/** A session read with what its password is worth, and lifted to a new generation only by the change that raised it. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import type { AdapterPayload } from 'oidc-provider';
import { createAccount, endEverything } from '../../../src/accounts/account.ts';
import { raiseGeneration } from '../../../src/accounts/store.ts';
import { openClients } from '../../../src/clients/client.ts';
import { randomToken, Secret } from '../../../src/crypto.ts';
import { type Database, inTransaction } from '../../../src/database.ts';
import { createAdapter } from '../../../src/oidc/adapter.ts';
import { recordKey } from '../../../src/oidc/records/store.ts';
import { readSession } from '../../../src/oidc/sessions/session-read.ts';
import { liftSession } from '../../../src/oidc/sessions/session-store.ts';
import { moveClock, resetClock } from '../../support/clock.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres.ts';

let database: TestDatabase;
let db: Database;
let people = 0;
let person: string;

const config = { secrets: [new Secret('a secret of the tests, long enough')] };

const sessions = (signs_in = true) =>
  createAdapter(
    {
      db,
      id_key: recordKey(config),
      clients: openClients(db, config),
      request: () => ({
        client_id: undefined,
        signs_in,
        ends_session: false,
        leaves_client: false,
        signs_out: false,
        sent_by: undefined,
      }),
      sessionEnded: async () => undefined,
    },
    'Session',
  );

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
});

beforeEach(async () => {
  people += 1;
  person = (await createAccount(db, { username: `orang_${people}`, full_name: 'Orang', password: 'Kenari-77!' })).id;
});

afterEach(() => resetClock(db));
afterAll(() => database.drop());

/** A session of the person; gives the cookie's id and the uid. */
async function begin(accountId: string | undefined = person): Promise<{ id: string; uid: string }> {
  const [id, uid] = [randomToken(), randomToken()];
  const who = accountId ? { accountId, generation: 1 } : {};
  const payload = { uid, jti: id, kind: 'Session', ...who, authorizations: {} };
  await sessions().upsert(id, payload as AdapterPayload, 3600);
  return { id, uid };
}

const isDue = async (uid: string) => (await readSession(db, uid))?.password_due;
const isOpen = async (uid: string) => (await readSession(db, uid)) !== undefined;

const set = (columns: { must_change?: boolean; seconds?: number }) =>
  db
    .updateTable('passwords')
    .set({
      must_change: columns.must_change ?? false,
      expires_at:
        columns.seconds === undefined ? null : sql<Date>`gapura_now() + make_interval(secs => ${columns.seconds})`,
    })
    .where('account_id', '=', person)
    .execute();

describe('whether a new password is due', () => {
  test('is read with the session, by the clock of the database', async () => {
    const { uid } = await begin();
    expect(await isDue(uid)).toBe(false);
    await set({ must_change: true });
    expect(await isDue(uid)).toBe(true);
    await set({ seconds: 60 });
    expect(await isDue(uid)).toBe(false);
    await moveClock(db, 61);
    expect(await isDue(uid)).toBe(true);
    await set({});
    expect(await isDue(uid)).toBe(false);
  });

  test('is no question to a session of nobody, nor to a person without a password', async () => {
    expect(await isDue((await begin('')).uid)).toBe(false);
    const { uid } = await begin();
    await db.deleteFrom('passwords').where('account_id', '=', person).execute();
    expect(await isDue(uid)).toBe(false);
  });

  test('stands in no column of the session', async () => {
    const { id, uid } = await begin();
    await set({ must_change: true });
    const read = (await sessions().find(id)) as AdapterPayload;
    expect(read.password_due).toBe(true);
    await sessions().upsert(id, read, 3600);
    const row = await db.selectFrom('oidc_sessions').selectAll().where('uid', '=', uid).executeTakeFirst();
    expect(JSON.stringify(row)).not.toContain('password_due');
  });
});

describe('lifting', () => {
  const lift = (uid: string, account_id = person) =>
    inTransaction(db, async (tx) => {
      const generation = (await raiseGeneration(tx, account_id)) ?? 0;
      return liftSession(tx, { uid, account_id, generation });
    });

  test('keeps the one session and no other', async () => {
    const [mine, another] = [await begin(), await begin()];
    expect(await lift(mine.uid)).toBe(true);
    expect([await isOpen(mine.uid), await isOpen(another.uid)]).toEqual([true, false]);
    expect(await lift(mine.uid)).toBe(true);
    expect(await isOpen(mine.uid)).toBe(true);
  });

  test('is for nobody else’s session, and for none that is over', async () => {
    const { uid } = await begin();
    const other = (await createAccount(db, { username: `lain_${people}`, full_name: 'Lain' })).id;
    expect(await lift(uid, other)).toBe(false);
    expect(await isOpen(uid)).toBe(true);
    expect(await lift('nowhere')).toBe(false);
    await moveClock(db, 3601);
    expect(await lift(uid)).toBe(false);
  });

  test('brings back no session that something else ended', async () => {
    const { uid } = await begin();
    await inTransaction(db, (tx) => endEverything(tx, person, { because: 'a test' }));
    expect(await lift(uid)).toBe(false);
    expect(await isOpen(uid)).toBe(false);
  });

  test('is not undone when a request that read the session before writes the sign-in it was made with', async () => {
    const { id, uid } = await begin();
    const read = (await sessions().find(id)) as AdapterPayload;
    await lift(uid);
    await sessions().upsert(id, read, 3600);
    expect(await isOpen(uid)).toBe(true);
  });

  test('is worth nothing to another person who signs in over the session', async () => {
    const { id, uid } = await begin();
    await lift(uid);
    await lift(uid);
    const other = (await createAccount(db, { username: `lain_${people}`, full_name: 'Lain' })).id;
    const read = (await sessions().find(id)) as AdapterPayload;
    await sessions().upsert(id, { ...read, accountId: other, generation: 1 }, 3600);
    expect(await readSession(db, uid)).toMatchObject({ accountId: other, generation: 1 });
  });
});
