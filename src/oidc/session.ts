/** The single sign-on session: who it is, its end, what the applications are told of that, and the pages of a sign-out. */

import type { Context } from 'koa';
import type { KoaContextWithOIDC, Provider } from 'oidc-provider';
import { findAccount } from '../accounts/store.ts';
import { record } from '../audit/audit.ts';
import type { Database, Transaction } from '../database.ts';
import { enqueue, type Job, type Jobs, type Payloads } from '../jobs.ts';
import { page } from '../views.ts';
import { describeClient } from './clients.ts';
import { logoutSender } from './internals.ts';
import { endSession, listDeadSessions } from './session-store.ts';
import type { EndedSession, RecordStore } from './store.ts';

/** Somebody who is signed in and whom the prompts of a client have let through. */
export interface SignedInPerson {
  account_id: string;
  session_uid: string;
  /** Seconds since the epoch at which the person signed in. */
  signed_in_at: number;
  /** How: the authentication context of the sign-in. */
  acr: string;
}

/**
 * Who is signed in for one of our own clients. The engine writes a client's entry before its prompts are asked, so the
 * entry alone proves nothing: it counts once it carries our mark, set after the last prompt (DESIGN 1.5).
 */
export async function findSignedIn(
  provider: Provider,
  ctx: Context,
  client_id: string,
): Promise<SignedInPerson | undefined> {
  const session = await provider.Session.get(ctx as unknown as KoaContextWithOIDC);
  const entry = session.authorizations?.[client_id] as { accepted_at?: number } | undefined;
  // A password whose time ran out under a session opens nothing either: the engine is asked again, and asks for a new one.
  if (!session.accountId || !entry?.accepted_at || (session as { password_due?: boolean }).password_due)
    return undefined;
  return {
    account_id: session.accountId,
    session_uid: session.uid,
    signed_in_at: session.loginTs ?? 0,
    acr: session.acr ?? '',
  };
}

/** Whose session this browser has, whichever applications it has opened; for what was begun in it and comes back to it. */
export async function findSession(
  provider: Provider,
  ctx: Context,
): Promise<Pick<SignedInPerson, 'account_id' | 'session_uid'> | undefined> {
  const session = await provider.Session.get(ctx as unknown as KoaContextWithOIDC);
  return session.accountId ? { account_id: session.accountId, session_uid: session.uid } : undefined;
}

/** What belongs to the end of a session, in its transaction: a notice to every application it had opened, the audit row. */
export function sessionEnded(jobs: Jobs) {
  return async (tx: Transaction, { account_id, authorizations, because, sent_by }: EndedSession): Promise<void> => {
    if (!account_id) return;
    for (const [client_id, { sid }] of Object.entries(authorizations)) {
      if (sid) await enqueue(tx, jobs, 'logout', { client_id, subject: account_id, sid });
    }
    await record(tx, {
      kind: because,
      account_id,
      detail: { applications: Object.keys(authorizations).length },
      request: sent_by,
    });
  };
}

/** Sends one notice of a sign-out (OIDC Back-Channel Logout 1.0, section 2.5); its token is minted now, so it is fresh. */
export function sendLogout(provider: Provider) {
  return async ({ payload }: Job<Payloads['logout']>): Promise<void> => {
    const client = await provider.Client.find(payload.client_id);
    if (!client?.backchannelLogoutUri) return;
    await logoutSender(provider)(client, payload.subject, payload.sid ?? undefined);
  };
}

/** A duty: ends the sessions of accounts that were closed, revoked or ran out, so that their applications hear of it. */
export async function sweepSessions(store: RecordStore): Promise<number> {
  let ended = 0;
  for (;;) {
    const uids = await listDeadSessions(store.db);
    for (const uid of uids) if (await endSession(store, uid, 'session_ended')) ended += 1;
    if (uids.length === 0) return ended;
  }
}

/** The page that asks before signing out (OIDC RP-Initiated Logout 1.0, section 6): the engine's `logoutSource`. */
export function askSignOut(db: Database) {
  return async (ctx: KoaContextWithOIDC): Promise<void> => {
    const { oidc } = ctx;
    const { session, client } = oidc;
    const account = session?.accountId ? await findAccount(db, session.accountId) : undefined;
    const opened = await Promise.all(
      Object.keys(session?.authorizations ?? {}).map((id) => oidc.provider.Client.find(id)),
    );
    const target = session?.state?.postLogoutRedirectUri;
    const state = (ctx as unknown as Context).state;
    state.csp.form_action.push(
      ...(client ? describeClient(client, state.language).form_origins : []),
      ...originOf(target),
    );
    page(ctx as unknown as Context, 'oidc/sign-out', {
      client: client && describeClient(client, state.language).asking,
      account: { identifier: account?.username ?? '' },
      form_action: oidc.urlFor('end_session_confirm'),
      xsrf: session?.state?.secret ?? '',
      applications: opened.flatMap((one) => (one ? [describeClient(one, state.language).asking.name] : [])),
    });
  };
}

/** The page after a sign-out that came from no application, or whose application named no address to return to. */
export async function showSignedOut(ctx: KoaContextWithOIDC): Promise<void> {
  const state = (ctx as unknown as Context).state;
  const described = ctx.oidc.client && describeClient(ctx.oidc.client, state.language);
  const back = described?.way_back
    ? [{ href: described.way_back, label: state.t('oidc.signed-out.back', { client: described.asking.name }) }]
    : [];
  page(ctx as unknown as Context, 'oidc/signed-out', {
    client: described?.asking,
    ways: [...back, { href: '/portal', label: state.t('words.sign_in') }],
  });
}

function originOf(address: unknown): string[] {
  const url = typeof address === 'string' ? URL.parse(address) : null;
  return url && url.origin !== 'null' ? [url.origin] : [];
}
