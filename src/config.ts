/** The settings: one table of names, defaults and checks, and the only reader of the environment. */

import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { Secret } from './crypto.ts';

interface Setting<T> {
  name: string;
  /** The value where the environment has none; undefined means that it must be given. */
  default?: string;
  what: string;
  secret?: true;
  /** Turns the text into the value; throws an Error whose message ends the sentence "NAME …". */
  parse: (text: string) => T;
}

const setting = <T>(entry: Setting<T>): Setting<T> => entry;

const settings = {
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
    what: 'Connections of one process.',
    parse: parseCount,
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
  private_hosts: setting({
    name: 'GAPURA_PRIVATE_HOSTS',
    default: '',
    what: 'Hosts (host or host:port, separated by commas) on private networks that calls to applications may reach.',
    parse: parseList,
  }),
} as const;

type Settings = typeof settings;

/** The settings as values, frozen. `issuer` is the OpenID Connect issuer, `secure` whether people come by https. */
export type Config = Readonly<{ [Key in keyof Settings]: Settings[Key] extends Setting<infer T> ? T : never }> &
  Readonly<{ issuer: string; secure: boolean }>;

/** What is wrong with the settings, a sentence each. */
export class ConfigError extends Error {
  readonly problems: string[];

  constructor(problems: string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

/**
 * Reads the settings from `env`; `NAME_FILE` names a file that holds the value (for secrets of a container).
 * @throws ConfigError naming every setting that is missing or wrong, never its value
 */
export function readConfig(env: Record<string, string | undefined>): Config {
  const problems: string[] = [];
  const values: Record<string, unknown> = {};
  for (const [key, entry] of Object.entries(settings) as [string, Setting<unknown>][]) {
    try {
      const text = readText(env, entry);
      if (text === undefined) problems.push(`${entry.name} is missing. ${entry.what}`);
      else values[key] = entry.parse(text);
    } catch (error) {
      problems.push(`${entry.name} ${(error as Error).message}`);
    }
  }
  if (problems.length === 0) problems.push(...combinations(values as Config));
  if (problems.length > 0) throw new ConfigError(problems);
  const url = values.url as string;
  return Object.freeze({ ...values, issuer: `${url}/connect`, secure: url.startsWith('https:') }) as Config;
}

/** Reads the settings of this process. */
export function readProcessConfig(): Config {
  return readConfig(process.env);
}

/** What only the demonstration reads of the environment, with its defaults. */
export function readDemoConfig(): {
  port: number;
  smtp_port: number;
  data_folder: string;
  database_url: Secret | undefined;
} {
  const read = <T>(name: string, fallback: string, parse: (text: string) => T): T => {
    try {
      return parse(process.env[name] || fallback);
    } catch (error) {
      throw new ConfigError([`${name} ${(error as Error).message}`]);
    }
  };
  return {
    // Gapura itself; its applications take the ports after it.
    port: read('GAPURA_DEMO_PORT', '3000', parsePort),
    smtp_port: read('GAPURA_DEMO_SMTP_PORT', '3025', parsePort),
    data_folder: process.env.GAPURA_DEMO_DATA || 'data',
    database_url: process.env.DATABASE_URL ? read('DATABASE_URL', '', parseDatabaseUrl) : undefined,
  };
}

/** The settings as text, one a line, secrets redacted. */
export function printConfig(config: Config): string {
  const lines = Object.entries(settings).map(([key, entry]) => {
    const value = config[key as keyof Settings];
    return `${entry.name}=${Array.isArray(value) ? value.join(',') : value}`;
  });
  return `${lines.join('\n')}\n`;
}

/** The text of config/example.env: every setting with its meaning and default. */
export function exampleEnv(): string {
  const blocks = (Object.values(settings) as Setting<unknown>[]).map((entry) => {
    const notes = [entry.what];
    if (entry.secret) notes.push(`A secret: rather put it in a file and name that in ${entry.name}_FILE.`);
    return `${notes.map((note) => `# ${note}\n`).join('')}${entry.default === undefined ? '' : '#'}${entry.name}=${entry.default ?? ''}\n`;
  });
  return `# The settings of Gapura, printed from src/config.ts. A line with # shows the default.\n\n${blocks.join('\n')}`;
}

function readText(env: Record<string, string | undefined>, entry: Setting<unknown>): string | undefined {
  const file = env[`${entry.name}_FILE`];
  if (env[entry.name]) return env[entry.name];
  if (!file) return entry.default;
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    throw new Error(`cannot be read: the file named in ${entry.name}_FILE does not open.`);
  }
}

function combinations(config: Config): string[] {
  const problems: string[] = [];
  const { protocol, hostname } = new URL(config.url);
  if (config.production && protocol === 'http:' && !isLoopback(hostname)) {
    problems.push('GAPURA_URL must begin with https: plain http is only for this machine itself.');
  }
  if (config.production && config.secrets.some((secret) => secret.reveal().startsWith('demo-'))) {
    problems.push(
      'GAPURA_SECRETS holds a secret of the demonstration. Make new ones, for example with: openssl rand -base64 32',
    );
  }
  return problems;
}

/** Whether `hostname` (as in a URL) names this machine itself. */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

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

function parsePort(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw new Error('must be a port number.');
  return Number(text);
}

function parseCount(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new Error('must be a whole number from 1 to 9999.');
  return Number(text);
}

function parseDatabaseUrl(text: string): Secret {
  const url = URL.parse(text);
  if (!url || !['postgres:', 'postgresql:'].includes(url.protocol) || url.pathname.length < 2) {
    throw new Error('must look like postgres://user:password@host:5432/database.');
  }
  return new Secret(text);
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
