/** What every act does: it asks as a browser does, and notes in the ledger that it asked. */

import { type Answer, findForm, type HttpVisitor } from '../support/http.ts';
import { pass, tell, Unexpected } from './answers.ts';
import type { ClientId, Party } from './application.ts';
import type { Deed, Person } from './ledger.ts';
import type { Mailbox } from './mailbox.ts';

/** What an act needs besides the person. */
export interface Ground {
  url: string;
  parties: Record<ClientId, Party>;
  mailbox: Mailbox;
  /** Chance, which a number of the run repeats. */
  random(): number;
}

/** Notes that something is asked for; what it gives notes that it was acknowledged. */
export function ask({ tally }: Person, deed: Deed): () => void {
  tally[deed].sent += 1;
  return () => {
    tally[deed].told += 1;
  };
}

/** Sends a form of a page; a page without that form is not the one that follows. */
export async function send(
  visitor: HttpVisitor,
  page: Answer,
  fields: Record<string, string>,
  form?: string,
): Promise<Answer> {
  try {
    findForm(page.body, form);
  } catch {
    throw new Unexpected(tell('a page without its form', page));
  }
  return pass(await visitor.submit(page, fields, form));
}

/** Whether a page is the sign-in page. */
export const asksWhoItIs = ({ body }: Answer) => body.includes('name="identifier"');
