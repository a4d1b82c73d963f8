/** The engine's records: found by a hash, and used once; the adapter against PostgreSQL itself. */

import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import type { AdapterPayload } from 'oidc-provider';
import { nowSeconds } from '../../../src/clock.ts';
import { randomToken } from '../../../src/crypto.ts';
import type { Database } from '../../../src/database.ts';
import { insertReplayMarker } from '../../../src/oidc/records/write.ts';
import { moveClock, moveProcessClock, resetClock } from '../../support/clock.ts';
import { adapterFor, openRecords, openTwoNodes } from '../../support/records.ts';

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

/** Stores a record as the engine does, its id in the payload; gives the id. */
async function store(model: string, payload: Record<string, unknown> = {}, ttl = 60): Promise<string> {
  const id = randomToken();
  await adapt(model).upsert(
    id,
    { jti: id, kind: model, iat: nowSeconds(), exp: nowSeconds() + ttl, ...payload } as AdapterPayload,
    ttl,
  );
  return id;
}

const storeFor = (accountId: string, model = 'AccessToken', payload = {}) =>
  store(model, { accountId, clientId: 'e-bpom', grantId: randomToken(), generation: 1, ...payload });

/** The names of the errors of those who lost; fails unless exactly one won. */
async function expectOneWinner(tries: Promise<unknown>[]): Promise<string[]> {
  const outcomes = await Promise.allSettled(tries);
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  return [
    ...new Set(outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason.name as string] : []))),
  ];
}

/** 50 tries at once, half of them on another node. */
const race = (work: (on: Database) => Promise<unknown>) =>
  Array.from({ length: 50 }, (_, at) => work(at % 2 ? db : other_node));

/** Every row of the engine's tables as PostgreSQL prints it. */
async function dump(): Promise<string> {
  const { rows } = await sql<{
    text: string;
  }>`SELECT r::text AS text FROM oidc_records r UNION ALL SELECT s::text FROM oidc_sessions s`.execute(db);
  return rows.map(({ text }) => text).join('\n');
}

async function expectInNoColumn(id: string): Promise<void> {
  const text = await dump();
  const forms = (['utf8', 'hex', 'base64'] as const).map((form) => Buffer.from(id).toString(form));
  for (const form of [...forms, Buffer.from(id, 'base64url').toString('hex')]) expect(text.includes(form)).toBe(false);
}

describe('a record', () => {
  test('comes back with what was stored, its id, and a time to live', async () => {
    const id = await storeFor(tono, 'AuthorizationCode', { scope: 'openid', claims: { userinfo: { email: null } } });
    const found = await adapt('AuthorizationCode').find(id);
    expect(found).toMatchObject({
      jti: id,
      kind: 'AuthorizationCode',
      accountId: tono,
      clientId: 'e-bpom',
      generation: 1,
      scope: 'openid',
      claims: { userinfo: { email: null } },
    });
    expect(found).not.toHaveProperty('consumed');
    expect((found?.exp as number) - nowSeconds()).toBeGreaterThan(57);
    expect((found?.exp as number) - nowSeconds()).toBeLessThanOrEqual(61);
  });

  test('of one model is none of another', async () => {
    const id = await storeFor(tono, 'AuthorizationCode');
    expect(await adapt('RefreshToken').find(id)).toBeUndefined();
    expect(await adapt('AuthorizationCode').find(`${id}x`)).toBeUndefined();
  });

  test.each([
    'AuthorizationCode',
    'AccessToken',
    'RefreshToken',
    'PushedAuthorizationRequest',
    'Interaction',
    'ClientCredentials',
  ])('of %s has its id in no column', async (model) =>
    expectInNoColumn(await store(model, { clientId: 'e-bpom', params: { client_id: 'e-bpom' } })),
  );

  test('of an interaction does not hold the cookie of the session it was begun in', async () => {
    const cookie = randomToken();
    const id = await store('Interaction', {
      params: { client_id: 'e-bpom' },
      session: { accountId: tono, uid: 'u', cookie },
    });
    expect((await adapt('Interaction').find(id))?.session).toMatchObject({ accountId: tono, uid: 'u' });
    await expectInNoColumn(cookie);
  });

  test('of a device does not hold the code that the person types', async () => {
    const userCode = 'KANA-RIKO-DE73';
    await store('DeviceCode', { clientId: 'e-bpom', userCode });
    await expectInNoColumn(userCode);
  });

  test('that is destroyed is gone, alone', async () => {
    const [gone, stays] = [await storeFor(tono), await storeFor(tono)];
    await adapt('AccessToken').destroy(gone);
    expect(await adapt('AccessToken').find(gone)).toBeUndefined();
    expect(await adapt('AccessToken').find(stays)).toMatchObject({ jti: stays });
  });

  test('past its time is past it for every node, whatever that node’s own clock says', async () => {
    const id = await storeFor(tono);
    await moveClock(db, 61);
    for (const skew of [0, 60, -60]) {
      moveProcessClock(61 + skew);
      const found = await adapt('AccessToken').find(id);
      // The engine takes up to 15 s for clocks that differ; what is over is beyond them.
      expect(found === undefined || (found.exp as number) < nowSeconds() - 15).toBe(true);
    }
  });

  test.each([60, -60])('is alive for a node whose clock is %i s off', async (skew) => {
    const id = await storeFor(tono);
    moveProcessClock(skew);
    const exp = (await adapt('AccessToken').find(id))?.exp as number;
    expect(exp).toBeGreaterThan(nowSeconds());
    expect(exp).toBeLessThanOrEqual(nowSeconds() + 61);
  });

  test('stored by a node whose clock is off lives as long as any other', async () => {
    moveProcessClock(-60);
    const id = await storeFor(tono);
    moveProcessClock(0);
    expect(((await adapt('AccessToken').find(id))?.exp as number) - nowSeconds()).toBeGreaterThan(57);
  });
});

describe('single use', () => {
  test.each([
    ['AuthorizationCode', 'InvalidGrant'],
    ['RefreshToken', 'InvalidGrant'],
    ['PushedAuthorizationRequest', 'InvalidRequestUri'],
  ])('of 50 who consume one %s at once, one may', async (model, error) => {
    const id = await storeFor(tono, model);
    expect(await expectOneWinner(race((on) => adapt(model, on).consume(id)))).toEqual([error]);
    expect((await adapt(model).find(id))?.consumed).toEqual(expect.any(Number));
  });

  test('what is consumed is not made new by storing it again', async () => {
    const id = await storeFor(tono, 'RefreshToken');
    await adapt('RefreshToken').consume(id);
    await expect(adapt('RefreshToken').upsert(id, { accountId: tono, generation: 1 }, 60)).rejects.toMatchObject({
      name: 'InvalidGrant',
    });
    expect((await adapt('RefreshToken').find(id))?.consumed).toEqual(expect.any(Number));
  });

  test('of 50 who finish one interaction at once, one may, and then nobody may write it', async () => {
    const params = { client_id: 'e-bpom', login_hint: 'kanari@contoh.example' };
    const id = await store('Interaction', { params });
    expect(await expectOneWinner(race((on) => adapt('Interaction', on).destroy(id)))).toEqual(['SessionNotFound']);
    expect(await adapt('Interaction').find(id)).toBeUndefined();
    await expect(adapt('Interaction').upsert(id, { params }, 60)).rejects.toMatchObject({ name: 'SessionNotFound' });
    expect(await adapt('Interaction').find(id)).toBeUndefined();
    expect(await dump()).not.toContain('kanari@contoh.example');
  });

  test('an interaction that has expired cannot be finished, nor one that never was', async () => {
    const id = await store('Interaction', { params: { client_id: 'e-bpom' } });
    await moveClock(db, 61);
    await expect(adapt('Interaction').destroy(id)).rejects.toMatchObject({ name: 'SessionNotFound' });
    await expect(adapt('Interaction').destroy(randomToken())).rejects.toMatchObject({ name: 'SessionNotFound' });
  });

  test('of 50 who use one token identifier at once, one may', async () => {
    const id = randomUUID();
    const outcomes = await Promise.all(race((on) => insertReplayMarker(openRecords(on), id, 60)));
    expect(outcomes.filter(Boolean)).toHaveLength(1);
    expect(await insertReplayMarker(openRecords(db), id, 60)).toBe(false);
    expect(await insertReplayMarker(openRecords(db), `${id}x`, 60)).toBe(true);
    await expectInNoColumn(id);
  });

  test('a token identifier that has already expired is still noted', async () => {
    const id = randomUUID();
    expect(await insertReplayMarker(openRecords(db), id, -5)).toBe(true);
    expect(await insertReplayMarker(openRecords(db), id, -5)).toBe(false);
  });
});
