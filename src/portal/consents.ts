/** Izin Aplikasi: what applications may know of a person and what access they hold, and how either is ended. */

import type { Context } from 'koa';
import type { AuditRequest } from '../audit/audit.ts';
import { record } from '../audit/audit.ts';
import { listConsents, type ShownConsent, withdrawConsent } from '../consents.ts';
import { inTransaction, type Transaction } from '../database.ts';
import { formatDate } from '../i18n/dates.ts';
import { type Access, listAccess } from '../oidc/records/grant-list.ts';
import { describeAccess, describeApis, findApis } from '../prompts/consent.ts';
import { page } from '../views.ts';
import { readPerson } from './person.ts';
import type { PortalStore } from './portal.ts';

const address = '/portal/consents';
const consent_id = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** What is said in place of nothing, by the `done` of the address. */
const done = ['removed', 'ended', 'all', 'over'] as const;

/** GET /portal/consents?done= */
export function showConsents(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  const said = done.find((word) => word === ctx.query.done);
  return show(ctx, store, account_id, said);
}

/** What was to be ended is not there: the list as it stands, with a word about that. */
function showOver(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  ctx.status = 404;
  return show(ctx, store, account_id, 'over');
}

async function show(
  ctx: Context,
  { db }: PortalStore,
  account_id: string,
  said: (typeof done)[number] | undefined,
): Promise<void> {
  const { language, t } = ctx.state;
  const [{ header }, consents, accesses] = await Promise.all([
    readPerson(db, account_id, 'consents'),
    listConsents(db, account_id),
    listAccess(db, account_id, language),
  ]);
  const apis = await findApis(
    db,
    consents.flatMap(({ api_access }) => api_access),
  );
  const day = (at: Date) => formatDate(language, at, header.zone);
  page(ctx, 'portal/consents', {
    header,
    said: said && t(`portal.consents.${said}`),
    consents: consents.map((consent) => {
      const access = accesses.find(({ client_id }) => client_id === consent.client_id);
      return {
        id: consent.id,
        ...nameClient(consent, language),
        access: describeAccess(t, consent),
        apis: describeApis(apis, language, consent.api_access),
        since: day(consent.given_at),
        // A consent that was widened says when, so that a person notices what they do not remember.
        changed: day(consent.updated_at) === day(consent.given_at) ? undefined : day(consent.updated_at),
        used: access && day(access.used_at),
        is_away: access?.is_away ?? false,
      };
    }),
    accesses: accesses.filter(isUnasked(consents)).map((access) => ({
      id: encodeURIComponent(access.client_id),
      ...nameClient(access, language),
      access: describeAccess(t, { scopes: access.scopes, claims: [] }),
      since: day(access.since),
      used: day(access.used_at),
      is_away: access.is_away,
    })),
  });
}

/** Whether an application holds access without a consent that could be withdrawn. */
function isUnasked(consents: ShownConsent[]) {
  return ({ client_id }: Access) => !consents.some((consent) => consent.client_id === client_id);
}

/** POST /portal/consents/:id/removal: the consent, and all codes and tokens under it, in one transaction. */
export async function submitWithdrawal(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  const id = String(ctx.params.id);
  if (!consent_id.test(id)) return showOver(ctx, store, account_id);
  const is_withdrawn = await inTransaction(store.db, (tx) => withdraw(tx, store, account_id, id, requestOf(ctx)));
  // Another's, one that never was, and one that is withdrawn already are the same.
  if (!is_withdrawn) return showOver(ctx, store, account_id);
  ctx.status = 303;
  ctx.redirect(`${address}?done=removed`);
}

/** POST /portal/grants/:id/removal: all that an application holds of this person; one that need not ask has no consent. */
export async function submitAccessEnd(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  const accesses = await listAccess(store.db, account_id, ctx.state.language);
  const access = accesses.find(({ client_id }) => client_id === ctx.params.id);
  if (!access) return showOver(ctx, store, account_id);
  await inTransaction(store.db, (tx) => endAccess(tx, store, account_id, access.client_id, requestOf(ctx)));
  ctx.status = 303;
  ctx.redirect(`${address}?done=ended`);
}

/** POST /portal/grants/removal: every consent, and every access beside them. */
export async function submitAllAccessEnd(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  const request = requestOf(ctx);
  await inTransaction(store.db, async (tx) => {
    const consents = await listConsents(tx, account_id);
    const accesses = await listAccess(tx, account_id, ctx.state.language);
    for (const { id } of consents) await withdraw(tx, store, account_id, id, request);
    for (const { client_id } of accesses.filter(isUnasked(consents)))
      await endAccess(tx, store, account_id, client_id, request);
  });
  ctx.status = 303;
  ctx.redirect(`${address}?done=all`);
}

async function withdraw(
  tx: Transaction,
  store: PortalStore,
  account_id: string,
  id: string,
  request: AuditRequest,
): Promise<boolean> {
  const client_id = await withdrawConsent(tx, account_id, id, request);
  if (client_id) await store.endGrantsOf(tx, account_id, client_id);
  return client_id !== undefined;
}

async function endAccess(
  tx: Transaction,
  store: PortalStore,
  account_id: string,
  client_id: string,
  request: AuditRequest,
): Promise<void> {
  await store.endGrantsOf(tx, account_id, client_id);
  await record(tx, { kind: 'grants_ended', account_id, client_id, request });
}

function requestOf(ctx: Context): AuditRequest {
  const { address: from, request_id } = ctx.state;
  return { address: from, user_agent: ctx.get('user-agent'), request_id };
}

type Named = Pick<ShownConsent, 'client_id' | 'client_name' | 'agency_name' | 'agency_name_en'>;

function nameClient({ client_id, client_name, agency_name, agency_name_en }: Named, language: 'id' | 'en') {
  return { name: client_name ?? client_id, agency: (language === 'en' ? agency_name_en : agency_name) ?? undefined };
}
