/** A memory for what is told by clients and what they may: kept while nothing of any of them changes, exact on every node. */

import { nowSeconds } from '../../clock.ts';
import type { Database } from '../../database.ts';
import { versionOfClients } from '../records/one-read.ts';

interface Entry<T> {
  value: T;
  until: number;
}

/** So many at the most; those that were made longest ago go first. */
const most = 10_000;

/**
 * Never older than the request: the number that every change of a client, of an API and of what clients may do there moves
 * (db/migrations/0027, 0029) is read together with what the request came for. So what was switched off or taken back is found so
 * by the next request on every node. What is not there is looked for each time.
 */
export class Kept<T> {
  readonly #entries = new Map<string, Entry<T>>();
  #version: string | undefined;

  /**
   * Gives what is known under a key, else what `find` finds.
   * @param until seconds since the epoch from which on it is not known: an end that comes without a change
   */
  async get(
    db: Database,
    key: string,
    find: () => Promise<T | undefined>,
    until: (value: T) => number = () => Number.POSITIVE_INFINITY,
  ): Promise<T | undefined> {
    const version = await versionOfClients(db);
    // Also where it went back: by a request that began before the last change, or since the database was restored.
    if (version !== this.#version) {
      this.#entries.clear();
      this.#version = version;
    }
    const known = this.#entries.get(key);
    if (known && nowSeconds() < known.until) return known.value;
    const value = await find();
    // Read after its number was: what changed in between is found again with the next number.
    if (value !== undefined && version === this.#version) this.#keep(key, { value, until: until(value) });
    return value;
  }

  #keep(key: string, entry: Entry<T>): void {
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > most && oldest !== undefined) this.#entries.delete(oldest);
  }
}
