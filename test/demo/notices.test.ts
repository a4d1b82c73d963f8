// The notice that Gapura gets of every changed password of e-BPOM: signed, once, and late rather than never.

import { afterAll, afterEach, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import * as jose from 'jose';
import { saveApplication } from '../../src/applications/application.ts';
import { nowSeconds } from '../../src/clock.ts';
import { demoApplications } from '../../src/demo/people.ts';
import { receiveNotice } from '../../src/links/notices.ts';
import { saveAgency } from '../../src/organisations/agency.ts';
import { createOutbound } from '../../src/outbound.ts';
import { moveProcessClock } from '../support/clock.ts';
import { openScene, type Scene, until } from './e-bpom-scene.ts';

async function findSubject(): Promise<string> {
  const { rows } = await scene.db.query<{ id: string }>("SELECT id FROM e_bpom_users WHERE username = 'user_bpom'");
  return rows[0]?.id ?? '';
}

let scene: Scene;

beforeAll(async () => {
  scene = await openScene({ migrated: true });
});

beforeEach(async () => {
  scene.gapura.notice_status = 202;
  await scene.db.query('DELETE FROM e_bpom_failures');
  // Nothing of the test before is still on its way.
  await until(async () => (await scene.countKept()) === 0);
  scene.gapura.notices.length = 0;
});

afterEach(() => moveProcessClock(0));

afterAll(() => scene?.close());

test('a notice is a Security Event Token, signed with a key of /jwks that a restart keeps', async () => {
  const keys = (await (await fetch(`${scene.site.url}/jwks`)).json()) as jose.JSONWebKeySet;
  expect(keys.keys).toHaveLength(1);
  expect(Object.keys(keys.keys[0] ?? {}).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']);
  await scene.restart();
  expect(await (await fetch(`${scene.site.url}/jwks`)).json()).toEqual(keys);

  await scene.change();
  await until(() => scene.gapura.notices.length > 0);
  const [notice] = scene.gapura.notices;
  expect(notice?.type).toBe('application/secevent+jwt');
  const { payload, protectedHeader } = await jose.jwtVerify(notice?.token ?? '', jose.createLocalJWKSet(keys));
  expect(protectedHeader).toMatchObject({ alg: 'ES256', typ: 'secevent+jwt' });
  expect(payload).toEqual({
    iss: `${scene.site.url}/`,
    aud: scene.gapura.issuer,
    jti: expect.stringMatching(/^[\da-f-]{36}$/),
    iat: expect.any(Number),
    sub_id: { format: 'opaque', id: await findSubject() },
    events: {
      'https://schemas.openid.net/secevent/caep/event-type/credential-change': {
        credential_type: 'password',
        change_type: 'update',
      },
    },
  });
  await until(async () => (await scene.countKept()) === 0);
});

test('a notice is sent again while Gapura is down or out of order, with the same jti and a fresh time, and then no more', async () => {
  await scene.gapura.stop();
  const begun = nowSeconds();
  expect((await scene.change()).status).toBe(200);
  await until(async () => (await scene.db.query('SELECT FROM e_bpom_notices WHERE tries > 0')).rowCount === 1);
  scene.gapura.notice_status = 503;
  await scene.gapura.start();
  await until(() => scene.gapura.notices.length === 1);
  scene.gapura.notice_status = 202;
  moveProcessClock(600);
  expect(await scene.countKept()).toBe(1);
  // What was not sent waits for the next start.
  await scene.restart();
  await until(() => scene.gapura.notices.length === 2);
  await until(async () => (await scene.countKept()) === 0);
  const claims = scene.gapura.notices.map(({ token }) => jose.decodeJwt(token));
  expect(new Set(claims.map(({ jti }) => jti)).size).toBe(1);
  expect(claims[1]?.iat).toBeGreaterThanOrEqual(begun + 600);
});

test('a notice that Gapura refuses, or that was sent in vain for hours, is given up and said', async () => {
  const complaint = jest.spyOn(console, 'error').mockReturnValue(undefined);
  scene.gapura.notice_status = 400;
  await scene.change();
  await until(async () => scene.gapura.notices.length === 1 && (await scene.countKept()) === 0);
  scene.gapura.notice_status = 503;
  await scene.db.query("INSERT INTO e_bpom_notices VALUES ('worn out', 'x', 7, now())");
  await scene.change();
  await until(async () => (await scene.db.query("SELECT FROM e_bpom_notices WHERE jti = 'worn out'")).rowCount === 0);
  expect(complaint.mock.calls.map(([line]) => String(line).replace(/[\da-f-]{36}/, 'jti'))).toEqual([
    'e-BPOM: Gapura did not take the notice jti: refused',
    'e-BPOM: Gapura did not take the notice worn out: failed',
  ]);
  complaint.mockRestore();
});

test('a notice is what Gapura’s own rules take, once', async () => {
  const [application] = demoApplications({
    e_bpom: scene.site.url,
    cargolink: 'http://localhost:1',
    portal_insw: 'http://localhost:2',
  });
  if (!application) throw new Error('no application');
  await saveAgency(scene.database.db, { code: 'BPOM', name: 'BPOM', name_en: 'BPOM' });
  await saveApplication(scene.database.db, { ...application, client_id: null });
  await scene.change();
  await until(() => scene.gapura.notices.length === 1);
  const outbound = createOutbound({ private_hosts: [] });
  const store = { db: scene.database.db, audience: scene.gapura.issuer, call: outbound.call };
  try {
    const token = scene.gapura.notices[0]?.token ?? '';
    expect(await receiveNotice(store, 'e-bpom', token)).toEqual({ state: 'taken', marked: 0 });
    const { rows } = await scene.db.query('SELECT jti FROM link_notices');
    expect(rows).toEqual([{ jti: jose.decodeJwt(token).jti }]);
    expect(await receiveNotice({ ...store, audience: 'x' }, 'e-bpom', token)).toEqual({
      state: 'refused',
      err: 'invalid_audience',
    });
  } finally {
    await outbound.close();
  }
});
