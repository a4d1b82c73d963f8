/** The faults, a table: what strikes while the crowd works, and when it is over. */

import { setTimeout as wait } from 'node:timers/promises';
import pg from 'pg';
import type { Crowd } from './crowd.ts';
import type { Installation } from './installation.ts';

export interface Fault {
  name: string;
  what: string;
  /** Not even an error with Retry-After may be seen. */
  is_silent?: true;
  /** A request may be cut off in a node that dies; that is the proxy's 502, and never Gapura's. */
  cuts?: true;
  /** Strikes and heals. */
  strike(place: Installation, crowd: Crowd): Promise<Healed>;
}

/** When it was over, from when on people must get on again; and the mails that waited for that, by their ids. */
export interface Healed {
  over: number;
  held?: string[];
}

const over = (): Healed => ({ over: performance.now() });

export const faults: Fault[] = [
  {
    name: 'none',
    what: 'nothing, for comparison',
    is_silent: true,
    strike: () => wait(1000).then(over),
  },
  {
    name: 'mail',
    what: 'the mail server takes connections and says nothing for 12 s',
    is_silent: true,
    async strike({ mailbox, database }, crowd) {
      const speak = mailbox.fallSilent();
      crowd.forget();
      // Longer than a mail server may be silent: what was tried fails, and is tried again by the queue.
      await wait(12_000);
      const open = 'SELECT id FROM mails WHERE sent_at IS NULL AND given_up_at IS NULL';
      const held = (await database.ask<{ id: string }>(open)).map(({ id }) => id);
      speak();
      return { ...over(), held };
    },
  },
  killNodes([0, 1]),
  {
    name: 'worker',
    what: 'a node runs as several processes; one that serves is killed (SIGKILL), then the one that does the jobs',
    cuts: true,
    async strike(place) {
      await place.nodes[0]?.stop();
      await place.restart(0, { command: ['serve', '--work', '--workers', '2'], movable: false });
      const node = place.nodes[0] as Installation['nodes'][number];
      let last = over();
      for (const task of ['serve', 'work']) {
        const started = (line: Record<string, unknown>) => line.msg === 'a worker starts' && line.task === task;
        const { pid, worker } = node.log.find(started) as { pid: number; worker: number };
        process.kill(pid, 'SIGKILL');
        last = over();
        const next = await node.waitForLog((line) => started(line) && Number(line.worker) > worker);
        const is_up = task === 'serve' ? 'ready' : 'working';
        await node.waitForLog((line) => line.msg === is_up && line.worker === next.worker);
        await wait(1000);
      }
      const code = await node.stop();
      if (code !== 0) throw new Error(`a node of several processes ended with ${code}`);
      await place.restart(0);
      return last;
    },
  },
  stopDatabase(['fast', 'immediate']),
  {
    name: 'standby',
    what: 'the primary is killed (SIGKILL), the synchronous standby is promoted',
    async strike({ database }) {
      if (!database.has_standby) await database.attachStandby();
      await wait(1000);
      await database.failOver();
      return over();
    },
  },
  {
    name: 'follower',
    what: 'the synchronous standby is killed (SIGKILL); for 3 s commits wait for it, then it is taken off the list',
    is_silent: true,
    async strike({ database }) {
      if (!database.has_standby) await database.attachStandby();
      await wait(1000);
      await database.loseStandby(() => wait(3000));
      return over();
    },
  },
  {
    name: 'pool',
    what: 'sessions are locked from outside for 7 s, so that every connection of the nodes waits',
    async strike({ database }) {
      const holder = new pg.Client({ connectionString: database.url });
      await holder.connect();
      try {
        await holder.query('BEGIN; LOCK TABLE oidc_sessions IN ACCESS EXCLUSIVE MODE');
        await wait(7000);
      } finally {
        await holder.end();
      }
      return over();
    },
  },
  {
    name: 'clock',
    what: "one node's clock is two minutes ahead, then two minutes behind",
    is_silent: true,
    async strike({ nodes: [, node] }) {
      for (const seconds of [120, -120]) {
        await node?.moveClock(seconds);
        await wait(2500);
      }
      await node?.moveClock(0);
      return over();
    },
  },
  {
    name: 'keys',
    what: 'new signing keys are published, then sign',
    is_silent: true,
    async strike({ command, database }) {
      const current = `SELECT kid FROM signing_keys WHERE state = 'current' ORDER BY kid`;
      const before = await database.ask(current);
      await command('rotate-keys');
      await wait(1500);
      // Stands for the day for which they are published before they sign.
      await database.ask(`UPDATE signing_keys SET created_at = created_at - interval '2 days' WHERE state = 'next'`);
      await command('rotate-keys');
      await wait(1500);
      const after = await database.ask(current);
      const is_turned =
        after.length === before.length && after.every(({ kid }) => !before.some((one) => one.kid === kid));
      if (!is_turned) throw new Error('the keys did not turn');
      return over();
    },
  },
  {
    name: 'migration',
    what: 'the next schema: new columns, a table, indexes and a trigger, under the tables in use; then a node stops and starts',
    is_silent: true,
    async strike(place) {
      for (const statement of nextSchema(Math.floor(performance.now()))) {
        await place.database.ask(statement);
        await wait(100);
      }
      await wait(500);
      const code = await place.nodes[0]?.stop();
      if (code !== 0) throw new Error(`a node ended with ${code}`);
      await place.restart(0);
      return over();
    },
  },
];

/** Kills nodes one after the other, each when the one before is well again. */
export function killNodes(which: (0 | 1)[]): Fault {
  return {
    name: 'kill',
    what: 'a node is killed (SIGKILL) and started again, then the other',
    cuts: true,
    async strike(place) {
      let last = over();
      for (const at of which) {
        await place.nodes[at]?.kill();
        last = over();
        // The other alone must carry everybody.
        await wait(1000);
        await place.restart(at);
      }
      return last;
    },
  };
}

/** Stops PostgreSQL in each of these ways, for a second. */
export function stopDatabase(modes: ('fast' | 'immediate')[]): Fault {
  return {
    name: 'database',
    what: 'PostgreSQL is stopped for a second and started again, fast and then immediate',
    async strike({ database }) {
      for (const [at, mode] of modes.entries()) {
        if (at > 0) await wait(2000);
        await database.stop(mode);
        await wait(1000);
        await database.start();
      }
      return over();
    },
  };
}

const hot_tables = [
  'oidc_records',
  'oidc_sessions',
  'sign_ins',
  'accounts',
  'clients',
  'links',
  'proofs',
  'mails',
  'limits',
];

/** What a release may change while the one before it runs: it adds, and takes nothing away. */
function nextSchema(number: number): string[] {
  return [
    ...hot_tables.map((table) => `ALTER TABLE ${table} ADD COLUMN next_${number} text`),
    `CREATE TABLE next_${number} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL)`,
    `CREATE FUNCTION note_next_${number}() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN INSERT INTO next_${number} (at) VALUES (gapura_now()); RETURN NULL; END $$`,
    ...['links', 'sign_ins'].map(
      (table) =>
        `CREATE TRIGGER next_${number} AFTER INSERT ON ${table} FOR EACH ROW EXECUTE FUNCTION note_next_${number}()`,
    ),
    `CREATE INDEX CONCURRENTLY ON oidc_records (next_${number}) WHERE next_${number} IS NOT NULL`,
    `CREATE INDEX CONCURRENTLY ON audit_events (kind, at)`,
    `INSERT INTO schema_migrations (name) VALUES ('9${String(number).padStart(9, '0')}_next.sql')`,
  ];
}
