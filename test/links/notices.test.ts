/** Notices of applications: signed by their key, for us, fresh, once; they make a link due for a new proof, and nothing else. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT, UnsecuredJWT } from 'jose';
import { nowSeconds } from '../../src/clock.ts';
import type { Database } from '../../src/database.ts';
import { purgeNotices } from '../../src/links/notices.ts';
import { findServingLink, listLinks } from '../../src/links/store.ts';
import {
  linkAs,
  noticeClaims,
  openTestLinks,
  registerApplication,
  startApplication,
  type TestApplication,
} from '../support/application.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { startGapura, type TestGapura } from '../support/gapura.ts';
import { findAccountId } from '../support/nodes.ts';

let gapura: TestGapura;
let db: Database;
let application: TestApplication;
let links: Awaited<ReturnType<typeof openTestLinks>>;
const caep = 'https://schemas.openid.net/secevent/caep/event-type/';
const risc = 'https://schemas.openid.net/secevent/risc/event-type/';

beforeAll(async () => {
  gapura = await startGapura();
  db = gapura.db;
  application = await startApplication();
  links = await openTestLinks(gapura);
  await registerApplication(gapura, 'satu', application);
  await registerApplication(gapura, 'dua', application, { url: 'http://dua.example/' });
});

afterEach(async () => {
  await resetClock(db);
  for (const table of ['links', 'link_holders', 'link_notices', 'limits'] as const)
    await db.deleteFrom(table).execute();
  application.answer = undefined;
  await application.stop();
  await application.start();
});

afterAll(async () => {
  await links.close();
  await application.stop();
  await gapura.stop();
});

const claims = (changes: JWTPayload = {}, subject = 's-pangan') => ({
  ...noticeClaims(application, gapura.config.issuer, subject),
  ...changes,
});

/** Pushes a token as a machine would (RFC 8935 section 2). */
async function push(token: string, { id = 'satu', type = 'application/secevent+jwt' } = {}) {
  const answer = await fetch(`${gapura.url}/links/notices/${id}`, {
    method: 'POST',
    headers: { 'content-type': type, accept: 'application/json' },
    body: token,
  });
  const text = await answer.text();
  return { status: answer.status, err: text ? JSON.parse(text).err : undefined, headers: answer.headers };
}

const send = async (changes: JWTPayload = {}, header: Record<string, unknown> = {}) =>
  push(await application.sign(claims(changes), header));

/** The user names that are due for a new proof. */
async function stale(): Promise<string[]> {
  const rows = await db.selectFrom('links').select('username').where('stale_at', 'is not', null).execute();
  return rows.map(({ username }) => username).sort();
}

const taken = { status: 202, err: undefined };
const refused = (err: string) => ({ status: 400, err });

describe('a notice', () => {
  test.each([`${caep}credential-change`, `${risc}account-disabled`, `${risc}account-purged`])(
    'of %s makes the links of its subject due, and the application hears of them no more',
    async (event) => {
      for (const username of ['user_bpom', 'user_umum']) await linkAs(links, 'budi', 'satu', username);
      await linkAs(links, 'budi', 'dua', 'user_bpom');
      expect(await send({ events: { [event]: {} } })).toMatchObject(taken);
      expect(await stale()).toEqual(['user_bpom']);
      const budi = await findAccountId(gapura, 'budi');
      expect(await findServingLink(db, budi, 'satu', 'PANGAN')).toMatchObject({ username: 'user_umum' });
      expect(await findServingLink(db, budi, 'dua', 'PANGAN')).toMatchObject({ username: 'user_bpom' });
      const audit = db.selectFrom('audit_events').select(['account_id', 'detail']).where('kind', '=', 'link_stale');
      expect(await audit.orderBy('id', 'desc').executeTakeFirst()).toEqual({
        account_id: budi,
        detail: { application: 'satu' },
      });
      await linkAs(links, 'budi', 'satu', 'user_bpom');
      expect(await stale()).toEqual([]);
      expect((await listLinks(db, budi, 'satu'))[0]).toMatchObject({ username: 'user_bpom', is_stale: false });
    },
  );

  test('is taken once: sent again after a new proof it changes nothing, also 20 times at once', async () => {
    await linkAs(links, 'budi', 'satu', 'user_bpom');
    const token = await application.sign(claims());
    const answers = await Promise.all(Array.from({ length: 20 }, () => push(token)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
    expect(await stale()).toEqual(['user_bpom']);
    const audit = db.selectFrom('audit_events').selectAll().where('kind', '=', 'link_stale');
    const before = (await audit.execute()).length;
    await linkAs(links, 'budi', 'satu', 'user_bpom');
    expect(await push(token)).toMatchObject(taken);
    expect(await stale()).toEqual([]);
    expect(await audit.execute()).toHaveLength(before);
  });

  test('cannot come again once it is forgotten', async () => {
    await linkAs(links, 'budi', 'satu', 'user_bpom');
    const token = await application.sign(claims());
    await push(token);
    await linkAs(links, 'budi', 'satu', 'user_bpom');
    await moveClock(db, 86_400 + 60);
    expect(await purgeNotices(db)).toBe(1);
    expect(await push(token)).toMatchObject({ status: 400 });
    expect(await stale()).toEqual([]);
  });

  test('of a subject that nobody linked, or of an event that says nothing of links, is taken and changes nothing', async () => {
    await linkAs(links, 'budi', 'satu', 'user_bpom');
    expect(await push(await application.sign(claims({}, 'siapa-pun')))).toMatchObject(taken);
    expect(await send({ events: { [`${caep}session-revoked`]: {} } })).toMatchObject(taken);
    expect(await send({ events: {} })).toMatchObject(taken);
    expect(await stale()).toEqual([]);
  });

  test('is not asked for a cookie or a form’s origin: it comes from a machine, and nobody else’s page may send it', async () => {
    const body = await application.sign(claims());
    const headers = { 'content-type': 'application/secevent+jwt', origin: 'https://jahat.example' };
    const answer = await fetch(`${gapura.url}/links/notices/satu`, { method: 'POST', headers, body });
    expect(answer.status).toBe(403);
    expect((await push(body)).status).toBe(202);
  });
});

describe('refused, and nothing is due, is a notice', () => {
  const expectRefused = async (answer: Promise<{ status: number; err?: string }>, err: string) => {
    await linkAs(links, 'budi', 'satu', 'user_bpom');
    expect(await answer).toMatchObject(refused(err));
    expect(await stale()).toEqual([]);
    expect(await db.selectFrom('link_notices').selectAll().execute()).toEqual([]);
  };

  test('of another issuer, also of another application with the same key', async () => {
    await expectRefused(send({ iss: 'http://jahat.example/' }), 'invalid_issuer');
    await expectRefused(send({ iss: 'http://dua.example/' }), 'invalid_issuer');
  });

  test('that another application sends in this one’s name', async () => {
    await linkAs(links, 'budi', 'dua', 'user_bpom');
    await expectRefused(
      application.sign(claims()).then((token) => push(token, { id: 'dua' })),
      'invalid_issuer',
    );
  });

  test.each(['http://jahat.example', ''])('for another audience (%s)', async (aud) => {
    await expectRefused(send({ aud }), 'invalid_audience');
  });

  test('without an audience', async () => {
    const { aud: _, ...rest } = claims() as JWTPayload;
    await expectRefused(
      application.sign(rest).then((token) => push(token)),
      'invalid_audience',
    );
  });

  test.each([
    ['older than five minutes', { iat: -330 }],
    ['of the future', { iat: 60 }],
  ])('%s', async (_what, { iat }) => {
    await expectRefused(send({ iat: nowSeconds() + iat }), 'invalid_request');
  });

  test('older than five minutes by our own clock', async () => {
    const token = await application.sign(claims());
    await moveClock(db, 330);
    await expectRefused(push(token), 'invalid_request');
  });

  test('without its time', async () => {
    const { iat: _, ...rest } = claims() as JWTPayload;
    await expectRefused(
      application.sign(rest).then((token) => push(token)),
      'invalid_request',
    );
  });

  test('of another type of token, so that none made for something else serves', async () => {
    for (const typ of ['JWT', 'at+jwt', 'logout+jwt', undefined])
      await expectRefused(send({}, { typ }), 'invalid_request');
  });

  test('signed by another key, be it named like the right one or carried along', async () => {
    const { privateKey, publicKey } = await generateKeyPair('ES256');
    const sign = (header: object) =>
      new SignJWT(claims()).setProtectedHeader({ alg: 'ES256', typ: 'secevent+jwt', ...header }).sign(privateKey);
    await expectRefused(
      sign({ kid: 'kunci-1' }).then((token) => push(token)),
      'invalid_key',
    );
    await expectRefused(
      sign({ kid: 'kunci-2' }).then((token) => push(token)),
      'invalid_key',
    );
    const jwk = await exportJWK(publicKey);
    await expectRefused(
      sign({ jwk }).then((token) => push(token)),
      'invalid_key',
    );
    await expectRefused(
      sign({ jku: 'http://jahat.example/jwks' }).then((token) => push(token)),
      'invalid_key',
    );
  });

  test('that is not signed, or by a password of public words', async () => {
    await expectRefused(push(new UnsecuredJWT(claims()).encode()), 'invalid_request');
    const { keys } = await (await fetch(`http://${application.host}/jwks`)).json();
    const shared = new SignJWT(claims()).setProtectedHeader({ alg: 'HS256', typ: 'secevent+jwt' });
    await expectRefused(
      shared.sign(Buffer.from(JSON.stringify(keys[0]))).then((token) => push(token)),
      'invalid_request',
    );
  });

  test('that was changed on its way', async () => {
    const [header, , signature] = (await application.sign(claims({}, 'siapa-pun'))).split('.');
    const payload = Buffer.from(JSON.stringify(claims())).toString('base64url');
    await expectRefused(push([header, payload, signature].join('.')), 'invalid_key');
  });

  test.each([
    ['without a jti', { jti: undefined }],
    ['with a jti too short to be one', { jti: 'a' }],
    ['with an endless jti', { jti: 'a'.repeat(201) }],
    ['with a NUL in its jti', { jti: 'kabar-kabar\0' }],
    ['without a subject', { sub_id: undefined }],
    ['with a subject of another format', { sub_id: { format: 'email', id: 's-pangan' } }],
    ['with a NUL in its subject', { sub_id: { format: 'opaque', id: 's\0' } }],
    ['without events', { events: undefined }],
    ['with a list of events', { events: [`${caep}credential-change`] }],
  ])('%s', async (_what, changes) => {
    await expectRefused(send(changes as JWTPayload), 'invalid_request');
  });

  test.each(['', 'x', 'a.b.c', '{"jti":"a"}', '\0', `${'a'.repeat(9000)}.a.a`])(
    'that is no token (%#)',
    async (text) => {
      await expectRefused(push(text), 'invalid_request');
    },
  );

  test('sent as something else, or longer than any', async () => {
    const token = await application.sign(claims());
    for (const type of ['application/jwt', 'application/json', 'text/plain', 'application/x-www-form-urlencoded'])
      await expectRefused(push(token, { type }), 'invalid_request');
    await expectRefused(push('a'.repeat(20_000)), 'invalid_request');
  });

  test('for an application that is not there, is closed, or sends none', async () => {
    await registerApplication(gapura, 'tutup', application, { active: false });
    await registerApplication(gapura, 'tanpa', application, { settings: { notices_jwks_uri: undefined } });
    await registerApplication(gapura, 'lain', application, { verifier: null, verifier_settings: '{}' });
    const token = await application.sign(claims());
    for (const id of ['tutup', 'tanpa', 'lain', 'tidak-ada', '..%2fsatu', 'x'.repeat(300)])
      expect([id, await push(token, { id })]).toMatchObject([id, refused('authentication_failed')]);
  });
});

describe('while the application’s keys cannot be read, it is asked to send the notice again', () => {
  const keys = JSON.stringify({ keys: [] });
  let turn = 0;
  test.each([
    ['nobody is there', () => application.stop()],
    ['they are no JSON', () => answer(200, '<html>')],
    ['they are no set of keys', () => answer(200, '{"error":"x"}')],
    ['they are null', () => answer(200, 'null')],
    ['it fails', () => answer(500, keys)],
    ['it is in maintenance', () => answer(503, '{"error":"temporarily_unavailable"}')],
    ['they stand elsewhere', () => answer(302, '', { location: `http://${application.host}/lain` })],
    ['they are endless', () => answer(200, ' '.repeat(70_000))],
  ])('%s', async (_what, break_down) => {
    // At an address where they were never read: keys that are known serve a while longer.
    turn += 1;
    const notices_jwks_uri = `http://${application.host}/jwks?turn=${turn}`;
    await registerApplication(gapura, 'satu', application, { settings: { notices_jwks_uri } });
    await linkAs(links, 'budi', 'satu', 'user_bpom');
    const token = await application.sign(claims());
    await break_down();
    const said = await push(token);
    expect(said).toMatchObject({ status: 503 });
    expect(Number(said.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await stale()).toEqual([]);
    application.answer = undefined;
    await application.start();
    expect(await push(token)).toMatchObject(taken);
    expect(await stale()).toEqual(['user_bpom']);
  });

  test('but keys that are known serve on, and forgeries do not make us ask for them again and again', async () => {
    await linkAs(links, 'budi', 'satu', 'user_bpom');
    expect(await push(await application.sign(claims()))).toMatchObject(taken);
    let asked = 0;
    application.answer = (_, res) => {
      asked += 1;
      res.writeHead(500).end();
    };
    const forged = await Promise.all(
      Array.from({ length: 20 }, (_, at) => application.sign(claims(), { kid: `palsu-${at}` })),
    );
    for (const token of forged) await push(token);
    expect(asked).toBeLessThanOrEqual(1);
    expect(await push(await application.sign(claims()))).toMatchObject(taken);
    application.answer = undefined;
  });

  async function answer(status: number, body: string, headers: Record<string, string> = {}): Promise<void> {
    application.answer = (_, res) =>
      void res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body);
  }
});
