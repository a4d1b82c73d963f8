/** What came of trying a client, claim by claim, each with what it means; and why what was asked for did not come. */

import type { Context } from 'koa';
import { readFields } from '../http/form.ts';
import { formatDateTime } from '../i18n/dates.ts';
import type { TrialOutcome } from '../oidc/trial/trial.ts';
import type { TriedToken } from '../oidc/trial/trial-report.ts';
import { page } from '../views.ts';
import { readHeader } from './page.ts';
import type { Desk } from './resource.ts';
import { wordOf } from './words.ts';

/** A token, or the answer of userinfo, as the page shows it. */
interface ShownToken {
  title: string;
  format: string;
  chip: { kind: 'good' | 'warn'; text: string };
  lifetime: string | undefined;
  parts: { title: string; lines: { name: string; meaning: string | undefined; text: string }[] }[];
}

/** Claims that are seconds since the epoch. */
const times = new Set(['exp', 'iat', 'nbf', 'auth_time', 'updated_at']);

const own_words = new Set([
  'access_denied',
  'consent_required',
  'interaction_required',
  'invalid_client',
  'invalid_scope',
  'login_required',
  'unauthorized_client',
]);

/** GET and POST /admin/trials/callback: where the engine answers a trial; it is spent by the first look. */
export async function takeTrial(ctx: Context, desk: Desk): Promise<void> {
  const { account_id, session_uid } = desk.actor;
  const answer = ctx.method === 'POST' ? await readPosted(ctx) : { ...ctx.query };
  const owner = { account_id: String(account_id), session_uid: String(session_uid) };
  const { client_id, outcome } = await desk.engine.finishTrial(answer, owner);
  await showTrial(ctx, desk, client_id, outcome);
}

async function readPosted(ctx: Context): Promise<Record<string, unknown>> {
  const { fields } = await readFields(ctx);
  return Object.fromEntries([...fields].map(([name, values]) => [name, values.length === 1 ? values[0] : values]));
}

/** The page of an outcome; without a client the way back leads to their list. */
export async function showTrial(
  ctx: Context,
  desk: Desk,
  client_id: string | undefined,
  outcome: TrialOutcome,
): Promise<void> {
  const { t } = ctx.state;
  const header = await readHeader(ctx, desk, 'clients');
  const client = client_id === undefined ? undefined : `/admin/clients/${encodeURIComponent(client_id)}`;
  if (outcome.state === 'over') ctx.status = 409;
  page(ctx, 'admin/trial', {
    header,
    client_id,
    title: t(`admin.trial.title_${outcome.state}`),
    is_done: outcome.state === 'done',
    text: explain(ctx, outcome),
    scopes:
      outcome.state === 'done'
        ? outcome.scope
            .split(' ')
            .filter(Boolean)
            .map((scope) => tellScope(ctx, scope))
        : [],
    tokens:
      outcome.state === 'done'
        ? [...outcome.tokens, ...(outcome.userinfo ? [outcome.userinfo] : [])].map((token) =>
            tellToken(ctx, token, header.zone),
          )
        : [],
    missing:
      outcome.state === 'over'
        ? []
        : outcome.missing.map(({ scope, claim, because }) => ({
            name: claim ?? scope ?? '',
            text: t(`admin.trial.missing_${because}`),
          })),
    again: client && `${client}/trial`,
    way: { href: client ?? '/admin/clients', label: t(client ? 'admin.trial.to_client' : 'admin.trial.to_clients') },
  });
}

function explain(ctx: Context, outcome: TrialOutcome): string {
  const { t } = ctx.state;
  if (outcome.state !== 'refused') return t(`admin.trial.text_${outcome.state}`);
  // The engine's own words are for developers, in English, and say which rule it was.
  const { error, error_description } = outcome;
  const said = t(`admin.trial.error_${own_words.has(error) ? error : 'other'}`);
  return `${said} (${[error, error_description].filter(Boolean).join(': ')})`;
}

function tellScope(ctx: Context, scope: string): { name: string; text: string } {
  return { name: scope, text: wordOf(ctx, `admin.clients.scope_${scope}`) ?? scope };
}

function tellToken(ctx: Context, token: TriedToken, zone: string): ShownToken {
  const { t } = ctx.state;
  const { kind, format, header, claims, lifetime, verified } = token;
  const parts = [
    { title: t('admin.trial.header'), from: header },
    { title: t('admin.trial.claims'), from: claims },
  ];
  return {
    title: t(`admin.trial.kind_${kind}`),
    format: t(`admin.trial.format_${format}`),
    chip: verified
      ? { kind: 'good', text: t('admin.trial.verified') }
      : { kind: 'warn', text: t(format === 'encrypted' ? 'admin.trial.unreadable' : 'admin.trial.unverified') },
    lifetime: lifetime === undefined ? undefined : tellTime(ctx, lifetime),
    parts: parts.flatMap(({ title, from }) =>
      from
        ? [
            {
              title,
              lines: Object.entries(from).map(([name, value]) => ({
                name,
                meaning: wordOf(ctx, `admin.trial.claim_${name}`),
                text: tellValue(ctx, name, value, zone),
              })),
            },
          ]
        : [],
    ),
  };
}

function tellTime(ctx: Context, seconds: number): string {
  const { t } = ctx.state;
  if (seconds < 120) return t('admin.trial.seconds', { count: Math.max(seconds, 0) });
  if (seconds < 7200) return t('admin.trial.minutes', { count: Math.round(seconds / 60) });
  if (seconds < 172_800) return t('admin.trial.hours', { count: Math.round(seconds / 3600) });
  return t('admin.trial.days', { count: Math.round(seconds / 86_400) });
}

function tellValue(ctx: Context, name: string, value: unknown, zone: string): string {
  if (typeof value === 'number' && times.has(name))
    return `${value} (${formatDateTime(ctx.state.language, new Date(value * 1000), zone)})`;
  return typeof value === 'string' ? value : JSON.stringify(value);
}
