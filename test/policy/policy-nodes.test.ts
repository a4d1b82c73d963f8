/** What officers set holds on every node within seconds, whatever happens to the connections that listen for it. */

import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { inTransaction } from '../../src/database.ts';
import { clearPolicy, setPolicy, whole_system } from '../../src/policy/store.ts';
import { startNodes, type TestNodes } from '../support/gapura.ts';
import { askNode, openApp, until } from '../support/nodes.ts';

let gapura: TestNodes;
let address: string;
let version = 0;

beforeAll(async () => {
  gapura = await startNodes();
  address = (await (await openApp(gapura, 'kebijakan')).begin()).address;
});

afterEach(async () => {
  await inTransaction(gapura.db, (tx) =>
    clearPolicy(tx, { key: 'interaction.lifetime', scope: whole_system, version }),
  );
  version = 0;
});

afterAll(() => gapura.stop());

/** How long a sign-in page that a node opens now can be used, as its cookie says. */
const lifetimeAt = async (at: number) => {
  const { cookies, headers } = await askNode(gapura, at, address);
  const expires = /; expires=([^;]+)/i.exec(cookies.find((line) => line.startsWith('gapura_interaction=')) ?? '')?.[1];
  return Math.round((Date.parse(expires ?? '') - Date.parse(headers.date ?? '')) / 60_000);
};

const setMinutes = async (minutes: number) => {
  const change = { key: 'interaction.lifetime', scope: whole_system, because: 'x', by: null } as const;
  const outcome = await inTransaction(gapura.db, (tx) => setPolicy(tx, { ...change, version, value: minutes * 60 }));
  if (outcome.state !== 'done') throw new Error(JSON.stringify(outcome));
  version = outcome.version;
  return performance.now();
};

const expectBoth = async (minutes: number, since: number) => {
  await until(async () => (await Promise.all([0, 1].map(lifetimeAt))).every((one) => one === minutes));
  expect(performance.now() - since).toBeLessThan(5000);
};

test('a change is seen on both, and its end too', async () => {
  expect(await Promise.all([0, 1].map(lifetimeAt))).toEqual([60, 60]);
  await expectBoth(10, await setMinutes(10));
  await expectBoth(25, await setMinutes(25));
});

test('a change is seen on both whose listening connections were cut', async () => {
  const { rows } = await sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'gapura changes'`.execute(gapura.db);
  // One for the policies and one for the signing keys of each.
  expect(rows).toHaveLength(4);
  await expectBoth(15, await setMinutes(15));
});

test('a node that starts has it from its first request on', async () => {
  await setMinutes(20);
  await gapura.restart(1);
  expect(await lifetimeAt(1)).toBe(20);
});
