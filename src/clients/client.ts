/** The relying applications as they are registered: made, changed, switched off and removed, each version once. */

import { sql } from 'kysely';
import type { Config } from '../config.ts';
import { deriveKeys } from '../crypto.ts';
import type { Database, Transaction } from '../database.ts';
import type { Refusals } from './addresses.ts';
import { bumped, columnsOf, is_changed } from './columns.ts';
import { ownMetadata } from './engine-client.ts';
import { asValidated, findRefusals, type Validate } from './engine-rules.ts';
import { keepRemoved, lockClientId, wasRemoved } from './removed.ts';

/** A client as it is registered: its metadata in the words of OpenID Connect Dynamic Registration, and what we add. */
export interface ClientRegistration {
  id: string;
  metadata: Record<string, unknown>;
  agency_code?: string | null;
  /** First-party clients are not asked for consent. */
  first_party?: boolean;
  /** The client must know for which directorate of its agency the person acts. */
  directorate_required?: boolean;
  link_required?: boolean;
  /** Origins that its own redirects lead to after the engine's (DESIGN: pages), for the form-action of our pages. */
  form_action_origins?: string[];
  /** What it may do for itself at the interface for programs. */
  api_role?: 'administrator' | 'agency_officer' | null;
  /** Held to the FAPI 2.0 Security Profile. */
  fapi?: boolean;
  /** Must prove with the code that it began the request (RFC 7636); only an old one that keeps a secret may go without. */
  pkce_required?: boolean;
  /** Whether each use of a refresh token replaces it, and for how many seconds the replaced one still gets an answer. */
  refresh_rotation?: 'rotate' | 'keep';
  refresh_grace?: number;
  /** The shape of what it is told: the standard's, or that of today's gateway (`insw`). */
  claim_shape?: 'standard' | 'insw';
  /** Hosts (host or host:port) on private networks to which its notices of a sign-out may go. */
  private_hosts?: string[];
  /** Who wrote it first; `own` ones are the release's and can be changed by nothing else. */
  origin?: 'own' | 'console' | 'dynamic' | 'submission';
}

/** What reads and writes clients: the database and the keys that hash and seal their secrets. */
export interface ClientStore {
  db: Database;
  hash_keys: Buffer[];
  seal_keys: Buffer[];
}

export function openClients(db: Database, config: Pick<Config, 'secrets'>): ClientStore {
  return {
    db,
    hash_keys: deriveKeys(config.secrets, 'client secrets'),
    seal_keys: deriveKeys(config.secrets, 'client secrets sealed'),
  };
}

/** How a registration ended. `errors` are message keys by the fields of `clientSchema`, or under `form`. */
export type Registered =
  | { state: 'kept'; version: number }
  | { state: 'refused'; errors: Refusals }
  /** Somebody else changed it since `version`. */
  | { state: 'conflict' }
  | { state: 'unknown' };

/** Registers a client: our rules, then the engine's, then the row; an id that is or ever was taken is refused beside its field. */
export async function createClient(
  tx: Transaction,
  registration: ClientRegistration,
  validate: Validate,
): Promise<Registered> {
  const errors = await findRefusals(tx, registration, validate);
  if (errors) return { state: 'refused', errors };
  await lockClientId(tx, registration.id);
  if (await wasRemoved(tx, registration.id)) {
    return { state: 'refused', errors: { client_id: 'errors.client.id_removed' } };
  }
  const row = await tx
    .insertInto('clients')
    .values({ id: registration.id, origin: registration.origin ?? 'console', ...columnsOf(registration) })
    .onConflict((conflict) => conflict.doNothing())
    .returning('version')
    .executeTakeFirst();
  return row ? { state: 'kept', ...row } : { state: 'refused', errors: { client_id: 'errors.client.id_taken' } };
}

/**
 * Changes a client as a whole, if it still is the version that somebody saw; without a version, as it stands. Where it came
 * from stays. The engine reads clients at every request, so the change holds on every node from the commit on.
 */
export async function changeClient(
  tx: Transaction,
  registration: ClientRegistration,
  validate: Validate,
  version?: number,
): Promise<Registered> {
  const { id } = registration;
  const known = await tx.selectFrom('clients').select(['origin', 'version']).where('id', '=', id).executeTakeFirst();
  if (!known) return { state: 'unknown' };
  if (known.origin === 'own') return { state: 'refused', errors: { form: 'errors.client.own' } };
  const errors = await findRefusals(tx, { ...registration, origin: known.origin }, validate);
  if (errors) return { state: 'refused', errors };
  const row = await tx
    .updateTable('clients')
    .set({ ...columnsOf(registration), ...bumped })
    .where('id', '=', id)
    .where('version', '=', version ?? known.version)
    .returning('version')
    .executeTakeFirst();
  return row ? { state: 'kept', ...row } : { state: 'conflict' };
}

/**
 * Writes a client whose metadata is code: our own and the demonstration's. A known one is replaced, its secrets stay.
 * @throws what `validate` throws
 */
export async function saveClient(
  { db }: ClientStore,
  registration: ClientRegistration,
  validate?: Validate,
): Promise<void> {
  const { id, origin = 'console' } = registration;
  await validate?.(asValidated(registration));
  const columns = { ...columnsOf(registration), origin };
  await db
    .insertInto('clients')
    .values({ id, ...columns })
    .onConflict((conflict) =>
      conflict
        .column('id')
        .doUpdateSet({ ...columns, version: sql`clients.version + 1`, updated_at: sql`gapura_now()` })
        .where(is_changed),
    )
    .execute();
}

/** Ends what a client was granted: its codes and tokens with it. It is the engine's, so it is handed in. */
export type EndGrants = (tx: Transaction, client_id: string) => Promise<unknown>;

/** Why a client was not switched or removed. */
export type Switched = { state: 'done' } | { state: 'refused'; because: 'unknown' | 'own' | 'already' };

/** Switches a client off: it is unknown to the engine from the commit on, and whatever it was granted has ended. */
export async function disableClient(
  tx: Transaction,
  id: string,
  { by, because }: { by: string | null; because: string },
  endGrants: EndGrants,
): Promise<Switched> {
  const { numUpdatedRows } = await tx
    .updateTable('clients')
    .set({ active: false, disabled_at: sql`gapura_now()`, disabled_by: by, disabled_because: because, ...bumped })
    .where('id', '=', id)
    .where('active', '=', true)
    .where('origin', '<>', 'own')
    .executeTakeFirst();
  if (numUpdatedRows === 0n) return { state: 'refused', because: await whyNot(tx, id) };
  await endGrants(tx, id);
  return { state: 'done' };
}

/** Switches a client on again. People sign in anew: what a request under way saved after the end is ended here. */
export async function enableClient(tx: Transaction, id: string, endGrants: EndGrants): Promise<Switched> {
  const { numUpdatedRows } = await tx
    .updateTable('clients')
    .set({ active: true, disabled_at: null, disabled_by: null, disabled_because: null, ...bumped })
    .where('id', '=', id)
    .where('active', '=', false)
    .executeTakeFirst();
  if (numUpdatedRows === 0n) return { state: 'refused', because: await whyNot(tx, id) };
  await endGrants(tx, id);
  return { state: 'done' };
}

/** Removes a client with its secrets and logo, its id for ever; applications that pointed at it stay, and have none. */
export async function deleteClient(tx: Transaction, id: string, endGrants: EndGrants): Promise<Switched> {
  await lockClientId(tx, id);
  const { numDeletedRows } = await tx
    .deleteFrom('clients')
    .where('id', '=', id)
    .where('origin', '<>', 'own')
    .executeTakeFirst();
  if (numDeletedRows === 0n) return { state: 'refused', because: await whyNot(tx, id) };
  await keepRemoved(tx, id);
  await endGrants(tx, id);
  return { state: 'done' };
}

/**
 * Writes what a client says of itself when it registers (`is_new`) or changes; `payload` is the engine's, checked by it. What
 * is ours is left out of it and stays as it is: of a new one, with nothing that would make it trusted.
 * @returns false when a client that was to be changed is gone
 */
export async function saveDynamicClient(
  tx: Transaction,
  id: string,
  payload: Record<string, unknown>,
  { is_new }: { is_new: boolean },
): Promise<boolean> {
  const not_kept = ['client_id', 'client_secret', ...ownMetadata];
  const kept = Object.entries(payload).filter(([name]) => !not_kept.includes(name));
  const columns = columnsOf({ id, metadata: Object.fromEntries(kept) });
  if (is_new) {
    await tx
      .insertInto('clients')
      .values({ id, origin: 'dynamic', ...columns })
      .execute();
    return true;
  }
  const { numUpdatedRows } = await tx
    .updateTable('clients')
    .set({ metadata: columns.metadata, ...bumped })
    .where('id', '=', id)
    .where('origin', '=', 'dynamic')
    .where('active', '=', true)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

/** Removes a client that registered itself, or only if nobody ever let it in; false when there is none to remove. */
export async function deleteDynamicClient(tx: Transaction, id: string, { only_unused = false } = {}): Promise<boolean> {
  await lockClientId(tx, id);
  const { numDeletedRows } = await tx
    .deleteFrom('clients')
    .where('id', '=', id)
    .where('origin', '=', 'dynamic')
    .$if(only_unused, (query) => query.where('authorized_at', 'is', null))
    .executeTakeFirst();
  if (numDeletedRows === 0n) return false;
  await keepRemoved(tx, id);
  return true;
}

/** Notes that a person let a client in that registered itself; from then on it is no longer one that nobody uses. */
export async function noteAuthorization(db: Database, id: string): Promise<void> {
  await db
    .updateTable('clients')
    .set({ authorized_at: sql`gapura_now()` })
    .where('id', '=', id)
    .where('origin', '=', 'dynamic')
    .where('authorized_at', 'is', null)
    .execute();
}

async function whyNot(tx: Transaction, id: string): Promise<'unknown' | 'own' | 'already'> {
  const row = await tx.selectFrom('clients').select('origin').where('id', '=', id).executeTakeFirst();
  return row ? (row.origin === 'own' ? 'own' : 'already') : 'unknown';
}
