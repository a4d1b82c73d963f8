/** Every address there is, walked: what checks a secret is limited, what is only looked at changes nothing, what is empty passes nothing. */

import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import Router from '@koa/router';
import type { LimitName } from '../../src/limits/table.ts';
import { openConsole } from '../support/desk.ts';
import { newSignedInVisitor, registerClient, startGapura, type TestGapura } from '../support/gapura.ts';
import { type Answer, type HttpVisitor, newHttpVisitor } from '../support/http.ts';
import { listStatements } from '../support/statements.ts';

let gapura: TestGapura;
let routers: Router[];

beforeAll(async () => {
  const mounted = jest.spyOn(Router.prototype, 'routes');
  gapura = await startGapura();
  routers = mounted.mock.contexts as Router[];
});

beforeEach(async () => {
  await gapura.db.deleteFrom('limits').execute();
});

afterAll(() => gapura?.stop());

/** The addresses of the router, as "POST /portal/credentials". */
function listRoutes(): string[] {
  // The engine may have one of its own.
  const ours = routers.find(({ stack }) => stack.some(({ path }) => path === '/portal'));
  const layers = ours?.stack ?? [];
  const routes = layers.flatMap(({ methods, path }) =>
    methods.filter((method) => method !== 'HEAD').map((method) => `${method} ${path}`),
  );
  expect(routes.length).toBeGreaterThan(60);
  return [...new Set(routes)];
}

/** What may be tried again and again until it is right, and the limit that ends that. */
const guessed: Record<string, LimitName> = {
  'POST /interaction/:uid': 'sign_in_account',
  'POST /recovery': 'recovery_start',
  'POST /recovery/address': 'recovery_send',
  'POST /recovery/resend': 'recovery_send',
  'POST /recovery/code': 'recovery_code',
  'POST /portal/credentials': 'password_change',
  'POST /portal/applications/:id/link': 'link_person',
  'POST /portal/applications/:id/verification': 'link_person',
  'POST /portal/credentials/recovery': 'recovery_address',
  'POST /api/v1/:resource': 'api',
  'PATCH /api/v1/:resource/:id': 'api',
  'DELETE /api/v1/:resource/:id': 'api',
  'POST /api/v1/:resource/:id/:operation': 'api',
};

/** What a row counts that is there for this one thing: after so many wrong tries it is void. */
const counted = ['POST /portal/credentials/recovery/:id/code', 'POST /portal/credentials/recovery/:id/resend'];

/** What nobody guesses: 128 bits or more, spent once. */
const unguessable = ['POST /invitation/:token', 'POST /notices/:token', 'POST /admin/trials/callback'];

/** What asks for no secret: the session says who it is, the origin that it is meant. */
const by_session = [
  ...['POST /portal/links/:id/label', 'POST /portal/links/:id/default', 'POST /portal/links/:id/removal'],
  ...['POST /portal/sessions/others/removal', 'POST /portal/sessions/all/removal', 'POST /portal/sessions/:id/removal'],
  ...['POST /portal/consents/:id/removal', 'POST /portal/grants/removal', 'POST /portal/grants/:id/removal'],
  ...['POST /portal/clients/submission', 'POST /portal/clients/:id/secret'],
  ...['POST /portal/credentials/recovery/:id/removal', 'POST /recovery/password', 'POST /recovery/session'],
  ...['POST /admin/:resource/creation', 'POST /admin/:resource/:id/:operation'],
];

/** What an application sends to us, by a signature of its own. */
const signed = ['POST /links/notices/:application'];

describe('CVE-2025-64102 (a second way in without the limits of the first)', () => {
  test('every address that takes a form stands here, with what ends guessing at it', () => {
    const known = [...Object.keys(guessed), ...counted, ...unguessable, ...by_session, ...signed];
    const forms = listRoutes().filter((route) => !route.startsWith('GET '));
    expect(forms.sort()).toEqual(known.sort());
  });

  test('a wrong try at a sign-in, an old password, a recovery and its code is paid for', async () => {
    const paid = async () =>
      (await gapura.db.selectFrom('limits').select('name').distinct().execute()).map(({ name }) => name).sort();
    const stranger = newHttpVisitor(gapura.url);
    const login = await stranger.get('/portal');
    expect((await stranger.submit(login, { identifier: 'budi', password: 'salah' })).status).toBe(422);
    expect(await paid()).toEqual(expect.arrayContaining(['sign_in_account']));
    const budi = await newSignedInVisitor(gapura.url, 'budi');
    const fields = { old_password: 'salah', new_password: 'Baru-Sekali-2026!', confirm_password: 'Baru-Sekali-2026!' };
    expect((await budi.submit(await budi.get('/portal/credentials'), fields)).status).toBe(422);
    expect(await paid()).toEqual(expect.arrayContaining(['password_change']));
    const forgetful = newHttpVisitor(gapura.url);
    const named = await forgetful.submit(await forgetful.get('/recovery'), { username: 'sari' });
    const asked = await forgetful.submit(named, {});
    expect((await forgetful.submit(asked, { code: '000000' }, '/recovery/code')).status).toBe(422);
    expect(await paid()).toEqual(expect.arrayContaining([guessed['POST /recovery'], guessed['POST /recovery/code']]));
  });

  test('so is a wrong secret of an application, at whichever address of the engine', async () => {
    const { client_id } = await registerClient(gapura, 'ditebak');
    const answer = await fetch(`${gapura.config.issuer}/.well-known/openid-configuration`);
    const metadata = (await answer.json()) as Record<string, string>;
    // Of people and browsers, or opened by a token of another kind.
    const others = ['authorization', 'userinfo', 'end_session', 'registration'];
    const addresses = Object.entries(metadata).filter(
      ([name]) => name.endsWith('_endpoint') && !others.includes(name.replace('_endpoint', '')),
    );
    expect(addresses.length).toBeGreaterThanOrEqual(4);
    const authorization = `Basic ${Buffer.from(`${client_id}:tebakan`).toString('base64')}`;
    for (const [name, address] of addresses) {
      await gapura.db.deleteFrom('limits').execute();
      const body = new URLSearchParams({
        grant_type: 'refresh_token',
        refresh_token: 'x',
        token: 'x',
        response_type: 'code',
      });
      const { status } = await fetch(address, { method: 'POST', headers: { authorization }, body });
      const limits = (await gapura.db.selectFrom('limits').select('name').execute()).map(
        (row) => row.name as LimitName,
      );
      expect([name, status, limits]).toEqual([name, 401, ['client_failure']]);
    }
  });
});

/** Tables that looking at something may write: whose turn it is, how long it lasts, how often it was asked. */
const written_by_looking = ['oidc_records', 'oidc_sessions', 'limits', 'human_checks'];

/** The tables that statements change. */
function changedBy(statements: string[]): string[] {
  const changed = statements.flatMap((text) => {
    const [, table] = /\b(?:insert\s+into|update|delete\s+from)\s+(?:only\s+)?"?([a-z_]+)"?/i.exec(text) ?? [];
    return table && !/^\s*select\b.*\bfor\s+(no\s+key\s+)?update/is.test(text) ? [table] : [];
  });
  return [...new Set(changed)].filter((table) => !written_by_looking.includes(table));
}

test('nothing that is only looked at changes anything (CVE-2023-34927 and whatever a prefetch opens)', async () => {
  const admin = await openConsole(gapura, 'admin');
  const seen = new Set<string>();
  const found: string[] = [];
  // One of each kind: of many rows the first stands for all.
  const kindOf = (path: string) => path.replace(/\/[0-9a-f-]{36}|\/\d+|(?<=\/admin\/[a-z-]+)\/[^/]+/g, '/:id');
  const open = [
    '/',
    '/portal',
    '/admin',
    '/registration',
    '/recovery',
    '/portal/entry',
    '/.well-known/change-password',
  ];
  while (open.length > 0 && seen.size < 150) {
    const path = open.shift() as string;
    const kind = kindOf(path.split('?')[0] ?? '');
    if (seen.has(kind)) continue;
    seen.add(kind);
    let page: Answer | undefined;
    const statements = await listStatements(async () => {
      page = await admin.get(path);
    });
    const changed = changedBy(statements);
    if (changed.length > 0) found.push(`${path}: ${changed}`);
    for (const [, href = ''] of page?.body.matchAll(/\shref="(\/[^"#]*)"/g) ?? [])
      if (!href.startsWith('/assets/') && !/[?&]lang=/.test(href.replaceAll('&amp;', '&')))
        open.push(href.replaceAll('&amp;', '&'));
  }
  expect(seen.size).toBeGreaterThan(50);
  expect(found).toEqual([]);
}, 120_000);

/** What does its work without a field: the question before it was the form. */
const without_fields = /\/(sessions|grants)\/(others|all|removal)/;

const pathOf = (route: string) => (route.split(' ')[1] ?? '').replace(/:\w+/g, 'tidak-ada');

test('CVE-2026-49443, CVE-2026-49448, CVE-2022-46145, CVE-2026-109371, CVE-2024-49757, GHSA-25rw-g6ff-fmg8: an empty form passes no step, of a stranger or of anybody', async () => {
  const budi = await newSignedInVisitor(gapura.url, 'budi');
  const stranger = newHttpVisitor(gapura.url);
  const passed: string[] = [];
  const forms = listRoutes().filter((route) => route.startsWith('POST ') && !without_fields.test(route));
  const tries: [who: string, visitor: HttpVisitor][] = [
    ['a stranger', stranger],
    ['Budi', budi],
  ];
  for (const route of forms) {
    for (const [who, visitor] of tries) {
      let answer: Answer | undefined;
      const statements = await listStatements(async () => {
        answer = await visitor.post(pathOf(route), {}, { follow: false });
      });
      const { status = 0, headers } = answer ?? {};
      const location = headers?.get('location') ?? '';
      // Led to the sign-in, or back to the beginning of what was not begun.
      const is_led_away = status === 303 && (location.includes('/connect/auth?') || location.endsWith('/recovery'));
      // A proof is spent by one conditional statement, also one that is not there.
      const changed = changedBy(statements).filter((table) => table !== 'proofs');
      if ((status < 400 && !is_led_away) || status >= 500 || changed.length > 0)
        passed.push(`${who}, ${route}: ${status} ${location} ${changed}`);
    }
  }
  expect(passed).toEqual([]);
});

test('CVE-2024-49757 and GHSA-25rw-g6ff-fmg8: what is off is not there, whether or not anything links to it', async () => {
  const off = [
    ...['/connect/reg', '/connect/me', '/connect/request', '/connect/challenge', '/connect/credential'],
    ...['/connect/backchannel', '/connect/ciba', '/connect/interaction/x', '/connect/introspect', '/connect/token/x'],
    ...[
      '/connect/.well-known/openid-credential-issuer',
      '/connect/session/check',
      '/registration/x',
      '/api',
      '/api/v2',
    ],
    ...['/admin/sql', '/debug', '/.env', '/inbox', '/mails'],
  ];
  for (const path of off) {
    for (const method of ['GET', 'POST', 'PUT', 'DELETE']) {
      const headers = { origin: gapura.url };
      const { status } = await fetch(gapura.url + path, { method, headers, redirect: 'manual' });
      // The console is closed to strangers whatever is asked of it.
      const expected = path.startsWith('/admin') ? [303, 404, 405] : [404, 405];
      expect([method, path, expected.includes(status) ? 'not there' : status]).toEqual([method, path, 'not there']);
    }
  }
  const body = JSON.stringify({ redirect_uris: ['https://x.contoh.example/'] });
  const headers = { 'content-type': 'application/json' };
  const registered = await fetch(`${gapura.config.issuer}/register`, { method: 'POST', headers, body });
  expect([401, 403, 404]).toContain(registered.status);
});

test('CVE-2025-61928, CVE-2025-4210, CVE-2025-27507: the interface tells and does nothing without a token', async () => {
  const routes = listRoutes().filter((route) => /^\w+ \/api\/v1\/:/.test(route));
  expect(routes.length).toBeGreaterThan(5);
  for (const route of routes) {
    for (const resource of ['accounts', 'clients', 'signing-keys', 'audit']) {
      const [method = ''] = route.split(' ');
      const url = gapura.url + pathOf(route.replace(':resource', resource));
      for (const authorization of [undefined, 'Bearer x', `Basic ${Buffer.from('admin:admin').toString('base64')}`]) {
        const headers = authorization === undefined ? {} : { authorization };
        const answer = await fetch(url, { method, headers });
        expect([method, url, answer.status]).toEqual([method, url, 401]);
      }
    }
  }
});
