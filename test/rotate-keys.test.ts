/** `gapura rotate-keys`: one step at a time for the algorithms that are named, with the time of the next, and nothing in a hurry. */

import { afterAll, afterEach, beforeAll, expect, jest, test } from '@jest/globals';
import { readConfig } from '../src/config.ts';
import { run } from '../src/main.ts';
import { loadSigningKeys } from '../src/oidc/keys/signing-keys.ts';
import { moveClock, resetClock } from './support/clock.ts';
import { createTestDatabase, type TestDatabase } from './support/postgres.ts';
import { test_mail, test_secret } from './support/server.ts';

let database: TestDatabase;

const env = () => ({
  GAPURA_PRODUCTION: 'false',
  GAPURA_URL: 'http://localhost:3000',
  DATABASE_URL: database.url,
  GAPURA_SECRETS: test_secret,
  ...test_mail,
});

beforeAll(async () => {
  database = await createTestDatabase();
  await loadSigningKeys(database.db, readConfig(env()));
});

afterEach(() => resetClock(database.db));
afterAll(() => database.drop());

async function rotate(...options: string[]): Promise<[code: number, out: string[], err: string]> {
  const [out, err]: [string[], string[]] = [[], []];
  jest.spyOn(process.stdout, 'write').mockImplementation((text) => out.push(String(text)) > 0);
  jest.spyOn(process.stderr, 'write').mockImplementation((text) => err.push(String(text)) > 0);
  const code = await run(['rotate-keys', ...options], env());
  jest.restoreAllMocks();
  return [code, out, err.join('')];
}

const statesOf = async (alg: string) => {
  const rows = database.db.selectFrom('signing_keys').select('state').where('alg', '=', alg).orderBy('created_at');
  return (await rows.execute()).map(({ state }) => state);
};

test('publishes, says from when the key may sign, and lets it sign then', async () => {
  const published = await rotate('ES256');
  expect(published).toEqual([0, [expect.stringMatching(/^ES256: [\w-]{43} is published and signs from .+\.\n$/)], '']);
  expect(await statesOf('ES256')).toEqual(['current', 'next']);
  expect(await statesOf('EdDSA')).toEqual(['current']);

  expect(await rotate('ES256')).toEqual([1, [expect.stringContaining('may sign from')], '']);
  await moveClock(database.db, 86_400);
  expect(await rotate('ES256')).toEqual([
    0,
    [expect.stringContaining('signs now; the one before stays published')],
    '',
  ]);
  expect(await statesOf('ES256')).toEqual(['retired', 'current']);
});

test('waits with --now only until nobody can be without the key', async () => {
  await rotate('EdDSA');
  expect(await rotate('--now', 'EdDSA')).toEqual([1, [expect.stringContaining('nothing was done')], '']);
  await moveClock(database.db, 400);
  expect(await rotate('EdDSA')).toEqual([1, [expect.stringContaining('nothing was done')], '']);
  expect(await rotate('--now', 'EdDSA')).toEqual([0, [expect.stringContaining('signs now')], '']);
});

test('tells the audit of every step, and of none that it did not take', async () => {
  const rows = database.db.selectFrom('audit_events').select('detail').where('kind', '=', 'signing_key_turned');
  const noted = (await rows.orderBy('id').execute()).map(({ detail }) => `${detail.alg} ${detail.state}`);
  expect(noted).toEqual(['ES256 published', 'ES256 current', 'EdDSA published', 'EdDSA current']);
});

test.each([['HS256'], ['--sekarang'], ['RS256', 'none']])(
  'refuses what it does not know: %s %s',
  async (...options) => {
    const [code, out, err] = await rotate(...options.filter((option) => option !== undefined));
    expect([code, out]).toEqual([2, []]);
    expect(err).toContain('gapura rotate-keys [--now] [ALGORITHM ...]');
  },
);
