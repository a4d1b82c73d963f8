/** The engine's adapter for each of its models: sessions, clients, and everything else. */

import type { Adapter, AdapterPayload } from 'oidc-provider';
import { findClientMetadata } from '../clients/client.ts';
import { sessionAdapter } from './session-store.ts';
import { type RecordStore, recordAdapter } from './store.ts';

/** The engine's adapter for one of its models. */
export function createAdapter(store: RecordStore, model: string): Adapter {
  if (model === 'Session') return sessionAdapter(store);
  if (model === 'Client') return clientAdapter(store);
  return recordAdapter(store, model);
}

function clientAdapter({ clients }: RecordStore): Adapter {
  const refuse = async () => {
    throw new Error('clients are written by clients/client.ts');
  };
  return {
    find: async (id) => {
      const metadata = await findClientMetadata(clients, id);
      return metadata && (JSON.parse(JSON.stringify(metadata)) as AdapterPayload);
    },
    upsert: refuse,
    consume: refuse,
    destroy: refuse,
    findByUid: refuse,
    findByUserCode: refuse,
    revokeByGrantId: refuse,
  };
}
