/** The short form of `npm run faults`: a node is killed and the database restarted while people work, and nobody loses anything. */

import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { drawFrom } from './chance.ts';
import { type Installation, openInstallation } from './installation.ts';
import { strikeAll } from './rounds.ts';
import { killNodes, stopDatabase } from './strikes.ts';

// Four servers and a crowd, beside whatever else the run does at the same time.
const slow = 120_000;
const chance = Math.floor(Math.random() * 1e6);
let folder: string;
let place: Installation;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), `gapura-test-${process.pid}-`));
  await chmod(folder, 0o755);
  place = await openInstallation({ folder, people: 4, random: drawFrom(chance) });
}, slow);

afterAll(async () => {
  await place?.close();
  await rm(folder, { recursive: true, force: true });
});

test(
  'a killed node and a restarted database sign nobody out, lose nothing and do nothing twice',
  async () => {
    const outcome = await strikeAll(place, [killNodes([1]), stopDatabase(['immediate'])], { patience: { tries: 15 } });
    const { struck } = outcome;
    // What a killed worker had in its hands is sent a minute or two later; the long form waits for that.
    const differences = outcome.differences.filter((text) => !/did not (arrive|hear)|: codes: /.test(text));
    const broken = [...struck.flatMap((one) => one.broken), ...outcome.broken];
    expect({ chance, differences, broken }).toEqual({ chance, differences: [], broken: [] });
    // It was tried, and it was seen.
    const [, database] = struck;
    expect(outcome.done).toBeGreaterThan(20);
    expect(database?.errors.map(({ status }) => status)).toEqual(['503']);
  },
  slow,
);

test('what was told and is not so is a difference, and so is what was done and not asked for', async () => {
  const [one, other] = place.people;
  one?.links.set('kenari', true);
  if (other) other.tally.sign_in = { sent: 0, told: 0 };
  const differences = await place.compare({ tries: 1 });
  expect(differences).toContain('orang_0: kenari: told linked, and it is not so');
  expect(differences.join('\n')).toMatch(/orang_1: sign_in: asked 0 times, told 0, done [1-9]/);
});
