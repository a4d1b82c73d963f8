/** What a person sees in the table of applications: each with its agency, and how it stands with the links. */

import { sql } from 'kysely';
import type { Database } from '../database.ts';

/** A row of the table (document D, screen D2). */
export interface ApplicationRow {
  id: string;
  name: string;
  about: string;
  about_en: string;
  url: string;
  /** Where its client begins a sign-in when it is asked to. */
  initiate_login_uri: string | null;
  agency_code: string;
  agency_name: string;
  agency_name_en: string;
  /** Whether links can be made at all. */
  is_supported: boolean;
  /** It knows people by their sign-in here, and works with no user names that would have to be linked. */
  needs_no_link: boolean;
  /** How many user names this person has linked. */
  links: number;
  /** Since when the first of them is linked. */
  linked_since: Date | null;
  /** How many of them must be proven again. */
  stale_links: number;
}

/** One page of the table and what its foot says. */
export interface ApplicationPage {
  rows: ApplicationRow[];
  total: number;
}

/** When a proof has run out: the application says that something changed, or its policy's days are over. */
export const is_stale = sql<boolean>`(l.stale_at IS NOT NULL
  OR (p.proof_lasts IS NOT NULL AND l.verified_at + make_interval(days => p.proof_lasts) <= gapura_now()))`;

/** The active applications by name, of one agency or of all, `size` on a page; pages count from 1. */
export async function listApplications(
  db: Database,
  account_id: string,
  { agency_code, page, size }: { agency_code?: string | undefined; page: number; size: number },
): Promise<ApplicationPage> {
  const wanted = db
    .selectFrom('applications as p')
    .where('p.active', '=', true)
    .$if(agency_code !== undefined, (query) => query.where('p.agency_code', '=', agency_code ?? ''));
  const { total } = await wanted.select(sql<number>`count(*)::int`.as('total')).executeTakeFirstOrThrow();
  const rows = await selectRows(wanted, account_id)
    .orderBy(sql`lower(p.name)`)
    .orderBy('p.id')
    .limit(size)
    .offset((page - 1) * size)
    .execute();
  return { rows, total };
}

/** One application as the table shows it. */
export async function findApplicationRow(
  db: Database,
  account_id: string,
  id: string,
): Promise<ApplicationRow | undefined> {
  const wanted = db.selectFrom('applications as p').where('p.active', '=', true).where('p.id', '=', id);
  return selectRows(wanted, account_id).executeTakeFirst();
}

function selectRows(wanted: ReturnType<typeof fromApplications>, account_id: string) {
  return wanted
    .innerJoin('agencies as a', 'a.code', 'p.agency_code')
    .leftJoinLateral(
      (eb) =>
        eb
          .selectFrom('links as l')
          .whereRef('l.application_id', '=', 'p.id')
          .where('l.account_id', '=', account_id)
          .select([
            sql<number>`count(*)::int`.as('links'),
            sql<Date | null>`min(l.created_at)`.as('linked_since'),
            sql<number>`(count(*) FILTER (WHERE ${is_stale}))::int`.as('stale_links'),
          ])
          .as('n'),
      (join) => join.onTrue(),
    )
    .select([
      'p.id',
      'p.name',
      'p.about',
      'p.about_en',
      'p.url',
      sql<string | null>`(SELECT c.metadata->>'initiate_login_uri' FROM clients c
        WHERE c.id = p.client_id AND c.active)`.as('initiate_login_uri'),
      'p.agency_code',
      'a.name as agency_name',
      'a.name_en as agency_name_en',
      sql<boolean>`p.verifier IS NOT NULL AND p.verifier_settings <> '{}'`.as('is_supported'),
      sql<boolean>`p.verifier IS NULL AND EXISTS (
        SELECT FROM clients c WHERE c.id = p.client_id AND c.active AND NOT c.link_required)`.as('needs_no_link'),
      sql<number>`n.links`.as('links'),
      sql<Date | null>`n.linked_since`.as('linked_since'),
      sql<number>`n.stale_links`.as('stale_links'),
    ]);
}

function fromApplications(db: Database) {
  return db.selectFrom('applications as p');
}

/** The agencies that have applications, for the filter. */
export async function listAgenciesWithApplications(
  db: Database,
): Promise<{ code: string; name: string; name_en: string }[]> {
  return db
    .selectFrom('agencies as a')
    .select(['a.code', 'a.name', 'a.name_en'])
    .where((eb) =>
      eb.exists(
        eb.selectFrom('applications as p').whereRef('p.agency_code', '=', 'a.code').where('p.active', '=', true),
      ),
    )
    .orderBy('a.name')
    .execute();
}
