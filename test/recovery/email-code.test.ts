/** The code by mail keeps the contract of every way to recover an account. */

import { afterAll, afterEach, beforeAll } from '@jest/globals';
import { sql } from 'kysely';
import type { Secret } from '../../src/crypto.ts';
import { openLimits } from '../../src/limits/limits.ts';
import { emailCode } from '../../src/recovery/methods/email-code.ts';
import { openRecoveries, type RecoveryStore } from '../../src/recovery/recovery.ts';
import { testRecoveryMethod } from '../contracts/recovery-method.ts';
import { startGapura, type TestGapura } from '../support/gapura.ts';
import { listMails } from '../support/mails.ts';
import { findAccountId } from '../support/nodes.ts';

let gapura: TestGapura;
let store: RecoveryStore;
let sari: string;
let budi: string;

beforeAll(async () => {
  gapura = await startGapura();
  const { db, config } = gapura;
  const limits = openLimits(config.secrets[0] as Secret);
  store = await openRecoveries({ db, jobs: gapura.gapura.jobs, limits }, config);
  [sari, budi] = [await findAccountId(gapura, 'sari'), await findAccountId(gapura, 'budi')];
});

afterEach(async () => {
  await sql`DELETE FROM jobs.job`.execute(gapura.db);
  await gapura.db.deleteFrom('mails').execute();
});

afterAll(() => gapura?.stop());

testRecoveryMethod({
  method: emailCode,
  store: () => store,
  able: () => sari,
  unable: () => budi,
  listSent: () => listMails(gapura),
  countJobs: async () => (await sql`SELECT FROM jobs.job WHERE name = 'mail'`.execute(gapura.db)).rows.length,
  hidden: ['wulandari', 'surat.example', 'budi@'],
});
