/** One offset for every clock of a test: this process's, the engine's, SQL's, and those of server processes. */

import { sql } from 'kysely';
import { moveClock as moveProductClock, now } from '../../src/clock.ts';
import type { Database } from '../../src/database.ts';

/** Another process whose clock goes along; test/support/server.ts has them. */
export interface Movable {
  moveClock(seconds: number): Promise<void>;
}

const readRealClock = Date.now.bind(Date);

/** Sets every clock to `seconds` from the real one (not from where it stands). The database must be the test's own. */
export async function moveClock(db: Database, seconds: number, others: Movable[] = []): Promise<void> {
  moveProcessClock(seconds);
  // STABLE as the real one is: one statement sees one instant.
  await sql`
    CREATE TABLE IF NOT EXISTS test_clock (seconds double precision NOT NULL);
    TRUNCATE test_clock;
    INSERT INTO test_clock VALUES (${sql.lit(seconds)});
    CREATE OR REPLACE FUNCTION gapura_now() RETURNS timestamptz LANGUAGE sql STABLE
      RETURN statement_timestamp() + make_interval(secs => (SELECT seconds FROM test_clock))`.execute(db);
  await Promise.all(others.map((other) => other.moveClock(seconds)));
}

/** Puts every clock right again. */
export function resetClock(db: Database, others: Movable[] = []): Promise<void> {
  return moveClock(db, 0, others);
}

/** Moves this process alone: `Date.now`, which the engine reads, and with it src/clock.ts. */
export function moveProcessClock(seconds: number): void {
  const milliseconds = seconds * 1000;
  Date.now = () => readRealClock() + milliseconds;
  // src/clock.ts has an offset of its own, which counts only for what Date.now does not already give it.
  moveProductClock(0);
  moveProductClock(Math.round((Date.now() - now().getTime()) / 1000));
}
