/** The human check before a recovery begins: asked of an address that has begun many, or of everybody, as policy says. */

import type { Context } from 'koa';
import { canonicalise } from '../accounts/identifiers.ts';
import { answerCheck, type Check, mustCheck } from '../human-check/human-check.ts';
import { type check_fields, keepCheck, offerCheck, readAnswer, turnCheck } from '../human-check/page.ts';
import type { PortalStore } from './portal.ts';

type CheckValues = Record<keyof typeof check_fields, string>;

/** By what a recovery pays whoever it is for, so that names which nobody has are asked after as many as others. */
function isAsked(ctx: Context, { db, recoveries }: PortalStore): Promise<boolean> {
  const lane = { limit: 'recovery_start', key: ctx.state.address, is_shared: true } as const;
  return mustCheck(db, recoveries.limits, [lane]);
}

/** The check that the page shows, where one is asked: the one that the person is just reading, or a new one. */
export async function showCheck(ctx: Context, store: PortalStore, id = ''): Promise<Check | undefined> {
  if (!(await isAsked(ctx, store))) return undefined;
  return id ? keepCheck(ctx, store.checks, id) : offerCheck(ctx, store.checks);
}

/** Why a form goes no further for now. */
export interface Held {
  status: number;
  check: Check;
  errors: { username?: string; captcha?: string };
  retry_after?: number;
}

/** Does what a button of the check asks for; undefined when none was pressed. */
export async function turn(
  ctx: Context,
  store: PortalStore,
  values: CheckValues & { username: string },
): Promise<Held | undefined> {
  const { t } = ctx.state;
  const turned = await turnCheck(ctx, store.checks, values, values.username ? canonicalise(values.username) : '');
  if (!turned) return undefined;
  const { check, status, because, retry_after } = turned;
  const errors = {
    ...(because === 'name_missing' ? { username: t('errors.recovery.name_missing') } : {}),
    ...(because === 'over' ? { captcha: t('errors.human_check.over') } : {}),
    ...(retry_after === undefined ? {} : { captcha: t('errors.recovery.too_soon', { seconds: retry_after }) }),
  };
  return { status, check, errors, ...(retry_after === undefined ? {} : { retry_after }) };
}

/** Takes the answer, where one is asked; undefined when the way is free. */
export async function holdUnchecked(ctx: Context, store: PortalStore, values: CheckValues): Promise<Held | undefined> {
  if (!(await isAsked(ctx, store))) return undefined;
  const outcome = await answerCheck(store.db, store.checks.keys, readAnswer(ctx, values));
  if (outcome.state === 'right') return undefined;
  const check = await keepCheck(ctx, store.checks, values.captcha_id);
  return { status: 422, check, errors: { captcha: ctx.state.t(`errors.human_check.${outcome.state}`) } };
}
