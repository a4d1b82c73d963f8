/** A database of its own for each test file, copied from one that was migrated once in the run. */

import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { Secret } from '../../src/crypto.ts';
import { type Database, migrate, openDatabase } from '../../src/database.ts';
import { prepareJobs } from '../../src/jobs.ts';
import { readRunDatabase } from './run.ts';

export interface TestDatabase {
  url: string;
  db: Database;
  /** Closes `db` and removes the database, whoever is still connected. */
  drop(): Promise<void>;
}

const template = 'gapura_template';
const template_lock = 1;

/**
 * Makes an empty database of this release's schema in some 50 ms.
 * @param options.migrated false gives one without any table
 */
export async function createTestDatabase({ migrated = true } = {}): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  await asOwner(async (owner) => {
    if (migrated) await ensureTemplate(owner);
    await owner.query(`CREATE DATABASE ${name} TEMPLATE ${migrated ? template : 'template0'} STRATEGY FILE_COPY`);
  });
  const url = urlOf(name);
  const db = openDatabase(url, { max: 10, application_name: 'test' });
  return {
    url,
    db,
    async drop() {
      await db.destroy();
      await asOwner((owner) => owner.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
    },
  };
}

/** The lock makes one test process migrate while the others wait; the rename makes the template appear whole or not at all. */
async function ensureTemplate(owner: pg.Client): Promise<void> {
  const isThere = async () =>
    (await owner.query('SELECT FROM pg_database WHERE datname = $1', [template])).rows.length > 0;
  if (await isThere()) return;
  await owner.query('SELECT pg_advisory_lock($1)', [template_lock]);
  try {
    if (await isThere()) return;
    await owner.query(`DROP DATABASE IF EXISTS ${template}_unfinished WITH (FORCE)`);
    await owner.query(`CREATE DATABASE ${template}_unfinished TEMPLATE template0`);
    const url = urlOf(`${template}_unfinished`);
    const db = openDatabase(url, { max: 2, application_name: 'template' });
    await migrate(db).finally(() => db.destroy());
    await prepareJobs(new Secret(url));
    await owner.query(`ALTER DATABASE ${template}_unfinished RENAME TO ${template}`);
  } finally {
    await owner.query('SELECT pg_advisory_unlock($1)', [template_lock]);
  }
}

async function asOwner<T>(work: (owner: pg.Client) => Promise<T>): Promise<T> {
  const owner = new pg.Client({ connectionString: readRunDatabase().href });
  await owner.connect();
  try {
    return await work(owner);
  } finally {
    await owner.end();
  }
}

function urlOf(database: string): string {
  const url = readRunDatabase();
  url.pathname = `/${database}`;
  return url.href;
}
