/** The engine's records over a test's database, with nothing of the engine around them. */

import type { Adapter } from 'oidc-provider';
import { createAccount } from '../../src/accounts/account.ts';
import { openClients } from '../../src/clients/client.ts';
import { Secret } from '../../src/crypto.ts';
import { type Database, openDatabase } from '../../src/database.ts';
import { createAdapter } from '../../src/oidc/adapter.ts';
import { type RecordStore, recordKey } from '../../src/oidc/records/store.ts';
import { createTestDatabase } from './postgres.ts';

const config = { secrets: [new Secret('a secret of the tests, long enough')] };

/** What the adapters need, outside of any request; `more` over it. */
export const openRecords = (db: Database, more: Partial<RecordStore> = {}): RecordStore => ({
  db,
  id_key: recordKey(config),
  clients: openClients(db, config),
  request: () => undefined,
  sessionEnded: async () => undefined,
  ...more,
});

/** The adapter of a model, as a node with these connections has it. */
export const adapterFor = (db: Database, model: string): Adapter => createAdapter(openRecords(db), model);

/** A database as two nodes have it, and Tono's account in it; `close` removes it. */
export async function openTwoNodes() {
  const database = await createTestDatabase();
  const other_node = openDatabase(database.url, { max: 10 });
  const { id: tono } = await createAccount(database.db, { username: 'tono', full_name: 'Tono Contoh' });
  return {
    db: database.db,
    other_node,
    tono,
    async close() {
      await other_node.destroy();
      await database.drop();
    },
  };
}
