/** The single sign-on session: who it is, its end, what the applications are told of that, and the pages of a sign-out. */

import type { Context } from 'koa';
import type { KoaContextWithOIDC, Provider } from 'oidc-provider';
import { findAccount } from '../../accounts/store.ts';
import { record } from '../../audit/audit.ts';
import type { Database, Transaction } from '../../database.ts';
import { followUiLocales } from '../../http/language.ts';
import { enqueue, type Job, type Jobs, type Payloads } from '../../jobs.ts';
import { page } from '../../views.ts';
import { describeClient, sourceOf } from '../clients/clients.ts';
import { reachingHostsOf } from '../clients/private-hosts.ts';
import { logoutSender, sessionCookie } from '../internals.ts';
import type { EndedSession, RecordStore } from '../records/store.ts';
import { isUnseen, type LivingSession, sessionLifetime } from './session-life.ts';
import { listDeadSessions } from './session-list.ts';
import { endSession } from './session-store.ts';

/** Somebody who is signed in and whom the prompts of a client have let through. */
export interface SignedInPerson {
  account_id: string;
  session_uid: string;
  /** Seconds since the epoch at which the person signed in. */
  signed_in_at: number;
  /** How: the authentication context of the sign-in. */
  acr: string;
}

/** The engine's session with what Gapura adds. */
type OwnSession = Awaited<ReturnType<Provider['Session']['get']>> &
  LivingSession & {
    unseen?: number;
    password_due?: boolean;
    resetIdentifier(): void;
    save(ttl: number): Promise<unknown>;
    readonly id: string;
  };

/**
 * Who is signed in for one of our own clients. The engine writes a client's entry before its prompts are asked, so the
 * entry alone proves nothing: it counts once it carries our mark, set after the last prompt (DESIGN 1.5). To look at a page
 * of ours is to use the session.
 */
export async function findSignedIn(
  provider: Provider,
  ctx: Context,
  client_id: string,
): Promise<SignedInPerson | undefined> {
  const session = await readOwnSession(provider, ctx);
  const entry = session.authorizations?.[client_id] as { accepted_at?: number } | undefined;
  // A password whose time ran out under a session opens nothing either: the engine is asked again, and asks for a new one.
  if (!session.accountId || !entry?.accepted_at || session.password_due) return undefined;
  if (isUnseen(session) && !(await writeSession(provider, ctx, session))) return undefined;
  return {
    account_id: session.accountId,
    session_uid: session.uid,
    signed_in_at: session.loginTs ?? 0,
    acr: session.acr ?? '',
  };
}

async function readOwnSession(provider: Provider, ctx: Context): Promise<OwnSession> {
  return (await provider.Session.get(ctx as unknown as KoaContextWithOIDC)) as unknown as OwnSession;
}

/** Writes a session as used just now, and its cookie, which lives as long where the browser keeps it; false when it has ended. */
async function writeSession(provider: Provider, ctx: Context, session: OwnSession): Promise<boolean> {
  const lifetime = sessionLifetime(session);
  try {
    await session.save(lifetime);
  } catch (error) {
    if ((error as Error).name === 'SessionNotFound') return false;
    throw error;
  }
  ctx.cookies.set(provider.cookieName('session'), session.id, {
    ...sessionCookie(provider),
    ...(session.remembered ? { maxAge: lifetime * 1000 } : {}),
  });
  return true;
}

/** Gives the session of this browser a new cookie, after its person has proven once more who they are; the old one is dead. */
export async function renewSession(provider: Provider, ctx: Context): Promise<void> {
  const session = await readOwnSession(provider, ctx);
  if (!session.accountId) return;
  session.resetIdentifier();
  await writeSession(provider, ctx, session);
}

// Not the cookies: the header would take them from every name under our domain, and sign the person out of applications that
// have not been told. Ours are taken back one by one.
const leftovers = '"cache", "storage"';

/** Leaves nothing of what a person saw in a browser whose session has just ended (OWASP ASVS 5.0, 14.3.1). */
export function clearBrowser(ctx: Pick<Context, 'set'>): void {
  ctx.set('clear-site-data', leftovers);
}

/** The same, and takes back the cookie of a session that was ended from a page of ours. */
export function leaveBrowser(provider: Provider, ctx: Context): void {
  ctx.cookies.set(provider.cookieName('session'), null, { ...sessionCookie(provider) });
  clearBrowser(ctx);
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
      kind: because === 'sign_out' ? because : 'session_ended',
      account_id,
      detail: { applications: Object.keys(authorizations).length, ...(because === 'owner' ? { because } : {}) },
      request: sent_by,
    });
  };
}

/** Sends one notice of a sign-out (OIDC Back-Channel Logout 1.0, section 2.5); its token is minted now, so it is fresh. */
export function sendLogout(provider: Provider) {
  return async ({ payload }: Job<Payloads['logout']>): Promise<void> => {
    const client = await provider.Client.find(payload.client_id);
    if (!client?.backchannelLogoutUri) return;
    await reachingHostsOf(client, () => logoutSender(provider)(client, payload.subject, payload.sid ?? undefined));
  };
}

/**
 * A duty: ends up to `batch` sessions of accounts that were closed, revoked or ran out, so that their applications hear of it.
 * @returns how many it found
 */
export async function sweepSessions(store: RecordStore, batch: number): Promise<number> {
  const uids = await listDeadSessions(store.db, batch);
  for (const uid of uids) await endSession(store, uid, 'session_ended');
  return uids.length;
}

/** The page that asks before signing out (OIDC RP-Initiated Logout 1.0, section 6): the engine's `logoutSource`. */
export function askSignOut(db: Database) {
  return async (ctx: KoaContextWithOIDC): Promise<void> => {
    const { oidc } = ctx;
    const { session, client } = oidc;
    followUiLocales(ctx as unknown as Context, oidc.params?.ui_locales);
    const account = session?.accountId ? await findAccount(db, session.accountId) : undefined;
    const opened = await Promise.all(
      Object.keys(session?.authorizations ?? {}).map((id) => oidc.provider.Client.find(id)),
    );
    const target = session?.state?.postLogoutRedirectUri;
    const state = (ctx as unknown as Context).state;
    state.csp.form_action.push(
      ...(client ? describeClient(client, state.language).form_origins : []),
      ...sourceOf(target),
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
