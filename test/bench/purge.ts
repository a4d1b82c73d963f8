/** Rows: whether records are purged as fast as they are made, and what people notice of it. */

import { setTimeout as wait } from 'node:timers/promises';
import { sql } from 'kysely';
import type { Database } from '../../src/database.ts';
import { runInBatches } from '../../src/duties.ts';
import { purgeRecords } from '../../src/oidc/records/write.ts';
import { purgeSessions } from '../../src/oidc/sessions/session-store.ts';
import { readUserinfo, redeem } from './calls.ts';
import { growExpired } from './crowd.ts';
import { judgeAlone, judgePairs } from './figures.ts';
import { authorize, type Visitor } from './flows.ts';
import type { Grown } from './growth.ts';
import { type Found, inTurns, takePairs } from './measure.ts';
import { signInAll, signInNew } from './sign-in.ts';
import { percentile } from './storm.ts';

interface Purged {
  records: number;
  /** µs until there was nothing left, or the turn was over; with the rests between two batches. */
  elapsed: number;
  /** µs of the longest statement. */
  longest: number;
}

const probe_seconds = 8;
/** A duty's turn lasts 10 s at most, and the next comes after 60 s (worker.ts): so much slower is it in the long run. */
const turns = (10 + 60) / 10;

/** Makes `expired` records whose time is over, purges them under way, and sets one beside the other. */
export async function measurePurge(grown: Grown, expired: number, pairs: number): Promise<Found> {
  const { db, site, people, template } = grown;
  const visitors = await signInAll(site, people, 16);
  const made = await makeRecords(grown, visitors);
  const purges: Purged[] = [];
  const probe = () => probeSteadily(grown, visitors);
  const rounds = Math.min(pairs, 3);
  let round = 0;
  await probe();
  const taken = await takePairs(rounds, probe, async () => {
    round += 1;
    await growExpired(db, template, Math.ceil(expired / rounds / 2), String(round));
    const [latency, purged] = await whilePurging(db, probe);
    purges.push(purged);
    return latency;
  });
  const each = purges.map(({ records, elapsed }) => (turns * elapsed) / records);
  const rowOf = (what: 'sign_in' | 'single_sign_on', work: string) =>
    judgePairs(
      { work, measure: 'ratio', target: 1.5 },
      taken.map(({ floor, ours }) => ({ floor: floor[what], ours: ours[what] })),
    );
  const total = purges.reduce((sum, { records }) => sum + records, 0);
  return {
    rows: [
      judgePairs(
        {
          work: 'purging a record in the long run, over the time in which one node makes one',
          measure: 'ratio',
          target: 1,
        },
        each.map((ours) => ({ floor: made, ours })),
      ),
      judgeAlone(
        { work: 'longest statement of a purge', unit: 'µs', target: 250_000 },
        purges.map(({ longest }) => longest),
      ),
      rowOf('sign_in', `password sign-in, p99 during a purge of ${total} records`),
      rowOf('single_sign_on', `single sign-on, p99 during a purge of ${total} records`),
    ],
  };
}

/** µs in which a record comes to be, with single sign-on at full speed. */
async function makeRecords({ db, site }: Grown, visitors: Visitor[]): Promise<number> {
  const flows = 600;
  const count = async () => {
    const { rows } = await sql<{ count: number }>`SELECT count(*)::int AS count FROM oidc_records`.execute(db);
    return rows[0]?.count ?? 0;
  };
  const before = await count();
  const began = performance.now();
  await inTurns(visitors.length, flows, async (_at, who) => {
    await readUserinfo(site, (await redeem(site, await authorize(site, visitors[who] as Visitor))).access_token);
  });
  const elapsed = (performance.now() - began) * 1000;
  return elapsed / ((await count()) - before);
}

/** Purges as the duties do, batch after batch, for as long as `work` lasts; records are counted. */
async function whilePurging<T>(db: Database, work: () => Promise<T>): Promise<[T, Purged]> {
  const purged: Purged = { records: 0, elapsed: 0, longest: 0 };
  const stopping = new AbortController();
  const turn = { longest_ms: probe_seconds * 1000 };
  const timed = (purge: typeof purgeRecords) => async (batch: number) => {
    const began = performance.now();
    const count = await purge(db, batch);
    purged.longest = Math.max(purged.longest, (performance.now() - began) * 1000);
    if (purge === purgeRecords) purged.records += count;
    return count;
  };
  const began = performance.now();
  const purging = [
    runInBatches(timed(purgeRecords), stopping.signal, turn).then(() => {
      purged.elapsed = (performance.now() - began) * 1000;
    }),
    runInBatches(timed(purgeSessions), stopping.signal, turn),
  ];
  const result = await work().finally(() => stopping.abort());
  await Promise.all(purging);
  return [result, purged];
}

/** p99 in µs of sign-ins and of single sign-ons that come at a steady pace. */
async function probeSteadily({ site, people }: Grown, visitors: Visitor[]) {
  const taken: Record<'sign_in' | 'single_sign_on', number[]> = { sign_in: [], single_sign_on: [] };
  const asked: Promise<void>[] = [];
  const ask = async (what: keyof typeof taken, work: () => Promise<unknown>) => {
    const began = performance.now();
    await work();
    taken[what].push((performance.now() - began) * 1000);
  };
  const singleSignOn = async (at: number) =>
    readUserinfo(
      site,
      (await redeem(site, await authorize(site, visitors[at % visitors.length] as Visitor))).access_token,
    );
  const per_second = 24;
  const began = performance.now();
  for (let at = 0; at < probe_seconds * per_second; at++) {
    await wait(Math.max(0, (at * 1000) / per_second - (performance.now() - began)));
    asked.push(
      at % 4 === 0 ? ask('sign_in', () => signInNew(site, people, at)) : ask('single_sign_on', () => singleSignOn(at)),
    );
  }
  await Promise.all(asked);
  return { sign_in: percentile(taken.sign_in, 0.99), single_sign_on: percentile(taken.single_sign_on, 0.99) };
}
