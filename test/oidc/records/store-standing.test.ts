/** The standing of a person in every read of the engine's records and sessions: generation, locks, expiry; and grants that end. */

import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { AdapterPayload } from 'oidc-provider';
import { createAccount, endEverything, lockAccount } from '../../../src/accounts/account.ts';
import { now } from '../../../src/clock.ts';
import { randomToken } from '../../../src/crypto.ts';
import { type Database, inTransaction } from '../../../src/database.ts';
import { endGrant } from '../../../src/oidc/records/write.ts';
import { listDeadSessions } from '../../../src/oidc/sessions/session-list.ts';
import { moveClock, resetClock } from '../../support/clock.ts';
import { adapterFor, openTwoNodes } from '../../support/records.ts';

let nodes: Awaited<ReturnType<typeof openTwoNodes>>;
let db: Database;
let other_node: Database;
let tono: string;
const adapt = (model: string, on = db) => adapterFor(on, model);

beforeAll(async () => {
  nodes = await openTwoNodes();
  ({ db, other_node, tono } = nodes);
});

afterEach(() => resetClock(db));

afterAll(() => nodes.close());

let people = 0;
const newPerson = async (expires_at: Date | null = null) => {
  people += 1;
  return (await createAccount(db, { username: `orang_${people}`, full_name: 'Orang Contoh', expires_at })).id;
};

/** Stores a record of a person as the engine does; gives its id. */
async function storeFor(accountId: string, model = 'AccessToken', payload = {}): Promise<string> {
  const id = randomToken();
  const own = { jti: id, kind: model, accountId, clientId: 'e-bpom', grantId: randomToken(), generation: 1 };
  await adapt(model).upsert(id, { ...own, ...payload } as AdapterPayload, 60);
  return id;
}

/** Stores a session of a person; gives the cookie's id and the uid. */
async function storeSession(payload: object): Promise<{ id: string; uid: string }> {
  const [id, uid] = [randomToken(), randomToken()];
  await adapt('Session').upsert(
    id,
    { uid, jti: id, kind: 'Session', authorizations: {}, ...payload } as AdapterPayload,
    3600,
  );
  return { id, uid };
}

const isOpen = async ({ id, uid }: { id: string; uid: string }, on = db) => {
  const found = [await adapt('Session', on).find(id), await adapt('Session', on).findByUid(uid)].map(
    (one) => one !== undefined,
  );
  expect(found[0]).toBe(found[1]);
  return found[0];
};

describe('a record', () => {
  const models = ['AuthorizationCode', 'AccessToken', 'RefreshToken', 'Grant'];

  test.each(models)('a %s ends with the generation it was made under; a stranger’s stays', async (model) => {
    const person = await newPerson();
    const [id, strangers] = [await storeFor(person, model), await storeFor(tono, model)];
    expect(await adapt(model).find(id)).toMatchObject({ accountId: person });
    await inTransaction(db, (tx) => endEverything(tx, person, { because: 'test' }));
    expect(await adapt(model, other_node).find(id)).toBeUndefined();
    expect(await adapt(model).find(strangers)).toMatchObject({ accountId: tono });
    const after = await storeFor(person, model, { generation: 2 });
    expect(await adapt(model).find(after)).toMatchObject({ generation: 2 });
  });

  test('a raise that is rolled back has ended nothing', async () => {
    const person = await newPerson();
    const id = await storeFor(person);
    const work = inTransaction(db, async (tx) => {
      await endEverything(tx, person, { because: 'test' });
      throw new Error('no');
    });
    await expect(work).rejects.toThrow('no');
    expect(await adapt('AccessToken').find(id)).toMatchObject({ accountId: person });
  });

  test.each(['locked', 'disabled', 'frozen', 'dormant', 'revoked'] as const)(
    'whoever is %s has nothing, not even of the new generation',
    async (kind) => {
      const person = await newPerson();
      await lockAccount(db, person, kind, { because: 'test' });
      for (const generation of [1, 2])
        expect(await adapt('AccessToken').find(await storeFor(person, 'AccessToken', { generation }))).toBeUndefined();
    },
  );

  test('whose account has run out has nothing from that moment on', async () => {
    const person = await newPerson(new Date(now().getTime() + 30_000));
    const id = await storeFor(person);
    expect(await adapt('AccessToken').find(id)).toMatchObject({ accountId: person });
    await moveClock(db, 31);
    expect(await adapt('AccessToken').find(id)).toBeUndefined();
  });

  test('a record without a generation, or of nobody there is, opens nothing', async () => {
    expect(
      await adapt('AccessToken').find(await storeFor(tono, 'AccessToken', { generation: undefined })),
    ).toBeUndefined();
    expect(await adapt('AccessToken').find(await storeFor(randomUUID()))).toBeUndefined();
  });

  test('a token of an application itself has no person and needs none', async () => {
    const id = await storeFor(tono, 'ClientCredentials', { accountId: undefined, generation: undefined });
    expect(await adapt('ClientCredentials').find(id)).toMatchObject({ clientId: 'e-bpom' });
  });
});

describe('a grant', () => {
  test('takes its codes and tokens with it, and no other grant’s', async () => {
    for (const end of [(id: string) => endGrant(db, id), (id: string) => adapt('AccessToken').revokeByGrantId(id)]) {
      const [grantId, others] = [await storeFor(tono, 'Grant'), await storeFor(tono, 'Grant')];
      const models = ['AuthorizationCode', 'AccessToken', 'RefreshToken'];
      const own = await Promise.all(models.map((model) => storeFor(tono, model, { grantId })));
      const other = await storeFor(tono, 'RefreshToken', { grantId: others });
      await end(grantId);
      for (const [at, model] of models.entries()) expect(await adapt(model).find(own[at] as string)).toBeUndefined();
      expect(await adapt('RefreshToken').find(other)).toMatchObject({ grantId: others });
      expect(await adapt('Grant').find(others)).toMatchObject({ accountId: tono });
    }
  });
});

describe('a session', () => {
  test('ends with the generation it was begun under, by cookie and by uid; a stranger’s stays', async () => {
    const person = await newPerson();
    const [session, strangers] = [
      await storeSession({ accountId: person, generation: 1 }),
      await storeSession({ accountId: tono, generation: 1 }),
    ];
    expect(await isOpen(session)).toBe(true);
    await inTransaction(db, (tx) => endEverything(tx, person, { because: 'test' }));
    expect(await isOpen(session)).toBe(false);
    expect(await isOpen(session, other_node)).toBe(false);
    expect(await isOpen(strangers)).toBe(true);
    expect(await listDeadSessions(db, 10)).toEqual([session.uid]);
    await db.deleteFrom('oidc_sessions').where('uid', '=', session.uid).execute();
  });

  test('of somebody who is locked, or whose account has run out, is not there, and the sweep finds it', async () => {
    const [locked, expiring] = [await newPerson(), await newPerson(new Date(now().getTime() + 30_000))];
    const [first, second] = [
      await storeSession({ accountId: locked, generation: 1 }),
      await storeSession({ accountId: expiring, generation: 1 }),
    ];
    expect(await listDeadSessions(db, 10)).toEqual([]);
    await lockAccount(db, locked, 'locked', { because: 'test' });
    expect(await isOpen(first)).toBe(false);
    expect(await isOpen(second)).toBe(true);
    await moveClock(db, 31);
    expect(await isOpen(second)).toBe(false);
    expect((await listDeadSessions(db, 10)).sort()).toEqual([first.uid, second.uid].sort());
    expect(await listDeadSessions(db, 1)).toHaveLength(1);
  });

  test('without a generation, or of nobody there is, opens nothing; one in which nobody signed in yet does', async () => {
    expect(await isOpen(await storeSession({ accountId: tono }))).toBe(false);
    expect(await isOpen(await storeSession({ accountId: randomUUID(), generation: 1 }))).toBe(false);
    expect(await isOpen(await storeSession({}))).toBe(true);
  });
});
