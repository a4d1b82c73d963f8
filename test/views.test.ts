/** Pages and mails: each renders in both languages, says what it was given and nothing else, and holds together as a document. */

import { afterEach, describe, expect, test } from '@jest/globals';
import ejs from 'ejs';
import { languages, translator } from '../src/i18n/messages.ts';
import { assets, composeMail, maskNpwp, type PageContext, page, render, views } from '../src/views.ts';

const support = { name: 'Service Desk Gapura', email: 'layanan@gapura.example', phone: '(021) 5000-000' };
const client = { name: 'e-BPOM', agency: 'Badan Pengawas Obat dan Makanan', client_uri: 'http://localhost:3001/' };
const organisation = {
  name: 'PT Contoh Pangan Nusantara',
  npwp: '0000001016000000',
  nib: '0000000000101',
  edi_number: 'EDI-101',
  srp: null,
  address: 'Jalan Contoh 1',
  phone_number: '021-101',
  fax_number: null,
  department: 'Impor',
};
const account = {
  username: 'budi',
  full_name: 'Budi Santoso',
  email: 'budi@contoh.example',
  email_verified: true,
  phone_number: null,
  mobile_number: '0812-0101',
  mobile_number_verified: false,
  fax_number: null,
  address: 'Jalan Contoh 2',
  city: 'Jakarta',
  postal_code: '13000',
  expires_at: new Date('2027-09-20T16:59:59Z'),
};
const header = (current: string) => ({
  identifier: 'budi',
  role: 'trader',
  full_name: 'Budi Santoso',
  now: new Date('2026-11-20T23:05:00Z'),
  zone: 'Asia/Jakarta',
  current,
});
const login = {
  client,
  action: '/interaction/u1',
  values: { identifier: '' },
  errors: {},
  registration_href: '/registration?client_id=e-bpom',
  recovery_href: '/recovery?client_id=e-bpom',
};
const linking = {
  client,
  action: '/interaction/u1',
  is_supported: true,
  links: [],
  values: { username: '' },
  errors: {},
};
const choice = {
  client,
  action: '/interaction/u1',
  organisation,
  person: { full_name: 'Budi Santoso' },
  agency: { name: 'BPOM' },
  directorates: [
    { id: 'd1', name: 'Pangan' },
    { id: 'd2', name: 'Obat Tradisional' },
  ],
  errors: {},
};
const ways = [{ href: 'http://localhost:3001/', label: 'Kembali' }];

const application = {
  id: 'e-bpom',
  name: 'e-BPOM',
  agency: 'Badan Pengawas Obat dan Makanan',
  about: 'Perizinan',
  url: 'http://localhost:3001/',
  is_supported: true,
};
const table = {
  header: header('applications'),
  agency: 'BPOM',
  agencies: [{ code: 'BPOM', name: 'BPOM' }],
  rows: [
    { ...application, number: 21, links: 2, chips: [{ kind: 'good', text: 'Sudah' }], since: '1 Januari 2026' },
    {
      ...application,
      id: 'cargolink',
      is_supported: false,
      number: 22,
      links: 0,
      chips: [{ kind: 'quiet', text: 'Belum' }],
    },
  ],
  paging: {
    from: 21,
    to: 22,
    total: 62,
    page: 2,
    last: 4,
    addresses: { first: '/a', previous: '/b', next: '/c', last: '/d' },
  },
};
const link = {
  id: 'l1',
  username: 'user_bpom',
  display_name: null,
  directorate: 'Pangan',
  label: 'Kantor pusat',
  is_default: true,
  is_stale: true,
  verified: 'Sabtu',
  typed: 'Kantor pusat',
};
const detail = {
  header: header('applications'),
  application,
  notice: { kind: 'good', text: 'Terhubung' },
  next: '/portal/applications/lain/link',
  links: [link, { ...link, id: 'l2', is_default: false, is_stale: false, label: null }],
  requests: [{ username: 'user_lain', since: 'Sabtu' }],
};
const proof = {
  header: header('applications'),
  application,
  action: '/portal/applications/e-bpom/link',
  rest: 0,
  values: { username: '' },
  errors: {},
};
const removal = {
  header: header('applications'),
  link: { id: 'l1', username: 'user_bpom', application_id: 'e-bpom', application_name: 'e-BPOM' },
};

const samples: [view: string, state: string, data: object][] = [
  ['start', 'signed out', {}],
  ['start', 'signed in', { signed_in: { identifier: 'budi', role: 'trader' } }],
  ['errors/page', 'ours', { status: 503, title: 'T', text: 'X', request_id: 'r1', ways, retry_after: 5 }],
  ['prompts/login', 'fresh', login],
  ['prompts/login', 'refused', { ...login, values: { identifier: 'budi' }, errors: { form: 'salah' } }],
  ['prompts/login', 'missing', { ...login, errors: { identifier: 'isi nama', password: 'isi sandi' } }],
  ['prompts/login', 'waiting', { ...login, waiting: 'tunggu' }],
  ['prompts/directorate', 'fresh', choice],
  ['prompts/directorate', 'refused', { ...choice, selected: 'd2', errors: { directorate: 'pilih' } }],
  [
    'oidc/forward',
    'two fields',
    {
      action: '/connect/session/end/confirm',
      fields: [
        { name: 'xsrf', value: 'x' },
        { name: 'logout', value: 'yes' },
      ],
    },
  ],
  ['prompts/link', 'fresh', linking],
  ['prompts/link', 'for a directorate', { ...linking, directorate: 'Pangan', links: [{ username: 'user_lain' }] }],
  ['prompts/link', 'refused', { ...linking, values: { username: 'user_bpom' }, errors: { form: 'salah' } }],
  ['prompts/link', 'missing', { ...linking, errors: { username: 'isi nama', password: 'isi sandi' } }],
  ['prompts/link', 'not supported', { ...linking, is_supported: false }],
  ['prompts/no-directorate', 'with company', choice],
  ['prompts/no-directorate', 'without', { ...choice, organisation: undefined }],
  ['prompts/over', 'expired', { reason: 'expired', client, ways }],
  ['prompts/over', 'finished', { reason: 'finished', client, ways }],
  ['prompts/over', 'elsewhere', { reason: 'elsewhere', ways }],
  ['portal/home', 'with company', { header: header('home'), organisation, account }],
  ['portal/home', 'without', { header: header('home'), account }],
  ['portal/profile', 'with company', { header: header('profile'), organisation, account }],
  ['portal/profile', 'without', { header: header('profile'), account: { ...account, expires_at: null } }],
  ['portal/applications', 'in the middle', table],
  ['portal/applications', 'refused', { ...table, problem: 'pilih' }],
  ['portal/applications', 'of an agency without any', { ...table, rows: [] }],
  ['portal/applications', 'empty', { ...table, agency: '', agencies: [], rows: [] }],
  ['portal/application', 'linked', detail],
  ['portal/application', 'refused', { ...detail, links: [{ ...link, error: 'terlalu panjang' }] }],
  ['portal/application', 'not linked', { ...detail, notice: undefined, links: [], requests: [] }],
  ['portal/application', 'unsupported', { ...detail, application: { ...application, is_supported: false }, links: [] }],
  ['portal/link', 'fresh', proof],
  ['portal/link', 'of several', { ...proof, was_linked: true, rest: 2, skip: '/portal/applications/lain/link' }],
  ['portal/link', 'refused', { ...proof, values: { username: 'user_bpom' }, errors: { form: 'salah' } }],
  ['portal/link', 'missing', { ...proof, errors: { username: 'isi nama', password: 'isi sandi' } }],
  ['portal/removal', 'of the only one', removal],
  ['portal/removal', 'of the default', { ...removal, heir: 'user_bpom_ot' }],
  ['portal/credentials', '', { header: header('credentials') }],
  ['portal/registration', '', { back: ways[0] }],
  ['portal/recover', '', {}],
  ['oidc/sign-out', 'of a client', { client, account, form_action: '/c', xsrf: 'x1', applications: ['e-BPOM'] }],
  ['oidc/sign-out', 'of nobody', { account: { identifier: '' }, form_action: '/c', xsrf: 'x1', applications: [] }],
  ['oidc/signed-out', 'of one', { client, ways }],
  ['oidc/signed-out', 'of all', { ways }],
];

function show(
  view: string,
  data: object,
  asked: Partial<PageContext> = {},
  language = languages[0] as 'id' | 'en',
): string {
  const ctx = {
    state: { language, t: translator(language) },
    originalUrl: '/p',
    querystring: '',
    site: { support },
    ...asked,
  };
  page(Object.assign(ctx, { type: '', body: '' }), view, data);
  return (ctx as unknown as PageContext).body as string;
}

const all = (html: string, pattern: RegExp) => [...html.matchAll(pattern)].map(([, found = '']) => found);

const read_file = ejs.fileLoader;
afterEach(() => {
  ejs.fileLoader = read_file;
});

test('every view with a layout has a sample here', () => {
  const shown = new Set(samples.map(([view]) => view));
  expect(views.filter((view) => !/^(parts|mail)\/|^layout$/.test(view) && !shown.has(view))).toEqual([]);
});

describe.each(samples)('%s, %s', (view, _state, data) => {
  test.each(languages)('in %s is one document whose references lead somewhere', (language) => {
    ejs.fileLoader = (path) => {
      throw new Error(`${path} was read while a page was made`);
    };
    const html = show(view, data, {}, language);
    expect(html).toContain(`<html lang="${language}">`);
    expect(all(html, /(<h1)[ >]/g)).toHaveLength(1);
    expect(html).not.toMatch(/undefined|\[object|\bNaN\b/);
    const ids = all(html, /\sid="([^"]*)"/g);
    expect(new Set(ids).size).toBe(ids.length);
    const referred = all(html, /\s(?:for|aria-describedby|aria-labelledby|href)="#?([\w -]+)"/g).flatMap((list) =>
      list.split(' '),
    );
    expect(referred.filter((id) => !ids.includes(id))).toEqual([]);
  });

  test('has nothing inline, nothing from elsewhere, one primary button', () => {
    const html = show(view, data);
    expect(html).not.toMatch(/\sstyle=|<style|\son\w+=|javascript:/i);
    expect(html).not.toMatch(/<script(?! src="\/assets\/)/);
    expect(all(html, /(?:\ssrc|<link[^>]*href)="(?!\/assets\/|data:)([^"]*)"/g)).toEqual([]);
    const buttons = all(html, /<(?:button|a class="button)([^>]*)>/g);
    expect(buttons.filter((attributes) => !attributes.includes('secondary')).length).toBeLessThanOrEqual(1);
  });

  test('shows what it is given as text', () => {
    const evil = `"'><script>alert(1)</script>`;
    const poisoned = JSON.parse(JSON.stringify(data), (key, value) =>
      typeof value === 'string' && !/^(reason|current|now|zone|expires_at)$/.test(key) ? evil : value,
    );
    for (const part of [poisoned.header, poisoned.account]) {
      if (part?.now) part.now = new Date(part.now);
      if (part?.expires_at) part.expires_at = new Date(part.expires_at);
    }
    expect(show(view, poisoned, { querystring: `a=${evil}`, originalUrl: `/${evil}?a=${evil}` })).not.toContain(
      '<script>',
    );
  });
});

test('a password never comes back, whatever is handed over', () => {
  const html = show('prompts/login', { ...login, values: { identifier: 'budi', password: 'rahasia' } });
  expect(html).toContain('value="budi"');
  expect(html).not.toContain('rahasia');
  expect(html).toMatch(/<input id="password"[^>]* autocomplete="current-password"/);
});

test('an error is in the summary, beside its field and read with it', () => {
  const html = show('prompts/login', { ...login, errors: { password: 'isi sandi' } });
  expect(html).toContain('<a href="#password">isi sandi</a>');
  expect(html).toMatch(/<input id="password"[^>]* aria-describedby="password-error" aria-invalid="true"/);
  expect(html).not.toMatch(/<input id="identifier"[^>]* aria-invalid/);
});

test('Enter sends the form, not the way back: submit stands before cancel', () => {
  const html = show('prompts/login', login);
  expect(html.indexOf('id="submit"')).toBeLessThan(html.indexOf('id="cancel"'));
  expect(html).toMatch(/<button id="cancel"[^>]* name="cancel" value="1"/);
});

test('signing out of everything is asked by name, of one application without', () => {
  const html = show('oidc/sign-out', { client, account, form_action: '/c', xsrf: 'x1', applications: [] });
  expect(html).toMatch(
    /<form id="sign-out" method="post" action="\/c">\s*<input type="hidden" name="xsrf" value="x1">/,
  );
  expect(html).toContain('name="logout" value="yes"');
  expect(/<button id="cancel"[^>]*>/.exec(html)?.[0]).not.toContain('name=');
});

test('the head of the portal says who, when and where', () => {
  const html = show('portal/home', { header: header('home'), organisation, account });
  expect(html).toContain('<strong>budi</strong> [trader]');
  expect(html).toContain('Sabtu, 21 November 2026 pukul 06.05 WIB');
  expect(html).toContain('00.000.101.6-000.000');
  expect(html).toMatch(/<a href="\/portal" aria-current="page">/);
});

test.each([
  ['/interaction/u1', 'a=1&lang=en&b=%22', '/interaction/u1?a=1&amp;lang=id&amp;b=%22'],
  ['/connect/session/end', 'client_id=e-bpom', '/connect/session/end?client_id=e-bpom&amp;lang=id'],
  ['//evil.example/x', '', '/evil.example/x?lang=id'],
  ['/\\evil.example', '', '/evil.example?lang=id'],
  ['http://evil.example/x', '', '/http://evil.example/x?lang=id'],
])('the other language of %s?%s is the same page', (path, querystring, link) => {
  const html = show('start', {}, { originalUrl: `${path}?${querystring}`, querystring });
  expect(html).toContain(`href="${link}"`);
});

test('a logo is shown only when no other server learns of it', () => {
  const shown = (logo_uri: string) =>
    show('prompts/login', { ...login, client: { ...client, logo_uri } }).includes('<img');
  expect([shown('https://app.example/logo.png'), shown('//app.example/x'), shown('data:text/html,x')]).toEqual([
    false,
    false,
    false,
  ]);
  expect(shown('data:image/png;base64,AAAA')).toBe(true);
});

test('an NPWP wears its mask', () => {
  expect(maskNpwp('0000001016000000')).toBe('00.000.101.6-000.000');
  expect(maskNpwp('9901010501900001')).toBe('9901 0105 0190 0001');
});

test('what does not exist is an error at once', () => {
  expect(() => render('portal/nowhere', {})).toThrow('portal/nowhere');
  expect(() => show('parts/mark', {})).toThrow('layout');
  expect(views).not.toContainEqual(expect.stringMatching(/^demo\//));
  expect(assets.get('gapura.css')?.url).toMatch(/^\/assets\/gapura\.[0-9a-f]{16}\.css$/);
});

test('a mail says the same in both forms, and its markup only in one', () => {
  const mail = {
    subject: 'Kode',
    greeting: 'Yth. <Budi>,',
    paragraphs: ['Satu & dua.'],
    code: 'K7MQ 4RTX',
    code_note: '10 menit',
    footer: 'Kami',
  };
  const { subject, text, html } = composeMail('id', mail);
  expect(subject).toBe('Kode');
  for (const part of ['Yth. <Budi>,', 'Satu & dua.', 'K7MQ 4RTX', '10 menit', 'Kami']) expect(text).toContain(part);
  for (const part of ['Yth. &lt;Budi&gt;,', 'Satu &amp; dua.', 'K7MQ 4RTX', '10 menit', 'Kami'])
    expect(html).toContain(part);
});
