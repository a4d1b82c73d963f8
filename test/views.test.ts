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
  values: { identifier: '', remember: false },
  is_again: false,
  errors: {},
  registration_href: '/registration?client_id=e-bpom',
  recovery_href: '/recovery?client_id=e-bpom',
};
const check = { id: 'c1', way: 'picture', challenge: 'x1', bits: 13 };
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
const waiting = { kind: 'quiet', text: 'Menunggu' };
const submission = {
  href: '/portal/clients/s1',
  name: 'Sistem Izin',
  agency: 'BPOM',
  since: '1 Januari 2026',
  chip: { kind: 'good', text: 'Disetujui' },
};
const proposed = {
  header: header('clients'),
  id: 's1',
  name: 'Sistem Izin',
  chip: waiting,
  text: 'Menunggu petugas',
  facts: [{ label: 'Alamat', text: 'a, b', lines: ['a', 'b'] }],
  makes_secret: false,
  snippets: [
    { title: 'Spring', file: 'application.yml', text: 'a: b' },
    { title: 'Spring', file: 'Security.java', text: 'class A {}' },
  ],
};
const asked = [
  { name: 'client_name', kind: 'text', typed: [], is_required: true },
  { name: 'redirect_uris', kind: 'lines', typed: ['https://a.example/'], is_required: false },
  { name: 'preset', kind: 'choice', typed: ['web_server'], is_required: true },
  { name: 'scope', kind: 'choices', typed: ['openid'], is_required: true },
  { name: 'note', kind: 'long', typed: [], is_required: false },
  { name: 'picture', kind: 'file', typed: [], is_required: true },
].map((control) => ({
  ...control,
  label: 'Isian',
  help: 'Petunjuk',
  error: '',
  options: [{ value: 'web_server', label: 'Web' }],
  autocomplete: 'off',
}));
const trial = {
  header: { ...header(''), area: 'console', menu: [] },
  title: 'Hasil',
  client_id: 'coba',
  is_done: true,
  text: 'Berfungsi',
  scopes: [{ name: 'openid', text: 'siapa orangnya' }],
  tokens: [
    {
      title: 'ID token',
      format: 'JWT',
      chip: { kind: 'good', text: 'Terverifikasi' },
      lifetime: '1 jam',
      parts: [{ title: 'Isi', lines: [{ name: 'sub', meaning: 'siapa', text: 'x' }] }],
    },
  ],
  missing: [{ name: 'phone', text: 'tidak diizinkan' }],
  again: '/admin/clients/coba/trial',
  way: { href: '/admin/clients/coba', label: 'Kembali' },
};
const detail = {
  header: header('applications'),
  application,
  notice: { kind: 'good', text: 'Terhubung' },
  next: '/portal/applications/lain/link',
  links: [link, { ...link, id: 'l2', is_default: false, is_stale: false, label: null }],
  requests: [{ username: 'user_lain', since: 'Sabtu' }],
  decided: [
    { decision: 'granted', text: 'Dikabulkan', because: null },
    { decision: 'refused', text: 'Ditolak', because: 'Bukti kurang' },
  ],
};
const proof = {
  header: header('applications'),
  application,
  action: '/portal/applications/e-bpom/link',
  rest: 0,
  values: { username: '' },
  errors: {},
};
const rules = [
  { rule: 'length', key: 'parts.password-rules.length', values: { least: 8, longest: 256 }, pattern: '^[^]{8,256}$' },
  { rule: 'upper', key: 'parts.password-rules.upper', values: {}, pattern: '\\p{Lu}' },
  { rule: 'name', key: 'parts.password-rules.name', values: {} },
];
const credentials = {
  header: header('credentials'),
  action: '/portal/credentials',
  person: 'p1',
  said: undefined,
  asks_old: true,
  addresses: [],
  can_add: true,
  rules,
  broken: [],
  errors: {},
};
const proven = {
  id: 'a1',
  address: 'budi@surat.example',
  is_verified: true,
  added: 'Sabtu',
  verified: 'Minggu',
  used: null,
  entries_left: undefined,
  sends_left: 10,
  resend_in: 0,
};
const pending = { ...proven, id: 'a2', is_verified: false, verified: null, entries_left: 9, resend_in: 40 };
const recovering = {
  way: { name: 'email-code', label: 'Kode' },
  others: [{ label: 'Cara lain', href: '/recovery?way=email-code' }],
  action: '/recovery?client_id=e-bpom',
  origin: { client_id: 'e-bpom' },
  values: { username: '' },
  errors: {},
  back: { href: '/', label: 'Kembali' },
};
const back = { href: '/portal', label: 'Kembali' };
const sending = { recovery: 'r1', name: 'budi', masks: ['bud****'], minutes: 10, errors: {}, back, again: '/recovery' };
const typing = { ...sending, sends_left: 10, entries_left: 9, resend_in: 40 };
const renewal = {
  client,
  action: '/interaction/u1',
  because: 'temporary',
  identifier: 'budi',
  rules,
  broken: [],
  errors: {},
};
const invitation = { action: '/invitation/t1', username: 'budi', rules, broken: [], errors: {} };
const removal = {
  header: header('applications'),
  link: { id: 'l1', username: 'user_bpom', application_id: 'e-bpom', application_name: 'e-BPOM' },
};

const consenting = {
  client: { ...client, policy_uri: 'https://luar.example/kebijakan', tos_uri: 'https://luar.example/ketentuan' },
  action: '/interaction/u1',
  person: { full_name: 'Budi Santoso', username: 'budi' },
  fresh: ['alamat email'],
  known: [],
  fresh_apis: [],
  known_apis: [],
  offers_offline: false,
  is_offline: true,
  is_unchecked: false,
  is_unproven: false,
  returns_to: 'luar.example',
  days: 7,
  offline_days: 30,
};
const api = { name: 'API Stok', scopes: ['membaca stok barang'] };
const consent = {
  id: 'c1',
  name: 'Luar',
  agency: 'BPOM',
  access: ['alamat email'],
  apis: [api],
  since: '1 Januari 2026',
};
const access = { ...consent, used: '3 Januari 2026', is_away: true };
const consents = {
  header: header('consents'),
  said: 'Izin dicabut.',
  consents: [consent, { ...access, id: 'c2', changed: '2 Januari 2026' }],
  accesses: [
    { ...access, id: 'satu' },
    { ...access, id: 'dua', agency: undefined, is_away: false },
  ],
};
const own_session = {
  uid: 'u1',
  device: 'Chrome di Windows',
  network: '192.0.2.0/24',
  is_own: true,
  is_remembered: true,
  begun: '1 Jan 2026, 08.00 WIB',
  seen: '2 Jan 2026, 08.00 WIB',
  applications: ['e-BPOM', 'CargoLink'],
};
const sessions = {
  header: header('sessions'),
  said: undefined,
  sessions: [own_session],
  others: 0,
  hidden: 0,
};

const desk = {
  ...header('agencies'),
  area: 'console',
  role: 'administrator',
  menu: [
    {
      group: 'Sistem',
      entries: [
        { name: 'agencies', href: '/admin/agencies', label: 'Instansi' },
        { name: 'audit', href: '/admin/audit', label: 'Audit' },
      ],
    },
  ],
};
const control = (name: string, kind: string, more: object = {}) => ({
  name,
  kind,
  label: `Bidang ${name}`,
  help: undefined,
  error: undefined,
  is_required: false,
  typed: [],
  options: [],
  unit: undefined,
  autocomplete: 'off',
  ...more,
});
const kinds = [
  control('satu', 'text', { help: 'Petunjuk', error: 'Salah', is_required: true, typed: ['a'] }),
  control('dua', 'long', { typed: ['a'] }),
  control('tiga', 'secret', { is_required: true }),
  control('empat', 'lines', { typed: ['a'] }),
  control('lima', 'json', { typed: ['{}'], error: 'Bukan JSON' }),
  control('enam', 'number', { typed: ['1'], unit: 'detik' }),
  control('tujuh', 'switch', { typed: ['on'], help: 'Petunjuk' }),
  control('delapan', 'choice', { typed: ['a'], options: [{ value: 'a', label: 'A' }] }),
  control('sembilan', 'choices', { typed: ['a'], options: [{ value: 'a', label: 'A' }], error: 'Pilih' }),
  control('sepuluh', 'date', { typed: ['2026-11-21'] }),
  control('sebelas', 'file', { help: 'Petunjuk' }),
];
const form = {
  header: desk,
  name: 'agencies',
  trail: { href: '/admin/agencies', title: 'Instansi' },
  title: 'Ubah',
  text: 'Kalimat',
  warnings: ['Awas'],
  action: '/admin/agencies/BPOM/change',
  version: 3,
  groups: [
    { title: undefined, controls: kinds.slice(0, 6) },
    { title: 'Kelompok', controls: kinds.slice(6) },
  ],
  problems: [{ text: 'Salah', field: 'satu' }],
  asks_why: true,
  because: 'Sebab',
  reason_problem: 'tulis alasan',
  is_grave: false,
  takes_files: true,
};
const entry = {
  header: desk,
  name: 'agencies',
  list: { href: '/admin/agencies', title: 'Instansi' },
  title: 'BPOM',
  text: 'Kalimat',
  groups: [
    { title: undefined, facts: [{ label: 'Kode', text: 'BPOM' }] },
    { title: 'Kelompok', facts: [{ label: 'Nama', text: '' }] },
  ],
  operations: [{ name: 'change', kind: 'change', label: 'Ubah', href: '/admin/agencies/BPOM/change' }],
  ways: [{ title: 'Lihat juga', links: [{ href: '/admin/directorates?agency_code=BPOM', label: 'Direktorat' }] }],
  sections: [
    {
      name: 'directorates',
      title: 'Direktorat',
      none: 'Tambah',
      rows: [{}],
      columns: ['Kode'],
      cells: [['OT']],
      hrefs: ['/admin/directorates/d1'],
    },
    { name: 'lain', title: 'Lain', none: 'Tambah', rows: [], columns: ['Kode'], cells: [], hrefs: [] },
  ],
  history: [
    { at: 'Sabtu', actor: 'admin', operation: 'Ubah', changes: [{ label: 'Nama', from: 'A', to: 'B' }] },
    { at: 'Jumat', actor: 'admin', operation: 'Tambah', changes: [] },
  ],
  done: 'Sudah',
  another: { href: '/admin/agencies/creation', label: 'Tambah yang lain' },
};
const list = {
  header: desk,
  name: 'agencies',
  filters: [
    { name: 'q', label: 'Cari', options: undefined, typed: 'a' },
    { name: 'active', label: 'Aktif', options: [{ value: 'true', label: 'Ya' }], typed: 'true' },
  ],
  is_filtered: true,
  columns: [
    { label: 'Nama', href: '/admin/agencies?sort=-name', sorted: 'ascending' },
    { label: 'Kode', href: undefined, sorted: undefined },
  ],
  rows: [{ href: '/admin/agencies/BPOM', cells: ['BPOM', ''] }],
  count: '1',
  next: '/admin/agencies?cursor=a',
  previous: '/admin/agencies?cursor=b',
  creations: [{ name: 'creation', kind: 'create', label: 'Tambah', href: '/admin/agencies/creation' }],
};
const conflict = {
  header: desk,
  title: 'BPOM',
  action: '/admin/agencies/BPOM/change',
  version: 4,
  again: '/admin/agencies/BPOM/change',
  rows: [{ label: 'Nama', yours: 'A', theirs: '' }],
  sent: [{ name: 'name', value: 'A' }],
};
const outline = {
  url: 'https://gapura.example/api/v1',
  resources: [
    {
      title: 'Instansi',
      lead: 'Kalimat',
      lines: [{ method: 'GET', path: '/agencies', permission: 'agencies:read', what: 'Daftar' }],
    },
  ],
};

const samples: [view: string, state: string, data: object][] = [
  ['admin/api', '', { outline }],
  ['admin/conflict', '', conflict],
  ['admin/entry', 'full', entry],
  [
    'admin/entry',
    'bare',
    { ...entry, text: undefined, operations: [], ways: [], sections: [], history: [], done: undefined },
  ],
  ['admin/form', 'refused', form],
  [
    'admin/form',
    'of a removal',
    { ...form, groups: [], problems: [], warnings: [], version: undefined, is_grave: true },
  ],
  [
    'admin/home',
    'waiting',
    { header: desk, entries: [{ group: 'system', href: '/admin/a', title: 'A', lead: 'L', waiting: 3 }] },
  ],
  ['admin/inapplicable', '', { header: desk, title: 'T', text: 'X', way: ways[0] }],
  ['admin/list', 'in the middle', list],
  ['admin/list', 'empty', { ...list, rows: [], is_filtered: false, filters: [], creations: [] }],
  ['admin/list', 'bent', { ...list, problem: 'Alamat ini tidak terbaca' }],
  ['admin/presets', '', { ...form, presets: [{ href: '/a', label: 'Web', help: 'Untuk web' }] }],
  ['admin/shown-once', '', { header: desk, title: 'T', shown: [{ label: 'Rahasia', value: 'x' }], way: ways[0] }],
  ['admin/stranger', '', { header: { ...desk, role: 'trader', menu: [] }, ways }],
  ['start', 'signed out', {}],
  ['start', 'signed in', { signed_in: { identifier: 'budi', role: 'trader' } }],
  ['errors/page', 'ours', { status: 503, title: 'T', text: 'X', request_id: 'r1', ways, retry_after: 5 }],
  ['prompts/login', 'fresh', login],
  ['prompts/login', 'refused', { ...login, values: { identifier: 'budi' }, errors: { form: 'salah' } }],
  ['prompts/login', 'missing', { ...login, errors: { identifier: 'isi nama', password: 'isi sandi' } }],
  ['prompts/login', 'waiting', { ...login, waiting: 'tunggu' }],
  ['prompts/login', 'with a picture', { ...login, check }],
  ['prompts/login', 'with a wrong code', { ...login, check, errors: { captcha: 'tidak sesuai' } }],
  ['prompts/login', 'with a code by mail', { ...login, check: { ...check, way: 'mail' } }],
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
  ['oidc/held', 'a link', { client, host: 'contoh.example', error: 'invalid_scope', request_id: 'r1', href: '/a' }],
  [
    'oidc/held',
    'a form',
    {
      ...{ client, host: 'contoh.example', error: 'invalid_scope', request_id: 'r1' },
      form: { action: 'https://contoh.example/', fields: [{ name: 'error', value: 'invalid_scope' }] },
    },
  ],
  ['prompts/link', 'fresh', linking],
  ['prompts/link', 'for a directorate', { ...linking, directorate: 'Pangan', links: [{ username: 'user_lain' }] }],
  ['prompts/link', 'refused', { ...linking, values: { username: 'user_bpom' }, errors: { form: 'salah' } }],
  ['prompts/link', 'missing', { ...linking, errors: { username: 'isi nama', password: 'isi sandi' } }],
  ['prompts/link', 'not supported', { ...linking, is_supported: false }],
  ['prompts/link', 'at the application itself', { ...linking, is_redirect: true }],
  ['prompts/link', 'refused there', { ...linking, is_redirect: true, errors: { form: 'tunggu' } }],
  ['prompts/consent', 'fresh', consenting],
  ['prompts/consent', 'of more', { ...consenting, known: ['nama'], offers_offline: true }],
  ['prompts/consent', 'of an API', { ...consenting, fresh_apis: [api], known_apis: [{ ...api, scopes: [] }] }],
  ['prompts/consent', 'of nothing new', { ...consenting, fresh: [], known: ['nama'] }],
  ['prompts/consent', 'refused', { ...consenting, offers_offline: true, is_offline: false, error: 'pilih' }],
  ['prompts/consent', 'of a stranger', { ...consenting, is_unchecked: true, is_unproven: true, returns_to: '' }],
  ['prompts/no-directorate', 'with company', choice],
  ['prompts/no-directorate', 'without', { ...choice, organisation: undefined }],
  ['prompts/over', 'expired', { reason: 'expired', client, ways }],
  ['prompts/over', 'finished', { reason: 'finished', client, ways }],
  ['prompts/over', 'elsewhere', { reason: 'elsewhere', ways }],
  ['portal/home', 'with company', { header: header('home'), organisation, account }],
  ['portal/home', 'without', { header: header('home'), account }],
  ['portal/home', 'late', { header: header('home'), account, password: { days: 3, expires_at: account.expires_at } }],
  ['portal/home', 'latest', { header: header('home'), account, password: { days: 0, expires_at: account.expires_at } }],
  ['portal/profile', 'with company', { header: header('profile'), organisation, account }],
  ['portal/profile', 'without', { header: header('profile'), account: { ...account, expires_at: null } }],
  ['portal/applications', 'in the middle', table],
  ['portal/applications', 'refused', { ...table, problem: 'pilih' }],
  ['portal/applications', 'of an agency without any', { ...table, rows: [] }],
  ['portal/applications', 'empty', { ...table, agency: '', agencies: [], rows: [] }],
  ['portal/application', 'linked', detail],
  ['portal/application', 'refused', { ...detail, links: [{ ...link, error: 'terlalu panjang' }] }],
  ['portal/application', 'not linked', { ...detail, notice: undefined, links: [], requests: [], decided: [] }],
  [
    'portal/application',
    'without a link to make',
    { ...detail, application: { ...application, is_supported: false, needs_no_link: true }, links: [], decided: [] },
  ],
  ['portal/application', 'unsupported', { ...detail, application: { ...application, is_supported: false }, links: [] }],
  ['portal/link', 'fresh', proof],
  ['portal/link', 'of several', { ...proof, was_linked: true, rest: 2, skip: '/portal/applications/lain/link' }],
  ['portal/link', 'refused', { ...proof, values: { username: 'user_bpom' }, errors: { form: 'salah' } }],
  ['portal/link', 'missing', { ...proof, errors: { username: 'isi nama', password: 'isi sandi' } }],
  ['portal/link', 'at the application itself', { ...proof, is_redirect: true }],
  ['portal/link', 'refused there', { ...proof, is_redirect: true, errors: { form: 'tunggu' } }],
  ['portal/removal', 'of the only one', removal],
  ['portal/removal', 'of the default', { ...removal, heir: 'user_bpom_ot' }],
  ['portal/credentials', 'fresh', credentials],
  ['portal/credentials', 'changed', { ...credentials, said: 'Sudah diubah' }],
  [
    'portal/credentials',
    'refused',
    { ...credentials, broken: ['length'], errors: { old_password: 'salah', new_password: 'pendek' } },
  ],
  ['portal/credentials', 'waiting', { ...credentials, errors: { form: 'tunggu' } }],
  ['portal/credentials', 'after a recovery', { ...credentials, asks_old: false }],
  [
    'portal/credentials',
    'with addresses',
    { ...credentials, said_of_addresses: 'Sudah dikirim', addresses: [proven, pending], can_add: false },
  ],
  ['portal/credentials', 'wrong code', { ...credentials, addresses: [{ ...pending, error: 'tidak sesuai' }] }],
  [
    'portal/recovery-address',
    'fresh',
    { header: header('credentials'), person: 'p1', values: { typed: '' }, errors: {} },
  ],
  [
    'portal/recovery-address',
    'refused',
    { header: header('credentials'), person: 'p1', values: { typed: 'x' }, errors: { recovery_email: 'salah' } },
  ],
  ['portal/recovery-address-removal', '', { header: header('credentials'), id: 'a1', address: proven.address }],
  ['prompts/password', 'temporary', renewal],
  ['prompts/password', 'expired', { ...renewal, because: 'expired', broken: ['upper'], errors: { form: 'salah' } }],
  ['prompts/password', 'missing', { ...renewal, errors: { new_password: 'isi', confirm_password: 'ulangi' } }],
  ['portal/invitation', 'fresh', invitation],
  [
    'portal/invitation',
    'refused',
    { ...invitation, broken: ['upper'], errors: { new_password: 'huruf besar', confirm_password: 'ulangi' } },
  ],
  ['portal/consents', 'of each kind', consents],
  ['portal/consents', 'empty', { ...consents, said: undefined, consents: [], accesses: [] }],
  ['portal/sessions', 'of one', sessions],
  [
    'portal/sessions',
    'of several',
    {
      ...sessions,
      said: 'Sesi diakhiri.',
      sessions: [own_session, { ...own_session, is_own: false, is_remembered: false, network: null, applications: [] }],
      others: 60,
      hidden: 11,
    },
  ],
  ['portal/registration', '', { back: ways[0] }],
  ['portal/recover', 'fresh', recovering],
  ['portal/recover', 'refused', { ...recovering, errors: { username: 'isi', form: 'tunggu' } }],
  ['portal/recover', 'checked', { ...recovering, check, errors: { captcha: 'salah' } }],
  ['portal/recover', 'closed', { ...recovering, way: undefined, others: [] }],
  ['portal/recover-address', 'one', sending],
  ['portal/recover-address', 'of two', { ...sending, masks: ['a****', 'b****'], errors: { form: 'tunggu' } }],
  ['portal/recover-code', 'fresh', typing],
  ['portal/recover-code', 'wrong', { ...typing, errors: { code: 'salah' } }],
  ['portal/recover-code', 'expired', { ...typing, entries_left: undefined, resend_in: 0, errors: { form: 'tunggu' } }],
  ['portal/recover-choice', 'with session', { recovery: 'r1', name: 'budi', offers_session: true }],
  ['portal/recover-choice', 'without', { recovery: 'r1', name: 'budi', offers_session: false }],
  ['portal/recover-password', 'fresh', { recovery: 'r1', name: 'budi', rules, broken: [], errors: {} }],
  [
    'portal/recover-password',
    'refused',
    { recovery: 'r1', name: 'budi', rules, broken: ['length'], errors: { new_password: 'pendek' } },
  ],
  ['portal/not-me', '', { action: '/notices/t1', happened: 'Diatur ulang' }],
  ['admin/trial', 'done', trial],
  [
    'admin/trial',
    'over',
    { ...trial, is_done: false, client_id: undefined, again: undefined, scopes: [], tokens: [], missing: [] },
  ],
  ['portal/clients', 'of two', { header: header('clients'), rows: [submission, { ...submission, chip: waiting }] }],
  ['portal/clients', 'empty', { header: header('clients'), rows: [] }],
  ['portal/submission', 'fresh', { header: header('clients'), controls: asked, problems: [] }],
  [
    'portal/submission',
    'refused',
    {
      header: header('clients'),
      controls: asked.map((control) => ({ ...control, error: 'salah' })),
      problems: [{ text: 'salah', field: 'client_name' }],
    },
  ],
  ['portal/client', 'waiting', { ...proposed, facts: [], snippets: [] }],
  ['portal/client', 'approved', { ...proposed, makes_secret: true }],
  [
    'portal/client-secret',
    'made',
    { header: header('clients'), name: 'Sistem Izin', secret: 'gapura_secret_x', href: '/portal/clients/s1' },
  ],
  ['oidc/sign-out', 'of a client', { client, account, form_action: '/c', xsrf: 'x1', applications: ['e-BPOM'] }],
  ['oidc/sign-out', 'of nobody', { account: { identifier: '' }, form_action: '/c', xsrf: 'x1', applications: [] }],
  ['oidc/device', 'empty', { xsrf: 'x1', value: '' }],
  ['oidc/device', 'refused', { xsrf: 'x1', value: 'BCDF', error: 'tidak dikenal' }],
  ['oidc/device-confirm', 'of somebody', { client, is_unchecked: true, user_code: 'BCDF-GHJK', xsrf: 'x1' }],
  ['oidc/device-end', 'well', { client, is_done: true, ways }],
  ['oidc/device-end', 'refused', { is_done: false, ways }],
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

/** Fields that name what the code knows: a role, a message, a page. Nobody types them. */
const is_word = /^(reason|current|now|zone|expires_at|key|because|role|area|kind|group)$/;

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
    expect(all(html, /(?:\ssrc|<link[^>]*href)="(?!\/assets\/|\/human-check\/|data:)([^"]*)"/g)).toEqual([]);
    const buttons = all(html, /<(?:button|a class="button)([^>]*)>/g);
    expect(buttons.filter((attributes) => !attributes.includes('secondary')).length).toBeLessThanOrEqual(1);
  });

  test('shows what it is given as text', () => {
    const evil = `"'><script>alert(1)</script>`;
    const poisoned = JSON.parse(JSON.stringify(data), (key, value) =>
      typeof value === 'string' && !is_word.test(key) && value !== 'agencies' ? evil : value,
    );
    for (const part of [poisoned.header, poisoned.account, poisoned.password]) {
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
  expect(html).toContain('<strong>budi</strong> [Importir]');
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
