/** Izin Aplikasi: what a person allowed applications to know, and how it is withdrawn. */

import type { Context } from 'koa';
import { listConsents, type ShownConsent, withdrawConsent } from '../consents.ts';
import { inTransaction } from '../database.ts';
import { formatDate } from '../i18n/dates.ts';
import { describeAccess } from '../prompts/consent.ts';
import { page } from '../views.ts';
import { readPerson } from './person.ts';
import type { PortalStore } from './portal.ts';

const consent_id = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** GET /portal/consents?done= */
export async function showConsents(ctx: Context, { db }: PortalStore, account_id: string): Promise<void> {
  const { language, t } = ctx.state;
  const [{ header }, consents] = await Promise.all([
    readPerson(db, account_id, 'consents'),
    listConsents(db, account_id),
  ]);
  const day = (at: Date) => formatDate(language, at, header.zone);
  page(ctx, 'portal/consents', {
    header,
    was_removed: ctx.query.done === 'removed',
    consents: consents.map((consent) => ({
      id: consent.id,
      ...nameClient(consent, language),
      access: describeAccess(t, consent),
      since: day(consent.given_at),
      // A consent that was widened says when, so that a person notices what they do not remember.
      changed: day(consent.updated_at) === day(consent.given_at) ? undefined : day(consent.updated_at),
    })),
  });
}

/** POST /portal/consents/:id/removal: the consent, and all codes and tokens under it, in one transaction. */
export async function submitWithdrawal(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  const id = String(ctx.params.id);
  if (!consent_id.test(id)) return ctx.throw(404);
  const { address, request_id } = ctx.state;
  const request = { address, user_agent: ctx.get('user-agent'), request_id };
  const client_id = await inTransaction(store.db, async (tx) => {
    const withdrawn = await withdrawConsent(tx, account_id, id, request);
    if (withdrawn) await store.endGrantsOf(tx, account_id, withdrawn);
    return withdrawn;
  });
  // Another's, one that never was, and one that is withdrawn already are the same 404.
  if (!client_id) return ctx.throw(404);
  ctx.status = 303;
  ctx.redirect('/portal/consents?done=removed');
}

function nameClient({ client_id, client_name, agency_name, agency_name_en }: ShownConsent, language: 'id' | 'en') {
  return { name: client_name ?? client_id, agency: (language === 'en' ? agency_name_en : agency_name) ?? undefined };
}
