/** Clients that registered themselves, as they are written: each change spends its token in the same transaction. */

import { sql } from 'kysely';
import { type Adapter, type AdapterPayload, errors, type KoaContextWithOIDC, Provider } from 'oidc-provider';
import { type AuditKind, record } from '../../audit/audit.ts';
import { deleteDynamicClient, noteAuthorization, saveDynamicClient } from '../../clients/client.ts';
import { addClientSecret, endClientSecrets } from '../../clients/secrets.ts';
import { type Database, inTransaction, type Transaction } from '../../database.ts';
import { type RecordStore, recordAdapter } from '../records/store.ts';
import { endGrantsOfClient, endRegistrationTokens } from '../records/write.ts';
import { spendInitialAccessToken } from './initial-tokens.ts';

/**
 * The writing half of the engine's adapter for clients. The engine looks at a token and uses it later; here it is spent by
 * one statement together with the change, so that of many at once as many come through as it is good for.
 */
export function dynamicClients(store: RecordStore): Pick<Adapter, 'upsert' | 'destroy'> {
  return {
    upsert: (id, payload) =>
      inTransaction(store.db, async (tx) => {
        const oidc = currentRegistration();
        const is_new = oidc.route === 'registration';
        const detail = await spendToken(tx, store, oidc, id);
        if (!(await saveDynamicClient(tx, id, payload, { is_new })))
          throw new errors.InvalidToken('the client is gone');
        await keepSecret(tx, store, oidc, payload);
        await note(tx, store, is_new ? 'client_registered' : 'client_registration_changed', id, detail);
      }),

    destroy: (id) =>
      inTransaction(store.db, async (tx) => {
        await spendToken(tx, store, currentRegistration(), id);
        await removeClient(tx, store, id);
      }),
  };
}

/** The engine's adapter for grants: a grant of a dynamic client says that a person let it in. */
export function grantAdapter(store: RecordStore): Adapter {
  const adapter = recordAdapter(store, 'Grant');
  return {
    ...adapter,
    async upsert(id, payload, expiresIn) {
      await adapter.upsert(id, payload, expiresIn);
      const { client } = Provider.ctx?.oidc ?? {};
      if (client?.origin === 'dynamic') await noteAuthorization(store.db, client.clientId);
    },
  };
}

function currentRegistration(): KoaContextWithOIDC['oidc'] {
  const { oidc } = Provider.ctx ?? {};
  if (!oidc) throw new Error('clients that do not register themselves are written by clients/client.ts');
  return oidc;
}

/** @throws InvalidToken when another request was first */
async function spendToken(
  tx: Transaction,
  store: RecordStore,
  { route, entities }: KoaContextWithOIDC['oidc'],
  client_id: string,
): Promise<Record<string, string>> {
  if (route === 'registration') {
    const initial_token = await spendInitialAccessToken(tx, store, entities.InitialAccessToken?.jti ?? '');
    if (initial_token) return { initial_token };
  } else {
    const token = entities.RegistrationAccessToken?.jti ?? '';
    if (await endRegistrationTokens(tx, store, client_id, token)) return {};
  }
  throw new errors.InvalidToken('the token was used by another request');
}

/** Keeps a secret that the engine has just made; the ones before it end, also where the client shows none any more. */
async function keepSecret(
  tx: Transaction,
  { clients }: RecordStore,
  { client, provider }: KoaContextWithOIDC['oidc'],
  payload: AdapterPayload,
): Promise<void> {
  const id = payload.client_id as string;
  const { needsSecret } = provider.Client as unknown as { needsSecret(metadata: object): boolean };
  // What the engine holds in place of a secret of which there is only a hash comes back as it was.
  const is_new = payload.client_secret !== undefined && payload.client_secret !== client?.clientSecret;
  if (!is_new && needsSecret(payload)) return;
  await endClientSecrets(tx, id);
  if (is_new && needsSecret(payload))
    await addClientSecret({ ...clients, db: tx }, id, payload.client_secret as string);
}

/** Deletes a client with its grants, which end their tokens, and what could change it. */
async function removeClient(tx: Transaction, store: RecordStore, id: string, only_unused = false): Promise<boolean> {
  if (!(await deleteDynamicClient(tx, id, { only_unused }))) return false;
  await endGrantsOfClient(tx, id);
  await endRegistrationTokens(tx, store, id);
  await note(tx, store, 'client_registration_removed', id, only_unused ? { because: 'unused' } : {});
  return true;
}

function note(tx: Transaction, store: RecordStore, kind: AuditKind, client_id: string, detail: Record<string, string>) {
  return record(tx, { kind, client_id, detail, request: store.request()?.sent_by });
}

const unused_days = 30;

/**
 * Removes up to `batch` clients that registered themselves a month ago and that nobody has let in since; a worker's duty.
 * @returns how many were removed
 */
export async function removeUnusedClients(store: RecordStore, batch = 100): Promise<number> {
  let removed = 0;
  for (const id of await listUnused(store.db, batch)) {
    if (await inTransaction(store.db, (tx) => removeClient(tx, store, id, true))) removed += 1;
  }
  return removed;
}

async function listUnused(db: Database, batch: number): Promise<string[]> {
  const rows = await db
    .selectFrom('clients')
    .select('id')
    .where('origin', '=', 'dynamic')
    .where('authorized_at', 'is', null)
    .where('created_at', '<', sql<Date>`gapura_now() - make_interval(days => ${unused_days})`)
    .limit(batch)
    .execute();
  return rows.map(({ id }) => id);
}
