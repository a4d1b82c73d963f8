/** The command `check`: whether this installation can run, part by part, with what to do where it cannot. */

import { parseArgs } from 'node:util';
import { sql } from 'kysely';
import { now } from './clock.ts';
import { type Config, ConfigError, printConfig } from './config.ts';
import { type Database, isSchemaCurrent, openDatabase } from './database.ts';
import { greetSmtp } from './delivery/channels/smtp.ts';
import { canOpenSigningKeys } from './oidc/keys/signing-keys.ts';
import { hasAdministrator } from './permissions.ts';
import { readRootSecrets, UnknownSecret } from './root-secrets.ts';

/** How it is called. */
export const check_usage = `gapura check [--offline]

Checks settings, database, schema, signing keys, administrators, mail server and clock, prints a line for each, and the
settings with their secrets redacted. --offline leaves the mail server alone. Exit code 1 when any of it is wrong.`;

/** Undefined: it is as it should be. Else what to do, in a sentence. */
type Finding = string | undefined;

interface Part {
  name: string;
  look(db: Database, config: Config): Promise<Finding>;
  /** Calls a machine that is neither this one nor the database. */
  is_outside?: true;
}

/** In this order; behind one that says `stops`, nothing of the database can be told. */
const parts: (Part & { stops?: true })[] = [
  { name: 'database', look: lookAtDatabase, stops: true },
  {
    name: 'schema',
    look: async (db) =>
      (await isSchemaCurrent(db)) ? undefined : 'It is older than this release: run `gapura migrate`.',
    stops: true,
  },
  { name: 'signing keys', look: lookAtKeys },
  {
    name: 'administrator',
    look: async (db) =>
      (await hasAdministrator(db))
        ? undefined
        : 'Nobody can administer yet: run `gapura create-admin`, or open the link that it printed.',
  },
  { name: 'clock', look: lookAtClock },
  { name: 'mail server', look: lookAtMail, is_outside: true },
];

/** Runs it. Gives the exit code. */
export async function check(settings: () => Config, argv: string[]): Promise<number> {
  let is_offline: boolean;
  try {
    is_offline = parseArgs({ args: argv, options: { offline: { type: 'boolean' } } }).values.offline ?? false;
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${check_usage}\n`);
    return 2;
  }
  const config = readSettings(settings);
  if (!config) return 1;
  process.stdout.write(printConfig(config));
  const db = openDatabase(config.database_url.reveal(), { max: 1 });
  try {
    return await lookAtAll(db, config, is_offline);
  } finally {
    await db.destroy();
  }
}

function readSettings(settings: () => Config): Config | undefined {
  try {
    return settings();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const problem of error.problems) say('wrong', 'settings', problem);
    return undefined;
  }
}

async function lookAtAll(db: Database, config: Config, is_offline: boolean): Promise<number> {
  say('ok', 'settings');
  let exit_code = 0;
  let is_stopped = false;
  for (const { name, look, stops, is_outside } of parts) {
    if (is_outside ? is_offline : is_stopped) {
      say('left', name, is_outside ? 'Not asked, as you wished.' : 'Cannot be told until the above is mended.');
      continue;
    }
    const wrong = await look(db, config);
    say(wrong === undefined ? 'ok' : 'wrong', name, wrong);
    if (wrong === undefined) continue;
    exit_code = 1;
    is_stopped ||= stops === true;
  }
  return exit_code;
}

function say(verdict: 'ok' | 'wrong' | 'left', name: string, what = ''): void {
  process.stdout.write(`${verdict.padEnd(6)}${name}${what ? `: ${what}` : ''}\n`);
}

const oldest_postgres = 160_000;

async function lookAtDatabase(db: Database): Promise<Finding> {
  try {
    const { rows } = await sql<{
      version: number;
    }>`SELECT current_setting('server_version_num')::int AS version`.execute(db);
    return (rows[0]?.version ?? 0) >= oldest_postgres ? undefined : 'It is older than PostgreSQL 16.';
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === '28P01' || code === '28000') return 'It refuses the user or the password in DATABASE_URL.';
    if (code === '3D000') return 'The database named in DATABASE_URL does not exist.';
    return 'It does not answer. Is it running, and are host and port in DATABASE_URL right?';
  }
}

async function lookAtKeys(db: Database, config: Config): Promise<Finding> {
  try {
    // A new installation has none: the first `gapura serve` makes them.
    if (await canOpenSigningKeys(db, await readRootSecrets(db, config))) return undefined;
    return 'One does not open: it was sealed with a secret that is not in GAPURA_SECRETS, or changed in the database.';
  } catch (error) {
    if (error instanceof UnknownSecret) return error.message;
    throw error;
  }
}

/** Codes and tokens are judged by the database's clock, their times told by this node's. */
const most_apart = 5;

async function lookAtClock(db: Database): Promise<Finding> {
  const before = now().getTime();
  const { rows } = await sql<{ at: Date }>`SELECT gapura_now() AS at`.execute(db);
  // Of the time that asking took nobody knows where in it the answer was made.
  const [there = 0, took] = [rows[0]?.at.getTime(), now().getTime() - before];
  const apart = Math.round((there - before - took / 2) / 1000);
  if (Math.abs(apart) <= most_apart) return undefined;
  return `This machine's is ${Math.abs(apart)} seconds ${apart > 0 ? 'behind' : 'ahead of'} the database's: run NTP on both machines.`;
}

async function lookAtMail(_db: Database, config: Config): Promise<Finding> {
  const greeted = await greetSmtp(config);
  if (greeted.state === 'sent') return undefined;
  const { because } = greeted;
  if (because.startsWith('sign_in')) return 'It refuses the user or the password in GAPURA_SMTP_URL.';
  if (because === 'encryption') return 'It offers no encryption that can be trusted: look at its certificate.';
  return `It does not answer as a mail server (${because}): look at host and port in GAPURA_SMTP_URL.`;
}
