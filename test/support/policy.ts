/** A policy set in a test's database, as an officer would. */

import { type Database, inTransaction } from '../../src/database.ts';
import type { PolicyKey } from '../../src/policy/keys.ts';
import { policy } from '../../src/policy/policy.ts';
import { setPolicy, whole_system } from '../../src/policy/store.ts';

/** Sets a value for the whole system and waits until this process reads it, which needs `openPolicies` or a Gapura in it. */
export async function setTestPolicy(db: Database, key: PolicyKey, value: number | boolean | string): Promise<void> {
  const row = await db.selectFrom('policy_values').select('version').where('key', '=', key).executeTakeFirst();
  const change = { key, scope: whole_system, version: row?.version ?? 0, by: null, because: 'a test' };
  const outcome = await inTransaction(db, (tx) => setPolicy(tx, { ...change, value }));
  if (outcome.state !== 'done') throw new Error(`${key} was not set: ${JSON.stringify(outcome)}`);
  while (policy(key) !== value) await new Promise((resolve) => setTimeout(resolve, 10));
}
