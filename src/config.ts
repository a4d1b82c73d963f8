/** The settings as values, and the only reader of the environment; the table of them is settings.ts. */

import { readFileSync } from 'node:fs';
import { Secret } from './crypto.ts';
import { parseDatabaseUrl, parsePort, type Setting, settings } from './settings.ts';

type Settings = typeof settings;

/**
 * The settings as values, frozen. `issuer` is the OpenID Connect issuer, `secure` whether people come by https.
 * `cookie_secrets` stay those of the environment where `secrets` are replaced by what they open (root-secrets.ts).
 */
export type Config = Readonly<{ [Key in keyof Settings]: Settings[Key] extends Setting<infer T> ? T : never }> &
  Readonly<{ issuer: string; secure: boolean; cookie_secrets: Secret[] }>;

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
  const derived = { issuer: `${url}/connect`, secure: url.startsWith('https:'), cookie_secrets: values.secrets };
  return Object.freeze({ ...values, ...derived }) as Config;
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

/** What the demonstration's applications read where they run apart from Gapura (docker/compose.yaml); all but `host` must be given. */
export function readDemoSites() {
  const url = (name: string) => readGiven(name, settings.url.parse);
  return {
    gapura: url('GAPURA_URL'),
    e_bpom: url('GAPURA_DEMO_E_BPOM'),
    cargolink: url('GAPURA_DEMO_CARGOLINK'),
    portal_insw: url('GAPURA_DEMO_PORTAL_INSW'),
    host: process.env.GAPURA_LISTEN_HOST || '127.0.0.1',
    /** Of the applications; Gapura's is in DATABASE_URL. */
    database_url: readGiven('GAPURA_DEMO_DATABASE_URL', parseDatabaseUrl),
    client_secret: readGiven('GAPURA_DEMO_CLIENT_SECRET', (text) => new Secret(text)),
  };
}

function readGiven<T>(name: string, parse: (text: string) => T): T {
  const text = readText(process.env, { name, what: '', parse });
  if (text === undefined) throw new ConfigError([`${name} is missing.`]);
  try {
    return parse(text);
  } catch (error) {
    throw new ConfigError([`${name} ${(error as Error).message}`]);
  }
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
  return `# The settings of Gapura, printed from src/settings.ts. A line with # shows the default.\n\n${blocks.join('\n')}`;
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
  if (config.client_certificate_header && config.trusted_proxies.length === 0) {
    problems.push(
      'GAPURA_CLIENT_CERTIFICATE_HEADER needs GAPURA_TRUSTED_PROXIES: from nobody else a certificate counts.',
    );
  }
  if (config.client_certificate_verdict_header && !config.client_certificate_header) {
    problems.push('GAPURA_CLIENT_CERTIFICATE_VERDICT_HEADER needs GAPURA_CLIENT_CERTIFICATE_HEADER.');
  }
  return problems;
}

/** Whether `hostname` (as in a URL) names this machine itself. */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}
