/** The engine's records over a test's database, with nothing of the engine around them. */

import type { Adapter } from 'oidc-provider';
import { openClients } from '../../src/clients/client.ts';
import { Secret } from '../../src/crypto.ts';
import type { Database } from '../../src/database.ts';
import { createAdapter } from '../../src/oidc/adapter.ts';
import { type RecordStore, recordKey } from '../../src/oidc/records/store.ts';

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
