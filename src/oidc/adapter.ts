/** The engine's adapter for each of its models: sessions, clients, and everything else. */

import type { Adapter, AdapterPayload } from 'oidc-provider';
import { findClientMetadata } from '../clients/engine-client.ts';
import { dynamicClients, grantAdapter } from './clients/dynamic-clients.ts';
import { findInitialAccessToken } from './clients/initial-tokens.ts';
import { deviceAdapter } from './device/device-codes.ts';
import { type RecordStore, recordAdapter } from './records/store.ts';
import { sessionAdapter } from './sessions/session-adapter.ts';

/** The engine's adapter for one of its models. */
export function createAdapter(store: RecordStore, model: string): Adapter {
  if (model === 'Session') return sessionAdapter(store);
  if (model === 'Client') return clientAdapter(store);
  if (model === 'InitialAccessToken') return { ...unwritten, find: (id) => findInitialAccessToken(store, id) };
  if (model === 'Grant') return grantAdapter(store);
  if (model === 'DeviceCode') return deviceAdapter(store);
  return recordAdapter(store, model);
}

const refuse = async () => {
  throw new Error('written elsewhere: clients by clients/client.ts, initial tokens by oidc/clients/initial-tokens.ts');
};

const unwritten = {
  upsert: refuse,
  consume: refuse,
  destroy: refuse,
  findByUid: refuse,
  findByUserCode: refuse,
  revokeByGrantId: refuse,
};

function clientAdapter(store: RecordStore): Adapter {
  return {
    ...unwritten,
    ...dynamicClients(store),
    find: async (id) => {
      const metadata = await findClientMetadata(store.clients, id);
      return metadata && (JSON.parse(JSON.stringify(metadata)) as AdapterPayload);
    },
  };
}
