/** "Coba": an application's verifier is asked once with what an officer typed, and what it answers is told; nothing is kept. */

import type { Application } from '../applications/application.ts';
import type { Transaction } from '../database.ts';
import { payForTry } from './keep.ts';
import type { LinkStore, Verification } from './link.ts';

export type TrialOutcome =
  | { state: 'answered'; answer: Verification }
  | { state: 'waiting'; retry_after: number }
  | { state: 'unsupported' };

// Somebody sits before the page, and the trial holds a connection to the database.
const longest_ms = 5000;

/**
 * Asks the verifier of an application now, also while people are kept from it because it did not answer. The tries count
 * for the application, and for the user name on the counter of those who prove it, so that nobody guesses more here than
 * elsewhere. They are paid for in the transaction that is rolled back when nothing was asked; it ends well in all other cases.
 */
export async function tryVerifier(
  store: LinkStore,
  tx: Transaction,
  { id, verifier: kind, verifier_settings }: Pick<Application, 'id' | 'verifier' | 'verifier_settings'>,
  { username, password }: { username: string; password: string },
): Promise<TrialOutcome> {
  const verifier = store.verifiers.password.find((one) => one.kind === kind);
  if (!verifier) return { state: 'unsupported' };
  const name_key = [id, username.normalize('NFKC').trim().toLowerCase()];
  const paid = await payForTry({ ...store, db: tx }, [
    ['link_trial', id],
    ['link_username', name_key],
  ]);
  if (paid.state === 'waiting') return paid;
  const answer = await verifier.verify(
    verifier_settings,
    { username, password },
    {
      ...store.tools,
      call: (url, options) =>
        store.tools.call(url, { ...options, timeout_ms: Math.min(options.timeout_ms ?? longest_ms, longest_ms) }),
    },
  );
  if (answer.state === 'verified') await store.limits.giveBack(tx, 'link_username', name_key, paid.counts[1] ?? 0);
  return { state: 'answered', answer };
}
