/** The command line: a table of commands, each with its help; settings come from the environment (config/README.md). */

import { seed } from '../db/seed.ts';
import { check, check_usage } from './check.ts';
import { type Config, ConfigError, exampleEnv, readConfig, readProcessConfig } from './config.ts';
import { create_admin_usage, createAdmin } from './create-admin.ts';
import { isDatabaseGone, migrate, openDatabase, printSchema } from './database.ts';
import { prepareJobs } from './jobs.ts';
import { UnknownSecret } from './root-secrets.ts';
import { forget_secrets_usage, forgetSecrets, rotate_keys_usage, rotateKeys } from './rotate-keys.ts';
import { serve, serve_usage, work } from './serve.ts';
import { OldSchema } from './server.ts';

interface Command {
  help: string;
  /** Told by `--help` where it has options. */
  usage?: string;
  /** Gives the exit code. `settings` reads the configuration, and throws what is wrong with it. */
  run: (settings: () => Config, options: string[]) => Promise<number>;
}

const commands: Record<string, Command> = {
  serve: {
    help: 'Serve people and applications, with --work also the jobs, with --workers in several processes.',
    usage: serve_usage,
    run: serve,
  },
  work: { help: 'Run the jobs and duties.', run: work },
  migrate: {
    help: 'Bring the database to the schema of this release and load what every installation needs.',
    run: runMigrate,
  },
  check: {
    help: 'Say part by part whether this installation can run, and what to do.',
    usage: check_usage,
    run: check,
  },
  'create-admin': {
    help: 'Open the account of an administrator and print the link that makes its password.',
    usage: create_admin_usage,
    run: createAdmin,
  },
  'rotate-keys': {
    help: 'Publish the next signing keys, or let those sign that are published long enough.',
    usage: rotate_keys_usage,
    run: rotateKeys,
  },
  'forget-secrets': {
    help: 'Let only the secrets that are configured now open this installation.',
    usage: forget_secrets_usage,
    run: forgetSecrets,
  },
  schema: { help: 'Print the schema of the database as db/schema.sql has it.', run: showSchema },
  'example-env': { help: 'Print config/example.env.', run: showExampleEnv },
  demo: {
    help: 'The whole system with demonstration data on an embedded PostgreSQL (development only).',
    run: runDemo,
  },
};

/**
 * Runs the command named by the first argument, with the settings of this process or of `env`.
 * @returns the exit code: 0 done, 1 failed, 2 not understood
 */
export async function run(argv: string[], env?: Record<string, string | undefined>): Promise<number> {
  const [name = '', ...options] = argv;
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!command) {
    const is_help = ['', 'help', '--help', '-h'].includes(name);
    const text = usage(is_help ? undefined : name);
    (is_help ? process.stdout : process.stderr).write(text);
    return is_help ? 0 : 2;
  }
  if (options.includes('--help')) {
    process.stdout.write(`${command.usage ?? `gapura ${name}\n  ${command.help}`}\n`);
    return 0;
  }
  try {
    return await command.run(() => (env ? readConfig(env) : readProcessConfig()), options);
  } catch (error) {
    process.stderr.write(`${explain(error)}\n`);
    return 1;
  }
}

function usage(unknown?: string): string {
  const width = Math.max(...Object.keys(commands).map((name) => name.length));
  const lines = Object.entries(commands).map(([name, { help }]) => `  ${name.padEnd(width)}  ${help}`);
  return `${unknown ? `There is no command "${unknown}".\n\n` : ''}Usage: gapura <command>\n\n${lines.join('\n')}\n`;
}

/** What a person at the terminal is told: sentences for what they can mend, the stack for what is our bug. */
function explain(error: unknown): string {
  const { code, message, stack, port } = error as { code?: string; message?: string; stack?: string; port?: number };
  if (error instanceof ConfigError) return error.problems.join('\n');
  if (error instanceof OldSchema || error instanceof UnknownSecret) return error.message;
  if (code === 'EADDRINUSE')
    return `Port ${port} is taken by another program. Stop that program, or choose another port (config/README.md).`;
  if (code && ['UNWRITABLE', 'PORT_TAKEN', 'BUSY', 'FAILED'].includes(code)) return message ?? code;
  if (code === 'EACCES' || code === 'EROFS') return `A folder cannot be written: ${message}.`;
  if (code === '28P01' || code === '28000') return 'The database refuses the user or the password in DATABASE_URL.';
  if (code === '3D000') return 'The database named in DATABASE_URL does not exist.';
  if (isDatabaseGone(error) || isRefused(error))
    return 'The database in DATABASE_URL does not answer. Is it running, and are host and port right?';
  return stack ?? String(error);
}

/** Several addresses were tried for one name and each refused. */
function isRefused(error: unknown): boolean {
  const { errors } = error as { errors?: unknown[] };
  return Array.isArray(errors) && errors.length > 0 && errors.every(isDatabaseGone);
}

async function runMigrate(settings: () => Config): Promise<number> {
  const config = settings();
  const db = openDatabase(config.database_url.reveal(), { max: 4, silence_ms: 0 });
  try {
    const applied = await migrate(db, { tell: (message) => void process.stderr.write(`${message}\n`) });
    await prepareJobs(config.database_url);
    await seed(db, config);
    process.stdout.write(applied.length > 0 ? `Applied: ${applied.join(', ')}\n` : 'The schema is current.\n');
  } finally {
    await db.destroy();
  }
  return 0;
}

async function showSchema(settings: () => Config): Promise<number> {
  const db = openDatabase(settings().database_url.reveal(), { max: 1 });
  try {
    process.stdout.write(await printSchema(db));
  } finally {
    await db.destroy();
  }
  return 0;
}

async function showExampleEnv(): Promise<number> {
  process.stdout.write(exampleEnv());
  return 0;
}

async function runDemo(): Promise<number> {
  // Only here: production imports neither the demonstration nor what it alone depends on.
  const { startDemo } = await import('./demo/start.ts');
  const demo = await startDemo();
  await stopSignal();
  await demo.stop();
  return 0;
}

/** Waits until the process is asked to end. A second Ctrl-C ends it at once. */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        process.once('SIGINT', () => process.exit(130));
        resolve();
      });
    }
  });
}
