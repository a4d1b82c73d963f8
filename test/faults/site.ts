/** A Gapura to take times from: a process of its own, with people of whom every one has a way back in. */

import { seed } from '../../db/seed.ts';
import { createAccount } from '../../src/accounts/account.ts';
import { readConfig } from '../../src/config.ts';
import { type Database, inTransaction } from '../../src/database.ts';
import { findFreePort } from '../../src/demo/postgres.ts';
import { setPolicy, whole_system } from '../../src/policy/store.ts';
import { saveProvenAddress } from '../../src/recovery/addresses.ts';
import { startServer, test_mail, test_secret } from '../support/server.ts';

export interface Site {
  url: string;
  db: Database;
  /** Names that somebody has, as long as those that nobody has. */
  known: string[];
  stop(): Promise<void>;
}

/** The settings under which a database is prepared and filled. */
export const settingsOf = (database_url: string, port = 4000) => ({
  GAPURA_PRODUCTION: 'false',
  GAPURA_URL: `http://localhost:${port}`,
  DATABASE_URL: database_url,
  GAPURA_SECRETS: test_secret,
  ...test_mail,
});

const nameOf = (kind: 'orang' | 'bukan', at: number) => `${kind}_${String(at).padStart(5, '0')}`;

/** A name that nobody has, another for each try. */
export const inventName = (at: number) => nameOf('bukan', at);

/** Fills a migrated database with `people`, and starts the server over it; `db` stays the caller's to close. */
export async function openSite(db: Database, database_url: string, people = 24): Promise<Site> {
  const port = await findFreePort();
  await seed(db, readConfig(settingsOf(database_url, port)));
  const known = Array.from({ length: people }, (_, at) => nameOf('orang', at));
  for (const username of known) {
    const person = { username, password: 'Pintu-Terbuka-2026!', full_name: `Orang ${username}` };
    const email = { email: `${username}@contoh.example`, email_verified: true };
    const { id } = await createAccount(db, { ...person, ...email });
    await saveProvenAddress(db, id, `${username}@surat.example`);
  }
  // So many tries would be asked for a picture; that check counts alike for every name and has tests of its own.
  const change = { scope: whole_system, version: 0, by: null, because: 'timing' };
  const set = await inTransaction(db, (tx) => setPolicy(tx, { ...change, key: 'human_check.when', value: 'never' }));
  if (set.state !== 'done') throw new Error(`the policy was not set: ${JSON.stringify(set)}`);
  const server = await startServer({ database_url, port });
  return { url: server.url, db, known, stop: async () => void (await server.stop()) };
}
