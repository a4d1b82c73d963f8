/** Devices that cannot show a sign-in: a code that one person opens, sees through and decides, and what the device is told meanwhile. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { lockAccount } from '../../../src/accounts/account.ts';
import { moveClock, resetClock } from '../../support/clock.ts';
import { demo_password, newSignedInVisitor, registerClient, startNodes, type TestNodes } from '../../support/gapura.ts';
import { type Answer, type HttpVisitor, newHttpVisitor } from '../../support/http.ts';
import { requestTo } from '../../support/nodes.ts';
import { storm } from '../../support/storm.ts';

const device_grant = 'urn:ietf:params:oauth:grant-type:device_code';

let gapura: TestNodes;

beforeAll(async () => {
  gapura = await startNodes();
  await registerDevice('layar');
  await registerDevice('layar-lain');
  await registerClient(gapura, 'bukan-perangkat');
});

afterEach(() => resetClock(gapura.db));
afterAll(() => gapura?.stop());

async function registerDevice(id: string) {
  await registerClient(gapura, id, {
    metadata: {
      grant_types: [device_grant, 'refresh_token'],
      response_types: [],
      redirect_uris: [],
      token_endpoint_auth_method: 'none',
      scope: 'openid profile email offline_access',
    },
  });
}

/** Posts a form as a device does, and gives the answer's status and JSON. */
async function ask(path: string, form: Record<string, string>) {
  const response = await fetch(`${gapura.config.issuer}${path}`, { method: 'POST', body: new URLSearchParams(form) });
  return { status: response.status, body: (await response.json()) as Record<string, string> };
}

const begin = async (client_id = 'layar', scope = 'openid profile') =>
  (await ask('/device/auth', { client_id, scope })).body;

const poll = (device_code = '', client_id = 'layar') =>
  ask('/token', { client_id, grant_type: device_grant, device_code });

/** A device waits five seconds between two tries. */
const later = (seconds = 6) => moveClock(gapura.db, seconds, gapura.nodes);

/** Types a code, with the page's own form. */
async function typeCode(visitor: HttpVisitor, user_code = ''): Promise<Answer> {
  return visitor.submit(await visitor.get('/connect/device'), { user_code });
}

/** Goes all the way as a person: code, question, sign-in where it is asked for, consent. */
async function letIn(visitor: HttpVisitor, user_code: string | undefined, identifier = 'sari'): Promise<Answer> {
  let page = await visitor.submit(await typeCode(visitor, user_code), { confirm: 'yes' });
  if (/id="password"/.test(page.body)) page = await visitor.submit(page, { identifier, password: demo_password });
  return visitor.submit(page, { allow: '1' });
}

const errorOf = ({ body }: Answer) => /id="user_code-error">([^<]+)</.exec(body)?.[1];

describe('a device', () => {
  test('is told a code, where to type it, and gets tokens once the person has let it in', async () => {
    const device = await begin();
    expect(device).toEqual({
      device_code: expect.stringMatching(/^[\w-]{43}$/),
      user_code: expect.stringMatching(/^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/),
      verification_uri: `${gapura.config.issuer}/device`,
      verification_uri_complete: `${gapura.config.issuer}/device?user_code=${device.user_code}`,
      expires_in: 600,
    });
    expect(await poll(device.device_code)).toMatchObject({ status: 400, body: { error: 'authorization_pending' } });
    const end = await letIn(newHttpVisitor(gapura.url), device.user_code);
    expect([end.status, /<h1>([^<]+)/.exec(end.body)?.[1]]).toEqual([200, 'Perangkat terhubung']);
    const { status, body } = await poll(device.device_code);
    expect([status, body.scope]).toEqual([200, 'openid profile']);
    const told = await fetch(`${gapura.config.issuer}/userinfo`, {
      headers: { authorization: `Bearer ${body.access_token}` },
    });
    expect(await told.json()).toMatchObject({ preferred_username: 'sari' });
  });

  test('that asks too soon is told to slow down, and what it was given is kept nowhere', async () => {
    const device = await begin();
    expect((await poll(device.device_code)).body.error).toBe('authorization_pending');
    expect(await poll(device.device_code)).toMatchObject({ status: 400, body: { error: 'slow_down' } });
    await later();
    expect((await poll(device.device_code)).body.error).toBe('authorization_pending');
    const rows = await gapura.db
      .selectFrom('oidc_records')
      .select('payload')
      .where('model', '=', 'DeviceCode')
      .execute();
    const kept = JSON.stringify(rows);
    expect(kept).toContain('"client_id":"layar"');
    expect(kept).not.toContain(device.device_code);
    expect(kept).not.toContain(device.user_code?.replace('-', ''));
  });

  test('is told that the person refused', async () => {
    const device = await begin();
    const visitor = newHttpVisitor(gapura.url);
    const end = await visitor.submit(await typeCode(visitor, device.user_code), { abort: 'yes' });
    expect(/<h1>([^<]+)/.exec(end.body)?.[1]).toBe('Perangkat ditolak');
    expect(await poll(device.device_code)).toMatchObject({ status: 400, body: { error: 'access_denied' } });
  });

  test('is told that the person refused at the consent', async () => {
    const device = await begin();
    const visitor = await newSignedInVisitor(gapura.url, 'sari');
    const consent = await visitor.submit(await typeCode(visitor, device.user_code), { confirm: 'yes' });
    const end = await visitor.submit(consent, { cancel: '1' });
    expect(/<h1>([^<]+)/.exec(end.body)?.[1]).toBe('Perangkat ditolak');
    expect(await poll(device.device_code)).toMatchObject({ status: 400, body: { error: 'access_denied' } });
  });

  test('is told that its time is over, and so is the person', async () => {
    const device = await begin();
    await later(601);
    expect(await poll(device.device_code)).toMatchObject({ status: 400, body: { error: 'expired_token' } });
    const page = await typeCode(newHttpVisitor(gapura.url), device.user_code);
    expect([page.status, errorOf(page)]).toEqual([422, expect.stringContaining('kedaluwarsa')]);
  });

  test('has nothing of another client’s code, nor by the name of a row', async () => {
    const device = await begin();
    expect((await poll(device.device_code, 'layar-lain')).body.error).toBe('invalid_grant');
    const { id_hash } = await gapura.db
      .selectFrom('oidc_records')
      .select('id_hash')
      .where('model', '=', 'DeviceCode')
      .orderBy('expires_at', 'desc')
      .limit(1)
      .executeTakeFirstOrThrow();
    expect((await poll(`row.${id_hash.toString('base64url')}`)).body.error).toBe('invalid_grant');
  });

  test('is no client that signs people in by their browser', async () => {
    const { status, body } = await ask('/device/auth', { client_id: 'bukan-perangkat', scope: 'openid' });
    expect([status, body.error]).toEqual([401, 'invalid_client']);
    const visitor = newHttpVisitor(gapura.url);
    const page = await visitor.get(`/connect/auth?client_id=layar&response_type=code&scope=openid`);
    expect(page.status).toBe(400);
  });
});

describe('the person', () => {
  test('may type it small, with spaces, without the dash; the link of a picture fills the field and decides nothing', async () => {
    const { user_code = '' } = await begin();
    const visitor = newHttpVisitor(gapura.url);
    const page = await visitor.get(`/connect/device?user_code=${user_code}`);
    expect(page.body).toContain(`value="${user_code}"`);
    const question = await visitor.submit(page, { user_code: ` ${user_code.toLowerCase().replace('-', ' ')} ` });
    expect(question.status).toBe(200);
    expect(question.body).toContain(`id="code">${user_code}<`);
    expect(question.body).toContain('Aplikasi layar');
    expect(question.body).toContain('dikirim orang lain');
  });

  test('is asked for consent each time, whoever the client belongs to', async () => {
    for (const _time of [1, 2]) {
      const device = await begin();
      const visitor = await newSignedInVisitor(gapura.url, 'budi');
      const page = await visitor.submit(await typeCode(visitor, device.user_code), { confirm: 'yes' });
      expect(page.body).toContain('<form id="consent"');
    }
  });

  test.each([
    ['nothing', '', 'wajib'],
    ['what nobody was shown', 'BBBB-BBBB', 'tidak dikenal'],
    ['a NUL', 'BBBB\0BBBB', ''],
    ['a hundred kilobytes', 'B'.repeat(100_000), ''],
    ['markup', '<script>alert(1)</script>', 'tidak dikenal'],
  ])('who sends %s is told so', async (_name, user_code, says) => {
    const page = await typeCode(newHttpVisitor(gapura.url), user_code);
    expect(page.status).toBeGreaterThanOrEqual(400);
    expect(page.status).toBeLessThan(500);
    expect(errorOf(page) ?? '').toContain(says);
    expect(page.body).not.toContain('<script>alert');
  });

  test('whose page is of another browser, or was opened again, is told to send it once more', async () => {
    const { user_code = '' } = await begin();
    const visitor = newHttpVisitor(gapura.url);
    const first = await visitor.get('/connect/device');
    await visitor.get('/connect/device');
    const stale = await visitor.submit(first, { user_code });
    expect([stale.status, errorOf(stale)]).toEqual([422, expect.stringContaining('sekali lagi')]);
    expect((await visitor.submit(stale, { user_code })).body).toContain(`id="code">${user_code}<`);
    const foreign = await newHttpVisitor(gapura.url).submit(await visitor.get('/connect/device'), { user_code });
    expect([foreign.status, foreign.url.pathname]).toEqual([200, '/connect/device']);
    expect(foreign.body).not.toContain(user_code);
  });

  test('finds a code that somebody opened used, and cannot decide in their place', async () => {
    const device = await begin();
    const budi = await newSignedInVisitor(gapura.url, 'budi');
    const consent = await budi.submit(await typeCode(budi, device.user_code), { confirm: 'yes' });
    const tono = await newSignedInVisitor(gapura.url, 'tono');
    expect(errorOf(await typeCode(tono, device.user_code))).toContain('sudah dipakai');
    expect((await tono.get(consent.url)).status).toBe(410);
    await budi.submit(consent, { allow: '1' });
    const { access_token } = (await poll(device.device_code)).body;
    const told = await fetch(`${gapura.config.issuer}/userinfo`, {
      headers: { authorization: `Bearer ${access_token}` },
    });
    expect(await told.json()).toMatchObject({ preferred_username: 'budi' });
  });

  test('who is locked meanwhile leaves the device with nothing', async () => {
    const device = await begin();
    const visitor = newHttpVisitor(gapura.url);
    await letIn(visitor, device.user_code, 'tono');
    const { id } = await gapura.db
      .selectFrom('account_identifiers as i')
      .select('i.account_id as id')
      .where('i.canonical', '=', 'tono')
      .executeTakeFirstOrThrow();
    await lockAccount(gapura.db, id, 'locked', { because: 'uji' });
    expect((await poll(device.device_code)).body.error).toBe('invalid_grant');
    await gapura.db.deleteFrom('account_locks').where('account_id', '=', id).execute();
  });
});

describe('at once, on two nodes', () => {
  test('of many who open a code one does', async () => {
    const { user_code = '' } = await begin();
    const people = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const visitor = newHttpVisitor(gapura.url);
        const page = await visitor.get('/connect/device');
        return { visitor, xsrf: /name="xsrf" value="([^"]+)"/.exec(page.body)?.[1] ?? '' };
      }),
    );
    const answers = await storm(8, (at) => {
      const { visitor, xsrf } = people[at] as (typeof people)[number];
      return requestTo(gapura, at, '/connect/device', { visitor, form: { xsrf, user_code, confirm: 'yes' } });
    });
    expect(answers.map(({ status }) => status).sort()).toEqual([303, ...Array(7).fill(422)]);
    const opened = await gapura.db
      .selectFrom('oidc_records')
      .select('payload')
      .where('model', '=', 'Interaction')
      .execute();
    expect(opened.filter(({ payload }) => (payload as { deviceCode?: string }).deviceCode)).toHaveLength(
      new Set(opened.map(({ payload }) => (payload as { deviceCode?: string }).deviceCode).filter(Boolean)).size,
    );
  });

  test('of many tries with the code of a device that was let in one gets tokens', async () => {
    const { user_code, device_code = '' } = await begin();
    await letIn(newHttpVisitor(gapura.url), user_code);
    const form = { client_id: 'layar', grant_type: device_grant, device_code };
    const answers = await storm(20, (at) => requestTo(gapura, at, '/connect/token', { form }));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array(19).fill(400)]);
  });
});

test('who guesses has to wait, and a code that was right costs nothing', async () => {
  const visitor = newHttpVisitor(gapura.url);
  await gapura.db.deleteFrom('limits').where('name', '=', 'device_code').execute();
  const { user_code = '' } = await begin();
  let page = await typeCode(visitor, user_code);
  for (let tries = 0; tries < 21 && page.status !== 429; tries += 1) page = await typeCode(visitor, 'BBBB-BBBB');
  expect([page.status, page.headers.get('retry-after')]).toEqual([429, '60']);
  expect(page.body).toContain('Terlalu banyak kode');
  await gapura.db.deleteFrom('limits').where('name', '=', 'device_code').execute();
});
