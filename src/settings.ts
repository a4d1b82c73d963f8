/** The table of settings: name, default, meaning, check. What reads them is config.ts. */

import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import { Secret } from './crypto.ts';

export interface Setting<T> {
  name: string;
  /** The value where the environment has none; undefined means that it must be given. */
  default?: string;
  what: string;
  secret?: true;
  /** Turns the text into the value; throws an Error whose message ends the sentence "NAME …". */
  parse: (text: string) => T;
}

const setting = <T>(entry: Setting<T>): Setting<T> => entry;

/** Every setting there is, by the name that the program uses. */
export const settings = {
  production: setting({
    name: 'GAPURA_PRODUCTION',
    default: 'true',
    what: 'Refuses plain http on a public address and demonstration secrets. Only the demonstration and tests say false.',
    parse: parseBoolean,
  }),
  url: setting({
    name: 'GAPURA_URL',
    what: 'The address people and applications use, without a path: https://sso.example.go.id. Links, mails and tokens use it.',
    parse: parseOrigin,
  }),
  listen_host: setting({
    name: 'GAPURA_LISTEN_HOST',
    default: '127.0.0.1',
    what: 'The interface to listen on.',
    parse: String,
  }),
  listen_port: setting({
    name: 'GAPURA_LISTEN_PORT',
    default: '3000',
    what: 'The port to listen on.',
    parse: parsePort,
  }),
  metrics_port: setting({
    name: 'GAPURA_METRICS_PORT',
    default: '0',
    what: 'A port of its own for /metrics, on the same interface; 0 leaves /metrics beside the pages (not in production).',
    parse: parsePort,
  }),
  database_url: setting({
    name: 'DATABASE_URL',
    what: 'PostgreSQL 16 or later: postgres://user:password@host:5432/gapura.',
    secret: true,
    parse: parseDatabaseUrl,
  }),
  database_pool: setting({
    name: 'GAPURA_DATABASE_POOL',
    default: '12',
    what: 'Connections of one process; each worker is one.',
    parse: parseCount,
  }),
  workers: setting({
    name: 'GAPURA_WORKERS',
    default: '1',
    what: 'Processes among which serve shares its port: a number, or auto for one for each core.',
    parse: (text) => (text === 'auto' ? availableParallelism() : parseCount(text)),
  }),
  secrets: setting({
    name: 'GAPURA_SECRETS',
    what: 'One or more secrets of 32 characters or more, separated by commas: the first seals and signs, the others still open.',
    secret: true,
    parse: parseSecrets,
  }),
  trusted_proxies: setting({
    name: 'GAPURA_TRUSTED_PROXIES',
    default: '',
    what: 'Addresses or networks (CIDR) of the proxies in front, separated by commas: only from them X-Forwarded-For counts.',
    parse: parseNetworks,
  }),
  client_certificate_header: setting({
    name: 'GAPURA_CLIENT_CERTIFICATE_HEADER',
    default: '',
    what: 'The header in which those proxies tell the certificate of a client, as URL-encoded PEM: X-SSL-Client-Cert. Empty: clients cannot use certificates.',
    parse: parseHeader,
  }),
  client_certificate_verdict_header: setting({
    name: 'GAPURA_CLIENT_CERTIFICATE_VERDICT_HEADER',
    default: '',
    what: 'The header that says SUCCESS where the proxy found the certificate issued by an authority it trusts: X-SSL-Client-Verify. Empty: only registered self-signed certificates count.',
    parse: parseHeader,
  }),
  log_level: setting({
    name: 'GAPURA_LOG_LEVEL',
    default: 'info',
    what: 'silent, error, warn, info or debug.',
    parse: parseOneOf(['silent', 'error', 'warn', 'info', 'debug']),
  }),
  time_zone: setting({
    name: 'GAPURA_TIME_ZONE',
    default: 'Asia/Jakarta',
    what: 'The zone of people who have none of their own.',
    parse: parseTimeZone,
  }),
  support_name: setting({
    name: 'GAPURA_SUPPORT_NAME',
    default: 'Service Desk Gapura',
    what: 'Whom people turn to; stands on every page.',
    parse: String,
  }),
  support_email: setting({
    name: 'GAPURA_SUPPORT_EMAIL',
    default: 'layanan@gapura.example',
    what: 'Its e-mail address.',
    parse: String,
  }),
  support_phone: setting({
    name: 'GAPURA_SUPPORT_PHONE',
    default: '(021) 5000-000',
    what: 'Its telephone number.',
    parse: String,
  }),
  smtp_url: setting({
    name: 'GAPURA_SMTP_URL',
    what: 'The mail server: smtp://user:password@host:587 (STARTTLS, unless it is this machine itself) or smtps://host:465.',
    secret: true,
    parse: parseSmtpUrl,
  }),
  mail_from: setting({
    name: 'GAPURA_MAIL_FROM',
    what: 'The sender of mails: Gapura <noreply@sso.example.go.id>. Its domain must let the mail server send for it.',
    parse: parseSender,
  }),
  private_hosts: setting({
    name: 'GAPURA_PRIVATE_HOSTS',
    default: '',
    what: 'Hosts (host or host:port, separated by commas) on private networks that calls to applications may reach.',
    parse: parseList,
  }),
} as const;

function parseBoolean(text: string): boolean {
  if (text !== 'true' && text !== 'false') throw new Error('must be true or false.');
  return text === 'true';
}

function parseOrigin(text: string): string {
  const url = URL.parse(text);
  if (!url || !['http:', 'https:'].includes(url.protocol))
    throw new Error('must be an address such as https://sso.example.go.id.');
  if (url.pathname !== '/' || url.search || url.hash || url.username)
    throw new Error('must have no path and no query.');
  return url.origin;
}

/** @throws Error when it is no port number */
export function parsePort(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw new Error('must be a port number.');
  return Number(text);
}

function parseCount(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new Error('must be a whole number from 1 to 9999.');
  return Number(text);
}

/** @throws Error when it is no address of a PostgreSQL database */
export function parseDatabaseUrl(text: string): Secret {
  const url = URL.parse(text);
  if (!url || !['postgres:', 'postgresql:'].includes(url.protocol) || url.pathname.length < 2) {
    throw new Error('must look like postgres://user:password@host:5432/database.');
  }
  return new Secret(text);
}

/** The port may be left out: 587, or 465 for smtps. */
function parseSmtpUrl(text: string): Secret {
  const url = URL.parse(text);
  const is_whole = url && ['smtp:', 'smtps:'].includes(url.protocol) && url.hostname !== '';
  if (!is_whole || !['', '/'].includes(url.pathname) || url.search || url.hash || !isDecodable(url)) {
    throw new Error('must look like smtp://user:password@host:587 or smtps://user:password@host:465.');
  }
  return new Secret(text);
}

function isDecodable({ username, password }: URL): boolean {
  try {
    decodeURIComponent(username + password);
    return true;
  } catch {
    return false;
  }
}

function parseSender(text: string): string {
  const sender = /^(?:[^<>@,;:"\\\p{Cc}]+ <[^\s<>@,;:"]+@[^\s<>@,;:"]+>|[^\s<>@,;:"]+@[^\s<>@,;:"]+)$/u;
  if (!sender.test(text)) throw new Error('must look like Gapura <noreply@sso.example.go.id>, a name and one address.');
  return text;
}

function parseSecrets(text: string): Secret[] {
  const secrets = parseList(text);
  if (secrets.length === 0 || secrets.some((secret) => secret.length < 32)) {
    throw new Error('must hold secrets of at least 32 characters each.');
  }
  return secrets.map((secret) => new Secret(secret));
}

function parseNetworks(text: string): string[] {
  const networks = parseList(text);
  for (const network of networks) {
    const [address = '', bits, ...rest] = network.split('/');
    const family = isIP(address);
    const fits = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 6 ? 128 : 32));
    if (!family || !fits || rest.length > 0) throw new Error('must list addresses or networks such as 10.0.0.0/8.');
  }
  return networks;
}

function parseHeader(text: string): string {
  if (text !== '' && !/^x-(?!forwarded-)[a-z0-9-]{2,60}$/i.test(text)) {
    throw new Error('must be the name of a header of its own, such as X-SSL-Client-Cert.');
  }
  return text.toLowerCase();
}

function parseOneOf<const T extends string>(words: readonly T[]): (text: string) => T {
  return (text) => {
    const word = words.find((candidate) => candidate === text);
    if (!word) throw new Error(`must be one of ${words.join(', ')}.`);
    return word;
  };
}

function parseTimeZone(text: string): string {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: text }).resolvedOptions().timeZone;
  } catch {
    throw new Error('must be a time zone such as Asia/Jakarta.');
  }
}

function parseList(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}
