/** Clients that the developers of an agency propose: submitted, decided once by an officer, and their first secret made once. */

import { type Selectable, sql } from 'kysely';
import { z } from 'zod';
import { type AuditRequest, record } from '../audit/audit.ts';
import type { Database, Transaction } from '../database.ts';
import { sendMail } from '../delivery/outbox.ts';
import type { Jobs } from '../jobs.ts';
import { api_scopes } from '../permissions.ts';
import type { ClientSubmissions } from '../tables.ts';
import type { Refusals } from './addresses.ts';
import { client_scopes } from './choices.ts';
import type { ClientRegistration, ClientStore } from './client.ts';
import { findRefusals, type Validate } from './engine-rules.ts';
import { clientSchema, readRegistration } from './metadata.ts';
import { type ClientPreset, client_presets, presets } from './presets.ts';
import { issueClientSecret } from './secrets.ts';
import { reachesInterface } from './trust.ts';
import { listOfficers } from './warnings.ts';

/** What a developer may wish to be told: of people, never of the interface for programs. */
export const submitted_scopes = client_scopes.filter((scope) => !api_scopes.includes(scope));

const { client_name, redirect_uris, post_logout_redirect_uris, client_uri, jwks_uri, contacts } = clientSchema.shape;

/** What a developer says of the application; everything else follows from its kind, or is the officer's to decide. */
export const submissionSchema = z.strictObject({
  client_name,
  preset: z.enum(client_presets),
  redirect_uris,
  post_logout_redirect_uris,
  client_uri,
  jwks_uri,
  contacts,
  scope: z.array(z.enum(submitted_scopes as [string, ...string[]])).min(1, 'errors.field.required'),
  note: z.string().trim().max(2000, 'errors.too_long').default(''),
});

export type SubmissionValues = z.output<typeof submissionSchema>;

/** A submission as it is kept. */
export type Submission = Selectable<ClientSubmissions>;

/** So many of one person may wait at a time; an officer reads each. */
const most_waiting = 20;

/** The client that a submission would become; never one that is trusted with more than others. */
export function registrationOf(
  { preset, name, wishes, agency_code }: Pick<Submission, 'preset' | 'name' | 'wishes' | 'agency_code'>,
  client_id: string,
): ClientRegistration {
  const values = { ...presets[preset as ClientPreset], ...wishes, client_id, client_name: name, agency_code };
  return { ...readRegistration(clientSchema.parse(values)), origin: 'submission' };
}

export type Submitted = { state: 'submitted'; id: string } | { state: 'refused'; errors: Refusals };

/** Submits a client: what the rules would refuse is refused now, and not weeks later by an officer. */
export async function submitClient(
  tx: Transaction,
  jobs: Jobs,
  { account_id, agency_code, request }: { account_id: string; agency_code: string; request: AuditRequest },
  { preset, client_name: name, note, ...wishes }: SubmissionValues,
  validate: Validate,
): Promise<Submitted> {
  const errors = await findRefusals(tx, registrationOf({ preset, name, wishes, agency_code }, 'usulan'), validate);
  if (errors) return { state: 'refused', errors: placeKeys(errors) };
  // One after the other for each person, so that each counts those before it.
  await sql`SELECT pg_advisory_xact_lock(hashtextextended(${`client submissions ${account_id}`}, 0))`.execute(tx);
  const { waiting } = await tx
    .selectFrom('client_submissions')
    .select(sql<number>`count(*)::int`.as('waiting'))
    .where('submitted_by', '=', account_id)
    .where('decision', 'is', null)
    .executeTakeFirstOrThrow();
  if (waiting >= most_waiting) return { state: 'refused', errors: { form: 'errors.submission.too_many' } };
  const { id } = await tx
    .insertInto('client_submissions')
    .values({ agency_code, submitted_by: account_id, preset, name, wishes: JSON.stringify(wishes), note })
    .returning('id')
    .executeTakeFirstOrThrow();
  await record(tx, { kind: 'client_submitted', account_id, detail: { agency: agency_code, submission: id }, request });
  for (const { email, language, ...officer } of await listOfficers(tx, agency_code))
    await sendMail(tx, jobs, {
      account_id: officer.account_id,
      to: email,
      language,
      template: 'client_submitted',
      values: { client: name },
    });
  return { state: 'submitted', id };
}

/** Keys are not pasted into a submission: where they are missing, their address is. */
function placeKeys({ jwks, ...errors }: Refusals): Refusals {
  return jwks ? { jwks_uri: 'errors.submission.needs_keys', ...errors } : errors;
}

/** The submissions of some agencies, the latest first. */
export async function listSubmissions(db: Database, agencies: string[]): Promise<Submission[]> {
  return db
    .selectFrom('client_submissions')
    .selectAll()
    .where('agency_code', '=', sql<string>`ANY (${agencies})`)
    .orderBy('submitted_at', 'desc')
    .limit(200)
    .execute();
}

/** A submission by its id. */
export async function findSubmission(db: Database, id: string): Promise<Submission | undefined> {
  return db.selectFrom('client_submissions').selectAll().where('id', '=', id).executeTakeFirst();
}

/** Decides a submission, and tells its developer. @returns false when somebody else has decided */
export async function decideSubmission(
  tx: Transaction,
  jobs: Jobs,
  id: string,
  decided:
    | { decision: 'approved'; by: string | null; client_id: string }
    | { decision: 'refused'; by: string | null; because: string },
): Promise<boolean> {
  const { by, ...columns } = decided;
  const row = await tx
    .updateTable('client_submissions')
    .set({ ...columns, decided_by: by, decided_at: sql`gapura_now()` })
    .where('id', '=', id)
    .where('decision', 'is', null)
    .returning(['submitted_by', 'name'])
    .executeTakeFirst();
  if (!row) return false;
  const developer = await tx
    .selectFrom('accounts')
    .select(['email', 'language'])
    .where('id', '=', row.submitted_by)
    .executeTakeFirst();
  if (!developer?.email) return true;
  const more: Record<string, string> =
    decided.decision === 'approved' ? { client_id: decided.client_id } : { because: decided.because };
  await sendMail(tx, jobs, {
    account_id: row.submitted_by,
    to: developer.email,
    language: developer.language,
    template: `client_submission_${decided.decision}`,
    values: { client: row.name, ...more },
  });
  return true;
}

/** Makes the first secret of an approved client for its developer, once; later ones come from an officer. */
export async function makeFirstSecret(
  tx: Transaction,
  clients: ClientStore,
  id: string,
  account_id: string,
  request: AuditRequest,
): Promise<{ client_id: string; secret: string } | undefined> {
  const client = await tx
    .selectFrom('client_submissions as s')
    .innerJoin('clients as c', 'c.id', 's.client_id')
    .select(['c.api_role', 'c.metadata'])
    .where('s.id', '=', id)
    .forUpdate('c')
    .executeTakeFirst();
  // An administrator has trusted it with more since: its secret would open more than the developer may.
  if (!client || reachesInterface(client)) return undefined;
  const row = await tx
    .updateTable('client_submissions')
    .set({ secret_made_at: sql`gapura_now()` })
    .where('id', '=', id)
    .where('submitted_by', '=', account_id)
    .where('client_id', 'is not', null)
    .where('secret_made_at', 'is', null)
    .returning('client_id')
    .executeTakeFirst();
  const client_id = row?.client_id;
  if (!client_id) return undefined;
  const issued = await issueClientSecret(tx, clients, client_id, { by: account_id });
  // An officer was quicker, or the client proves itself by a key: then there is no first one to be made here.
  if (issued.state === 'refused') return undefined;
  await record(tx, { kind: 'client_secret_made', account_id, client_id, detail: { submission: id }, request });
  return { client_id, secret: issued.secret };
}
