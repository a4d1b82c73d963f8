/** What waits for a second pair of eyes, to be agreed to, refused or withdrawn. */

import { sql } from 'kysely';
import { z } from 'zod';
import { decideApproval } from '../../approvals.ts';
import type { Database, Transaction } from '../../database.ts';
import { moment } from '../fields.ts';
import { perform, reachOfActor } from '../operation.ts';
import { nameProposal, tellProposal } from '../proposal.ts';
import type { Desk, Entry, Outcome, Resource, Said } from '../resource.ts';

const decisions = z.enum(['approved', 'refused', 'withdrawn']);

export const approvals: Resource = {
  name: 'approvals',
  group: 'system',
  permission: 'approvals:read',
  id: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
  entry: z.object({
    id: z.string(),
    state: z.enum(['waiting', 'approved', 'refused', 'withdrawn', 'expired']),
    resource: z.string(),
    entry_id: z.string().nullable(),
    operation: z.string(),
    fields: z.array(z.string()),
    asked_by_name: z.string(),
    asked_at: moment(),
    because: z.string(),
    expires_at: moment(),
    decided_by_name: z.string().nullable(),
    decided_at: moment().nullable(),
    decision_because: z.string().nullable(),
  }),
  select,
  // Asked for by somebody of the same place; whether the decision is theirs to take is told by the permission of what was asked.
  within: ({ agencies, organisations }) => sql<boolean>`EXISTS (SELECT FROM role_assignments o
    WHERE o.account_id = r.asked_by AND (o.agency_code = ANY(${agencies}) OR o.organisation_id::text = ANY(${organisations})))`,
  list: {
    columns: ['operation', 'resource', 'entry_id', 'asked_by_name', 'asked_at', 'state'],
    sorts: { asked_at: 'timestamptz' },
    is_latest_first: true,
    filters: {
      state: {
        schema: z.enum(['waiting', 'approved', 'refused', 'withdrawn', 'expired']),
        where: (value: string) => sql<boolean>`r.state = ${value}`,
      },
    },
  },
  waiting: { state: 'waiting' },
  title: (entry, _language, desk) => nameProposal(desk, entry),
  operations: [
    {
      name: 'decision',
      kind: 'act',
      permission: 'approvals:read',
      is_weighty: true,
      input: z.object({ decision: decisions, reason: z.string().trim().max(500, 'errors.too_long').default('') }),
      applies: ({ state }) => state === 'waiting',
      warn: warnOf,
      run: (tx, desk, input, entry) => decide(tx, desk, input, entry as Entry),
    },
  ],
  sections: [
    {
      name: 'changes',
      permission: 'approvals:read',
      row: z.object({ field: z.string(), from: z.string().nullable(), to: z.string().nullable() }),
      list: async (desk, entry) => (await tellProposal(desk, entry)).map((change) => ({ ...change })),
    },
  ],
};

function select(db: Database) {
  return db
    .selectFrom('approvals as a')
    .innerJoin('accounts as asker', 'asker.id', 'a.asked_by')
    .leftJoin('accounts as decider', 'decider.id', 'a.decided_by')
    .selectAll('a')
    .select([
      'asker.full_name as asked_by_name',
      'decider.full_name as decided_by_name',
      sql<string>`coalesce(a.decision, CASE WHEN a.expires_at > gapura_now() THEN 'waiting' ELSE 'expired' END)`.as(
        'state',
      ),
    ]);
}

/** What would happen, where it is decided. */
async function warnOf(desk: Desk, entry: Entry): Promise<Said[]> {
  const changes = await tellProposal(desk, entry);
  return changes.map(({ field, from, to }) =>
    from === null || to === null
      ? { key: 'admin.approvals.would_touch', values: { field } }
      : { key: 'admin.approvals.would_change', values: { field, from: from || '—', to: to || '—' } },
  );
}

/** Agreed to, it is carried out in this very transaction, under the permission of whoever agrees. */
async function decide(tx: Transaction, desk: Desk, input: Record<string, unknown>, entry: Entry): Promise<Outcome> {
  const by = desk.actor.account_id;
  if (!by) return { state: 'refused', errors: { form: 'errors.admin.needs_person' } };
  const decision = decisions.parse(input.decision);
  const resource = desk.findResource(String(entry.resource));
  const operation = resource?.operations.find((one) => one.name === entry.operation);
  if (!resource || !operation) return { state: 'refused', errors: { form: 'errors.approval.unknown' } };
  // Who only reads may not turn down either; whoever asked may always take it back.
  if (decision !== 'withdrawn' && !reachOfActor(desk.actor, operation.permission))
    return { state: 'refused', errors: { form: 'errors.admin.out_of_reach' } };
  const decided = await decideApproval(tx, desk.config, entry.id, {
    by,
    decision,
    because: String(input.reason ?? ''),
    request: desk.request,
  });
  if (decided.state === 'refused') return { state: 'refused', errors: { form: `errors.approval.${decided.because}` } };
  if (decided.state === 'turned_down') return { state: 'done', id: entry.id };
  const { entry_id, entry_version } = decided.approval;
  const carried = await perform(tx, desk, {
    resource,
    operation,
    id: entry_id ?? undefined,
    input: decided.input,
    ...(entry_version === null ? {} : { version: entry_version }),
    is_approved: true,
  });
  if (carried.state === 'done')
    return {
      state: 'done',
      id: entry.id,
      ...(carried.shown_once ? { shown_once: carried.shown_once } : {}),
      detail: { carried_out: carried.id },
    };
  if (carried.state === 'refused')
    return { state: 'refused', errors: { form: Object.values(carried.errors)[0] ?? 'errors.approval.failed' } };
  return {
    state: 'refused',
    errors: { form: carried.state === 'conflict' ? 'errors.approval.changed' : 'errors.approval.failed' },
  };
}
