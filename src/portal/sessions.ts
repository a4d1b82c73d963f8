/** Sesi Aktif: where a person is signed in, and the end of one session, of all others, or of all. */

import type { Context } from 'koa';
import type { AuditRequest } from '../audit/audit.ts';
import { inTransaction } from '../database.ts';
import { formatMoment } from '../i18n/dates.ts';
import { nameDevice } from '../i18n/devices.ts';
import { listSessionsOf, type ShownSession } from '../oidc/sessions/session-list.ts';
import { page } from '../views.ts';
import { readPerson } from './person.ts';
import type { PortalStore } from './portal.ts';

const address = '/portal/sessions';

// Names a session and opens none: the cookie holds another id, of which only a hash is stored.
const session_uid = /^[\w-]{21,43}$/;

/** Of more than anybody has, the page shows those used last; "all" and "all others" mean every one. */
const most_shown = 50;

/** What is said in place of nothing, by the `done` of the address. */
const done = ['ended', 'others', 'over'] as const;

/** GET /portal/sessions?done= */
export function showSessions(ctx: Context, store: PortalStore, account_id: string, own: string): Promise<void> {
  const said = done.find((word) => word === ctx.query.done);
  return show(ctx, store, account_id, own, said);
}

async function show(
  ctx: Context,
  { db }: PortalStore,
  account_id: string,
  own: string,
  said: (typeof done)[number] | undefined,
): Promise<void> {
  const { language, t } = ctx.state;
  const [{ header }, sessions] = await Promise.all([
    readPerson(db, account_id, 'sessions'),
    listSessionsOf(db, account_id, language),
  ]);
  const at = (moment: Date) => formatMoment(language, moment, header.zone);
  const describe = ({ uid, user_agent, network, remembered, created_at, seen_at, applications }: ShownSession) => ({
    uid,
    device: nameDevice(t, user_agent ?? undefined),
    network,
    is_own: uid === own,
    is_remembered: remembered,
    begun: at(created_at),
    seen: at(seen_at),
    applications,
  });
  // The one that looks stands first, whatever was used in between.
  const shown = [...sessions.filter(({ uid }) => uid === own), ...sessions.filter(({ uid }) => uid !== own)];
  page(ctx, 'portal/sessions', {
    header,
    said: said && t(`portal.sessions.${said}`),
    sessions: shown.slice(0, most_shown).map(describe),
    others: sessions.length - 1,
    hidden: Math.max(0, sessions.length - most_shown),
  });
}

/**
 * POST /portal/sessions/:id/removal. To end a session protects, and is asked for in a hurry: whoever is signed in may,
 * without signing in once more (OWASP ASVS 5.0, 7.5.2, wants a factor, and the sign-in was one).
 */
export async function submitSessionEnd(
  ctx: Context,
  store: PortalStore,
  account_id: string,
  own: string,
): Promise<void> {
  const uid = String(ctx.params.id);
  const is_ended = session_uid.test(uid) && (await end(ctx, store, account_id, [uid]));
  if (!is_ended) {
    // Another person's, one that never was, and one that is over already are the same.
    ctx.status = 404;
    return show(ctx, store, account_id, own, 'over');
  }
  if (uid === own) return leave(ctx, store);
  ctx.status = 303;
  ctx.redirect(`${address}?done=ended`);
}

/** POST /portal/sessions/others/removal */
export async function submitOthersEnd(
  ctx: Context,
  store: PortalStore,
  account_id: string,
  own: string,
): Promise<void> {
  const sessions = await listSessionsOf(store.db, account_id, ctx.state.language);
  const others = sessions.map(({ uid }) => uid).filter((uid) => uid !== own);
  await end(ctx, store, account_id, others);
  ctx.status = 303;
  ctx.redirect(`${address}?done=others`);
}

/** POST /portal/sessions/all/removal */
export async function submitAllEnd(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  const sessions = await listSessionsOf(store.db, account_id, ctx.state.language);
  const uids = sessions.map(({ uid }) => uid);
  await end(ctx, store, account_id, uids);
  leave(ctx, store);
}

/** Ends sessions of this person, all or none; false when there was none of them. */
async function end(ctx: Context, store: PortalStore, account_id: string, uids: string[]): Promise<boolean> {
  const { address: from, request_id } = ctx.state;
  const request: AuditRequest = { address: from, user_agent: ctx.get('user-agent'), request_id };
  return inTransaction(store.db, async (tx) => {
    let ended = 0;
    // In one order, so that two who end the same ones at once do not wait for each other in a ring.
    for (const uid of uids.toSorted()) if (await store.endSession(tx, uid, { account_id, request })) ended += 1;
    return ended > 0;
  });
}

function leave(ctx: Context, store: PortalStore): void {
  store.leaveBrowser(ctx);
  ctx.status = 303;
  ctx.redirect(`${store.config.issuer}/session/end/success`);
}
