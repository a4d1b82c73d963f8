/** The parts of an account's page: what belongs to a person, each only as far as whoever looks may see. */

import { type SelectQueryBuilder, sql } from 'kysely';
import { z } from 'zod';
import { nameDevice } from '../../i18n/devices.ts';
import { translator } from '../../i18n/messages.ts';
import { moment } from '../fields.ts';
import { reachOfActor } from '../operation.ts';
import type { Desk, Section } from '../resource.ts';

const text = z.string().nullable();

/** The places whose part of a person somebody sees; undefined for all of them. */
function ownPlaces({ actor }: Desk): { agencies: string[]; organisations: string[] } | undefined {
  const reach = reachOfActor(actor, 'accounts:read');
  return reach === 'everything' ? undefined : (reach ?? { agencies: [], organisations: [] });
}

const isCut = (desk: Desk) => ownPlaces(desk) !== undefined;

const identifiers: Section = {
  name: 'identifiers',
  permission: 'accounts:read',
  row: z.object({ kind: z.enum(['username', 'email', 'mobile']), value: z.string() }),
  list: ({ db }, { id }) =>
    db
      .selectFrom('account_identifiers')
      .select(['kind', 'value'])
      .where('account_id', '=', id)
      .orderBy('kind', 'desc')
      .orderBy('canonical')
      .execute(),
};

const organisations: Section = {
  name: 'organisations',
  permission: 'accounts:read',
  row: z.object({ organisation_id: z.uuid(), name: z.string(), position: text, created_at: moment() }),
  isCut,
  list(desk, { id }) {
    const own = ownPlaces(desk);
    return desk.db
      .selectFrom('account_organisations as p')
      .innerJoin('organisations as o', 'o.id', 'p.organisation_id')
      .select(['p.organisation_id', 'o.name', 'p.position', 'p.created_at'])
      .where('p.account_id', '=', id)
      .$if(own !== undefined, (query) => query.where(sql<boolean>`o.id = ANY (${own?.organisations}::uuid[])`))
      .orderBy('p.created_at')
      .execute();
  },
};

const roles: Section = {
  name: 'roles',
  permission: 'roles:read',
  row: z.object({
    role: z.string(),
    agency_code: text,
    organisation_name: text,
    level: z.int(),
    granted_at: moment(),
  }),
  isCut,
  list(desk, { id }) {
    const own = ownPlaces(desk);
    return desk.db
      .selectFrom('role_assignments as g')
      .leftJoin('organisations as o', 'o.id', 'g.organisation_id')
      .select(['g.role', 'g.agency_code', 'o.name as organisation_name', 'g.level', 'g.granted_at'])
      .where('g.account_id', '=', id)
      .$if(own !== undefined, (query) =>
        query.where(
          sql<boolean>`(g.agency_code = ANY (${own?.agencies}) OR g.organisation_id = ANY (${own?.organisations}::uuid[]))`,
        ),
      )
      .orderBy('g.level', 'desc')
      .orderBy('g.granted_at')
      .execute();
  },
};

/** Why it is closed. The sentence is told to those for whom it was written, who see every account. */
const locks: Section = {
  name: 'locks',
  permission: 'accounts:read',
  row: z.object({ lock: z.string(), because: text, locked_by: text, locked_at: moment() }),
  async list(desk, { id }) {
    const rows = await desk.db
      .selectFrom('account_locks as l')
      .leftJoin('accounts as b', 'b.id', 'l.locked_by')
      .select(['l.kind as lock', 'l.because', 'b.full_name as locked_by', 'l.locked_at'])
      .where('l.account_id', '=', id)
      .orderBy('l.locked_at')
      .execute();
    return ownPlaces(desk) ? rows.map((row) => ({ ...row, because: null, locked_by: null })) : rows;
  },
};

/** The agencies whose applications and clients an officer of agencies sees; undefined for all: nobody else's are cut. */
function ownAgencies(desk: Desk): string[] | undefined {
  const own = ownPlaces(desk);
  return own && own.organisations.length === 0 ? own.agencies : undefined;
}

const isCutToAgencies = (desk: Desk) => ownAgencies(desk) !== undefined;

/** Of the applications and clients of an officer's agency only: what others know of a person is none of theirs. */
function ofOwnAgencies<T>(desk: Desk, query: T): T {
  const agencies = ownAgencies(desk);
  if (!agencies) return query;
  // biome-ignore lint/suspicious/noExplicitAny: every query here calls the one table with an agency "a"
  return (query as SelectQueryBuilder<any, any, any>).where(
    sql<boolean>`a.agency_code = ANY (${agencies})`,
  ) as unknown as T;
}

const links: Section = {
  name: 'links',
  permission: 'accounts:read',
  row: z.object({ application: z.string(), username: z.string(), directorate: text, created_at: moment() }),
  isCut: isCutToAgencies,
  list: (desk, { id }) =>
    ofOwnAgencies(
      desk,
      desk.db
        .selectFrom('links as l')
        .innerJoin('applications as a', 'a.id', 'l.application_id')
        .select(['a.name as application', 'l.username', 'l.directorate', 'l.created_at'])
        .where('l.account_id', '=', id)
        .orderBy('a.name')
        .orderBy('l.created_at'),
    ).execute(),
};

/**
 * The sessions that still open something: a raised generation has ended the others, though their rows may wait for the sweep.
 * From where somebody is signed in is told to those who see every account.
 */
const sessions: Section = {
  name: 'sessions',
  permission: 'accounts:read',
  row: z.object({
    signed_in_at: moment(),
    seen_at: moment(),
    expires_at: moment(),
    device: text,
    network: text,
    applications: z.int(),
  }),
  async list(desk, { id }) {
    const rows = await desk.db
      .selectFrom('oidc_sessions as s')
      .innerJoin('accounts as a', (join) =>
        join.onRef('a.id', '=', 's.account_id').onRef('a.generation', '=', 's.generation'),
      )
      .select([
        's.created_at as signed_in_at',
        's.seen_at',
        's.expires_at',
        's.user_agent',
        's.network',
        sql<number>`(SELECT count(*)::int FROM jsonb_object_keys(s.authorizations))`.as('applications'),
      ])
      .where('s.account_id', '=', id)
      .where('s.expires_at', '>', sql<Date>`gapura_now()`)
      .orderBy('s.created_at', 'desc')
      .execute();
    const t = translator(desk.language);
    const is_own = ownPlaces(desk) !== undefined;
    return rows.map(({ user_agent, network, ...row }) => ({
      ...row,
      device: is_own || user_agent === null ? null : nameDevice(t, user_agent),
      network: is_own ? null : network,
    }));
  },
};

const grants: Section = {
  name: 'grants',
  permission: 'accounts:read',
  row: z.object({ client: z.string(), scopes: text, directorate: text, since: moment(), expires_at: moment() }),
  isCut: isCutToAgencies,
  list: (desk, { id }) =>
    ofOwnAgencies(
      desk,
      desk.db
        .selectFrom('oidc_records as g')
        .innerJoin('accounts as p', (join) =>
          join.onRef('p.id', '=', 'g.account_id').onRef('p.generation', '=', 'g.generation'),
        )
        .innerJoin('clients as a', 'a.id', 'g.client_id')
        .select([
          sql<string>`coalesce(a.metadata->>'client_name', a.id)`.as('client'),
          sql<string | null>`g.payload->'openid'->>'scope'`.as('scopes'),
          sql<string | null>`g.payload->'directorate'->>'name'`.as('directorate'),
          sql<Date>`to_timestamp((g.payload->>'iat')::float8)`.as('since'),
          'g.expires_at',
        ])
        .where('g.account_id', '=', id)
        .where('g.model', '=', 'Grant')
        .where('g.expires_at', '>', sql<Date>`gapura_now()`)
        .orderBy('client')
        .orderBy('g.expires_at'),
    ).execute(),
};

/** The last that happened; from where is told to those who read the audit. */
const events: Section = {
  name: 'events',
  permission: 'accounts:read',
  row: z.object({ at: moment(), event: z.string(), actor: text, client_id: text, address: text, user_agent: text }),
  async list(desk, { id }) {
    const rows = await desk.db
      .selectFrom('audit_events as e')
      .leftJoin('audit_personal as p', 'p.event_id', 'e.id')
      .leftJoin('accounts as b', 'b.id', 'e.actor_id')
      .select(['e.at', 'e.kind as event', 'b.full_name as actor', 'e.client_id', 'p.address', 'p.user_agent'])
      .where('e.account_id', '=', id)
      .orderBy('e.id', 'desc')
      .limit(20)
      .execute();
    if (reachOfActor(desk.actor, 'audit:read')) return rows;
    const is_own = ownPlaces(desk) !== undefined;
    return rows.map((row) => ({ ...row, address: null, user_agent: null, ...(is_own ? { client_id: null } : {}) }));
  },
};

export const account_sections: Section[] = [identifiers, organisations, roles, locks, links, sessions, grants, events];
