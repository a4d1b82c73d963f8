/** The installation's own secrets, from which its keys are derived: kept in the database, sealed with each of GAPURA_SECRETS. */

import { sql } from 'kysely';
import type { Config } from './config.ts';
import { deriveKeys, keyId, open, randomToken, Secret, seal } from './crypto.ts';
import { type Database, inTransaction, type Transaction } from './database.ts';

/** None of GAPURA_SECRETS opens what this installation is sealed with. */
export class UnknownSecret extends Error {}

type Secrets = Pick<Config, 'secrets'>;

const creation_lock = 5_731_004;

/**
 * The settings with the installation's own secrets in place of GAPURA_SECRETS, which only seal them: what is hashed and sealed
 * with keys of its own outlives every change of the configured ones. They are made at the first start, and sealed once more
 * for each configured secret that does not open them yet, so that nodes with the old and the new settings run side by side.
 * @throws UnknownSecret when no configured secret opens them
 */
export async function openRootSecrets<Settings extends Secrets>(db: Database, config: Settings): Promise<Settings> {
  const texts = (await findTexts(db, config)) ?? (await inTransaction(db, (tx) => create(tx, config)));
  await sealWithEach(db, config, texts);
  return Object.freeze({ ...config, secrets: texts.map((text) => new Secret(text)) });
}

/** The same to look at only: writes nothing, and gives the settings as they are while there is nothing to open. */
export async function readRootSecrets<Settings extends Secrets>(db: Database, config: Settings): Promise<Settings> {
  const texts = await findTexts(db, config);
  return texts ? { ...config, secrets: texts.map((text) => new Secret(text)) } : config;
}

/**
 * Lets only what is configured now open the installation's secrets: the others may be known to anybody from then on.
 * @returns how many configured secrets of the past opened them until now
 */
export async function forgetOldSecrets(db: Database, config: Secrets): Promise<number> {
  await openRootSecrets(db, config);
  const ids = sealsOf(config).map(keyId);
  const { numDeletedRows } = await db.deleteFrom('root_secrets').where('sealed_with', 'not in', ids).executeTakeFirst();
  return Number(numDeletedRows);
}

async function findTexts(db: Database, config: Secrets): Promise<string[] | undefined> {
  const rows = await db.selectFrom('root_secrets').select(['sealed_with', 'sealed']).execute();
  if (rows.length === 0) return undefined;
  const seals = sealsOf(config);
  const row = seals.map(keyId).flatMap((id) => rows.find(({ sealed_with }) => sealed_with === id) ?? [])[0];
  if (!row)
    throw new UnknownSecret(
      'None of GAPURA_SECRETS opens this installation: put the secret back with which it ran, behind the first.',
    );
  return JSON.parse(open(seals, row.sealed, contextOf(row.sealed_with))) as string[];
}

/** Of several nodes that start at once, one makes them and the others read them. */
async function create(tx: Transaction, config: Secrets): Promise<string[]> {
  await sql`SELECT pg_advisory_xact_lock(${creation_lock})`.execute(tx);
  const made = await findTexts(tx, config);
  if (made) return made;
  const texts = (await isOlder(tx)) ? config.secrets.map((secret) => secret.reveal()) : [randomToken()];
  await sealWithEach(tx, config, texts);
  return texts;
}

/** An installation that ran before it had secrets of its own goes on with those that it ran with, or nothing of it would open. */
async function isOlder(tx: Transaction): Promise<boolean> {
  const { rows } = await sql<{ is_older: boolean }>`
    SELECT EXISTS (SELECT FROM signing_keys) OR EXISTS (SELECT FROM proofs) AS is_older`.execute(tx);
  return rows[0]?.is_older ?? false;
}

async function sealWithEach(db: Database, config: Secrets, texts: string[]): Promise<void> {
  const known = await db.selectFrom('root_secrets').select('sealed_with').execute();
  const seals = sealsOf(config).filter((key) => !known.some(({ sealed_with }) => sealed_with === keyId(key)));
  if (seals.length === 0) return;
  await db
    .insertInto('root_secrets')
    .values(
      seals.map((key) => {
        const sealed_with = keyId(key);
        return { sealed_with, sealed: seal(key, JSON.stringify(texts), contextOf(sealed_with)) };
      }),
    )
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

function sealsOf({ secrets }: Secrets): Buffer[] {
  return deriveKeys(secrets, 'root secrets');
}

function contextOf(sealed_with: string): string {
  return `root_secrets.sealed:${sealed_with}`;
}
