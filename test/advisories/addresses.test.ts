/** What went wrong with addresses elsewhere, tried here: almost the registered one, or one that runs a script. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { resources } from '../../src/admin/resource.ts';
import { type ApiClient, getClientToken, newApiClient } from '../support/desk.ts';
import { newSignedInVisitor, registerClient, startGapura, type TestGapura } from '../support/gapura.ts';
import type { HttpVisitor } from '../support/http.ts';
import { authorize, openParty, type TestParty } from '../support/relying-party.ts';

let gapura: TestGapura;
/** With one registered address; a web application, and one that is installed. */
let web: TestParty & { basic: string };
let native: TestParty;
let budi: HttpVisitor;
let api: ApiClient;

const registered = 'https://klien.contoh.example/masuk/kembali?tetap=1';
const loopback = 'http://127.0.0.1/kembali';
const signed_out = 'https://klien.contoh.example/selesai';

beforeAll(async () => {
  gapura = await startGapura();
  const { issuer } = gapura.config;
  const client = await registerClient(gapura, 'jaring', {
    metadata: { redirect_uris: [registered], post_logout_redirect_uris: [signed_out], application_type: 'web' },
  });
  const basic = `Basic ${Buffer.from(`jaring:${client.client_secret}`).toString('base64')}`;
  web = { ...(await openParty(issuer, { ...client, redirect_uri: registered })), basic };
  const installed = await registerClient(gapura, 'pasang', {
    metadata: { redirect_uris: [loopback], application_type: 'native', token_endpoint_auth_method: 'none' },
  });
  native = await openParty(issuer, { ...installed, client_secret: undefined, redirect_uri: loopback });
  budi = await newSignedInVisitor(gapura.url, 'budi');
  api = newApiClient(gapura.url, await getClientToken(gapura, 'jembatan', 'administrator'));
});

afterAll(() => gapura?.stop());

/** Almost an address: other places that one or another reader takes for it. */
function vary(address: string): string[] {
  const { protocol, host, hostname, pathname, search } = new URL(address);
  const rest = pathname + search;
  const from = (more: string) => `${protocol}//${more}${rest}`;
  const near = [
    // Another host, or one that looks as if it were at the end.
    from('jahat.contoh.example'),
    from(`jahat.${host}`),
    from(`${hostname}.jahat.example`),
    from(`${hostname}jahat.example`),
    from(hostname.replace('.', 'x')),
    from(`*.${hostname.split('.').slice(1).join('.')}`),
    from(`${hostname}.`),
    from(hostname.replace('e', 'е')),
    from(`xn--${hostname}`),
    from(`localhost`),
    from('127.0.0.1'),
    from('[::1]'),
    // A name before the host, once and several times.
    from(`${host}@jahat.example`),
    from(`a@b@${host}`),
    from(`jahat.example\\@${host}`),
    from(`${host}%40jahat.example`),
    from(`jahat.example#@${host}`),
    from(`jahat.example?@${host}`),
    from(`jahat.example;@${host}`),
    // Another port or scheme.
    from(`${hostname}:8444`),
    from(`${hostname}:443x`),
    address.replace(/^https?:/, protocol === 'https:' ? 'http:' : 'https:'),
    address.replace(/^https?:/, ''),
    address.replace(/^https?:\/\//, 'https:/'),
    address.replace(/^https?:\/\//, 'https:\\\\'),
    `javascript:alert(1)//${address}`,
    `data:text/html,${address}`,
    `view-source:${address}`,
    // Another path that a proxy or a pattern may take for it.
    address.replace(pathname, `${pathname}/`),
    address.replace(pathname, `${pathname}/..;/jahat`),
    address.replace(pathname, `${pathname}/../jahat`),
    address.replace(pathname, `${pathname}/%2e%2e/jahat`),
    address.replace(pathname, `${pathname}%2f..%2fjahat`),
    address.replace(pathname, `/.${pathname}`),
    address.replace(pathname, `/${pathname}`),
    address.replace(pathname, pathname.toUpperCase()),
    address.replace(pathname, `${pathname};x=1`),
    address.replace(pathname, pathname.slice(0, -1)),
    address.replace(pathname, pathname.replace('k', '%6b')),
    address.replace(pathname, `${pathname}%00`),
    // Something added.
    `${address}${search ? '&' : '?'}next=https://jahat.example`,
    search ? address.replace(search, '') : `${address}?`,
    search ? address.replace(search, '?tetap=2') : `${address}?a`,
    `${address}#jahat`,
    `${address}#`,
    ` ${address}`,
    `${address} `,
    address.replace('//', '//\t'),
    `${address}\n`,
    `${address}\r\nset-cookie: x=1`,
    `${address} https://jahat.example/`,
    `${address},https://jahat.example/`,
    'null',
    '//',
  ];
  return near.filter((one) => one !== address);
}

describe('a request names the registered address exactly (CVE-2026-7504, CVE-2026-3872, CVE-2024-8883, CVE-2024-52289, CVE-2020-15233, CVE-2020-15234)', () => {
  test('and with almost that address it leads nowhere: of a web application', () =>
    expectNowhere(web, vary(registered)));

  test('and with almost that address it leads nowhere: of an installed one, whose port alone may differ', async () => {
    const port_only = `http://127.0.0.1:8444${new URL(loopback).pathname}`;
    await expectNowhere(
      native,
      vary(loopback).filter((one) => one !== port_only),
    );
    const { address } = await native.begin({ redirect_uri: port_only });
    // Nobody can tell who listens there, so the person is asked.
    expect((await budi.get(address)).body).toContain('id="allow"');
  });

  test('nor is it pushed', async () => {
    for (const redirect_uri of vary(registered)) {
      const { searchParams } = new URL((await web.begin()).address);
      searchParams.set('redirect_uri', redirect_uri);
      const answer = await post('/par', Object.fromEntries(searchParams));
      expect([redirect_uri, answer.status]).toEqual([redirect_uri, 400]);
    }
  });

  test('nor is a code redeemed with another', async () => {
    const { address, checks } = await web.begin();
    const returned = await authorize(budi, address, registered);
    const form = {
      grant_type: 'authorization_code',
      code: returned.searchParams.get('code') ?? '',
      code_verifier: checks.pkceCodeVerifier ?? '',
    };
    for (const redirect_uri of [...vary(registered), loopback]) {
      const answer = await post('/token', { ...form, redirect_uri });
      expect([redirect_uri, answer.status]).toEqual([redirect_uri, 400]);
    }
    expect((await post('/token', { ...form, redirect_uri: registered })).status).toBe(200);
  });

  async function expectNowhere(client: TestParty, addresses: string[]): Promise<void> {
    expect(addresses.length).toBeGreaterThan(40);
    for (const [at, redirect_uri] of addresses.entries()) {
      const response_mode = at % 2 === 0 ? 'query' : 'form_post';
      const { address } = await client.begin({ redirect_uri, response_mode });
      const answer = await budi.get(address, { follow: false });
      expect([redirect_uri, answer.status, answer.headers.get('location')]).toEqual([redirect_uri, 400, null]);
      expect(answer.body).not.toMatch(/(?:href|action)="(?:https?:)?\/\/[^"]*jahat/);
      expect(answer.body).not.toContain('id="forward"');
    }
  }
});

function post(path: string, form: Record<string, string>): Promise<Response> {
  const headers = { authorization: web.basic };
  return fetch(gapura.config.issuer + path, { method: 'POST', headers, body: new URLSearchParams(form) });
}

test('GHSA-36f2-fcrx-fp4j: a sign-out leads to a registered address or to none', async () => {
  for (const address of [...vary(signed_out), registered]) {
    const query = new URLSearchParams({ client_id: 'jaring', post_logout_redirect_uri: address, state: 'x' });
    const page = await budi.get(`/connect/session/end?${query}`, { follow: false });
    expect([address, page.headers.get('location')]).toEqual([address, null]);
    expect([address, page.status]).toEqual([address, 400]);
    expect(page.body).not.toMatch(/(?:href|action)="[^"]*jahat/);
  }
});

test('CVE-2025-27143, CVE-2024-56734, CVE-2025-71403: what a sign-in brings back leads to our own pages alone', async () => {
  const admin = await newSignedInVisitor(gapura.url, 'admin');
  await admin.get('/admin');
  const foreign = [
    ...['//jahat.example', '/\\jahat.example', '\\\\jahat.example', '/\t/jahat.example', '/%09/jahat.example'],
    ...[
      'https://jahat.example',
      'https:jahat.example',
      'javascript:alert(1)',
      '/portal@jahat.example',
      '@jahat.example',
    ],
    ...['/portal/../../jahat', '/portal//jahat.example', '/portal?next=//jahat.example', '/%2f%2fjahat.example'],
    ...[
      `${gapura.url}.jahat.example/portal`,
      '.jahat.example',
      '/portal\r\nlocation: //jahat.example',
      '/connect/auth',
    ],
    ...['/admin//jahat.example', '/admin/../jahat', '/admin/clients?x', '', '%00', '/portal/profile#//jahat.example'],
  ];
  for (const home of ['/portal', '/admin']) {
    for (const state of foreign) {
      const answer = await admin.get(`${home}/entry?${new URLSearchParams({ state })}`, { follow: false });
      if (answer.status === 400) continue;
      expect([state, answer.status, answer.headers.get('location')]).toEqual([state, 303, home]);
    }
  }
});

describe('an address that is kept runs nothing (GHSA-6rx5-m2rc-hmf7, GHSA-86j7-9j95-vpqj)', () => {
  const dangerous = [
    ...['javascript:alert(1)', 'JavaScript:alert(1)', 'java\tscript:alert(1)', '\u0001javascript:alert(1)'],
    ...['data:text/html,<script>alert(1)</script>', 'vbscript:msgbox(1)', 'file:///etc/passwd', 'blob:https://x/1'],
    ...['about:blank', 'view-source:https://x.contoh.example', 'ftp://x.contoh.example/', '//x.contoh.example/', 'x'],
    'https://a:b@x.contoh.example/',
  ];
  /** Every field of the console that keeps an address, with what else its entry needs. */
  const kept: Record<string, { lists: string[]; single: string[]; others: Record<string, unknown> }> = {
    clients: {
      lists: ['redirect_uris', 'post_logout_redirect_uris', 'form_action_origins'],
      single: [
        ...['client_uri', 'logo_uri', 'policy_uri', 'tos_uri', 'initiate_login_uri', 'jwks_uri'],
        ...['backchannel_logout_uri', 'sector_identifier_uri'],
      ],
      others: { client_name: 'Uji', redirect_uris: ['https://x.contoh.example/'] },
    },
    applications: {
      lists: [],
      single: ['url'],
      others: { name: 'Uji', agency_code: 'BPOM', about: 'Uji', about_en: 'Test' },
    },
  };
  // A host or an address of mail or post is none; nor are these, whose names only sound like it.
  const no_address =
    /^(address|private_hosts|link_required|tls_client_auth_san_\w+|\w+_auth_\w+|\w+_session_required)$/;

  test.each(Object.entries(kept))('in %s, whichever field holds it', async (resource, { lists, single, others }) => {
    let count = 0;
    for (const field of [...lists, ...single]) {
      for (const address of dangerous) {
        const id = { clients: 'client_id', applications: 'id' }[resource] ?? '';
        const body = { ...others, [id]: `uji-${count++}`, [field]: lists.includes(field) ? [address] : address };
        const answer = await api('POST', `/${resource}`, body);
        expect([field, address, answer.status]).toEqual([field, address, 422]);
        expect(JSON.stringify(answer.body.errors ?? answer.body)).toContain(field);
      }
    }
    await gapura.db.deleteFrom('limits').execute();
  });

  test('and there is no field but these', () => {
    const found = resources.flatMap(({ name, operations }) =>
      operations.flatMap(({ name: operation, input }) =>
        ['creation', 'change'].includes(operation)
          ? Object.keys((input as { shape?: object }).shape ?? {})
              .filter(
                (field) =>
                  /ur[il]s?$|origin|address|host|link|endpoint|site|logo/.test(field) && !no_address.test(field),
              )
              .map((field) => `${name}.${field}`)
          : [],
      ),
    );
    const known = Object.entries(kept).flatMap(([name, { lists, single }]) =>
      [...lists, ...single].map((field) => `${name}.${field}`),
    );
    expect([...new Set(found)].sort()).toEqual(known.sort());
  });
});
