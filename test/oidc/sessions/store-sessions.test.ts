/** Sessions as rows that are merged: each request writes what it owns, and what has ended is never restored. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import type { Adapter, AdapterPayload } from 'oidc-provider';
import { createAccount } from '../../../src/accounts/account.ts';
import { nowSeconds } from '../../../src/clock.ts';
import { randomToken } from '../../../src/crypto.ts';
import { type Database, openDatabase, type Transaction } from '../../../src/database.ts';
import { createAdapter } from '../../../src/oidc/adapter.ts';
import type { RequestOfEngine } from '../../../src/oidc/internals.ts';
import type { EndedSession } from '../../../src/oidc/records/store.ts';
import { claimEntry, endSession } from '../../../src/oidc/sessions/session-store.ts';
import { moveClock, moveProcessClock, resetClock } from '../../support/clock.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres.ts';
import { openRecords } from '../../support/records.ts';

let database: TestDatabase;
let db: Database;
let other_node: Database;
let budi: string;
let tono: string;
/** What `sessionEnded` was told, and what it does besides. */
const ended: EndedSession[] = [];
let whenEnded: (tx: Transaction) => Promise<unknown> = async () => undefined;

const sent_by = { address: '192.0.2.1', user_agent: 'Mozilla/5.0', request_id: 'r-1' };

const openStore = (request: Partial<RequestOfEngine> = {}, on = db) =>
  openRecords(on, {
    request: () => ({
      client_id: undefined,
      signs_in: false,
      ends_session: false,
      leaves_client: false,
      signs_out: false,
      sent_by,
      ...request,
    }),
    async sessionEnded(tx, session) {
      await whenEnded(tx);
      ended.push(session);
    },
  });
const sessions = (request: Partial<RequestOfEngine> = {}, on = db): Adapter =>
  createAdapter(openStore(request, on), 'Session');

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  other_node = openDatabase(database.url, { max: 10 });
  budi = (await createAccount(db, { username: 'budi', full_name: 'Budi Contoh' })).id;
  tono = (await createAccount(db, { username: 'tono', full_name: 'Tono Contoh' })).id;
});

beforeEach(() => {
  ended.length = 0;
  whenEnded = async () => undefined;
});

afterEach(() => resetClock(db));

afterAll(async () => {
  await other_node.destroy();
  await database.drop();
});

/** A session in which Budi is signed in; gives the cookie's id and the uid. */
async function begin(authorizations: object = {}): Promise<{ id: string; uid: string }> {
  const [id, uid] = [randomToken(), randomToken()];
  const payload = {
    uid,
    jti: id,
    kind: 'Session',
    accountId: budi,
    generation: 1,
    loginTs: nowSeconds(),
    amr: ['pwd'],
    authorizations,
  };
  await sessions({ signs_in: true }).upsert(id, payload as AdapterPayload, 3600);
  return { id, uid };
}

/** Reads a session as a request does, lets it change what it holds, and writes it as that request. */
async function change(
  id: string,
  request: Partial<RequestOfEngine>,
  apply: (session: AdapterPayload) => void,
  on = db,
): Promise<void> {
  const read = (await sessions(request, on).find(id)) as AdapterPayload;
  apply(read);
  await sessions(request, on).upsert(read.jti as string, read, 3600);
}

/** Opens an application in a session as its authorization does: claims the entry, then marks it in what was read before. */
async function openApplication(id: string, client_id: string, on = db): Promise<void> {
  const session = (await sessions({ client_id }, on).find(id)) as AdapterPayload & { uid: string };
  const entry = await claimEntry(on, session.uid, client_id, undefined, {
    sid: `sid-${client_id}`,
    grantId: `grant-${client_id}`,
  });
  await write(
    id,
    client_id,
    { ...session, authorizations: { ...session.authorizations, [client_id]: { ...entry, accepted_at: 1 } } },
    on,
  );
}

const write = (id: string, client_id: string, session: object, on = db) =>
  sessions({ client_id }, on).upsert(id, session as AdapterPayload, 3600);

const entryOf = (client_id: string) => ({ sid: `sid-${client_id}`, grantId: `grant-${client_id}`, accepted_at: 1 });

const hold = (grantId: string) =>
  createAdapter(openStore(), 'Grant').upsert(grantId, { accountId: budi, generation: 1, clientId: 'satu' }, 3600);
const isHeld = async (grantId: string) => (await createAdapter(openStore(), 'Grant').find(grantId)) !== undefined;

const countSessions = async (uid: string) =>
  (await db.selectFrom('oidc_sessions').select('uid').where('uid', '=', uid).execute()).length;

describe('a session', () => {
  test('is found by its cookie and by its uid, with who signed in and how long it lives', async () => {
    const { id, uid } = await begin();
    const found = await sessions().find(id);
    expect(found).toMatchObject({
      jti: id,
      uid,
      kind: 'Session',
      accountId: budi,
      generation: 1,
      amr: ['pwd'],
      authorizations: {},
    });
    expect((found?.exp as number) - nowSeconds()).toBeGreaterThan(3590);
    expect(await sessions().findByUid(uid)).toMatchObject({ uid, accountId: budi });
    expect(await sessions().find(uid)).toBeUndefined();
    expect(await sessions().findByUid(id)).toBeUndefined();
  });

  test('has its cookie in no column, neither the first nor a renewed one', async () => {
    const { id, uid } = await begin();
    const renewed = randomToken();
    await change(id, { signs_in: true }, (session) => Object.assign(session, { jti: renewed, renewed: true }));
    const { rows } = await sql<{
      text: string;
    }>`SELECT s::text AS text FROM oidc_sessions s WHERE uid = ${uid}`.execute(db);
    for (const cookie of [id, renewed]) {
      expect(rows[0]?.text.includes(cookie)).toBe(false);
      expect(rows[0]?.text.includes(Buffer.from(cookie).toString('hex'))).toBe(false);
    }
  });

  test('with a renewed cookie is closed to the old one, and keeps all else', async () => {
    const { id, uid } = await begin({ portal: { sid: 's', grantId: 'g' } });
    const renewed = randomToken();
    await change(id, { signs_in: true }, (session) => Object.assign(session, { jti: renewed, renewed: true }));
    expect(await sessions().find(id)).toBeUndefined();
    const found = await sessions().find(renewed);
    expect(found).toMatchObject({ uid, accountId: budi, authorizations: { portal: { sid: 's', grantId: 'g' } } });
    expect(found).not.toHaveProperty('renewed');
  });

  test('past its time is past it, and is alive for a node whose clock is a minute off', async () => {
    const { id } = await begin();
    for (const skew of [60, -60]) {
      moveProcessClock(skew);
      expect((await sessions().find(id))?.exp as number).toBeGreaterThan(nowSeconds());
    }
    await moveClock(db, 3601);
    const found = await sessions().find(id);
    // The engine takes up to 15 s for clocks that differ; what is over is beyond them.
    expect(found === undefined || (found.exp as number) < nowSeconds() - 15).toBe(true);
  });
});

describe('merging', () => {
  const clients = ['e-bpom', 'portal-insw', 'portal', 'cargolink', 'satu', 'dua'];

  test('six applications opened at once on two nodes all stay, each with its mark', async () => {
    const { id } = await begin();
    await Promise.all(clients.map((client_id, at) => openApplication(id, client_id, at % 2 ? db : other_node)));
    const expected = Object.fromEntries(clients.map((client_id) => [client_id, entryOf(client_id)]));
    expect((await sessions().find(id))?.authorizations).toEqual(expected);
  });

  test('a request with an old reading does not undo what another client wrote', async () => {
    const { id } = await begin({ satu: { sid: '1', grantId: 'a' } });
    const stale = (await sessions().find(id)) as AdapterPayload;
    await openApplication(id, 'dua');
    await write(id, 'satu', { ...stale, authorizations: { satu: { sid: '1', grantId: 'a', accepted_at: 2 } } });
    const expected = { satu: { sid: '1', grantId: 'a', accepted_at: 2 }, dua: entryOf('dua') };
    expect((await sessions().find(id))?.authorizations).toEqual(expected);
  });

  test('of 50 tabs that open one application at once, one gives the grant and all are told the same', async () => {
    const { uid, id } = await begin();
    const tabs = Array.from({ length: 50 }, (_, at) =>
      claimEntry(at % 2 ? db : other_node, uid, 'satu', undefined, { sid: `sid-${at}`, grantId: `grant-${at}` }),
    );
    const entries = await Promise.all(tabs);
    expect(new Set(entries.map((entry) => entry?.grantId)).size).toBe(1);
    expect((await sessions().find(id))?.authorizations).toEqual({ satu: entries[0] });
  });

  test('a new grant takes the place of the one it was made from, and of no other', async () => {
    const { uid, id } = await begin({ satu: { sid: '1', grantId: 'a', accepted_at: 1 } });
    expect(await claimEntry(db, uid, 'satu', 'a', { sid: '2', grantId: 'b' })).toMatchObject({ grantId: 'b' });
    expect(await claimEntry(db, uid, 'satu', 'a', { sid: '3', grantId: 'c' })).toMatchObject({
      sid: '2',
      grantId: 'b',
    });
    const old = { authorizations: { satu: { sid: '1', grantId: 'a', accepted_at: 9 } } };
    await write(id, 'satu', { ...(await sessions().find(id)), ...old });
    expect((await sessions().find(id))?.authorizations).toMatchObject({ satu: { sid: '2', grantId: 'b' } });
  });

  test('a request writes no entry but its own client’s', async () => {
    const { id } = await begin({ satu: { sid: '1', grantId: 'a' }, dua: { sid: '2', grantId: 'b' } });
    const marked = {
      satu: { sid: '1', grantId: 'a', accepted_at: 1 },
      dua: { sid: '2', grantId: 'b', accepted_at: 1 },
    };
    await change(id, { client_id: 'satu' }, (session) => Object.assign(session, { authorizations: marked }));
    const once = { satu: marked.satu, dua: { sid: '2', grantId: 'b' } };
    expect((await sessions().find(id))?.authorizations).toEqual(once);
    await change(id, {}, (session) => Object.assign(session, { authorizations: marked }));
    expect((await sessions().find(id))?.authorizations).toEqual(once);
  });

  test('only a request that signs somebody in says who it is', async () => {
    const { id } = await begin();
    const pretend = (session: AdapterPayload) => Object.assign(session, { accountId: tono, amr: ['mfa'], loginTs: 1 });
    await change(id, { client_id: 'satu' }, pretend);
    expect(await sessions().find(id)).toMatchObject({ accountId: budi, amr: ['pwd'] });
    await change(id, { client_id: 'satu', signs_in: true }, pretend);
    expect(await sessions().find(id)).toMatchObject({ accountId: tono, amr: ['mfa'], loginTs: 1 });
  });

  test('the state of a sign-out is written and taken away on its own routes alone', async () => {
    const { id } = await begin();
    const state = { secret: 'xsrf', clientId: 'satu' };
    await change(id, { ends_session: true }, (session) => Object.assign(session, { state }));
    await change(id, { client_id: 'satu' }, (session) => {
      session.state = undefined;
    });
    expect(await sessions().find(id)).toMatchObject({ state });
    await change(id, { ends_session: true }, (session) => {
      session.state = undefined;
    });
    expect(await sessions().find(id)).not.toHaveProperty('state');
  });

  test('a client’s entry goes only where the person leaves that client', async () => {
    const entries = { satu: { sid: '1', grantId: 'a' }, dua: { sid: '2', grantId: 'b' } };
    const { id } = await begin(entries);
    const leave = (session: AdapterPayload) => {
      session.authorizations = {};
    };
    await change(id, { client_id: 'satu' }, leave);
    expect((await sessions().find(id))?.authorizations).toEqual(entries);
    await change(id, { client_id: 'satu', ends_session: true, leaves_client: true }, leave);
    expect((await sessions().find(id))?.authorizations).toEqual({ dua: entries.dua });
  });
});

describe('the end', () => {
  test('is not undone by a request that read the session before it, and what that request was granted ends, too', async () => {
    const { id, uid } = await begin();
    const read = await sessions().find(id);
    await hold('grant-late');
    await endSession(openStore(), uid, 'sign_out');
    expect(await claimEntry(db, uid, 'satu', undefined, { sid: '1', grantId: 'grant-late' })).toBeUndefined();
    const late = { ...read, authorizations: { satu: { sid: '1', grantId: 'grant-late' } } };
    await expect(write(id, 'satu', late)).rejects.toMatchObject({ name: 'SessionNotFound', allow_redirect: false });
    expect(await countSessions(uid)).toBe(0);
    expect(await isHeld('grant-late')).toBe(false);
  });

  test('holds against 49 applications that are opened in the same instant, and tells of every one that came before it', async () => {
    const { id, uid } = await begin();
    const session = await sessions().find(id);
    const tries = Array.from({ length: 50 }, async (_, at) => {
      const on = at % 2 ? db : other_node;
      if (at === 25) return endSession(openStore({}, other_node), uid, 'sign_out');
      const entry = { sid: `sid-${at}`, grantId: `grant-race-${at}` };
      await hold(entry.grantId);
      await claimEntry(on, uid, `aplikasi-${at}`, undefined, entry);
      return write(id, `aplikasi-${at}`, { ...session, authorizations: { [`aplikasi-${at}`]: entry } }, on);
    });
    const outcomes = await Promise.allSettled(tries);
    expect(await countSessions(uid)).toBe(0);
    expect(ended).toHaveLength(1);
    const told = Object.keys(ended[0]?.authorizations ?? {});
    for (const [at, outcome] of outcomes.entries()) {
      if (at === 25) continue;
      if (outcome.status === 'fulfilled') expect(told).toContain(`aplikasi-${at}`);
      else expect(outcome.reason).toMatchObject({ name: 'SessionNotFound' });
      expect(await isHeld(`grant-race-${at}`)).toBe(false);
    }
  });

  test('takes the grants of the session with their tokens, but those that are to outlive it', async () => {
    const { uid } = await begin({
      satu: { sid: '1', grantId: 'grant-ends' },
      dua: { sid: '2', grantId: 'grant-persists', persistsLogout: true },
    });
    for (const grantId of ['grant-ends', 'grant-persists', 'grant-of-another-session']) {
      const payload = { accountId: budi, generation: 1, clientId: 'satu', grantId };
      await createAdapter(openStore(), 'Grant').upsert(grantId, payload, 3600);
      await createAdapter(openStore(), 'RefreshToken').upsert(`token of ${grantId}`, payload, 3600);
    }
    expect(await endSession(openStore(), uid, 'sign_out')).toBe(true);
    const left = async (model: string, id: string) => (await createAdapter(openStore(), model).find(id)) !== undefined;
    expect([await left('Grant', 'grant-ends'), await left('RefreshToken', 'token of grant-ends')]).toEqual([
      false,
      false,
    ]);
    for (const grantId of ['grant-persists', 'grant-of-another-session'])
      expect([await left('Grant', grantId), await left('RefreshToken', `token of ${grantId}`)]).toEqual([true, true]);
  });

  test('tells, inside its own transaction, whose it was, what was open, why, and who asked', async () => {
    const { id, uid } = await begin({ satu: { sid: '1', grantId: 'a' } });
    whenEnded = async (tx) => {
      expect(tx.isTransaction).toBe(true);
      expect(await tx.selectFrom('oidc_sessions').select('uid').where('uid', '=', uid).execute()).toEqual([]);
      expect(await countSessions(uid)).toBe(1);
    };
    await sessions().destroy(id);
    expect(ended).toEqual([
      { uid, account_id: budi, authorizations: { satu: { sid: '1', grantId: 'a' } }, because: 'sign_out', sent_by },
    ]);
  });

  test('that nobody can be told of does not happen: session and grants stay', async () => {
    const { id, uid } = await begin({ satu: { sid: '1', grantId: 'grant-stays' } });
    await createAdapter(openStore(), 'Grant').upsert(
      'grant-stays',
      { accountId: budi, generation: 1, clientId: 'satu' },
      3600,
    );
    whenEnded = () => Promise.reject(new Error('the queue is down'));
    await expect(sessions().destroy(id)).rejects.toThrow('the queue is down');
    expect(await sessions().find(id)).toMatchObject({ uid });
    expect(await isHeld('grant-stays')).toBe(true);
  });

  test('leaves the grants to its own transaction: the engine deletes none of them beside it', async () => {
    await hold('grant-kept');
    const signing_out = openStore({ ends_session: true, leaves_client: true, signs_out: true });
    await createAdapter(signing_out, 'Grant').destroy('grant-kept');
    await createAdapter(signing_out, 'AccessToken').revokeByGrantId('grant-kept');
    expect(await isHeld('grant-kept')).toBe(true);
    await createAdapter(openStore(), 'Grant').destroy('grant-kept');
    expect(await isHeld('grant-kept')).toBe(false);
  });

  test('asked for 50 times at once happens once and is told once', async () => {
    const { uid } = await begin();
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, (_, at) => endSession(openStore({}, at % 2 ? db : other_node), uid, 'sign_out')),
    );
    expect(outcomes.filter(Boolean)).toHaveLength(1);
    expect(ended).toHaveLength(1);
  });

  test('of an unknown session is nothing, and another person’s session stays', async () => {
    const { id } = await begin();
    await sessions().destroy(randomToken());
    expect(await endSession(openStore(), randomToken(), 'sign_out')).toBe(false);
    expect(ended).toEqual([]);
    expect(await sessions().find(id)).toBeDefined();
  });
});
