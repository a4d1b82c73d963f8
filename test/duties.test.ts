/** Duties: no long one keeps the frequent ones from their turn, none begins after a stop, and a purge takes its turn only. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { runInBatches, runPeriodically } from '../src/duties.ts';
import { createTestDatabase, type TestDatabase } from './support/postgres.ts';

let database: TestDatabase;
const errors: object[] = [];
const log = { error: (fields: object) => void errors.push(fields) };
const hour = 3600;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(() => database.drop());

/** A duty that runs until it is released; what ran stands in `ran`. */
const hold = (ran: string[], name: string, seconds: number) => {
  const gate = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const work = async () => {
    ran.push(name);
    begun.resolve();
    await gate.promise;
  };
  return { ...runPeriodically(database.db, name, seconds, work, log), begun: begun.promise, release: gate.resolve };
};

test('of those that wait for their turn the most frequent goes first, and one that is stopped meanwhile not at all', async () => {
  const ran: string[] = [];
  const long = [hold(ran, 'long', hour)];
  await long[0]?.begun;
  long.push(hold(ran, 'longer', hour));
  await long[1]?.begun;
  const waiting = [hold(ran, 'hourly', hour), hold(ran, 'stopped', 60), hold(ran, 'frequent', 10)];
  const [hourly, stopped, frequent] = waiting;
  const ended = stopped?.stop();
  long[0]?.release();
  await frequent?.begun;
  expect(ran).toEqual(['long', 'longer', 'frequent']);
  for (const duty of [...long, ...waiting]) duty.release();
  await ended;
  await hourly?.begun;
  await Promise.all([...long, ...waiting].map((duty) => duty.stop()));
  expect(ran).toEqual(['long', 'longer', 'frequent', 'hourly']);
  expect(errors).toEqual([]);
});

describe('a purge', () => {
  const count = (left: number) => {
    const state = { left, batches: 0 };
    const purge = async (batch: number) => {
      const deleted = Math.min(batch, state.left);
      state.left -= deleted;
      state.batches += 1;
      return deleted;
    };
    return { state, purge };
  };
  const { signal } = new AbortController();

  test('goes on until a batch is not full, not until nothing more comes', async () => {
    const { state, purge } = count(25);
    await runInBatches(purge, signal, { batch: 10 });
    expect(state).toEqual({ left: 0, batches: 3 });
  });

  test('that has more than fits into its turn leaves the rest to the next', async () => {
    const { state, purge } = count(1e12);
    await runInBatches(purge, signal, { batch: 10, longest_ms: 30 });
    expect(state.batches).toBeGreaterThan(0);
    expect(state.left).toBeGreaterThan(0);
  });

  test('ends with the batch in work when the process stops', async () => {
    const stopping = new AbortController();
    const { state, purge } = count(1e12);
    const last = (batch: number) => {
      stopping.abort();
      return purge(batch);
    };
    await runInBatches(last, stopping.signal, { batch: 10 });
    expect(state.batches).toBe(1);
  });

  test('rests after each batch as long as that took', async () => {
    const { state, purge } = count(1e12);
    const begun = process.uptime();
    let worked = 0;
    const work = async (batch: number) => {
      const before = process.uptime();
      while (process.uptime() - before < 0.02);
      worked += process.uptime() - before;
      return purge(batch);
    };
    await runInBatches(work, signal, { batch: 10, longest_ms: 200 });
    expect(state.batches).toBeGreaterThan(1);
    expect(worked).toBeLessThan((process.uptime() - begun) * 0.6);
  });
});
