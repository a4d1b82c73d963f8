/** The settings: each mistake is one sentence that names the setting and never its value; production refuses what is unsafe. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { type Config, ConfigError, exampleEnv, isLoopback, printConfig, readConfig } from '../src/config.ts';

type Env = Record<string, string | undefined>;

const secret = 'nyN2-rahasia-pertama-yang-cukup-panjang';
const other_secret = 'nyN2-rahasia-kedua-yang-cukup-panjang!';
const good: Env = {
  GAPURA_URL: 'https://sso.contoh.example',
  DATABASE_URL: 'postgres://gapura:sandi-basis-data@db.contoh.example:5432/gapura',
  GAPURA_SECRETS: secret,
  GAPURA_SMTP_URL: 'smtps://gapura:sandi-surat@surat.contoh.example',
  GAPURA_MAIL_FROM: 'Gapura <noreply@contoh.example>',
};

const folder = mkdtempSync(join(tmpdir(), 'gapura-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

function writeSecretFile(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function problemsOf(env: Env): string[] {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

test('five settings are enough, and the rest has its defaults', () => {
  const config = readConfig(good);
  expect(config).toMatchObject({
    url: 'https://sso.contoh.example',
    issuer: 'https://sso.contoh.example/connect',
    secure: true,
    production: true,
    listen_host: '127.0.0.1',
    listen_port: 3000,
    trusted_proxies: [],
    time_zone: 'Asia/Jakarta',
  });
  expect(config.secrets.map((one) => one.reveal())).toEqual([secret]);
});

test('the address loses its last slash, so that links and the issuer have one form', () => {
  expect(readConfig({ ...good, GAPURA_URL: 'https://SSO.Contoh.Example/' }).url).toBe('https://sso.contoh.example');
});

test('the values are frozen', () => {
  const config = readConfig(good) as { -readonly [Key in keyof Config]: Config[Key] };
  expect(() => {
    config.production = false;
  }).toThrow(TypeError);
});

test('the first secret is the current one, the others follow in their order', () => {
  const config = readConfig({ ...good, GAPURA_SECRETS: ` ${secret} , ${other_secret} ` });
  expect(config.secrets.map((one) => one.reveal())).toEqual([secret, other_secret]);
});

describe('a mistake is one sentence that names the setting and not its value:', () => {
  test.each([
    ['GAPURA_PRODUCTION', 'barangkali'],
    ['GAPURA_URL', 'sso.contoh.example'],
    ['GAPURA_URL', 'ftp://sso.contoh.example'],
    ['GAPURA_URL', 'https://sso.contoh.example/jalan'],
    ['GAPURA_URL', 'https://sso.contoh.example/?tanya=1'],
    ['GAPURA_URL', 'https://orang:sandi@sso.contoh.example'],
    ['GAPURA_LISTEN_PORT', '65536'],
    ['GAPURA_LISTEN_PORT', '-1'],
    ['GAPURA_METRICS_PORT', '9e3'],
    ['DATABASE_URL', 'mysql://gapura:sandi-basis-data@db/gapura'],
    ['DATABASE_URL', 'postgres://gapura:sandi-basis-data@db'],
    ['DATABASE_URL', 'sandi-basis-data'],
    ['GAPURA_DATABASE_POOL', '0'],
    ['GAPURA_DATABASE_POOL', '1.5'],
    ['GAPURA_SECRETS', 'rahasia-pendek'],
    ['GAPURA_SECRETS', `${secret},rahasia-pendek`],
    ['GAPURA_SECRETS', ',,'],
    ['GAPURA_TRUSTED_PROXIES', '10.0.0.0/33'],
    ['GAPURA_TRUSTED_PROXIES', '10.0.0.0/8/8'],
    ['GAPURA_TRUSTED_PROXIES', 'fd00::/129'],
    ['GAPURA_TRUSTED_PROXIES', 'proxy.contoh.example'],
    ['GAPURA_CLIENT_CERTIFICATE_HEADER', 'Authorization'],
    ['GAPURA_CLIENT_CERTIFICATE_HEADER', 'X-Forwarded-For'],
    ['GAPURA_CLIENT_CERTIFICATE_HEADER', 'X-SSL Client'],
    ['GAPURA_LOG_LEVEL', 'nyaring'],
    ['GAPURA_SMTP_URL', 'surat.contoh.example:587'],
    ['GAPURA_SMTP_URL', 'https://gapura:sandi-surat@surat.contoh.example'],
    ['GAPURA_SMTP_URL', 'smtp:///jalan'],
    ['GAPURA_SMTP_URL', 'smtp://gapura:sandi%zz@surat.contoh.example'],
    ['GAPURA_SMTP_URL', 'smtp://surat.contoh.example?tls=false'],
    ['GAPURA_MAIL_FROM', 'pengirim'],
    ['GAPURA_MAIL_FROM', 'Gapura <a@contoh.example>, <b@contoh.example>'],
    ['GAPURA_MAIL_FROM', 'a@contoh.example, b@contoh.example'],
    ['GAPURA_MAIL_FROM', 'Gapura\nBcc: a@contoh.example <b@contoh.example>'],
    ['GAPURA_TIME_ZONE', 'Asia/Atlantis'],
  ])('%s=%s', (name, value) => {
    const problems = problemsOf({ ...good, [name]: value });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(new RegExp(`^${name} .+\\.$`));
    expect(problems[0]).not.toContain(value);
    expect(problems[0]).not.toContain('sandi');
    expect(problems[0]).not.toContain('rahasia');
  });

  test.each(['GAPURA_URL', 'DATABASE_URL', 'GAPURA_SECRETS', 'GAPURA_SMTP_URL', 'GAPURA_MAIL_FROM'])(
    '%s is missing',
    (name) => {
      for (const value of [undefined, '']) {
        const problems = problemsOf({ ...good, [name]: value });
        expect(problems).toHaveLength(1);
        expect(problems[0]).toMatch(new RegExp(`^${name} is missing\\. `));
      }
    },
  );

  test('a certificate that is told by nobody we trust, or a verdict on none', () => {
    const header = { GAPURA_CLIENT_CERTIFICATE_HEADER: 'X-SSL-Client-Cert' };
    const verdict = { GAPURA_CLIENT_CERTIFICATE_VERDICT_HEADER: 'X-SSL-Client-Verify' };
    const proxies = { GAPURA_TRUSTED_PROXIES: '10.0.0.1' };
    expect(problemsOf({ ...good, ...header })).toEqual([expect.stringMatching(/needs GAPURA_TRUSTED_PROXIES/)]);
    expect(problemsOf({ ...good, ...verdict, ...proxies })).toEqual([expect.stringMatching(/^GAPURA_CLIENT/)]);
    expect(problemsOf({ ...good, ...header, ...verdict, ...proxies })).toEqual([]);
    expect(readConfig({ ...good, ...header, ...proxies }).client_certificate_header).toBe('x-ssl-client-cert');
  });

  test('and all mistakes are told at once', () => {
    const { GAPURA_SMTP_URL, GAPURA_MAIL_FROM } = good;
    const mail = { GAPURA_SMTP_URL, GAPURA_MAIL_FROM };
    const problems = problemsOf({ ...mail, GAPURA_URL: 'x', GAPURA_LISTEN_PORT: 'y', GAPURA_SECRETS: 'z' });
    const names = problems.map((problem) => problem.split(' ')[0]);
    expect(names.sort()).toEqual(['DATABASE_URL', 'GAPURA_LISTEN_PORT', 'GAPURA_SECRETS', 'GAPURA_URL']);
  });
});

describe('a value in a file', () => {
  test('counts without its last line end', () => {
    const path = writeSecretFile('secret', `${secret}\n`);
    const config = readConfig({ ...good, GAPURA_SECRETS: undefined, GAPURA_SECRETS_FILE: path });
    expect(config.secrets.map((one) => one.reveal())).toEqual([secret]);
  });

  test('gives way to the setting itself', () => {
    const path = writeSecretFile('other', other_secret);
    const config = readConfig({ ...good, GAPURA_SECRETS_FILE: path });
    expect(config.secrets.map((one) => one.reveal())).toEqual([secret]);
  });

  test.each([
    ['that is not there', () => join(folder, 'nowhere')],
    ['that is a folder', () => folder],
    ['that is empty', () => writeSecretFile('empty', '\n')],
    ['that holds something wrong', () => writeSecretFile('wrong', 'rahasia-pendek')],
  ])('%s is a mistake in one sentence', (_, path) => {
    const problems = problemsOf({ ...good, GAPURA_SECRETS: undefined, GAPURA_SECRETS_FILE: path() });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(/^GAPURA_SECRETS .+\.$/);
    expect(problems[0]).not.toContain('rahasia-pendek');
  });
});

describe('production refuses', () => {
  test.each([
    'http://sso.contoh.example',
    'http://10.0.0.5:3000',
    'http://127.0.0.1.contoh.example',
    'http://0.0.0.0:3000',
  ])('plain http at %s', (url) => {
    expect(problemsOf({ ...good, GAPURA_URL: url })).toEqual([
      expect.stringMatching(/^GAPURA_URL must begin with https/),
    ]);
    expect(problemsOf({ ...good, GAPURA_URL: url, GAPURA_PRODUCTION: 'false' })).toEqual([]);
  });

  test('a secret of the demonstration, also behind another one', () => {
    const demo = 'demo-0123456789-0123456789-0123456789';
    for (const secrets of [demo, `${secret},${demo}`]) {
      const problems = problemsOf({ ...good, GAPURA_SECRETS: secrets });
      expect(problems).toEqual([expect.stringMatching(/^GAPURA_SECRETS /)]);
      expect(problems[0]).not.toContain(demo);
      expect(problemsOf({ ...good, GAPURA_SECRETS: secrets, GAPURA_PRODUCTION: 'false' })).toEqual([]);
    }
  });

  test('but not plain http on this machine itself', () => {
    for (const url of ['http://localhost:3000', 'http://127.0.0.1:3000', 'http://[::1]:3000'])
      expect(problemsOf({ ...good, GAPURA_URL: url })).toEqual([]);
  });
});

test('a name is this machine itself only if it can be no other', () => {
  for (const name of ['localhost', '127.0.0.1', '127.9.9.9', '[::1]']) expect(isLoopback(name)).toBe(true);
  for (const name of ['localhost.contoh.example', '127.0.0.1.nip.io', '10.0.0.1', '[::]', ''])
    expect(isLoopback(name)).toBe(false);
});

test('the printed settings hold every setting and no secret', () => {
  const text = printConfig(readConfig({ ...good, GAPURA_SECRETS: `${secret},${other_secret}` }));
  expect(text).toContain('GAPURA_URL=https://sso.contoh.example\n');
  expect(text).toContain('DATABASE_URL=[redacted]\n');
  expect(text).toContain('GAPURA_SECRETS=[redacted],[redacted]\n');
  for (const hidden of [secret, other_secret, 'sandi-basis-data', 'sandi-surat']) expect(text).not.toContain(hidden);
});

describe('config/example.env', () => {
  test('is what the settings print', () => {
    const text = readFileSync(new URL('../config/example.env', import.meta.url), 'utf8');
    expect(text).toBe(exampleEnv());
  });

  test('has every setting once, and its defaults are those that hold', () => {
    const lines = exampleEnv().matchAll(/^#?([A-Z][A-Z_]+)=(.*)$/gm);
    const entries = [...lines].map(([, name, value]) => [name, value] as [string, string]);
    const printed = [...printConfig(readConfig(good)).matchAll(/^([A-Z_]+)=/gm)].map(([, name]) => name);
    expect(entries.map(([name]) => name)).toEqual(printed);
    const defaults = Object.fromEntries(entries.filter(([, value]) => value !== ''));
    expect(printConfig(readConfig({ ...defaults, ...good }))).toBe(printConfig(readConfig(good)));
  });
});
