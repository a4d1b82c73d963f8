/** Gapura as `serve` runs it, in a process that tells its driver the CPU it used and, while asked to, the statements it sends. */

import pg from 'pg';
import { readProcessConfig } from '../../src/config.ts';
import { listen } from '../../src/http/listen.ts';
import { openLog } from '../../src/log.ts';
import { openGapura } from '../../src/server.ts';
import { answerDriver } from './answers.ts';

/** What was sent while it was recorded. */
export interface Recorded {
  /** The texts, in order. */
  sent: string[];
  /** How often a connection that waited for nothing sent something: statements sent behind each other share a trip. */
  trips: number;
}

const config = readProcessConfig();
const gapura = await openGapura(config, openLog(config));
await listen(gapura.app, config.listen_host, config.listen_port);

/** As much of a connection of `pg` as is recorded: each of these sends one question, and `readyForQuery` ends its answer. */
interface Wire {
  query(...parts: unknown[]): unknown;
  sync(...parts: unknown[]): unknown;
  on(event: 'readyForQuery', listener: () => void): unknown;
}

// Only while statements are listed; the measured passes run the driver of PostgreSQL as it is.
const wire = pg.Connection.prototype as unknown as Wire;
const as_it_is = { statement: pg.Client.prototype.query, query: wire.query, sync: wire.sync };
let recorded: Recorded = { sent: [], trips: 0 };
const unanswered = new WeakMap<Wire, number>();

/** Whether a connection serves requests: the watch for changes and the job queues ask by themselves, over their own. */
const servesRequests = (client: pg.Client) =>
  (client as unknown as { connectionParameters: { application_name: string } }).connectionParameters
    .application_name === 'gapura';
const of_requests = new WeakSet<Wire>();
/** What a connection is told when it opens, which no step asks for. */
const isGreeting = (text: unknown) => typeof text === 'string' && text.startsWith('SET ');

function countTrip(connection: Wire): void {
  if (!of_requests.has(connection)) return;
  if (!unanswered.has(connection))
    connection.on('readyForQuery', () => {
      unanswered.set(connection, Math.max(0, (unanswered.get(connection) ?? 0) - 1));
    });
  const waits_for = unanswered.get(connection) ?? 0;
  if (waits_for === 0) recorded.trips += 1;
  unanswered.set(connection, waits_for + 1);
}

answerDriver({
  record() {
    recorded = { sent: [], trips: 0 };
    pg.Client.prototype.query = function (this: pg.Client, ...parts: unknown[]) {
      const [statement] = parts;
      const text = typeof statement === 'string' ? statement : String((statement as { text?: unknown }).text);
      if (servesRequests(this) && !isGreeting(text)) {
        of_requests.add((this as unknown as { connection: Wire }).connection);
        recorded.sent.push(text);
      }
      return Reflect.apply(as_it_is.statement, this, parts);
    } as typeof as_it_is.statement;
    for (const name of ['query', 'sync'] as const)
      wire[name] = function (this: Wire, ...parts: unknown[]) {
        if (!isGreeting(parts[0])) countTrip(this);
        return Reflect.apply(as_it_is[name], this, parts);
      };
  },
  recorded() {
    pg.Client.prototype.query = as_it_is.statement;
    Object.assign(wire, { query: as_it_is.query, sync: as_it_is.sync });
    return recorded;
  },
});
