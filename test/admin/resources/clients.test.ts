/** Clients at the console and for programs: registered from a preset, changed by who saw them as they are, switched off and removed. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as oidc from 'openid-client';
import { policy as policyOf } from '../../../src/policy/policy.ts';
import {
  type ApiClient,
  addOfficer,
  errorsOf,
  openConsole,
  openPrograms,
  problemsOf,
  submitWell,
} from '../../support/desk.ts';
import { newSignedInVisitor, signIn, startGapura, type TestGapura } from '../../support/gapura.ts';
import { type Answer, findForm, type HttpVisitor, newHttpVisitor } from '../../support/http.ts';
import { until } from '../../support/nodes.ts';
import { authorize, openParty } from '../../support/relying-party.ts';

let gapura: TestGapura;
let admin: ApiClient;
let officer: ApiClient;

beforeAll(async () => {
  gapura = await startGapura();
  ({ admin, officer } = await openPrograms(gapura));
});

afterAll(() => gapura.stop());

const returns = 'http://localhost:4999/kembali';
const web = (client_id: string, more: object = {}) => ({
  client_id,
  client_name: `Aplikasi ${client_id}`,
  redirect_uris: [returns],
  grant_types: ['authorization_code', 'refresh_token'],
  scope: ['openid', 'profile'],
  id_token_signed_response_alg: 'ES256',
  first_party: true,
  ...more,
});

async function make(client_id: string, more: object = {}, by = admin): Promise<{ secret: string; version: number }> {
  const made = await by('POST', '/clients', web(client_id, more));
  expect([made.status, made.body.errors]).toEqual([201, undefined]);
  return { secret: made.body.shown_once?.secret, version: made.body.version };
}

const secretOf = ({ body }: Answer) => /<code class="secret">([\w-]+)<\/code>/.exec(body)?.[1] ?? '';

/** Sends a form with a file, as a browser would. */
async function upload(visitor: HttpVisitor, page: Answer, file: Blob, more: Record<string, string> = {}) {
  const form = findForm(page.body);
  const body = new FormData();
  for (const [name, value] of Object.entries({ ...form.fields, ...more }))
    if (name !== 'picture') body.set(name, value);
  body.set('picture', file, 'logo.png');
  const cookie = visitor.cookies
    .filter(({ path }) => path === '/')
    .map(({ name, value }) => `${name}=${value}`)
    .join('; ');
  return fetch(new URL(form.action, page.url), {
    method: 'POST',
    body,
    headers: { cookie, origin: page.url.origin, 'accept-language': 'id' },
    redirect: 'manual',
  });
}

/** The beginning of a PNG of this size, which is all that is looked at. */
function png(width: number, height: number): Buffer<ArrayBuffer> {
  const head = Buffer.alloc(64);
  head.write('\x89PNG\r\n\x1a\n', 0, 'latin1');
  head.write('IHDR', 12, 'latin1');
  head.writeUInt32BE(width, 16);
  head.writeUInt32BE(height, 20);
  return head;
}

describe('at the console', () => {
  test('a client is registered from a preset, with its secret shown once and settings to copy', async () => {
    const visitor = await openConsole(gapura, 'admin');
    const kinds = await visitor.get('/admin/clients/creation');
    expect([...kinds.body.matchAll(/preset=(\w+)"/g)].map(([, name]) => name)).toEqual([
      'web_server',
      'single_page',
      'mobile',
      'device',
      'service',
      'fapi2',
    ]);
    const form = await visitor.get('/admin/clients/creation?preset=web_server');
    const refused = await visitor.submit(form, {
      client_id: 'Aplikasi Baru',
      client_name: 'Aplikasi Baru',
      redirect_uris: 'http://baru.example.go.id/kembali',
    });
    expect([refused.status, problemsOf(refused).length]).toEqual([422, 2]);
    expect(refused.body).toContain('value="Aplikasi Baru"');
    const shown = await submitWell(visitor, refused, {
      client_id: 'aplikasi-baru',
      redirect_uris: 'https://baru.example.go.id/kembali',
    });
    const secret = secretOf(shown);
    expect(secret).toMatch(/^gapura_secret_/);
    const page = await visitor.get('/admin/clients/aplikasi-baru');
    expect(page.body).not.toContain(secret);
    for (const text of ['Ke Mana Orang Kembali', 'https://baru.example.go.id/kembali', 'oauth2-proxy', 'Rahasia'])
      expect([text, page.body.includes(text)]).toEqual([text, true]);
    // What is optional and empty is not in the way.
    expect(page.body).not.toContain('Alamat Kunci Publik');
    const list = await visitor.get('/admin/clients?q=aplikasi%20b');
    expect(list.body).toContain('href="/admin/clients/aplikasi-baru"');
    expect((await visitor.get('/admin/clients?q=%25')).body).not.toContain('href="/admin/clients/aplikasi-baru"');
  });

  test('the form begins with what is safe; a weaker choice is kept, and is warned of from then on', async () => {
    const visitor = await openConsole(gapura, 'admin');
    const form = await visitor.get('/admin/clients/creation?preset=web_server');
    const usual = { pkce_required: 'on', refresh_rotation: 'rotate', refresh_grace: '0', subject_type: 'public' };
    expect(findForm(form.body).fields).toMatchObject(usual);
    await make('lama-sekali', { pkce_required: false, refresh_grace: 30 });
    const changed = await visitor.get('/admin/clients/lama-sekali/change');
    expect(changed.body).toContain('boleh memakai kode tanpa PKCE');
    expect(findForm(changed.body).fields).toMatchObject({ refresh_grace: '30' });
    await submitWell(visitor, changed, { pkce_required: 'on' });
    expect((await visitor.get('/admin/clients/lama-sekali/change')).body).not.toContain('tanpa PKCE.');
    expect((await admin('GET', '/clients/lama-sekali')).body).toMatchObject({ pkce_required: true, refresh_grace: 30 });
    const refused = await admin('POST', '/clients', {
      client_id: 'lama-terbuka',
      client_name: 'Lama Terbuka',
      redirect_uris: ['https://lama.example.go.id/'],
      token_endpoint_auth_method: 'none',
      pkce_required: false,
    });
    expect(refused.status).toBe(422);
  });

  test('of two administrators who change one client the second sees both versions, and decides', async () => {
    await make('berdua');
    const [one, other] = [await openConsole(gapura, 'admin'), await openConsole(gapura, 'admin')];
    const address = '/admin/clients/berdua/change';
    const [first, second] = [await one.get(address), await other.get(address)];
    await submitWell(one, first, { client_name: 'Nama Pertama' });
    const conflict = await other.submit(second, { client_name: 'Nama Kedua', contacts: 'tim@contoh.example' });
    expect(conflict.status).toBe(412);
    for (const text of ['Nama Pertama', 'Nama Kedua', 'tim@contoh.example']) expect(conflict.body).toContain(text);
    expect((await admin('GET', '/clients/berdua')).body.client_name).toBe('Nama Pertama');
    await submitWell(other, conflict, {});
    const { body } = await admin('GET', '/clients/berdua');
    expect(body).toMatchObject({ client_name: 'Nama Kedua', contacts: ['tim@contoh.example'], version: 3 });
    // Of an address of a person the history keeps only that it changed.
    const { body: history } = await admin('GET', '/clients/berdua/history');
    expect(history.items[0].changes).toMatchObject({ client_name: { to: 'Nama Kedua' }, contacts: null });
  });

  test('a logo is taken from a file by what it is, and shown where people sign in', async () => {
    await make('berlogo', { first_party: false });
    const visitor = await openConsole(gapura, 'admin');
    const form = await visitor.get('/admin/clients/berlogo/logo');
    expect(form.body).toContain('enctype="multipart/form-data"');
    const refused = await upload(visitor, form, new Blob(['<svg onload="alert(1)"/>'], { type: 'image/png' }));
    expect([refused.status, (await refused.text()).includes('bukan gambar PNG')]).toEqual([422, true]);
    expect((await upload(visitor, form, new Blob([png(100, 100), Buffer.alloc(101 * 1024)]))).status).toBe(422);
    expect((await upload(visitor, form, new Blob([Buffer.alloc(300 * 1024)]))).status).toBe(413);
    expect((await upload(visitor, form, new Blob([]))).status).toBe(422);
    const kept = await upload(visitor, form, new Blob([png(100, 100)]));
    expect(kept.status).toBe(303);
    const page = await visitor.get('/admin/clients/berlogo');
    const [address = ''] = /\/assets\/logos\/berlogo\/[\w-]{43}\.png/.exec(page.body) ?? [];
    expect((await fetch(new URL(address, gapura.url))).status).toBe(200);
    const party = await openParty(gapura.config.issuer, {
      client_id: 'berlogo',
      client_secret: 'x',
      redirect_uri: returns,
    });
    const { address: begun } = await party.begin();
    expect((await newHttpVisitor(gapura.url).get(begun)).body).toContain(address);
  });

  test.each([
    ['no boundary', 'multipart/form-data', 'x'],
    ['an odd boundary', 'multipart/form-data; boundary=', '--\r\n'],
    ['nothing after the boundary', 'multipart/form-data; boundary=a', '--a\r\n'],
    [
      'a part without a name',
      'multipart/form-data; boundary=a',
      '--a\r\ncontent-disposition: form-data\r\n\r\nx\r\n--a--\r\n',
    ],
    [
      'a NUL in a name',
      'multipart/form-data; boundary=a',
      '--a\r\ncontent-disposition: form-data; name="a\0"\r\n\r\nx\r\n--a--\r\n',
    ],
    [
      'two files',
      'multipart/form-data; boundary=a',
      '--a\r\ncontent-disposition: form-data; name="picture"; filename="a"\r\n\r\nx\r\n--a\r\ncontent-disposition: form-data; name="picture"; filename="b"\r\n\r\ny\r\n--a--\r\n',
    ],
    ['another type', 'application/json', '{}'],
  ])('a form with %s is refused and never a failure', async (_name, type, body) => {
    const visitor = await openConsole(gapura, 'admin');
    await admin('POST', '/clients', web('aneh'));
    const cookie = visitor.cookies
      .filter(({ path }) => path === '/')
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ');
    const answer = await fetch(`${gapura.url}/admin/clients/aneh/logo`, {
      method: 'POST',
      body,
      headers: { cookie, origin: gapura.url, 'content-type': type },
      redirect: 'manual',
    });
    expect([413, 415, 422]).toContain(answer.status);
  });

  test('Tono and a developer get nothing, an officer the own agency alone', async () => {
    await make('milik-bpom', { agency_code: 'BPOM' });
    await make('milik-lain');
    const tono = newHttpVisitor(gapura.url);
    expect((await signIn(tono, await tono.get('/admin/clients'), 'tono')).status).toBe(403);
    const petugas = await openConsole(gapura, 'petugas');
    expect((await petugas.get('/admin/clients/milik-bpom')).status).toBe(200);
    for (const address of ['', '/change', '/secret', '/disabling', '/removal', '/trial', '/logo'])
      expect([address, (await petugas.get(`/admin/clients/milik-lain${address}`)).status]).toEqual([address, 404]);
  });

  test("the release's own clients cannot be changed, tried or removed", async () => {
    const visitor = await openConsole(gapura, 'admin');
    const page = await visitor.get('/admin/clients/portal');
    expect([page.status, page.body.includes('id="op-')]).toEqual([200, false]);
    expect((await visitor.get('/admin/clients/portal/removal')).status).toBe(409);
  });
});

describe('for programs', () => {
  test('a client goes from nothing to a sign-in, changes, and is gone', async () => {
    const { secret } = await make('alur');
    const party = await openParty(gapura.config.issuer, {
      client_id: 'alur',
      client_secret: secret,
      redirect_uri: returns,
    });
    const visitor = await newSignedInVisitor(gapura.url, 'budi');
    const { address, checks } = await party.begin();
    const tokens = await party.redeem(await authorize(visitor, address, returns), checks);
    expect(tokens.claims()?.aud).toBe('alur');
    const changed = await admin('PATCH', '/clients/alur', { client_name: 'Alur Kerja' }, { 'if-match': '"1"' });
    expect(changed.body).toMatchObject({ client_name: 'Alur Kerja', redirect_uris: [returns], version: 2 });
    const { body: history } = await admin('GET', '/clients/alur/history');
    expect(history.items[0].changes).toEqual({ client_name: { from: 'Aplikasi alur', to: 'Alur Kerja' } });
    expect((await admin('PATCH', '/clients/alur', { client_name: 'X' }, { 'if-match': '"1"' })).status).toBe(412);
    expect((await admin('DELETE', '/clients/alur', undefined, { 'if-match': '"2"' })).status).toBe(204);
    await expect(oidc.refreshTokenGrant(party.configuration, tokens.refresh_token ?? '')).rejects.toThrow();
    expect((await admin('GET', '/clients/alur')).status).toBe(404);
    // Whoever comes after it is somebody else.
    expect(errorsOf(await admin('POST', '/clients', web('alur')))).toEqual({ client_id: 'errors.client.id_removed' });
  });

  test('switched off, tokens end at once and people see a page that says so; on again, they sign in anew', async () => {
    const { secret } = await make('mati');
    const client = { client_id: 'mati', client_secret: secret, redirect_uri: returns };
    const party = await openParty(gapura.config.issuer, client);
    const visitor = await newSignedInVisitor(gapura.url, 'budi');
    const { address, checks } = await party.begin();
    const tokens = await party.redeem(await authorize(visitor, address, returns), checks);
    const userinfo = () =>
      fetch(`${gapura.config.issuer}/userinfo`, { headers: { authorization: `Bearer ${tokens.access_token}` } });
    expect((await userinfo()).status).toBe(200);
    const warned = await (await openConsole(gapura, 'admin')).get('/admin/clients/mati/disabling');
    expect(warned.body).toContain('terhenti: 1');
    expect((await admin('POST', '/clients/mati/disabling', { because: '' })).status).toBe(422);
    const off = await admin('POST', '/clients/mati/disabling', { because: 'Rahasianya bocor' });
    expect(off.body).toMatchObject({ active: false, disabled_because: 'Rahasianya bocor' });
    expect((await userinfo()).status).toBe(401);
    await expect(oidc.refreshTokenGrant(party.configuration, tokens.refresh_token ?? '')).rejects.toThrow();
    const page = await visitor.get((await party.begin()).address);
    expect([page.status, page.body.includes('Aplikasi tidak dikenal')]).toEqual([400, true]);
    expect((await admin('POST', '/clients/mati/disabling', { because: 'Sekali lagi' })).status).toBe(409);
    expect((await admin('POST', '/clients/mati/enabling', {})).body).toMatchObject({ active: true });
    expect((await userinfo()).status).toBe(401);
    const again = await party.begin();
    expect(
      (await party.redeem(await authorize(visitor, again.address, returns), again.checks)).access_token,
    ).toBeTruthy();
  });

  test('at most two secrets at a time, each shown once, and one that has ended opens nothing', async () => {
    const first = (await make('rahasia')).secret;
    const token = (secret: string) =>
      fetch(`${gapura.config.issuer}/token`, {
        method: 'POST',
        headers: { authorization: `Basic ${Buffer.from(`rahasia:${secret}`).toString('base64')}` },
        body: new URLSearchParams({ grant_type: 'authorization_code', code: 'x', redirect_uri: returns }),
      }).then(async (answer) => ((await answer.json()) as { error: string }).error);
    const second = await admin('POST', '/clients/rahasia/secret', { expires_on: '2099-12-31' });
    expect(second.status).toBe(200);
    expect(errorsOf(await admin('POST', '/clients/rahasia/secret', {}))).toEqual({
      form: 'errors.client.secret_too_many',
    });
    expect([await token(first), await token(second.body.shown_once.secret)]).toEqual([
      'invalid_grant',
      'invalid_grant',
    ]);
    const { body } = await admin('GET', '/clients/rahasia/secrets');
    expect(body.items).toHaveLength(2);
    expect(JSON.stringify(body)).not.toContain('gapura_secret_');
    const oldest = body.items[1].id;
    expect((await admin('POST', '/clients/rahasia/secret-end', { secret_id: oldest })).status).toBe(200);
    expect(errorsOf(await admin('POST', '/clients/rahasia/secret-end', { secret_id: oldest }))).toEqual({
      secret_id: 'errors.client.secret_unknown',
    });
    expect(await token(first)).toBe('invalid_client');
    expect(errorsOf(await admin('POST', '/clients/rahasia/secret', { expires_on: '2001-01-01' }))).toEqual({
      expires_on: 'errors.client.secret_already_over',
    });
  });

  test.each([
    [{ redirect_uris: ['https://*.example.go.id/'] }, { redirect_uris: 'errors.client.address_wildcard' }],
    [{ redirect_uris: 'https://a.example.go.id/' }, { redirect_uris: 'errors.field.invalid' }],
    [{ client_id: 'Huruf Besar' }, { client_id: 'errors.client.id' }],
    [{ agency_code: 'TIDAKADA' }, { agency_code: 'errors.client.agency' }],
    [{ token_endpoint_auth_method: 'private_key_jwt' }, { jwks: 'errors.client.needs_keys' }],
    [{ apa_ini: 1 }, { form: 'errors.field.unknown' }],
    [{ client_name: 'A\u200bB' }, { client_name: 'errors.client.name_characters' }],
  ])('%j is refused beside its field', async (more, errors) => {
    const refused = await admin('POST', '/clients', web('salah', more));
    expect([refused.status, errorsOf(refused)]).toEqual([422, errors]);
  });

  test('nobody returns to an address of our own, where another answer is waited for', async () => {
    for (const path of ['/admin/trials/callback', '/portal/callback', '/ADMIN/trials/callback', '/']) {
      const refused = await admin('POST', '/clients', web('ke-sini', { redirect_uris: [`${gapura.url}${path}`] }));
      expect([path, refused.status, errorsOf(refused)]).toEqual([
        path,
        422,
        { redirect_uris: 'errors.client.address_ours' },
      ]);
    }
    await make('pindah-ke-sini');
    const change = { redirect_uris: [returns, `${gapura.url}/admin/trials/callback`] };
    const changed = await admin('PATCH', '/clients/pindah-ke-sini', change, { 'if-match': '"1"' });
    expect([changed.status, errorsOf(changed)]).toEqual([422, { redirect_uris: 'errors.client.address_ours' }]);
  });

  test('an officer registers for the own agency, and trusts nobody with more', async () => {
    await make('bpom-baru', { agency_code: 'BPOM', first_party: false }, officer);
    expect((await officer('POST', '/clients', web('lain', { first_party: false }))).status).toBe(403);
    const trusted = web('bpom-baru-2', { agency_code: 'BPOM', scope: ['openid', 'admin:write'] });
    expect(errorsOf(await officer('POST', '/clients', trusted))).toEqual({
      first_party: 'errors.client.needs_administrator',
      scope: 'errors.client.needs_administrator',
    });
    // What an administrator gave stays when the officer changes something else.
    await make('bpom-tepercaya', { agency_code: 'BPOM' });
    const change = { client_name: 'Tetap Tepercaya' };
    const changed = await officer('PATCH', '/clients/bpom-tepercaya', change, { 'if-match': '"1"' });
    expect(changed.body).toMatchObject({ client_name: 'Tetap Tepercaya', first_party: true });
    const away = await officer('PATCH', '/clients/bpom-tepercaya', { agency_code: null }, { 'if-match': '"2"' });
    expect(away.status).toBe(403);
  });

  test.each([
    ['the role of an administrator', { api_role: 'administrator' }],
    ['the role of an officer', { api_role: 'agency_officer' }],
    ['a wide scope', { scope: ['openid', 'admin:write'] }],
    ['a narrow scope', { scope: ['openid', 'links:read'] }],
  ])('an officer may look at a client with %s, and do nothing to it', async (kind, trust) => {
    const id = `dipercaya-${kind.replaceAll(' ', '-')}`;
    const service = { grant_types: ['authorization_code', 'client_credentials'], first_party: false };
    const { version } = await make(id, { agency_code: 'BPOM', ...service, ...trust });
    const live = (await admin('GET', `/clients/${id}/secrets`)).body.items;
    const picture = png(100, 100).toString('base64');
    const petugas = await openConsole(gapura, 'petugas');
    const page = await petugas.get(`/admin/clients/${id}`);
    expect([page.status, page.body.includes('id="op-')]).toEqual([200, false]);
    expect(page.body).toContain('hanya administrator');
    const orders: [string, object][] = [
      ['secret', {}],
      ['secret-end', { secret_id: live[0].id }],
      ['disabling', { because: 'Coba-coba' }],
      ['logo', { picture }],
    ];
    for (const [name, input] of orders)
      expect([name, (await officer('POST', `/clients/${id}/${name}`, input)).status]).toEqual([name, 409]);
    const change = { redirect_uris: ['https://pencuri.example/'] };
    const if_match = { 'if-match': `"${version}"` };
    expect((await officer('PATCH', `/clients/${id}`, change, if_match)).status).toBe(409);
    expect((await officer('DELETE', `/clients/${id}`, undefined, if_match)).status).toBe(409);
    expect((await petugas.get(`/admin/clients/${id}/logo`)).status).toBe(409);
    const seen = { version: String(version) };
    for (const name of ['change', 'secret', 'secret-end', 'disabling', 'removal', 'trial'])
      expect([name, (await petugas.post(`/admin/clients/${id}/${name}`, seen)).status]).toEqual([name, 409]);
    expect((await admin('GET', `/clients/${id}/secrets`)).body.items).toEqual(live);
    // Nor to switch it on again, once an administrator has switched it off.
    await admin('POST', `/clients/${id}/disabling`, { because: 'Rahasianya bocor' });
    expect((await officer('POST', `/clients/${id}/enabling`, {})).status).toBe(409);
    expect((await petugas.post(`/admin/clients/${id}/enabling`, {})).status).toBe(409);
    expect((await admin('GET', `/clients/${id}`)).body).toMatchObject({ active: false, redirect_uris: [returns] });
    const visitor = await openConsole(gapura, 'admin');
    expect((await visitor.get(`/admin/clients/${id}`)).body).toContain('id="op-enabling"');
  });

  test('new addresses and a removal wait for a second officer where the policy says so, other changes do not', async () => {
    await make('empat-mata', { agency_code: 'BPOM' });
    await addOfficer(gapura, 'rekan', 'administrator');
    const { body } = await admin('GET', '/policies/four_eyes.client_address');
    const policy = { value: true, because: 'Uji empat mata' };
    const on = await admin('PATCH', '/policies/four_eyes.client_address', policy, { 'if-match': `"${body.version}"` });
    expect([on.status, on.body.errors]).toEqual([200, undefined]);
    await until(() => policyOf('four_eyes.client_address'));
    try {
      const one = await openConsole(gapura, 'admin');
      const form = await one.get('/admin/clients/empat-mata/change');
      const renamed = await submitWell(one, form, { client_name: 'Nama Baru' });
      expect(renamed.url.pathname).toBe('/admin/clients/empat-mata');
      const again = await one.get('/admin/clients/empat-mata/change');
      const waiting = await submitWell(one, again, {
        redirect_uris: 'https://baru.example.go.id/',
        approval_reason: 'Pindah',
      });
      expect(waiting.url.pathname).toMatch(/^\/admin\/approvals\//);
      expect((await admin('GET', '/clients/empat-mata')).body.redirect_uris).toEqual([returns]);
      const other = await openConsole(gapura, 'rekan');
      const decision = await other.get(`${waiting.url.pathname}/decision`);
      await submitWell(other, decision, { decision: 'approved' });
      expect((await admin('GET', '/clients/empat-mata')).body.redirect_uris).toEqual(['https://baru.example.go.id/']);
      // Removed by one person alone, it could be registered anew with any addresses.
      const removal = await one.get('/admin/clients/empat-mata/removal');
      const asked = await submitWell(one, removal, { approval_reason: 'Tidak dipakai lagi' });
      expect(asked.url.pathname).toMatch(/^\/admin\/approvals\//);
      expect((await admin('GET', '/clients/empat-mata')).status).toBe(200);
      await submitWell(other, await other.get(`${asked.url.pathname}/decision`), { decision: 'approved' });
      expect((await admin('GET', '/clients/empat-mata')).status).toBe(404);
    } finally {
      const { body: now } = await admin('GET', '/policies/four_eyes.client_address');
      const off = { value: false, because: 'Selesai' };
      await admin('PATCH', '/policies/four_eyes.client_address', off, { 'if-match': `"${now.version}"` });
    }
  });
});
