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

/** A database that is made once in a run and copied from then on. */
export interface Template {
  name: string;
  /** What it is itself a copy of; a database without any table when nothing is named. */
  from?: Template;
  fill: (url: string) => Promise<void>;
}

/** This release's schema, empty. */
const migrated_template: Template = {
  name: 'gapura_template',
  async fill(url) {
    const db = openDatabase(url, { max: 2, application_name: 'template' });
    await migrate(db).finally(() => db.destroy());
    await prepareJobs(new Secret(url));
  },
};

/** The same with what `fill` writes, which every copy of that name then has from the start. */
export function filledTemplate(name: string, fill: (db: Database) => Promise<void>): Template {
  return {
    name,
    from: migrated_template,
    async fill(url) {
      const db = openDatabase(url, { max: 2, application_name: 'template' });
      await fill(db).finally(() => db.destroy());
    },
  };
}

/**
 * Makes a database in some 50 ms: an empty one of this release's schema, or a copy of another template.
 * @param options.migrated false gives one without any table
 */
export async function createTestDatabase({
  migrated = true,
  template = migrated_template,
} = {}): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  await asOwner(async (owner) => {
    if (migrated) await ensureTemplate(owner, template);
    await copy(owner, name, migrated ? template.name : undefined);
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

/** The lock makes one test process fill it while the others wait; the rename makes it appear whole or not at all. */
async function ensureTemplate(owner: pg.Client, { name, from, fill }: Template): Promise<void> {
  const isThere = async () => (await owner.query('SELECT FROM pg_database WHERE datname = $1', [name])).rows.length > 0;
  if (await isThere()) return;
  if (from) await ensureTemplate(owner, from);
  await owner.query('SELECT pg_advisory_lock(hashtext($1))', [name]);
  try {
    if (await isThere()) return;
    const unfinished = `${name}_unfinished`;
    await owner.query(`DROP DATABASE IF EXISTS ${unfinished} WITH (FORCE)`);
    await copy(owner, unfinished, from?.name);
    await fill(urlOf(unfinished));
    await owner.query(`ALTER DATABASE ${unfinished} RENAME TO ${name}`);
  } finally {
    await owner.query('SELECT pg_advisory_unlock(hashtext($1))', [name]);
  }
}

async function copy(owner: pg.Client, name: string, template = 'template0'): Promise<void> {
  await owner.query(`CREATE DATABASE ${name} TEMPLATE ${template} STRATEGY FILE_COPY`);
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
