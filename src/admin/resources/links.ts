/** User names that somebody proved and another holds: the requests that wait for an officer of the agency, and what became of them. */

import { sql } from 'kysely';
import { z } from 'zod';
import type { Database } from '../../database.ts';
import { decideTransfer } from '../../links/transfer.ts';
import { moment } from '../fields.ts';
import type { Operation, Resource } from '../resource.ts';
import { listAgencyOptions } from './agencies.ts';

const states = ['waiting', 'granted', 'refused'] as const;
const decisions = z.enum(['granted', 'refused']);

const decision: Operation = {
  name: 'decision',
  kind: 'act',
  permission: 'links:decide',
  is_weighty: true,
  input: z.object({
    decision: decisions,
    reason: z
      .string()
      .trim()
      .max(500, 'errors.too_long')
      .regex(/^[^\0]*$/, 'errors.field.unreadable')
      .default('')
      .meta({ long: true }),
  }),
  applies: ({ state }) => state === 'waiting',
  async warn(_desk, { application_name, holders }) {
    const values = { application: String(application_name), people: (holders as string[]).length };
    return values.people === 0 ? [] : [{ key: 'admin.links.warn_holders', values }];
  },
  async run(tx, { actor, links, request }, input, entry) {
    const by = actor.account_id;
    if (!by) return { state: 'refused', errors: { form: 'errors.link.needs_officer' } };
    const [decided, because] = [decisions.parse(input.decision), String(input.reason)];
    if (decided === 'refused' && because.length < 3)
      return { state: 'refused', errors: { reason: 'errors.link.because' } };
    const id = String(entry?.id);
    const outcome = await decideTransfer(links, tx, {
      id,
      decision: decided,
      by,
      because,
      application_name: String(entry?.application_name),
      request,
    });
    if (outcome.state === 'decided') return { state: 'done', id, detail: { decision: decided } };
    return outcome.state === 'refused' ? { state: 'refused', errors: { form: 'errors.link.own' } } : outcome;
  },
};

export const links: Resource = {
  name: 'links',
  group: 'applications',
  permission: 'links:read',
  id: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
  entry: z.object({
    id: z.uuid(),
    state: z.enum(states),
    application_id: z.string(),
    application_name: z.string(),
    agency_code: z.string(),
    username: z.string(),
    directorate: z.string().nullable(),
    claimant: z.string().nullable(),
    claimant_name: z.string(),
    holders: z.array(z.string()),
    proved_at: moment(),
    decided_by_name: z.string().nullable(),
    decided_at: moment().nullable(),
    because: z.string().nullable(),
  }),
  select,
  within: ({ agencies }) => sql<boolean>`r.agency_code = ANY (${agencies})`,
  list: {
    columns: ['username', 'application_name', 'claimant_name', 'proved_at', 'state'],
    sorts: { proved_at: 'timestamptz' },
    is_latest_first: true,
    filters: {
      state: { schema: z.enum(states), where: (value: string) => sql<boolean>`r.state = ${value}` },
      agency_code: {
        schema: z.string().regex(/^[A-Z0-9-]{2,20}$/),
        where: (value: string) => sql<boolean>`r.agency_code = ${value}`,
        options: (desk) => listAgencyOptions(desk, 'links:read'),
      },
    },
  },
  waiting: { state: 'waiting' },
  title: ({ application_name, username }) => `${application_name}: ${username}`,
  operations: [decision],
};

function select(db: Database) {
  return db
    .selectFrom('link_requests as q')
    .innerJoin('applications as p', 'p.id', 'q.application_id')
    .innerJoin('accounts as c', 'c.id', 'q.account_id')
    .select([
      'q.id',
      sql<string>`coalesce(q.decision, 'waiting')`.as('state'),
      'q.application_id',
      'p.name as application_name',
      'p.agency_code',
      'q.username',
      'q.directorate',
      sql<string | null>`(SELECT i.value FROM account_identifiers i
        WHERE i.account_id = q.account_id AND i.kind = 'username' LIMIT 1)`.as('claimant'),
      'c.full_name as claimant_name',
      sql<string[]>`ARRAY(SELECT concat_ws(', ', h.full_name, (SELECT i.value FROM account_identifiers i
          WHERE i.account_id = h.id AND i.kind = 'username' LIMIT 1))
        FROM links l JOIN accounts h ON h.id = l.account_id
        WHERE l.application_id = q.application_id AND l.subject = q.subject ORDER BY h.full_name)`.as('holders'),
      'q.proved_at',
      sql<string | null>`(SELECT d.full_name FROM accounts d WHERE d.id = q.decided_by)`.as('decided_by_name'),
      'q.decided_at',
      'q.because',
    ]);
}
