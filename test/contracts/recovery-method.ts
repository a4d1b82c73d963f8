/** What every way to recover an account promises: a target always, the same for nobody, a code that reaches its person alone. */

import { randomUUID } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { findAccount } from '../../src/accounts/store.ts';
import { now } from '../../src/clock.ts';
import { inTransaction } from '../../src/database.ts';
import { policies } from '../../src/policy/keys.ts';
import { listWays, type RecoveryMethod, type RecoveryStore } from '../../src/recovery/recovery.ts';

/** A leaf as the suite needs it. */
export interface MethodCase {
  method: RecoveryMethod;
  store: () => RecoveryStore;
  /** Somebody who can recover by it, and somebody who cannot. */
  able: () => string;
  unable: () => string;
  /** What went out, and was not held back, since the test began. */
  listSent: () => Promise<{ to: string; secret: string | undefined; proof_id: string | null }[]>;
  /** How many jobs were enqueued since then, whether they send anything or not. */
  countJobs: () => Promise<number>;
  /** What nobody who only knows the name may see. */
  hidden: string[];
}

/** Runs the suite for one leaf. */
export function testRecoveryMethod({ method, store, able, unable, listSent, countJobs, hidden }: MethodCase): void {
  const code = 'ACDEFGHJ';
  const proof_id = randomUUID();
  const targetsOf = (account_id: string | undefined, name: string) => method.listTargets(store(), account_id, name);

  async function send(account_id: string, name: string): Promise<void> {
    const { db } = store();
    const [target] = await targetsOf(account_id, name);
    const account = target?.id ? await findAccount(db, account_id) : undefined;
    if (!target) throw new Error('no target');
    const expires_at = new Date(now().getTime() + 600_000);
    await inTransaction(db, (tx) => method.sendCode(tx, store(), { account, target, code, proof_id, expires_at }));
  }

  test('has a name, a policy for its place, and stands among the ways', () => {
    expect(method.name).toMatch(/^[a-z]+(-[a-z]+)*$/);
    expect(policies[method.place]).toMatchObject({ unit: 'count', min: 0 });
    expect(listWays()).toContain(method);
  });

  test('names a target for everybody, masked, and an id only where there is one', async () => {
    const [own, none, nobody] = [
      await targetsOf(able(), 'nama'),
      await targetsOf(unable(), 'nama'),
      await targetsOf(undefined, 'nama'),
    ];
    expect(own.every(({ id }) => id !== null)).toBe(true);
    expect(none).toEqual(nobody);
    // One, or two as people have two.
    expect(none.length).toBeGreaterThan(0);
    expect(none.every(({ id }) => id === null)).toBe(true);
    for (const { shown } of [...own, ...none]) {
      expect(shown).toContain('*');
      for (const text of hidden) expect(shown).not.toContain(text);
    }
  });

  test('gives a name that nobody has the same mask every time', async () => {
    expect(await targetsOf(undefined, 'seseorang')).toEqual(await targetsOf(undefined, 'seseorang'));
    expect(await targetsOf(undefined, 'seseorang')).not.toEqual(await targetsOf(undefined, 'selainnya'));
  });

  test('sends the code to its person alone', async () => {
    await send(able(), 'nama');
    const sent = await listSent();
    expect(sent).toHaveLength(1);
    expect(sent[0]?.secret).toBe(code);
    // Or the code would still be sent when nothing can be done with it.
    expect(sent[0]?.proof_id).toBe(proof_id);
  });

  test('costs the same for nobody, and reaches nobody', async () => {
    await send(unable(), 'nama');
    expect([await countJobs(), await listSent()]).toEqual([1, []]);
  });
}
