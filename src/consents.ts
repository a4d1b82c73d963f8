/** What a person allowed an application to know: remembered per client, widened by what is new, withdrawn at once. */

import { type Selectable, sql } from 'kysely';
import { type AuditRequest, record } from './audit/audit.ts';
import type { Database, Transaction } from './database.ts';
import type { Consents } from './tables.ts';

export type Consent = Selectable<Consents>;

/** A consent as its owner sees it, with the names of the application in both languages. */
export interface ShownConsent
  extends Pick<Consent, 'id' | 'scopes' | 'claims' | 'api_access' | 'given_at' | 'updated_at'> {
  client_id: string;
  client_name: string | null;
  agency_name: string | null;
  agency_name_en: string | null;
}

/** What was allowed just now; `declined` are scopes of the same request that were not. */
export interface GivenConsent {
  account_id: string;
  client_id: string;
  scopes: string[];
  claims: string[];
  /** APIs by their identifiers, and scopes there as `<identifier> <scope>`. */
  api_access?: string[];
  declined: string[];
  request: AuditRequest | undefined;
}

export async function findConsent(db: Database, account_id: string, client_id: string): Promise<Consent | undefined> {
  return db
    .selectFrom('consents')
    .selectAll()
    .where('account_id', '=', account_id)
    .where('client_id', '=', client_id)
    .executeTakeFirst();
}

/** Adds to what a client is allowed and takes away what was declined. What changes nothing is neither written nor told. */
export async function giveConsent(tx: Transaction, given: GivenConsent): Promise<void> {
  const { account_id, client_id, scopes, claims, api_access = [], declined, request } = given;
  const { rows } = await sql<{ version: number }>`
    INSERT INTO consents AS c (account_id, client_id, scopes, claims, api_access)
    VALUES (${account_id}, ${client_id}, ${scopes}::text[], ${claims}::text[], ${api_access}::text[])
    ON CONFLICT (account_id, client_id) DO UPDATE SET
      scopes = ARRAY(SELECT scope FROM unnest(c.scopes || excluded.scopes) AS scope
        WHERE scope <> ALL (${declined}::text[]) GROUP BY scope),
      claims = ARRAY(SELECT DISTINCT unnest(c.claims || excluded.claims)),
      api_access = ARRAY(SELECT DISTINCT unnest(c.api_access || excluded.api_access)),
      version = c.version + 1,
      updated_at = gapura_now()
    WHERE NOT c.scopes @> excluded.scopes OR NOT c.claims @> excluded.claims
      OR NOT c.api_access @> excluded.api_access OR c.scopes && ${declined}::text[]
    RETURNING version`.execute(tx);
  const [written] = rows;
  if (!written) return;
  const apis = api_access.length > 0 ? { api_access: api_access.join(', ') } : {};
  const detail = { scopes: scopes.join(' '), claims: claims.join(' '), ...apis, version: written.version };
  await record(tx, { kind: 'consent_given', account_id, client_id, detail, request });
}

/**
 * Whether all that a consent allowed when it was read is allowed still; another tab may have widened it since. Waits for a
 * withdrawal that is under way, so that whoever asks after writing a grant learns of it, and whoever withdraws later finds
 * the grant.
 */
export async function isConsentCurrent(
  db: Database,
  { id, scopes, claims, api_access }: Pick<Consent, 'id' | 'scopes' | 'claims' | 'api_access'>,
): Promise<boolean> {
  const row = await db
    .selectFrom('consents')
    .select('id')
    .where('id', '=', id)
    .where(
      sql<boolean>`scopes @> ${scopes}::text[] AND claims @> ${claims}::text[] AND api_access @> ${api_access}::text[]`,
    )
    .forShare()
    .executeTakeFirst();
  return row !== undefined;
}

/** A person's consents by the names of their applications. What our own applications may know is no matter of consent. */
export async function listConsents(db: Database, account_id: string): Promise<ShownConsent[]> {
  return db
    .selectFrom('consents as c')
    .innerJoin('clients as l', 'l.id', 'c.client_id')
    .leftJoin('agencies as a', 'a.code', 'l.agency_code')
    .select([
      'c.id',
      'c.client_id',
      'c.scopes',
      'c.claims',
      'c.api_access',
      'c.given_at',
      'c.updated_at',
      sql<string | null>`l.metadata ->> 'client_name'`.as('client_name'),
      'a.name as agency_name',
      'a.name_en as agency_name_en',
    ])
    .where('c.account_id', '=', account_id)
    .where('l.first_party', '=', false)
    .orderBy(sql`lower(coalesce(l.metadata ->> 'client_name', l.id))`)
    .orderBy('c.id')
    .execute();
}

/**
 * Withdraws a consent of this person's. What was granted under it must end in the same transaction.
 * @returns the client that had it; undefined when there is none, or it is another person's
 */
export async function withdrawConsent(
  tx: Transaction,
  account_id: string,
  id: string,
  request: AuditRequest | undefined,
): Promise<string | undefined> {
  const row = await tx
    .deleteFrom('consents')
    .where('id', '=', id)
    .where('account_id', '=', account_id)
    .returning(['client_id', 'version'])
    .executeTakeFirst();
  if (!row) return undefined;
  const { client_id, version } = row;
  await record(tx, { kind: 'consent_withdrawn', account_id, client_id, detail: { version }, request });
  return client_id;
}
