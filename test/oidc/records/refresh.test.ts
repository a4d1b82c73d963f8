/** Refresh tokens on two server processes: who replaces one, what a race costs, and what a thief's use ends. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { ClientRegistration } from '../../../src/clients/client.ts';
import { policies } from '../../../src/policy/keys.ts';
import { moveClock, resetClock } from '../../support/clock.ts';
import { newSignedInVisitor, startNodes, type TestNodes } from '../../support/gapura.ts';
import { findForm, newHttpVisitor } from '../../support/http.ts';
import { type App, count, listAudit, listRecords, openApp, openAs, openTab } from '../../support/nodes.ts';
import { followTo } from '../../support/relying-party.ts';
import { type StormAnswer, storm } from '../../support/storm.ts';

let gapura: TestNodes;
const many = 20;
const usual = 'openid profile';
const offline = `${usual} offline_access`;

beforeAll(async () => {
  gapura = await startNodes();
});

afterEach(() => resetClock(gapura.db, gapura.nodes));

afterAll(() => gapura.stop());

const later = (seconds: number) => moveClock(gapura.db, seconds, gapura.nodes);

/** A client with the first refresh token of somebody who signed in. */
async function begin(id: string, more: Partial<ClientRegistration> = {}, scope = usual) {
  const app = await openApp(gapura, id, more, scope);
  const { returned, checks } = await openAs(app, newHttpVisitor(gapura.url), 'tono');
  const { refresh_token = '', access_token } = await app.redeem(returned, checks);
  return { app, refresh_token, access_token };
}

interface Read {
  status: number;
  refresh_token?: string;
  scope?: string;
}

const read = ({ status, body }: StormAnswer): Read => ({ ...JSON.parse(body), status });

const renewBy =
  (app: App, refresh_token: string, more: Record<string, string> = {}) =>
  (at: number) =>
    app.ask(at, { grant_type: 'refresh_token', refresh_token, ...more });

/** One renewal, at one node or the other. */
async function renew(app: App, refresh_token: string, more: Record<string, string> = {}, at = 0) {
  const [answer] = await storm(1, () => renewBy(app, refresh_token, more)(at));
  return read(answer as StormAnswer);
}

const refused = { status: 400, error: 'invalid_grant' };

/** The events of a reuse that a client caused. */
const alarms = (app: App) => listAudit(gapura, app.id, 'refresh_reused');

describe('without a grace', () => {
  test('of many at once one is answered, the family lives on; a use after that ends it, and is written down once', async () => {
    const { app, refresh_token } = await begin('tanpa-tenggang');
    const answers = await storm(many, renewBy(app, refresh_token));
    expect(count(gapura, answers)).toEqual({ 200: 1, 400: many - 1 });
    const next = answers.map(read).find(({ status }) => status === 200)?.refresh_token ?? '';
    const third = await renew(app, next, {}, 1);
    expect(third.status).toBe(200);
    expect(await alarms(app)).toEqual([]);

    await later(4);
    const thieves = await storm(many, renewBy(app, refresh_token));
    expect(count(gapura, thieves)).toEqual({ 400: many });
    for (const token of [refresh_token, next, third.refresh_token ?? ''])
      expect(await renew(app, token)).toMatchObject(refused);
    expect(await listRecords(gapura, app.id, 'Grant')).toEqual([]);
    expect(await listRecords(gapura, app.id, 'AccessToken')).toEqual([]);
    expect(await alarms(app)).toHaveLength(1);
  });

  test('one that was replaced in this moment is refused and nothing ends; a moment later it is a theft', async () => {
    const { app, refresh_token } = await begin('baru-saja');
    const { refresh_token: next = '' } = await renew(app, refresh_token);
    const [told] = await storm(1, (at) => app.ask(at, { token: refresh_token }, '/connect/introspection'));
    expect(read(told as StormAnswer)).toMatchObject({ status: 200, active: false });
    expect(await renew(app, refresh_token, {}, 1)).toMatchObject(refused);
    const { status, refresh_token: third = '' } = await renew(app, next);
    expect(status).toBe(200);
    expect(await alarms(app)).toEqual([]);
    await later(4);
    expect(await renew(app, refresh_token)).toMatchObject(refused);
    expect(await renew(app, third)).toMatchObject(refused);
    expect(await alarms(app)).toHaveLength(1);
  });
});

describe('with a grace', () => {
  test('all at once are answered and all answers are of use; a use after it ends them all', async () => {
    const { app, refresh_token } = await begin('bertenggang', { refresh_grace: 10 });
    const answers = await storm(many, renewBy(app, refresh_token));
    expect(count(gapura, answers)).toEqual({ 200: many });
    await later(8);
    const late = await renew(app, refresh_token, {}, 1);
    const tokens = [...answers.map(read), late].map((answer) => answer.refresh_token ?? '');
    expect(new Set(tokens).size).toBe(many + 1);
    expect(await listRecords(gapura, app.id, 'Grant')).toHaveLength(1);
    const renewed = await storm(tokens.length, (at) => renewBy(app, tokens[at] ?? '')(at));
    expect(count(gapura, renewed)).toEqual({ 200: tokens.length });
    expect(await alarms(app)).toEqual([]);

    // The grace began with the first use; the uses within it did not prolong it.
    await later(12);
    expect(await renew(app, refresh_token)).toMatchObject(refused);
    for (const { refresh_token: token = '' } of renewed.slice(0, 3).map(read))
      expect(await renew(app, token)).toMatchObject(refused);
    expect(await alarms(app)).toHaveLength(1);
  });

  test('it is over once somebody used what replaced the token', async () => {
    const { app, refresh_token } = await begin('bertenggang-lanjut', { refresh_grace: 60 });
    const { refresh_token: next = '' } = await renew(app, refresh_token);
    const { refresh_token: third = '' } = await renew(app, next);
    expect(await renew(app, refresh_token)).toMatchObject(refused);
    expect(await renew(app, third)).toMatchObject({ status: 200 });
    expect(await alarms(app)).toEqual([]);
  });

  test('another client gets nothing by it, and harms nobody', async () => {
    const { app, refresh_token } = await begin('bertenggang-satu', { refresh_grace: 60 });
    const { app: other } = await begin('bertenggang-lain', { refresh_grace: 60 });
    const { refresh_token: next = '' } = await renew(app, refresh_token);
    for (const token of [refresh_token, next]) expect(await renew(other, token)).toMatchObject(refused);
    await later(120);
    // Not even with one that is long over.
    expect(await renew(other, refresh_token)).toMatchObject(refused);
    expect(await renew(app, next)).toMatchObject({ status: 200 });
    expect([await alarms(app), await alarms(other)]).toEqual([[], []]);
  });
});

test('a client that proves itself may keep its token', async () => {
  const { app, refresh_token } = await begin('tetap-sama', { refresh_rotation: 'keep' });
  const answers = await storm(4, renewBy(app, refresh_token));
  expect(count(gapura, answers)).toEqual({ 200: 4 });
  for (const { refresh_token: same } of answers.map(read)) expect(same).toBe(refresh_token);
});

test('a renewal asks for less and never for more', async () => {
  const { app, refresh_token } = await begin('lingkup', {}, 'openid email');
  expect(await renew(app, refresh_token, { scope: 'openid email profile' })).toMatchObject({ error: 'invalid_scope' });
  const less = await renew(app, refresh_token, { scope: 'openid' });
  expect(less).toMatchObject({ status: 200, scope: 'openid' });
  const again = await renew(app, less.refresh_token ?? '');
  expect(again.scope?.split(' ')).toEqual(expect.arrayContaining(['openid', 'email']));
});

test('renewals do not prolong a grant: at its end the last token is worth nothing', async () => {
  const app = await openApp(gapura, 'mutlak', {}, offline);
  const visitor = await newSignedInVisitor(gapura.url, 'tono');
  const { page, checks } = await openTab(visitor, app, { prompt: 'consent' });
  const sent = { ...findForm(page.body).fields, allow: '1' };
  const reached = await followTo(visitor, app.redirect_uri, await visitor.post(page.url, sent, { follow: false }));
  if (!('returned' in reached)) throw new Error(`a page: ${reached.page.body}`);
  let { refresh_token: token = '' } = await app.redeem(reached.returned, checks);
  const lifetime = policies['grant.lifetime'].default;
  for (const at of [lifetime / 3, (2 * lifetime) / 3, lifetime - 60]) {
    await later(at);
    const answer = await renew(app, token);
    expect(answer.status).toBe(200);
    token = answer.refresh_token ?? '';
  }
  await later(lifetime + 60);
  expect(await renew(app, token)).toMatchObject(refused);
});
