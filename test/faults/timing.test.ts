/** The comparison of times in its short form: every step, with a handful of tries. No time is promised here, only that it is taken. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { inventName, openSite, type Site } from './site.ts';
import { compareTimes } from './timing.ts';

let database: TestDatabase;
let site: Site;

beforeAll(async () => {
  database = await createTestDatabase();
  site = await openSite(database.db, database.url, 3);
});

afterAll(async () => {
  await site?.stop();
  await database?.drop();
});

test('takes the times of sign-in, of the start of a recovery and of its code, for both kinds of names', async () => {
  const rows = await compareTimes(site, { pairs: 4, dropped: 1, runs: 2 });
  expect(rows.map(({ step }) => step)).toEqual([
    'sign-in: wrong password',
    'recovery: name',
    'recovery: code sent',
    'recovery: wrong code',
  ]);
  for (const { comparison, run } of rows) {
    for (const { min, median, spread } of [comparison.known, comparison.unknown]) {
      expect([min > 0, median >= min, spread >= 0]).toEqual([true, true, true]);
      expect(Number.isFinite(median + spread)).toBe(true);
    }
    // Four of each kind are too few for the ranks to be sure of anything.
    expect([comparison.is_told, run]).toEqual([false, 1]);
    expect(comparison.p).toBeGreaterThan(0.001);
  }
});

test('known names are of people with a way back in, the others of nobody, and both are as long', async () => {
  const names = [...site.known, inventName(0)];
  expect(new Set(names.map((name) => name.length)).size).toBe(1);
  const count = async (names_of: string[]) => {
    const people = site.db.selectFrom('account_identifiers').select('account_id').where('canonical', 'in', names_of);
    return (await people.execute()).length;
  };
  expect([await count(site.known), await count([inventName(0)])]).toEqual([3, 0]);
  // For each recovery of a known name a mail was to go out, for each other one a decoy.
  const mails = await site.db.selectFrom('mails').select(['to_address', 'because']).execute();
  const real = mails.filter(({ because }) => because === null);
  expect([real.length, mails.length - real.length]).toEqual([5, 5]);
  expect(new Set(real.map(({ to_address }) => to_address))).toEqual(
    new Set(site.known.map((name) => `${name}@surat.example`)),
  );
});

describe('a way that lets names be told apart', () => {
  const scale = { pairs: 12, dropped: 2, runs: 3 };
  const isKnown = (name: string) => site.known.includes(name);

  test('is told in every run, and only where it does so', async () => {
    let tries = 0;
    const leak = async (_site: Site, name: string) => {
      tries += 1;
      return { leak: isKnown(name) ? 40 : 5, tight: 20 };
    };
    const rows = await compareTimes(site, scale, [leak]);
    expect(rows.map(({ step, comparison }) => [step, comparison.is_told])).toEqual([
      ['leak', true],
      ['tight', false],
    ]);
    expect(tries).toBe(3 * 2 * 14);
  });

  test('is not told where one run of them shows it to be noise', async () => {
    let tries = 0;
    const noise = async (_site: Site, name: string) => {
      tries += 1;
      return { noise: isKnown(name) && tries <= 2 * 14 ? 40 : 20 };
    };
    const [row] = await compareTimes(site, scale, [noise]);
    expect([row?.run, row?.comparison.is_told, tries]).toEqual([2, false, 2 * 2 * 14]);
  });

  test('is not measured where its answer is another than awaited', async () => {
    const nameless = { ...site, known: [''] };
    const asked = compareTimes(nameless, { ...scale, pairs: 1, dropped: 0 });
    await expect(asked).rejects.toThrow('recovery: 422 where 303 was awaited');
  });
});
