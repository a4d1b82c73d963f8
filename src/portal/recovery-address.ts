/** Email Pemulihan (document A, steps 5 to 8): the addresses on the page of the password, added, verified and removed. */

import type { Context } from 'koa';
import { z } from 'zod';
import { digest } from '../crypto.ts';
import { readForm } from '../http/form.ts';
import { policy } from '../policy/policy.ts';
import {
  addAddress,
  listRecoveryAddresses,
  removeAddress,
  resendCode,
  type ShownAddress,
  verifyAddress,
} from '../recovery/addresses.ts';
import { page } from '../views.ts';
import { address as credentials, type RecoveryProblem, showWith } from './credentials.ts';
import { goTo, requestOf } from './links.ts';
import { readPerson } from './person.ts';
import type { PortalStore } from './portal.ts';

const address_id = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const person = z.string().max(64).default('');
const addForm = z.object({ recovery_email: z.string().trim().max(254, 'errors.too_long').default(''), person });
const codeForm = z.object({ code: z.string().max(64, 'errors.too_long').default(''), person });

/** GET /portal/credentials/recovery */
export function showAddition(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  return drawAddition(ctx, store, account_id, '', {});
}

async function drawAddition(
  ctx: Context,
  store: PortalStore,
  account_id: string,
  typed: string,
  errors: { recovery_email?: string },
): Promise<void> {
  const { header } = await readPerson(store.db, account_id, 'credentials');
  page(ctx, 'portal/recovery-address', { header, person: digest(account_id), values: { typed }, errors });
}

/** POST /portal/credentials/recovery, field `recovery_email`. */
export async function submitAddition(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  const { t } = ctx.state;
  const read = await readForm(ctx, addForm);
  const typed = read.values.recovery_email ?? '';
  const refuse = (status: number, error: string) => {
    ctx.status = status;
    return drawAddition(ctx, store, account_id, typed, { recovery_email: error });
  };
  if (read.state === 'refused') return refuse(422, t(Object.values(read.errors)[0] ?? 'errors.field.invalid'));
  if (isOfAnother(read.values.person, account_id)) return refuse(422, t('errors.password.other_person'));
  if (!typed) return refuse(422, t('errors.recovery_address.missing'));
  const outcome = await addAddress(store.recoveries, { account_id, typed, request: requestOf(ctx) });
  if (outcome.state === 'added') return goTo(ctx, `${credentials}?done=added#recovery`);
  if (outcome.state === 'refused')
    return refuse(422, t(`errors.recovery_address.${outcome.because}`, { count: policy('recovery.addresses') }));
  ctx.set('retry-after', String(outcome.retry_after));
  return refuse(429, t('errors.recovery_address.waiting', { minutes: Math.ceil(outcome.retry_after / 60) }));
}

/** POST /portal/credentials/recovery/:id/code, field `code`: Verifikasi Kode. */
export async function submitAddressCode(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  const { t } = ctx.state;
  const id = readId(ctx);
  const read = await readForm(ctx, codeForm);
  const refuse = (error: string) => showProblem(ctx, store, account_id, { id, code: error });
  if (read.state === 'refused') return refuse(t(read.errors.code ?? 'errors.field.invalid'));
  if (isOfAnother(read.values.person, account_id)) return refuse(t('errors.password.other_person'));
  const code = read.values.code.trim();
  if (!code) return refuse(t('errors.recovery.code_missing'));
  const outcome = await verifyAddress(store.recoveries, { account_id, id, code, request: requestOf(ctx) });
  switch (outcome.state) {
    case 'verified':
      return goTo(ctx, `${credentials}?done=verified#recovery`);
    case 'wrong':
      return refuse(t('errors.recovery.code_wrong', { left: outcome.left }));
    case 'expired':
      return refuse(t('errors.recovery.code_expired'));
    case 'used_up':
      return refuse(t('errors.recovery_address.entries_used_up'));
    case 'gone':
      return goTo(ctx, `${credentials}#recovery`);
  }
}

/** POST /portal/credentials/recovery/:id/resend: Kirim Ulang. */
export async function submitAddressResend(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  const { t } = ctx.state;
  const id = readId(ctx);
  const row = await findOwn(ctx, store, account_id, id);
  const outcome = await resendCode(store.recoveries, { account_id, id, request: requestOf(ctx) });
  if (outcome === 'sent') return goTo(ctx, `${credentials}?done=sent#recovery`);
  if (outcome === 'gone') return goTo(ctx, `${credentials}#recovery`);
  const code =
    outcome === 'used_up'
      ? t('errors.recovery_address.used_up')
      : t('errors.recovery.too_soon', { seconds: Math.max(1, row.resend_in) });
  return showProblem(ctx, store, account_id, { id, code }, 429);
}

/** GET /portal/credentials/recovery/:id/removal */
export async function showAddressRemoval(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  const row = await findOwn(ctx, store, account_id, readId(ctx));
  const { header } = await readPerson(store.db, account_id, 'credentials');
  page(ctx, 'portal/recovery-address-removal', { header, id: row.id, address: row.address });
}

/** POST /portal/credentials/recovery/:id/removal */
export async function submitAddressRemoval(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  // Another's, one that never was, and one that is gone already are the same 404.
  const is_removed = await removeAddress(store.recoveries, { account_id, id: readId(ctx), request: requestOf(ctx) });
  if (!is_removed) return ctx.throw(404);
  goTo(ctx, `${credentials}?done=removed#recovery`);
}

function showProblem(
  ctx: Context,
  store: PortalStore,
  account_id: string,
  problem: RecoveryProblem,
  status = 422,
): Promise<void> {
  ctx.status = status;
  return showWith(ctx, store, account_id, problem);
}

async function findOwn(ctx: Context, store: PortalStore, account_id: string, id: string): Promise<ShownAddress> {
  const rows = await listRecoveryAddresses(store.recoveries, account_id);
  return rows.find((row) => row.id === id) ?? ctx.throw(404);
}

function readId(ctx: Context): string {
  const id = String(ctx.params.id);
  return address_id.test(id) ? id : ctx.throw(404);
}

function isOfAnother(sent: string, account_id: string): boolean {
  return sent !== '' && sent !== digest(account_id);
}
