/** An administrator made at the terminal: without one, nobody could be let into the console to make the first. */

import { z } from 'zod';
import type { Config } from '../config.ts';
import { deriveKeys } from '../crypto.ts';
import { type Database, inTransaction } from '../database.ts';
import { grantRole } from '../permissions.ts';
import { printInvitation } from './invitation.ts';
import { emailShape, fullNameShape, openAccount, usernameShape } from './profile.ts';

/** What must be known of an administrator; a password is not among it, for arguments stand in the list of processes. */
export const administratorSchema = z.object({ username: usernameShape, email: emailShape, full_name: fullNameShape });

export type FirstAdministrator =
  | { state: 'done'; link: string; expires_at: Date }
  | { state: 'refused'; because: 'username_taken' | 'email_taken' };

/** Opens the account with its role; the link makes the password, once. All of it or nothing is written. */
export async function openAdministrator(
  db: Database,
  { secrets, url }: Pick<Config, 'secrets' | 'url'>,
  person: z.output<typeof administratorSchema>,
): Promise<FirstAdministrator> {
  const keys = deriveKeys(secrets, 'proofs');
  return inTransaction(db, async (tx) => {
    const opened = await openAccount(tx, person);
    if (opened.state === 'refused') return opened;
    if (opened.state === 'conflict') throw new Error('a new account has no other version');
    await grantRole(tx, opened.account.id, 'administrator');
    return { state: 'done', ...(await printInvitation(tx, { keys, url }, opened.account.id)) };
  });
}
