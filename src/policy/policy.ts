/** The policies as they hold now, read from this process's memory; what officers set on any node arrives within seconds. */

import { type Watch, type WatchLog, watchChanges } from '../changes.ts';
import type { Secret } from '../crypto.ts';
import type { Database } from '../database.ts';
import { type Policy, type PolicyKey, type PolicyValue, policies, type ScopeKind } from './keys.ts';
import { readPolicies } from './store.ts';

/** Whom or what a value is wanted for; what is left out has no value of its own. */
export interface PolicyPlace {
  role?: string | undefined;
  organisation_id?: string | undefined;
  agency_code?: string | undefined;
  application_id?: string | undefined;
}

/** What officers have set: by key, then by place as `nameOf` writes it. */
export type SetValues = ReadonlyMap<string, ReadonlyMap<string, unknown>>;

// One for the process, so that hot paths read it without asking anybody.
let set_values: SetValues = new Map();

/** The value that holds in a place: seconds, counts or whatever the unit says; the narrowest place with one of its own wins. */
export function policy<Key extends PolicyKey>(key: Key, place: PolicyPlace = {}): PolicyValue<Key> {
  return decide(set_values, key, policies[key], place) as PolicyValue<Key>;
}

const narrowest_first: readonly [ScopeKind, (place: PolicyPlace) => string | undefined][] = [
  ['application', (place) => place.application_id],
  ['agency', (place) => place.agency_code],
  ['organisation', (place) => place.organisation_id],
  ['role', (place) => place.role],
  ['system', () => ''],
];

/** `policy` over given values and one line of the table. */
export function decide(values: SetValues, key: string, line: Policy, place: PolicyPlace): unknown {
  const own = values.get(key);
  if (!own) return line.default;
  for (const [kind, idIn] of narrowest_first) {
    if (kind !== 'system' && !line.narrower?.includes(kind)) continue;
    const id = idIn(place);
    const value = id === undefined ? undefined : own.get(`${kind} ${id}`);
    if (value !== undefined) return value;
  }
  return line.default;
}

/**
 * Reads what officers have set, and again after every change on any node, until it is closed; from then on the release's own
 * values hold. While the database is away those that were read last stand.
 * @throws what pg throws when it cannot be reached
 */
export async function openPolicies(
  db: Database,
  { database_url }: { database_url: Secret },
  log?: WatchLog,
): Promise<Watch> {
  const watch = await watchChanges(
    database_url,
    ['policies'],
    async () => {
      set_values = await readPolicies(db);
    },
    log,
  );
  return {
    async close() {
      await watch.close();
      set_values = new Map();
    },
  };
}
