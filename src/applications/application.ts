/** The applications that agencies offer: named by an id that never changes, changed and switched off, each version once. */

import { type Insertable, type Selectable, sql, type Updateable } from 'kysely';
import { z } from 'zod';
import type { Database, Transaction } from '../database.ts';
import type { Applications } from '../tables.ts';
import { plain_text } from '../text.ts';

export type Application = Selectable<Applications>;

/** Who may hold a user name: one person alone, or the people of one organisation together. */
export const sharings = ['one_person', 'same_organisation'] as const;

// What stands in an id's place in the addresses of portal and console.
const reserved = ['selection', 'creation'];

const text = (longest: number) =>
  z
    .string()
    .trim()
    .min(1, 'errors.field.required')
    .max(longest, 'errors.too_long')
    .regex(plain_text, 'errors.field.unreadable');

/** What describes an application and may change. */
export const applicationSchema = z.object({
  name: text(100),
  about: text(300),
  about_en: text(300),
  url: text(500),
  agency_code: z.string().max(20, 'errors.too_long').meta({ options: 'agencies' }),
  client_id: z.string().max(200, 'errors.too_long').nullish().meta({ options: 'clients' }),
});

export const newApplicationSchema = z.object({
  id: z
    .string()
    .trim()
    .regex(/^[a-z0-9-]{2,40}$/, 'errors.application.id')
    .refine((id) => !reserved.includes(id), 'errors.application.id_reserved'),
  ...applicationSchema.shape,
});

type Description = z.output<typeof applicationSchema>;

export type SavedApplication =
  | { state: 'done' }
  /** By field, the keys of messages. */
  | { state: 'refused'; errors: Record<string, string> }
  /** Somebody changed it since. */
  | { state: 'conflict' };

/** Adds an application; of two with one id at once one comes first. */
export async function createApplication(
  tx: Transaction,
  { id, ...description }: z.output<typeof newApplicationSchema>,
  rules: { is_production: boolean },
): Promise<SavedApplication> {
  const errors = await findRefusals(tx, id, description, rules);
  if (errors) return { state: 'refused', errors };
  const result = await tx
    .insertInto('applications')
    .values({ id, ...description })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return result.numInsertedOrUpdatedRows === 1n
    ? { state: 'done' }
    : { state: 'refused', errors: { id: 'errors.application.id_taken' } };
}

/** Changes what describes an application, unless somebody changed it since `version`. */
export async function changeApplication(
  tx: Transaction,
  seen: Pick<Application, 'id' | 'version'>,
  { client_id = null, ...description }: Description,
  rules: { is_production: boolean },
): Promise<SavedApplication> {
  const errors = await findRefusals(tx, seen.id, { ...description, client_id }, rules);
  return errors ? { state: 'refused', errors } : updateApplication(tx, seen, { ...description, client_id });
}

/** Writes what changes of an application, unless somebody changed it since `version`. */
export async function updateApplication(
  tx: Transaction,
  { id, version }: Pick<Application, 'id' | 'version'>,
  change: Updateable<Applications>,
): Promise<{ state: 'done' } | { state: 'conflict' }> {
  const result = await tx
    .updateTable('applications')
    .set(change)
    .where('id', '=', id)
    .where('version', '=', version)
    .executeTakeFirst();
  return { state: result.numUpdatedRows === 1n ? 'done' : 'conflict' };
}

async function findRefusals(
  tx: Transaction,
  id: string,
  { url, agency_code, client_id }: Description,
  { is_production }: { is_production: boolean },
): Promise<Record<string, string> | undefined> {
  const errors: Record<string, string> = {};
  if (!isAddress(url, is_production)) errors.url = 'errors.application.url';
  const agency = await tx.selectFrom('agencies').select('code').where('code', '=', agency_code).executeTakeFirst();
  if (!agency) errors.agency_code = 'errors.agency.unknown';
  const client = client_id ? await refuseClient(tx, id, agency_code, client_id) : undefined;
  if (client) errors.client_id = client;
  return Object.keys(errors).length > 0 ? errors : undefined;
}

/** People open it from their portal: where it is, over TLS, and nothing that reads like another place. */
function isAddress(address: string, is_production: boolean): boolean {
  const url = URL.parse(address);
  if (!url || url.username || url.password || !/^https?:\/\/[^\s\\@]+$/i.test(address)) return false;
  if (url.protocol === 'https:') return true;
  return !is_production && (/(^|\.)localhost$/.test(url.hostname) || ['127.0.0.1', '[::1]'].includes(url.hostname));
}

/** A client of the same agency that stands behind no other application. Its row is locked, so that of two at once one has it. */
async function refuseClient(
  tx: Transaction,
  id: string,
  agency_code: string,
  client_id: string,
): Promise<string | undefined> {
  const client = await tx
    .selectFrom('clients')
    .select('agency_code')
    .where('id', '=', client_id)
    .forNoKeyUpdate()
    .executeTakeFirst();
  // Another agency's client and none at all are the same to whoever asks.
  if (client?.agency_code !== agency_code) return 'errors.application.client_elsewhere';
  const other = await tx
    .selectFrom('applications')
    .select('id')
    .where('client_id', '=', client_id)
    .where('id', '<>', id)
    .executeTakeFirst();
  return other && 'errors.application.client_taken';
}

/** Who may hold a name of an application, which stays so until the caller's transaction ends. */
export async function holdSharing(tx: Transaction, id: string): Promise<Application['sharing'] | undefined> {
  const row = await tx.selectFrom('applications').select('sharing').where('id', '=', id).forShare().executeTakeFirst();
  return row?.sharing;
}

/** An active application with the settings of its verifier. */
export async function findApplication(db: Database, id: string): Promise<Application | undefined> {
  return db.selectFrom('applications').selectAll().where('id', '=', id).where('active', '=', true).executeTakeFirst();
}

/** The active application behind a client. */
export async function findApplicationOfClient(db: Database, client_id: string): Promise<Application | undefined> {
  return db
    .selectFrom('applications')
    .selectAll()
    .where('client_id', '=', client_id)
    .where('active', '=', true)
    .executeTakeFirst();
}

/** What hangs on an application, counted. */
export async function weighApplication(db: Database, id: string): Promise<{ links: number; people: number }> {
  const { rows } = await sql<{ links: number; people: number }>`
    SELECT count(*)::int AS links, count(DISTINCT account_id)::int AS people FROM links WHERE application_id = ${id}`.execute(
    db,
  );
  return rows[0] as (typeof rows)[0];
}

/** Writes an application by its id. */
export async function saveApplication(db: Database, application: Insertable<Applications>): Promise<void> {
  await db
    .insertInto('applications')
    .values(application)
    .onConflict((conflict) => conflict.column('id').doUpdateSet(application))
    .execute();
}
