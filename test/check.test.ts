/** `gapura check`: a line for each part, what to do where it is wrong, and an exit code that a script can read. */

import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createAccount, lockAccount } from '../src/accounts/account.ts';
import { readConfig } from '../src/config.ts';
import { run } from '../src/main.ts';
import { loadSigningKeys } from '../src/oidc/keys/signing-keys.ts';
import { grantRole } from '../src/permissions.ts';
import { moveProcessClock } from './support/clock.ts';
import { createTestDatabase, type TestDatabase } from './support/postgres.ts';
import { test_mail, test_secret } from './support/server.ts';

let database: TestDatabase;
let administrator: string;
let mail: Server;
let written = '';

beforeAll(async () => {
  database = await createTestDatabase();
  const { db } = database;
  const { id } = await createAccount(db, {
    username: 'admin',
    full_name: 'Admin Contoh',
    password: 'Pintu-Terbuka-2026!',
  });
  administrator = id;
  await grantRole(db, id, 'administrator');
  await loadSigningKeys(db, readConfig(env()));
  // As much of a mail server as is asked for its greeting.
  mail = createServer((socket) => {
    socket.on('error', () => undefined).write('220 surat.example ESMTP\r\n');
    socket.on('data', (bytes) => socket.write(`${bytes}`.startsWith('QUIT') ? '221 Bye\r\n' : '250 surat.example\r\n'));
  }).listen(0, '127.0.0.1');
  await once(mail, 'listening');
});

afterEach(() => {
  moveProcessClock(0);
  jest.restoreAllMocks();
});

afterAll(async () => {
  mail.close();
  await database.drop();
});

function env(changes: Record<string, string> = {}) {
  return {
    GAPURA_PRODUCTION: 'false',
    GAPURA_URL: 'http://localhost:3000',
    DATABASE_URL: database.url,
    GAPURA_SECRETS: test_secret,
    ...test_mail,
    ...(mail ? { GAPURA_SMTP_URL: `smtp://127.0.0.1:${(mail.address() as AddressInfo).port}` } : {}),
    ...changes,
  };
}

async function check(changes: Record<string, string> = {}, options: string[] = []) {
  written = '';
  const keep = (text: unknown) => {
    written += String(text);
    return true;
  };
  jest.spyOn(process.stdout, 'write').mockImplementation(keep);
  jest.spyOn(process.stderr, 'write').mockImplementation(keep);
  const code = await run(['check', ...options], env(changes));
  jest.restoreAllMocks();
  const verdicts = [...written.matchAll(/^(ok|wrong|left) +([a-z ]+?)(?::|$)/gm)].map(
    ([, verdict, name]) => `${verdict} ${name}`,
  );
  return { code, verdicts };
}

const all_well = [
  'ok settings',
  'ok database',
  'ok schema',
  'ok signing keys',
  'ok administrator',
  'ok clock',
  'ok mail server',
];
const but = (name: string) => all_well.map((line) => (line === `ok ${name}` ? `wrong ${name}` : line));

test('where all is well it says so of each part, with the settings and none of their secrets', async () => {
  expect(await check()).toEqual({ code: 0, verdicts: all_well });
  expect(written).toContain('GAPURA_URL=http://localhost:3000');
  expect(written).not.toContain(test_secret);
  expect(written).not.toContain('postgres://');
});

test('settings that are wrong are named one by one', async () => {
  expect(await check({ GAPURA_SECRETS: 'short', GAPURA_URL: '' })).toEqual({
    code: 1,
    verdicts: ['wrong settings', 'wrong settings'],
  });
  expect(written).toContain('GAPURA_SECRETS must hold');
});

test('of a database that does not answer nothing else is told, but the mail server is greeted', async () => {
  const { code, verdicts } = await check({ DATABASE_URL: 'postgres://gapura:x@127.0.0.1:1/gapura' });
  expect([code, verdicts]).toEqual([
    1,
    [
      'ok settings',
      'wrong database',
      'left schema',
      'left signing keys',
      'left administrator',
      'left clock',
      'ok mail server',
    ],
  ]);
});

test('a database without the schema is to be migrated', async () => {
  const empty = await createTestDatabase({ migrated: false });
  try {
    const { code, verdicts } = await check({ DATABASE_URL: empty.url });
    expect([code, verdicts.slice(0, 4)]).toEqual([
      1,
      ['ok settings', 'ok database', 'wrong schema', 'left signing keys'],
    ]);
    expect(written).toContain('gapura migrate');
  } finally {
    await empty.drop();
  }
});

test('keys that the secrets do not open are found before anybody needs them', async () => {
  const other = 'another secret of thirty-two characters or more';
  expect(await check({ GAPURA_SECRETS: other })).toEqual({ code: 1, verdicts: but('signing keys') });
  expect(await check({ GAPURA_SECRETS: `${other},${test_secret}` })).toEqual({ code: 0, verdicts: all_well });
});

describe('an administrator', () => {
  test('who is locked is none', async () => {
    await lockAccount(database.db, administrator, 'locked', { because: 'uji' });
    expect(await check()).toEqual({ code: 1, verdicts: but('administrator') });
    expect(written).toContain('gapura create-admin');
    await database.db.deleteFrom('account_locks').execute();
  });
});

test.each([
  ['behind', -60],
  ['ahead', 60],
])('a clock that is a minute %s is told', async (word, seconds) => {
  moveProcessClock(seconds);
  expect(await check()).toEqual({ code: 1, verdicts: but('clock') });
  expect(written).toMatch(new RegExp(`(59|60|61) seconds ${word}`));
});

test('a mail server that is down is told, and left alone with --offline', async () => {
  const down = { GAPURA_SMTP_URL: 'smtp://127.0.0.1:1' };
  expect(await check(down)).toEqual({ code: 1, verdicts: but('mail server') });
  expect(await check(down, ['--offline'])).toEqual({
    code: 0,
    verdicts: all_well.map((line) => (line === 'ok mail server' ? 'left mail server' : line)),
  });
});

test('explains itself, and takes no option that it does not know', async () => {
  expect((await check({}, ['--help'])).code).toBe(0);
  expect(written).toContain('gapura check [--offline]');
  expect((await check({}, ['--online'])).code).toBe(2);
});
