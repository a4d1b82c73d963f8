/** Odd requests out of proper ones, the same for the same seed: wrong shapes, wrong bytes, foreign hosts. */

import type { WireRequest } from './wire.ts';

/** A proper request; what is odd is made of it. */
export interface Proper {
  method: 'GET' | 'POST';
  path: string;
  /** In the query of a GET, in the body of a POST. */
  fields: Record<string, string>;
  headers?: Record<string, string>;
}

/** Stands in headers that tell a host, and in absolute request targets; no answer may hold it. */
export const foreign_host = 'jahat-asing.example';
/** Stands in fields that hold addresses; no answer may lead there. */
export const foreign_site = 'https://luar-sana.example/x';
/** Stands in fields; no page may hold it as a tag. */
export const foreign_tag = '<x-uji>';

/** A source of choices that depends on the seed alone (mulberry32). */
export function openChoices(seed: number) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (count: number) => Math.floor(next() * count);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;
  return { below, pick, happens: (share: number) => next() < share };
}

type Choices = ReturnType<typeof openChoices>;

// As they stand in a form: already encoded, or raw on purpose.
const values = [
  '',
  '%00',
  'a%00b',
  '\u0000',
  '%ff%fe',
  '%ED%A0%80',
  '\u00ff\u00fe',
  '%',
  '%zz',
  '%u0041',
  '%0d%0aset-cookie:%20x=1',
  '\t',
  '%1b[31m',
  'true',
  'null',
  'undefined',
  '0',
  '-1',
  '1e309',
  '99999999999999999999999999',
  '2147483648',
  'NaN',
  '[]',
  '{}',
  '%7B%22a%22%3A1%7D',
  '%7B%22id_token%22%3A%7B%22__proto__%22%3Anull%7D%7D',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  "'%3B%20DROP%20TABLE%20x%3B%20--",
  '%24%7B7*7%7D%3C%25%3D%207*7%20%25%3E',
  encodeURIComponent(`"'>${foreign_tag}`),
  encodeURIComponent(foreign_site),
  encodeURIComponent(`//${new URL(foreign_site).host}`),
  'javascript%3Aalert(1)',
  '..%2f..%2f..%2fetc%2fpasswd',
  '%F0%9F%94%91',
  '%E2%80%AE%E2%80%8B',
  'e%CC%81',
  'openid%20openid%20%20offline_access',
  'none',
  'none%20login',
  'form_post',
  'login%20select_directorate%20consent',
  'eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.',
  'eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.e30.AAAA',
  'urn%3Aietf%3Aparams%3Aoauth%3Arequest_uri%3Ax',
  'a.b.c.d.e',
  'a'.repeat(300),
  'a'.repeat(9_000),
  '%41'.repeat(5_000),
] as const;

const names = [
  ...[
    '__proto__',
    'constructor',
    '__proto__[x]',
    'constructor[prototype][x]',
    '',
    '%00',
    '%ff',
    '[]',
    '[',
    'a]',
    '.',
    '$ne',
  ],
  ...['lang', 'request', 'request_uri', 'registration', 'resource', 'claims', 'acr_values', 'max_age', 'id_token_hint'],
  ...['response_mode', 'ui_locales', 'login_hint', 'prompt', 'display', 'dpop_jkt', 'xsrf', 'state'],
];

const methods = ['GET', 'POST', 'HEAD', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND', 'M-SEARCH'];

const types = [
  'application/json',
  'application/json; charset=utf-16',
  'text/plain',
  'multipart/form-data; boundary=x',
  'application/x-www-form-urlencoded; charset=utf-7',
  'application/x-www-form-urlencoded;',
  'application/x-www-form-urlencoded, application/json',
  'application/jwt',
  'x',
  '/',
  '',
];

const bodies = [
  '{',
  '[]',
  '{"__proto__":{"x":1}}',
  '{"identifier":{"$ne":1},"password":["a"]}',
  '"\\ud800"',
  '--x\r\ncontent-disposition: form-data; name="identifier"\r\n\r\nx\r\n--x--',
  '\u0000'.repeat(50),
  '&'.repeat(5_000),
  '='.repeat(2_000),
  'a=1&'.repeat(3_000),
  'x'.repeat(70_000),
];

const basic = (text: string) => `Basic ${Buffer.from(text, 'latin1').toString('base64')}`;

/** Headers that no browser of ours sends, or sends otherwise. */
const odd_headers: [string, string][] = [
  ['x-forwarded-host', foreign_host],
  ['x-forwarded-host', `${foreign_host}, localhost`],
  ['x-forwarded-server', foreign_host],
  ['x-forwarded-proto', 'https'],
  ['x-forwarded-port', '444'],
  ['x-forwarded-prefix', `//${foreign_host}`],
  ['x-forwarded-for', '203.0.113.7, ::1, unknown, "'],
  ['forwarded', `host=${foreign_host};proto=https;for="[::1]"`],
  ['x-host', foreign_host],
  ['x-original-url', `//${foreign_host}/`],
  ['x-rewrite-url', `//${foreign_host}/`],
  ['x-http-method-override', 'DELETE'],
  ['referer', `https://${foreign_host}/`],
  // Answers to programs may name it (CORS), so it is another one.
  ['origin', 'https://asal-lain.example'],
  ['origin', 'null'],
  ['sec-fetch-site', 'cross-site'],
  ['accept', 'application/json'],
  ['accept', ''],
  ['accept', '*/*;q=0, ///;;q=x, text/html;level='],
  ['accept', 'text/html'.repeat(500)],
  ['accept-language', 'x-klingon;q=9, *, ;;,'],
  ['accept-encoding', 'br;q=0, gzip;q=nan, identity;q=0'],
  ['content-encoding', 'gzip'],
  ['content-encoding', 'br'],
  ['if-none-match', '*'],
  ['if-modified-since', 'yesterday'],
  ['range', 'bytes=9-1,-5'],
  ['expect', '100-continue'],
  ['authorization', 'Basic'],
  ['authorization', 'Basic ===='],
  ['authorization', basic('nocolon')],
  ['authorization', basic(':')],
  ['authorization', basic('\0:\0')],
  ['authorization', basic('%00:%00')],
  ['authorization', basic('%zz:%')],
  ['authorization', basic('%ff:x')],
  ['authorization', basic('penguji:wrong')],
  ['authorization', basic('__proto__:x')],
  ['authorization', basic(`${'a'.repeat(4000)}:x`)],
  ['authorization', 'Bearer'],
  ['authorization', 'Bearer a b'],
  ['authorization', `Bearer ${'a'.repeat(4000)}`],
  ['authorization', 'Bearer \u00ff\u00fe'],
  ['authorization', 'DPoP x'],
  ['dpop', 'eyJhbGciOiJub25lIn0.e30.'],
  ['dpop', 'a.b.c'],
  ['cookie', 'gapura_session=x; gapura_session.sig=x; gapura_interaction=; gapura_resume=%00'],
  ['cookie', 'gapura_lang=__proto__; gapura_browser=%00%ff'],
  ['cookie', `gapura_session=${'a'.repeat(3000)}; =; ;;; a`],
  ['cookie', 'gapura_session="\u00ff\\"; __proto__=1'],
  ['user-agent', '\u00ff'.repeat(3000)],
  ['user-agent', ''],
];

const encode = (fields: Record<string, string>) =>
  Object.entries(fields).map(([name, value]): [string, string] => [
    encodeURIComponent(name),
    encodeURIComponent(value),
  ]);

/** Makes one odd request of a proper one. `host` is ours; `cookie` that of the person who sends it. */
export function makeOdd(choices: Choices, proper: Proper, host: string, cookie: string): WireRequest {
  const { below, pick, happens } = choices;
  let pairs = encode(proper.fields);
  for (let times = below(3); times > 0; times--) pairs = spoilFields(choices, pairs);
  const text = pairs.map(([name, value]) => `${name}=${value}`).join('&');

  const method = happens(0.1) ? pick(methods) : proper.method;
  const has_body = !['GET', 'HEAD', 'TRACE'].includes(method) || happens(0.03);
  let target = proper.path;
  if (happens(0.05))
    target += pick(['/', '//', '/.', '/..;/', '%00', '%2e%2e', '/a'.repeat(200), ';x=1', '?', '?%00', '%ff']);
  // A line of the request holds no blanks and no controls; node's own parser refuses those before us.
  const query = text.replace(/[^\x21-\xff]/g, '%20');
  if (!has_body || happens(0.1)) target += `${target.includes('?') ? '&' : '?'}${query}`;
  if (happens(0.05)) {
    const sites = [`http://${foreign_host}`, `http://${host}`, `//${new URL(foreign_site).host}`];
    target = pick([...sites.map((site) => site + target), '*', `${foreign_host}:443`, 'http://', 'x:']);
  }

  const headers: [string, string][] = [
    ['host', happens(0.04) ? pick([foreign_host, '', 'localhost', 'a b', '[::1']) : host],
  ];
  if (happens(0.01)) headers.push(['host', foreign_host]);
  const own = { ...proper.headers, ...(cookie && happens(0.9) ? { cookie } : {}) };
  for (const [name, value] of Object.entries(own)) headers.push([name, value]);
  for (let times = below(3); times > 0; times--) headers.push(pick(odd_headers));
  if (!has_body) return { method, target, headers };

  const is_form = happens(0.85);
  headers.push(['content-type', is_form ? 'application/x-www-form-urlencoded' : pick(types)]);
  return { method, target, headers, body: happens(0.9) ? text : pick(bodies), is_cut: happens(0.02) };
}

function spoilFields({ below, pick, happens }: Choices, pairs: [string, string][]): [string, string][] {
  const at = below(Math.max(pairs.length, 1));
  const [name, value] = pairs[at] ?? ['a', 'b'];
  const others = pairs.filter((_, place) => place !== at);
  if (happens(0.5)) return [...others, [name, pick(values)]];
  return pick<() => [string, string][]>([
    () => others,
    () => [...pairs, [name, value]],
    () => [...pairs, [name, pick(values)]],
    () => [...others, [`${name}[]`, value], [`${name}[]`, pick(values)]],
    () => [...others, [`${name}[${pick(['x', '__proto__', '0', '%00'])}]`, pick(values)]],
    () => [...pairs, [pick(names), pick(values)]],
    () => [...others, [name, `${value}${pick(values)}`]],
    () => [...others, [name.toUpperCase(), value]],
  ])();
}
