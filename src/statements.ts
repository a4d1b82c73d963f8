/** Statements of nearly every request: written once by kysely, planned once by PostgreSQL, sent in a row over kept connections. */

import {
  type CompiledQuery,
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type RawBuilder,
} from 'kysely';
import { type Database, lanesOf } from './database.ts';
import type { Lane } from './lines.ts';
import type { Tables } from './tables.ts';

/** What a statement gave: its rows, and how many it wrote or read. */
export interface Answered<Row> {
  rows: Row[];
  count: number;
}

/** A prepared statement; in a transaction it runs there, otherwise in its lane. */
export type Statement<Values, Row> = (db: Database, values: Values) => Promise<Answered<Row>>;

type Builder<Row> = { compile(): CompiledQuery<Row> } | RawBuilder<Row>;

/** The place of a value in the statement, until it is sent. */
class Place {
  readonly key: PropertyKey;

  constructor(key: PropertyKey) {
    this.key = key;
  }
}

const writer = new Kysely<Tables>({
  dialect: {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  },
});

let statements = 0;

/** PostgreSQL cuts what is longer. */
const longest_name = 63;

/**
 * Makes a statement that is written once, on its first use. `build` stands for every later call: what differs between two
 * calls is asked for with `value`, and nothing of it may decide how the statement reads.
 * @param name what errors and the database's own list of plans call it
 */
export function prepare<Values extends object, Row = unknown>(
  name: string,
  lane: Lane,
  build: (db: Database, value: <Key extends keyof Values>(key: Key) => Values[Key]) => Builder<Row>,
): Statement<Values, Row> {
  statements += 1;
  const plan = `${statements} ${name}`.slice(0, longest_name);
  let made: { text: string; keys: (keyof Values)[] } | undefined;
  const make = () => {
    const { sql, parameters } = compile(build(writer, (key) => new Place(key) as Values[typeof key]));
    const keys = parameters.map((place) => {
      if (!(place instanceof Place)) throw new Error(`${name}: a value stands in a statement that is made once`);
      return place.key as keyof Values;
    });
    return { text: sql, keys };
  };
  return async (db, values) => {
    made ??= make();
    const { text, keys } = made;
    return lanesOf(db).send<Row>(lane, { name: plan, text, values: keys.map((key) => values[key]) });
  };
}

function compile<Row>(builder: Builder<Row>): CompiledQuery<Row> {
  return (builder as RawBuilder<Row>).compile(writer);
}
