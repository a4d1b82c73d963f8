/** A million rows: prints what each list of the console reads then. `node test/bench/growth.ts [rows]`; some minutes. */

import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { accounts } from '../../src/admin/resources/accounts.ts';
import { organisations } from '../../src/admin/resources/organisations.ts';
import { migrate, openDatabase } from '../../src/database.ts';
import { startPostgres } from '../../src/demo/postgres.ts';
import { growAccounts, growOrganisations, openRecorded, planLists } from '../support/growth.ts';

const rows = Number(process.argv[2] ?? 1_000_000);
const folder = await mkdtemp(join(tmpdir(), 'gapura-growth-'));
// Root starts PostgreSQL as another user, who must be able to enter.
await chmod(folder, 0o755);
const postgres = await startPostgres({ folder, user: 'gapura', password: 'gapura', databases: ['gapura'], fast: true });
try {
  const url = postgres.url('gapura');
  const db = openDatabase(url);
  await migrate(db);
  await growOrganisations(db, rows);
  await growAccounts(db, rows);
  await db.destroy();
  const recorded = openRecorded(url);
  const plans = [
    ...(await planLists(recorded, organisations, [`massal ${rows - 1}`, '0900000000', 'kembar'])),
    ...(await planLists(recorded, accounts, [`massal${rows - 1}`, 'budi kembar', 'c4ca4238'])),
  ];
  await recorded.close();
  for (const { what, blocks, scanned, sorts, indexes } of plans) {
    const notes = [scanned.length > 0 ? `reads all of ${scanned}` : '', sorts ? 'sorts' : ''].filter(Boolean);
    console.log(`${String(blocks).padStart(7)} pages  ${what.padEnd(64)} ${indexes.join(' ')} ${notes.join(', ')}`);
  }
} finally {
  await postgres.stop();
  await rm(folder, { recursive: true, force: true });
}
