/** The audit, to read: what happened, to whom, by whom, under which seal. */

import { sql } from 'kysely';
import { z } from 'zod';
import { audit_kinds } from '../../audit/audit.ts';
import type { Database } from '../../database.ts';
import { moment } from '../fields.ts';
import { uuid } from '../filters.ts';
import type { Resource } from '../resource.ts';

export const audit: Resource = {
  name: 'audit',
  group: 'system',
  permission: 'audit:read',
  id: /^\d{1,18}$/,
  entry: z.object({
    id: z.string(),
    at: moment(),
    kind: z.string(),
    account: z.string().nullable(),
    account_id: z.string().nullable(),
    actor: z.string().nullable(),
    actor_id: z.string().nullable(),
    client_id: z.string().nullable(),
    detail: z.record(z.string(), z.unknown()),
    address: z.string().nullable(),
    user_agent: z.string().nullable(),
    request_id: z.string().nullable(),
  }),
  select,
  list: {
    columns: ['at', 'kind', 'account', 'actor', 'client_id'],
    sorts: { at: { type: 'bigint', by: sql`r.id` } },
    is_latest_first: true,
    filters: {
      kind: { schema: z.enum(audit_kinds), where: (value: string) => sql<boolean>`r.kind = ${value}` },
      account_id: { schema: z.string().regex(uuid), where: (value: string) => sql<boolean>`r.account_id = ${value}` },
    },
  },
  title: ({ kind, id }) => `${kind} ${id}`,
  operations: [],
};

function select(db: Database) {
  return db
    .selectFrom('audit_events as e')
    .leftJoin('audit_personal as p', 'p.event_id', 'e.id')
    .selectAll('e')
    .select((eb) => [
      'p.address',
      'p.user_agent',
      'p.request_id',
      eb.selectFrom('accounts as a').whereRef('a.id', '=', 'e.account_id').select('a.full_name').as('account'),
      eb.selectFrom('accounts as a').whereRef('a.id', '=', 'e.actor_id').select('a.full_name').as('actor'),
    ]);
}
