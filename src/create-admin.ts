/** The command `create-admin`: an administrator for an installation that has none, or has lost its own. */

import { parseArgs } from 'node:util';
import { administratorSchema, openAdministrator } from './accounts/first-administrator.ts';
import type { Config } from './config.ts';
import { isSchemaCurrent, openDatabase } from './database.ts';
import { formatDateTime } from './i18n/dates.ts';
import { translator } from './i18n/messages.ts';
import { openRootSecrets } from './root-secrets.ts';

/** How it is called. */
export const create_admin_usage = `gapura create-admin --username NAME --email ADDRESS --full-name "FULL NAME"

Opens an account with the role administrator and prints a link to this terminal, once. Whoever opens the link makes the
password; nothing secret is among the arguments. Exit code 1 when the name or the address is taken, 2 when one is missing.`;

const options = {
  username: { type: 'string' },
  email: { type: 'string' },
  'full-name': { type: 'string' },
} as const;

/** Runs it. Gives the exit code. */
export async function createAdmin(settings: () => Config, argv: string[]): Promise<number> {
  const read = readPerson(argv);
  if (!Array.isArray(read)) return create(settings(), read);
  process.stderr.write(`${read.join('\n')}\n\n${create_admin_usage}\n`);
  return 2;
}

type Person = Parameters<typeof openAdministrator>[2];

/** The person, or what is wrong with the arguments, a sentence each. */
function readPerson(argv: string[]): Person | string[] {
  let given: Record<string, string | undefined>;
  try {
    given = parseArgs({ args: argv, options }).values;
  } catch (error) {
    return [(error as Error).message];
  }
  const person = { username: given.username, email: given.email, full_name: given['full-name'] };
  const read = administratorSchema.safeParse(person);
  if (read.success) return read.data;
  return read.error.issues.map(({ path, message }) => {
    const option = `--${String(path[0]).replace('_', '-')}`;
    return given[option.slice(2)] === undefined ? `${option} is missing.` : `${option}: ${translator('en')(message)}`;
  });
}

async function create(config: Config, person: Person): Promise<number> {
  const db = openDatabase(config.database_url.reveal(), { max: 1 });
  try {
    if (!(await isSchemaCurrent(db))) {
      process.stderr.write('The database has no schema of this release: run `gapura migrate` first.\n');
      return 1;
    }
    const opened = await openAdministrator(db, await openRootSecrets(db, config), person);
    if (opened.state === 'refused') {
      process.stderr.write(`${translator('en')(`errors.account.${opened.because}`)}\n`);
      return 1;
    }
    const until = formatDateTime('en', opened.expires_at, config.time_zone);
    process.stdout.write(`The account is open. Make its password here, once, until ${until}:\n\n${opened.link}\n`);
    return 0;
  } finally {
    await db.destroy();
  }
}
