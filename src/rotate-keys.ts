/** The commands that replace what the installation signs and seals with: `rotate-keys` and `forget-secrets`. */

import { parseArgs } from 'node:util';
import type { Config } from './config.ts';
import { type Database, inTransaction, openDatabase } from './database.ts';
import { formatDateTime } from './i18n/dates.ts';
import { type KeyAlgorithm, key_algorithms } from './oidc/keys/key-pairs.ts';
import { noteTurn, type RotationOutcome, rotateKey } from './oidc/keys/signing-keys.ts';
import { openPolicies } from './policy/policy.ts';
import { forgetOldSecrets, openRootSecrets } from './root-secrets.ts';

/** How it is called. */
export const rotate_keys_usage = `gapura rotate-keys [--now] [ALGORITHM ...]

Goes one step on with the signing keys, or with those of ${key_algorithms.join(', ')} that are named: publishes the next key
where there is none, and lets it sign once it was published for as long as policy wants. --now waits only until nobody can
be without it. Nothing is restarted and nobody is signed out. The worker does all of it by itself, on schedule.
Exit code 1 when a key may not sign yet; the time from which it may is printed.`;

/** How it is called. */
export const forget_secrets_usage = `gapura forget-secrets

Run it when a secret was taken out of GAPURA_SECRETS on every node: from then on only the secrets that are left open this
installation. A backup from before still opens with the secrets of its time.`;

/** Runs `rotate-keys`. Gives the exit code. */
export async function rotateKeys(settings: () => Config, argv: string[]): Promise<number> {
  const asked = readArguments(argv);
  if (typeof asked === 'string') {
    process.stderr.write(`${asked}\n\n${rotate_keys_usage}\n`);
    return 2;
  }
  const { algorithms, is_urgent } = asked;
  return withInstallation(settings(), async (db, config) => {
    let exit_code = 0;
    for (const alg of algorithms) {
      const outcome = await inTransaction(db, async (tx) => {
        const done = await rotateKey(tx, config, alg, { is_urgent });
        if (done.state !== 'waiting') await noteTurn(tx, done);
        return done;
      });
      if (outcome.state === 'waiting') exit_code = 1;
      process.stdout.write(`${alg}: ${tell(outcome, config)}\n`);
    }
    return exit_code;
  });
}

/** Runs `forget-secrets`. Gives the exit code. */
export async function forgetSecrets(settings: () => Config): Promise<number> {
  const config = settings();
  const db = openDatabase(config.database_url.reveal(), { max: 2 });
  try {
    const forgotten = await forgetOldSecrets(db, config);
    const left = `${config.secrets.length} of GAPURA_SECRETS`;
    process.stdout.write(`Secrets that open nothing any more: ${forgotten}. What opens this installation: ${left}.\n`);
    return 0;
  } finally {
    await db.destroy();
  }
}

function readArguments(argv: string[]): { algorithms: readonly KeyAlgorithm[]; is_urgent: boolean } | string {
  try {
    const { values, positionals } = parseArgs({
      args: argv,
      options: { now: { type: 'boolean' } },
      allowPositionals: true,
    });
    const unknown = positionals.find((name) => !(key_algorithms as readonly string[]).includes(name));
    if (unknown !== undefined) return `There is no signing key for ${unknown}.`;
    const named = key_algorithms.filter((alg) => positionals.includes(alg));
    return { algorithms: named.length > 0 ? named : key_algorithms, is_urgent: values.now ?? false };
  } catch (error) {
    return (error as Error).message;
  }
}

async function withInstallation(
  settings: Config,
  work: (db: Database, config: Config) => Promise<number>,
): Promise<number> {
  const db = openDatabase(settings.database_url.reveal(), { max: 2 });
  try {
    const policies = await openPolicies(db, settings);
    try {
      return await work(db, await openRootSecrets(db, settings));
    } finally {
      await policies.close();
    }
  } finally {
    await db.destroy();
  }
}

function tell(outcome: RotationOutcome, { time_zone }: Config): string {
  const at = 'at' in outcome && outcome.at ? formatDateTime('en', outcome.at, time_zone) : '';
  if (outcome.state === 'published') return `${outcome.kid} is published and signs from ${at}.`;
  if (outcome.state === 'waiting') return `${outcome.kid} is published and may sign from ${at}; nothing was done.`;
  if (outcome.state === 'gone') return `${outcome.kid} is gone.`;
  return `${outcome.kid} signs now; the one before stays published until ${at}.`;
}
