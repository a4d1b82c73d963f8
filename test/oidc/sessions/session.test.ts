/** The end of a session, on two server processes: asked for, by the clock, and not by a restart; and what applications hear of it. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { sql } from 'kysely';
import * as oidc from 'openid-client';
import { policy } from '../../../src/policy/policy.ts';
import { moveClock, resetClock } from '../../support/clock.ts';
import { newSignedInVisitor, startNodes, type TestNodes } from '../../support/gapura.ts';
import { type HttpVisitor, newHttpVisitor } from '../../support/http.ts';
import {
  type App,
  askNode,
  closeListeners,
  copyVisitor,
  listRecords,
  listSessions,
  openApp,
  openAs,
  openListeningApp,
  openTab,
  password,
  signedInAt,
  until,
} from '../../support/nodes.ts';
import { authorize } from '../../support/relying-party.ts';
import type { Server } from '../../support/server.ts';

let gapura: TestNodes;
let worker: Server;

beforeAll(async () => {
  gapura = await startNodes({ private_hosts: ['127.0.0.1'] });
  worker = await gapura.startWork();
});

afterEach(closeListeners);

afterAll(async () => {
  await worker?.stop();
  await gapura?.stop();
});

async function open(app: App, visitor: HttpVisitor, identifier: string, parameters: Record<string, string> = {}) {
  const { returned, checks } = await openAs(app, visitor, identifier, parameters);
  return app.redeem(returned, checks);
}

async function signOut(visitor: HttpVisitor, query = '') {
  return visitor.submit(await visitor.get(`/connect/session/end${query}`), { logout: 'yes' }, 'sign-out');
}

/** What a browser would rather read than a problem document. */
const as_browser = { headers: { accept: 'text/html' } };

const isAlive = async (app: App, token: string | undefined) =>
  (await oidc.tokenIntrospection(app.configuration, token ?? '')).active;

/** Which applications stand in the queue, whatever became of their jobs. */
async function listQueued(sid: unknown): Promise<string[]> {
  const { rows } = await sql<{ client_id: string }>`SELECT DISTINCT data ->> 'client_id' AS client_id FROM jobs.job
    WHERE data ->> 'sid' = ANY (${[sid].flat()}::text[])`.execute(gapura.db);
  return rows.map((row) => row.client_id).sort();
}

describe('signing out', () => {
  test('asks first, ends the whole session on both nodes, and tells every application that was opened', async () => {
    const [one, two] = [await openListeningApp(gapura, 'satu'), await openListeningApp(gapura, 'dua')];
    const visitor = await newSignedInVisitor(gapura.url, 'budi');
    const opened = [await open(one.app, visitor, 'budi'), await open(two.app, visitor, 'budi')];

    const page = await visitor.get('/connect/session/end');
    for (const words of ['Aplikasi satu', 'Aplikasi dua']) expect(page.body).toContain(words);
    const wrong = await visitor.submit(page, { logout: 'yes', xsrf: 'x'.repeat(48) }, 'sign-out');
    expect(wrong.status).toBe(400);
    const action = '/connect/session/end/confirm';
    const xsrf = /name="xsrf" value="([^"]+)"/.exec(page.body)?.[1] ?? '';
    const foreign = await visitor.post(
      action,
      { xsrf, logout: 'yes' },
      { headers: { origin: 'https://jahat.example' } },
    );
    expect(foreign.status).toBe(403);
    expect(await signedInAt(gapura, visitor)).toEqual([true, true]);

    const stolen = copyVisitor(gapura.url, visitor);
    const end = await visitor.submit(page, { logout: 'yes' }, 'sign-out');
    expect([end.status, end.url.pathname]).toEqual([200, '/connect/session/end/success']);
    expect(end.body).toMatch(/href="\/portal"/);
    expect(await signedInAt(gapura, stolen)).toEqual([false, false]);
    const { address } = await one.app.begin({ prompt: 'none' });
    for (const at of [0, 1]) {
      const answer = await askNode(gapura, at, address, { visitor: stolen });
      expect(new URL(answer.headers.location ?? '').searchParams.get('error')).toBe('login_required');
    }

    const keys = createRemoteJWKSet(new URL(`${gapura.config.issuer}/jwks`));
    for (const [at, { app, listener }] of [one, two].entries()) {
      const tokens = opened[at] as (typeof opened)[number];
      expect(await isAlive(app, tokens.access_token)).toBe(false);
      await expect(oidc.refreshTokenGrant(app.configuration, tokens.refresh_token ?? '')).rejects.toMatchObject({
        error: 'invalid_grant',
      });
      await until(() => listener.heard.length > 0);
      const { payload } = await jwtVerify(listener.heard[0]?.token ?? '', keys, {
        issuer: gapura.config.issuer,
        audience: app.id,
        typ: 'logout+jwt',
      });
      const { sub, sid } = tokens.claims() as oidc.IDToken;
      expect(payload).toMatchObject({
        sub,
        sid,
        jti: expect.any(String),
        iat: expect.any(Number),
        exp: expect.any(Number),
      });
      expect(payload.events).toEqual({ 'http://schemas.openid.net/event/backchannel-logout': {} });
      expect(payload).not.toHaveProperty('nonce');
      expect(listener.heard).toHaveLength(1);
    }
    const ended = await gapura.db.selectFrom('audit_events').selectAll().where('kind', '=', 'sign_out').execute();
    expect(ended).toHaveLength(1);
  });

  test('reaches an application that was down or said no as soon as it says yes', async () => {
    const [down, failing, refusing] = [
      await openListeningApp(gapura, 'mati'),
      await openListeningApp(gapura, 'gagal'),
      await openListeningApp(gapura, 'menolak'),
    ];
    const visitor = await newSignedInVisitor(gapura.url, 'sari');
    const sids: unknown[] = [];
    for (const { app } of [down, failing, refusing]) sids.push((await open(app, visitor, 'sari')).claims()?.sid);
    await down.listener.close();
    failing.listener.status = 500;
    refusing.listener.status = 400;
    await signOut(visitor);
    const waiting = async () => {
      const { rows } =
        await sql`SELECT FROM jobs.job WHERE state = 'retry' AND data ->> 'sid' = ANY (${sids}::text[])`.execute(
          gapura.db,
        );
      return rows.length;
    };
    await until(async () => (await waiting()) === 3);
    expect([failing, refusing].map(({ listener }) => listener.heard.length)).toEqual([1, 1]);

    await down.listener.listen();
    failing.listener.status = 204;
    refusing.listener.status = 200;
    await sql`UPDATE jobs.job SET start_after = now() WHERE state = 'retry' AND data ->> 'sid' = ANY (${sids}::text[])`.execute(
      gapura.db,
    );
    await until(() =>
      [down, failing, refusing].every(({ listener }) => listener.heard.some(({ status }) => status < 300)),
    );
    const [first, second] = failing.listener.heard.map(({ token }) =>
      JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()),
    );
    // Minted anew for each try, so that the last one is as fresh as the first.
    expect(second.sid).toBe(first.sid);
    expect(second.jti).not.toBe(first.jti);
  });

  test('of one application only ends that one: the others live, and only it is told', async () => {
    const [left, kept] = [await openListeningApp(gapura, 'ditinggal'), await openListeningApp(gapura, 'tetap')];
    const visitor = await newSignedInVisitor(gapura.url, 'tono');
    const [gone, staying] = [await open(left.app, visitor, 'tono'), await open(kept.app, visitor, 'tono')];
    const page = await visitor.get(`/connect/session/end?client_id=${left.app.id}`);
    expect(page.body).toContain('Aplikasi ditinggal');
    const end = await visitor.submit(page, {}, 'sign-out');
    expect(end.status).toBe(200);

    await until(() => left.listener.heard.length > 0);
    expect(await listQueued([gone.claims()?.sid, staying.claims()?.sid])).toEqual([left.app.id]);
    expect(await isAlive(left.app, gone.access_token)).toBe(false);
    expect(await listRecords(gapura, left.app.id, 'Grant')).toEqual([]);
    expect(await isAlive(kept.app, staying.access_token)).toBe(true);
    expect(await signedInAt(gapura, visitor)).toEqual([true, true]);
    const [session] = await listSessions(gapura, 'tono');
    expect(Object.keys(session?.authorizations ?? {}).sort()).toEqual(['portal', kept.app.id]);
  });

  test('leads back to a registered address only, with the state', async () => {
    const { app } = await openListeningApp(gapura, 'kembali');
    const visitor = newHttpVisitor(gapura.url);
    const { id_token = '' } = await open(app, visitor, 'tono');
    const query = (address: string) =>
      `?${new URLSearchParams({ id_token_hint: id_token, post_logout_redirect_uri: address, state: 'abc' })}`;
    const refused = await visitor.get(`/connect/session/end${query('http://kembali.localhost:4999/lain')}`, as_browser);
    expect(refused.status).toBe(400);
    expect(refused.body).toMatch(/<a /);
    const page = await visitor.get(`/connect/session/end${query('http://kembali.localhost:4999/selesai')}`);
    const xsrf = /name="xsrf" value="([^"]+)"/.exec(page.body)?.[1] ?? '';
    const end = await visitor.post('/connect/session/end/confirm', { xsrf, logout: 'yes' }, { follow: false });
    expect(end.headers.get('location')).toBe('http://kembali.localhost:4999/selesai?state=abc');
    expect(await listSessions(gapura, 'tono').then((rows) => rows.filter((row) => row.authorizations[app.id]))).toEqual(
      [],
    );
  });

  test('without a session says that one is signed out, and so does a confirmation that comes too late or out of nowhere', async () => {
    const visitor = newHttpVisitor(gapura.url);
    const end = await visitor.submit(await visitor.get('/connect/session/end'));
    expect([end.status, end.url.pathname]).toEqual([200, '/connect/session/end/success']);
    const late = newHttpVisitor(gapura.url);
    const asked = await late.post('/connect/session/end/confirm', { logout: 'yes' }, as_browser);
    expect([asked.status, asked.url.pathname]).toEqual([200, '/connect/session/end']);
    expect((await late.submit(asked)).url.pathname).toBe('/connect/session/end/success');
  });

  test('by a hint that cannot be believed is refused, and the page has a way to sign out all the same', async () => {
    const visitor = await newSignedInVisitor(gapura.url, 'budi');
    const refused = await visitor.get('/connect/session/end?id_token_hint=e30.e30.x', as_browser);
    expect([refused.status, /<h1>([^<]+)/.exec(refused.body)?.[1]]).toEqual([400, 'Anda belum keluar']);
    expect(refused.body).toMatch(/href="\/connect\/session\/end"/);
    expect(refused.body).toMatch(/href="\/portal">Ke portal</);
    const end = await visitor.submit(await visitor.get('/connect/session/end'), { logout: 'yes' }, 'sign-out');
    expect(end.url.pathname).toBe('/connect/session/end/success');
  });

  test('that cannot be queued fails and ends nothing', async () => {
    const { app, listener } = await openListeningApp(gapura, 'antre');
    const visitor = await newSignedInVisitor(gapura.url, 'petugas');
    const tokens = await open(app, visitor, 'petugas');
    const [whole, one] = [await visitor.get('/connect/session/end'), `/connect/session/end?client_id=${app.id}`];
    await sql`ALTER TABLE jobs.queue RENAME TO queue_away`.execute(gapura.db);
    try {
      expect((await visitor.submit(whole, { logout: 'yes' }, 'sign-out')).status).toBe(500);
      expect((await visitor.submit(await visitor.get(one), {}, 'sign-out')).status).toBe(500);
    } finally {
      await sql`ALTER TABLE jobs.queue_away RENAME TO queue`.execute(gapura.db);
    }
    expect(await signedInAt(gapura, visitor)).toEqual([true, true]);
    expect(await isAlive(app, tokens.access_token)).toBe(true);
    expect((await signOut(visitor)).status).toBe(200);
    await until(() => listener.heard.length > 0);
    expect(await isAlive(app, tokens.access_token)).toBe(false);
  });
});

describe('a session', () => {
  afterAll(() => resetClock(gapura.db, gapura.nodes));

  test('outlives the restart of both processes, and so does a page that was open', async () => {
    const app = await openApp(gapura, 'tahan');
    const visitor = await newSignedInVisitor(gapura.url, 'budi');
    const { refresh_token = '' } = await open(app, visitor, 'budi');
    const stranger = newHttpVisitor(gapura.url);
    const { page, checks } = await openTab(stranger, app);
    await Promise.all([gapura.restart(0), gapura.restart(1)]);
    expect(await signedInAt(gapura, visitor)).toEqual([true, true]);
    await oidc.refreshTokenGrant(app.configuration, refresh_token);
    const answer = await stranger.post(page.url, password('budi'), { follow: false });
    const returned = await authorize(stranger, answer.headers.get('location') ?? '', app.redirect_uri);
    await app.redeem(returned, checks);
  });

  test.each([{ max_age: '0' }, { prompt: 'login' }])(
    'renews its cookie when the person signs in again (%o)',
    async (parameters) => {
      const app = await openApp(gapura, `lagi-${Object.keys(parameters)[0]?.replace('_', '-')}`);
      const visitor = await newSignedInVisitor(gapura.url, 'admin');
      const { uid } = (await listSessions(gapura, 'admin')).at(-1) ?? {};
      const before = copyVisitor(gapura.url, visitor);
      await open(app, visitor, 'admin', parameters as Record<string, string>);
      expect(await signedInAt(gapura, before)).toEqual([false, false]);
      expect(await signedInAt(gapura, visitor)).toEqual([true, true]);
      const sessions = await listSessions(gapura, 'admin');
      expect(sessions.filter((session) => session.authorizations[app.id]).map((session) => session.uid)).toEqual([uid]);
    },
  );

  test('is not what a cookie from before the sign-in opens, nor one that was changed', async () => {
    const visitor = newHttpVisitor(gapura.url);
    await visitor.get('/connect/session/end');
    const planted = copyVisitor(gapura.url, visitor);
    expect(planted.cookies.map((cookie) => cookie.name)).toContain('gapura_session');
    await visitor.submit(await visitor.get('/portal'), password('layanan'));
    expect(await signedInAt(gapura, visitor)).toEqual([true, true]);
    expect(await signedInAt(gapura, planted)).toEqual([false, false]);
    for (const cookie of visitor.cookies.filter(({ name }) => name.startsWith('gapura_session'))) {
      const changed = copyVisitor(gapura.url, visitor);
      for (const one of changed.cookies)
        if (one.name === cookie.name) one.value = `${one.value.slice(0, -2)}${one.value.endsWith('A') ? 'BB' : 'AA'}`;
      expect(await signedInAt(gapura, changed)).toEqual([false, false]);
    }
  });

  test('ends when it is not used for long enough, and use prolongs it', async () => {
    const idle = policy('session.idle');
    const visitor = await newSignedInVisitor(gapura.url, 'budi');
    const used = await use(visitor, 0);
    expect(used).toBe(true);
    expect(await use(visitor, idle - 60)).toBe(true);
    expect(await use(visitor, 2 * idle - 120)).toBe(true);
    await moveClock(gapura.db, 3 * idle - 60, gapura.nodes);
    expect(await signedInAt(gapura, visitor)).toEqual([false, false]);
    expect(await use(visitor, 3 * idle - 60)).toBe(false);
  });

  test('ends so long after the sign-in however much it is used', async () => {
    await resetClock(gapura.db, gapura.nodes);
    const [idle, absolute] = [policy('session.idle'), policy('session.absolute')];
    const visitor = await newSignedInVisitor(gapura.url, 'sari');
    for (let at = 0; at < absolute - 60; at += idle - 3600) expect(await use(visitor, at)).toBe(true);
    expect(await use(visitor, absolute - 60)).toBe(true);
    expect(await signedInAt(gapura, visitor)).toEqual([true, true]);
    expect(await use(visitor, absolute + 1)).toBe(false);
    expect(await signedInAt(gapura, visitor)).toEqual([false, false]);
  });
});

/** Asks without a page, at a moment so many seconds from now; whether there was a session. */
async function use(visitor: HttpVisitor, seconds: number): Promise<boolean> {
  await moveClock(gapura.db, seconds, gapura.nodes);
  const query = {
    client_id: 'portal',
    response_type: 'none',
    scope: 'openid',
    prompt: 'none',
    redirect_uri: `${gapura.url}/portal/entry`,
  };
  const answer = await visitor.get(`/connect/auth?${new URLSearchParams(query)}`, { follow: false });
  return !new URL(answer.headers.get('location') ?? '').searchParams.has('error');
}
