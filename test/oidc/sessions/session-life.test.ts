/** How long a session lives and what is granted in it, with the clock moved; "Ingat perangkat ini"; and its cookie. */

import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import * as oidc from 'openid-client';
import { grantRole } from '../../../src/permissions.ts';
import { policies } from '../../../src/policy/keys.ts';
import { policy } from '../../../src/policy/policy.ts';
import { moveClock, resetClock } from '../../support/clock.ts';
import { demo_password, registerClient, startGapura, type TestGapura } from '../../support/gapura.ts';
import { type Answer, findForm, type HttpVisitor, newHttpVisitor } from '../../support/http.ts';
import { copyVisitor, findAccountId, listRecords, listSessions } from '../../support/nodes.ts';
import { setTestPolicy } from '../../support/policy.ts';
import { followTo, openParty, type TestParty } from '../../support/relying-party.ts';
import { listStatements } from '../../support/statements.ts';

const hour = 3600;
const day = 24 * hour;

let gapura: TestGapura;
/** An application that asks for consent, and one that need not. */
let outside: TestParty;
let own: TestParty;

beforeAll(async () => {
  gapura = await startGapura();
  const open = async (id: string, first_party: boolean) =>
    openParty(gapura.config.issuer, await registerClient(gapura, id, { first_party }));
  outside = await open('luar', false);
  own = await open('sendiri', true);
});

beforeEach(async () => {
  for (const table of ['oidc_sessions', 'oidc_records', 'consents', 'limits'] as const)
    await gapura.db.deleteFrom(table).execute();
});

afterEach(() => resetClock(gapura.db));

afterAll(() => gapura?.stop());

/** Sends a sign-in page; gives what the browser was told of the session's cookie on the way. */
async function sendSignIn(visitor: HttpVisitor, page: Answer, fields: Record<string, string> = {}): Promise<string[]> {
  const filled = { ...findForm(page.body, 'login').fields, password: demo_password, ...fields };
  let answer = await visitor.post(page.url, filled, { follow: false });
  const lines: string[] = [];
  for (let hops = 0; hops < 6; hops += 1) {
    lines.push(...answer.headers.getSetCookie().filter((line) => line.startsWith('gapura_session=')));
    const location = answer.headers.get('location');
    if (!location?.startsWith(gapura.url) && !location?.startsWith('/')) break;
    answer = await visitor.get(location, { follow: false });
  }
  return lines;
}

/** A visitor who signed in at the portal, with what was set as the session's cookie. */
async function enter(identifier: string, fields: Record<string, string> = {}) {
  const visitor = newHttpVisitor(gapura.url);
  const lines = await sendSignIn(visitor, await visitor.get('/portal'), { identifier, ...fields });
  return { visitor, cookie: lines.at(-1) ?? '' };
}

const enterRemembered = (identifier: string) => enter(identifier, { remember: '1' });

/** Seconds from now until a cookie ends; undefined for one that ends with the browser. */
function lifeOf(cookie: string): number | undefined {
  const [, expires] = /expires=([^;]+)/i.exec(cookie) ?? [];
  return expires === undefined ? undefined : Math.round((Date.parse(expires) - Date.now()) / 1000);
}

const moveTo = (seconds: number) => moveClock(gapura.db, seconds);

/** Looks at the portal's start, at a moment so many seconds from the real one; whether there was a session. */
async function look(visitor: HttpVisitor, seconds: number): Promise<boolean> {
  await moveTo(seconds);
  return (await visitor.get('/portal', { follow: false })).status === 200;
}

/** Opens an application as a person would, allowing what it asks for. */
async function open(party: TestParty, visitor: HttpVisitor, parameters: Record<string, string> = {}) {
  const { address, checks } = await party.begin(parameters);
  let reached = await followTo(visitor, party.redirect_uri, await visitor.get(address, { follow: false }));
  for (let pages = 0; 'page' in reached && pages < 3; pages += 1) {
    const { body, url } = reached.page;
    const answer = body.includes('id="login"')
      ? { identifier: 'budi', password: demo_password }
      : { allow: '1', offline_access: '1' };
    const sent = await visitor.post(url, { ...findForm(body).fields, ...answer }, { follow: false });
    reached = await followTo(visitor, party.redirect_uri, sent);
  }
  if (!('returned' in reached)) throw new Error(`not back at the application: ${reached.page.body}`);
  return party.redeem(reached.returned, checks);
}

/** What an authorization without any page says: nothing, or the error. */
async function askSilently(party: TestParty, visitor: HttpVisitor): Promise<string | null> {
  const { address } = await party.begin({ prompt: 'none' });
  const answer = await visitor.get(address, { follow: false });
  return new URL(answer.headers.get('location') ?? '').searchParams.get('error');
}

const refresh = (party: TestParty, token: string | undefined) =>
  oidc.refreshTokenGrant(party.configuration, token ?? '');

const sessionOf = async (identifier: string) => (await listSessions(gapura, identifier))[0];

describe('"Ingat perangkat ini"', () => {
  test('is offered unticked; without it the cookie ends with the browser', async () => {
    const page = await newHttpVisitor(gapura.url).get('/portal');
    expect(page.body).toMatch(/<input id="remember" type="checkbox" name="remember" value="1" /);
    const { cookie } = await enter('budi');
    expect(lifeOf(cookie)).toBeUndefined();
    expect(await sessionOf('budi')).toMatchObject({ remembered: false });
  });

  test('keeps cookie and session as long as policy says, and use prolongs both', async () => {
    const idle = policy('session.remembered_idle');
    const { visitor, cookie } = await enterRemembered('budi');
    expect(Math.abs((lifeOf(cookie) ?? 0) - idle)).toBeLessThan(60);
    expect(await sessionOf('budi')).toMatchObject({ remembered: true });
    await moveTo(idle - hour);
    const answer = await visitor.get('/portal', { follow: false });
    expect(answer.status).toBe(200);
    const [again = ''] = answer.headers.getSetCookie().filter((line) => line.startsWith('gapura_session='));
    expect(Math.abs((lifeOf(again) ?? 0) - idle)).toBeLessThan(60);
    expect(again).toMatch(/httponly/i);
    expect(again).toMatch(/samesite=lax/i);
    expect(await look(visitor, 2 * idle - 2 * hour)).toBe(true);
  });

  test('never keeps a session beyond its absolute limit, nor unused beyond its idle one', async () => {
    const [idle, absolute] = [policy('session.remembered_idle'), policy('session.remembered_absolute')];
    const [used, unused] = [await enterRemembered('budi'), await enterRemembered('tono')];
    for (let at = 0; at < absolute - 60; at += idle - day)
      expect([at, await look(used.visitor, at)]).toEqual([at, true]);
    expect(await look(used.visitor, absolute - 60)).toBe(true);
    expect(await look(unused.visitor, absolute - 60)).toBe(false);
    expect(await look(used.visitor, absolute + 1)).toBe(false);
    await resetClock(gapura.db);
    const { visitor } = await enterRemembered('tono');
    expect(await look(visitor, idle + 1)).toBe(false);
  });

  test.each(['petugas', 'layanan', 'admin', 'sari'])('does nothing for %s, who has the console', async (identifier) => {
    const { visitor, cookie } = await enterRemembered(identifier);
    expect(lifeOf(cookie)).toBeUndefined();
    expect(await sessionOf(identifier)).toMatchObject({ remembered: false });
    expect(await look(visitor, policy('session.idle') + 1)).toBe(false);
  });

  test('ends for whoever becomes an officer, with the next use', async () => {
    const { visitor } = await enterRemembered('tono');
    const account_id = await findAccountId(gapura, 'tono');
    const id = await grantRole(gapura.db, account_id, 'agency_officer', { agency_code: 'BPOM' });
    expect(await look(visitor, hour)).toBe(true);
    const [session] = await listSessions(gapura, 'tono');
    const left = ((session?.expires_at.getTime() ?? 0) - Date.now()) / 1000;
    expect(left).toBeLessThanOrEqual(policy('session.idle'));
    await gapura.db
      .deleteFrom('role_assignments')
      .where('id', '=', id ?? '')
      .execute();
  });

  test('stays ticked on a form that was refused, and is not believed without a sign-in', async () => {
    const visitor = newHttpVisitor(gapura.url);
    const page = await visitor.get('/portal');
    const refused = await visitor.submit(page, { identifier: 'budi', password: 'bukan ini', remember: '1' });
    expect(refused.status).toBe(422);
    expect(refused.body).toMatch(/name="remember" value="1" checked/);
    expect(await listSessions(gapura, 'budi')).toEqual([]);
  });

  test('is not asked again of the same session, which stays what it was', async () => {
    for (const is_remembered of [true, false]) {
      const { visitor } = await (is_remembered ? enterRemembered('budi') : enter('budi'));
      const page = await visitor.get((await own.begin({ prompt: 'login' })).address);
      expect(page.body).not.toContain('id="remember"');
      const lines = await sendSignIn(visitor, page, {
        identifier: 'budi',
        ...(is_remembered ? {} : { remember: '1' }),
      });
      expect(lifeOf(lines.at(-1) ?? '') !== undefined).toBe(is_remembered);
      expect(await sessionOf('budi')).toMatchObject({ remembered: is_remembered });
      await gapura.db.deleteFrom('oidc_sessions').execute();
    }
  });
});

test('the limits that config/README.md tells are those of the release', () => {
  const text = readFileSync(new URL('../../../config/README.md', import.meta.url), 'utf8');
  const told = [...text.matchAll(/\| (?:(\d+) (hours|days) )?\| (\d+) days \| `([a-z_.]+)`(?:, `([a-z_.]+)`)? \|/g)];
  const values = told.flatMap(([, idle, unit, absolute, first = '', second]) => [
    ...(second ? [[first, Number(idle) * (unit === 'days' ? day : hour)]] : []),
    [second ?? first, Number(absolute) * day],
  ]);
  expect(values).toHaveLength(5);
  for (const [key, value] of values) expect([key, value]).toEqual([key, policies[key as 'session.idle'].default]);
});

describe('use', () => {
  test('of the portal’s pages prolongs a session, never beyond the absolute limit', async () => {
    const [idle, absolute] = [policy('session.idle'), policy('session.absolute')];
    const { visitor } = await enter('budi');
    for (let at = 0; at < absolute - 60; at += idle - hour) expect([at, await look(visitor, at)]).toEqual([at, true]);
    expect(await look(visitor, absolute - 60)).toBe(true);
    expect(await look(visitor, absolute + 1)).toBe(false);
  });

  test('of the console does too', async () => {
    const idle = policy('session.idle');
    const { visitor } = await enter('admin');
    await visitor.get('/admin');
    for (const at of [idle - 60, 2 * idle - 120]) {
      await moveTo(at);
      expect((await visitor.get('/admin', { follow: false })).status).toBe(200);
    }
    await moveTo(3 * idle);
    expect((await visitor.get('/admin', { follow: false })).status).toBe(303);
  });

  test('is written at most once in five minutes, and more often where the idle limit is short', async () => {
    const { visitor } = await enter('budi');
    const writes = async (seconds: number) => {
      await moveTo(seconds);
      const statements = await listStatements(() => visitor.get('/portal/profile'));
      return statements.filter((text) => /^update "oidc_sessions"/i.test(text)).length;
    };
    expect([await writes(10), await writes(290), await writes(301), await writes(400), await writes(602)]).toEqual([
      0, 0, 1, 0, 1,
    ]);
    await setTestPolicy(gapura.db, 'session.idle', 600);
    try {
      expect([await writes(640), await writes(663)]).toEqual([0, 1]);
    } finally {
      await setTestPolicy(gapura.db, 'session.idle', day);
    }
  });

  test('of a session that ended meanwhile restores nothing', async () => {
    const { visitor } = await enter('budi');
    await gapura.db.deleteFrom('oidc_sessions').execute();
    expect(await look(visitor, hour)).toBe(false);
    expect(await listSessions(gapura, 'budi')).toEqual([]);
  });

  test('is told of an ordinary limit by policy as it stands now', async () => {
    const { visitor } = await enter('budi');
    await setTestPolicy(gapura.db, 'session.absolute', 2 * day);
    try {
      expect(await look(visitor, day - hour)).toBe(true);
      expect(await look(visitor, 2 * day - 2 * hour)).toBe(true);
      expect(await look(visitor, 2 * day + 1)).toBe(false);
    } finally {
      await setTestPolicy(gapura.db, 'session.absolute', 7 * day);
    }
  });
});

describe('what is granted', () => {
  test('ends with the session to which it is bound', async () => {
    const { visitor } = await enter('budi');
    const tokens = await open(own, visitor);
    await moveTo(policy('session.idle') - 60);
    const next = await refresh(own, tokens.refresh_token);
    await moveTo(policy('session.idle') + 60);
    await expect(refresh(own, next.refresh_token)).rejects.toMatchObject({ error: 'invalid_grant' });
  });

  test('for when the person is away outlives every session, and lives as long as its grant', async () => {
    const { visitor } = await enter('budi');
    const offline = { scope: 'openid profile offline_access', prompt: 'consent' };
    let { refresh_token } = await open(outside, visitor, offline);
    await visitor.submit(await visitor.get('/connect/session/end'), { logout: 'yes' }, 'sign-out');
    expect(await listSessions(gapura, 'budi')).toEqual([]);
    const lifetime = policy('grant.lifetime');
    expect(lifetime).toBeGreaterThan(policy('session.absolute'));
    for (const at of [policy('session.absolute') + day, lifetime - 60]) {
      await moveTo(at);
      ({ refresh_token } = await refresh(outside, refresh_token));
    }
    await moveTo(lifetime + 60);
    await expect(refresh(outside, refresh_token)).rejects.toMatchObject({ error: 'invalid_grant' });
  });

  test('never ends before the session that uses it, though the person signs in anew in between', async () => {
    const { visitor } = await enterRemembered('budi');
    await open(outside, visitor);
    const [first] = await listRecords(gapura, 'luar', 'Grant');
    for (const at of [10 * day, 20 * day]) expect(await look(visitor, at)).toBe(true);
    await moveTo(25 * day);
    const { refresh_token } = await open(outside, visitor, { prompt: 'login' });
    for (const at of [36 * day, 46 * day]) expect([at, await look(visitor, at)]).toEqual([at, true]);
    const grants = await listRecords(gapura, 'luar', 'Grant');
    expect(grants.map(({ grant_id }) => grant_id)).toEqual([first?.grant_id]);
    await refresh(outside, refresh_token);
    expect(await askSilently(outside, visitor)).toBeNull();
  });

  test('is not asked for again at the edge of a session: there is an answer, or a sign-in', async () => {
    const absolute = policy('session.remembered_absolute');
    expect(absolute).toBe(policy('grant.lifetime'));
    const { visitor } = await enterRemembered('budi');
    await open(outside, visitor);
    for (const at of [10 * day, 20 * day, absolute - 30]) {
      await moveTo(at);
      expect([at, await askSilently(outside, visitor)]).toEqual([at, null]);
    }
    await moveTo(absolute + 30);
    expect(await askSilently(outside, visitor)).toBe('login_required');
  });
});

describe('the cookie', () => {
  test('is a new one after a change of the password, and the old one is dead', async () => {
    const { visitor } = await enterRemembered('tono');
    const copied = copyVisitor(gapura.url, visitor);
    const page = await visitor.get('/portal/credentials');
    const fields = { old_password: demo_password, new_password: 'Rumah-Kayu-77!', confirm_password: 'Rumah-Kayu-77!' };
    const done = await visitor.submit(page, fields, 'credentials');
    expect(done.url.search).toBe('?done=changed');
    expect(await look(visitor, 0)).toBe(true);
    expect(await look(copied, 0)).toBe(false);
    expect(await sessionOf('tono')).toMatchObject({ remembered: true });
  });

  test('goes at a sign-out with what the browser kept; leaving one application leaves both', async () => {
    const { visitor } = await enter('budi');
    await open(own, visitor);
    const send = async (address: string, fields: Record<string, string>) => {
      const { action, fields: hidden } = findForm((await visitor.get(address)).body, 'sign-out');
      return visitor.post(action, { ...hidden, ...fields }, { follow: false });
    };
    const one = await send('/connect/session/end?client_id=sendiri', {});
    expect([one.status, one.headers.get('clear-site-data')]).toEqual([303, null]);
    expect(await look(visitor, 0)).toBe(true);
    const all = await send('/connect/session/end', { logout: 'yes' });
    expect([all.status, all.headers.get('clear-site-data')]).toEqual([303, '"cache", "storage"']);
    expect(visitor.cookies.map(({ name }) => name)).not.toContain('gapura_session');
  });

  test('is more than 256 bits of chance, and no two are alike', async () => {
    const values = new Set<string>();
    for (let at = 0; at < 200; at += 1) {
      const visitor = newHttpVisitor(gapura.url);
      await visitor.get('/connect/session/end');
      values.add(visitor.cookies.find(({ name }) => name === 'gapura_session')?.value ?? '');
    }
    expect(values.size).toBe(200);
    for (const value of values) expect(value).toMatch(/^[\w-]{43,}$/);
    expect(new Set([...values].map((value) => value.slice(0, 6))).size).toBe(200);
  });

  test('is not needed to find the way out: every page of portal and console shows it', async () => {
    const { visitor } = await enter('admin');
    const names = ['', '/applications', '/profile', '/credentials', '/sessions', '/consents'];
    for (const name of names) {
      const { body } = await visitor.get(`/portal${name}`);
      expect([name, /<a [^>]*href="\/portal\/sign-out">Keluar<\/a>/.test(body)]).toEqual([name, true]);
    }
    for (const name of ['', '/accounts', '/policies', '/policies/session.idle']) {
      const { body } = await visitor.get(`/admin${name}`);
      expect([name, /<a [^>]*href="\/admin\/sign-out">Keluar<\/a>/.test(body)]).toEqual([name, true]);
    }
  });
});
