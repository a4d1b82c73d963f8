/** A sign-out that a relying party asks for, as the suite's browser goes through it. */

import { type Answer, findForm, type HttpVisitor } from '../support/http.ts';
import { followTo } from '../support/relying-party.ts';
import { authorize, type Party } from './suite.ts';

/** Where the suite's clients are called after a sign-out; nothing listens there. */
export const signed_out_uri = 'https://suite.contoh.example/selesai';

export interface SignOut {
  /** Whether the person was asked before anything ended. */
  asked: boolean;
  /** The application's address, where it led back. */
  returned?: URL;
  /** The last page of ours, where it did not. */
  page?: Answer;
}

/** Asks for a sign-out and confirms it where asked. */
export async function signOut(
  party: Party,
  visitor: HttpVisitor,
  parameters: Record<string, string> = {},
): Promise<SignOut> {
  const address = `${party.suite.issuer}/session/end?${new URLSearchParams(parameters)}`;
  const first = await visitor.get(address, { follow: false, headers: { accept: 'text/html' } });
  const [, id = ''] = /<form id="(sign-out|forward)"/.exec(first.body) ?? [];
  if (!id) return { asked: false, ...(await followTo(visitor, signed_out_uri, first)) };
  const { action, fields } = findForm(first.body, id);
  const answer = { ...fields, ...(id === 'sign-out' ? { logout: 'yes' } : {}) };
  const confirmed = await visitor.post(new URL(action, first.url), answer, { follow: false });
  return { asked: id === 'sign-out', ...(await followTo(visitor, signed_out_uri, confirmed)) };
}

/** Whether a browser is still signed in, as a silent request says. */
export async function isSignedIn(party: Party, visitor: HttpVisitor): Promise<boolean> {
  const { returned } = await authorize(party, { prompt: 'none' }, { visitor });
  const { error, code } = Object.fromEntries(returned?.searchParams ?? []);
  if (!code && error !== 'login_required') throw new Error(`neither signed in nor out: ${error}`);
  return code !== undefined;
}
