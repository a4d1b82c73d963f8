/** Aplikasi Saya: what the developers of an agency register: submitted, followed, and set up once an officer has agreed. */

import type { Context } from 'koa';
import { findClientMetadata } from '../clients/engine-client.ts';
import { client_presets } from '../clients/presets.ts';
import { usesSecret } from '../clients/secret-use.ts';
import { listSnippets } from '../clients/snippets.ts';
import {
  findSubmission,
  listSubmissions,
  makeFirstSecret,
  type Submission,
  submissionSchema,
  submitClient,
  submitted_scopes,
} from '../clients/submissions.ts';
import { reachesInterface } from '../clients/trust.ts';
import { inTransaction } from '../database.ts';
import { type Fields, readFields } from '../http/form.ts';
import { formatDate, formatDateTime } from '../i18n/dates.ts';
import { listRoles, reachOf } from '../permissions.ts';
import { page } from '../views.ts';
import { readPerson } from './person.ts';
import type { PortalStore } from './portal.ts';

const submission_id = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The fields of the form in their order, as `views/parts/control.ejs` draws them; `lines` are one value on each line. */
const controls = [
  { name: 'client_name', kind: 'text', is_required: true },
  { name: 'preset', kind: 'choice', is_required: true },
  { name: 'redirect_uris', kind: 'lines', is_required: false },
  { name: 'post_logout_redirect_uris', kind: 'lines', is_required: false },
  { name: 'client_uri', kind: 'text', is_required: false },
  { name: 'scope', kind: 'choices', is_required: true },
  { name: 'contacts', kind: 'lines', is_required: false },
  { name: 'jwks_uri', kind: 'text', is_required: false },
  { name: 'note', kind: 'long', is_required: false },
] as const;

/** The agencies for which somebody registers applications. Asked at every request: a role that is taken back counts no more. */
async function findAgencies(ctx: Context, { db }: PortalStore, account_id: string): Promise<string[]> {
  const reach = reachOf(await listRoles(db, account_id), 'clients:submit');
  return reach && reach !== 'everything' && reach.agencies.length > 0 ? reach.agencies : ctx.throw(403);
}

/** GET /portal/clients */
export async function showClients(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  const { language, t } = ctx.state;
  const agencies = await findAgencies(ctx, store, account_id);
  const { header } = await readPerson(store.db, account_id, 'clients');
  const submissions = await listSubmissions(store.db, agencies);
  page(ctx, 'portal/clients', {
    header,
    rows: submissions.map((submission) => ({
      href: `/portal/clients/${submission.id}`,
      name: submission.name,
      agency: submission.agency_code,
      since: formatDate(language, submission.submitted_at, header.zone),
      chip: chipOf(t, submission),
    })),
  });
}

/** GET /portal/clients/submission */
export async function showSubmission(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  const agencies = await findAgencies(ctx, store, account_id);
  const usual = new Map([
    ['preset', ['web_server']],
    ['scope', ['openid', 'profile', 'email']],
  ]);
  return showForm(ctx, store, account_id, agencies, usual, {});
}

/** POST /portal/clients/submission */
export async function submitSubmission(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  const agencies = await findAgencies(ctx, store, account_id);
  const { fields, broken } = await readFields(ctx);
  const refuse = (errors: Record<string, string>) => {
    ctx.status = 422;
    return showForm(ctx, store, account_id, agencies, fields, errors);
  };
  const read = readSubmission({ fields, broken });
  const agency_code = fields.get('agency_code')?.[0] ?? agencies[0] ?? '';
  if (!agencies.includes(agency_code)) return refuse({ agency_code: 'errors.field.invalid' });
  if (read.state === 'refused') return refuse(read.errors);
  const who = { account_id, agency_code, request: requestOf(ctx) };
  const submitted = await inTransaction(store.db, (tx) =>
    submitClient(tx, store.links.jobs, who, read.values, store.validateClient),
  );
  if (submitted.state === 'refused') return refuse(submitted.errors);
  ctx.status = 303;
  ctx.redirect(`/portal/clients/${submitted.id}`);
}

/** GET /portal/clients/:id */
export async function showClient(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  const { language, t } = ctx.state;
  const submission = await findOwn(ctx, store, account_id);
  const { header } = await readPerson(store.db, account_id, 'clients');
  const { client_id } = submission;
  const metadata = client_id ? await findClientMetadata(store.clients, client_id) : undefined;
  const facts = [
    { label: t('admin.clients.agency_code'), text: submission.agency_code },
    { label: t('portal.clients.preset'), text: t(`admin.clients.preset_${submission.preset}`) },
    { label: t('portal.clients.submitted_at'), text: formatDateTime(language, submission.submitted_at, header.zone) },
    ...(submission.because ? [{ label: t('portal.clients.because'), text: submission.because }] : []),
    ...(metadata && client_id
      ? [
          { label: t('admin.clients.client_id'), text: client_id },
          { label: t('portal.clients.issuer'), text: store.config.issuer },
        ]
      : []),
  ];
  page(ctx, 'portal/client', {
    header,
    id: submission.id,
    name: submission.name,
    chip: chipOf(t, submission),
    text: t(`portal.clients.text_${submission.decision === 'approved' && !metadata ? 'gone' : stateOf(submission)}`),
    facts,
    makes_secret:
      metadata !== undefined &&
      usesSecret(metadata) &&
      !reachesInterface({ api_role: metadata.api_role, metadata }) &&
      submission.submitted_by === account_id &&
      submission.secret_made_at === null,
    snippets: metadata && client_id ? listSnippets({ client_id, metadata }, store.config.issuer) : [],
  });
}

/** POST /portal/clients/:id/secret: shown this once; a second time leads back to the application. */
export async function submitSecret(ctx: Context, store: PortalStore, account_id: string): Promise<void> {
  const { id, name } = await findOwn(ctx, store, account_id);
  const made = await inTransaction(store.db, (tx) =>
    makeFirstSecret(tx, store.clients, id, account_id, requestOf(ctx)),
  );
  if (!made) {
    ctx.status = 303;
    return ctx.redirect(`/portal/clients/${id}`);
  }
  const { header } = await readPerson(store.db, account_id, 'clients');
  page(ctx, 'portal/client-secret', { header, name, secret: made.secret, href: `/portal/clients/${id}` });
}

/** The submission of the address; another agency's is the same 404 as one that never was. */
async function findOwn(ctx: Context, store: PortalStore, account_id: string): Promise<Submission> {
  const agencies = await findAgencies(ctx, store, account_id);
  const id = String(ctx.params.id);
  const found = submission_id.test(id) ? await findSubmission(store.db, id) : undefined;
  return found && agencies.includes(found.agency_code) ? found : ctx.throw(404);
}

function stateOf({ decision }: Submission): 'waiting' | 'approved' | 'refused' {
  return decision ?? 'waiting';
}

function chipOf(t: Context['state']['t'], submission: Submission) {
  const kinds = { waiting: 'quiet', approved: 'good', refused: 'warn' } as const;
  const state = stateOf(submission);
  return { kind: kinds[state], text: t(`portal.clients.state_${state}`) };
}

function readSubmission({ fields, broken }: Fields) {
  const errors: Record<string, string> = {};
  const values: Record<string, unknown> = {};
  for (const name of broken) errors[name] = 'errors.field.unreadable';
  for (const { name, kind } of controls) {
    const sent = fields.get(name) ?? [];
    const text = (sent[0] ?? '').trim();
    if (kind !== 'choices' && sent.length > 1) errors[name] = 'errors.field.repeated';
    if (kind === 'choices') values[name] = sent;
    else if (kind === 'lines') values[name] = text.split(/\s+/).filter((line) => line !== '');
    else if (text !== '') values[name] = text;
  }
  const read = submissionSchema.safeParse(values);
  for (const { path, message } of read.error?.issues ?? []) {
    const field = String(path[0] ?? 'form');
    const is_key = /^[a-z]+(\.[a-z_-]+)+$/.test(message);
    errors[field] ??= is_key ? message : field in values ? 'errors.field.invalid' : 'errors.field.required';
  }
  return read.success && Object.keys(errors).length === 0
    ? { state: 'read' as const, values: read.data }
    : { state: 'refused' as const, errors };
}

async function showForm(
  ctx: Context,
  store: PortalStore,
  account_id: string,
  agencies: string[],
  typed: ReadonlyMap<string, string[]>,
  errors: Record<string, string>,
): Promise<void> {
  const { t } = ctx.state;
  const { header } = await readPerson(store.db, account_id, 'clients');
  const options: Record<string, { value: string; label: string }[]> = {
    preset: client_presets.map((value) => ({ value, label: t(`admin.clients.preset_${value}`) })),
    scope: submitted_scopes.map((value) => ({ value, label: t(`admin.clients.scope_${value}`) })),
    agency_code: agencies.map((value) => ({ value, label: value })),
  };
  const asked = [
    ...(agencies.length > 1 ? [{ name: 'agency_code', kind: 'choice', is_required: true } as const] : []),
    ...controls,
  ];
  const own_words = ['preset', 'note', 'jwks_uri', 'agency_code'];
  const drawn = asked.map((control) => ({
    ...control,
    label: t(own_words.includes(control.name) ? `portal.clients.${control.name}` : `admin.clients.${control.name}`),
    help: t(
      own_words.includes(control.name) ? `portal.clients.${control.name}_help` : `admin.clients.${control.name}_help`,
    ),
    error: errors[control.name] && t(errors[control.name] ?? ''),
    typed: (typed.get(control.name) ?? []).map((text) => text.slice(0, 4000)),
    options: options[control.name] ?? [],
    autocomplete: 'off',
  }));
  const problems = Object.entries(errors).map(([name, key]) => ({
    text: t(key),
    field: asked.some((control) => control.name === name) ? name : 'title',
  }));
  page(ctx, 'portal/submission', { header, controls: drawn, problems });
}

function requestOf(ctx: Context) {
  const { address, request_id } = ctx.state;
  return { address, user_agent: ctx.get('user-agent'), request_id };
}
